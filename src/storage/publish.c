/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/publish.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "storage/layout.h"
#include "storage/memtable_format.h"
#include "storage/shared.h"

struct publish_day {
    uint32_t day;
    uint32_t nrows;
    uint32_t *rows;
    uint64_t first_lsn;
    uint32_t incarnation; /* of the partition the file was made for */
    bool is_file_done; /* the part stands under its name */
    bool is_done;      /* and in the manifest */
    bool is_left_out;  /* the day is gone */
};

struct publish {
    const struct memtable *mt;
    uint64_t first_lsn;
    uint64_t last_lsn;
    struct publish_day days[MEMTABLE_DAYS_MAX];
    struct manifest_part parts[MEMTABLE_DAYS_MAX];
    unsigned ndays;
    uint32_t *rows; /* all days' */
};

static struct publish_day *
day_find(struct publish *publish, uint32_t day)
{
    for (unsigned i = 0; i < publish->ndays; i++) {
        if (publish->days[i].day == day)
            return &publish->days[i];
    }
    check(publish->ndays < MEMTABLE_DAYS_MAX);
    publish->days[publish->ndays].day = day;
    return &publish->days[publish->ndays++];
}

/* Day of a row, with the last one remembered: neighbours mostly share it. */
struct day_cache {
    int64_t start_ns;
    uint32_t day;
};

static uint32_t
row_day(const struct memtable *mt, uint32_t row, struct day_cache *cache)
{
    int64_t end = mt->end_ns[row];

    if (cache->day == 0 || end < cache->start_ns ||
        end - cache->start_ns >= NS_PER_DAY) {
        cache->day = time_day(end);
        cache->start_ns = time_day_start(cache->day);
    }
    return cache->day;
}

static void
split_days(struct publish *publish, uint32_t nrows)
{
    struct day_cache cache = {0, 0};
    uint32_t place = 0;

    for (uint32_t row = 0; row < nrows; row++)
        day_find(publish, row_day(publish->mt, row, &cache))->nrows++;
    publish->rows = xmalloc(MAX(nrows, 1u) * sizeof(*publish->rows));
    for (unsigned i = 0; i < publish->ndays; i++) {
        publish->days[i].rows = publish->rows + place;
        place += publish->days[i].nrows;
        publish->days[i].nrows = 0;
    }
    for (uint32_t row = 0; row < nrows; row++) {
        struct publish_day *day = day_find(publish,
            row_day(publish->mt, row, &cache));

        day->rows[day->nrows++] = row;
    }
}

struct publish *
publish_new(const struct memtable *mt, uint32_t rows, uint64_t first_lsn,
    uint64_t last_lsn)
{
    struct publish *publish = xcalloc(1, sizeof(*publish));

    publish->mt = mt;
    publish->first_lsn = first_lsn;
    publish->last_lsn = last_lsn;
    split_days(publish, rows);
    for (unsigned i = 0; i < publish->ndays; i++) {
        publish->parts[i].info.id = shared_new_part_id();
        publish->days[i].first_lsn = first_lsn;
    }
    return publish;
}

void
publish_begin_day(struct publish *publish, uint32_t day, uint64_t lsn)
{
    for (unsigned i = 0; i < publish->ndays; i++) {
        if (publish->days[i].day == day)
            publish->days[i].first_lsn = MAX(lsn, publish->first_lsn);
    }
}

void
publish_free(struct publish *publish)
{
    if (publish == NULL)
        return;
    xfree(publish->rows);
    xfree(publish);
}

static int
file_write(uint32_t day, struct sv file, uint64_t part_id, bool sync,
    struct err *err)
{
    char path[PATH_MAX], tmp[PATH_MAX + 8];
    int fd, rc = -1;

    layout_part(path, day, part_id, 1);
    snprintf(tmp, sizeof(tmp), "%s.tmp", path);
    fd = file_open(tmp, O_WRONLY | O_CREAT | O_TRUNC, 0640, err);
    if (fd < 0)
        return -1;
    if (file_pwrite(fd, file.ptr, file.len, 0, err) != 0)
        goto out;
    fault("publish.after_part_write");
    if (sync && file_datasync(fd, err) != 0)
        goto out;
    fault("publish.after_part_sync");
    if (file_rename(tmp, path, err) != 0)
        goto out;
    fault("publish.after_rename");
    layout_partition_dir(path, day);
    if (sync && file_sync_dir(path, err) != 0)
        goto out;
    fault("publish.after_dir_sync");
    rc = 0;
out:
    file_close(fd);
    if (rc != 0)
        sys.unlink(tmp);
    return rc;
}

