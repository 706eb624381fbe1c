/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What nghttp2 calls.  It refuses what RFC 9113 calls malformed by itself;
 * here are the limits that are ours.  Nothing is sent from within these
 * calls, and no session is deleted in them.
 */

#include "core/base.h"
#include "http/h2.h"

#include <malloc.h>

#include "core/assert.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"

static nghttp2_session_callbacks *callbacks;
static nghttp2_option *options;

/* --- memory of a session, within its bound --- */

static void *
IMPL(nghttp2_malloc) session_malloc(size_t size, void *arg)
{
    struct h2_conn *h2 = arg;
    void *ptr;

    if (size > H2_SESSION_BYTES_MAX - MIN(h2->session_bytes,
            H2_SESSION_BYTES_MAX))
        return NULL;
    ptr = mem_try_alloc(MAX(size, 1));
    if (ptr != NULL)
        h2->session_bytes += malloc_usable_size(ptr);
    return ptr;
}

static void
IMPL(nghttp2_free) session_free(void *ptr, void *arg)
{
    struct h2_conn *h2 = arg;

    if (ptr == NULL)
        return;
    h2->session_bytes -= malloc_usable_size(ptr);
    xfree(ptr);
}

static void *
IMPL(nghttp2_calloc) session_calloc(size_t count, size_t size, void *arg)
{
    void *ptr;

    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    ptr = session_malloc(count * size, arg);
    if (ptr != NULL)
        memset(ptr, 0, count * size);
    return ptr;
}

static void *
IMPL(nghttp2_realloc) session_realloc(void *ptr, size_t size, void *arg)
{
    struct h2_conn *h2 = arg;
    size_t had = ptr == NULL ? 0 : malloc_usable_size(ptr);
    void *moved;

    if (h2->session_bytes - had + size > H2_SESSION_BYTES_MAX)
        return NULL;
    moved = mem_try_realloc(ptr, MAX(size, 1));
    if (moved != NULL)
        h2->session_bytes += malloc_usable_size(moved) - had;
    return moved;
}

/* --- frames --- */

static struct h2_stream *
stream_by_id(const struct h2_conn *h2, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h2->session, id);
}

