/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/replay.h"

#include <errno.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/compress.h"
#include "core/enc.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "span/params.h"
#include "storage/layout.h"
#include "storage/publish.h"
#include "storage/requests.h"
#include "storage/shared.h"

/* Region of one request; the handler's own limit is 8 x body. */
#define POOL_BYTES_MAX (4 * GIB)
#define BODY_BYTES_MAX (256 * MIB)
/*
 * A recovery that died twice writes a part for each record, to find out which
 * one kills it; the record of such a death goes to quarantine/ in the fourth
 * try, the last that the master makes at boot.  A later boot goes on behind
 * it: what is in quarantine is not tried again.
 */
#define ONE_BY_ONE_TRIES 3
#define POISON_TRIES 4
/* A living worker settles a request within a sync; or it hangs. */
#define TWIN_WAIT_NS (10 * NS_PER_SEC)
#define TWIN_POLL_NS (2 * NS_PER_MS)

struct flushed_day {
    uint32_t day;
    uint64_t lsn;
};

struct replay {
    const struct conf *conf;
    store_decode_fn decode;
    struct slot *slot;
    int64_t oldest_ns;
    bool sync;

    void *region;
    struct memtable *mt;
    struct memtable_writer *writer;
    struct part_writer *part_writer;
    uint64_t log_id;
    uint64_t first_lsn;         /* of the memtable */
    uint64_t next_lsn;          /* expected */
    bool one_by_one;            /* a part for each record: find the culprit */
    uint64_t poison_log_id;     /* the culprit, found in the last try */
    uint64_t poison_lsn;        /* of the record + 1; 0: none */

    struct flushed_day *days;   /* of the present log */
    size_t ndays, cap_days;

    struct manifest_part *parts;
    size_t nparts, cap_parts;
    uint64_t rows;
};

struct replay *
replay_new(const struct conf *conf, store_decode_fn decode,
    struct slot *slot, int64_t oldest_ns)
{
    struct replay *replay = xcalloc(1, sizeof(*replay));

    replay->conf = conf;
    replay->decode = decode;
    replay->slot = slot;
    if (slot != NULL && atomic_load(&slot->recover_tries) >= POISON_TRIES) {
        replay->poison_log_id = atomic_load(&slot->recover_log_id);
        replay->poison_lsn = atomic_load(&slot->recover_lsn);
    }
    /* A try that dies before its first record names none. */
    if (slot != NULL)
        atomic_store(&slot->recover_lsn, 0);
    replay->oldest_ns = oldest_ns;
    replay->sync = conf->fsync != FSYNC_OFF;
    replay->region = aligned_alloc(4096, MEMTABLE_BYTES);
    check(replay->region != NULL);
    replay->writer = memtable_writer_new();
    replay->part_writer = part_writer_new();
    return replay;
}

void
replay_free(struct replay *replay)
{
    if (replay == NULL)
        return;
    memtable_writer_free(replay->writer);
    part_writer_free(replay->part_writer);
    free(replay->region);
    xfree(replay->days);
    xfree(replay->parts);
    xfree(replay);
}

const struct manifest_part *
replay_parts(const struct replay *replay, size_t *n)
{
    *n = replay->nparts;
    return replay->parts;
}

uint64_t
replay_rows(const struct replay *replay)
{
    return replay->rows;
}

/* --- what is flushed already --- */

