/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Log, metrics, fault points and compression from several threads at once,
 * while the log is reopened and the process forks.
 */

#include "core/base.h"

#include <sys/wait.h>

#include "core/compress.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/log.h"
#include "core/metrics.h"
#include "tap.h"

#define THREADS 4
#define TURNS 300

static char path[] = "/tmp/spoor-threads-XXXXXX";
static _Atomic bool stop;

static void
log_some(unsigned turn)
{
    log_info("turn %u %s", turn, "0123456789012345678901234567890123456789");
    log_warn("turn %u", turn);
    /* No site: no limit for its lines. */
    log_write(NULL, LOG_INFO, "src/x.c", 1, "turn %u", turn);
}

static void *
work(void *arg)
{
    unsigned *good = arg;
    struct sb packed, out;

    sb_init(&packed, MIB);
    sb_init(&out, MIB);
    for (unsigned i = 0; i < TURNS; i++) {
        log_some(i);
        metric_add(METRIC_FLUSHES, 1);
        metric_observe_ns(METRIC_FLUSH_SECONDS, i);
        (void)fault("t.point");
        sb_reset(&packed);
        *good += compress_append(ENCODING_GZIP, SV("some bytes"), 1, &packed,
            NULL) == 0
            && decompress(ENCODING_GZIP, sb_sv(&packed), 100, &out, NULL) == 0
            && out.len == 10;
    }
    sb_release(&packed);
    sb_release(&out);
    return NULL;
}

static void *
reopen(void *arg)
{
    unsigned *failed = arg;

    while (!atomic_load(&stop)) {
        *failed += log_reopen(NULL) != 0;
        log_set_level(LOG_INFO);
        log_tick();
        usleep(500);
    }
    return NULL;
}

/* Every line is whole, whatever the threads did. */
static void
check_lines(void)
{
    unsigned lines = 0, broken = 0;
    struct sv rest, line;
    struct sb sb;

    sb_init(&sb, 16 * MIB);
    if (file_read_all(path, &sb, NULL) != 0)
        fail("cannot read the log");
    rest = sb_sv(&sb);
    while (sv_split(&rest, '\n', &line)) {
        unsigned tabs = 0;

        if (line.len == 0)
            continue;
        for (size_t i = 0; i < line.len; i++)
            tabs += line.ptr[i] == '\t';
        broken += tabs != 4 || line.ptr[4] != '-';
        lines++;
    }
    ok(lines >= THREADS * TURNS, "%u lines", lines);
    is_int(broken, 0, "all of them whole");
    sb_release(&sb);
}

int
main(void)
{
    unsigned good[THREADS] = {0}, failed = 0, sum = 0;
    pthread_t threads[THREADS], reopener;
    struct err err = ERR_INIT;
    int status;
    pid_t pid;

    close(mkstemp(path));
    setenv("SPOOR_FAULT", "t.point:EIO:5", 1);
    fault_init();
    is_int(log_open(path, &err), 0, "opened %s", err.text);
    pthread_create(&reopener, NULL, reopen, &failed);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, &good[i]);
    for (unsigned i = 0; i < 5; i++) {
        usleep(1000);
        pid = fork();
        if (pid == 0) {
            log_write(NULL, LOG_INFO, "src/x.c", 2, "child");
            _exit(0);
        }
        waitpid(pid, &status, 0);
        is_int(status, 0, "a child writes and ends");
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum += good[i];
    }
    atomic_store(&stop, true);
    pthread_join(reopener, NULL);
    is_int(sum, THREADS * TURNS, "every round trip worked");
    is_int(failed, 0, "every reopening worked");
    is_int(metric_get(METRIC_FLUSHES), THREADS * TURNS, "counter");
    is_int(metric_get(METRIC_FLUSH_SECONDS), THREADS * TURNS, "histogram");
    check_lines();
    unlink(path);
    return tap_done();
}
