/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/day_judge.h"

#include <errno.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/sys.h"
#include "storage/day_cover.h"
#include "storage/layout.h"
#include "storage/shared.h"

struct judge {
    struct day_case *day;
    struct manifest *manifest;
    struct cover listed;  /* with what was adopted */
    struct cover adopted;
};

static bool
log_exists(const struct judge *judge, uint64_t log_id)
{
    const struct wal_file_name *logs = judge->day->logs;

    for (size_t i = 0; i < judge->day->nlogs; i++) {
        if (!logs[i].is_digests && logs[i].log_id == log_id)
            return true;
    }
    return false;
}

/* Ids of logs are those of one server. */
bool
day_is_of_this_node(const uint8_t node_id[16])
{
    return memcmp(node_id, shared->node_id, sizeof(shared->node_id)) == 0;
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

/*
 * Its rows are in parts that count, or will be when its log is replayed.  A
 * log of which a merged part was adopted is not replayed from the beginning.
 */
static bool
part_is_leftover(struct judge *judge, const struct part *part)
{
    size_t n;
    const struct part_lineage *ranges = part_get_lineage(part, &n);

    if (cover_has_input(&judge->listed, part_get_info(part)->id) ||
        cover_has_ranges(&judge->listed, ranges, n))
        return true;
    if (judge->manifest->is_damaged || part_get_info(part)->level > 1 ||
        !day_is_of_this_node(part_get_node_id(part)))
        return false;
    return manifest_flushed_lsn(judge->manifest, ranges[0].log_id) >=
        ranges[0].last_lsn || (log_exists(judge, ranges[0].log_id) &&
        !cover_has_log(&judge->adopted, ranges[0].log_id));
}

/* What it was merged from is dead; their files are judged behind it. */
static void
part_adopt(struct judge *judge, const struct part *part)
{
    struct manifest_part entry = {.info = *part_get_info(part)};
    size_t nranges, ninputs;
    const struct part_lineage *ranges = part_get_lineage(part, &nranges);
    const uint64_t *inputs = part_get_inputs(part, &ninputs);

    if (entry.info.level == 1)
        entry.lineage = ranges[0];
    for (size_t i = 0; i < ninputs; i++)
        manifest_drop(judge->manifest, inputs[i]);
    manifest_add(judge->manifest, &entry);
    cover_add(&judge->listed, part);
    cover_add(&judge->adopted, part);
    judge->day->is_changed = true;
}

/* Files may be swapped, or copies gone astray. */
static bool
is_named_right(const struct part_info *info, uint32_t day,
    const struct day_file *file)
{
    return info->id == file->id && info->level == file->level &&
        info->day == day;
}

static int
file_judge(struct judge *judge, const struct day_file *file, struct err *err)
{
    struct err open_err = ERR_INIT;
    char path[PATH_MAX];
    struct part *part;
    bool is_leftover;

    layout_part(path, judge->manifest->day, file->id, file->level);
    if (part_open(&part, path, &open_err) != 0) {
        if (open_err.code != ERR_CORRUPT) {
            if (err != NULL)
                *err = open_err;
            return -1;
        }
        log_error("unlisted file goes to quarantine: %s", open_err.text);
        return layout_discard(path, "quarantine", err);
    }
    if (!is_named_right(part_get_info(part), judge->manifest->day, file)) {
        log_error("unlisted file goes to quarantine: %s holds part %016llx "
            "of %u", path, (unsigned long long)part_get_info(part)->id,
            part_get_info(part)->day);
        part_close(part);
        return layout_discard(path, "quarantine", err);
    }
    is_leftover = part_is_leftover(judge, part);
    if (!is_leftover) {
        log_warn("unlisted part adopted: %s", path);
        part_adopt(judge, part);
    }
    part_close(part);
    if (!is_leftover)
        return 0;
    log_info("leftover of a crash goes to .trash: %s", path);
    return layout_discard(path, ".trash", err);
}

/* A part that is missing is no loss when an adopted one holds its rows. */
static void
missing_forgive(struct judge *judge)
{
    struct manifest *manifest = judge->manifest;
    size_t i = 0;

    while (i < manifest->nparts) {
        const struct manifest_part *entry = &manifest->parts[i];
        char path[PATH_MAX];

        layout_part(path, manifest->day, entry->info.id, entry->info.level);
        if (entry->is_bad && entry->lineage.log_id != 0 &&
            sys.access(path, F_OK) != 0 && errno == ENOENT &&
            cover_has_ranges(&judge->adopted, &entry->lineage, 1)) {
            log_info("its rows are in an adopted part: %s", path);
            manifest_drop(manifest, entry->info.id);
        } else {
            i++;
        }
    }
}

/* Merged parts first, the newest first: the others may be inputs of these. */
static int
file_cmp(const void *left, const void *right)
{
    const struct day_file *a = left, *b = right;

    if (a->level != b->level)
        return a->level > b->level ? -1 : 1;
    return (a->id < b->id) - (a->id > b->id);
}

int
day_judge(struct day_case *day, struct err *err)
{
    struct manifest *manifest = day->manifest;
    struct judge judge = {.day = day, .manifest = manifest};
    bool any = false;
    int rc = 0;

    if (day->nfiles > 1)
        qsort(day->files, day->nfiles, sizeof(*day->files), file_cmp);
    for (size_t i = 0; i < day->nfiles; i++)
        any |= !is_listed(manifest, day->files[i].id);
    if (!any)
        return 0;
    cover_load(&judge.listed, manifest);
    for (size_t i = 0; rc == 0 && i < day->nfiles; i++) {
        if (!is_listed(manifest, day->files[i].id))
            rc = file_judge(&judge, &day->files[i], err);
    }
    if (judge.adopted.nranges > 0)
        missing_forgive(&judge);
    /* Not before: an adopted part says nothing about older ones of its log. */
    for (size_t i = 0; i < judge.adopted.nranges; i++)
        manifest_flush(manifest, judge.adopted.ranges[i].log_id,
            judge.adopted.ranges[i].last_lsn);
    cover_release(&judge.listed);
    cover_release(&judge.adopted);
    return rc;
}