static int
days_load(struct replay *replay, struct err *err)
{
    uint32_t *days = NULL;
    size_t n = 0;
    int rc = -1;

    replay->ndays = 0;
    if (layout_days(&days, &n, err) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct err read_err = ERR_INIT;
        struct manifest manifest;
        uint64_t lsn;

        if (manifest_read(&manifest, days[i], &read_err) != 0) {
            /* A copy from elsewhere that nobody has attached, or detached. */
            if (read_err.code == ERR_UNSUPPORTED)
                continue;
            if (err != NULL)
                *err = read_err;
            goto out;
        }
        lsn = manifest_flushed_lsn(&manifest, replay->log_id);
        manifest_release(&manifest);
        if (lsn == 0)
            continue;
        /* Its writer may have died before its sync; the log ends here. */
        if (replay->sync && manifest_sync(days[i], err) != 0)
            goto out;
        if (replay->ndays == replay->cap_days) {
            replay->cap_days = MAX(2 * replay->cap_days, 16u);
            replay->days = xrealloc(replay->days,
                replay->cap_days * sizeof(*replay->days));
        }
        replay->days[replay->ndays++] = (struct flushed_day){days[i], lsn};
    }
    rc = 0;
out:
    xfree(days);
    return rc;
}

static bool
row_is_flushed(const struct replay *replay, uint32_t day, uint64_t lsn)
{
    for (size_t i = 0; i < replay->ndays; i++) {
        if (replay->days[i].day == day)
            return lsn < replay->days[i].lsn;
    }
    return false;
}

/* Every row of the record is in a part already, whatever its day. */
static bool
record_is_flushed(const struct replay *replay, const struct wal_entry *entry)
{
    for (size_t i = 0; i < replay->ndays; i++) {
        if (entry->first_lsn < replay->days[i].lsn)
            return true;
    }
    return false;
}

/* --- memtable to parts --- */

static void
parts_add(struct replay *replay, const struct manifest_part *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (replay->nparts == replay->cap_parts) {
            replay->cap_parts = MAX(2 * replay->cap_parts, 16u);
            replay->parts = xrealloc(replay->parts,
                replay->cap_parts * sizeof(*replay->parts));
        }
        replay->parts[replay->nparts++] = parts[i];
    }
}

static int
memtable_publish(struct replay *replay, struct err *err)
{
    uint32_t rows = replay->mt != NULL ? memtable_rows(replay->mt) : 0;
    const struct manifest_part *parts;
    struct publish *publish;
    size_t n;
    int rc;

    if (rows == 0) {
        replay->mt = NULL;
        return 0;
    }
    memtable_commit(replay->mt, rows);
    publish = publish_new(replay->mt, rows, replay->first_lsn,
        replay->next_lsn);
    for (size_t i = 0; i < replay->ndays; i++)
        publish_begin_day(publish, replay->days[i].day, replay->days[i].lsn);
    fault("recover.before_publish");
    rc = publish_write(publish, replay->part_writer, replay->sync, err);
    if (rc == 0) {
        parts = publish_parts(publish, &n);
        parts_add(replay, parts, n);
        replay->rows += rows;
        metric_add(METRIC_RECOVERED_ROWS, rows);
    }
    publish_free(publish);
    replay->mt = NULL;
    return rc;
}

static void
memtable_start(struct replay *replay, uint64_t lsn)
{
    replay->mt = memtable_init(replay->region, replay->log_id, lsn);
    memtable_writer_attach(replay->writer, replay->mt);
    replay->first_lsn = lsn;
    replay->next_lsn = lsn;
}

static int
batch_append(struct replay *replay, const struct wal_entry *entry,
    const struct batch *batch, struct err *err)
{
    uint32_t from = 0;

    /* A hole: rows of a group that was refused and never written. */
    if (replay->mt != NULL && entry->first_lsn != replay->next_lsn &&
        memtable_publish(replay, err) != 0)
        return -1;
    for (;;) {
        if (replay->mt == NULL)
            memtable_start(replay, entry->first_lsn + from);
        from = memtable_append(replay->writer, &entry->tenant, batch, from);
        replay->next_lsn = memtable_next_lsn(replay->mt);
        if (from == batch->nspans)
            return 0;
        if (memtable_rows(replay->mt) == 0)
            return err_set(err, ERR_LIMIT, "a span does not fit a memtable");
        if (memtable_publish(replay, err) != 0)
            return -1;
    }
}

/* --- records --- */

