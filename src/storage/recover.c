/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/recover.h"

#include <unistd.h>

#include "core/assert.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "storage/catalog.h"
#include "storage/day.h"
#include "storage/detached.h"
#include "storage/identity.h"
#include "storage/layout.h"
#include "storage/replay.h"
#include "storage/requests.h"
#include "storage/retention.h"
#include "storage/retention_clock.h"
#include "storage/shared.h"
#include "storage/versions.h"
#include "storage/wal.h"

/* The log files of a directory, log after log. */
struct logs {
    struct wal_file_name *names;
    size_t n;
};

/* The next run of files of one log from *at on; 0 at the end. */
static size_t
logs_next(const struct logs *logs, size_t *at, size_t *first)
{
    size_t i;

    while (*at < logs->n && logs->names[*at].is_digests)
        (*at)++;
    *first = *at;
    for (i = *at; i < logs->n && !logs->names[i].is_digests &&
        logs->names[i].log_id == logs->names[*first].log_id; i++)
        ;
    *at = i;
    return i - *first;
}

static int
logs_list(struct logs *logs, bool logs_only, struct err *err)
{
    char dir[PATH_MAX];
    size_t kept = 0;

    layout_wal_dir(dir);
    if (wal_list(dir, &logs->names, &logs->n, err) != 0)
        return -1;
    for (size_t i = 0; logs_only && i < logs->n; i++) {
        if (!logs->names[i].is_digests)
            logs->names[kept++] = logs->names[i];
    }
    if (logs_only)
        logs->n = kept;
    return 0;
}

/*
 * Tries count deaths, which name the record that was being replayed.  A
 * recovery that failed in an orderly way (the disk was full) names none.
 */
static void
tries_end(struct slot *slot, bool is_done)
{
    atomic_store(&slot->recover_lsn, 0);
    if (is_done)
        atomic_store(&slot->recover_tries, 0);
    else
        atomic_fetch_sub(&slot->recover_tries, 1);
}

/* By the clock that retention believes: replay must not skip what it keeps. */
static int64_t
oldest_kept(const struct conf *conf)
{
    struct retention_rules rules = {.now_ns = retention_now_ns(),
        .retention_ns = conf->retention};

    return time_day_start(retention_oldest_day(&rules));
}

/* --- boot --- */

static int
digests_load(const struct logs *logs, struct err *err)
{
    int64_t oldest = clock_wall_ns() - REQUESTS_HORIZON_NS;
    char dir[PATH_MAX], path[PATH_MAX];

    layout_wal_dir(dir);
    for (size_t i = 0; i < logs->n; i++) {
        struct err read_err = ERR_INIT;
        struct wal_digest *digests = NULL;
        size_t n = 0;

        if (!logs->names[i].is_digests)
            continue;
        wal_file_path(path, sizeof(path), dir, &logs->names[i]);
        if (wal_read_digests(path, &digests, &n, &read_err) != 0) {
            log_warn("digests left out, a retry may be stored twice: %s",
                read_err.text);
            if (layout_discard(path, "quarantine", err) != 0)
                return -1;
            continue;
        }
        for (size_t k = 0; k < n; k++) {
            struct request_outcome outcome = {digests[k].rejected,
                digests[k].reject_mask};

            if (digests[k].recv_time_ns >= oldest)
                (void)requests_replay(digests[k].digest,
                    logs->names[i].log_id, digests[k].recv_time_ns,
                    &outcome);
        }
        xfree(digests);
    }
    return 0;
}

static int
logs_replay(struct replay *replay, const struct logs *logs, struct err *err)
{
    size_t at = 0, first, n;

    while ((n = logs_next(logs, &at, &first)) > 0) {
        if (replay_claim_flushed(replay, logs->names[first].log_id,
            logs->names + first, n, err) != 0)
            return -1;
    }
    at = 0;
    while ((n = logs_next(logs, &at, &first)) > 0) {
        if (replay_log(replay, logs->names[first].log_id,
            logs->names + first, n, err) != 0)
            return -1;
    }
    return 0;
}

