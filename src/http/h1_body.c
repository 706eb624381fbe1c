/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Bodies of HTTP/1.x requests: from the socket straight into the buffer that
 * the handler gets.  Only what came in one read with the head, and the bytes
 * behind the framing of a chunk, are copied once.
 */

#include "core/base.h"
#include "http/h1.h"

#include "core/assert.h"
#include "core/metrics.h"

static int64_t
now_of(const struct h1_conn *h1)
{
    return loop_now_ns(h1->server->process->loop);
}

static void
body_refuse(struct h1_conn *h1, int status, const char *why)
{
    struct h1_request *request = h1->request;

    h1->state = H1_REPLY;
    if (status == 503)
        http_reply_header(&request->stream.req, "Retry-After", "1");
    stream_refuse(&request->stream, status, "%s", why);
}

static void
body_complete(struct h1_conn *h1)
{
    struct h1_request *request = h1->request;

    request->is_complete = true;
    h1->state = H1_REPLY;
    h1_set_deadline(h1, 0);
    dispatch_run(&request->stream);
}

void
h1_body_begin(struct h1_conn *h1)
{
    struct h1_request *request = h1->request;
    size_t there = h1->in_len - h1->in_pos;

    request->credit_ns = now_of(h1) +
        h1->server->process->conf->header_timeout;
    /* Who has begun to send needs no invitation. */
    request->has_continued = !request->head.wants_continue || there > 0;
    if (request->head.is_chunked) {
        h1_chunked_init(&request->chunked);
        return;
    }
    if (request->head.length > there)
        return;
    request->stream.req.body = sv_make(h1->in + h1->in_pos,
        (size_t)request->head.length);
    h1->in_pos += (size_t)request->head.length;
    body_complete(h1);
}

void
h1_body_timeout(struct h1_conn *h1)
{
    bool waits = h1->request->wait_until_ns != 0;

    metric_add(waits ? METRIC_HTTP_REFUSED_NO_MEMORY
                     : METRIC_HTTP_REFUSED_SLOW_BODY, 1);
    if (waits)
        body_refuse(h1, 503, "too many bodies at once, try again");
    else
        body_refuse(h1, 408, "the body came too slowly");
}

static void
credit_bytes(struct h1_conn *h1, size_t n)
{
    h1->request->credit_ns = body_credit_ns(h1->server->process,
        h1->request->credit_ns, n);
}

/* Until more bytes come, or too late. */
static bool
wait_for_bytes(struct h1_conn *h1)
{
    h1_set_deadline(h1, MAX(h1->request->credit_ns - now_of(h1), 1));
    return false;
}

/* True: there is room.  False: waiting for it, or refused. */
static bool
body_has_room(struct h1_conn *h1)
{
    const struct conf *conf = h1->server->process->conf;
    struct h1_request *request = h1->request;
    enum body_room room;
    int64_t now_ns = now_of(h1);

    if (request->body.is_waiting)
        return false;
    room = body_grow(&request->body, request->head.is_chunked
            ? request->body_max : request->head.length);
    if (room == BODY_ROOM) {
        if (request->wait_until_ns != 0) {
            request->wait_until_ns = 0;
            request->credit_ns = MAX(request->credit_ns,
                now_ns + conf->header_timeout);
            conn_want_read(h1->conn, true);
        }
        return true;
    }
    if (room == BODY_NO_MEMORY) {
        metric_add(METRIC_HTTP_REFUSED_NO_MEMORY, 1);
        body_refuse(h1, 503, "out of memory, try again");
        return false;
    }
    if (request->wait_until_ns == 0)
        request->wait_until_ns = now_ns + HTTP_BODY_WAIT_NS;
    body_wait(&request->body);
    conn_want_read(h1->conn, false);
    h1_set_deadline(h1, MAX(request->wait_until_ns - now_ns, 1));
    return false;
}

static void
body_took(struct h1_conn *h1, size_t n)
{
    struct h1_request *request = h1->request;

    request->body.len += n;
    if (request->head.is_chunked)
        h1_chunked_took(&request->chunked, n);
    request->stream.req.body = sv_make(request->body.ptr, request->body.len);
}

static bool
data_from_socket(struct h1_conn *h1, size_t n)
{
    struct body *body = &h1->request->body;
    ssize_t got;

    if (h1->is_dry || h1->turn_bytes >= HTTP_TURN_BYTES)
        return wait_for_bytes(h1);
    n = MIN(n, HTTP_TURN_BYTES - h1->turn_bytes);
    got = conn_read(h1->conn, body->ptr + body->len, n);
    h1->is_dry = got < (ssize_t)n;
    if (got == -1)
        return wait_for_bytes(h1);
    if (got <= 0) {
        h1_end_of_stream(h1);
        return false;
    }
    h1->turn_bytes += (size_t)got;
    credit_bytes(h1, (size_t)got);
    body_took(h1, (size_t)got);
    return true;
}

/* want more bytes of data are certain to come. */
static bool
data_step(struct h1_conn *h1, uint64_t want)
{
    struct h1_request *request = h1->request;
    struct body *body = &request->body;
    size_t there = h1->in_len - h1->in_pos, n;

    if (want > request->body_max - body->len) {
        metric_add(METRIC_HTTP_REFUSED_BODY_TOO_LARGE, 1);
        body_refuse(h1, 413, "the body is too large");
        return true;
    }
    if (!body_has_room(h1))
        return h1->state != H1_BODY;
    if (!request->has_continued) {
        request->has_continued = true;
        h1_write(h1, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    }
    n = (size_t)MIN(want, body->cap - body->len);
    if (there == 0)
        return data_from_socket(h1, n);
    n = MIN(n, there);
    memcpy(body->ptr + body->len, h1->in + h1->in_pos, n);
    h1->in_pos += n;
    body_took(h1, n);
    return true;
}

/* The framing of chunks goes through the input buffer, behind the head. */
static bool
framing_step(struct h1_conn *h1)
{
    struct h1_request *request = h1->request;
    enum h1_result result;
    size_t used;
    ssize_t n;

    if (h1->in_pos < h1->in_len) {
        result = h1_chunked_feed(&request->chunked,
            sv_make(h1->in + h1->in_pos, h1->in_len - h1->in_pos), &used);
        if (result == H1_ERROR) {
            metric_add(METRIC_HTTP_REFUSED_BAD_REQUEST, 1);
            body_refuse(h1, 400, request->chunked.error);
            return true;
        }
        h1->in_pos += used;
        if (result == H1_DONE)
            body_complete(h1);
        return true;
    }
    if (!request->has_continued) {
        request->has_continued = true;
        h1_write(h1, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    }
    h1->in_pos = h1->in_len = request->head.bytes;
    if (h1->is_dry || h1->turn_bytes >= HTTP_TURN_BYTES)
        return wait_for_bytes(h1);
    n = h1_fill(h1);
    if (n == -1)
        return wait_for_bytes(h1);
    if (n <= 0) {
        h1_end_of_stream(h1);
        return false;
    }
    h1->turn_bytes += (size_t)n;
    credit_bytes(h1, (size_t)n);
    return true;
}

bool
h1_body_step(struct h1_conn *h1)
{
    struct h1_request *request = h1->request;
    uint64_t want;

    if (request->head.is_chunked) {
        want = h1_chunked_expects(&request->chunked);
        return want > 0 ? data_step(h1, want) : framing_step(h1);
    }
    want = request->head.length - request->body.len;
    if (want > 0)
        return data_step(h1, want);
    body_complete(h1);
    return true;
}
