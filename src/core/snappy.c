/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The framing format is a list of chunks: type u8, length u24, then as many
 * bytes.  The stream begins with the chunk ff 06 00 00 "sNaPpY", which may
 * come again.
 *
 *   00        compressed: masked CRC-32C u32 of the plain bytes, a block
 *   01        plain: masked CRC-32C u32, the bytes
 *   02..7f    reserved, an error
 *   80..fd    reserved, skipped
 *   fe        padding, skipped
 *   ff        stream identifier
 *
 * A chunk holds at most 65536 plain bytes.  The mask is a rotation by 15 bits
 * to the right and the addition of a282ead8.
 */

#include "core/base.h"
#include "core/snappy.h"

#include <snappy-c.h>

#include "core/crc32c.h"
#include "core/enc.h"

#define FRAME_PLAIN_MAX 65536u

/*
 * The densest thing a block can hold is a copy of 64 bytes in 3, so a larger
 * promise is a lie and no memory is taken for it.
 */
#define SNAPPY_RATIO_MAX 22

static const char frame_identifier[10] = "\xff\x06\x00\x00sNaPpY";

static uint32_t
mask_crc(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
}

static int
decode_block(struct sv src, size_t bytes_max, struct sb *out,
    struct err *err)
{
    size_t len;
    char *dst;

    if (snappy_uncompressed_length(src.ptr, src.len, &len) != SNAPPY_OK
        || len / SNAPPY_RATIO_MAX > src.len)
        return err_set(err, ERR_INVALID, "snappy: damaged block");
    if (len > bytes_max)
        return err_set(err, ERR_LIMIT, "snappy: %zu bytes, more than %zu",
            len, bytes_max);
    dst = sb_reserve(out, len);
    if (dst == NULL)
        return err_set(err, ERR_LIMIT, "snappy: out of memory");
    if (snappy_uncompress(src.ptr, src.len, dst, &len) != SNAPPY_OK)
        return err_set(err, ERR_INVALID, "snappy: damaged block");
    sb_advance(out, len);
    return 0;
}

static int
decode_data_chunk(unsigned type, struct sv body, size_t bytes_max,
    struct sb *out, struct err *err)
{
    size_t before = out->len, limit = MIN(bytes_max, FRAME_PLAIN_MAX), len;
    uint32_t crc;

    if (body.len < 4)
        return err_set(err, ERR_INVALID, "snappy: short chunk");
    crc = enc_get32(body.ptr);
    body = sv_sub(body, 4, SIZE_MAX);
    if (type == 0) {
        if (snappy_uncompressed_length(body.ptr, body.len, &len) == SNAPPY_OK
            && len > FRAME_PLAIN_MAX)
            return err_set(err, ERR_INVALID, "snappy: chunk too large");
        if (decode_block(body, limit, out, err) != 0)
            return -1;
    } else {
        if (body.len > FRAME_PLAIN_MAX)
            return err_set(err, ERR_INVALID, "snappy: chunk too large");
        if (body.len > bytes_max)
            return err_set(err, ERR_LIMIT, "snappy: larger than allowed");
        sb_add_sv(out, body);
        if (sb_failed(out))
            return err_set(err, ERR_LIMIT, "snappy: out of memory");
    }
    if (mask_crc(crc32c(0, out->ptr + before, out->len - before)) != crc)
        return err_set(err, ERR_INVALID, "snappy: wrong checksum");
    return 0;
}

static int
decode_frames(struct sv src, size_t bytes_max, struct sb *out,
    struct err *err)
{
    struct enc_reader r = enc_reader_make(src.ptr, src.len);
    size_t start = out->len;

    while (r.ptr < r.end) {
        uint32_t head = enc_read32(&r);
        unsigned type = head & 0xff;
        struct sv body = enc_read_bytes(&r, head >> 8);

        if (r.failed)
            return err_set(err, ERR_INVALID, "snappy: ends in a chunk");
        if (type <= 1) {
            if (decode_data_chunk(type, body,
                bytes_max - (out->len - start), out, err) != 0)
                return -1;
        } else if (type < 0x80) {
            return err_set(err, ERR_INVALID, "snappy: unknown chunk %02x",
                type);
        } else if (type == 0xff && !sv_eq(body,
            sv_make(frame_identifier + 4, 6))) {
            return err_set(err, ERR_INVALID, "snappy: wrong identifier");
        }
    }
    return 0;
}

int
snappy_decode(struct sv src, size_t bytes_max, struct sb *out,
    struct err *err)
{
    if (sv_starts_with(src, sv_make(frame_identifier,
        sizeof(frame_identifier))))
        return decode_frames(src, bytes_max, out, err);
    return decode_block(src, bytes_max, out, err);
}

int
snappy_encode(struct sv src, struct sb *out, struct err *err)
{
    size_t len = snappy_max_compressed_length(src.len);
    char *dst = sb_reserve(out, len);

    if (dst == NULL)
        return err_set(err, ERR_LIMIT, "snappy: out of memory");
    if (snappy_compress(src.ptr, src.len, dst, &len) != SNAPPY_OK)
        return err_set(err, ERR_SYSTEM, "snappy: cannot compress");
    sb_advance(out, len);
    return 0;
}
