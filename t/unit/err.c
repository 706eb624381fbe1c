/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/err.h"

#include <errno.h>

#include "tap.h"

static void
test_texts(void)
{
    struct err err = ERR_INIT;
    char large[1000];

    is_int(err_set(&err, ERR_LIMIT, "%d > %d", 3, 2), -1, "err_set gives -1");
    is_int(err.code, ERR_LIMIT, "code");
    is_str(err.text, "3 > 2", "text");
    is_int(err_wrap(&err, "reading %s", "x"), -1, "err_wrap gives -1");
    is_str(err.text, "reading x: 3 > 2", "context stands in front");
    is_int(err.code, ERR_LIMIT, "wrapping keeps the code");

    err_set(&err, ERR_INVALID, "%s again", err.text);
    is_str(err.text, "reading x: 3 > 2 again", "own text as an argument");

    memset(large, 'a', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    err_wrap(&err, "%s", large);
    is_int(strlen(err.text), sizeof(err.text) - 1, "a long context is cut");
    err_set(&err, ERR_INVALID, "%s", large);
    is_int(strlen(err.text), sizeof(err.text) - 1, "a long text is cut");
    err_wrap(&err, "in");
    is_int(strlen(err.text), sizeof(err.text) - 1, "so is a wrapped one");
    ok(strncmp(err.text, "in: aaa", 7) == 0, "which keeps its context");

    err_reset(&err);
    is_int(err.code, ERR_NONE, "reset");
    is_str(err.text, "", "empty again");
}

static void
test_errno(void)
{
    struct err err = ERR_INIT;
    char large[1000];

    errno = ENOENT;
    is_int(err_sys(&err, "open %s", "/x"), -1, "err_sys gives -1");
    is_str(err.text, "open /x: No such file or directory", "reason behind");
    is_int(err.code, ERR_NOT_FOUND, "ENOENT is not found");
    is_int(err.sys_errno, ENOENT, "errno is kept");
    is_int(errno, ENOENT, "and not changed");
    errno = EDQUOT;
    err_sys(&err, "x");
    is_int(err.code, ERR_NO_SPACE, "EDQUOT is no space");
    errno = ENOSPC;
    err_sys(&err, "x");
    is_int(err.code, ERR_NO_SPACE, "ENOSPC is no space");
    errno = EIO;
    err_sys(&err, "x");
    is_int(err.code, ERR_SYSTEM, "the rest is system");
    errno = 99999;
    err_sys(&err, "x");
    is_str(err.text, "x: unknown error", "an errno nobody knows");

    memset(large, 'a', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    errno = EIO;
    err_sys(&err, "%s", large);
    ok(strstr(err.text, "a: Input/output error") != NULL,
        "a long text leaves room for the reason");
}

int
main(void)
{
    test_texts();
    test_errno();
    is_int(err_set(NULL, ERR_LIMIT, "x"), -1, "err_set without err");
    is_int(err_sys(NULL, "x"), -1, "err_sys without err");
    is_int(err_wrap(NULL, "x"), -1, "err_wrap without err");
    err_reset(NULL);
    is_str(err_code_name(ERR_NO_SPACE), "no space", "name of a code");
    is_str(err_code_name(ERR_CANCELLED), "cancelled", "name of the last");
    is_str(err_code_name(77), "unknown", "name of no code");
    return tap_done();
}
