/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Files of the durable queue: the bytes are adopted as they are; then, so
 * that the fuzzer gets behind the checksums, as records that are sealed for
 * it: the kind, the item, the lengths of name and payload, and their bytes.
 */

#include "core/base.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cluster/queue.h"
#include "cluster/queue_file.h"
#include "core/assert.h"
#include "core/enc.h"
#include "core/log.h"

#define FILE_BYTES_MAX (256 * KIB)

static const struct queue_name name = {5, 1};
static char dir[64];
static uint64_t touched;

static void
adopt_bytes(const void *ptr, size_t len)
{
    struct err err = ERR_INIT;
    struct queue_item *item, *next;
    struct queue *queue;
    char path[PATH_MAX], aside[PATH_MAX + 16];
    int fd;

    (void)mkdir(dir, 0700);
    queue_path(path, dir, &name);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    check(fd >= 0 && write(fd, ptr, len) == (ssize_t)len);
    close(fd);
    check(queue_open(&queue, dir, GIB, &err) == 0);
    for (item = queue_adopt(queue); item != NULL; item = next) {
        next = item->next;
        if (queue_load(queue, item, &err) == 0) {
            for (size_t i = 0; i < item->parcel.body.len; i++)
                touched += (uint8_t)item->parcel.body.ptr[i];
        }
        touched += item->node.len;
        queue_done(queue, item);
    }
    check(queue_items(queue) == 0 && queue_bytes(queue) == 0);
    queue_close(queue);
    snprintf(aside, sizeof(aside), "%s.damaged", path);
    unlink(path);
    unlink(aside);
}

/* One record of the data; how many bytes of it were used. */
static size_t
seal(struct sb *out, const uint8_t *data, size_t size)
{
    struct queue_record_header header = {.magic = QUEUE_RECORD_MAGIC};
    uint64_t seed = queue_seed(name.unique, name.number, out->len);
    size_t start = out->len, body;
    bool is_parcel;

    if (size < 8)
        return size;
    is_parcel = data[0] % 2 == 0;
    header.kind = data[0] % 4;
    header.node_len = data[1] % 32;
    header.payload_len = enc_get16(data + 2) % 512;
    header.item = is_parcel ? start : QUEUE_PAGE + (uint64_t)data[4] * 8;
    header.unknown_ns = data[5];
    memset(header.id, data[6] % 4, sizeof(header.id));
    body = MIN(header.node_len + header.payload_len, size - 8);
    header.node_len = (uint16_t)MIN(header.node_len, body);
    header.payload_len = body - header.node_len;
    header.body_checksum = XXH3_64bits_withSeed(data + 8, body, seed);
    header.checksum = XXH3_64bits_withSeed(&header, sizeof(header), seed);
    sb_add(out, &header, sizeof(header));
    sb_add(out, data + 8, body);
    while (out->len % QUEUE_ALIGN != 0)
        sb_add_char(out, '\0');
    return 8 + body;
}

/* A parcel whose id and size are of the data: marks have what to mark. */
static size_t
put(struct sb *out, const uint8_t *data, size_t size)
{
    struct parcel parcel = {.nspans = 1, .body = {(const char *)data,
        MIN(size, 8)}};
    struct queue_record record = {.kind = QUEUE_PARCEL, .offset = out->len,
        .item = out->len, .node = sv_make("n:1", data[0] % 4)};

    memset(parcel.id, data[0] % 4, sizeof(parcel.id));
    memset(record.id, data[0] % 4, sizeof(record.id));
    queue_record_put(out, &name, &record, &parcel);
    return 1;
}

static void
adopt_sealed(const uint8_t *data, size_t size)
{
    struct queue_file_header header = {QUEUE_FILE_MAGIC, QUEUE_VERSION,
        name.number, name.unique, 0, 0};
    struct sb out;

    sb_init(&out, FILE_BYTES_MAX);
    header.checksum = XXH3_64bits(&header,
        offsetof(struct queue_file_header, checksum));
    sb_add(&out, &header, sizeof(header));
    while (out.len < QUEUE_PAGE)
        sb_add_char(&out, '\0');
    for (size_t at = 0; at < size && !sb_failed(&out);)
        at += data[at] % 3 == 0 ? put(&out, data + at, size - at)
            : seal(&out, data + at, size - at);
    adopt_bytes(out.ptr, out.len);
    sb_release(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (dir[0] == '\0') {
        log_set_level(LOG_FATAL);
        snprintf(dir, sizeof(dir), "/dev/shm/spoor-fuzz-queue-%d",
            (int)getpid());
    }
    adopt_bytes(data, size);
    adopt_sealed(data, MIN(size, FILE_BYTES_MAX / 128));
    rmdir(dir);
    return 0;
}
