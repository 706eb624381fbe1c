/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Arguments of the query string and of form bodies, and what headers say
 * about the tenant and the encodings a client takes.
 */

#include "core/base.h"
#include "http/stream.h"

#include "core/num.h"
#include "http/multipart.h"

bool
http_is_form(const struct http_req *req)
{
    struct sv type = http_header_get(req, "content-type");

    type = sv_trim(sv_sub(type, 0, sv_find_byte(type, ';')));
    return sv_eq_nocase(type, SV("application/x-www-form-urlencoded"));
}

/* As http_unescape(); what finds no memory is remembered. */
static struct sv
unescape(struct http_req *req, struct sv text)
{
    bool is_valid;
    struct sv out = http_unescape(req->pool, text, true, &is_valid);

    if (out.ptr == NULL)
        req->has_lost_arg = true;
    return out;
}

/*
 * The nth argument of this name within "a=1&b=2".  *nth is counted down by
 * those that were passed over.  Names are compared as they are unless they
 * hold escapes, which is rare.
 */
static bool
find_arg(struct http_req *req, struct sv text, struct sv name, unsigned *nth,
    struct sv *value)
{
    struct sv rest = text, pair;

    while (sv_split(&rest, '&', &pair)) {
        size_t equals = sv_find_byte(pair, '=');
        struct sv key = sv_sub(pair, 0, equals);

        if (key.len < name.len)
            continue;
        key = unescape(req, key);
        if (!sv_eq(key, name))
            continue;
        if (*nth == 0) {
            *value = sv_sub(pair, equals + 1, pair.len);
            return true;
        }
        --*nth;
    }
    return false;
}

/* The same of a body in parts. */
static bool
find_part(const struct http_req *req, struct sv name, unsigned *nth,
    struct sv *value)
{
    struct multipart parts;
    struct sv key, found;

    if (!multipart_open(&parts, http_header_get(req, "content-type"),
        req->body))
        return false;
    while (multipart_next(&parts, &key, &found)) {
        if (!sv_eq(key, name))
            continue;
        if (*nth == 0) {
            *value = found;
            return true;
        }
        --*nth;
    }
    return false;
}

bool
http_has_form(const struct http_req *req)
{
    struct multipart parts;

    return http_is_form(req) || multipart_open(&parts,
        http_header_get(req, "content-type"), req->body);
}

/* As in net/http of Go: arguments of the body come before those of the URL. */
struct sv
http_arg_n(struct http_req *req, const char *name, unsigned nth)
{
    struct sv wanted = sv_from(name), value = sv_make(NULL, 0);

    if (req->body.len > 0 && http_is_form(req)) {
        if (find_arg(req, req->body, wanted, &nth, &value))
            return unescape(req, value);
    } else if (req->body.len > 0 && find_part(req, wanted, &nth, &value)) {
        return value;
    }
    if (req->query.len > 0 &&
        find_arg(req, req->query, wanted, &nth, &value))
        return unescape(req, value);
    return value;
}

struct sv
http_arg(struct http_req *req, const char *name)
{
    return http_arg_n(req, name, 0);
}

static int
tenant_part(const struct http_req *req, const char *name, uint32_t *out,
    struct err *err)
{
    struct sv text = http_header_get(req, name);
    uint64_t n = 0;

    *out = 0;
    if (text.ptr == NULL)
        return 0;
    if (!num_parse_u64(text, &n) || n > UINT32_MAX)
        return err_set(err, ERR_INVALID,
            "%s is not a decimal number of 32 bits", name);
    *out = (uint32_t)n;
    return 0;
}

int
http_tenant(const struct http_req *req, uint32_t *account, uint32_t *project,
    struct err *err)
{
    if (tenant_part(req, "accountid", account, err) != 0)
        return -1;
    return tenant_part(req, "projectid", project, err);
}

/* "q=0", "q=0.000": the weight that means "not this one" (RFC 9110, 12.4.2) */
static bool
weight_is_zero(struct sv params)
{
    struct sv rest = params, param;

    while (sv_split(&rest, ';', &param)) {
        param = sv_trim(param);
        if (param.len < 3 || (param.ptr[0] | 0x20) != 'q' ||
            param.ptr[1] != '=')
            continue;
        for (size_t i = 2; i < param.len; i++) {
            if (param.ptr[i] != '0' && param.ptr[i] != '.')
                return false;
        }
        return true;
    }
    return false;
}

bool
accepts_gzip(const struct http_req *req)
{
    struct sv rest = http_header_get(req, "accept-encoding");
    struct sv item;
    bool any = false;

    while (sv_split(&rest, ',', &item)) {
        size_t semicolon = sv_find_byte(item, ';');
        struct sv name = sv_trim(sv_sub(item, 0, semicolon));
        bool takes = !weight_is_zero(sv_sub(item, semicolon + 1, item.len));

        if (sv_eq_nocase(name, SV("gzip")) ||
            sv_eq_nocase(name, SV("x-gzip")))
            return takes;
        if (sv_eq(name, SV("*")))
            any = takes;
    }
    return any;
}
