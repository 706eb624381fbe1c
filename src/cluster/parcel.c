/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The bytes of a parcel, little endian:
 *
 *      0  magic      u32  "SPPC"
 *      4  bytes      u32  of all of it, from the magic on
 *      8  checksum   u64  XXH3-64 of what follows, seeded with bytes
 *     16  id         16
 *     32  account    u32
 *     36  project    u32
 *     40  nspans     u32
 *     44  encoding   u32  0: plain, 1: zstd
 *     48  made_ns    i64
 *     56  params_len u32
 *     60  body_len   u32
 *     64  params, body
 *
 * A request to /internal/insert is parcels, one behind the other.  A change
 * of this needs another INSERT_PROTOCOL.
 *
 * The reply is the text INSERT_REPLY, then answers of sixteen bytes:
 *
 *      0  status      u32
 *      4  rejected    u32
 *      8  reject_mask u32
 *     12  checksum    u32  low half of the XXH3-64 of the twelve bytes
 *
 * Checksums are here because networks and proxies do flip bits, and one in a
 * status would make a lost span of a refused one.
 */

#include "core/base.h"
#include "cluster/parcel.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/assert.h"
#include "core/enc.h"
#include "span/ingest.h"
#include "span/params.h"

#define PARCEL_MAGIC 0x43505053u /* "SPPC" */
/* The checksum covers all behind itself. */
#define CHECKED_FROM 16u

enum wire_encoding {
    WIRE_PLAIN = 0,
    WIRE_ZSTD = 1,
};

static uint64_t
checksum(const char *start, size_t bytes)
{
    return XXH3_64bits_withSeed(start + CHECKED_FROM, bytes - CHECKED_FROM,
        bytes);
}

size_t
parcel_size(const struct parcel *parcel)
{
    return PARCEL_HEAD_BYTES + parcel->params.len + parcel->body.len;
}

void
parcel_put(struct sb *out, const struct parcel *parcel)
{
    size_t bytes = parcel_size(parcel);
    char *start;

    check(parcel->encoding == ENCODING_IDENTITY ||
        parcel->encoding == ENCODING_ZSTD);
    check(bytes <= PARCEL_BYTES_MAX);
    start = sb_reserve(out, bytes);
    if (start == NULL)
        return;
    enc_put32(start, PARCEL_MAGIC);
    enc_put32(start + 4, (uint32_t)bytes);
    memcpy(start + 16, parcel->id, PARCEL_ID_BYTES);
    enc_put32(start + 32, parcel->tenant.account);
    enc_put32(start + 36, parcel->tenant.project);
    enc_put32(start + 40, parcel->nspans);
    enc_put32(start + 44, parcel->encoding == ENCODING_ZSTD ? WIRE_ZSTD
        : WIRE_PLAIN);
    enc_put64(start + 48, (uint64_t)parcel->made_ns);
    enc_put32(start + 56, (uint32_t)parcel->params.len);
    enc_put32(start + 60, (uint32_t)parcel->body.len);
    if (parcel->params.len > 0)
        memcpy(start + PARCEL_HEAD_BYTES, parcel->params.ptr,
            parcel->params.len);
    if (parcel->body.len > 0)
        memcpy(start + PARCEL_HEAD_BYTES + parcel->params.len,
            parcel->body.ptr, parcel->body.len);
    enc_put64(start + 8, checksum(start, bytes));
    sb_advance(out, bytes);
}

static int
corrupt(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "not a parcel: %s", what);
}

/* The size of the first one, which is there whole and undamaged. */
static int
check_frame(struct sv in, size_t *bytes, struct err *err)
{
    if (in.len < PARCEL_HEAD_BYTES)
        return corrupt(err, "it ends in its head");
    if (enc_get32(in.ptr) != PARCEL_MAGIC)
        return corrupt(err, "it begins otherwise");
    *bytes = enc_get32(in.ptr + 4);
    if (*bytes < PARCEL_HEAD_BYTES || *bytes > PARCEL_BYTES_MAX)
        return corrupt(err, "its size is out of bounds");
    if (*bytes > in.len)
        return corrupt(err, "it ends early");
    if (enc_get64(in.ptr + 8) != checksum(in.ptr, *bytes))
        return corrupt(err, "the checksum is wrong");
    return 0;
}

int
parcel_take(struct sv *in, struct parcel *out, struct err *err)
{
    const char *start = in->ptr;
    size_t bytes = 0, params_len, body_len;
    uint32_t encoding;

    if (in->len == 0)
        return 0;
    if (check_frame(*in, &bytes, err) != 0)
        return -1;
    params_len = enc_get32(start + 56);
    body_len = enc_get32(start + 60);
    if (params_len > PARAMS_BYTES_MAX ||
        PARCEL_HEAD_BYTES + params_len + body_len != bytes)
        return corrupt(err, "its lengths do not add up");
    encoding = enc_get32(start + 44);
    if (encoding != WIRE_PLAIN && encoding != WIRE_ZSTD)
        return corrupt(err, "its encoding is not known");
    out->nspans = enc_get32(start + 40);
    if (out->nspans > BATCH_SPANS_MAX)
        return corrupt(err, "it has too many spans");
    memcpy(out->id, start + 16, PARCEL_ID_BYTES);
    out->tenant.account = enc_get32(start + 32);
    out->tenant.project = enc_get32(start + 36);
    out->encoding = encoding == WIRE_ZSTD ? ENCODING_ZSTD
        : ENCODING_IDENTITY;
    out->made_ns = (int64_t)enc_get64(start + 48);
    out->params = sv_make(start + PARCEL_HEAD_BYTES, params_len);
    out->body = sv_make(start + PARCEL_HEAD_BYTES + params_len, body_len);
    in->ptr += bytes;
    in->len -= bytes;
    return 1;
}

void
parcel_make_id(struct parcel *parcel, struct sv plain_body)
{
    ingest_make_digest(parcel->id, &parcel->tenant, parcel->params,
        plain_body);
}

/* --- answers --- */

static uint32_t
answer_checksum(const char *start)
{
    return (uint32_t)XXH3_64bits(start, 12);
}

void
parcel_answer_put(struct sb *out, const struct parcel_answer *answer)
{
    char bytes[PARCEL_ANSWER_BYTES];

    enc_put32(bytes, answer->status);
    enc_put32(bytes + 4, answer->rejected);
    enc_put32(bytes + 8, answer->reject_mask);
    enc_put32(bytes + 12, answer_checksum(bytes));
    sb_add(out, bytes, sizeof(bytes));
}

int
parcel_answer_take(struct sv *in, struct parcel_answer *out, struct err *err)
{
    const char *start = in->ptr;
    uint32_t status;

    if (in->len == 0)
        return 0;
    if (in->len < PARCEL_ANSWER_BYTES)
        return err_set(err, ERR_CORRUPT, "the answer ends early");
    if (enc_get32(start + 12) != answer_checksum(start))
        return err_set(err, ERR_CORRUPT,
            "the checksum of the answer is wrong");
    status = enc_get32(start);
    if (status > PARCEL_PUT_OFF)
        return err_set(err, ERR_CORRUPT, "no status has the number %u",
            status);
    out->status = (enum parcel_status)status;
    out->rejected = enc_get32(start + 4);
    out->reject_mask = enc_get32(start + 8);
    in->ptr += PARCEL_ANSWER_BYTES;
    in->len -= PARCEL_ANSWER_BYTES;
    return 1;
}