static int
IMPL(nghttp2_on_begin_frame) on_begin_frame(UNUSED nghttp2_session *session,
    const nghttp2_frame_hd *head, void *arg)
{
    return h2_count_frame(arg, head) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int
IMPL(nghttp2_on_begin_headers) on_begin_headers(nghttp2_session *session,
    const nghttp2_frame *frame, void *arg)
{
    struct h2_conn *h2 = arg;
    struct h2_stream *s = stream_by_id(h2, frame->hd.stream_id);

    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    if (s != NULL) {
        s->has_trailers = true;
        return 0;
    }
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    s = h2_stream_begin(h2, frame->hd.stream_id);
    (void)nghttp2_session_set_stream_user_data(session, s->id, s);
    return 0;
}

static struct sv
rcbuf_sv(nghttp2_rcbuf *rcbuf)
{
    nghttp2_vec vec = nghttp2_rcbuf_get_buf(rcbuf);

    return sv_make((const char *)vec.base, vec.len);
}

static int
IMPL(nghttp2_on_header2) on_header(UNUSED nghttp2_session *session,
    const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value,
    UNUSED uint8_t flags, void *arg)
{
    struct h2_conn *h2 = arg;
    struct h2_stream *s = stream_by_id(h2, frame->hd.stream_id);

    if (s == NULL)
        return 0;
    if (!h2_stream_field(s, rcbuf_sv(name), rcbuf_sv(value)))
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return 0;
}

/* RFC 9113, 8.1.1: such a request is malformed. */
static int
IMPL(nghttp2_on_invalid_header2) on_invalid_header(
    UNUSED nghttp2_session *session, UNUSED const nghttp2_frame *frame,
    UNUSED nghttp2_rcbuf *name, UNUSED nghttp2_rcbuf *value,
    UNUSED uint8_t flags, UNUSED void *arg)
{
    metric_add(METRIC_HTTP_REFUSED_BAD_REQUEST, 1);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int
IMPL(nghttp2_on_frame_recv) on_frame_recv(UNUSED nghttp2_session *session,
    const nghttp2_frame *frame, void *arg)
{
    struct h2_conn *h2 = arg;
    struct h2_stream *s = stream_by_id(h2, frame->hd.stream_id);
    bool is_last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    if (frame->hd.type == NGHTTP2_HEADERS)
        h2->block_ns = 0;
    if (s == NULL || (frame->hd.type != NGHTTP2_HEADERS &&
        frame->hd.type != NGHTTP2_DATA))
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS &&
        frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        h2_stream_head(s, is_last);
    else if (is_last)
        h2_stream_complete(s);
    return 0;
}

static int
IMPL(nghttp2_on_data_chunk_recv) on_data_chunk(nghttp2_session *session,
    UNUSED uint8_t flags, int32_t id, const uint8_t *ptr, size_t len,
    void *arg)
{
    struct h2_conn *h2 = arg;
    struct h2_stream *s = stream_by_id(h2, id);

    h2_earn(h2, len);
    if (s == NULL || s->state != H2_STREAM_BODY)
        (void)nghttp2_session_consume_connection(session, len);
    else
        h2_body_data(s, sv_make((const char *)ptr, len));
    return 0;
}

static int
IMPL(nghttp2_on_stream_close) on_stream_close(UNUSED nghttp2_session *session,
    int32_t id, UNUSED uint32_t error_code, void *arg)
{
    struct h2_stream *s = stream_by_id(arg, id);

    if (s != NULL)
        h2_stream_closed(s);
    return 0;
}

/* Answered before all was received: the rest is not wanted. */
static int
IMPL(nghttp2_on_frame_send) on_frame_send(nghttp2_session *session,
    const nghttp2_frame *frame, void *arg)
{
    struct h2_conn *h2 = arg;
    struct h2_stream *s = stream_by_id(h2, frame->hd.stream_id);

    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        h2->block_ns = 0; /* a head that nobody waits for any more */
        if (s != NULL && !s->is_complete)
            h2_expect_rest(h2);
        if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
            h2_take_reset(h2);
    }
    if ((frame->hd.type != NGHTTP2_HEADERS &&
        frame->hd.type != NGHTTP2_DATA) ||
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    if (s != NULL && !s->is_complete)
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id,
            NGHTTP2_NO_ERROR);
    return 0;
}

static int
IMPL(nghttp2_send_data) on_send_data(UNUSED nghttp2_session *session,
    UNUSED nghttp2_frame *frame, const uint8_t *head, size_t len,
    nghttp2_data_source *source, UNUSED void *arg)
{
    return h2_send_data(source->ptr, head, len);
}

static int
IMPL(nghttp2_error2) on_error(UNUSED nghttp2_session *session,
    UNUSED int code, const char *text, size_t len, void *arg)
{
    struct h2_conn *h2 = arg;

    log_debug("%s: HTTP/2: %.*s", conn_peer(h2->conn),
        SV_ARG(sv_sub(sv_make(text, len), 0, 256)));
    return 0;
}

/* --- a session --- */

static void
make_callbacks(void)
{
    nghttp2_session_callbacks *cb;

    check(nghttp2_session_callbacks_new(&cb) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb,
        on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb,
        on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(cb,
        on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb,
        on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb,
        on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
    nghttp2_session_callbacks_set_error_callback2(cb, on_error);
    callbacks = cb;
    check(nghttp2_option_new(&options) == 0);
    nghttp2_option_set_no_auto_window_update(options, 1);
    /* h2_flood.c has buckets of its own, and says so in metrics. */
    nghttp2_option_set_stream_reset_rate_limit(options,
        10 * H2_RESETS_BURST, 10 * H2_RESETS_RATE);
    nghttp2_option_set_max_outbound_ack(options, H2_OUTBOUND_MAX);
    nghttp2_option_set_max_continuations(options, 2 * H2_BLOCK_FRAMES_MAX);
}

bool
h2_session_open(struct h2_conn *h2)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_FIELDS_BYTES_MAX},
    };
    nghttp2_mem mem = {h2, session_malloc, session_free, session_calloc,
        session_realloc};

    if (callbacks == NULL)
        make_callbacks();
    if (nghttp2_session_server_new3(&h2->session, callbacks, h2, options,
            &mem) != 0)
        return false;
    return nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings,
            ARRAY_LEN(settings)) == 0 &&
        nghttp2_session_set_local_window_size(h2->session,
            NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW) == 0;
}

void
h2_terminate(struct h2_conn *h2, uint32_t code, const char *why)
{
    if (h2->is_deaf)
        return;
    h2->is_deaf = true;
    conn_want_read(h2->conn, false);
    if (code != NGHTTP2_NO_ERROR)
        log_debug("%s: HTTP/2 connection ended: %s", conn_peer(h2->conn),
            why);
    if (nghttp2_session_terminate_session(h2->session, code) != 0)
        h2->is_broken = true;
    h2_wake(h2);
}
