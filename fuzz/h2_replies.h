/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Reads what a server of HTTP/2 sends, for fuzz/h2.c, and checks that each
 * client would understand it: frames, header blocks, the window of the
 * connection, the order of a reply, and gRPC's one status.
 */

#ifndef SPOOR_FUZZ_H2_REPLIES_H
#define SPOOR_FUZZ_H2_REPLIES_H

#include <nghttp2/nghttp2.h>

#include "core/base.h"
#include "core/assert.h"
#include "core/num.h"
#include "core/sb.h"
#include "core/sv.h"
#include "http/h1_parse.h"

#define REPLY_FRAME_HEAD_BYTES 9
#define REPLY_FRAME_BYTES_MAX 16384
#define REPLY_STREAMS_MAX 2048
#define REPLY_BLOCK_BYTES_MAX (64 * KIB)
/* Frames that are cut between two calls. */
#define REPLY_PENDING_MAX (8 * MIB)

struct reply_stream {
    uint32_t id;
    bool has_head;
    bool is_grpc;
    bool is_ended;
    bool is_reset;
    unsigned nstatus;    /* grpc-status fields */
    uint64_t length;     /* UINT64_MAX: none was given */
    uint64_t data_bytes;
};

static struct {
    nghttp2_hd_inflater *inflater;
    struct sb pending;
    struct sb block;
    uint32_t block_stream; /* 0: no block is being read */
    uint8_t block_flags;
    uint64_t window;       /* what the client allowed, all in all */
    uint64_t data_bytes;
    unsigned nstreams;
    struct reply_stream streams[REPLY_STREAMS_MAX];
} replies;

static void
replies_begin(void)
{
    check(nghttp2_hd_inflate_new(&replies.inflater) == 0);
    sb_init(&replies.pending, REPLY_PENDING_MAX);
    sb_init(&replies.block, REPLY_BLOCK_BYTES_MAX);
    replies.block_stream = 0;
    replies.window = 65535;
    replies.data_bytes = 0;
    replies.nstreams = 0;
}

static void
replies_end(void)
{
    nghttp2_hd_inflate_del(replies.inflater);
    sb_release(&replies.pending);
    sb_release(&replies.block);
}

/* The client sends this frame: it may open the connection's window. */
static void
replies_allow(struct sv frame)
{
    const uint8_t *p = (const uint8_t *)frame.ptr;

    if (frame.len == REPLY_FRAME_HEAD_BYTES + 4 && p[3] == 8)
        replies.window += ((uint64_t)p[9] << 24 | (uint64_t)p[10] << 16 |
            (uint64_t)p[11] << 8 | p[12]) & INT32_MAX;
}

/* NULL: there are too many to know them all. */
static struct reply_stream *
reply_stream_of(uint32_t id)
{
    struct reply_stream *s;

    check(id % 2 == 1);
    for (unsigned i = 0; i < replies.nstreams; i++) {
        if (replies.streams[i].id == id)
            return &replies.streams[i];
    }
    if (replies.nstreams == REPLY_STREAMS_MAX)
        return NULL;
    s = &replies.streams[replies.nstreams++];
    *s = (struct reply_stream){.id = id, .length = UINT64_MAX};
    return s;
}

static void
reply_ended(struct reply_stream *s)
{
    check(s->has_head && !s->is_ended);
    s->is_ended = true;
    check(!s->is_grpc || s->nstatus == 1);
    check(s->length == UINT64_MAX || s->data_bytes == 0 ||
        s->length == s->data_bytes);
}

static void
reply_field(struct reply_stream *s, struct sv name, struct sv value)
{
    uint64_t status;

    for (size_t i = 0; i < name.len; i++)
        check(name.ptr[i] < 'A' || name.ptr[i] > 'Z');
    check(h1_is_field_value(value));
    if (sv_eq(name, SV(":status"))) {
        check(num_parse_u64(value, &status) && !s->has_head);
        check(status == 100 || (status >= 200 && status <= 599));
        s->has_head = status != 100;
        return;
    }
    check(h1_is_token(name));
    if (sv_eq(name, SV("content-type")))
        s->is_grpc = sv_starts_with(value, SV("application/grpc"));
    if (sv_eq(name, SV("grpc-status")))
        s->nstatus++;
    if (sv_eq(name, SV("content-length")))
        check(num_parse_u64(value, &s->length));
}

