/* SPDX-License-Identifier: BSD-2-Clause */

/* Requests above the protocol version: their life, and who gives up first. */

#include "core/base.h"
#include "http/stream.h"

#include "core/assert.h"
#include "event/conn.h"

void
stream_init(struct stream *stream, const struct stream_ops *ops)
{
    memset(stream, 0, offsetof(struct stream, trailers));
    stream->req.magic = HTTP_REQ_MAGIC;
    stream->req.stream = stream;
    stream->req.path_arg = sv_make(NULL, 0);
    stream->ops = ops;
}

struct stream *
stream_of(const struct http_req *req)
{
    OBJ_CHECK(req, HTTP_REQ_MAGIC);
    return req->stream;
}

void
http_on_abort(struct http_req *req, http_abort_fn fn, void *arg)
{
    struct stream *stream = stream_of(req);

    stream->on_abort = fn;
    stream->abort_arg = arg;
}

void
http_abandon(struct http_req *req)
{
    struct stream *stream = stream_of(req);

    check(stream->is_aborted && stream->state != STREAM_ENDED);
    stream->state = STREAM_ENDED;
    stream->on_abort = NULL;
    stream->on_drain = NULL;
    access_ended(stream, true);
    stream->ops->end(stream, true);
}

void
stream_abort(struct stream *stream)
{
    http_abort_fn on_abort = stream->on_abort;

    if (stream->is_aborted || stream->state == STREAM_ENDED)
        return;
    stream->is_aborted = true;
    stream->on_abort = NULL;
    if (on_abort != NULL) {
        stream->on_drain = NULL;
        on_abort(&stream->req, stream->abort_arg);
        return;
    }
    /* A writer that knows nothing of aborts must not wait for ever. */
    stream_drained(stream);
}

void
stream_drained(struct stream *stream)
{
    if (stream->state != STREAM_WRITING || !stream->is_above)
        return;
    stream->is_above = false;
    if (stream->on_drain != NULL)
        stream->on_drain(&stream->req, stream->drain_arg);
}

struct sv
stream_shown_path(struct sv target)
{
    if (!sv_starts_with(target, SV("/")))
        return SV("-");
    return sv_sub(target, 0, sv_find_byte(target, '?'));
}

void
stream_set_tls_name(struct http_req *req, const struct conn *conn)
{
    const char *name = conn_tls_peer_name(conn);

    req->tls_name = name == NULL || name[0] == '\0' ? NULL
        : pool_dup(req->pool, name, strlen(name) + 1);
}

enum http_method
stream_method(struct sv name)
{
    static const struct {
        struct sv name;
        enum http_method method;
    } methods[] = {
        {{"GET", 3}, HTTP_GET},
        {{"POST", 4}, HTTP_POST},
        {{"HEAD", 4}, HTTP_HEAD},
        {{"OPTIONS", 7}, HTTP_OPTIONS},
    };

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (sv_eq(methods[i].name, name))
            return methods[i].method;
    }
    return HTTP_OTHER;
}

struct sv
http_header_get(const struct http_req *req, const char *name)
{
    struct sv wanted = sv_from(name);

    for (uint32_t i = 0; i < req->nheaders; i++) {
        if (sv_eq(req->headers[i].name, wanted))
            return req->headers[i].value;
    }
    return sv_make(NULL, 0);
}
