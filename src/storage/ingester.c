/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/ingester.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/loop.h"
#include "storage/ingester_state.h"
#include "storage/requests.h"

#define GROUP_BYTES_MAX (32 * MIB)
/* A request of so many spans or bytes makes up a group of its own. */
#define LARGE_SPANS (MEMTABLE_ROWS_MAX / 2)
#define LARGE_BYTES (MEMTABLE_BYTES / 2)
/* A request that meets its twin in flight waits this long: then 503. */
#define TWIN_WAIT_NS (10 * NS_PER_SEC)
#define TWIN_POLL_MS 2

/* --- answers --- */

static void IMPL(loop_post_fn)
answer_on_loop(void *arg)
{
    struct ingest *ingest = arg;

    while (ingest != NULL) {
        struct ingest *next = ingest->next;

        ingest->done(ingest);
        ingest = next;
    }
    fault("ingest.after_reply");
}

static void
answer(struct ingester *ingester, struct ingest *ingest,
    enum ingest_status status)
{
    ingest->status = status;
    if (status != INGEST_OK && ingest->retry_after_sec == 0)
        ingest->retry_after_sec = 1;
    ingest->next = NULL;
    *ingester->answers_tail = ingest;
    ingester->answers_tail = &ingest->next;
}

static void
answers_send(struct ingester *ingester)
{
    struct ingest *list = ingester->answers;
    unsigned n = 0;

    if (list == NULL)
        return;
    for (struct ingest *i = list; i != NULL; i = i->next)
        n++;
    ingester->answers = NULL;
    ingester->answers_tail = &ingester->answers;
    pthread_mutex_lock(&ingester->mutex);
    ingester->queued -= n;
    pthread_mutex_unlock(&ingester->mutex);
    metric_gauge_add(METRIC_INGEST_QUEUE, -(int64_t)n);
    loop_post(ingester->process->loop, answer_on_loop, list);
}

/* --- groups --- */

static void
group_refuse(struct ingester *ingester, struct group *group,
    enum ingest_status status, bool is_unsure)
{
    struct request_outcome none = {0, 0};

    for (unsigned i = 0; i < group->n; i++) {
        struct ingest *ingest = group->requests[i];

        requests_settle(ingest->digest, group->log_id, false, &none);
        ingest->is_unsure = is_unsure;
        if (status == INGEST_UNAVAILABLE)
            metric_add(METRIC_INGEST_REFUSED_LOG_ERROR, 1);
        answer(ingester, ingest, status);
    }
}

/* All buffers belong to this one request, and it has filled them. */
static bool
group_never_fits(const struct ingester *ingester, const struct group *group)
{
    return group->n == 1 && group->nfull == SLOT_BUFFERS - 1 &&
        group->full[0].committed == 0 &&
        ingester->active.buffer != UINT_MAX;
}

/*
 * The memtables a failed group has touched end at what was committed before
 * it; the rows behind that are never seen by anybody.
 */
static void
group_abandon(struct ingester *ingester, struct group *group, bool wal_failed,
    const struct err *err)
{
    enum ingest_status status = !wal_failed &&
        group_never_fits(ingester, group) ? INGEST_TOO_LARGE :
        INGEST_UNAVAILABLE;

    for (unsigned i = 0; i < group->nfull; i++)
        active_freeze(ingester, &group->full[i], false, 0);
    group->nfull = 0;
    if (wal_failed) {
        log_failed(ingester, err);
    } else {
        log_warn("%u requests refused: %s", group->n, err->text);
        if (ingester->active.buffer != UINT_MAX)
            active_end(ingester, false, 0);
    }
    /* What the disk did not confirm may be found in the log after a crash. */
    group_refuse(ingester, group, status,
        wal_failed && err->code != ERR_NO_SPACE);
    group->n = 0;
    answers_send(ingester);
}

/* The full memtable waits for its group; the next one takes over. */
static int
group_rotate(struct ingester *ingester, struct group *group, struct err *err)
{
    struct active *active = &ingester->active;

    /* No buffer turns free before this group is stored. */
    if (group->nfull == SLOT_BUFFERS - 1)
        return err_set(err, ERR_LIMIT, "a request needs more than %u "
            "memtables", SLOT_BUFFERS);
    group->full[group->nfull++] = *active;
    active->buffer = UINT_MAX;
    return active_open(ingester, err);
}

/*
 * Rows of days that are being detached or dropped.  Looked at here, on the
 * thread that appends: what comes behind a flush that was asked for after the
 * change of state has seen that (barrier.h).
 */
