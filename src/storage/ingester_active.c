/* SPDX-License-Identifier: BSD-2-Clause */

/* The memtable and the log that the ingest thread fills. */

#include "core/base.h"
#include "storage/ingester_state.h"

#include <poll.h>

#include "core/assert.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "storage/catalog.h"
#include "storage/compact.h"
#include "storage/layout.h"

/* Pause after a log error before a new log is tried. */
#define LOG_RETRY_NS (100 * NS_PER_MS)
/* No free memtable buffer for this long: 503. */
#define BUFFER_WAIT_NS NS_PER_SEC
/* Between two looks for a free buffer. */
#define BUFFER_POLL_MS 2
/* That merges are behind is said this often. */
#define SAY_NS (10 * NS_PER_SEC)

/* --- memtables --- */

/*
 * The state is read before the readers are: a reader that this does not see
 * has registered behind the flip that made the buffer free, so it reads a
 * generation in which nobody refers to it.
 */
static int
buffer_find(const struct ingester *ingester)
{
    const struct slot *slot = &shared->slots[ingester->slot];

    for (unsigned i = 0; i < SLOT_BUFFERS; i++) {
        if (atomic_load(&slot->buffers[i].state) == BUFFER_FREE &&
            atomic_load(&slot->buffers[i].dead_gen) <=
            catalog_oldest_reader())
            return (int)i;
    }
    return -1;
}

/* Waits for the flush or for a slow reader, but not for ever. */
static int
buffer_take(const struct ingester *ingester)
{
    int64_t until = clock_mono_ns() + BUFFER_WAIT_NS;
    int buffer;

    while ((buffer = buffer_find(ingester)) < 0 && clock_mono_ns() < until)
        (void)poll(NULL, 0, BUFFER_POLL_MS);
    return buffer;
}

static void
say_merges_are_behind(int64_t delay_ns)
{
    static _Atomic int64_t said_ns;
    int64_t now = clock_mono_ns(), said = atomic_load(&said_ns);

    metric_add(METRIC_INGEST_MERGE_WAITS, 1);
    if ((said == 0 || now - said > SAY_NS) &&
        atomic_compare_exchange_strong(&said_ns, &said, now))
        log_warn("merges are behind: inserts are %s",
            delay_ns == INT64_MAX ? "held up" : "slowed down");
}

/*
 * Back-pressure of the merges: the more parts wait, the longer it takes.
 * False when there are too many for as long as a full memtable may wait.
 */
static bool
merges_wait(void)
{
    int64_t delay = compact_ingest_delay_ns(), until;

    if (delay == 0)
        return true;
    say_merges_are_behind(delay);
    until = clock_mono_ns() + MIN(delay, BUFFER_WAIT_NS);
    while (clock_mono_ns() < until && compact_ingest_delay_ns() >= delay)
        (void)poll(NULL, 0, BUFFER_POLL_MS);
    return compact_ingest_delay_ns() != INT64_MAX;
}

int
active_open(struct ingester *ingester, struct err *err)
{
    struct slot *slot = &shared->slots[ingester->slot];
    struct active *active = &ingester->active;
    uint32_t entry;
    int buffer;

    check(ingester->wal != NULL);
    if (!merges_wait())
        return err_set(err, ERR_BUSY, "merges are behind");
    buffer = buffer_take(ingester);
    if (buffer < 0)
        return err_set(err, ERR_BUSY, "all %u memtables wait for the disk",
            SLOT_BUFFERS);
    active->mt = memtable_init(shared_buffer(ingester->slot,
        (unsigned)buffer), wal_log_id(ingester->wal), ingester->next_lsn);
    catalog_begin();
    if (catalog_add_memtable(ingester->slot, (unsigned)buffer, &entry,
        err) != 0) {
        catalog_abort();
        return -1;
    }
    slot->buffers[buffer].entry = entry;
    atomic_store(&slot->buffers[buffer].state, BUFFER_ACTIVE);
    catalog_commit();
    active->buffer = (unsigned)buffer;
    active->committed = 0;
    active->first_lsn = ingester->next_lsn;
    active->committed_lsn = ingester->next_lsn;
    active->since_ns = 0;
    memtable_writer_attach(ingester->writer, active->mt);
    return 0;
}

/* Hands a memtable to the flush thread; its rows end at `committed`. */
void
active_freeze(struct ingester *ingester, const struct active *active,
    bool wal_ends, uint64_t request)
{
    struct flush_job *job = xcalloc(1, sizeof(*job));

    job->buffer = active->buffer;
    job->rows = active->committed;
    job->first_lsn = active->first_lsn;
    job->last_lsn = active->committed_lsn;
    job->wal = ingester->wal;
    job->wal_ends = wal_ends;
    job->request = request;
    if (active->buffer != UINT_MAX) {
        atomic_store(&shared->slots[ingester->slot].buffers[active->buffer]
            .state, BUFFER_FROZEN);
        metric_add(METRIC_MEMTABLE_ROTATIONS, 1);
    }
    flusher_submit(ingester->flusher, job);
}

/* Everything in memory goes to the flush thread, perhaps with its log. */
void
active_end(struct ingester *ingester, bool wal_ends, uint64_t request)
{
    struct active *active = &ingester->active;

    if (active->buffer == UINT_MAX)
        active->committed_lsn = ingester->next_lsn;
    active_freeze(ingester, active, wal_ends, request);
    active->buffer = UINT_MAX;
    active->mt = NULL;
    active->since_ns = 0;
    active->committed = 0;
    if (wal_ends)
        ingester->wal = NULL;
}

/* --- the log --- */

int
log_open_new(struct ingester *ingester, struct err *err)
{
    struct slot *slot = &shared->slots[ingester->slot];
    uint64_t log_id;
    char dir[PATH_MAX];
    unsigned i = 0;

    if (ingester->log_retry_ns != 0 &&
        clock_mono_ns() < ingester->log_retry_ns)
        return err_set(err, ERR_BUSY, "the log failed a moment ago");
    while (i < SLOT_LOGS && atomic_load(&slot->logs[i]) != 0)
        i++;
    if (i == SLOT_LOGS)
        return err_set(err, ERR_BUSY, "%u failed logs wait for the disk",
            SLOT_LOGS);
    log_id = shared_new_log_id();
    layout_wal_dir(dir);
    if (wal_open(&ingester->wal, dir, log_id, shared->node_id, err) != 0)
        return -1;
    atomic_store(&slot->logs[i], log_id);
    ingester->next_lsn = 1;
    return 0;
}

void
log_failed(struct ingester *ingester, const struct err *err)
{
    log_error("log %016llx failed, opening a new one: %s",
        (unsigned long long)wal_log_id(ingester->wal), err->text);
    ingester->log_retry_ns = clock_mono_ns() + LOG_RETRY_NS;
    active_end(ingester, true, 0);
}
