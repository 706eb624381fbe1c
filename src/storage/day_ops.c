/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/day_ops.h"

#include <poll.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "storage/barrier.h"
#include "storage/catalog.h"
#include "storage/compact.h"
#include "storage/day.h"
#include "storage/detached.h"
#include "storage/layout.h"
#include "storage/manifest.h"
#include "storage/operator.h"
#include "storage/part.h"
#include "storage/retire.h"
#include "storage/shared.h"

#define FLUSH_TIMEOUT_NS (60 * NS_PER_SEC)
/* Longer than any query may take by default. */
#define READERS_TIMEOUT_NS (120 * NS_PER_SEC)
#define RETIRED_POLL_MS 5
/* An id has 24 bits for it. */
#define BOOT_MAX 0xffff00u

int
day_parse(struct sv name, uint32_t *day, struct err *err)
{
    char text[16];

    snprintf(text, sizeof(text), "%.*s", (int)MIN(name.len, (size_t)15),
        name.len > 0 ? name.ptr : "");
    if (name.len != 8 || !layout_parse_day(text, day))
        return err_set(err, ERR_INVALID, "\"%s\" is no day: YYYYMMDD is "
            "wanted", text);
    return 0;
}

static bool
day_has_directory(uint32_t day)
{
    char path[PATH_MAX];

    layout_partition_dir(path, day);
    return sys.access(path, F_OK) == 0;
}

static void
day_set_state(uint32_t day, enum partition_state state)
{
    struct partition *partition = partition_lock(day);

    partition_set_state(partition, state);
    partition_unlock(partition);
}

/* --- leaving --- */

static uint64_t
catalogue_forget(uint32_t day)
{
    catalog_begin();
    catalog_remove_day(day);
    return catalog_commit();
}

/*
 * From OPEN to DETACHED: all rows that were accepted are in parts, and
 * nobody can change the directory any more.  The catalogue still has it.  On
 * failure it is OPEN again.
 */
static int
day_close(uint32_t day, struct err *err)
{
    day_set_state(day, PARTITION_DETACHING);
    fault("detach.after_detaching");
    if (barrier_wait(true, FLUSH_TIMEOUT_NS, err) != 0) {
        day_set_state(day, PARTITION_OPEN);
        return -1;
    }
    fault("detach.after_flush");
    day_set_state(day, PARTITION_DETACHED);
    fault("detach.after_detached");
    return 0;
}

/* What the merge process still writes and has to remove of the day. */
static int
retired_wait(uint32_t day, struct err *err)
{
    int64_t until_ns = clock_mono_ns() + READERS_TIMEOUT_NS;
    char prefix[RETIRE_NAME_MAX];

    snprintf(prefix, sizeof(prefix), "partitions/%08u/", day);
    while (compact_day_is_busy(day) ||
        retire_waits_for(RETIRE_MERGE, prefix)) {
        if (operator_is_stopping())
            return err_set(err, ERR_CANCELLED, "the server reloads or stops");
        if (clock_mono_ns() > until_ns)
            return err_set(err, ERR_TIMEOUT, "merged files of day %u are "
                "not removed yet", day);
        (void)poll(NULL, 0, RETIRED_POLL_MS);
    }
    return 0;
}

/* Behind day_close(). */
static int
day_leave(uint32_t day, struct err *err)
{
    uint64_t gen = catalogue_forget(day);

    fault("detach.after_flip");
    if (detached_save(0, err) != 0)
        return -1;
    fault("detach.after_save");
    if (barrier_wait_readers(gen, READERS_TIMEOUT_NS, err) != 0 ||
        retired_wait(day, err) != 0)
        return err_wrap(err, "day %u is detached, but it is in use", day);
    return 0;
}

