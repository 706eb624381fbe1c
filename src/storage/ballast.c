/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/ballast.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/conf_budget.h"
#include "core/file.h"
#include "core/log.h"
#include "core/sys.h"
#include "storage/layout.h"
#include "storage/shared.h"

#define NAME ".ballast"
#define MIN_FREE_TIMES 16u
#define DISK_SHARE 200u
/* Smaller ones help nobody. */
#define SIZE_MIN (64 * KIB)
/* Made below this many times its size in free space, removed above that. */
#define MAKE_TIMES 8u
#define REMOVE_TIMES 16u

uint64_t
ballast_size(const struct conf *conf, uint64_t disk_bytes)
{
    uint64_t workers = shared != NULL ? shared->nslots : 1;
    uint64_t size = 2 * workers * SLOT_BUFFERS * MEMTABLE_BYTES + 32 * MIB;

    size = MIN(size, disk_bytes / DISK_SHARE);
    if (conf->min_free_disk != 0)
        size = MIN(size, MIN_FREE_TIMES * MIN(conf->min_free_disk, GIB));
    size -= size % SIZE_MIN;
    return size;
}

static bool
ballast_exists(void)
{
    char path[PATH_MAX];

    layout_path(path, NAME);
    return sys.access(path, F_OK) == 0;
}

static int
ballast_make(uint64_t size, struct err *err)
{
    char path[PATH_MAX];
    int fd, rc;

    layout_path(path, NAME);
    fd = file_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640, err);
    if (fd < 0)
        return -1;
    rc = file_allocate(fd, 0, size, err);
    file_close(fd);
    if (rc != 0)
        sys.unlink(path);
    return rc;
}

bool
ballast_tend(const struct conf *conf, uint64_t free_bytes)
{
    uint64_t total, size, need = conf->min_free_disk;
    struct err err = ERR_INIT;
    char path[PATH_MAX];

    if (file_total_bytes(layout_root(), &total, &err) != 0)
        return false;
    size = ballast_size(conf, total);
    if (ballast_exists()) {
        if (free_bytes < need + REMOVE_TIMES * size)
            return true;
        layout_path(path, NAME);
        sys.unlink(path);
        return false;
    }
    if (size == 0 || free_bytes >= need + MAKE_TIMES * size ||
        free_bytes < need + 2 * size)
        return false;
    /* A file system that cannot allocate has none. */
    return ballast_make(size, &err) == 0;
}

bool
ballast_release(void)
{
    char path[PATH_MAX];

    layout_path(path, NAME);
    if (sys.unlink(path) != 0)
        return false;
    if (shared != NULL)
        atomic_store(&shared->is_read_only, READ_ONLY_DISK);
    log_error("the disk of %s is full: the ballast is given up for upkeep, "
        "inserts are refused until there is more space", layout_root());
    return true;
}
