/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Replies over HTTP/2.  What a handler writes waits in pieces at its stream;
 * nghttp2 decides whose turn it is and how much the windows allow, and the
 * bytes go from the pieces to the connection.
 */

#include "core/base.h"
#include "http/h2.h"

#include "core/assert.h"
#include "core/mem.h"

/* Small writes share a piece of this size. */
#define PIECE_BYTES (16 * KIB)
/* "18446744073709551615" */
#define DIGITS_MAX 24

struct h2_out {
    struct h2_out *next;
    char *ptr;
    size_t len;
    size_t sent;
    size_t cap; /* 0: ptr was taken, nothing may be added */
};

/* Of all streams of this process. */
static size_t queued_total;

static struct h2_stream *
h2_stream_of(const struct stream *stream)
{
    return (struct h2_stream *)(uintptr_t)stream;
}

size_t
replies_queued_total(void)
{
    return conn_queued_total() + queued_total + replies_waiting_total();
}

/* --- pieces --- */

static void
out_account(struct h2_stream *s, size_t added)
{
    s->out_bytes += added;
    s->reader.written += added;
    s->h2->out_bytes += added;
    queued_total += added;
}

static void
out_unaccount(struct h2_stream *s, size_t n)
{
    check(n <= s->out_bytes && n <= s->h2->out_bytes && n <= queued_total);
    s->out_bytes -= n;
    s->h2->out_bytes -= n;
    queued_total -= n;
}

static void
out_append(struct h2_stream *s, char *ptr, size_t len, size_t cap)
{
    struct h2_out *out = xcalloc(1, sizeof(*out));

    out->ptr = ptr;
    out->len = len;
    out->cap = cap;
    *s->out_end = out;
    s->out_end = &out->next;
}

static struct h2_out *
out_open(struct h2_stream *s)
{
    struct h2_out *out;

    if (s->out == NULL)
        return NULL;
    out = (struct h2_out *)(void *)((char *)s->out_end -
        offsetof(struct h2_out, next));
    return out->len < out->cap ? out : NULL;
}

static void
out_pop(struct h2_stream *s)
{
    struct h2_out *out = s->out;

    s->out = out->next;
    if (s->out == NULL)
        s->out_end = &s->out;
    xfree(out->ptr);
    xfree(out);
}

void
h2_reply_drop(struct h2_stream *s)
{
    out_unaccount(s, s->out_bytes);
    while (s->out != NULL)
        out_pop(s);
}

/* --- what nghttp2 asks for --- */

static nghttp2_nv
make_nv(struct sv name, struct sv value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.ptr,
        (uint8_t *)(uintptr_t)value.ptr, name.len, value.len,
        NGHTTP2_NV_FLAG_NONE};
}

static void
submit_trailers(struct h2_stream *s)
{
    const struct stream *stream = &s->stream;
    nghttp2_nv fields[REPLY_TRAILERS_MAX];

    for (unsigned i = 0; i < stream->ntrailers; i++)
        fields[i] = make_nv(stream->trailers[i].name,
            stream->trailers[i].value);
    if (nghttp2_submit_trailer(s->h2->session, s->id, fields,
            stream->ntrailers) != 0)
        h2_break(s->h2);
}

static ssize_t
IMPL(nghttp2_data_source_read) read_reply(UNUSED nghttp2_session *session,
    UNUSED int32_t id, UNUSED uint8_t *buf, size_t length, uint32_t *flags,
    nghttp2_data_source *source, UNUSED void *arg)
{
    struct h2_stream *s = source->ptr;
    size_t n = MIN(s->out_bytes, length);

    if (n == 0 && !s->is_ended) {
        s->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n > 0)
        *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == s->out_bytes && s->is_ended) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->stream.ntrailers > 0) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            submit_trailers(s);
        }
    }
    return (ssize_t)n;
}

#define FRAME_HEAD_BYTES 9
/* Smaller frames need no acknowledgement: windows are larger. */
#define ACKNOWLEDGED_BYTES_MIN 256

int
h2_send_data(struct h2_stream *s, const uint8_t *head, size_t len)
{
    struct h2_conn *h2 = s->h2;
    size_t left = len, n;

    if (conn_queued(h2->conn) >= H2_OUT_BYTES)
        return NGHTTP2_ERR_WOULDBLOCK;
    conn_write(h2->conn, head, FRAME_HEAD_BYTES);
    while (left > 0) {
        struct h2_out *out = s->out;

        n = MIN(left, out->len - out->sent);
        conn_write(h2->conn, out->ptr + out->sent, n);
        out->sent += n;
        left -= n;
        if (out->sent == out->len)
            out_pop(s);
    }
    out_unaccount(s, len);
    h2->reader.written += len + FRAME_HEAD_BYTES;
    /* The client may acknowledge each frame, and twice: not each byte. */
    h2_earn(h2, len < ACKNOWLEDGED_BYTES_MIN ? len : MAX(len, 4 * KIB));
    return 0;
}

