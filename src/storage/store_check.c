/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Offline check of a data directory: reads what is there, changes nothing.
 */

#include "core/base.h"
#include "storage/store.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/sys.h"
#include "storage/detached.h"
#include "storage/layout.h"
#include "storage/manifest.h"
#include "storage/offline.h"
#include "storage/part.h"
#include "storage/snapshot.h"
#include "storage/wal.h"

struct check_run {
    struct sb *out;
    bool deep;
    const struct manifest *manifest; /* of the day being listed */
    uint64_t parts, rows, bytes, traces, log_rows, log_files, snapshots;
    unsigned findings;
};

static void
finding(struct check_run *run, const char *fmt, ...)
    PRINTF_LIKE(2, 3);

static void
finding(struct check_run *run, const char *fmt, ...)
{
    va_list args;

    run->findings++;
    sb_add_str(run->out, "damage: ");
    va_start(args, fmt);
    sb_vaddf(run->out, fmt, args);
    va_end(args);
    sb_add_char(run->out, '\n');
}

static void
check_part(struct check_run *run, const struct part_info *info)
{
    struct err err = ERR_INIT;
    struct part *part = NULL;
    char path[PATH_MAX];

    layout_part(path, info->day, info->id, info->level);
    run->parts++;
    run->rows += info->rows;
    run->bytes += info->bytes;
    run->traces += info->ntraces;
    if ((run->deep ? part_check(path, &err) : 0) != 0 ||
        part_open(&part, path, &err) != 0)
        finding(run, "%s", err.text);
    else if (part_get_info(part)->rows != info->rows ||
        part_get_info(part)->id != info->id ||
        part_get_info(part)->day != info->day)
        finding(run, "%s: not the part that the manifest lists", path);
    part_close(part);
}

/* --- snapshots --- */

/*
 * Parts of a snapshot are links to those of the day, most of them; what is
 * not is read like one of the day's.
 */
static void
check_snapshot_part(struct check_run *run, const struct part_info *info,
    const char *dir)
{
    struct stat own, of_day;
    struct err err = ERR_INIT;
    struct part *part = NULL;
    char path[PATH_MAX + NAME_MAX], day_path[PATH_MAX];

    layout_part(day_path, info->day, info->id, info->level);
    snprintf(path, sizeof(path), "%s/%s", dir, strrchr(day_path, '/') + 1);
    if (sys.stat(path, &own) == 0 && sys.stat(day_path, &of_day) == 0 &&
        own.st_ino == of_day.st_ino && own.st_dev == of_day.st_dev)
        return;
    if ((run->deep ? part_check(path, &err) : 0) != 0 ||
        part_open(&part, path, &err) != 0)
        finding(run, "%s", err.text);
    else if (part_get_info(part)->rows != info->rows ||
        part_get_info(part)->id != info->id)
        finding(run, "%s: not the part that the manifest lists", path);
    part_close(part);
}

static int IMPL(file_name_fn)
check_snapshot(const char *name, void *arg)
{
    struct check_run *run = arg;
    struct err err = ERR_INIT;
    struct manifest manifest;
    char dir[PATH_MAX], path[PATH_MAX + 16], tail[NAME_MAX + 64];
    int64_t made_ns;

    if (!snapshot_parse_id(name, &made_ns)) {
        sb_addf(run->out, "note: %08u/snapshots/%s is not a snapshot, or not "
            "whole\n", run->manifest->day, name);
        return 0;
    }
    snprintf(tail, sizeof(tail), "partitions/%08u/snapshots/%s",
        run->manifest->day, name);
    layout_path(dir, tail);
    snprintf(path, sizeof(path), "%s/MANIFEST", dir);
    if (manifest_read_file(&manifest, path, run->manifest->day, &err) != 0) {
        finding(run, "%s", err.text);
        return 0;
    }
    if (manifest.is_damaged)
        finding(run, "%s: damaged", path);
    for (size_t i = 0; i < manifest.nparts; i++)
        check_snapshot_part(run, &manifest.parts[i].info, dir);
    manifest_release(&manifest);
    run->snapshots++;
    return 0;
}

/* --- days --- */

static void
check_snapshots(struct check_run *run)
{
    struct err err = ERR_INIT;
    char dir[PATH_MAX], tail[64];

    snprintf(tail, sizeof(tail), "partitions/%08u/snapshots",
        run->manifest->day);
    layout_path(dir, tail);
    if (file_list(dir, check_snapshot, run, &err) != 0)
        finding(run, "%s", err.text);
}

static bool
is_listed(const struct manifest *manifest, uint64_t id)
{
    for (size_t i = 0; i < manifest->nparts; i++) {
        if (manifest->parts[i].info.id == id)
            return true;
    }
    return false;
}

