/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Fixed little-endian integers, protobuf varints and zigzag, and a bounded
 * reader: the only place that turns bytes into numbers.
 */

#ifndef SPOOR_CORE_ENC_H
#define SPOOR_CORE_ENC_H

#include "core/base.h"
#include "core/sv.h"

static inline uint16_t
enc_get16(const void *ptr)
{
    uint16_t v;

    memcpy(&v, ptr, sizeof(v));
    return v;
}

static inline uint32_t
enc_get32(const void *ptr)
{
    uint32_t v;

    memcpy(&v, ptr, sizeof(v));
    return v;
}

static inline uint64_t
enc_get64(const void *ptr)
{
    uint64_t v;

    memcpy(&v, ptr, sizeof(v));
    return v;
}

static inline void
enc_put16(void *ptr, uint16_t v)
{
    memcpy(ptr, &v, sizeof(v));
}

static inline void
enc_put32(void *ptr, uint32_t v)
{
    memcpy(ptr, &v, sizeof(v));
}

static inline void
enc_put64(void *ptr, uint64_t v)
{
    memcpy(ptr, &v, sizeof(v));
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
    "the disk format is little endian and this build copies it directly");

static inline uint64_t
enc_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t
enc_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#define ENC_VARINT_MAX 10

/* Writes 1..ENC_VARINT_MAX bytes, returns their number. */
size_t enc_put_varint(uint8_t *dst, uint64_t v);
size_t enc_varint_len(uint64_t v);

/*
 * Bounded reader.  A read beyond the end, or a varint of more than ten bytes
 * or 64 bits, sets failed and returns zeros from then on.
 */
struct enc_reader {
    const uint8_t *ptr;
    const uint8_t *end;
    bool failed;
};

static inline struct enc_reader
enc_reader_make(const void *ptr, size_t len)
{
    const uint8_t *start = ptr;

    return (struct enc_reader){start, len > 0 ? start + len : start, false};
}

/* Private: fails the reader and leaves nothing to read. */
static inline void
enc_reader_fail(struct enc_reader *r)
{
    r->failed = true;
    r->ptr = r->end;
}

static inline uint8_t
enc_read8(struct enc_reader *r)
{
    uint8_t v;

    if (UNLIKELY((size_t)(r->end - r->ptr) < sizeof(v))) {
        enc_reader_fail(r);
        return 0;
    }
    memcpy(&v, r->ptr, sizeof(v));
    r->ptr += sizeof(v);
    return v;
}

static inline uint16_t
enc_read16(struct enc_reader *r)
{
    uint16_t v;

    if (UNLIKELY((size_t)(r->end - r->ptr) < sizeof(v))) {
        enc_reader_fail(r);
        return 0;
    }
    memcpy(&v, r->ptr, sizeof(v));
    r->ptr += sizeof(v);
    return v;
}

static inline uint32_t
enc_read32(struct enc_reader *r)
{
    uint32_t v;

    if (UNLIKELY((size_t)(r->end - r->ptr) < sizeof(v))) {
        enc_reader_fail(r);
        return 0;
    }
    memcpy(&v, r->ptr, sizeof(v));
    r->ptr += sizeof(v);
    return v;
}

static inline uint64_t
enc_read64(struct enc_reader *r)
{
    uint64_t v;

    if (UNLIKELY((size_t)(r->end - r->ptr) < sizeof(v))) {
        enc_reader_fail(r);
        return 0;
    }
    memcpy(&v, r->ptr, sizeof(v));
    r->ptr += sizeof(v);
    return v;
}

/* Private: varints of more than one byte. */
uint64_t enc_read_varint_long(struct enc_reader *r);

static inline uint64_t
enc_read_varint(struct enc_reader *r)
{
    if (LIKELY(r->ptr < r->end && *r->ptr < 0x80))
        return *r->ptr++;
    return enc_read_varint_long(r);
}

static inline struct sv
enc_read_bytes(struct enc_reader *r, size_t len)
{
    struct sv v;

    if (UNLIKELY((size_t)(r->end - r->ptr) < len)) {
        enc_reader_fail(r);
        return SV_EMPTY;
    }
    v = sv_make(r->ptr, len);
    r->ptr += len;
    return v;
}

/* A varint length, then as many bytes. */
static inline struct sv
enc_read_sv(struct enc_reader *r)
{
    uint64_t len = enc_read_varint(r);

    return enc_read_bytes(r, len);
}

/*
 * The eight lower-case hex digits of four bytes, all little endian: the
 * lowest byte's digits are the lowest two.
 */
static inline uint64_t
enc_hex_digits(uint32_t bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t v = bytes, digits, letters;

    v = (v | v << 16) & UINT64_C(0x0000ffff0000ffff);
    v = (v | v << 8) & UINT64_C(0x00ff00ff00ff00ff);
    digits = (v >> 4 & UINT64_C(0x000f000f000f000f)) |
        (v & UINT64_C(0x000f000f000f000f)) << 8;
    letters = (digits + 6 * ones) >> 4 & ones;
    return digits + '0' * ones + letters * ('a' - '0' - 10);
}

/* The way back; false unless all eight are lower-case hex digits. */
static inline bool
enc_hex_bytes(uint64_t digits, uint32_t *bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    /* Letters have bit 6, and count from 1. */
    uint64_t v = (digits & 15 * ones) + 9 * (digits >> 6 & ones);
    uint64_t letters = (v + 6 * ones) >> 4 & ones;
    uint64_t wrong = (v + '0' * ones + ('a' - '0' - 10) * letters) ^ digits;

    wrong |= v & 16 * ones;
    v = (v << 4 | v >> 8) & UINT64_C(0x00ff00ff00ff00ff);
    v = (v | v >> 8) & UINT64_C(0x0000ffff0000ffff);
    *bytes = (uint32_t)(v | v >> 16);
    return wrong == 0;
}

/* Bytes as 2 * len lower-case hex digits. */
void enc_hex(char *dst, const void *bytes, size_t len);

/* Lower- or upper-case hex into bytes; false unless exactly 2 * len digits. */
bool enc_unhex(struct sv hex, uint8_t *dst, size_t len);

/*
 * Standard base64 with or without padding (and the URL alphabet).  dst holds
 * at least src.len / 4 * 3 + 3 bytes.  Returns the length, or -1.
 */
ssize_t enc_unbase64(struct sv src, uint8_t *dst);

#endif
