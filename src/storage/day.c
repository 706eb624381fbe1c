/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/day.h"

#include <errno.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/sys.h"
#include "storage/day_judge.h"
#include "storage/layout.h"
#include "storage/manifest.h"
#include "storage/part.h"
#include "storage/shared.h"

#define NAME_BYTES_MAX 64u

struct names {
    char (*v)[NAME_BYTES_MAX];
    size_t n, cap;
};

static int IMPL(file_name_fn)
names_add(const char *name, void *arg)
{
    struct names *names = arg;

    if (strlen(name) >= NAME_BYTES_MAX)
        return 0;
    if (names->n == names->cap) {
        names->cap = MAX(2 * names->cap, 64u);
        names->v = xrealloc(names->v, names->cap * sizeof(*names->v));
    }
    snprintf(names->v[names->n++], NAME_BYTES_MAX, "%s", name);
    return 0;
}

static int
names_list(struct names *names, uint32_t day, struct err *err)
{
    char dir[PATH_MAX];

    memset(names, 0, sizeof(*names));
    layout_partition_dir(dir, day);
    return file_list(dir, names_add, names, err);
}

int
day_highest_boot(uint32_t day, uint32_t *boot, struct err *err)
{
    struct manifest manifest;
    struct names names;
    int rc = -1;

    *boot = 0;
    if (names_list(&names, day, err) != 0)
        goto out;
    for (size_t i = 0; i < names.n; i++) {
        uint64_t id;
        uint32_t level;

        if (layout_parse_part(names.v[i], &id, &level))
            *boot = MAX(*boot, (uint32_t)(id >> 40));
    }
    if (manifest_read(&manifest, day, err) != 0)
        goto out;
    for (size_t i = 0; i < manifest.nparts; i++)
        *boot = MAX(*boot, (uint32_t)(manifest.parts[i].info.id >> 40));
    for (size_t i = 0; i < manifest.nflushed; i++)
        *boot = MAX(*boot, (uint32_t)(manifest.flushed[i].log_id >> 32));
    manifest_release(&manifest);
    rc = 0;
out:
    xfree(names.v);
    return rc;
}

static struct manifest_part *
part_find(struct manifest *manifest, uint64_t id)
{
    for (size_t i = 0; i < manifest->nparts; i++) {
        if (manifest->parts[i].info.id == id)
            return &manifest->parts[i];
    }
    return NULL;
}

/* Removes what was never published and hands the rest to the judge. */
static int
unlisted_judge(struct day_case *day, const struct names *names,
    struct err *err)
{
    struct day_file *files = xcalloc(names->n + 1, sizeof(*files));
    char dir[PATH_MAX], path[PATH_MAX + NAME_BYTES_MAX + 2];
    size_t n = 0;
    int rc = 0;

    layout_partition_dir(dir, day->manifest->day);
    for (size_t i = 0; rc == 0 && i < names->n; i++) {
        const char *name = names->v[i];

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        if (sv_ends_with(sv_from(name), SV(".tmp")))
            rc = file_unlink(path, err);
        else if (layout_parse_part(name, &files[n].id, &files[n].level))
            n++;
    }
    day->files = files;
    day->nfiles = n;
    if (rc == 0)
        rc = day_judge(day, err);
    xfree(files);
    return rc;
}

/* Entries without a file. */
static bool
listed_check(struct manifest *manifest)
{
    bool changed = false;

    for (size_t i = 0; i < manifest->nparts; i++) {
        const struct part_info *info = &manifest->parts[i].info;
        char path[PATH_MAX];

        layout_part(path, info->day, info->id, info->level);
        /* Another error says nothing about the file. */
        if (!manifest->parts[i].is_bad && sys.access(path, F_OK) != 0 &&
            errno == ENOENT) {
            log_error("part is missing, answers that need it will be marked "
                "partial: %s", path);
            manifest->parts[i].is_bad = true;
            changed = true;
        }
    }
    return changed;
}