static int IMPL(file_name_fn)
check_name(const char *name, void *arg)
{
    struct check_run *run = arg;
    uint64_t id;
    uint32_t level;

    if (strcmp(name, "snapshots") == 0) {
        check_snapshots(run);
        return 0;
    }
    if (strcmp(name, "MANIFEST") == 0 ||
        (layout_parse_part(name, &id, &level) &&
        is_listed(run->manifest, id)))
        return 0;
    sb_addf(run->out, "note: %08u/%s is not in the manifest (the next start "
        "deals with it)\n", run->manifest->day, name);
    return 0;
}

static void
check_day(struct check_run *run, uint32_t day)
{
    struct err err = ERR_INIT;
    struct manifest manifest;
    char dir[PATH_MAX];

    if (manifest_read(&manifest, day, &err) != 0) {
        finding(run, "%s", err.text);
        return;
    }
    if (manifest.is_damaged)
        finding(run, "manifest of %u: a valid edit stands behind a bad one",
            day);
    for (size_t i = 0; i < manifest.nparts; i++)
        check_part(run, &manifest.parts[i].info);
    run->manifest = &manifest;
    layout_partition_dir(dir, day);
    if (file_list(dir, check_name, run, &err) != 0)
        finding(run, "%s", err.text);
    manifest_release(&manifest);
}

static void
check_logs(struct check_run *run)
{
    struct wal_file_name *names = NULL;
    struct err err = ERR_INIT;
    char dir[PATH_MAX], path[PATH_MAX];
    size_t n = 0;

    layout_wal_dir(dir);
    if (wal_list(dir, &names, &n, &err) != 0) {
        finding(run, "%s", err.text);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct wal_digest *digests = NULL;
        struct wal_scan scan;
        size_t ndigests;

        wal_file_path(path, sizeof(path), dir, &names[i]);
        if (names[i].is_digests) {
            if (wal_read_digests(path, &digests, &ndigests, &err) != 0)
                finding(run, "%s", err.text);
            xfree(digests);
            continue;
        }
        run->log_files++;
        if (wal_read_file(path, NULL, NULL, &scan, &err) != 0) {
            finding(run, "%s", err.text);
            continue;
        }
        run->log_rows += scan.rows;
        if (scan.damaged != 0)
            finding(run, "%s: %llu bad groups with valid ones behind them",
                path, (unsigned long long)scan.damaged);
        if (scan.torn != 0)
            sb_addf(run->out, "note: %s ends in a group that was never "
                "acknowledged\n", path);
    }
    xfree(names);
}

static void
check_detached(struct check_run *run)
{
    struct err err = ERR_INIT;
    uint32_t *days;
    size_t n;

    if (detached_read(&days, &n, &err) != 0) {
        finding(run, "%s", err.text);
        return;
    }
    for (size_t i = 0; i < n; i++)
        sb_addf(run->out, "note: day %08u is detached\n", days[i]);
    xfree(days);
}

static int
node_check(struct check_run *run, struct err *err)
{
    struct err node_err = ERR_INIT;
    struct layout_node node;

    if (layout_read_node(&node, &node_err) == 0)
        return 0;
    if (node_err.code == ERR_CORRUPT) {
        finding(run, "%s", node_err.text);
        return 0;
    }
    if (node_err.code == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "%s is no data directory of "
            "spoor: %s", layout_root(), node_err.text);
    if (err != NULL)
        *err = node_err;
    return -1;
}

int
store_check(const char *path, bool deep, struct sb *out, struct err *err)
{
    struct check_run run = {.out = out, .deep = deep};
    uint32_t *days = NULL;
    size_t ndays = 0;
    int fd = -1;

    layout_set(path);
    if (node_check(&run, err) != 0 || offline_lock(&fd, err) != 0 ||
        layout_days(&days, &ndays, err) != 0) {
        file_close(fd);
        return -1;
    }
    for (size_t i = 0; i < ndays; i++)
        check_day(&run, days[i]);
    xfree(days);
    check_detached(&run);
    check_logs(&run);
    if (run.snapshots != 0)
        sb_addf(out, "note: %llu snapshots\n",
            (unsigned long long)run.snapshots);
    file_close(fd);
    sb_addf(out, "%zu days, %llu parts, %llu spans, %llu traces, %llu bytes; "
        "%llu log files with %llu spans; %u damaged\n", ndays,
        (unsigned long long)run.parts, (unsigned long long)run.rows,
        (unsigned long long)run.traces, (unsigned long long)run.bytes,
        (unsigned long long)run.log_files, (unsigned long long)run.log_rows,
        run.findings);
    if (run.findings != 0)
        return err_set(err, ERR_CORRUPT, "%u damaged", run.findings);
    return 0;
}
