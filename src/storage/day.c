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

static bool
log_exists(const struct wal_file_name *logs, size_t nlogs, uint64_t log_id)
{
    for (size_t i = 0; i < nlogs; i++) {
        if (!logs[i].is_digests && logs[i].log_id == log_id)
            return true;
    }
    return false;
}

/* Listed parts hold, one behind the other, all the rows that this one holds. */
static bool
rows_are_covered(const struct manifest *manifest,
    const struct part_lineage *lineage)
{
    uint64_t lsn = lineage->first_lsn, before;

    do {
        before = lsn;
        for (size_t i = 0; i < manifest->nparts; i++) {
            const struct part_lineage *other = &manifest->parts[i].lineage;

            if (!manifest->parts[i].is_bad &&
                other->log_id == lineage->log_id && other->first_lsn <= lsn)
                lsn = MAX(lsn, other->last_lsn);
        }
    } while (lsn > before && lsn < lineage->last_lsn);
    return lsn >= lineage->last_lsn;
}

static int
part_judge(struct manifest *manifest, const char *path,
    const struct wal_file_name *logs, size_t nlogs, struct err *err)
{
    struct manifest_part entry;
    struct err open_err = ERR_INIT;
    struct part *part;
    size_t nranges;

    memset(&entry, 0, sizeof(entry));
    if (part_open(&part, path, &open_err) != 0) {
        if (open_err.code != ERR_CORRUPT) {
            if (err != NULL)
                *err = open_err;
            return -1;
        }
        log_error("unlisted file goes to quarantine: %s", open_err.text);
        return layout_discard(path, "quarantine", err);
    }
    entry.info = *part_get_info(part);
    entry.lineage = *part_get_lineage(part, &nranges);
    part_close(part);
    /* Of a log that is there: replayed, or below what counts as flushed. */
    if (!manifest->is_damaged &&
        (rows_are_covered(manifest, &entry.lineage) ||
        manifest_flushed_lsn(manifest, entry.lineage.log_id) >=
        entry.lineage.last_lsn ||
        log_exists(logs, nlogs, entry.lineage.log_id))) {
        log_info("leftover of a crash goes to .trash: %s", path);
        return layout_discard(path, ".trash", err);
    }
    log_warn("unlisted part adopted: %s", path);
    manifest_add(manifest, &entry);
    return 0;
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

/* Files without an entry; sets *changed when the manifest got new parts. */
static int
unlisted_judge(struct manifest *manifest, const struct names *names,
    const struct wal_file_name *logs, size_t nlogs, struct err *err)
{
    char dir[PATH_MAX], path[PATH_MAX + NAME_BYTES_MAX + 2];
    size_t listed = manifest->nparts;

    layout_partition_dir(dir, manifest->day);
    for (size_t i = 0; i < names->n; i++) {
        const char *name = names->v[i];
        uint64_t id;
        uint32_t level;

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        if (sv_ends_with(sv_from(name), SV(".tmp"))) {
            if (file_unlink(path, err) != 0)
                return -1;
        } else if (layout_parse_part(name, &id, &level) &&
            part_find(manifest, id) == NULL) {
            if (part_judge(manifest, path, logs, nlogs, err) != 0)
                return -1;
        }
    }
    /* Not before: an adopted part says nothing about older ones of its log. */
    for (size_t i = listed; i < manifest->nparts; i++)
        manifest_flush(manifest, manifest->parts[i].lineage.log_id,
            manifest->parts[i].lineage.last_lsn);
    return 0;
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
    size_t nparts;
    bool changed;
    int rc = -1;

    if (manifest_read(&manifest, day, err) != 0)
        return -1;
    if (names_list(&names, day, err) != 0)
        goto out;
    nparts = manifest.nparts;
    changed = manifest.is_damaged;
    if (manifest.is_damaged) {
        layout_manifest(path, day);
        log_error("%s is damaged: kept in quarantine, rebuilt from the parts",
            path);
        if (layout_keep_copy(path, "quarantine", err) != 0)
            goto out;
    }
    /* Parts without any manifest: as if it were damaged. */
    if (manifest.end == 0)
        manifest.is_damaged = true;
    /* What is missing covers nothing. */
    changed |= listed_check(&manifest);
    if (unlisted_judge(&manifest, &names, logs, nlogs, err) != 0)
        goto out;
    changed |= manifest.nparts != nparts;
    if (changed && manifest_rewrite(&manifest, true, err) != 0)
        goto out;
    rc = 0;
out:
    xfree(names.v);
    manifest_release(&manifest);
    return rc;
}

/* A part that cannot be opened is left for the next boot to judge. */
static bool
part_is_of(const char *path, const uint64_t *log_ids, size_t nlogs)
{
    struct err ignored = ERR_INIT;
    struct part *part;
    bool found = false;
    size_t nranges;

    if (part_open(&part, path, &ignored) != 0)
        return false;
    for (size_t i = 0; i < nlogs; i++)
        found |= part_get_lineage(part, &nranges)->log_id == log_ids[i];
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

        if (!layout_parse_part(names.v[i], &id, &level) ||
            part_find(&manifest, id) != NULL)
            continue;
        layout_part(path, day, id, level);
        if (!part_is_of(path, log_ids, nlogs))
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