int
day_tidy(uint32_t day, const struct wal_file_name *logs, size_t nlogs,
    struct err *err)
{
    struct manifest manifest;
    char path[PATH_MAX];
    struct names names;
    struct day_case judged = {.manifest = &manifest, .logs = logs,
        .nlogs = nlogs};
    bool is_foreign;
    int rc = -1;

    if (manifest_read(&manifest, day, err) != 0)
        return -1;
    if (names_list(&names, day, err) != 0)
        goto out;
    judged.is_changed = manifest.is_damaged;
    if (manifest.is_damaged) {
        layout_manifest(path, day);
        log_error("%s is damaged: kept in quarantine, rebuilt from the parts",
            path);
        if (layout_keep_copy(path, "quarantine", err) != 0)
            goto out;
    }
    is_foreign = manifest.end != 0 && !manifest.is_damaged &&
        !day_is_of_this_node(manifest.node_id);
    if (is_foreign) {
        log_info("day %u comes from another server", day);
        manifest.nflushed = 0;
        judged.is_changed = true;
    }
    /* Parts without any manifest: as if it were damaged. */
    if (manifest.end == 0)
        manifest.is_damaged = true;
    /* What is missing covers nothing. */
    judged.is_changed |= listed_check(&manifest);
    if (unlisted_judge(&judged, &names, err) != 0)
        goto out;
    if (is_foreign)
        manifest.nflushed = 0;
    if (judged.is_changed && manifest_rewrite(&manifest, true, err) != 0)
        goto out;
    rc = 0;
out:
    xfree(names.v);
    manifest_release(&manifest);
    return rc;
}

/*
 * A part of these logs that no manifest ever listed: its rows are not below
 * what counts as flushed.  (A merged one waits for its last reader.)  What
 * cannot be opened is left for the next boot to judge.
 */
static bool
part_is_of(const struct manifest *manifest, const char *path,
    const uint64_t *log_ids, size_t nlogs)
{
    struct err ignored = ERR_INIT;
    const struct part_lineage *range;
    struct part *part;
    bool found = false;
    size_t nranges;

    if (part_open(&part, path, &ignored) != 0)
        return false;
    range = part_get_lineage(part, &nranges);
    for (size_t i = 0; i < nlogs; i++)
        found |= range->log_id == log_ids[i];
    found &= manifest_flushed_lsn(manifest, range->log_id) < range->last_lsn;
    part_close(part);
    return found;
}

int
day_discard_unlisted(uint32_t day, const uint64_t *log_ids, size_t nlogs,
    struct err *err)
{
    char path[PATH_MAX];
    struct manifest manifest;
    struct names names;
    int rc = -1;

    /* Names first: what is listed by then was renamed before. */
    if (names_list(&names, day, err) != 0 ||
        manifest_read(&manifest, day, err) != 0) {
        xfree(names.v);
        return -1;
    }
    for (size_t i = 0; i < names.n; i++) {
        uint64_t id;
        uint32_t level;

        /* Higher levels are the merge process's. */
        if (!layout_parse_part(names.v[i], &id, &level) || level > 1 ||
            part_find(&manifest, id) != NULL)
            continue;
        layout_part(path, day, id, level);
        if (!part_is_of(&manifest, path, log_ids, nlogs))
            continue;
        log_info("leftover of a crash goes to .trash: %s", path);
        if (layout_discard(path, ".trash", err) != 0)
            goto out;
    }
    rc = 0;
out:
    xfree(names.v);
    manifest_release(&manifest);
    return rc;
}

int
day_checkpoint(uint32_t day, struct err *err)
{
    struct partition *partition = partition_lock(day);
    struct manifest manifest;
    int rc;

    rc = manifest_read(&manifest, day, err);
    if (rc == 0 && manifest.nflushed != 0)
        rc = manifest_rewrite(&manifest, false, err);
    partition->manifest_end = 0; /* to be read again by the next writer */
    partition_unlock(partition);
    if (rc == 0)
        manifest_release(&manifest);
    return rc;
}
