/* SPDX-License-Identifier: BSD-2-Clause */

/* What is logged of a request when its reply ended. */

#include "core/base.h"
#include "http/stream.h"

#include "core/log.h"
#include "core/timefmt.h"
#include "http/count.h"

/* Bytes of a path in a log line. */
#define PATH_LOGGED_MAX 256

static const char *
protocol_name(const struct stream *stream)
{
    if (stream->is_grpc)
        return "gRPC";
    return stream->req.version == HTTP_2 ? "HTTP/2"
        : stream->req.version == HTTP_1_1 ? "HTTP/1.1" : "HTTP/1.0";
}

void
access_ended(const struct stream *stream, bool is_broken)
{
    const struct http_req *req = &stream->req;
    unsigned flags = req->route != NULL ? req->route->flags : 0;
    int64_t took_ns = clock_mono_ns() - req->start_ns;

    count_reply(stream, is_broken, took_ns);
    if (flags & ROUTE_HEALTH)
        return;
    log_debug("%s: %s %d%s to %.*s %.*s, %zu bytes in, %llu out, %lld us",
        req->peer, protocol_name(stream),
        stream->is_grpc ? (int)stream->grpc_status : stream->status,
        stream->is_aborted || is_broken ? " (broken)" : "",
        SV_ARG(sv_sub(req->method_name, 0, 32)),
        SV_ARG(sv_sub(req->raw_path, 0, PATH_LOGGED_MAX)), req->body.len,
        (unsigned long long)stream->sent_bytes,
        (long long)(took_ns / NS_PER_US));
}
