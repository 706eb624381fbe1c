/* SPDX-License-Identifier: BSD-2-Clause */

/* Writing the log: wal_format.h describes the bytes. */

#include "core/base.h"
#include "storage/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/assert.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "storage/wal_direct.h"
#include "storage/wal_format.h"

/* Allocation runs ahead in steps, so that a sync rarely changes the size. */
#define ALLOCATE_STEP (16 * MIB)
/* Records of one group; the ingest thread takes fewer. */
#define GROUP_RECORDS_MAX 1024u
#define IOV_PER_RECORD 4u

struct wal_file {
    uint32_t number;
    uint64_t bytes;
    uint64_t end_lsn; /* above every row in it */
    struct wal_digest *digests;
    size_t ndigests, cap_digests;
    struct wal_file *next;
};

struct wal {
    uint32_t magic;
    uint64_t log_id;
    uint8_t node_id[16];
    char *dir;
    int fd;
    struct wal_direct direct;
    uint32_t number;    /* of the present file; 0: none yet */
    uint64_t offset;    /* where the next group goes */
    uint64_t allocated;
    bool is_dirty;     /* the present file */
    bool is_dir_dirty; /* its name */
    bool is_failed;
    /* Present and older files, oldest first; guarded by the mutex. */
    pthread_mutex_t mutex;
    struct wal_file *files;
    struct wal_file *present;
    _Atomic uint64_t bytes;
    struct iovec iov[2 + GROUP_RECORDS_MAX * IOV_PER_RECORD + 1];
    struct wal_record_header headers[GROUP_RECORDS_MAX];
};

#define WAL_MAGIC 0x77616c31u

int
wal_open(struct wal **out, const char *dir, uint64_t log_id,
    const uint8_t node_id[16], struct err *err)
{
    struct wal *wal = xcalloc(1, sizeof(*wal));

    (void)err;
    wal->magic = WAL_MAGIC;
    wal->log_id = log_id;
    memcpy(wal->node_id, node_id, sizeof(wal->node_id));
    wal->dir = xstrdup(dir);
    wal->fd = -1;
    wal_direct_init(&wal->direct);
    check(pthread_mutex_init(&wal->mutex, NULL) == 0);
    *out = wal;
    return 0;
}

static void
wal_file_free(struct wal_file *file)
{
    xfree(file->digests);
    xfree(file);
}

void
wal_close(struct wal *wal)
{
    if (wal == NULL)
        return;
    OBJ_CHECK(wal, WAL_MAGIC);
    file_close(wal->fd);
    wal_direct_release(&wal->direct);
    while (wal->files != NULL) {
        struct wal_file *next = wal->files->next;

        wal_file_free(wal->files);
        wal->files = next;
    }
    pthread_mutex_destroy(&wal->mutex);
    xfree(wal->dir);
    wal->magic = 0;
    xfree(wal);
}

uint64_t
wal_log_id(const struct wal *wal)
{
    return wal->log_id;
}

uint64_t
wal_bytes(const struct wal *wal)
{
    return atomic_load(&wal->bytes);
}

static void
wal_add_file(struct wal *wal)
{
    struct wal_file *file = xcalloc(1, sizeof(*file));

    file->number = wal->number;
    pthread_mutex_lock(&wal->mutex);
    if (wal->present == NULL)
        wal->files = file;
    else
        wal->present->next = file;
    wal->present = file;
    pthread_mutex_unlock(&wal->mutex);
}

