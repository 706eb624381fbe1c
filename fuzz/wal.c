/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Log files: the bytes are read as they are; then, so that the fuzzer gets
 * behind the checksums, as the records of a group that is sealed for it.
 */

#include "core/base.h"

#include <fcntl.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/assert.h"
#include "storage/wal.h"
#include "storage/wal_format.h"

static uint64_t touched;

static int IMPL(wal_entry_fn)
touch(const struct wal_entry *entry, void *arg, struct err *err)
{
    (void)arg;
    (void)err;
    for (size_t i = 0; i < entry->wire.len; i++)
        touched += (uint8_t)entry->wire.ptr[i];
    for (size_t i = 0; i < entry->params.len; i++)
        touched += (uint8_t)entry->params.ptr[i];
    for (size_t i = 0; i < (size_t)entry->nrejected * 4; i++)
        touched += entry->rejected[i];
    return 0;
}

static void
read_bytes(const char *path, const void *ptr, size_t len)
{
    struct err err = ERR_INIT;
    struct wal_scan scan;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    check(fd >= 0 && write(fd, ptr, len) == (ssize_t)len);
    close(fd);
    (void)!wal_read_file(path, touch, NULL, &scan, &err);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[64];
    static uint8_t file[128 * 1024];
    struct wal_file_header header = {WAL_FILE_MAGIC, WAL_VERSION, 1, 5, {0},
        0, 0};
    struct wal_group_header group = {WAL_GROUP_MAGIC, 0, 5, WAL_PAGE, 0, 1,
        3};

    if (path[0] == '\0')
        snprintf(path, sizeof(path), "/dev/shm/spoor-fuzz-wal-%d",
            (int)getpid());
    read_bytes(path, data, size);
    size = MIN(size, sizeof(file) - 2 * WAL_PAGE);
    memset(file, 0, sizeof(file));
    header.checksum = XXH3_64bits(&header,
        offsetof(struct wal_file_header, checksum));
    memcpy(file, &header, sizeof(header));
    group.len = sizeof(group) + size;
    memcpy(file + WAL_PAGE, &group, sizeof(group));
    memcpy(file + WAL_PAGE + sizeof(group), data, size);
    group.checksum = XXH3_64bits_withSeed(file + WAL_PAGE, group.len,
        wal_seed(5, 1, WAL_PAGE));
    memcpy(file + WAL_PAGE, &group, sizeof(group));
    read_bytes(path, file, WAL_PAGE + group.len);
    unlink(path);
    return 0;
}