void
h2_pump(struct h2_conn *h2)
{
    const uint8_t *ptr;
    ssize_t n;

    while (conn_queued(h2->conn) < H2_OUT_BYTES) {
        n = nghttp2_session_mem_send(h2->session, &ptr);
        if (n < 0)
            h2->is_broken = true;
        if (n <= 0)
            return;
        h2->reader.written += (size_t)n;
        conn_write(h2->conn, ptr, (size_t)n);
    }
}

bool
h2_drain_writers(struct h2_conn *h2)
{
    struct h2_stream *s, *next;
    bool wrote = false;

    for (s = TAILQ_FIRST(&h2->streams); s != NULL; s = next) {
        size_t before = s->out_bytes;

        next = TAILQ_NEXT(s, link);
        if (s->is_ended || !s->stream.is_above ||
            s->out_bytes > H2_STREAM_OUT_BYTES / 2)
            continue;
        stream_drained(&s->stream);
        wrote |= s->out_bytes != before || s->is_ended;
    }
    return wrote;
}

/* --- what a handler writes --- */

static void
resume(struct h2_stream *s)
{
    if (s->is_deferred) {
        s->is_deferred = false;
        (void)nghttp2_session_resume_data(s->h2->session, s->id);
    }
    h2_wake(s->h2);
}

static void
IMPL(stream_ops.head) reply_head(struct stream *stream,
    const struct reply_head *head)
{
    struct h2_stream *s = h2_stream_of(stream);
    nghttp2_data_provider provider = {{.ptr = s}, read_reply};
    nghttp2_nv fields[REPLY_FIELDS_MAX + 2];
    char status[DIGITS_MAX], length[DIGITS_MAX];
    bool has_data = head->has_body &&
        (head->length != 0 || stream->ntrailers > 0);
    size_t n = 0;

    snprintf(status, sizeof(status), "%d", head->status);
    fields[n++] = make_nv(SV(":status"), sv_from(status));
    for (unsigned i = 0; i < head->nfields; i++)
        fields[n++] = make_nv(head->fields[i].name, head->fields[i].value);
    if (head->length >= 0 && head->status != 204 && head->status != 304 &&
        !stream->is_grpc) {
        snprintf(length, sizeof(length), "%lld", (long long)head->length);
        fields[n++] = make_nv(SV("content-length"), sv_from(length));
    }
    s->has_head = true;
    if (nghttp2_submit_response(s->h2->session, s->id, fields, n,
            has_data ? &provider : NULL) != 0)
        h2_break(s->h2);
    h2_wake(s->h2);
}

static void
IMPL(stream_ops.data) reply_data(struct stream *stream, const void *ptr,
    size_t len)
{
    struct h2_stream *s = h2_stream_of(stream);
    const char *from = ptr;
    size_t left = len, n;

    while (left > 0) {
        struct h2_out *out = out_open(s);

        if (out == NULL) {
            n = MAX(left, PIECE_BYTES);
            out_append(s, xmalloc(n), 0, n);
            out = out_open(s);
        }
        n = MIN(left, out->cap - out->len);
        memcpy(out->ptr + out->len, from, n);
        out->len += n;
        from += n;
        left -= n;
    }
    out_account(s, len);
    resume(s);
}

static void
IMPL(stream_ops.data_take) reply_data_take(struct stream *stream, char *ptr,
    size_t len)
{
    struct h2_stream *s = h2_stream_of(stream);

    out_append(s, ptr, len, 0);
    out_account(s, len);
    resume(s);
}

static void
IMPL(stream_ops.end) reply_end(struct stream *stream, bool is_broken)
{
    struct h2_stream *s = h2_stream_of(stream);

    check(!s->is_ended);
    s->is_ended = true;
    if (s->is_closed) {
        s->h2->has_dead = true;
        h2_wake(s->h2);
        return;
    }
    if (is_broken)
        (void)nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE,
            s->id, NGHTTP2_INTERNAL_ERROR);
    resume(s);
}

/* Who would queue beyond the connection's share gets little. */
static size_t
IMPL(stream_ops.queued) reply_queued(const struct stream *stream)
{
    const struct h2_stream *s = h2_stream_of(stream);

    if (s->h2->out_bytes > CONN_HIGH_WATER &&
        s->out_bytes > H2_STREAM_OUT_BYTES)
        return s->h2->out_bytes;
    return s->out_bytes;
}

static void
IMPL(stream_ops.asked) reply_asked(struct stream *stream)
{
    h2_asked((struct h2_stream *)(void *)stream);
}

const struct stream_ops h2_stream_ops = {
    .head = reply_head,
    .data = reply_data,
    .data_take = reply_data_take,
    .end = reply_end,
    .queued = reply_queued,
    .asked = reply_asked,
};
