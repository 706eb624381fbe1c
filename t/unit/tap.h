/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * TAP for unit tests in C.  A test is one file with main(); it includes this
 * header once, calls ok() and its relatives, and returns tap_done().
 *
 *     ok(part != NULL, "part opens");
 *     is_int(part_rows(part), 3, "rows of %s", path);
 *     is_str(err.text, "no such file", "error text");
 *     return tap_done();
 *
 * The plan is printed at the end, so no test counts its own checks; a test
 * that dies before is noticed because the plan is missing.  ok() may be
 * called from any thread.
 */

#ifndef SPOOR_UNIT_TAP_H
#define SPOOR_UNIT_TAP_H

#include "core/base.h"

#include <inttypes.h>
#include <pthread.h>
#include <unistd.h>

/* Bytes of a check's name, cut beyond. */
#define TAP_NAME_MAX 512

static int tap_count_;
static int tap_failed_;
static pthread_mutex_t tap_lock_ = PTHREAD_MUTEX_INITIALIZER;

#define ok(cond, ...) ok_at((cond), __FILE__, __LINE__, __VA_ARGS__)
#define fail(...) ok_at(false, __FILE__, __LINE__, __VA_ARGS__)
#define pass(...) ok_at(true, __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, ...) \
    is_int_at((int64_t)(got), (int64_t)(want), __FILE__, __LINE__, \
        __VA_ARGS__)
#define is_str(got, want, ...) \
    is_str_at((got), (want), __FILE__, __LINE__, __VA_ARGS__)
/* A struct sv (core/sv.h) against a string. */
#define is_sv(got, want, ...) \
    is_mem_at((got).ptr, (got).len, (want), strlen(want), __FILE__, __LINE__, \
        __VA_ARGS__)
#define is_mem(got, got_len, want, want_len, ...) \
    is_mem_at((got), (got_len), (want), (want_len), __FILE__, __LINE__, \
        __VA_ARGS__)

/* A line for the reader; never part of the result. */
static void diag(const char *fmt, ...) PRINTF_LIKE(1, 2) UNUSED;
static bool ok_at(bool cond, const char *file, int line, const char *fmt, ...)
    PRINTF_LIKE(4, 5) UNUSED;
static bool is_int_at(int64_t got, int64_t want, const char *file, int line,
    const char *fmt, ...) PRINTF_LIKE(5, 6) UNUSED;
static bool is_str_at(const char *got, const char *want, const char *file,
    int line, const char *fmt, ...) PRINTF_LIKE(5, 6) UNUSED;
static bool is_mem_at(const void *got, size_t got_len, const void *want,
    size_t want_len, const char *file, int line, const char *fmt, ...)
    PRINTF_LIKE(7, 8) UNUSED;
/* n checks that cannot be made here. */
static void skip(const char *why, int n) UNUSED;
/* The whole test cannot run here; ends the process. */
static void skip_all(const char *why) UNUSED NORETURN;
static void bail_out(const char *why) UNUSED NORETURN;
/* Prints the plan; the value for main() to return. */
static int tap_done(void);

#define plan_done() tap_done()

static void
tap_print_(bool cond, const char *file, int line, const char *fmt, va_list ap)
{
    char name[TAP_NAME_MAX];
    char *p;

    vsnprintf(name, sizeof(name), fmt, ap);
    for (p = name; *p != '\0'; p++) {
        if (*p == '\n' || *p == '#' || (unsigned char)*p < 0x20)
            *p = '.';
    }
    pthread_mutex_lock(&tap_lock_);
    tap_count_++;
    printf("%sok %d - %s\n", cond ? "" : "not ", tap_count_, name);
    if (!cond) {
        tap_failed_++;
        printf("#   failed at %s:%d\n", file, line);
        fflush(stdout);
        fprintf(stderr, "# not ok: %s (%s:%d)\n", name, file, line);
    }
    fflush(stdout);
    pthread_mutex_unlock(&tap_lock_);
}

static void
diag(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    pthread_mutex_lock(&tap_lock_);
    fputs("# ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    pthread_mutex_unlock(&tap_lock_);
    va_end(ap);
}

static bool
ok_at(bool cond, const char *file, int line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tap_print_(cond, file, line, fmt, ap);
    va_end(ap);
    return cond;
}

static bool
is_int_at(int64_t got, int64_t want, const char *file, int line,
    const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tap_print_(got == want, file, line, fmt, ap);
    va_end(ap);
    if (got != want)
        diag("  got %" PRId64 ", want %" PRId64, got, want);
    return got == want;
}

static bool
is_str_at(const char *got, const char *want, const char *file, int line,
    const char *fmt, ...)
{
    bool same = (got == NULL || want == NULL) ? got == want
                                              : strcmp(got, want) == 0;
    va_list ap;

    va_start(ap, fmt);
    tap_print_(same, file, line, fmt, ap);
    va_end(ap);
    if (!same) {
        diag("  got  \"%s\"", got == NULL ? "(null)" : got);
        diag("  want \"%s\"", want == NULL ? "(null)" : want);
    }
    return same;
}

static bool
is_mem_at(const void *got, size_t got_len, const void *want, size_t want_len,
    const char *file, int line, const char *fmt, ...)
{
    bool same = got_len == want_len &&
        (got_len == 0 || memcmp(got, want, got_len) == 0);
    va_list ap;

    va_start(ap, fmt);
    tap_print_(same, file, line, fmt, ap);
    va_end(ap);
    if (!same) {
        diag("  got  %zu bytes \"%.*s\"", got_len, (int)MIN(got_len, 1000),
            got_len == 0 ? "" : (const char *)got);
        diag("  want %zu bytes \"%.*s\"", want_len, (int)MIN(want_len, 1000),
            want_len == 0 ? "" : (const char *)want);
    }
    return same;
}

static void
skip(const char *why, int n)
{
    for (; n > 0; n--)
        printf("ok %d # SKIP %s\n", ++tap_count_, why);
    fflush(stdout);
}

static void
skip_all(const char *why)
{
    printf("1..0 # SKIP %s\n", why);
    exit(0);
}

static void
bail_out(const char *why)
{
    printf("Bail out!  %s\n", why);
    exit(1);
}

static int
tap_done(void)
{
    printf("1..%d\n", tap_count_);
    fflush(stdout);
    return tap_failed_ == 0 ? 0 : 1;
}

#endif
