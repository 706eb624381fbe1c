/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What every file includes first: the C library's plain types, attributes,
 * small macros, object magics and the list of functions nobody may call.
 */

#ifndef SPOOR_CORE_BASE_H
#define SPOOR_CORE_BASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define WARN_UNUSED __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Marks the implementations of a callback type, so that grep finds them. */
#define IMPL(callback_type)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
/*
 * Each argument is evaluated once: one may be a call or an atomic load, of
 * which a second look could give another value than the one compared.  The
 * sizeof is there for the compiler's warning about mixed signs.
 */
#define MIN(a, b) LESSER_(a, b, <, __COUNTER__)
#define MAX(a, b) LESSER_(a, b, >, __COUNTER__)
#define LESSER_(a, b, op, n) LESSER_OF_(a, b, op, n)
#define LESSER_OF_(a, b, op, n) \
    __extension__({ \
        __typeof__(1 ? (a) : (b)) a_##n = (a), b_##n = (b); \
        (void)sizeof((a)op(b)); \
        a_##n op b_##n ? a_##n : b_##n; \
    })
#define ALIGN_UP(n, to) (((n) + (to) - 1) & ~((to) - (size_t)1))

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * KIB)
#define GIB ((size_t)1024 * MIB)

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_SEC INT64_C(1000000000)
#define NS_PER_DAY (INT64_C(86400) * NS_PER_SEC)

/* Functions without a bound, with hidden state or with silent errors. */
#define SPOOR_BANNED(f) spoor_banned_##f##_see_base_h
#undef strcpy
#define strcpy(d, s) SPOOR_BANNED(strcpy)
#undef strcat
#define strcat(d, s) SPOOR_BANNED(strcat)
#undef sprintf
#define sprintf(...) SPOOR_BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) SPOOR_BANNED(vsprintf)
#undef strncpy
#define strncpy(d, s, n) SPOOR_BANNED(strncpy)
#undef strncat
#define strncat(d, s, n) SPOOR_BANNED(strncat)
#undef strtok
#define strtok(s, d) SPOOR_BANNED(strtok)
#undef atoi
#define atoi(s) SPOOR_BANNED(atoi)
#undef atof
#define atof(s) SPOOR_BANNED(atof)
#undef gmtime
#define gmtime(t) SPOOR_BANNED(gmtime)
#undef localtime
#define localtime(t) SPOOR_BANNED(localtime)
#undef ctime
#define ctime(t) SPOOR_BANNED(ctime)
#undef mktemp
#define mktemp(t) SPOOR_BANNED(mktemp)

#endif
