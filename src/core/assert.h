/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Bugs.  check() is always compiled in: a false condition means the program
 * is wrong, so the process says where, records it for the master and aborts;
 * the master starts a new one.  Never use it for bad input or a failed
 * system call: those are expected (core/err.h).
 */

#ifndef SPOOR_CORE_ASSERT_H
#define SPOOR_CORE_ASSERT_H

#include "core/base.h"

/* Size of the record that the master reads after a crash. */
#define PANIC_TEXT_MAX 1024

#define check(cond) \
    (LIKELY(cond) ? (void)0 : panic_at(__FILE__, __LINE__, __func__, #cond))

#ifdef SPOOR_DEBUG
#define check_slow(cond) check(cond)
#else
#define check_slow(cond) ((void)0)
#endif

#define panic(...) panic_fmt(__FILE__, __LINE__, __func__, __VA_ARGS__)

void panic_at(const char *file, int line, const char *func, const char *cond)
    NORETURN;
void panic_fmt(const char *file, int line, const char *func, const char *fmt,
    ...) NORETURN PRINTF_LIKE(4, 5);

/*
 * Names the buffer (shared with the master, PANIC_TEXT_MAX bytes, borrowed
 * for the life of the process) that receives the text of a panic.  NULL: the
 * text goes to standard error only.
 */
void panic_set_record(char *record);

/* Every heap object starts with a uint32_t magic; a wrong one is a bug. */
#define OBJ_CHECK(obj, magic_value) \
    do { \
        check((obj) != NULL); \
        check((obj)->magic == (magic_value)); \
    } while (0)

#endif
