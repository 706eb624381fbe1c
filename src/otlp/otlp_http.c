/* SPDX-License-Identifier: BSD-2-Clause */

/* OTLP/HTTP inserts: what their head says.  insert.c does the rest. */

#include "core/base.h"
#include "otlp/otlp.h"

#include "otlp/insert.h"
#include "otlp/otlp_reply.h"

/* What can be refused before a place is taken.  False: answered. */
static bool
read_head(struct http_req *req, struct insert_head *head)
{
    struct sv type = http_header_get(req, "content-type");
    struct sv encoding = http_header_get(req, "content-encoding");

    if (!otlp_format_of(type, &head->format, &head->answer_type)) {
        http_reply_error(req, 415, "content type is not one of "
            "application/x-protobuf, application/json");
        return false;
    }
    if (!encoding_from_name(encoding.ptr == NULL ? SV_EMPTY : encoding,
            &head->encoding)) {
        http_reply_error(req, 400, "content encoding is not one of "
            "gzip, deflate, zstd, snappy");
        return false;
    }
    return insert_read_head(req, head);
}

void
IMPL(route_fn) otlp_http_traces(struct http_req *req)
{
    struct insert_head head = {.wire = req->body};

    if (read_head(req, &head))
        insert_run(req, &head);
}