static int
wal_new_file(struct wal *wal, bool sync, struct err *err)
{
    struct wal_file_name name = {wal->log_id, wal->number + 1, false};
    struct wal_file_header header = {WAL_FILE_MAGIC, WAL_VERSION,
        wal->number + 1, wal->log_id, {0}, clock_wall_ns(), 0};
    char path[PATH_MAX];
    int fd;

    memcpy(header.node_id, wal->node_id, sizeof(header.node_id));
    header.checksum = XXH3_64bits(&header,
        offsetof(struct wal_file_header, checksum));
    wal_file_path(path, sizeof(path), wal->dir, &name);
    fd = file_open(path, O_RDWR | O_CREAT | O_EXCL, 0600, err);
    if (fd < 0)
        return -1;
    if (file_pwrite(fd, &header, sizeof(header), 0, err) != 0 ||
        (sync && file_datasync(fd, err) != 0) ||
        (sync && file_sync_dir(wal->dir, err) != 0)) {
        file_close(fd);
        sys.unlink(path);
        return -1;
    }
    fault("wal.after_new_file");
    file_close(wal->fd);
    wal_direct_leave(&wal->direct);
    wal->fd = fd;
    wal->number++;
    wal->offset = WAL_PAGE;
    wal->allocated = WAL_PAGE;
    wal->is_dirty = false;
    wal->is_dir_dirty = !sync;
    wal_add_file(wal);
    return 0;
}

static int
wal_datasync(struct wal *wal, struct err *err)
{
    int64_t start = clock_mono_ns();

    if (file_datasync(wal->fd, err) != 0)
        return -1;
    metric_observe_ns(METRIC_LOG_SYNC_SECONDS, clock_mono_ns() - start);
    return 0;
}

/* Space ahead is an optimisation; only a full disk is an error here. */
static int
wal_allocate(struct wal *wal, uint64_t end, struct err *err)
{
    struct err ignored = ERR_INIT;
    uint64_t step = MAX(ALIGN_UP(end - wal->allocated, ALLOCATE_STEP),
        ALLOCATE_STEP);

    if (end <= wal->allocated)
        return 0;
    if (file_allocate(wal->fd, wal->allocated, step, &ignored) == 0) {
        wal->allocated += step;
        return 0;
    }
    if (ignored.code == ERR_NO_SPACE &&
        file_allocate(wal->fd, wal->allocated, end - wal->allocated,
            &ignored) != 0 && ignored.code == ERR_NO_SPACE) {
        *err = ignored;
        return -1;
    }
    wal->allocated = end;
    return 0;
}

static void
record_header_fill(struct wal_record_header *header,
    const struct wal_record *record)
{
    const struct ingest *ingest = record->ingest;

    memset(header, 0, sizeof(*header));
    header->magic = WAL_RECORD_MAGIC;
    header->version = WAL_VERSION;
    header->format = (uint8_t)ingest->format;
    header->encoding = (uint8_t)ingest->encoding;
    header->account = ingest->tenant.account;
    header->project = ingest->tenant.project;
    header->first_lsn = record->first_lsn;
    header->recv_time_ns = ingest->recv_time_ns;
    header->nrows = ingest->batch->nspans;
    header->nrejected = ingest->batch->rejected;
    header->reject_mask = ingest->batch->reject_mask;
    header->params_len = (uint32_t)ingest->params.len;
    header->body_len = ingest->wire.len;
    memcpy(header->digest, ingest->digest, sizeof(header->digest));
}

/* The rows of a body that were refused, as u32 in rising order. */
static uint32_t *
rejected_rows(const struct batch *batch)
{
    uint32_t *rows, n = 0;

    if (batch->rejected == 0)
        return NULL;
    rows = xmalloc(batch->rejected * sizeof(*rows));
    for (uint32_t i = 0; i < batch->nspans; i++) {
        if (batch->spans[i].reject != REJECT_NONE) {
            check(n < batch->rejected);
            rows[n++] = i;
        }
    }
    check(n == batch->rejected);
    return rows;
}

static void
iov_add(struct iovec *iov, int *niov, XXH3_state_t *hash, const void *ptr,
    size_t len)
{
    if (len == 0)
        return;
    iov[*niov].iov_base = (void *)(uintptr_t)ptr;
    iov[*niov].iov_len = len;
    (*niov)++;
    XXH3_64bits_update(hash, ptr, len);
}

