/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/wal_direct.h"

#include <errno.h>
#include <fcntl.h>

#include "core/assert.h"
#include "core/file.h"
#include "core/mem.h"
#include "storage/wal_format.h"

/* What goes out at a time: it stays in the nearest caches meanwhile. */
#define STAGE_BYTES (512 * KIB)

size_t wal_direct_min = WAL_DIRECT_MIN;

void
wal_direct_init(struct wal_direct *direct)
{
    *direct = (struct wal_direct){-1, NULL, false};
}

void
wal_direct_leave(struct wal_direct *direct)
{
    file_close(direct->fd);
    direct->fd = -1;
}

void
wal_direct_release(struct wal_direct *direct)
{
    wal_direct_leave(direct);
    xfree(direct->stage);
    direct->stage = NULL;
}

/* The first page boundary of the memory. */
static char *
stage_start(const struct wal_direct *direct)
{
    return (char *)ALIGN_UP((uintptr_t)direct->stage, WAL_PAGE);
}

static bool
is_refusal(const struct err *err)
{
    return err->sys_errno == EINVAL || err->sys_errno == EOPNOTSUPP;
}

static int
open_file(struct wal_direct *direct, const char *path, struct err *err)
{
    if (direct->stage == NULL)
        direct->stage = mem_try_alloc(STAGE_BYTES + WAL_PAGE);
    if (direct->stage == NULL)
        return err_set(err, ERR_LIMIT, "no memory to write the log");
    direct->fd = file_open(path, O_WRONLY | O_DIRECT, 0, err);
    return direct->fd < 0 ? -1 : 0;
}

/* The vector through the stage. */
static int
write_staged(struct wal_direct *direct, const struct iovec *iov,
    uint64_t offset, struct err *err)
{
    char *stage = stage_start(direct);
    size_t used = 0, from = 0;

    while (iov->iov_base != NULL || used > 0) {
        if (iov->iov_base != NULL) {
            size_t n = MIN(iov->iov_len - from, STAGE_BYTES - used);

            memcpy(stage + used, (const char *)iov->iov_base + from, n);
            used += n;
            from += n;
            if (from == iov->iov_len) {
                iov++;
                from = 0;
            }
        }
        if (used < STAGE_BYTES && iov->iov_base != NULL)
            continue;
        check(used % WAL_PAGE == 0);
        if (file_pwrite(direct->fd, stage, used, offset, err) != 0)
            return -1;
        offset += used;
        used = 0;
    }
    return 0;
}

int
wal_direct_write(struct wal_direct *direct, const char *path,
    const struct iovec *iov, uint64_t offset, struct err *err)
{
    struct err local = ERR_INIT;

    if (direct->is_refused)
        return 0;
    /* Without memory or a descriptor the page cache does as well. */
    if (direct->fd < 0 && open_file(direct, path, &local) != 0) {
        direct->is_refused = is_refusal(&local);
        return 0;
    }
    if (write_staged(direct, iov, offset, &local) == 0)
        return 1;
    wal_direct_leave(direct);
    if (is_refusal(&local)) {
        direct->is_refused = true;
        return 0;
    }
    if (err != NULL)
        *err = local;
    return -1;
}
