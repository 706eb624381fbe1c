/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Frames of an input of fuzz/h2.c: how to find them, and a mutator that
 * knows where they begin, since a changed length makes noise of the rest.
 */

#ifndef SPOOR_FUZZ_H2_FRAMES_H
#define SPOOR_FUZZ_H2_FRAMES_H

#include "core/base.h"
#include "core/assert.h"
#include "core/mem.h"
#include "core/sb.h"
#include "core/sv.h"

#define FRAME_HEAD_BYTES 9
#define FRAMES_MAX 512

enum {
    COMMAND_TIME = 0xf0,
    COMMAND_REPLY,
    COMMAND_STALL,
    COMMAND_TAKE,
    COMMAND_END,
    COMMAND_BREAK,
    COMMAND_DRAIN,
    COMMAND_REPEAT,
};

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);

/*
 * Cuts the next frame, or what is left, off rest.  *command is its type if it
 * is a command, then *n its first byte, else 0.
 */
static bool
frames_next(struct sv *rest, struct sv *frame, uint8_t *command, uint8_t *n)
{
    const uint8_t *p = (const uint8_t *)rest->ptr;
    size_t len = rest->len;

    *command = *n = 0;
    if (rest->len == 0)
        return false;
    if (rest->len >= FRAME_HEAD_BYTES) {
        len = FRAME_HEAD_BYTES +
            ((size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2]);
        len = MIN(len, rest->len);
        if (p[3] >= COMMAND_TIME && p[3] <= COMMAND_REPEAT) {
            *command = p[3];
            *n = len > FRAME_HEAD_BYTES ? p[FRAME_HEAD_BYTES] : 0;
        }
    }
    *frame = sv_make(rest->ptr, len);
    *rest = sv_sub(*rest, len, rest->len);
    return true;
}

/* --- new frames --- */

static void
frame_add(struct sb *out, uint8_t type, uint8_t flags, uint32_t stream,
    struct sv payload)
{
    const char head[FRAME_HEAD_BYTES] = {(char)(payload.len >> 16),
        (char)(payload.len >> 8), (char)payload.len, (char)type, (char)flags,
        (char)(stream >> 24), (char)(stream >> 16), (char)(stream >> 8),
        (char)stream};

    sb_add(out, head, sizeof(head));
    sb_add_sv(out, payload);
}

/* A field that enters no table; all are shorter than 127 bytes. */
static void
field_literal(struct sb *out, const char *name, const char *value)
{
    sb_add_char(out, '\0');
    sb_add_char(out, (char)strlen(name));
    sb_add_str(out, name);
    sb_add_char(out, (char)strlen(value));
    sb_add_str(out, value);
}

struct sample {
    const char *method;
    const char *path;
    const char *fields[6];
};

static const struct sample samples[] = {
    {"POST", "/echo", {NULL}},
    {"POST", "/echo", {"expect", "100-continue", "content-length", "5"}},
    {"POST", "/keep", {"content-length", "70000"}},
    {"GET", "/form?a=1", {"accountid", "7"}},
    {"POST", "/form", {"content-type", "application/x-www-form-urlencoded"}},
    {"GET", "/a/x%2fy/b", {"host", "x"}},
    {"GET", "/big?n=300000", {"accept-encoding", "gzip"}},
    {"HEAD", "/late", {NULL}},
    {"OPTIONS", "/echo", {"origin", "http://a"}},
    {"POST", "/p.S/Call", {"content-type", "application/grpc"}},
    {"POST", "/p.S/Call", {"content-type", "application/grpc+proto",
        "grpc-encoding", "gzip", "te", "trailers"}},
    {"POST", "/p.S/Late", {"content-type", "application/grpc",
        "grpc-timeout", "10S"}},
    {"POST", "/p.S/None", {"content-type", "application/grpc+json",
        "grpc-encoding", "zstd"}},
};

static void
add_request(struct sb *out, unsigned random, uint32_t stream)
{
    const struct sample *sample = &samples[random % ARRAY_LEN(samples)];
    bool is_open = strcmp(sample->method, "POST") == 0;
    struct sb block;

    sb_init(&block, 1 * KIB);
    field_literal(&block, ":method", sample->method);
    field_literal(&block, ":scheme", "http");
    field_literal(&block, ":path", sample->path);
    for (unsigned i = 0; i < 6 && sample->fields[i] != NULL; i += 2)
        field_literal(&block, sample->fields[i], sample->fields[i + 1]);
    frame_add(out, 1, is_open ? 4 : 5, stream, sb_sv(&block));
    sb_release(&block);
    if (is_open)
        frame_add(out, 0, random >> 8 & 1, stream, random >> 9 & 1
            ? SV("\0\0\0\0\3abc") : SV("\0\0\0\0\0"));
}

