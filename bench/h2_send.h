/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One request after the other over an HTTP/2 connection, plain or as gRPC
 * calls, without blocking: for bench/client.c.
 */

#ifndef SPOOR_BENCH_H2_SEND_H
#define SPOOR_BENCH_H2_SEND_H

#include <errno.h>
#include <sys/socket.h>

#include <nghttp2/nghttp2.h>

#include "core/base.h"
#include "core/assert.h"
#include "core/sv.h"

#define H2_WINDOW (8 * (int)MIB)

struct h2_send {
    nghttp2_session *session;
    int fd;
    bool is_grpc;
    bool is_done;    /* the reply is complete */
    bool is_good;
    bool is_blocked; /* the socket takes no more now */
    int status;
    int grpc_status;
    char prefix[5];
    size_t prefix_len;
    struct sv body;
    size_t sent;     /* of both */
};

static ssize_t
h2_on_send(nghttp2_session *session, const uint8_t *data, size_t len,
    int flags, void *arg)
{
    struct h2_send *h2 = arg;
    ssize_t n = send(h2->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    (void)session;
    (void)flags;
    if (n < 0 && errno == EAGAIN) {
        h2->is_blocked = true;
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    check(n > 0);
    return n;
}

static ssize_t
h2_on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct h2_send *h2 = arg;
    size_t n = 0, at = h2->sent - MIN(h2->sent, h2->prefix_len);

    (void)session;
    (void)id;
    (void)source;
    if (h2->sent < h2->prefix_len) {
        n = MIN(len, h2->prefix_len - h2->sent);
        memcpy(buf, h2->prefix + h2->sent, n);
    } else {
        n = MIN(len, h2->body.len - at);
        if (n > 0)
            memcpy(buf, h2->body.ptr + at, n);
    }
    h2->sent += n;
    if (h2->sent == h2->prefix_len + h2->body.len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static int
h2_on_header(nghttp2_session *session, const nghttp2_frame *frame,
    const uint8_t *name, size_t name_len, const uint8_t *value,
    size_t value_len, uint8_t flags, void *arg)
{
    struct h2_send *h2 = arg;
    struct sv field = sv_make((const char *)name, name_len);

    (void)session;
    (void)frame;
    (void)value_len;
    (void)flags;
    if (sv_eq(field, SV(":status")))
        h2->status = (int)strtol((const char *)value, NULL, 10);
    if (sv_eq(field, SV("grpc-status")))
        h2->grpc_status = (int)strtol((const char *)value, NULL, 10);
    return 0;
}

static int
h2_on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct h2_send *h2 = arg;

    (void)session;
    (void)id;
    h2->is_done = true;
    h2->is_good = code == 0 && h2->status == 200 &&
        (!h2->is_grpc || h2->grpc_status == 0);
    return 0;
}

static inline void
h2_send_open(struct h2_send *h2, int fd, bool is_grpc)
{
    nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
        H2_WINDOW};
    nghttp2_session_callbacks *callbacks;

    *h2 = (struct h2_send){.fd = fd, .is_grpc = is_grpc};
    check(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_send_callback(callbacks, h2_on_send);
    nghttp2_session_callbacks_set_on_header_callback(callbacks,
        h2_on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
        h2_on_close);
    check(nghttp2_session_client_new(&h2->session, callbacks, h2) == 0);
    nghttp2_session_callbacks_del(callbacks);
    check(nghttp2_submit_settings(h2->session, 0, &window, 1) == 0);
}

static inline nghttp2_nv
h2_nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name,
        (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), 0};
}

static inline void
h2_send_write(struct h2_send *h2)
{
    h2->is_blocked = false;
    check(nghttp2_session_send(h2->session) == 0);
}

/* encoding NULL: none. */
static inline void
h2_send_request(struct h2_send *h2, const char *type, const char *encoding,
    struct sv body)
{
    nghttp2_data_provider provider = {{.ptr = NULL}, h2_on_read};
    nghttp2_nv fields[8];
    char length[24];
    size_t n = 0;

    h2->body = body;
    h2->sent = h2->prefix_len = 0;
    h2->is_done = false;
    h2->status = h2->grpc_status = -1;
    fields[n++] = h2_nv(":method", "POST");
    fields[n++] = h2_nv(":scheme", "http");
    fields[n++] = h2_nv(":authority", "bench");
    fields[n++] = h2_nv(":path", h2->is_grpc ? "/opentelemetry.proto."
        "collector.trace.v1.TraceService/Export" : "/v1/traces");
    fields[n++] = h2_nv("content-type", type);
    if (h2->is_grpc) {
        fields[n++] = h2_nv("te", "trailers");
        h2->prefix_len = sizeof(h2->prefix);
        h2->prefix[0] = encoding != NULL;
        for (unsigned i = 0; i < 4; i++)
            h2->prefix[1 + i] = (char)(body.len >> (24 - 8 * i));
    } else {
        snprintf(length, sizeof(length), "%zu", body.len);
        fields[n++] = h2_nv("content-length", length);
    }
    if (encoding != NULL)
        fields[n++] = h2_nv(h2->is_grpc ? "grpc-encoding"
                                        : "content-encoding", encoding);
    check(nghttp2_submit_request(h2->session, NULL, fields, n, &provider,
        NULL) > 0);
    h2_send_write(h2);
}

/* True when the reply is complete. */
static inline bool
h2_send_read(struct h2_send *h2)
{
    static uint8_t buf[64 * KIB];
    ssize_t n = recv(h2->fd, buf, sizeof(buf), MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return false;
    check(n > 0);
    check(nghttp2_session_mem_recv(h2->session, buf, (size_t)n) == n);
    h2_send_write(h2);
    return h2->is_done;
}

#endif
