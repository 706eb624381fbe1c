/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A log is read twice.  The first time notes the requests whose rows are in
 * parts, the second gives away the rows that are not; a request that a sender
 * repeated and that two logs hold is given once.
 */

#include "core/base.h"
#include "storage/offline.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/compress.h"
#include "core/enc.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "storage/layout.h"
#include "storage/manifest.h"
#include "storage/part.h"
#include "storage/wal.h"

/* Rows that are read at a time, where they fit. */
#define CHUNK_ROWS 4096u
#define CHUNK_BYTES_MAX (512 * MIB)
/* One logged request; what replay allows. */
#define BODY_BYTES_MAX (256 * MIB)
#define RECORD_BYTES_MAX (4 * GIB)

struct flushed_day {
    uint32_t day;
    uint64_t log_id;
    uint64_t lsn;
};

struct digest {
    uint8_t b[16];
};

struct offline {
    const struct offline_query *query;
    struct offline_report *report;
    struct layout_node node;
    struct flushed_day *flushed;
    size_t nflushed, cap_flushed;
    /* An open hash of requests; zeros: a free place. */
    struct digest *digests;
    size_t ndigests, cap_digests;
};

int
offline_lock(int *fd, struct err *err)
{
    char path[PATH_MAX];

    layout_path(path, "LOCK");
    *fd = -1;
    if (sys.access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    *fd = file_open(path, O_RDONLY, 0, err);
    if (*fd < 0)
        return -1;
    if (sys.flock(*fd, LOCK_SH | LOCK_NB) == 0)
        return 0;
    file_close(*fd);
    *fd = -1;
    return err_set(err, ERR_BUSY, "%s is in use by a running spoor: stop it "
        "first", layout_root());
}

static void
damaged(struct offline *o, const struct err *why)
{
    if (o->report->damaged++ == 0)
        o->report->damage = *why;
}

/* --- giving spans away --- */

static bool
is_wanted(const struct offline *o, const struct span *span)
{
    return span->reject == REJECT_NONE && span->end_ns >= o->query->start_ns &&
        span->end_ns < o->query->end_ns;
}

/* Keeps the wanted spans; tenants NULL: all are of the right one. */
static void
batch_pick(struct offline *o, struct batch *batch,
    const struct tenant *tenants)
{
    const struct tenant *own = &o->query->tenant;
    uint32_t n = 0;

    for (uint32_t i = 0; i < batch->nspans; i++) {
        if (!is_wanted(o, &batch->spans[i]))
            continue;
        if (tenants != NULL && (tenants[i].account != own->account ||
            tenants[i].project != own->project)) {
            o->report->other_tenants++;
            continue;
        }
        batch->spans[n++] = batch->spans[i];
    }
    batch->nspans = n;
    batch->rejected = 0;
    batch->reject_mask = 0;
}

static int
batch_give(struct offline *o, const struct batch *batch, struct err *err)
{
    if (batch->nspans == 0)
        return 0;
    o->report->spans += batch->nspans;
    return o->query->fn(batch, o->query->arg, err);
}

/* --- parts --- */

/* Rows of a part. */
struct chunk {
    struct pool *pool;
    struct batch batch;
    struct tenant *tenants; /* of each row */
    uint32_t n;
};

/* Reads up to CHUNK_ROWS rows; halves that while they need too much memory. */
static int
chunk_read(struct chunk *chunk, struct part *part, uint64_t from,
    struct err *err)
{
    uint32_t want = CHUNK_ROWS;

    for (;;) {
        pool_reset(chunk->pool);
        batch_init(&chunk->batch, chunk->pool);
        err_reset(err);
        if (part_read_rows(part, from, want, &chunk->batch, chunk->tenants,
            &chunk->n, err) == 0)
            return 0;
        if (err->code != ERR_LIMIT || want == 1)
            return -1;
        want /= 2;
    }
}

/* Damage ends the part, not the reading. */
static int
part_give(struct offline *o, struct part *part, struct err *err)
{
    struct chunk chunk = {
        .tenants = xcalloc(CHUNK_ROWS, sizeof(*chunk.tenants)),
        .pool = pool_new(CHUNK_BYTES_MAX),
    };
    uint64_t rows = part_get_info(part)->rows;
    int rc = 0;

    pool_keep(chunk.pool, CHUNK_BYTES_MAX / 8);
    for (uint64_t from = 0; rc == 0 && from < rows; from += chunk.n) {
        struct err part_err = ERR_INIT;

        if (chunk_read(&chunk, part, from, &part_err) != 0) {
            damaged(o, &part_err);
            break;
        }
        if (chunk.n == 0)
            break;
        batch_pick(o, &chunk.batch, chunk.tenants);
        rc = batch_give(o, &chunk.batch, err);
    }
    pool_free(chunk.pool);
    xfree(chunk.tenants);
    return rc;
}

static int
part_read_file(struct offline *o, const struct manifest_part *listed,
    struct err *err)
{
    const struct part_info *info = &listed->info;
    struct err open_err = ERR_INIT;
    struct part *part = NULL;
    char path[PATH_MAX];
    int rc = 0;

    if (info->max_end_ns < o->query->start_ns ||
        info->min_end_ns >= o->query->end_ns)
        return 0;
    layout_part(path, info->day, info->id, info->level);
    o->report->parts++;
    if (part_open(&part, path, &open_err) != 0)
        damaged(o, &open_err);
    else
        rc = part_give(o, part, err);
    part_close(part);
    return rc;
}

static void
flushed_add(struct offline *o, uint32_t day,
    const struct manifest_flushed *flushed)
{
    if (o->nflushed == o->cap_flushed) {
        o->cap_flushed = MAX(2 * o->cap_flushed, 64u);
        o->flushed = xrealloc(o->flushed,
            o->cap_flushed * sizeof(*o->flushed));
    }
    o->flushed[o->nflushed++] = (struct flushed_day){day, flushed->log_id,
        flushed->lsn};
}

static int
day_read(struct offline *o, uint32_t day, struct err *err)
{
    struct err day_err = ERR_INIT;
    struct manifest manifest;
    int rc = 0;

    if (manifest_read(&manifest, day, &day_err) != 0) {
        damaged(o, &day_err);
        return 0;
    }
    if (manifest.is_damaged) {
        (void)err_set(&day_err, ERR_CORRUPT, "manifest of %u: a valid edit "
            "stands behind a bad one", day);
        damaged(o, &day_err);
    }
    /* A copy from elsewhere says nothing about the logs of this server. */
    if (memcmp(manifest.node_id, o->node.id, sizeof(o->node.id)) == 0) {
        for (size_t i = 0; i < manifest.nflushed; i++)
            flushed_add(o, day, &manifest.flushed[i]);
    }
    o->report->days += manifest.nparts > 0;
    for (size_t i = 0; rc == 0 && i < manifest.nparts; i++)
        rc = part_read_file(o, &manifest.parts[i], err);
    manifest_release(&manifest);
    return rc;
}

/* --- requests of the logs --- */

static size_t
digest_place(const struct offline *o, const uint8_t digest[16])
{
    static const struct digest none;
    size_t place = (size_t)enc_get64(digest) & (o->cap_digests - 1);

    while (memcmp(&o->digests[place], &none, sizeof(none)) != 0 &&
        memcmp(o->digests[place].b, digest, 16) != 0)
        place = (place + 1) & (o->cap_digests - 1);
    return place;
}

static void
digests_grow(struct offline *o)
{
    struct digest *old = o->digests;
    size_t cap = o->cap_digests;
    static const struct digest none;

    o->cap_digests = MAX(2 * cap, (size_t)1024);
    o->digests = xcalloc(o->cap_digests, sizeof(*o->digests));
    for (size_t i = 0; i < cap; i++) {
        if (memcmp(&old[i], &none, sizeof(none)) != 0)
            o->digests[digest_place(o, old[i].b)] = old[i];
    }
    xfree(old);
}

/* False: it was there before. */
static bool
digest_add(struct offline *o, const uint8_t digest[16])
{
    size_t place;

    if (2 * (o->ndigests + 1) > o->cap_digests)
        digests_grow(o);
    place = digest_place(o, digest);
    if (memcmp(o->digests[place].b, digest, 16) == 0)
        return false;
    memcpy(o->digests[place].b, digest, 16);
    o->ndigests++;
    return true;
}

/* --- rows of the logs --- */

static bool
row_is_flushed(const struct offline *o, uint64_t log_id, uint32_t day,
    uint64_t lsn)
{
    for (size_t i = 0; i < o->nflushed; i++) {
        const struct flushed_day *flushed = &o->flushed[i];

        if (flushed->log_id == log_id && flushed->day == day)
            return lsn < flushed->lsn;
    }
    return false;
}

static bool
record_is_flushed(const struct offline *o, const struct wal_entry *entry)
{
    for (size_t i = 0; i < o->nflushed; i++) {
        if (o->flushed[i].log_id == entry->log_id &&
            entry->first_lsn < o->flushed[i].lsn)
            return true;
    }
    return false;
}

static int
record_decode(const struct offline *o, const struct wal_entry *entry,
    struct sb *inflated, struct batch *batch, struct err *err)
{
    struct sv body = entry->wire;

    if (entry->encoding != ENCODING_IDENTITY) {
        if (decompress(entry->encoding, body, BODY_BYTES_MAX, inflated,
            err) != 0)
            return -1;
        body = sb_sv(inflated);
    }
    if (o->query->decode(entry->format, entry->params, body, batch,
        err) != 0)
        return -1;
    if (batch->nspans != entry->nrows)
        return err_set(err, ERR_CORRUPT, "a record decodes to %u spans, it "
            "says %u", batch->nspans, entry->nrows);
    return 0;
}

/* What the record says was refused stays out, and nothing else. */
static void
record_mark(const struct offline *o, const struct wal_entry *entry,
    struct batch *batch)
{
    for (uint32_t i = 0; i < batch->nspans; i++)
        batch->spans[i].reject = REJECT_NONE;
    for (uint32_t i = 0; i < entry->nrejected; i++) {
        uint32_t row = enc_get32(entry->rejected + (size_t)i * 4);

        if (row < batch->nspans)
            batch->spans[row].reject = REJECT_TRACE_ID;
    }
    for (uint32_t i = 0; i < batch->nspans; i++) {
        struct span *span = &batch->spans[i];

        if (row_is_flushed(o, entry->log_id, time_day(span->end_ns),
            entry->first_lsn + i))
            span->reject = REJECT_TIME;
    }
}

static int IMPL(wal_entry_fn)
record_give(const struct wal_entry *entry, void *arg, struct err *err)
{
    struct offline *o = arg;
    struct err decode_err = ERR_INIT;
    struct batch batch;
    struct pool *pool;
    struct sb inflated;
    int rc = 0;

    if (!digest_add(o, entry->digest) && !record_is_flushed(o, entry))
        return 0;
    if (entry->tenant.account != o->query->tenant.account ||
        entry->tenant.project != o->query->tenant.project) {
        if (!record_is_flushed(o, entry))
            o->report->other_tenants += entry->nrows - entry->nrejected;
        return 0;
    }
    pool = pool_new(RECORD_BYTES_MAX);
    sb_init(&inflated, BODY_BYTES_MAX);
    batch_init(&batch, pool);
    if (record_decode(o, entry, &inflated, &batch, &decode_err) != 0) {
        damaged(o, &decode_err);
    } else {
        record_mark(o, entry, &batch);
        batch_pick(o, &batch, NULL);
        o->report->log_spans += batch.nspans;
        rc = batch_give(o, &batch, err);
    }
    sb_release(&inflated);
    pool_free(pool);
    return rc;
}

static int IMPL(wal_entry_fn)
record_note(const struct wal_entry *entry, void *arg, struct err *err)
{
    struct offline *o = arg;

    (void)err;
    if (record_is_flushed(o, entry))
        (void)digest_add(o, entry->digest);
    return 0;
}

/* is_last: what the second and last reading finds damaged counts. */
static int
logs_visit(struct offline *o, const struct wal_file_name *names, size_t n,
    bool is_last, struct err *err)
{
    char dir[PATH_MAX], path[PATH_MAX];

    layout_wal_dir(dir);
    for (size_t i = 0; i < n; i++) {
        struct err file_err = ERR_INIT;
        struct wal_scan scan;

        if (names[i].is_digests)
            continue;
        wal_file_path(path, sizeof(path), dir, &names[i]);
        if (wal_read_file(path, is_last ? record_give : record_note, o, &scan,
            &file_err) == 0) {
            if (scan.damaged == 0)
                continue;
            (void)err_set(&file_err, ERR_CORRUPT, "%s: %llu bad groups with "
                "valid ones behind them", path,
                (unsigned long long)scan.damaged);
        } else if (file_err.code != ERR_CORRUPT) {
            *err = file_err;
            return -1;
        }
        if (is_last)
            damaged(o, &file_err);
    }
    return 0;
}

static int
logs_read(struct offline *o, struct err *err)
{
    struct wal_file_name *names = NULL;
    char dir[PATH_MAX];
    size_t n = 0;
    int rc = 0;

    layout_wal_dir(dir);
    if (sys.access(dir, F_OK) != 0 && errno == ENOENT)
        return 0; /* a backup of days has none */
    if (wal_list(dir, &names, &n, err) != 0)
        return -1;
    if (logs_visit(o, names, n, false, err) != 0 ||
        logs_visit(o, names, n, true, err) != 0)
        rc = -1;
    xfree(names);
    return rc;
}

/* --- the directory --- */

static int
days_read(struct offline *o, struct err *err)
{
    uint32_t *days = NULL;
    size_t n = 0;
    int rc = 0;

    if (layout_days(&days, &n, err) != 0)
        return -1;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = day_read(o, days[i], err);
    xfree(days);
    return rc;
}

static int
node_read(struct offline *o, struct err *err)
{
    if (layout_read_node(&o->node, err) == 0)
        return 0;
    if (err->code == ERR_NOT_FOUND)
        return err_wrap(err, "%s is no data directory of spoor",
            layout_root());
    return -1;
}

int
offline_read(const char *path, const struct offline_query *query,
    struct offline_report *report, struct err *err)
{
    struct offline o = {.query = query, .report = report};
    int fd = -1, rc = -1;

    memset(report, 0, sizeof(*report));
    layout_set(path);
    if (node_read(&o, err) == 0 && offline_lock(&fd, err) == 0 &&
        days_read(&o, err) == 0 && logs_read(&o, err) == 0)
        rc = 0;
    file_close(fd);
    xfree(o.flushed);
    xfree(o.digests);
    return rc;
}