static int
day_write(struct publish *publish, struct part_writer *writer, unsigned i,
    bool sync, struct err *err)
{
    struct part_lineage lineage = {memtable_log_id(publish->mt),
        publish->days[i].first_lsn, publish->last_lsn};
    struct publish_day *day = &publish->days[i];
    struct manifest_part *part = &publish->parts[i];
    uint64_t part_id = part->info.id;
    struct sv file;

    if (part_encode(writer, publish->mt, day->rows, day->nrows,
        part_id, day->day, shared->node_id, &lineage, &file, &part->info,
        err) != 0)
        return -1;
    check(part->info.id == part_id);
    part->lineage = lineage;
    if (layout_create_partition(day->day, err) != 0 ||
        file_write(day->day, file, part_id, sync, err) != 0)
        return -1;
    metric_add(METRIC_FLUSH_WRITTEN_BYTES, file.len);
    day->is_file_done = true;
    return 0;
}

/* Before anything is written: the directory must not come back. */
static bool
day_is_gone(const struct publish_day *day)
{
    return day->day < atomic_load(&shared->keep_from) ||
        partition_state(day->day) == PARTITION_DROPPING;
}

static void
day_leave_out(struct publish_day *day)
{
    day->is_left_out = true;
    metric_add(METRIC_DROPPED_TOO_SMALL_TIMESTAMP, day->nrows);
    log_warn("%u spans of day %u were left out: the day is out of retention",
        day->nrows, day->day);
}

/*
 * The day went while its part was written.  The part of a detached day waits
 * for its return; that of a dropped one goes, and its directory if this has
 * made it anew.
 */
static void
day_take_back(struct publish *publish, unsigned i)
{
    struct publish_day *day = &publish->days[i];
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    if (partition_state(day->day) == PARTITION_DETACHED) {
        day->is_left_out = true;
        log_warn("day %u is detached: %u spans wait in its directory until "
            "it is attached", day->day, day->nrows);
        return;
    }
    layout_part(path, day->day, publish->parts[i].info.id, 1);
    (void)!file_unlink(path, &ignored);
    layout_partition_dir(path, day->day);
    (void)sys.rmdir(path);
    day_leave_out(day);
}

static int
day_list(struct publish *publish, unsigned i, bool sync, struct err *err)
{
    struct publish_day *day = &publish->days[i];
    struct manifest_flushed flushed = {memtable_log_id(publish->mt),
        publish->last_lsn};
    struct manifest_edit edit = {.add = &publish->parts[i], .nadd = 1,
        .flushed = &flushed, .nflushed = 1, .incarnation = day->incarnation};
    struct err edit_err = ERR_INIT;

    if (manifest_append(day->day, &edit, sync, &edit_err) == 0) {
        day->is_done = true;
        return 0;
    }
    if (edit_err.code == ERR_CANCELLED) {
        day_take_back(publish, i);
        return 0;
    }
    if (err != NULL)
        *err = edit_err;
    return -1;
}

/* Days that were left out make way for the others. */
static void
publish_compact(struct publish *publish)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < publish->ndays; i++) {
        if (publish->days[i].is_left_out)
            continue;
        publish->days[kept] = publish->days[i];
        publish->parts[kept++] = publish->parts[i];
    }
    publish->ndays = kept;
}

int
publish_write(struct publish *publish, struct part_writer *writer,
    bool sync, struct err *err)
{
    for (unsigned i = 0; i < publish->ndays; i++) {
        struct publish_day *day = &publish->days[i];

        if (day->is_file_done || day->is_left_out)
            continue;
        /* Before its state, so that a drop in between is noticed. */
        day->incarnation = partition_incarnation(day->day);
        if (day_is_gone(day))
            day_leave_out(day);
        else if (day_write(publish, writer, i, sync, err) != 0)
            return -1;
    }
    for (unsigned i = 0; i < publish->ndays; i++) {
        if (publish->days[i].is_done || publish->days[i].is_left_out)
            continue;
        if (day_list(publish, i, sync, err) != 0)
            return -1;
        fault("publish.between_manifests");
    }
    publish_compact(publish);
    return 0;
}

bool
publish_is_current(const struct publish *publish, size_t i)
{
    return partition_incarnation(publish->days[i].day) ==
        publish->days[i].incarnation;
}

const struct manifest_part *
publish_parts(const struct publish *publish, size_t *n)
{
    *n = publish->ndays;
    return publish->parts;
}