static void
add_frame(struct sb *out, unsigned random, uint32_t stream)
{
    switch (random % 12) {
    case 0:
        frame_add(out, 3, 0, stream, SV("\0\0\0\10"));
        break;
    case 1:
        frame_add(out, 8, 0, 0, SV("\0\1\0\0"));
        break;
    case 2:
        frame_add(out, 8, 0, stream, SV("\0\0\1\0"));
        break;
    case 3:
        frame_add(out, 4, 0, 0, SV("\0\4\0\0\0\0\0\1\0\0\0\0"));
        break;
    case 4:
        frame_add(out, 6, 0, 0, SV("12345678"));
        break;
    case 5:
        frame_add(out, 0, 1, stream, SV("\0\0\0\0\1a"));
        break;
    case 6:
        frame_add(out, 9, 4, stream, SV(""));
        break;
    case 7:
        frame_add(out, (uint8_t)(COMMAND_TIME + (random >> 8) % 8), 0, 0,
            SV("\12"));
        break;
    default:
        add_request(out, random >> 4, stream);
    }
}

/* --- the mutator --- */

static unsigned
random_next(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* The highest stream of the frames, and the one behind it. */
static uint32_t
stream_new(const struct sv *frames, unsigned n)
{
    uint32_t most = 0;

    for (unsigned i = 0; i < n; i++) {
        const uint8_t *p = (const uint8_t *)frames[i].ptr;

        if (frames[i].len >= FRAME_HEAD_BYTES && p[5] == 0 && p[6] == 0)
            most = MAX(most, (uint32_t)p[7] << 8 | p[8]);
    }
    return (most | 1) + (most > 0 ? 2 : 0);
}

/* The same frame, with other content, flags or another stream. */
static void
add_changed(struct sb *out, struct sv frame, unsigned random)
{
    static uint8_t buf[4 * KIB];
    size_t len = frame.len - MIN(frame.len, FRAME_HEAD_BYTES);
    const uint8_t *p = (const uint8_t *)frame.ptr;
    uint32_t stream;
    uint8_t flags;

    if (frame.len < FRAME_HEAD_BYTES || len > sizeof(buf)) {
        sb_add_sv(out, frame);
        return;
    }
    stream = (uint32_t)p[7] << 8 | p[8];
    flags = p[4];
    memcpy(buf, p + FRAME_HEAD_BYTES, len);
    switch (random % 4) {
    case 0:
        flags ^= (uint8_t)(1u << (random >> 4) % 6);
        break;
    case 1:
        stream = (random >> 4) % 8;
        break;
    default:
        len = LLVMFuzzerMutate(buf, len, sizeof(buf));
    }
    frame_add(out, p[3], flags, stream, sv_make((const char *)buf, len));
}

static void
mutate_into(struct sb *out, const struct sv *frames, unsigned n,
    unsigned *random)
{
    unsigned what = random_next(random) % 8;
    unsigned at = n == 0 ? 0 : random_next(random) % n;
    unsigned other = n == 0 ? 0 : random_next(random) % n;
    uint32_t stream = stream_new(frames, n);

    if (what == 0 && random_next(random) % 4 != 0)
        stream = stream > 2 ? stream - 2 : 1;
    for (unsigned i = 0; i < n; i++) {
        if (what == 1 && i == at)
            continue;
        if (what == 2 && i == at)
            sb_add_sv(out, frames[other]);
        if (what >= 5 && i == at)
            add_changed(out, frames[i], random_next(random));
        else
            sb_add_sv(out, frames[i]);
        if ((what == 0 || what == 3) && i == at)
            add_frame(out, random_next(random), stream);
    }
    if (what == 4 || n == 0)
        add_frame(out, random_next(random), stream);
}

static size_t
frames_mutate(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    static struct sv frames[FRAMES_MAX];
    struct sv rest = sv_make((const char *)data, size);
    uint8_t command, first;
    unsigned n = 0;
    struct sb out;

    if (size < 1 || seed % 4 == 0)
        return LLVMFuzzerMutate(data, size, size_max);
    sb_init(&out, 2 * size_max + 64 * KIB);
    sb_add(&out, rest.ptr, 1);
    rest = sv_sub(rest, 1, rest.len);
    while (n < FRAMES_MAX && frames_next(&rest, &frames[n], &command, &first))
        n++;
    mutate_into(&out, frames, n, &seed);
    size = MIN(out.len, size_max);
    memcpy(data, out.ptr, size);
    sb_release(&out);
    return size;
}

#endif