/* Lays the group out as an I/O vector and seals it; returns its length. */
static size_t
group_build(struct wal *wal, struct wal_group_header *group,
    const struct wal_record *records, unsigned n, uint32_t **rejected)
{
    static const uint8_t zeros[WAL_PAGE];
    XXH3_state_t hash = {0};
    int niov = 1;
    size_t len = sizeof(*group), padding;

    for (unsigned i = 0; i < n; i++)
        len += sizeof(struct wal_record_header) +
            records[i].ingest->params.len +
            records[i].ingest->batch->rejected * sizeof(uint32_t) +
            records[i].ingest->wire.len;
    *group = (struct wal_group_header){WAL_GROUP_MAGIC, 0, wal->log_id,
        wal->offset, len, wal->number, n};
    XXH3_64bits_reset_withSeed(&hash, wal_seed(wal->log_id, wal->number,
        wal->offset));
    XXH3_64bits_update(&hash, group, sizeof(*group));
    for (unsigned i = 0; i < n; i++) {
        const struct ingest *ingest = records[i].ingest;

        record_header_fill(&wal->headers[i], &records[i]);
        rejected[i] = rejected_rows(ingest->batch);
        iov_add(wal->iov, &niov, &hash, &wal->headers[i],
            sizeof(wal->headers[i]));
        iov_add(wal->iov, &niov, &hash, ingest->params.ptr,
            ingest->params.len);
        iov_add(wal->iov, &niov, &hash, rejected[i],
            ingest->batch->rejected * sizeof(uint32_t));
        iov_add(wal->iov, &niov, &hash, ingest->wire.ptr, ingest->wire.len);
    }
    group->checksum = XXH3_64bits_digest(&hash);
    wal->iov[0] = (struct iovec){group, sizeof(*group)};
    padding = ALIGN_UP(len, WAL_PAGE) - len;
    if (padding != 0)
        wal->iov[niov++] = (struct iovec){(void *)(uintptr_t)zeros, padding};
    wal->iov[niov] = (struct iovec){NULL, 0};
    return len + padding;
}

/* 1: written, 0: to be written as any other, -1: failed. */
static int
group_write_direct(struct wal *wal, struct err *err)
{
    struct wal_file_name name = {wal->log_id, wal->number, false};
    char path[PATH_MAX];

    wal_file_path(path, sizeof(path), wal->dir, &name);
    return wal_direct_write(&wal->direct, path, wal->iov, wal->offset, err);
}

/* The vector in pieces that writev(2) takes (IOV_MAX is 1024). */
static int
group_write(struct wal *wal, struct err *err)
{
    uint64_t offset = wal->offset;
    int from = 0;

    while (wal->iov[from].iov_base != NULL) {
        uint64_t bytes = 0;
        int count = 0;

        while (count < 512 && wal->iov[from + count].iov_base != NULL)
            bytes += wal->iov[from + count++].iov_len;
        if (file_pwritev(wal->fd, wal->iov + from, count, offset, err) != 0)
            return -1;
        offset += bytes;
        from += count;
    }
    return 0;
}

static void
file_note_group(struct wal *wal, const struct wal_record *records,
    unsigned n, size_t len)
{
    struct wal_file *file = wal->present;

    pthread_mutex_lock(&wal->mutex);
    file->bytes += len;
    if (file->ndigests + n > file->cap_digests) {
        file->cap_digests = MAX(2 * file->cap_digests, file->ndigests + n);
        file->digests = xrealloc(file->digests,
            file->cap_digests * sizeof(*file->digests));
    }
    for (unsigned i = 0; i < n; i++) {
        const struct ingest *ingest = records[i].ingest;
        struct wal_digest *digest = &file->digests[file->ndigests++];

        memcpy(digest->digest, ingest->digest, sizeof(digest->digest));
        digest->recv_time_ns = ingest->recv_time_ns;
        digest->rejected = ingest->batch->rejected;
        digest->reject_mask = ingest->batch->reject_mask;
        file->end_lsn = records[i].first_lsn + ingest->batch->nspans;
    }
    pthread_mutex_unlock(&wal->mutex);
    atomic_fetch_add(&wal->bytes, len);
}

