/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Any bytes as path, query, form and headers: normalising, routing,
 * unescaping and arguments.  Nothing normalised holds a NUL, a dot segment or
 * "//", and normalising again changes nothing.
 */

#include "core/base.h"

#include "core/assert.h"
#include "http/path.h"
#include "http/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct route routes[] = {
    {"/a", HTTP_GET, 0, NULL, NULL, NULL},
    {"/a/*", HTTP_GET | HTTP_POST, 0, NULL, NULL, NULL},
    {"/a/*/b", HTTP_POST, 0, NULL, NULL, NULL},
    {"*", HTTP_POST, 0, NULL, NULL, NULL},
    {NULL, 0, 0, NULL, NULL, NULL},
};

static void
try_path(struct pool *pool, struct sv raw)
{
    struct sv plain, decoded, again, decoded_again;
    struct route_match match;

    if (path_normalise(pool, raw, &plain, &decoded) != NULL)
        return;
    check(plain.len <= raw.len && decoded.len <= plain.len);
    check(decoded.len == 0 || memchr(decoded.ptr, 0, decoded.len) == NULL
        || memchr(raw.ptr, 0, raw.len) != NULL);
    check(plain.len == 0 || memmem(plain.ptr, plain.len, "//", 2) == NULL);
    check(!sv_ends_with(decoded, SV("/..")) &&
        !sv_starts_with(decoded, SV("../")));
    check(decoded.len == 0 ||
        memmem(decoded.ptr, decoded.len, "/../", 4) == NULL);
    check(path_normalise(pool, plain, &again, &decoded_again) == NULL);
    check(sv_eq(plain, again) && sv_eq(decoded, decoded_again));
    route_find(routes, plain, HTTP_POST, &match);
    if (match.arg.ptr != NULL)
        check(match.arg.len > 0 && match.arg.ptr >= plain.ptr &&
            match.arg.ptr + match.arg.len <= plain.ptr + plain.len);
}

static void
try_args(struct http_req *req)
{
    static const char *const names[] = {"a", "query", "start", ""};
    uint32_t account, project;
    struct err err = ERR_INIT;
    bool is_valid;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        for (unsigned n = 0; n < 3; n++) {
            struct sv value = http_arg_n(req, names[i], n);

            check(value.len <= req->query.len + req->body.len);
            if (n > 0 && value.ptr != NULL)
                check(http_arg_n(req, names[i], n - 1).ptr != NULL);
        }
    }
    (void)http_unescape(req->pool, req->query, true, &is_valid);
    (void)accepts_gzip(req);
    if (http_tenant(req, &account, &project, &err) != 0)
        check(err.code == ERR_INVALID);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct stream stream;
    struct sv text = sv_make(data, size), part;
    struct http_header headers[4] = {
        {SV("content-type"), SV("application/x-www-form-urlencoded")},
    };
    struct http_req *req = &stream.req;

    stream_init(&stream, NULL);
    req->pool = pool_new(16 * MIB);
    req->headers = headers;
    req->nheaders = 4;
    headers[1].name = SV("accept-encoding");
    headers[2].name = SV("accountid");
    headers[3].name = SV("projectid");
    for (int i = 1; i < 4; i++) {
        if (!sv_split(&text, '\n', &part))
            part = SV_EMPTY;
        headers[i].value = part;
    }
    req->query = sv_split(&text, '\n', &part) ? part : SV_EMPTY;
    req->body = text.ptr != NULL ? text : SV_EMPTY;
    if (sv_starts_with(req->body, SV("--")))
        headers[0].value = SV("multipart/form-data; boundary=\"b;\"");
    try_path(req->pool, req->query);
    try_args(req);
    pool_free(req->pool);
    return 0;
}
