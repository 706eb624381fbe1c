/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Bytes of a file of a front's durable queue, little endian.
 *
 *     queue/<unique, 16 hex>-<number, 8 hex>.queue
 *
 *     0      struct queue_file_header, the rest of the first 4 KiB is zero
 *     4096   records
 *     ...    zeros (the file is allocated ahead)
 *
 * The unique number is random, of one process; its files are numbered.  A
 * name is never used again.  A file is written by the process that holds a
 * lock on it (flock(2), gone with the process however it ends).  Only the
 * process that made it puts parcels into it; whoever adopts it later puts
 * only marks behind them.
 *
 * A record is struct queue_record_header, then the node's name, then the
 * payload, then zeros to a multiple of 8.
 *
 *     PARCEL  a parcel (cluster/parcel.h), with the node that may have it
 *     NODE    the item has this node from now on (empty: any may have it)
 *     DONE    the item is stored by a node, or never can be
 *
 * An item is named by the offset of its PARCEL record, and the marks say its
 * id as well.  What one call adds is written and synced together; it begins
 * on a 4 KiB boundary, and so does the first mark after a sync, so no write
 * ever touches a page with a durable record.
 *
 * Both checksums are XXH3-64 seeded with unique ^ number << 32 ^ offset, so
 * bytes of another file or place never pass, nor does what a sender wrote
 * into a span, for it does not know the seed.  The header's covers the header
 * with its field as zero, the body's the name and the payload.
 *
 * Reading: a valid record, or else the next 8 bytes are tried.  What is not
 * valid behind the last record is what a crash left of a write that was not
 * acknowledged; before it, it is damage: counted, and the rest counts.
 *
 * A file whose items are all done is unlinked.  Was it damaged, it becomes
 * <name>.queue.damaged and is not looked at any more.
 */

#ifndef SPOOR_CLUSTER_QUEUE_FORMAT_H
#define SPOOR_CLUSTER_QUEUE_FORMAT_H

#include "core/base.h"
#include "cluster/parcel.h"

#define QUEUE_FILE_MAGIC 0x3130455551505300ull /* "\0SPQUE01" */
#define QUEUE_RECORD_MAGIC 0x44524351u         /* "QCRD" */
#define QUEUE_VERSION 1u
#define QUEUE_PAGE 4096u
#define QUEUE_ALIGN 8u

enum queue_record_kind {
    QUEUE_PARCEL = 1,
    QUEUE_NODE,
    QUEUE_DONE,
};

struct queue_file_header {
    uint64_t magic;
    uint32_t version;
    uint32_t number;
    uint64_t unique;
    int64_t created_ns;
    uint64_t checksum; /* of the fields above */
};
_Static_assert(sizeof(struct queue_file_header) == 40, "disk format");

struct queue_record_header {
    uint32_t magic;
    uint8_t kind;
    uint8_t reserved;
    uint16_t node_len;
    uint64_t checksum;      /* of this header */
    uint64_t body_checksum; /* of what follows, without the last zeros */
    uint64_t item;          /* offset of the PARCEL record */
    uint64_t payload_len;
    int64_t unknown_ns;
    uint8_t id[PARCEL_ID_BYTES];
};
_Static_assert(sizeof(struct queue_record_header) == 64, "disk format");

static inline uint64_t
queue_seed(uint64_t unique, uint32_t number, uint64_t offset)
{
    return unique ^ (uint64_t)number << 32 ^ offset;
}

#endif
