/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Manifests of a day: the bytes are read as they are; then, so that the
 * fuzzer gets behind the checksums, as items of edits that are sealed for it,
 * cut wherever the input has a byte CUT.
 */

#include "core/base.h"

#include <fcntl.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/assert.h"
#include "core/file.h"
#include "storage/layout.h"
#include "storage/manifest.h"

#define DAY 20261121u
#define NUMBER 1u
#define CUT 0xff
/* Edits of one input; the last has all the rest. */
#define EDITS_MAX 16u
#define ITEMS_MAX (64 * KIB)

/* As src/storage/manifest.c describes the file. */
struct file_header {
    uint64_t magic;
    uint32_t version;
    uint32_t day;
    uint64_t number;
    uint8_t ids[32];
    uint64_t checksum;
};

struct edit_header {
    uint32_t magic;
    uint32_t len;
    uint64_t checksum;
};

static char root[64];

static void
clean_up(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", root);
    (void)!system(command);
}

static void
read_bytes(const void *ptr, size_t len)
{
    struct manifest manifest;
    struct err err = ERR_INIT;
    char path[PATH_MAX];
    int fd;

    layout_manifest(path, DAY);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    check(fd >= 0 && write(fd, ptr, len) == (ssize_t)len);
    close(fd);
    if (manifest_read(&manifest, DAY, &err) == 0)
        manifest_release(&manifest);
}

/* The edit at `offset`; its end. */
static size_t
put_edit(uint8_t *file, size_t offset, const uint8_t *items, size_t len)
{
    struct edit_header header = {0x54494445u, (uint32_t)len, 0};
    uint8_t *edit = file + offset;

    memcpy(edit, &header, sizeof(header));
    memcpy(edit + sizeof(header), items, len);
    header.checksum = XXH3_64bits_withSeed(edit, sizeof(header) + len,
        NUMBER ^ offset);
    memcpy(edit, &header, sizeof(header));
    return ALIGN_UP(offset + sizeof(header) + len, (size_t)8);
}

static void
read_sealed(const uint8_t *data, size_t size)
{
    static uint8_t file[ITEMS_MAX + 4 * KIB];
    struct file_header header = {0x313046494e414d53u, 1, DAY, NUMBER, {0},
        0};
    size_t end = sizeof(header);

    memset(file, 0, sizeof(file));
    header.checksum = XXH3_64bits(&header,
        offsetof(struct file_header, checksum));
    memcpy(file, &header, sizeof(header));
    size = MIN(size, ITEMS_MAX);
    for (unsigned i = 0; i < EDITS_MAX && size > 0; i++) {
        const uint8_t *cut = memchr(data, CUT, size);
        size_t len = cut == NULL || i == EDITS_MAX - 1 ? size
                                                       : (size_t)(cut - data);

        end = put_edit(file, end, data, len);
        len = MIN(len + 1, size);
        data += len;
        size -= len;
    }
    read_bytes(file, end);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;

    if (root[0] == '\0') {
        snprintf(root, sizeof(root), "/dev/shm/spoor-fuzz-manifest-%d",
            (int)getpid());
        layout_set(root);
        check(layout_create(&err) == 0 &&
            layout_create_partition(DAY, &err) == 0);
        atexit(clean_up);
    }
    read_bytes(data, size);
    read_sealed(data, size);
    return 0;
}
