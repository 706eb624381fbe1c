/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The protobuf wire format, read and written by hand: the one place that
 * knows tags, varints and lengths.  Reading agrees byte for byte with what
 * protobuf-c accepts (fuzz/otlp_diff.c compares them):
 *
 *   tag      varint of at most 5 bytes; a first byte below 8 is malformed
 *   varint   at most 10 bytes; bits above the 64th are dropped
 *   length   varint of at most 5 bytes, at most INT32_MAX, within the rest
 *
 * and differs in one thing: groups, which protobuf-c refuses, are skipped.
 */

#ifndef SPOOR_SPAN_WIRE_H
#define SPOOR_SPAN_WIRE_H

#include "core/base.h"
#include "core/sb.h"
#include "core/sv.h"

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_GROUP = 3,
    WIRE_GROUP_END = 4,
    WIRE_FIXED32 = 5,
};

/* Tag of a field, as a constant for case labels. */
#define WIRE_TAG(field, type) ((uint64_t)(field) << 3 | (type))

/* Groups inside groups in an unknown field: deeper is malformed. */
#define WIRE_GROUP_DEPTH_MAX 64

/*
 * What a reader saw that protobuf-c handles differently; the comparing tests
 * leave such inputs out.
 */
enum wire_note {
    WIRE_NOTE_GROUP = 1 << 0,     /* skipped here, refused there */
    WIRE_NOTE_DEPTH = 1 << 1,     /* refused here, recursion there */
    WIRE_NOTE_BOOL_TYPE = 1 << 2, /* refused here, any wire type there */
    WIRE_NOTE_MERGE = 1 << 3,     /* protobuf-c 1.4 merges wrongly */
    WIRE_NOTE_LIMIT = 1 << 4,     /* counts and memory are bounded here */
};

/* The unread rest of a message; ptr never passes end. */
struct wire {
    const uint8_t *ptr;
    const uint8_t *end;
};

/* First failure of a decoder: where and a static text. */
struct wire_fail {
    const uint8_t *at;
    const char *text;
    unsigned notes; /* enum wire_note, collected even without a failure */
};

static inline struct wire
wire_make(struct sv bytes)
{
    const uint8_t *ptr = (const uint8_t *)bytes.ptr;

    return (struct wire){ptr, ptr + bytes.len};
}

static inline bool
wire_more(const struct wire *w)
{
    return w->ptr < w->end;
}

static inline bool
wire_failed(struct wire_fail *fail, const struct wire *w, const char *text)
{
    if (fail->text == NULL) {
        fail->at = w->ptr;
        fail->text = text;
    }
    return false;
}

/* The general forms, behind the fast ones below.  0: malformed. */
size_t wire_scan_varint(const uint8_t *ptr, size_t left, size_t max,
    uint64_t *out);
/* Skips one field whose tag was read; false and fail when malformed. */
bool wire_skip(struct wire *w, uint64_t tag, struct wire_fail *fail);

static inline bool
wire_read_tag(struct wire *w, uint64_t *tag, struct wire_fail *fail)
{
    uint8_t first = *w->ptr;

    if (LIKELY(first < 0x80 && first >= 8)) {
        *tag = first;
        w->ptr++;
        return true;
    }
    size_t used = (first & 0xf8) == 0 ? 0
        : wire_scan_varint(w->ptr, (size_t)(w->end - w->ptr), 5, tag);
    if (used == 0)
        return wire_failed(fail, w, "bad tag");
    w->ptr += used;
    return true;
}

static inline bool
wire_read_varint(struct wire *w, uint64_t *out, struct wire_fail *fail)
{
    if (LIKELY(w->ptr < w->end && *w->ptr < 0x80)) {
        *out = *w->ptr++;
        return true;
    }
    size_t used = wire_scan_varint(w->ptr, (size_t)(w->end - w->ptr), 10, out);
    if (used == 0)
        return wire_failed(fail, w, "bad varint");
    w->ptr += used;
    return true;
}

/* A bool is true when any of its payload bits is set. */
static inline bool
wire_read_bool(struct wire *w, bool *out, struct wire_fail *fail)
{
    const uint8_t *ptr = w->ptr;
    uint64_t ignored;
    uint8_t any = 0;

    if (!wire_read_varint(w, &ignored, fail))
        return false;
    for (; ptr < w->ptr; ptr++)
        any |= *ptr & 0x7f;
    *out = any != 0;
    return true;
}

static inline bool
wire_read_fixed64(struct wire *w, uint64_t *out, struct wire_fail *fail)
{
    if (UNLIKELY(w->end - w->ptr < 8))
        return wire_failed(fail, w, "cut fixed64");
    memcpy(out, w->ptr, 8);
    w->ptr += 8;
    return true;
}

static inline bool
wire_read_fixed32(struct wire *w, uint32_t *out, struct wire_fail *fail)
{
    if (UNLIKELY(w->end - w->ptr < 4))
        return wire_failed(fail, w, "cut fixed32");
    memcpy(out, w->ptr, 4);
    w->ptr += 4;
    return true;
}

/* A length and as many bytes. */
static inline bool
wire_read_bytes(struct wire *w, struct sv *out, struct wire_fail *fail)
{
    size_t left = (size_t)(w->end - w->ptr);
    uint64_t len;
    size_t used;

    if (LIKELY(left >= 1 && w->ptr[0] < 0x80)) {
        len = w->ptr[0];
        used = 1;
    } else if (LIKELY(left >= 2 && w->ptr[1] < 0x80)) {
        len = (uint64_t)(w->ptr[0] & 0x7f) | (uint64_t)w->ptr[1] << 7;
        used = 2;
    } else {
        used = wire_scan_varint(w->ptr, left, 5, &len);
        if (used == 0 || len > INT32_MAX)
            return wire_failed(fail, w, "bad length");
    }
    if (UNLIKELY(len > left - used))
        return wire_failed(fail, w, "length beyond the end");
    *out = sv_make(w->ptr + used, len);
    w->ptr += used + len;
    return true;
}

/* A length and the message of so many bytes. */
static inline bool
wire_read_message(struct wire *w, struct wire *out, struct wire_fail *fail)
{
    struct sv bytes;

    if (!wire_read_bytes(w, &bytes, fail))
        return false;
    *out = wire_make(bytes);
    return true;
}

/*
 * For a tag that no case took: a field of the mask (bit = field number) came
 * with a wrong wire type and is malformed, any other is skipped.
 */
bool wire_other(struct wire *w, uint64_t tag, uint32_t known,
    struct wire_fail *fail);

/* --- writing; lengths of nested messages are computed first --- */

static inline size_t
wire_varint_size(uint64_t v)
{
    return (size_t)(70 - __builtin_clzll(v | 1)) / 7;
}

/* Bytes of a length-delimited field with its tag (field number below 16). */
static inline size_t
wire_bytes_size(size_t len)
{
    return 1 + wire_varint_size(len) + len;
}

void wire_put_varint(struct sb *out, uint64_t v);
void wire_put_tag_varint(struct sb *out, unsigned field, uint64_t v);
void wire_put_fixed64(struct sb *out, unsigned field, uint64_t v);
void wire_put_fixed32(struct sb *out, unsigned field, uint32_t v);
void wire_put_bytes(struct sb *out, unsigned field, struct sv bytes);
/* Tag and length of a nested message that the caller writes next. */
void wire_put_head(struct sb *out, unsigned field, size_t len);

#endif
