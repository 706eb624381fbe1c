/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The field "Authorization" (RFC 7617, RFC 6750):
 *
 *     "Basic" 1*SP base64(name ":" password)
 *     "Bearer" 1*SP token
 */

#include "core/base.h"
#include "http/auth.h"

#include "core/enc.h"

/* The rest behind the scheme, or a view with ptr NULL. */
static struct sv
behind(struct sv field, struct sv scheme)
{
    struct sv rest = sv_sub(field, scheme.len, field.len);

    if (!sv_eq_nocase(sv_sub(field, 0, scheme.len), scheme) ||
        rest.len == 0 || rest.ptr[0] != ' ')
        return sv_make(NULL, 0);
    return sv_trim(rest);
}

static bool
has_control(struct sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((uint8_t)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return true;
    }
    return false;
}

static void
parse_basic(struct sv packed, uint8_t *buf, struct auth_header *out)
{
    ssize_t len = enc_unbase64(packed, buf);
    struct sv rest, name;

    if (len < 0)
        return;
    rest = sv_make(buf, (size_t)len);
    if (sv_find_byte(rest, ':') == rest.len || has_control(rest))
        return;
    (void)sv_split(&rest, ':', &name);
    out->scheme = AUTH_BASIC;
    out->name = name;
    out->password = rest;
}

void
auth_header_parse(struct sv field, uint8_t *buf, struct auth_header *out)
{
    struct sv rest;

    *out = (struct auth_header){.scheme = AUTH_NONE};
    if (field.ptr == NULL)
        return;
    out->scheme = AUTH_OTHER;
    if (field.len > AUTH_FIELD_BYTES_MAX)
        return;
    rest = behind(field, SV("Basic"));
    if (rest.ptr != NULL) {
        parse_basic(rest, buf, out);
        return;
    }
    rest = behind(field, SV("Bearer"));
    if (rest.ptr != NULL && rest.len > 0 && !has_control(rest)) {
        out->scheme = AUTH_BEARER;
        out->token = rest;
    }
}