int
wal_append(struct wal *wal, const struct wal_record *records, unsigned n,
    bool sync, struct err *err)
{
    struct wal_group_header group;
    uint32_t *rejected[GROUP_RECORDS_MAX];
    size_t len;
    int rc = -1, written = 0;

    OBJ_CHECK(wal, WAL_MAGIC);
    check(!wal->is_failed);
    check(n > 0 && n <= GROUP_RECORDS_MAX);
    if (wal->number == 0 || wal_is_full(wal)) {
        if (wal_new_file(wal, sync, err) != 0) {
            wal->is_failed = true;
            return -1;
        }
    }
    len = group_build(wal, &group, records, n, rejected);
    if (wal_allocate(wal, wal->offset + len, err) != 0)
        goto out;
    /* What need not be on the disk now is better off in the page cache. */
    if (sync && len >= wal_direct_min)
        written = group_write_direct(wal, err);
    if (written < 0 || (written == 0 && group_write(wal, err) != 0))
        goto out;
    fault("wal.after_pwritev");
    if (sync && wal_datasync(wal, err) != 0)
        goto out;
    if (sync)
        fault("wal.after_fdatasync");
    wal->is_dirty = !sync;
    file_note_group(wal, records, n, len);
    wal->offset += len;
    metric_add(METRIC_LOG_GROUPS, 1);
    metric_add(METRIC_LOG_WRITTEN_BYTES, len);
    rc = 0;
out:
    for (unsigned i = 0; i < n; i++)
        xfree(rejected[i]);
    if (rc != 0) {
        wal->is_failed = true;
        metric_add(METRIC_LOG_ERRORS, 1);
        if (sys.ftruncate(wal->fd, (off_t)wal->offset) != 0)
            err_wrap(err, "log not cut back either");
    }
    return rc;
}

int
wal_sync(struct wal *wal, struct err *err)
{
    if (!wal->is_dirty)
        return 0;
    if (wal_datasync(wal, err) != 0 || (wal->is_dir_dirty &&
        file_sync_dir(wal->dir, err) != 0)) {
        wal->is_failed = true;
        metric_add(METRIC_LOG_ERRORS, 1);
        return -1;
    }
    wal->is_dirty = false;
    wal->is_dir_dirty = false;
    return 0;
}

bool
wal_is_full(const struct wal *wal)
{
    return wal->offset >= WAL_FILE_BYTES;
}

/* Takes the oldest file off the list when all its rows are below lsn. */
static struct wal_file *
release_next(struct wal *wal, uint64_t lsn, bool all)
{
    struct wal_file *file;

    pthread_mutex_lock(&wal->mutex);
    file = wal->files;
    if (file == NULL || file->end_lsn > lsn ||
        (file == wal->present && !all)) {
        file = NULL;
    } else {
        wal->files = file->next;
        if (file == wal->present)
            wal->present = NULL;
    }
    pthread_mutex_unlock(&wal->mutex);
    return file;
}

int
wal_release(struct wal *wal, uint64_t lsn, bool all, struct err *err)
{
    struct wal_file *file;
    int rc = 0;

    OBJ_CHECK(wal, WAL_MAGIC);
    while ((file = release_next(wal, lsn, all)) != NULL) {
        struct wal_file_name name = {wal->log_id, file->number, false};
        char path[PATH_MAX];

        wal_file_path(path, sizeof(path), wal->dir, &name);
        if (wal_write_digests(wal->dir, &name, file->digests,
            file->ndigests, err) != 0)
            rc = -1;
        fault("wal.before_unlink");
        if (file_unlink(path, err) != 0)
            rc = -1;
        atomic_fetch_sub(&wal->bytes, file->bytes);
        wal_file_free(file);
    }
    return rc;
}
