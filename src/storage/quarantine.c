/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/quarantine.h"

#include <unistd.h>

#include "core/fault.h"
#include "core/file.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "storage/layout.h"
#include "storage/manifest.h"
#include "storage/shared.h"

/* A file that was written so recently is perhaps being put back. */
#define QUIET_NS (5 * NS_PER_SEC)
/* Parts whose readers are waited for at a time; the others come later. */
#define WAITING_MAX 64u

/* The generation that readers of a part which became BAD do not have. */
static struct waiting {
    uint64_t id;
    uint64_t gen;
} waiting[WAITING_MAX];
static unsigned nwaiting;

/*
 * Those that nobody reads any more have been asked for since, unless the part
 * or its file has gone.
 */
static void
forget_gone(void)
{
    uint64_t oldest = catalog_oldest_reader();
    unsigned n = 0;

    for (unsigned i = 0; i < nwaiting; i++) {
        if (waiting[i].gen > oldest)
            waiting[n++] = waiting[i];
    }
    nwaiting = n;
}

/* True when nobody who could see the part as good is left. */
static bool
has_no_readers(uint64_t id)
{
    unsigned i = 0;

    while (i < nwaiting && waiting[i].id != id)
        i++;
    if (i == nwaiting) {
        if (nwaiting == WAITING_MAX)
            forget_gone();
        if (nwaiting == WAITING_MAX)
            return false;
        i = nwaiting;
        catalog_begin();
        waiting[nwaiting++] = (struct waiting){id, catalog_commit()};
    }
    if (waiting[i].gen > catalog_oldest_reader())
        return false;
    waiting[i] = waiting[--nwaiting];
    return true;
}

static bool
is_quiet(const char *path)
{
    struct stat st;

    return sys.stat(path, &st) == 0 && clock_wall_ns() - (st.st_mtim.tv_sec *
        NS_PER_SEC + st.st_mtim.tv_nsec) > QUIET_NS;
}

bool
quarantine_is_due(const struct catalog_item *item)
{
    char path[PATH_MAX];

    layout_part(path, item->part.day, item->part.id, item->part.level);
    return sys.access(path, F_OK) == 0 && is_quiet(path) &&
        has_no_readers(item->part.id);
}

/* The day may be leaving: then its files are not ours. */
static int
move_file(const struct part_info *part, const char *path,
    uint32_t incarnation, struct err *err)
{
    struct partition *partition = partition_lock(part->day);
    int rc = 1;

    if (atomic_load(&partition->state) == PARTITION_OPEN &&
        partition_incarnation(part->day) == incarnation)
        rc = layout_discard(path, "quarantine", err);
    partition_unlock(partition);
    return rc;
}

int
quarantine_part(const struct catalog_item *item, const char *why,
    struct err *err)
{
    const struct part_info *part = &item->part;
    uint32_t incarnation = partition_incarnation(part->day);
    struct manifest_edit edit = {.bad = &part->id, .nbad = 1,
        .incarnation = incarnation};
    char path[PATH_MAX];
    int rc;

    layout_part(path, part->day, part->id, part->level);
    fault("quarantine.before_edit");
    /* Once more: whoever found the damage may have died before. */
    if (manifest_append(part->day, &edit, true, err) != 0)
        return err->code == ERR_CANCELLED ? 1 : -1;
    fault("quarantine.after_edit");
    rc = move_file(part, path, incarnation, err);
    if (rc != 0)
        return rc;
    fault("quarantine.after_rename");
    metric_add(METRIC_QUARANTINED_PARTS, 1);
    log_error("a damaged part of day %u, %llu spans, is in quarantine/ now: "
        "%s; a good copy that is moved back to %s is taken", part->day,
        (unsigned long long)part->rows, why, path);
    return 0;
}
