/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/auth_key.h"

/* In a time that does not tell how much of it fits. */
static bool
is_same(struct sv given, const char *key)
{
    size_t len = strlen(key);
    unsigned differs = given.len != len;

    for (size_t i = 0; i < given.len; i++)
        differs |= (unsigned)((unsigned char)given.ptr[i] ^
            (unsigned char)key[len == 0 ? 0 : i % len]);
    return differs == 0;
}

bool
auth_key_check(struct http_req *req, const char *key, const char *flag)
{
    if (key[0] == '\0' || is_same(http_arg(req, "authKey"), key))
        return true;
    http_reply_error(req, 401, "the argument authKey is not what -%s says",
        flag);
    return false;
}
