/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "http/client_request.h"

#include <strings.h>

#include "http/h1_parse.h"

static void
add_line(struct sb *out, const char *name, const char *value)
{
    if (value != NULL)
        sb_addf(out, "%s: %s\r\n", name, value);
}

/* Nothing that could end a line early may come from the caller. */
static bool
request_is_clean(const struct client_request *req)
{
    const char *texts[] = {req->content_type, req->content_encoding,
        req->authorization};

    if (!h1_is_token(sv_from(req->method)) || req->target[0] != '/')
        return false;
    for (const char *c = req->target; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~')
            return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i] != NULL && !h1_is_field_value(sv_from(texts[i])))
            return false;
    }
    for (const char *const *h = req->headers; h != NULL && *h != NULL; h++) {
        if (!h1_is_field_value(sv_from(*h)) || strchr(*h, ':') == NULL)
            return false;
    }
    return true;
}

int
client_request_make(struct sb *out, const struct client_request *req,
    struct err *err)
{
    bool has_own = false;

    if (!request_is_clean(req))
        return err_set(err, ERR_INVALID, "illegal byte in a request");
    sb_reset(out);
    sb_addf(out, "%s %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n",
        req->method, req->prefix, req->target, req->authority, req->agent);
    add_line(out, "Content-Type", req->content_type);
    add_line(out, "Content-Encoding", req->content_encoding);
    for (const char *const *h = req->headers; h != NULL && *h != NULL; h++) {
        has_own = has_own || strncasecmp(*h, "Authorization:", 14) == 0;
        sb_addf(out, "%s\r\n", *h);
    }
    if (!has_own)
        add_line(out, "Authorization", req->authorization);
    if (req->body_len > 0 || strcmp(req->method, "POST") == 0)
        sb_addf(out, "Content-Length: %zu\r\n", req->body_len);
    sb_add_str(out, "\r\n");
    if (sb_failed(out))
        return err_set(err, ERR_LIMIT, "the request head is too large");
    return 0;
}