static void
reply_block(struct reply_stream *s, struct sv block)
{
    const uint8_t *p = (const uint8_t *)block.ptr;
    size_t left = block.len;
    nghttp2_nv nv;
    int flags = 0;

    while ((flags & NGHTTP2_HD_INFLATE_FINAL) == 0) {
        ssize_t n = nghttp2_hd_inflate_hd2(replies.inflater, &nv, &flags, p,
            left, 1);

        check(n >= 0 && (size_t)n <= left);
        p += n;
        left -= (size_t)n;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0 && s != NULL)
            reply_field(s, sv_make((const char *)nv.name, nv.namelen),
                sv_make((const char *)nv.value, nv.valuelen));
    }
    check(left == 0);
    check(nghttp2_hd_inflate_end_headers(replies.inflater) == 0);
}

static void
reply_headers(uint8_t flags, uint32_t id, struct sv payload)
{
    struct reply_stream *s;

    sb_add_sv(&replies.block, payload);
    check(!sb_failed(&replies.block));
    if ((flags & NGHTTP2_FLAG_END_HEADERS) == 0)
        return;
    s = reply_stream_of(id);
    reply_block(s, sb_sv(&replies.block));
    sb_reset(&replies.block);
    if (s != NULL && (replies.block_flags & NGHTTP2_FLAG_END_STREAM) != 0)
        reply_ended(s);
    replies.block_stream = 0;
}

static void
reply_data(uint8_t flags, uint32_t id, struct sv payload)
{
    struct reply_stream *s = reply_stream_of(id);

    replies.data_bytes += payload.len;
    check(replies.data_bytes <= replies.window);
    if (s == NULL)
        return;
    check(s->has_head && !s->is_ended && !s->is_reset);
    s->data_bytes += payload.len;
    if ((flags & NGHTTP2_FLAG_END_STREAM) != 0)
        reply_ended(s);
}

static void
reply_frame(uint8_t type, uint8_t flags, uint32_t id, struct sv payload)
{
    struct reply_stream *s;

    check(replies.block_stream == 0 || (type == NGHTTP2_CONTINUATION &&
        replies.block_stream == id));
    switch (type) {
    case NGHTTP2_DATA:
        reply_data(flags, id, payload);
        break;
    case NGHTTP2_HEADERS:
        s = reply_stream_of(id);
        check(s == NULL || (!s->is_ended && !s->is_reset));
        check((flags & (NGHTTP2_FLAG_PADDED | NGHTTP2_FLAG_PRIORITY)) == 0);
        replies.block_stream = id;
        replies.block_flags = flags;
        reply_headers(flags, id, payload);
        break;
    case NGHTTP2_CONTINUATION:
        check(replies.block_stream == id);
        reply_headers(flags, id, payload);
        break;
    case NGHTTP2_RST_STREAM:
        s = reply_stream_of(id);
        check(payload.len == 4);
        if (s != NULL)
            s->is_reset = true;
        break;
    case NGHTTP2_WINDOW_UPDATE:
        check(payload.len == 4);
        break;
    case NGHTTP2_SETTINGS:
        check(id == 0 && payload.len % 6 == 0);
        break;
    case NGHTTP2_PING:
        check(id == 0 && payload.len == 8);
        break;
    case NGHTTP2_GOAWAY:
        check(id == 0 && payload.len >= 8);
        break;
    default:
        panic("a frame of type %u", type);
    }
}

static void
replies_read(struct sv bytes)
{
    struct sb *pending = &replies.pending;
    size_t at = 0;

    sb_add_sv(pending, bytes);
    check(!sb_failed(pending));
    while (pending->len - at >= REPLY_FRAME_HEAD_BYTES) {
        const uint8_t *p = (const uint8_t *)pending->ptr + at;
        size_t len = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        uint32_t id = (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 |
            (uint32_t)p[7] << 8 | p[8];

        check(len <= REPLY_FRAME_BYTES_MAX);
        if (pending->len - at < REPLY_FRAME_HEAD_BYTES + len)
            break;
        reply_frame(p[3], p[4], id,
            sv_make((const char *)p + REPLY_FRAME_HEAD_BYTES, len));
        at += REPLY_FRAME_HEAD_BYTES + len;
    }
    memmove(pending->ptr, pending->ptr + at, pending->len - at);
    pending->len -= at;
}

#endif