static void
quarantine_path(char path[PATH_MAX], const struct wal_entry *entry,
    const char *suffix)
{
    char name[128];

    snprintf(name, sizeof(name), "quarantine/record-%016llx-%llu.%s",
        (unsigned long long)entry->log_id,
        (unsigned long long)entry->first_lsn, suffix);
    layout_path(path, name);
}

static bool
record_is_quarantined(const struct wal_entry *entry)
{
    char path[PATH_MAX];

    quarantine_path(path, entry, "body");
    return sys.access(path, F_OK) == 0;
}

static int
record_quarantine(const struct wal_entry *entry, const char *why,
    struct err *err)
{
    char path[PATH_MAX];
    struct sb text;
    int rc;

    quarantine_path(path, entry, "body");
    rc = file_replace(path, entry->wire.ptr, entry->wire.len, 0600, err);
    sb_init(&text, 2 * (PARAMS_BYTES_MAX + 4 * KIB));
    sb_addf(&text, "account %u\nproject %u\nformat %s\nencoding %s\n"
        "rows %u\nreceived %lld\nreason %s\nparams ",
        entry->tenant.account, entry->tenant.project,
        entry->format == OTLP_JSON ? "json" : "protobuf",
        encoding_name(entry->encoding), entry->nrows,
        (long long)entry->recv_time_ns, why);
    sb_add_hex(&text, (const uint8_t *)entry->params.ptr, entry->params.len);
    sb_add_char(&text, '\n');
    quarantine_path(path, entry, "txt");
    if (rc == 0)
        rc = file_replace(path, text.ptr, text.len, 0600, err);
    sb_release(&text);
    if (rc == 0) {
        metric_add(METRIC_QUARANTINED_RECORDS, 1);
        log_error("an acknowledged request of %u spans went to %s: %s",
            entry->nrows, path, why);
    }
    return rc;
}

/* Marks what must not be stored (again); the rows keep their positions. */
static void
batch_mark(const struct replay *replay, const struct wal_entry *entry,
    struct batch *batch)
{
    uint64_t old = 0;

    for (uint32_t i = 0; i < batch->nspans; i++) {
        batch->spans[i].reject = REJECT_NONE;
    }
    batch->rejected = 0;
    for (uint32_t i = 0; i < entry->nrejected; i++) {
        uint32_t row = enc_get32(entry->rejected + (size_t)i * 4);

        if (row < batch->nspans)
            batch_reject(batch, row, REJECT_TRACE_ID);
    }
    for (uint32_t i = 0; i < batch->nspans; i++) {
        const struct span *span = &batch->spans[i];

        if (span->reject != REJECT_NONE)
            continue;
        if (span->end_ns < replay->oldest_ns) {
            batch_reject(batch, i, REJECT_TOO_OLD);
            old++;
        } else if (row_is_flushed(replay, time_day(span->end_ns),
            entry->first_lsn + i)) {
            batch_reject(batch, i, REJECT_TIME);
        }
    }
    metric_add(METRIC_REPLAY_SKIPPED_ROWS, old);
}

static int
record_decode(struct replay *replay, const struct wal_entry *entry,
    struct sb *inflated, struct batch *batch, struct err *err)
{
    struct sv body = entry->wire;

    if (entry->encoding != ENCODING_IDENTITY) {
        if (decompress(entry->encoding, body, BODY_BYTES_MAX, inflated,
            err) != 0)
            return -1;
        body = sb_sv(inflated);
    }
    if (replay->decode(entry->format, entry->params, body, batch, err) != 0)
        return -1;
    if (batch->nspans != entry->nrows)
        return err_set(err, ERR_CORRUPT,
            "decodes to %u spans, the record says %u", batch->nspans,
            entry->nrows);
    return 0;
}

/* True when this very record was being replayed at the last crash, too. */
static bool
record_is_poison(const struct replay *replay, const struct wal_entry *entry)
{
    return replay->poison_lsn == entry->first_lsn + 1 &&
        replay->poison_log_id == entry->log_id;
}

