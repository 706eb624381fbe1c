/* SPDX-License-Identifier: BSD-2-Clause */

/* Replies as HTTP/1.1 bytes: by Content-Length, in chunks, or until close. */

#include "core/base.h"
#include "http/h1.h"

#include "core/assert.h"
#include "core/metrics.h"

/* Every field of a reply is bounded; this is what all of them may be. */
#define REPLY_HEAD_BYTES_MAX (64 * KIB)

static struct h1_request *
request_of(const struct stream *stream)
{
    return (struct h1_request *)(uintptr_t)stream;
}

void
h1_write(struct h1_conn *h1, const void *ptr, size_t len)
{
    h1->reader.written += len;
    conn_write(h1->conn, ptr, len);
}

/* Whether the connection ends with this reply. */
static bool
reply_closes(const struct h1_request *request)
{
    const struct h1_conn *h1 = request->h1;
    const struct process *process = h1->server->process;
    int64_t age_ns = loop_now_ns(process->loop) - h1->born_ns;

    if (!request->is_complete || request->head.wants_close ||
        h1->server->is_draining || process->conf->disable_keep_alive)
        return true;
    if (process->conf->conn_timeout == 0 ||
        age_ns <= process->conf->conn_timeout)
        return false;
    metric_add(METRIC_HTTP_CONN_TIMEOUT, 1);
    return true;
}

static void
add_field(struct sb *out, struct sv name, struct sv value)
{
    sb_add_sv(out, name);
    sb_add(out, ": ", 2);
    sb_add_sv(out, value);
    sb_add(out, "\r\n", 2);
}

/* How the end of the body is known. */
static void
add_framing(struct h1_request *request, const struct reply_head *head,
    struct sb *out)
{
    if (head->status == 204 || head->status == 304)
        return;
    if (head->length >= 0) {
        sb_add_str(out, "Content-Length: ");
        sb_add_u64(out, (uint64_t)head->length);
        sb_add(out, "\r\n", 2);
    } else if (head->has_body && request->head.minor == 0) {
        request->reply_closes = true;
    } else if (head->has_body) {
        request->reply_chunked = true;
        sb_add_str(out, "Transfer-Encoding: chunked\r\n");
    }
}

static void
IMPL(stream_ops.head) reply_head(struct stream *stream,
    const struct reply_head *head)
{
    struct h1_request *request = request_of(stream);
    static struct sb out; /* kept: one reply after the other */

    if (out.ptr == NULL)
        sb_init(&out, REPLY_HEAD_BYTES_MAX);
    sb_reset(&out);
    sb_addf(&out, "HTTP/1.1 %d %s\r\n", head->status,
        reply_reason(head->status));
    for (unsigned i = 0; i < head->nfields; i++)
        add_field(&out, head->fields[i].name, head->fields[i].value);
    request->reply_closes = reply_closes(request);
    add_framing(request, head, &out);
    if (request->reply_closes)
        sb_add_str(&out, "Connection: close\r\n");
    else if (request->head.minor == 0)
        sb_add_str(&out, "Connection: keep-alive\r\n");
    sb_add(&out, "\r\n", 2);
    check(!sb_failed(&out));
    h1_write(request->h1, out.ptr, out.len);
}

static void
chunk_begin(struct h1_request *request, size_t len)
{
    char line[24];
    int n = snprintf(line, sizeof(line), "%zx\r\n", len);

    if (request->reply_chunked)
        h1_write(request->h1, line, (size_t)n);
}

static void
chunk_end(struct h1_request *request)
{
    if (request->reply_chunked)
        h1_write(request->h1, "\r\n", 2);
}

static void
IMPL(stream_ops.data) reply_data(struct stream *stream, const void *ptr,
    size_t len)
{
    struct h1_request *request = request_of(stream);

    chunk_begin(request, len);
    h1_write(request->h1, ptr, len);
    chunk_end(request);
}

static void
IMPL(stream_ops.data_take) reply_data_take(struct stream *stream, char *ptr,
    size_t len)
{
    struct h1_request *request = request_of(stream);

    chunk_begin(request, len);
    request->h1->reader.written += len;
    conn_write_take(request->h1->conn, ptr, len);
    chunk_end(request);
}

static void
IMPL(stream_ops.end) reply_end(struct stream *stream, bool is_broken)
{
    struct h1_request *request = request_of(stream);
    struct h1_conn *h1 = request->h1;

    check(!request->reply_ended);
    if (request->reply_chunked && !is_broken && !stream->is_aborted)
        h1_write(h1, "0\r\n\r\n", 5);
    request->reply_ended = true;
    request->reply_broken = is_broken;
    if (!h1->is_running)
        loop_later_add(h1->server->process->loop, &h1->later);
}

static size_t
IMPL(stream_ops.queued) reply_queued(const struct stream *stream)
{
    return conn_queued(request_of(stream)->h1->conn);
}

static void
IMPL(stream_ops.asked) reply_asked(struct stream *stream)
{
    h1_asked(request_of(stream)->h1);
}

const struct stream_ops h1_stream_ops = {
    .head = reply_head,
    .data = reply_data,
    .data_take = reply_data_take,
    .end = reply_end,
    .queued = reply_queued,
    .asked = reply_asked,
};
