/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/assert.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tap.h"

struct thing {
    uint32_t magic;
};

static char *record;

static void
by_check(void)
{
    int two = 2;

    check(two == 3);
}

static void
by_panic(void)
{
    panic("it is %d %s", 42, "\x1b");
}

static void
by_magic(void)
{
    struct thing thing = {7};

    OBJ_CHECK(&thing, 8);
}

static void
by_long_text(void)
{
    char text[5000];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    panic("%s", text);
}

/* Runs fn in a child; what it wrote to standard error stands in said. */
static int
run(void (*fn)(void), char said[8192])
{
    int ends[2], status;
    size_t len = 0;
    ssize_t n;
    pid_t pid;

    if (pipe(ends) != 0)
        bail_out("pipe");
    memset(record, 0, PANIC_TEXT_MAX);
    pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        panic_set_record(record);
        fn();
        _exit(0);
    }
    close(ends[1]);
    while (len < 8191 && (n = read(ends[0], said + len, 8191 - len)) > 0)
        len += (size_t)n;
    said[len] = '\0';
    close(ends[0]);
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

int
main(void)
{
    char said[8192];

    record = mmap(NULL, PANIC_TEXT_MAX, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(record != MAP_FAILED);

    is_int(run(by_check, said), SIGABRT, "a false check aborts");
    ok(strstr(record, "by_check: check failed: two == 3") != NULL,
        "the record says where and what: %s", record);
    ok(strstr(said, "by_check: check failed: two == 3") != NULL,
        "so does standard error");
    is_int(run(by_panic, said), SIGABRT, "panic aborts");
    ok(strstr(record, "it is 42") != NULL, "with its text: %s", record);
    is_int(run(by_magic, said), SIGABRT, "a wrong magic aborts");
    is_int(run(by_long_text, said), SIGABRT, "a long text aborts");
    ok(strlen(record) < PANIC_TEXT_MAX, "and is cut");
    return tap_done();
}
