/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/assert.h"

#include <execinfo.h>
#include <unistd.h>

#define PANIC_FRAMES_MAX 32

static char *panic_record;

/* A second failure while the first is being told must not recurse. */
static atomic_flag panic_begun = ATOMIC_FLAG_INIT;

void
panic_set_record(char *record)
{
    panic_record = record;
}

static void
panic_write(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, text, len);

        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

static void NORETURN
panic_tell(const char *file, int line, const char *func, const char *what)
{
    char text[PANIC_TEXT_MAX];
    void *frames[PANIC_FRAMES_MAX];
    int n;

    if (atomic_flag_test_and_set(&panic_begun))
        abort();

    n = snprintf(text, sizeof(text), "panic: pid %ld: %s:%d: %s: %s",
        (long)getpid(), file, line, func, what);
    if (n < 0)
        n = 0;
    n = MIN(n, (int)sizeof(text) - 1);
    if (panic_record != NULL)
        memcpy(panic_record, text, (size_t)n + 1);

    panic_write(text, (size_t)n);
    panic_write("\n", 1);
    n = backtrace(frames, PANIC_FRAMES_MAX);
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
    abort();
}

void
panic_at(const char *file, int line, const char *func, const char *cond)
{
    char what[PANIC_TEXT_MAX / 2];

    snprintf(what, sizeof(what), "check failed: %s", cond);
    panic_tell(file, line, func, what);
}

void
panic_fmt(const char *file, int line, const char *func, const char *fmt, ...)
{
    char what[PANIC_TEXT_MAX / 2];
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    panic_tell(file, line, func, what);
}