static void
record_note(struct replay *replay, const struct wal_entry *entry)
{
    if (replay->slot == NULL)
        return;
    atomic_store(&replay->slot->recover_log_id, entry->log_id);
    atomic_store(&replay->slot->recover_lsn, entry->first_lsn + 1);
}

static int
record_store(struct replay *replay, const struct wal_entry *entry,
    struct err *err)
{
    struct pool *pool = pool_new(POOL_BYTES_MAX);
    struct err decode_err = ERR_INIT;
    struct batch batch;
    struct sb inflated;
    int rc;

    sb_init(&inflated, BODY_BYTES_MAX);
    batch_init(&batch, pool);
    if (record_decode(replay, entry, &inflated, &batch, &decode_err) != 0) {
        rc = record_quarantine(entry, decode_err.text, err);
    } else {
        batch_mark(replay, entry, &batch);
        rc = batch_append(replay, entry, &batch, err);
    }
    if (rc == 0 && replay->one_by_one)
        rc = memtable_publish(replay, err);
    sb_release(&inflated);
    pool_free(pool);
    return rc;
}

static int IMPL(wal_entry_fn)
record_replay(const struct wal_entry *entry, void *arg, struct err *err)
{
    struct replay *replay = arg;
    struct request_outcome outcome = {entry->nrejected, entry->reject_mask};
    int64_t until_ns = clock_mono_ns() + TWIN_WAIT_NS;
    enum request_state state;

    while ((state = requests_replay(entry->digest, entry->log_id,
        entry->recv_time_ns, &outcome)) == REQUEST_IN_FLIGHT) {
        if (clock_mono_ns() > until_ns)
            return err_set(err, ERR_BUSY, "a worker holds a request that is "
                "in this log, too");
        sys.sleep_ns(TWIN_POLL_NS);
    }
    if (state == REQUEST_STORED && !record_is_flushed(replay, entry))
        return 0; /* the client's retry is stored by another log */
    if (record_is_quarantined(entry))
        return 0;
    if (record_is_poison(replay, entry)) {
        log_error("this request killed recovery");
        return record_quarantine(entry, "killed recovery", err);
    }
    record_note(replay, entry);
    return record_store(replay, entry, err);
}

static int IMPL(wal_entry_fn)
record_claim(const struct wal_entry *entry, void *arg, struct err *err)
{
    struct replay *replay = arg;
    struct request_outcome outcome = {entry->nrejected, entry->reject_mask};

    (void)err;
    if (record_is_flushed(replay, entry))
        (void)requests_replay(entry->digest, entry->log_id,
            entry->recv_time_ns, &outcome);
    return 0;
}

int
replay_claim_flushed(struct replay *replay, uint64_t log_id,
    const struct wal_file_name *names, size_t n, struct err *err)
{
    char dir[PATH_MAX], path[PATH_MAX];

    replay->log_id = log_id;
    if (days_load(replay, err) != 0)
        return -1;
    layout_wal_dir(dir);
    for (size_t i = 0; i < n; i++) {
        struct err file_err = ERR_INIT;
        struct wal_scan scan;

        wal_file_path(path, sizeof(path), dir, &names[i]);
        /* Damage is dealt with when the file is replayed. */
        if (wal_read_file(path, record_claim, replay, &scan,
            &file_err) != 0 && file_err.code != ERR_CORRUPT) {
            if (err != NULL)
                *err = file_err;
            return -1;
        }
    }
    return 0;
}

/*
 * Bad groups with something behind them, be it the next file of the log, may
 * have been acknowledged: the file is kept.
 */
static int
log_keep_damaged(const char *path, const struct wal_scan *scan, bool is_last,
    struct err *err)
{
    if (scan->damaged == 0 && scan->torn != 0 && is_last)
        log_warn("%s ends in bytes that are no whole group: a crash came "
            "before they were acknowledged, or they are damaged", path);
    if (scan->damaged == 0 && (scan->torn == 0 || is_last))
        return 0;
    log_error("%s: %llu damaged groups were skipped, the file is kept in "
        "quarantine", path, (unsigned long long)(scan->damaged +
        scan->torn));
    return layout_keep_copy(path, "quarantine", err);
}