static void
reject_closed_days(struct batch *batch)
{
    if (atomic_load(&shared->closed_days) == 0)
        return;
    for (uint32_t i = 0; i < batch->nspans; i++) {
        enum partition_state state;

        if (batch->spans[i].reject != REJECT_NONE)
            continue;
        state = partition_state(time_day(batch->spans[i].end_ns));
        if (state == PARTITION_DROPPING)
            batch_reject(batch, i, REJECT_TOO_OLD);
        else if (state != PARTITION_OPEN)
            batch_reject(batch, i, REJECT_DETACHED);
    }
}

/* Appends one request's rows and its record to the group. */
static int
group_add(struct ingester *ingester, struct group *group,
    struct ingest *ingest, struct err *err)
{
    struct batch *batch = ingest->batch;
    uint32_t from = 0;

    memtable_reject_oversize(batch);
    reject_closed_days(batch);
    group->requests[group->n] = ingest;
    group->records[group->n].ingest = ingest;
    group->records[group->n].first_lsn = ingester->next_lsn;
    group->n++;
    group->bytes += ingest->wire.len;
    for (;;) {
        from = memtable_append(ingester->writer, &ingest->tenant, batch,
            from);
        ingester->next_lsn = memtable_next_lsn(ingester->active.mt);
        if (from == batch->nspans)
            break;
        if (group_rotate(ingester, group, err) != 0)
            return -1;
    }
    check(ingester->next_lsn == group->records[group->n - 1].first_lsn +
        batch->nspans);
    return 0;
}

/* Stored: rows turn visible, digests settle, then the answers go out. */
static void
group_commit(struct ingester *ingester, struct group *group)
{
    struct active *active = &ingester->active;

    for (unsigned i = 0; i < group->nfull; i++) {
        struct active *full = &group->full[i];

        full->committed = memtable_rows(full->mt);
        full->committed_lsn = memtable_next_lsn(full->mt);
        memtable_commit(full->mt, full->committed);
    }
    active->committed = memtable_rows(active->mt);
    active->committed_lsn = ingester->next_lsn;
    memtable_commit(active->mt, active->committed);
    if (active->since_ns == 0)
        active->since_ns = clock_pace_ns();
    fault("ingest.after_commit");
    for (unsigned i = 0; i < group->n; i++) {
        struct ingest *ingest = group->requests[i];
        struct request_outcome outcome = {ingest->batch->rejected,
            ingest->batch->reject_mask};

        ingest->rejected = outcome.rejected;
        ingest->reject_mask = outcome.reject_mask;
        requests_settle(ingest->digest, group->log_id, true, &outcome);
        answer(ingester, ingest, INGEST_OK);
    }
    answers_send(ingester);
    for (unsigned i = 0; i < group->nfull; i++)
        active_freeze(ingester, &group->full[i], false, 0);
    group->nfull = 0;
    group->n = 0;
    ingester->log_retry_ns = 0;
}

static void
group_store(struct ingester *ingester, struct group *group)
{
    int64_t start_ns = clock_mono_ns(), took_ns;
    struct err err = ERR_INIT;
    int rc = 0;

    if (group->n == 0)
        return;
    fault("ingest.after_append");
    /* With fsync: interval a file is synced before it is left. */
    if (ingester->sync_interval_ns != 0 && wal_is_full(ingester->wal))
        rc = wal_sync(ingester->wal, &err);
    if (rc == 0)
        rc = wal_append(ingester->wal, group->records, group->n,
            ingester->sync, &err);
    took_ns = clock_mono_ns() - start_ns;
    metric_observe_ns(METRIC_LOG_WRITE_SECONDS, took_ns);
    ingester->log_ns += took_ns;
    if (rc != 0) {
        group_abandon(ingester, group, true, &err);
        return;
    }
    metric_observe(METRIC_GROUP_INSERTS, group->n);
    group_commit(ingester, group);
}

/* True: it is answered, or waits for its twin. */
static bool
request_is_known(struct ingester *ingester, struct ingest *ingest,
    uint64_t log_id)
{
    struct request_outcome outcome = {0, 0};
    int64_t waited_ns;

    switch (requests_claim(ingest->digest, log_id, &outcome)) {
    case REQUEST_NEW:
        return false;
    case REQUEST_STORED:
        ingest->is_duplicate = true;
        ingest->rejected = outcome.rejected;
        ingest->reject_mask = outcome.reject_mask;
        metric_add(METRIC_INGEST_DUPLICATES, 1);
        answer(ingester, ingest, INGEST_OK);
        return true;
    case REQUEST_IN_FLIGHT:
        break;
    }
    waited_ns = clock_wall_ns() - ingest->recv_time_ns;
    /* A clock that was set back must not make it wait for hours. */
    if (waited_ns < 0 || waited_ns > TWIN_WAIT_NS) {
        metric_add(METRIC_INGEST_REFUSED_BUSY, 1);
        ingest->is_unsure = true;
        answer(ingester, ingest, INGEST_UNAVAILABLE);
    } else {
        ingest->next = ingester->waiting;
        ingester->waiting = ingest;
    }
    return true;
}