int
day_detach(struct sv name, struct err *err)
{
    uint32_t day;

    if (day_parse(name, &day, err) != 0)
        return -1;
    switch (partition_state(day)) {
    case PARTITION_DETACHED:
        return err_set(err, ERR_INVALID, "day %u is detached already", day);
    case PARTITION_DROPPING:
        return err_set(err, ERR_NOT_FOUND, "day %u is being dropped", day);
    case PARTITION_OPEN:
    case PARTITION_DETACHING:
        break;
    }
    /* Its rows may be in memory only: after the flush it is known. */
    if (day_close(day, err) != 0)
        return -1;
    if (!day_has_directory(day)) {
        day_set_state(day, PARTITION_OPEN);
        return err_set(err, ERR_NOT_FOUND, "there is no day %u", day);
    }
    if (day_leave(day, err) != 0)
        return -1;
    log_info("day %u is detached", day);
    return 0;
}

/* --- coming --- */

static int
part_verify(const struct part_info *info, struct err *err)
{
    const struct part_info *own;
    char path[PATH_MAX];
    struct part *part;
    int rc = 0;

    layout_part(path, info->day, info->id, info->level);
    if (part_open(&part, path, err) != 0)
        return -1;
    own = part_get_info(part);
    if (own->id != info->id || own->day != info->day ||
        own->rows != info->rows || own->bytes != info->bytes)
        rc = err_set(err, ERR_CORRUPT, "%s: not the part that the manifest "
            "lists", path);
    part_close(part);
    return rc;
}

/* Whole, and nothing of a newer version; what is BAD is known to be. */
static int
day_verify(const struct manifest *manifest, struct err *err)
{
    if (manifest->is_damaged)
        return err_set(err, ERR_CORRUPT, "the manifest of day %u is damaged: "
            "copy the day again, or start the server with it in place",
            manifest->day);
    for (size_t i = 0; i < manifest->nparts; i++) {
        if (manifest->parts[i].info.day != manifest->day)
            return err_set(err, ERR_INVALID, "the directory %u holds parts "
                "of day %u", manifest->day, manifest->parts[i].info.day);
        if (!manifest->parts[i].is_bad &&
            part_verify(&manifest->parts[i].info, err) != 0)
            return -1;
    }
    return 0;
}