int
replay_log(struct replay *replay, uint64_t log_id,
    const struct wal_file_name *names, size_t n, struct err *err)
{
    char dir[PATH_MAX], path[PATH_MAX];
    struct err file_err = ERR_INIT;

    replay->log_id = log_id;
    replay->mt = NULL;
    replay->one_by_one = replay->slot != NULL &&
        atomic_load(&replay->slot->recover_tries) >= ONE_BY_ONE_TRIES;
    if (days_load(replay, err) != 0)
        return -1;
    layout_wal_dir(dir);
    for (size_t i = 0; i < n; i++) {
        struct wal_scan scan;

        wal_file_path(path, sizeof(path), dir, &names[i]);
        if (wal_read_file(path, record_replay, replay, &scan,
            &file_err) == 0) {
            if (log_keep_damaged(path, &scan, i + 1 == n, err) != 0)
                return -1;
            continue;
        }
        if (file_err.code != ERR_CORRUPT) {
            if (err != NULL)
                *err = file_err;
            return -1;
        }
        log_error("log file damaged, kept in quarantine: %s", file_err.text);
        if (layout_discard(path, "quarantine", err) != 0)
            return -1;
    }
    return memtable_publish(replay, err);
}

/* --- afterwards --- */

struct digest_list {
    struct wal_digest *v;
    size_t n, cap;
};

static int IMPL(wal_entry_fn)
digest_collect(const struct wal_entry *entry, void *arg, struct err *err)
{
    struct digest_list *list = arg;
    struct wal_digest *digest;

    (void)err;
    if (list->n == list->cap) {
        list->cap = MAX(2 * list->cap, 64u);
        list->v = xrealloc(list->v, list->cap * sizeof(*list->v));
    }
    digest = &list->v[list->n++];
    memcpy(digest->digest, entry->digest, sizeof(digest->digest));
    digest->recv_time_ns = entry->recv_time_ns;
    digest->rejected = entry->nrejected;
    digest->reject_mask = entry->reject_mask;
    return 0;
}

/*
 * Its digests stay in a file of their own.  On a full disk the log goes first
 * and makes room for them: between the two a crash forgets them, and a retry
 * would be stored twice; but the server comes up.
 */
static int
log_file_replace(const char *dir, const char *path,
    const struct wal_file_name *name, const struct digest_list *list,
    struct err *err)
{
    struct err write_err = ERR_INIT;

    if (wal_write_digests(dir, name, list->v, list->n, &write_err) == 0) {
        fault("recover.before_unlink");
        return file_unlink(path, err);
    }
    if (write_err.code != ERR_NO_SPACE) {
        if (err != NULL)
            *err = write_err;
        return -1;
    }
    if (file_unlink(path, err) != 0)
        return -1;
    if (wal_write_digests(dir, name, list->v, list->n, &write_err) != 0)
        log_warn("digests are lost, a retry may be stored twice: %s",
            write_err.text);
    return 0;
}

int
replay_remove_log(const struct wal_file_name *names, size_t n,
    struct err *err)
{
    char dir[PATH_MAX], path[PATH_MAX];

    layout_wal_dir(dir);
    for (size_t i = 0; i < n; i++) {
        struct digest_list list = {NULL, 0, 0};
        struct err ignored = ERR_INIT;
        struct wal_scan scan;
        int rc;

        wal_file_path(path, sizeof(path), dir, &names[i]);
        /* What cannot be looked at is not gone: it would be replayed again. */
        if (names[i].is_digests || (sys.access(path, F_OK) != 0 &&
            errno == ENOENT))
            continue;
        if (wal_read_file(path, digest_collect, &list, &scan, &ignored) == 0)
            rc = log_file_replace(dir, path, &names[i], &list, err);
        else
            rc = file_unlink(path, err);
        xfree(list.v);
        if (rc != 0)
            return -1;
    }
    return 0;
}
