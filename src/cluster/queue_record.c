/* SPDX-License-Identifier: BSD-2-Clause */

/* Records of the durable queue as bytes: queue_format.h describes them. */

#include "core/base.h"
#include "cluster/queue_file.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/assert.h"
#include "core/enc.h"

static const char zeros[QUEUE_ALIGN];

static uint64_t
header_checksum(const struct queue_record_header *header, uint64_t seed)
{
    struct queue_record_header zeroed = *header;

    zeroed.checksum = 0;
    return XXH3_64bits_withSeed(&zeroed, sizeof(zeroed), seed);
}

static uint64_t
record_bytes(uint64_t node_len, uint64_t payload_len)
{
    return ALIGN_UP(sizeof(struct queue_record_header) + node_len +
        payload_len, QUEUE_ALIGN);
}

uint64_t
queue_record_size(const struct parcel *parcel, struct sv node)
{
    return record_bytes(node.len, parcel_size(parcel));
}

void
queue_record_put(struct sb *out, const struct queue_name *name,
    const struct queue_record *record, const struct parcel *parcel)
{
    size_t start = out->len, body_len;
    uint64_t seed = queue_seed(name->unique, name->number, record->offset);
    struct queue_record_header header = {
        .magic = QUEUE_RECORD_MAGIC, .kind = (uint8_t)record->kind,
        .node_len = (uint16_t)record->node.len, .item = record->item,
        .payload_len = parcel != NULL ? parcel_size(parcel) : 0,
        .unknown_ns = record->unknown_ns};

    check(record->node.len <= QUEUE_NODE_LEN_MAX);
    check((record->kind == QUEUE_PARCEL) == (parcel != NULL));
    memcpy(header.id, record->id, sizeof(header.id));
    sb_add(out, &header, sizeof(header));
    sb_add_sv(out, record->node);
    if (parcel != NULL)
        parcel_put(out, parcel);
    if (sb_failed(out))
        return;
    body_len = out->len - start - sizeof(header);
    header.body_checksum = XXH3_64bits_withSeed(out->ptr + start +
        sizeof(header), body_len, seed);
    header.checksum = header_checksum(&header, seed);
    memcpy(out->ptr + start, &header, sizeof(header));
    sb_add(out, zeros, ALIGN_UP(body_len, QUEUE_ALIGN) - body_len);
}

int
queue_record_get(struct sv bytes, const struct queue_name *name,
    uint64_t offset, struct queue_record *record, struct err *err)
{
    uint64_t seed = queue_seed(name->unique, name->number, offset);
    struct queue_record_header header;
    struct sv body;

    if (bytes.len < sizeof(header) ||
        enc_get32(bytes.ptr) != QUEUE_RECORD_MAGIC)
        return err_set(err, ERR_CORRUPT, "no record");
    memcpy(&header, bytes.ptr, sizeof(header));
    if (header.checksum != header_checksum(&header, seed) ||
        header.kind < QUEUE_PARCEL || header.kind > QUEUE_DONE ||
        header.node_len > QUEUE_NODE_LEN_MAX ||
        header.payload_len > PARCEL_BYTES_MAX)
        return err_set(err, ERR_CORRUPT, "the head of a record is damaged");
    *record = (struct queue_record){.kind = header.kind, .offset = offset,
        .bytes = record_bytes(header.node_len, header.payload_len),
        .item = header.item, .unknown_ns = header.unknown_ns};
    memcpy(record->id, header.id, sizeof(record->id));
    body = sv_sub(bytes, sizeof(header), header.node_len +
        header.payload_len);
    if (body.len != header.node_len + header.payload_len ||
        XXH3_64bits_withSeed(body.ptr, body.len, seed) !=
        header.body_checksum)
        return err_set(err, ERR_CORRUPT, "the body of a record is damaged");
    record->node = sv_sub(body, 0, header.node_len);
    record->payload = sv_sub(body, header.node_len, SIZE_MAX);
    return 0;
}

/* --- a whole file --- */

/* Damage to the header takes nothing from the records. */
static int
scan_header(struct sv bytes, struct queue_found *found, struct err *err)
{
    struct queue_file_header header;

    memset(&header, 0, sizeof(header));
    memcpy(&header, bytes.ptr, MIN(bytes.len, sizeof(header)));
    if (header.magic != QUEUE_FILE_MAGIC || header.checksum !=
        XXH3_64bits(&header, offsetof(struct queue_file_header, checksum))) {
        found->damaged += bytes.len > QUEUE_PAGE;
        return 0;
    }
    /* The checksum first: in every version it stands here. */
    if (header.version > QUEUE_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "version %u of the queue was "
            "written by a newer spoor", header.version);
    return 0;
}

static bool
is_zero(struct sv bytes, uint64_t offset)
{
    uint64_t word = 0;

    memcpy(&word, bytes.ptr + offset, MIN(bytes.len - offset, sizeof(word)));
    return word == 0;
}

int
queue_scan_run(const struct queue_scan *scan, struct queue_found *found,
    struct err *err)
{
    struct sv bytes = scan->bytes;
    uint64_t offset = QUEUE_PAGE;
    bool is_bad = false;

    memset(found, 0, sizeof(*found));
    found->end = QUEUE_PAGE;
    if (scan_header(bytes, found, err) != 0)
        return -1;
    while (offset < bytes.len) {
        struct queue_record record = {.bytes = 0};

        if (is_zero(bytes, offset)) {
            offset += QUEUE_ALIGN;
            continue;
        }
        if (queue_record_get(sv_sub(bytes, offset, SIZE_MAX), scan->name,
            offset, &record, NULL) == 0) {
            found->records++;
            found->damaged += is_bad;
            is_bad = false;
            scan->fn(scan->arg, &record);
        } else {
            is_bad = true;
        }
        offset += MAX(record.bytes, QUEUE_ALIGN);
        found->end = MIN(offset, bytes.len);
    }
    found->is_torn = is_bad;
    return 0;
}