static int
id_cmp(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static bool
is_in_catalogue(const struct manifest *manifest)
{
    uint64_t *ids;
    size_t n = catalog_day_ids(manifest->day, &ids);
    bool all = n > 0;

    for (size_t i = 0; all && i < manifest->nparts; i++)
        all = bsearch(&manifest->parts[i].info.id, ids, n, sizeof(*ids),
            id_cmp) != NULL;
    xfree(ids);
    return all;
}

/*
 * Ids of this run must be new in the directory, too.  NODE first: a later
 * start must not use the number again.
 */
static int
boot_raise(uint32_t day, struct err *err)
{
    struct layout_node node;
    uint32_t highest;

    if (day_highest_boot(day, &highest, err) != 0)
        return -1;
    if (highest < atomic_load(&shared->boot))
        return 0;
    if (highest >= BOOT_MAX)
        return err_set(err, ERR_CORRUPT, "day %u has a part with an id that "
            "no server gives", day);
    if (layout_read_node(&node, err) != 0)
        return -1;
    node.boot = highest + 1;
    if (layout_write_node(&node, err) != 0)
        return -1;
    atomic_store(&shared->boot, node.boot);
    return 0;
}

static int
catalogue_take(const struct manifest *manifest, struct err *err)
{
    catalog_begin();
    catalog_remove_day(manifest->day);
    for (size_t i = 0; i < manifest->nparts; i++) {
        uint32_t entry;

        if (catalog_add_part(&manifest->parts[i].info, &entry, err) != 0) {
            catalog_abort();
            return -1;
        }
        if (manifest->parts[i].is_bad)
            catalog_flag(entry, CATALOG_BAD);
    }
    catalog_commit();
    new_days_know(&shared->new_days, manifest->day);
    return 0;
}

/* The day is DETACHED in memory. */
static int
day_enter(uint32_t day, struct err *err)
{
    struct manifest manifest;
    int rc = -1;

    if (day_tidy(day, NULL, 0, err) != 0 || boot_raise(day, err) != 0 ||
        manifest_read(&manifest, day, err) != 0)
        return -1;
    fault("attach.after_tidy");
    if (manifest_rewrite(&manifest, false, err) != 0)
        goto out;
    fault("attach.after_rewrite");
    if (detached_save(day, err) != 0)
        goto out;
    fault("attach.after_save");
    if (catalogue_take(&manifest, err) != 0)
        goto out;
    fault("attach.after_flip");
    rc = 0;
    log_info("day %u is attached: %zu parts", day, manifest.nparts);
out:
    manifest_release(&manifest);
    return rc;
}

/* The directory of a detached day was moved away: the day may begin anew. */
static int
day_forget(uint32_t day, struct err *err)
{
    if (detached_save(day, err) != 0)
        return -1;
    day_set_state(day, PARTITION_OPEN);
    log_info("day %u is attached, it has no directory: it is empty", day);
    return 0;
}

static int
attach_check(uint32_t day, bool was_open, struct err *err)
{
    struct err read_err = ERR_INIT;
    struct manifest manifest;
    char path[PATH_MAX];
    int rc;

    layout_manifest(path, day);
    if (manifest_read_file(&manifest, path, day, &read_err) != 0) {
        if (read_err.code == ERR_NOT_FOUND)
            return err_set(err, ERR_NOT_FOUND, "the directory of day %u has "
                "no MANIFEST: its copy is not complete", day);
        if (err != NULL)
            *err = read_err;
        return -1;
    }
    if (was_open && is_in_catalogue(&manifest))
        rc = err_set(err, ERR_INVALID, "day %u is attached already", day);
    else
        rc = day_verify(&manifest, err);
    manifest_release(&manifest);
    return rc;
}

int
day_attach(struct sv name, struct err *err)
{
    bool was_open;
    uint32_t day;

    if (day_parse(name, &day, err) != 0)
        return -1;
    was_open = partition_state(day) == PARTITION_OPEN;
    if (!was_open && partition_state(day) != PARTITION_DETACHED)
        return err_set(err, ERR_NOT_FOUND, "day %u is being dropped", day);
    if (!day_has_directory(day))
        return was_open ? err_set(err, ERR_NOT_FOUND, "there is no directory "
            "of day %u", day) : day_forget(day, err);
    if (attach_check(day, was_open, err) != 0 ||
        (was_open && day_close(day, err) != 0))
        return -1;
    fault("attach.after_check");
    if (day_enter(day, err) != 0) {
        if (was_open)
            day_set_state(day, PARTITION_OPEN);
        return -1;
    }
    day_set_state(day, PARTITION_OPEN);
    return 0;
}

/* --- after a death --- */

/*
 * What was being detached is open again, since nobody was told that it went.
 * What is DETACHED has left the catalogue and stands in the file; an attach
 * that was killed behind its generation is thereby taken back.
 */
void
day_ops_resume(void)
{
    struct err err = ERR_INIT;
    bool is_changed = false;
    uint32_t *days;
    size_t n = detached_list(&days);

    for (size_t i = 0; i < n; i++) {
        enum partition_state state = partition_state(days[i]);

        if (state == PARTITION_DETACHING)
            day_set_state(days[i], PARTITION_OPEN);
        if (state == PARTITION_DETACHED) {
            catalogue_forget(days[i]);
            is_changed = true;
        }
    }
    xfree(days);
    if (is_changed && detached_save(0, &err) != 0)
        log_error("the list of detached days is not written: %s", err.text);
}

void
day_ops_forget(uint32_t keep_from)
{
    struct err err = ERR_INIT;
    bool is_changed = false;
    uint32_t *days;
    size_t n = detached_list(&days);

    for (size_t i = 0; i < n; i++) {
        if (days[i] >= keep_from || day_has_directory(days[i]) ||
            partition_state(days[i]) != PARTITION_DETACHED)
            continue;
        day_set_state(days[i], PARTITION_OPEN);
        is_changed = true;
    }
    xfree(days);
    if (is_changed && detached_save(0, &err) != 0)
        log_error("the list of detached days is not written: %s", err.text);
}
