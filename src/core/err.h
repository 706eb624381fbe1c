/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Expected failures.  A function that can fail returns 0 or -1 and, on -1,
 * fills the caller's struct err with a text that is complete enough to be
 * shown as it is.  Callers add context with err_wrap().  Log an error where
 * it is decided, not where it is seen.  A NULL err is allowed everywhere.
 */

#ifndef SPOOR_CORE_ERR_H
#define SPOOR_CORE_ERR_H

#include "core/base.h"

enum err_code {
    ERR_NONE = 0,
    ERR_SYSTEM,      /* a system call failed; sys_errno says how */
    ERR_NO_SPACE,    /* ENOSPC, EDQUOT: heals when space is back */
    ERR_CORRUPT,     /* a checksum, magic or bound is wrong */
    ERR_INVALID,     /* the peer's or the person's input is wrong */
    ERR_LIMIT,       /* a configured or built-in maximum is exceeded */
    ERR_NOT_FOUND,
    ERR_BUSY,        /* try again later */
    ERR_TIMEOUT,
    ERR_UNSUPPORTED, /* a version or feature this build does not know */
    ERR_CANCELLED,
    ERR_UNREACHABLE, /* another node does not answer, or breaks off */
};

struct err {
    enum err_code code;
    int sys_errno;
    char text[480];
};

#define ERR_INIT {ERR_NONE, 0, ""}

/* Fills err and returns -1, so that "return err_set(...)" reads well. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/*
 * The same from errno: appends ": strerror".  ENOSPC and EDQUOT become
 * ERR_NO_SPACE, ENOENT becomes ERR_NOT_FOUND.  Returns -1.
 */
int err_sys(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Puts "fmt: " in front of the text; code stays.  Returns -1. */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

void err_reset(struct err *err);

/* "corrupt", "no space" ...: a static string. */
const char *err_code_name(enum err_code code);

#endif