/* A log and a memtable to write to, or the reason why there is none. */
static int
ready_to_store(struct ingester *ingester, struct err *err)
{
    if (ingester->wal == NULL && log_open_new(ingester, err) != 0)
        return -1;
    if (ingester->active.buffer == UINT_MAX &&
        active_open(ingester, err) != 0)
        return -1;
    return 0;
}

static bool
request_is_large(const struct ingest *ingest)
{
    return ingest->batch->nspans > LARGE_SPANS ||
        ingest->wire.len > LARGE_BYTES;
}

static void
request_take(struct ingester *ingester, struct ingest *ingest)
{
    struct group *group = &ingester->group;
    struct err err = ERR_INIT;

    /* It must not take along others when it finds no place. */
    if (request_is_large(ingest))
        group_store(ingester, group);
    if (ready_to_store(ingester, &err) != 0) {
        log_warn("request refused: %s", err.text);
        metric_add(METRIC_INGEST_REFUSED_LOG_ERROR, 1);
        answer(ingester, ingest, INGEST_UNAVAILABLE);
        return;
    }
    if (group->n == 0) {
        group->bytes = 0;
        group->log_id = wal_log_id(ingester->wal);
    }
    if (request_is_known(ingester, ingest, group->log_id))
        return;
    if (group_add(ingester, group, ingest, &err) != 0)
        group_abandon(ingester, group, false, &err);
    else if (group->n == GROUP_REQUESTS_MAX ||
        group->bytes > GROUP_BYTES_MAX || group->nfull > 0)
        group_store(ingester, group);
}

static struct ingest *
queue_take(struct ingester *ingester)
{
    struct ingest *list;

    pthread_mutex_lock(&ingester->mutex);
    list = ingester->head;
    ingester->head = NULL;
    ingester->tail = &ingester->head;
    pthread_mutex_unlock(&ingester->mutex);
    return list;
}

static void
requests_run(struct ingester *ingester, struct ingest *list)
{
    int64_t start = clock_mono_ns();

    if (list == NULL)
        return;
    ingester->log_ns = 0;
    while (list != NULL) {
        struct ingest *next = list->next;

        request_take(ingester, list);
        list = next;
    }
    group_store(ingester, &ingester->group);
    answers_send(ingester);
    metric_observe_ns(METRIC_APPEND_SECONDS, clock_mono_ns() - start -
        ingester->log_ns);
}

static void
waiting_run(struct ingester *ingester)
{
    struct ingest *list = ingester->waiting;

    ingester->waiting = NULL;
    requests_run(ingester, list);
}

/* --- the thread --- */

static void
interval_sync(struct ingester *ingester)
{
    struct err err = ERR_INIT;
    int64_t now = clock_mono_ns();

    if (ingester->sync_interval_ns == 0 || ingester->wal == NULL ||
        now - ingester->last_sync_ns < ingester->sync_interval_ns)
        return;
    ingester->last_sync_ns = now;
    if (wal_sync(ingester->wal, &err) != 0)
        log_failed(ingester, &err);
}

static bool
log_is_to_end(struct ingester *ingester)
{
    uint64_t ends = atomic_load(&shared->log_ends);
    bool is_asked = ends != ingester->log_ends_seen;

    ingester->log_ends_seen = ends;
    return is_asked && ingester->wal != NULL;
}

static void
flush_when_due(struct ingester *ingester)
{
    uint64_t request = atomic_load(&shared->flush_request);
    const struct active *active = &ingester->active;

    if (request != ingester->flush_seen) {
        ingester->flush_seen = request;
        active_end(ingester, log_is_to_end(ingester), request);
    } else if (active->since_ns != 0 && clock_pace_ns() - active->since_ns >
        ingester->process->conf->flush_interval) {
        active_end(ingester, false, 0);
    }
}

static int
wait_ms(const struct ingester *ingester)
{
    int64_t ns = INT64_MAX;

    if (ingester->waiting != NULL)
        return TWIN_POLL_MS;
    if (ingester->active.since_ns != 0)
        ns = clock_pace_wait_ns(ingester->process->conf->flush_interval -
            (clock_pace_ns() - ingester->active.since_ns));
    if (ingester->sync_interval_ns != 0 && ingester->wal != NULL)
        ns = MIN(ns, ingester->sync_interval_ns);
    if (ns == INT64_MAX)
        return -1;
    return (int)(MAX(ns, NS_PER_MS) / NS_PER_MS) + 1;
}

