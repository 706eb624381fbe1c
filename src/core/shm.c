/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/assert.h"

/*
 * A server makes one region for each kind of content (channels, metrics,
 * catalogue, memtables), not one for each object; every region keeps a
 * descriptor open for fallocate(2).
 */
#define SHM_REGIONS_MAX 64

static struct {
    char *ptr;
    size_t bytes;
    int fd;
} shm_regions[SHM_REGIONS_MAX];
static unsigned shm_count;

int
shm_new(void **out, const char *name, size_t bytes, struct err *err)
{
    void *ptr;
    int fd;

    *out = NULL;
    if (shm_count == SHM_REGIONS_MAX)
        return err_set(err, ERR_LIMIT, "shared memory %s: more than %d "
            "regions", name, SHM_REGIONS_MAX);
    fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "shared memory %s: memfd_create", name);
    if (ftruncate(fd, (off_t)bytes) != 0) {
        err_sys(err, "shared memory %s: ftruncate to %zu bytes", name, bytes);
        close(fd);
        return -1;
    }
    ptr = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ptr == MAP_FAILED) {
        err_sys(err, "shared memory %s: mmap of %zu bytes", name, bytes);
        close(fd);
        return -1;
    }
    shm_regions[shm_count].ptr = ptr;
    shm_regions[shm_count].bytes = bytes;
    shm_regions[shm_count].fd = fd;
    shm_count++;
    *out = ptr;
    return 0;
}

/* Index of the region that [ptr, ptr + bytes) lies in; a bug if none. */
static unsigned
shm_find(const void *ptr, size_t bytes)
{
    uintptr_t first = (uintptr_t)ptr;

    for (unsigned i = 0; i < shm_count; i++) {
        uintptr_t start = (uintptr_t)shm_regions[i].ptr;

        if (first >= start && first - start <= shm_regions[i].bytes
            && bytes <= shm_regions[i].bytes - (first - start))
            return i;
    }
    panic("%p of %zu bytes is not in shared memory", ptr, bytes);
}

void
shm_free(void *ptr, size_t bytes)
{
    unsigned i = shm_find(ptr, bytes);

    munmap(ptr, bytes);
    close(shm_regions[i].fd);
    shm_regions[i] = shm_regions[--shm_count];
}

int
shm_reserve(void *ptr, size_t bytes, struct err *err)
{
    unsigned i = shm_find(ptr, bytes);
    off_t offset = (off_t)((char *)ptr - shm_regions[i].ptr);
    int rc;

    if (bytes == 0)
        return 0;
    do
        rc = fallocate(shm_regions[i].fd, 0, offset, (off_t)bytes);
    while (rc != 0 && errno == EINTR);
    if (rc != 0)
        return err_sys(err, "shared memory: reserving %zu bytes", bytes);
#ifdef MADV_POPULATE_WRITE
    {
        /* Saves page faults later; the pages are there without it, too. */
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        uintptr_t first = (uintptr_t)ptr & ~(page - 1);

        rc = madvise((void *)first, (uintptr_t)ptr + bytes - first,
            MADV_POPULATE_WRITE);
        (void)rc;
    }
#endif
    return 0;
}

void
shm_release(void *ptr, size_t bytes)
{
    unsigned i = shm_find(ptr, bytes);
    off_t offset = (off_t)((char *)ptr - shm_regions[i].ptr);
    int rc;

    if (bytes == 0)
        return;
    do
        rc = fallocate(shm_regions[i].fd,
            FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
            (off_t)bytes);
    while (rc != 0 && errno == EINTR);
    if (rc != 0)
        memset(ptr, 0, bytes);
}