/* All days' manifests, as they are now, become the catalogue. */
static int
catalog_load(const uint32_t *days, size_t ndays, struct err *err)
{
    uint64_t rows = 0, parts = 0;

    catalog_begin();
    catalog_remove_all(); /* of an earlier try that died behind its flip */
    for (size_t i = 0; i < ndays; i++) {
        struct manifest manifest;

        if (partition_state(days[i]) != PARTITION_OPEN)
            continue;
        new_days_know(&shared->new_days, days[i]);
        if (manifest_read(&manifest, days[i], err) != 0)
            goto failed;
        for (size_t k = 0; k < manifest.nparts; k++) {
            uint32_t entry;

            if (catalog_add_part(&manifest.parts[k].info, &entry, err) != 0) {
                manifest_release(&manifest);
                goto failed;
            }
            if (manifest.parts[k].is_bad)
                catalog_flag(entry, CATALOG_BAD);
            rows += manifest.parts[k].info.rows;
            parts++;
        }
        manifest_release(&manifest);
    }
    fault("recover.before_flip");
    catalog_commit();
    log_info("loaded %llu spans in %llu parts of %zu days",
        (unsigned long long)rows, (unsigned long long)parts, ndays);
    return 0;
failed:
    catalog_abort();
    return -1;
}

static int
wal_dir_sync(struct err *err)
{
    char dir[PATH_MAX];

    layout_wal_dir(dir);
    return file_sync_dir(dir, err);
}

/* Ids of logs do not come back, so without space positions may stay. */
static int
days_checkpoint(const uint32_t *days, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct err day_err = ERR_INIT;

        if (partition_state(days[i]) != PARTITION_OPEN ||
            day_checkpoint(days[i], &day_err) == 0)
            continue;
        if (day_err.code != ERR_NO_SPACE) {
            if (err != NULL)
                *err = day_err;
            return -1;
        }
        log_warn("%s", day_err.text);
    }
    return 0;
}

static int
boot_run(const struct conf *conf, store_decode_fn decode, struct logs *logs,
    struct err *err)
{
    struct replay *replay = NULL;
    uint32_t *days = NULL;
    size_t ndays = 0;
    struct layout_node node;
    int rc = -1;

    if (identity_load(&node, logs->names, logs->n, err) != 0)
        goto out;
    if (detached_load(err) != 0 ||
        layout_days(&days, &ndays, err) != 0 ||
        versions_check(days, ndays, logs->names, logs->n, err) != 0 ||
        identity_advance(&node, days, ndays, err) != 0)
        goto out;
    for (size_t i = 0; i < ndays; i++) {
        if (partition_state(days[i]) == PARTITION_OPEN &&
            day_tidy(days[i], logs->names, logs->n, err) != 0)
            goto out;
    }
    if (digests_load(logs, err) != 0)
        goto out;
    replay = replay_new(conf, decode, &shared->slots[0], oldest_kept(conf));
    if (logs_replay(replay, logs, err) != 0)
        goto out;
    xfree(days);
    days = NULL;
    if (layout_days(&days, &ndays, err) != 0 ||
        catalog_load(days, ndays, err) != 0)
        goto out;
    if (replay_rows(replay) != 0)
        log_info("recovered %llu spans from the log",
            (unsigned long long)replay_rows(replay));
    requests_recovered(0);
    /*
     * The flushed positions have no meaning once the logs are gone.  They
     * must be gone for good before: a log that came back without them would
     * be replayed once more.
     */
    if (replay_remove_log(logs->names, logs->n, err) != 0 ||
        wal_dir_sync(err) != 0)
        goto out;
    if (days_checkpoint(days, ndays, err) != 0)
        goto out;
    detached_settle();
    rc = 0;
out:
    replay_free(replay);
    xfree(days);
    return rc;
}

int
recover_boot(const struct conf *conf, store_decode_fn decode,
    struct err *err)
{
    int64_t start = clock_mono_ns();
    struct logs logs = {NULL, 0};
    int rc;

    /* A boot recovery that crashed is tried again with its notes. */
    atomic_fetch_add(&shared->slots[0].recover_tries, 1);
    rc = layout_create(err);
    retention_clock_start(&shared->clock, retention_clock_newest_on_disk(),
        clock_wall_ns(), clock_pace_ns());
    if (rc == 0)
        rc = logs_list(&logs, false, err);
    if (rc == 0)
        rc = boot_run(conf, decode, &logs, err);
    xfree(logs.names);
    tries_end(&shared->slots[0], rc == 0);
    if (rc == 0)
        metric_observe_ns(METRIC_RECOVERY_SECONDS, clock_mono_ns() - start);
    return rc;
}

/* --- one slot --- */

/* The slot's logs out of all files; others belong to the living. */
static int
slot_logs(const struct slot *slot, struct logs *logs, struct err *err)
{
    size_t kept = 0;

    if (logs_list(logs, true, err) != 0)
        return -1;
    for (size_t i = 0; i < logs->n; i++) {
        for (unsigned k = 0; k < SLOT_LOGS; k++) {
            uint64_t log_id = atomic_load(&slot->logs[k]);

            if (log_id != 0 && log_id == logs->names[i].log_id) {
                logs->names[kept++] = logs->names[i];
                break;
            }
        }
    }
    logs->n = kept;
    return 0;
}

