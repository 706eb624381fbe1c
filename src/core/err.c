/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/err.h"

#include <errno.h>

int
err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    char text[sizeof(err->text)];
    va_list args;

    if (err == NULL)
        return -1;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    err->code = code;
    err->sys_errno = 0;
    memcpy(err->text, text, strlen(text) + 1);
    return -1;
}

static enum err_code
err_code_of_errno(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOENT:
        return ERR_NOT_FOUND;
    default:
        return ERR_SYSTEM;
    }
}

int
err_sys(struct err *err, const char *fmt, ...)
{
    int number = errno;
    char text[sizeof(err->text)], reason[80];
    va_list args;
    size_t len;

    if (err == NULL)
        return -1;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    snprintf(reason, sizeof(reason), ": %s", strerrordesc_np(number) != NULL
        ? strerrordesc_np(number) : "unknown error");

    /* A long text is cut, never the reason. */
    len = MIN(strlen(text), sizeof(text) - 1 - strlen(reason));
    memcpy(text + len, reason, strlen(reason) + 1);
    err->code = err_code_of_errno(number);
    err->sys_errno = number;
    memcpy(err->text, text, len + strlen(reason) + 1);
    errno = number;
    return -1;
}

int
err_wrap(struct err *err, const char *fmt, ...)
{
    char text[sizeof(err->text)];
    va_list args;
    size_t len, rest;

    if (err == NULL)
        return -1;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text) - 2, fmt, args);
    va_end(args);
    len = strlen(text);
    text[len++] = ':';
    text[len++] = ' ';

    /* The end of the old text is cut when both do not fit. */
    rest = MIN(strlen(err->text), sizeof(text) - 1 - len);
    memcpy(text + len, err->text, rest);
    text[len + rest] = '\0';
    memcpy(err->text, text, len + rest + 1);
    return -1;
}

void
err_reset(struct err *err)
{
    if (err == NULL)
        return;
    err->code = ERR_NONE;
    err->sys_errno = 0;
    err->text[0] = '\0';
}

const char *
err_code_name(enum err_code code)
{
    static const char *const names[] = {
        [ERR_NONE] = "none",
        [ERR_SYSTEM] = "system",
        [ERR_NO_SPACE] = "no space",
        [ERR_CORRUPT] = "corrupt",
        [ERR_INVALID] = "invalid",
        [ERR_LIMIT] = "limit",
        [ERR_NOT_FOUND] = "not found",
        [ERR_BUSY] = "busy",
        [ERR_TIMEOUT] = "timeout",
        [ERR_UNSUPPORTED] = "unsupported",
        [ERR_CANCELLED] = "cancelled",
        [ERR_UNREACHABLE] = "unreachable",
    };

    return (size_t)code < ARRAY_LEN(names) ? names[code] : "unknown";
}