static void
wait_for_work(struct ingester *ingester)
{
    struct pollfd fd = {shared_wake_fd(ingester->slot), POLLIN, 0};
    uint64_t count;

    if (poll(&fd, 1, wait_ms(ingester)) > 0 &&
        read(fd.fd, &count, sizeof(count)) < 0)
        check(errno == EAGAIN || errno == EINTR);
}

static void *
ingester_main(void *arg)
{
    struct ingester *ingester = arg;
    bool stop = false;

    while (!stop) {
        wait_for_work(ingester);
        pthread_mutex_lock(&ingester->mutex);
        stop = ingester->is_stopping && ingester->head == NULL;
        pthread_mutex_unlock(&ingester->mutex);
        requests_run(ingester, queue_take(ingester));
        waiting_run(ingester);
        interval_sync(ingester);
        flush_when_due(ingester);
    }
    return NULL;
}

/* The slot's memory belongs to this process from here on. */
static void
slot_claim(unsigned index)
{
    struct slot *slot = &shared->slots[index];

    check(atomic_load(&slot->state) == SLOT_FREE);
    for (unsigned i = 0; i < SLOT_LOGS; i++)
        check(atomic_load(&slot->logs[i]) == 0);
    atomic_store(&slot->recover_tries, 0);
    atomic_store(&slot->recover_lsn, 0);
    atomic_store(&slot->flush_done, atomic_load(&shared->flush_request));
    atomic_store(&slot->pid, (int32_t)getpid());
    atomic_store(&slot->state, SLOT_LIVE);
}

struct ingester *
ingester_start(struct process *process)
{
    struct ingester *ingester = xcalloc(1, sizeof(*ingester));
    const struct conf *conf = process->conf;
    sigset_t all, old;

    slot_claim(process->slot);
    ingester->process = process;
    ingester->slot = process->slot;
    ingester->sync = conf->fsync == FSYNC_ALWAYS;
    if (conf->fsync == FSYNC_INTERVAL)
        ingester->sync_interval_ns = conf->fsync_interval;
    ingester->tail = &ingester->head;
    ingester->answers_tail = &ingester->answers;
    ingester->active.buffer = UINT_MAX;
    ingester->log_ends_seen = atomic_load(&shared->log_ends);
    ingester->flush_seen = atomic_load(
        &shared->slots[process->slot].flush_done);
    ingester->writer = memtable_writer_new();
    ingester->flusher = flusher_start(process->slot, conf->fsync !=
        FSYNC_OFF);
    check(pthread_mutex_init(&ingester->mutex, NULL) == 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    check(pthread_create(&ingester->thread, NULL, ingester_main,
        ingester) == 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_setname_np(ingester->thread, "ingest");
    return ingester;
}

void
ingester_submit(struct ingester *ingester, struct ingest *ingest)
{
    ingest->next = NULL;
    metric_gauge_add(METRIC_INGEST_QUEUE, 1);
    pthread_mutex_lock(&ingester->mutex);
    *ingester->tail = ingest;
    ingester->tail = &ingest->next;
    ingester->queued++;
    pthread_mutex_unlock(&ingester->mutex);
    shared_wake(ingester->slot);
}

bool
ingester_is_idle(struct ingester *ingester)
{
    bool idle;

    pthread_mutex_lock(&ingester->mutex);
    idle = ingester->queued == 0;
    pthread_mutex_unlock(&ingester->mutex);
    return idle;
}

bool
ingester_stop(struct ingester *ingester, int64_t timeout_ns)
{
    struct slot *slot = &shared->slots[ingester->slot];
    bool clean;

    pthread_mutex_lock(&ingester->mutex);
    ingester->is_stopping = true;
    pthread_mutex_unlock(&ingester->mutex);
    shared_wake(ingester->slot);
    pthread_join(ingester->thread, NULL);
    if (ingester->wal != NULL)
        active_end(ingester, true, 0);
    clean = flusher_wait(ingester->flusher, 1, timeout_ns);
    flusher_stop(ingester->flusher);
    if (clean) {
        atomic_store(&slot->pid, 0);
        atomic_store(&slot->state, SLOT_FREE);
    }
    memtable_writer_free(ingester->writer);
    pthread_mutex_destroy(&ingester->mutex);
    xfree(ingester);
    return clean;
}