static bool
slot_has_log(const struct slot *slot, uint64_t log_id)
{
    for (unsigned k = 0; k < SLOT_LOGS; k++) {
        if (log_id != 0 && atomic_load(&slot->logs[k]) == log_id)
            return true;
    }
    return false;
}

static int
slot_discard_unlisted(const struct slot *slot, struct err *err)
{
    uint64_t log_ids[SLOT_LOGS];
    uint32_t *days = NULL;
    size_t ndays = 0, n = 0;
    int rc = 0;

    for (unsigned k = 0; k < SLOT_LOGS; k++) {
        uint64_t log_id = atomic_load(&slot->logs[k]);

        if (log_id != 0)
            log_ids[n++] = log_id;
    }
    if (n == 0)
        return 0;
    if (layout_days(&days, &ndays, err) != 0)
        return -1;
    for (size_t i = 0; rc == 0 && i < ndays; i++) {
        struct err day_err = ERR_INIT;

        if (partition_state(days[i]) != PARTITION_DETACHED &&
            day_discard_unlisted(days[i], log_ids, n, &day_err) != 0 &&
            day_err.code != ERR_UNSUPPORTED) {
            if (err != NULL)
                *err = day_err;
            rc = -1;
        }
    }
    xfree(days);
    return rc;
}

struct slot_part {
    struct part_info info;
    uint32_t incarnation; /* of its day, before its manifest was read */
};

struct parts {
    struct slot_part *v;
    size_t n, cap;
};

static int
part_cmp(const void *left, const void *right)
{
    const struct slot_part *a = left, *b = right;

    return (a->info.id > b->info.id) - (a->info.id < b->info.id);
}

/* The parts of the slot's logs that are in manifests, by rising id. */
static int
slot_parts(const struct slot *slot, struct parts *parts, struct err *err)
{
    uint32_t *days = NULL;
    size_t ndays = 0;
    int rc = 0;

    if (layout_days(&days, &ndays, err) != 0)
        return -1;
    for (size_t i = 0; rc == 0 && i < ndays; i++) {
        uint32_t incarnation = partition_incarnation(days[i]);
        enum partition_state state = partition_state(days[i]);
        struct err read_err = ERR_INIT;
        struct manifest manifest;

        /* It has left the catalogue, or is about to, for good. */
        if (state == PARTITION_DROPPING || state == PARTITION_DETACHED)
            continue;
        /* A copy from elsewhere that nobody has attached: nothing of ours. */
        if (manifest_read(&manifest, days[i], &read_err) != 0) {
            if (read_err.code == ERR_UNSUPPORTED)
                continue;
            if (err != NULL)
                *err = read_err;
            rc = -1;
        }
        for (size_t k = 0; rc == 0 && k < manifest.nparts; k++) {
            const struct manifest_part *part = &manifest.parts[k];

            if (!slot_has_log(slot, part->lineage.log_id))
                continue;
            if (parts->n == parts->cap) {
                parts->cap = MAX(2 * parts->cap, 64u);
                parts->v = xrealloc(parts->v,
                    parts->cap * sizeof(*parts->v));
            }
            parts->v[parts->n++] = (struct slot_part){part->info,
                incarnation};
        }
        if (rc == 0)
            manifest_release(&manifest);
    }
    xfree(days);
    if (parts->n > 1)
        qsort(parts->v, parts->n, sizeof(*parts->v), part_cmp);
    return rc;
}

/* Leaves those that are not in the catalogue. */
static void
parts_keep_missing(struct parts *parts)
{
    uint64_t *ids = xmalloc(MAX(parts->n, 1u) * sizeof(*ids));
    bool *found = xmalloc(MAX(parts->n, 1u) * sizeof(*found));
    size_t kept = 0;

    for (size_t i = 0; i < parts->n; i++)
        ids[i] = parts->v[i].info.id;
    /* Behind the lock: what a dead writer has begun to add is not there. */
    catalog_begin();
    catalog_find_parts(ids, found, parts->n);
    catalog_abort();
    for (size_t i = 0; i < parts->n; i++) {
        if (!found[i])
            parts->v[kept++] = parts->v[i];
    }
    parts->n = kept;
    xfree(ids);
    xfree(found);
}

