/* SPDX-License-Identifier: BSD-2-Clause */

/* Which changes of files are told, and how often. */

#include "core/base.h"

#include <unistd.h>

#include "core/file.h"
#include "event/loop.h"
#include "event/watch.h"

#include "tap.h"

static char dir[] = "/tmp/spoor-watch-XXXXXX";
static char path[64];
static struct loop *loop;
static unsigned told;
static char last[64];

static void
IMPL(watch_fn) on_change(const char *changed, UNUSED void *arg)
{
    told++;
    snprintf(last, sizeof(last), "%s", changed);
    loop_stop(loop);
}

static void
IMPL(loop_timer_fn) on_time(UNUSED void *arg)
{
    loop_stop(loop);
}

/* Runs until something is told, or for so long. */
static void
run(int64_t ns)
{
    struct loop_timer *timer = loop_timer_new(loop, on_time, NULL);

    told = 0;
    loop_timer_set(timer, ns);
    loop_run(loop);
    loop_timer_free(timer);
}

static void
write_file(const char *text)
{
    struct err err = ERR_INIT;

    if (file_replace(path, text, strlen(text), 0600, &err) != 0)
        ok(false, "%s", err.text);
}

int
main(void)
{
    loop = loop_new();
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(path, sizeof(path), "%s/users", dir);
    watch_add(path);
    watch_add(path);
    watch_start(loop, on_change, NULL);

    run(1200 * NS_PER_MS);
    is_int(told, 0, "a file that is missing is no change");
    write_file("one");
    run(5 * NS_PER_SEC);
    is_int(told, 1, "it appeared");
    is_str(last, path, "its path is told");
    run(1200 * NS_PER_MS);
    is_int(told, 0, "once");
    write_file("two");
    run(5 * NS_PER_SEC);
    is_int(told, 1, "another file of the same size has its place");
    (void)unlink(path);
    run(5 * NS_PER_SEC);
    is_int(told, 1, "it is gone");
    watch_clear();
    write_file("three");
    run(1200 * NS_PER_MS);
    is_int(told, 0, "nothing is watched");
    watch_stop();
    loop_free(loop);
    (void)unlink(path);
    (void)rmdir(dir);
    return tap_done();
}
