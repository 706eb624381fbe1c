/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Any bytes as a file of users, as one of tokens, as the field Authorization
 * and as a query that is logged.  Whoever the files name is found by what
 * they say; a field that was understood names what base64 had; no value of a
 * secret argument is printed.
 */

#include "core/base.h"

#include "core/assert.h"
#include "http/access_log.h"
#include "http/auth.h"
#include "http/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_file(struct sv text, bool are_tokens)
{
    struct users *users = users_new();
    struct err err = ERR_INIT;
    struct secret_digest digest;
    int rc = are_tokens ? users_parse_tokens(users, text, "file", &err)
                        : users_parse(users, text, "file", &err);

    if (rc == 0 && users_finish(users, &err) == 0) {
        check(users_count(users) > 0 && users_count(users) <= USERS_MAX);
        users_digest(&digest, SV("a"), SV("wrong"));
        (void)users_find(users, &digest);
        (void)users_find_token(users, text);
        if (users_are_slow(users))
            check(users_find_hashed(users, SV("a")) != NULL);
    } else {
        check(err.code == ERR_INVALID);
    }
    users_free(users);
}

static void
try_field(struct sv text)
{
    uint8_t buf[AUTH_FIELD_BYTES_MAX];
    struct auth_header header;

    auth_header_parse(text, buf, &header);
    if (header.scheme == AUTH_BASIC) {
        check(header.name.len + header.password.len < sizeof(buf));
        check(sv_find_byte(header.name, ':') == header.name.len);
        check(sv_find_byte(header.password, '\0') == header.password.len);
    }
    if (header.scheme == AUTH_BEARER)
        check(header.token.len > 0 && header.token.len < text.len);
}

static void
try_query(struct sv text)
{
    struct sb query, out;

    sb_init(&query, text.len + 64);
    sb_init(&out, 4 * MIB);
    sb_add_sv(&query, text);
    sb_add_str(&query, "&auth%4bey=cAnArY1&Password=cAnArY2");
    access_print_query(&out, sb_sv(&query), SIZE_MAX);
    check(memmem(out.ptr, out.len, "cAnArY", 6) == NULL ||
        (text.len > 0 && memmem(text.ptr, text.len, "cAnArY", 6) != NULL));
    sb_reset(&out);
    access_print_query(&out, sb_sv(&query), 100);
    check(out.len <= 100 + 16);
    sb_release(&out);
    sb_release(&query);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv text = sv_make(data, size);

    try_file(text, false);
    try_file(text, true);
    try_field(text);
    try_query(text);
    return 0;
}