/* Leaves those that are among others, too. */
static void
parts_keep_common(struct parts *parts, const struct parts *others)
{
    size_t kept = 0;

    for (size_t i = 0; i < parts->n; i++) {
        if (others->n > 0 && bsearch(&parts->v[i], others->v, others->n,
            sizeof(*others->v), part_cmp) != NULL)
            parts->v[kept++] = parts->v[i];
    }
    parts->n = kept;
}

/*
 * The parts of this recovery and those the dead worker had written without
 * reaching its flip.  One that was in the catalogue may have been merged
 * since the manifests were read: a second look does not list it any more.
 * What never was in the catalogue is not merged.
 */
static int
slot_missing_parts(const struct slot *slot, struct parts *parts,
    struct err *err)
{
    struct parts again = {NULL, 0, 0};
    int rc;

    if (slot_parts(slot, parts, err) != 0)
        return -1;
    fault("recover.after_look");
    parts_keep_missing(parts);
    if (parts->n == 0)
        return 0;
    rc = slot_parts(slot, &again, err);
    if (rc == 0)
        parts_keep_common(parts, &again);
    xfree(again.v);
    return rc;
}

static int
catalog_add_missing(const struct parts *parts, struct err *err)
{
    for (size_t i = 0; i < parts->n; i++) {
        const struct slot_part *part = &parts->v[i];

        /* Not of a day that was dropped or detached in the meantime. */
        if (partition_incarnation(part->info.day) == part->incarnation &&
            catalog_add_part(&part->info, NULL, err) != 0)
            return -1;
    }
    return 0;
}

/*
 * Manifests are read before the table is locked: ingest threads wait for it.
 * Nobody else writes of these logs any more.
 */
static int
slot_swap(unsigned index, struct err *err)
{
    struct slot *slot = &shared->slots[index];
    struct parts parts = {NULL, 0, 0};
    uint64_t gen;
    int rc;

    rc = slot_missing_parts(slot, &parts, err);
    if (rc == 0) {
        catalog_begin();
        rc = catalog_add_missing(&parts, err);
        if (rc != 0)
            catalog_abort();
    }
    xfree(parts.v);
    if (rc != 0)
        return -1;
    catalog_remove_memtables(index);
    fault("recover.before_flip");
    gen = catalog_commit();
    for (unsigned i = 0; i < SLOT_BUFFERS; i++) {
        atomic_store(&slot->buffers[i].dead_gen,
            MAX(gen, atomic_load(&slot->buffers[i].dead_gen)));
        atomic_store(&slot->buffers[i].state, BUFFER_FREE);
    }
    return 0;
}

static void
slot_free(struct slot *slot)
{
    for (unsigned k = 0; k < SLOT_LOGS; k++) {
        uint64_t log_id = atomic_load(&slot->logs[k]);

        if (log_id != 0)
            requests_recovered(log_id);
        atomic_store(&slot->logs[k], 0);
    }
    tries_end(slot, true);
    atomic_store(&slot->pid, 0);
    atomic_store(&slot->state, SLOT_FREE);
    fault("recover.after_free");
}

int
recover_slot(unsigned index, const struct conf *conf,
    store_decode_fn decode, struct err *err)
{
    struct slot *slot = &shared->slots[index];
    int64_t start = clock_mono_ns();
    struct replay *replay = NULL;
    struct logs logs = {NULL, 0};
    size_t at = 0, first, n;
    int rc = -1;

    /* An earlier try died after its work was done, before its good end. */
    if (atomic_load(&slot->state) == SLOT_FREE)
        return 0;
    check(atomic_load(&slot->state) == SLOT_ORPHAN);
    atomic_fetch_add(&slot->recover_tries, 1);
    replay = replay_new(conf, decode, slot, oldest_kept(conf));
    if (slot_discard_unlisted(slot, err) != 0 ||
        slot_logs(slot, &logs, err) != 0)
        goto out;
    while ((n = logs_next(&logs, &at, &first)) > 0) {
        if (replay_log(replay, logs.names[first].log_id, logs.names + first,
            n, err) != 0)
            goto out;
    }
    if (slot_swap(index, err) != 0 ||
        replay_remove_log(logs.names, logs.n, err) != 0)
        goto out;
    slot_free(slot);
    metric_add(METRIC_RECOVERIES, 1);
    metric_observe_ns(METRIC_RECOVERY_SECONDS, clock_mono_ns() - start);
    log_info("recovered %llu spans of slot %u in %lld ms",
        (unsigned long long)replay_rows(replay), index,
        (long long)((clock_mono_ns() - start) / NS_PER_MS));
    rc = 0;
out:
    if (rc != 0)
        tries_end(slot, false);
    replay_free(replay);
    xfree(logs.names);
    return rc;
}
