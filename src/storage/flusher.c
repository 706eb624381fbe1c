/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/flusher.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "core/assert.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "storage/ballast.h"
#include "storage/catalog.h"
#include "storage/publish.h"
#include "storage/shared.h"

#define RETRY_NS NS_PER_SEC
/* The encoder's scratch (some 12 MiB) is given back after this pause. */
#define IDLE_NS (10 * NS_PER_SEC)

struct flusher {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct flush_job *head, **tail;
    struct part_writer *writer; /* of the thread; NULL when idle */
    unsigned pending;
    unsigned slot;
    bool sync;
    bool is_stopping;
};

static void
deadline_in(struct timespec *ts, int64_t ns)
{
    ns += clock_mono_ns();
    ts->tv_sec = ns / NS_PER_SEC;
    ts->tv_nsec = ns % NS_PER_SEC;
}

/* Parts born and memtable dead in one generation; the buffer is free. */
static int
catalog_swap(struct flusher *flusher, const struct flush_job *job,
    const struct publish *publish, struct err *err)
{
    struct buffer *buffer =
        &shared->slots[flusher->slot].buffers[job->buffer];
    const struct manifest_part *parts = NULL;
    size_t n = 0;

    if (publish != NULL)
        parts = publish_parts(publish, &n);
    catalog_begin();
    for (size_t i = 0; i < n; i++) {
        if (!publish_is_current(publish, i))
            continue;
        if (catalog_add_part(&parts[i].info, NULL, err) != 0) {
            catalog_abort();
            return -1;
        }
    }
    catalog_remove(buffer->entry);
    atomic_store(&buffer->dead_gen, catalog_commit());
    atomic_store(&buffer->state, BUFFER_FREE);
    return 0;
}

/* True when the job is done; false when the thread is to end before. */
static bool
job_wait_retry(struct flusher *flusher)
{
    struct timespec until;
    bool go_on;

    deadline_in(&until, RETRY_NS);
    pthread_mutex_lock(&flusher->mutex);
    while (!flusher->is_stopping &&
        pthread_cond_timedwait(&flusher->changed, &flusher->mutex,
            &until) != ETIMEDOUT)
        ;
    go_on = !flusher->is_stopping;
    pthread_mutex_unlock(&flusher->mutex);
    return go_on;
}

static bool
job_flush(struct flusher *flusher, const struct flush_job *job)
{
    struct memtable *mt = shared_buffer(flusher->slot, job->buffer);
    struct publish *publish = NULL;
    int64_t start = clock_mono_ns();
    bool done = false;

    if (flusher->writer == NULL)
        flusher->writer = part_writer_new();
    if (job->rows > 0)
        publish = publish_new(mt, job->rows, job->first_lsn, job->last_lsn);
    for (;;) {
        struct err err = ERR_INIT;

        if ((publish == NULL ||
            publish_write(publish, flusher->writer, flusher->sync, &err) == 0) &&
            catalog_swap(flusher, job, publish, &err) == 0) {
            done = true;
            break;
        }
        if (err.code == ERR_NO_SPACE && ballast_release())
            continue;
        metric_add(METRIC_FLUSH_ERRORS, 1);
        log_error("flush of %u rows failed, trying again: %s", job->rows,
            err.text);
        if (!job_wait_retry(flusher))
            break;
    }
    publish_free(publish);
    if (done && job->rows > 0) {
        metric_add(METRIC_FLUSHES, 1);
        metric_add(METRIC_FLUSH_ROWS, job->rows);
        metric_observe_ns(METRIC_FLUSH_SECONDS, clock_mono_ns() - start);
    }
    return done;
}

static void
slot_forget_log(unsigned slot, uint64_t log_id)
{
    for (unsigned i = 0; i < SLOT_LOGS; i++) {
        uint64_t expected = log_id;

        atomic_compare_exchange_strong(&shared->slots[slot].logs[i],
            &expected, 0);
    }
}

static void
job_release(struct flusher *flusher, const struct flush_job *job)
{
    struct err err = ERR_INIT;

    if (job->wal == NULL)
        return;
    if (wal_release(job->wal, job->last_lsn, job->wal_ends, &err) != 0)
        log_error("log file not removed: %s", err.text);
    if (job->wal_ends) {
        slot_forget_log(flusher->slot, wal_log_id(job->wal));
        wal_close(job->wal);
    }
}

/* Waits for a job, under the mutex; the scratch goes after a while. */
static void
flusher_idle(struct flusher *flusher)
{
    struct timespec until;

    if (flusher->writer == NULL) {
        pthread_cond_wait(&flusher->changed, &flusher->mutex);
        return;
    }
    deadline_in(&until, IDLE_NS);
    if (pthread_cond_timedwait(&flusher->changed, &flusher->mutex,
        &until) == ETIMEDOUT) {
        part_writer_free(flusher->writer);
        flusher->writer = NULL;
    }
}

static void *
flusher_main(void *arg)
{
    struct flusher *flusher = arg;

    pthread_mutex_lock(&flusher->mutex);
    for (;;) {
        struct flush_job *job;
        bool done = true;

        while (flusher->head == NULL && !flusher->is_stopping)
            flusher_idle(flusher);
        job = flusher->head;
        if (job == NULL || flusher->is_stopping)
            break;
        pthread_mutex_unlock(&flusher->mutex);
        if (job->buffer != UINT_MAX)
            done = job_flush(flusher, job);
        if (done) {
            job_release(flusher, job);
            if (job->request != 0)
                atomic_store(&shared->slots[flusher->slot].flush_done,
                    job->request);
        }
        pthread_mutex_lock(&flusher->mutex);
        if (!done)
            break;
        flusher->head = job->next;
        if (flusher->head == NULL)
            flusher->tail = &flusher->head;
        flusher->pending--;
        pthread_cond_broadcast(&flusher->changed);
        xfree(job);
        shared_wake(flusher->slot);
    }
    pthread_mutex_unlock(&flusher->mutex);
    return NULL;
}

struct flusher *
flusher_start(unsigned slot, bool sync)
{
    struct flusher *flusher = xcalloc(1, sizeof(*flusher));
    pthread_condattr_t attr;
    sigset_t all, old;

    flusher->slot = slot;
    flusher->sync = sync;
    flusher->tail = &flusher->head;
    check(pthread_mutex_init(&flusher->mutex, NULL) == 0);
    check(pthread_condattr_init(&attr) == 0);
    check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    check(pthread_cond_init(&flusher->changed, &attr) == 0);
    pthread_condattr_destroy(&attr);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    check(pthread_create(&flusher->thread, NULL, flusher_main, flusher) == 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_setname_np(flusher->thread, "flush");
    return flusher;
}

void
flusher_submit(struct flusher *flusher, struct flush_job *job)
{
    job->next = NULL;
    fault("flush.freeze");
    pthread_mutex_lock(&flusher->mutex);
    *flusher->tail = job;
    flusher->tail = &job->next;
    flusher->pending++;
    pthread_cond_broadcast(&flusher->changed);
    pthread_mutex_unlock(&flusher->mutex);
}

unsigned
flusher_pending(struct flusher *flusher)
{
    unsigned pending;

    pthread_mutex_lock(&flusher->mutex);
    pending = flusher->pending;
    pthread_mutex_unlock(&flusher->mutex);
    return pending;
}

bool
flusher_wait(struct flusher *flusher, unsigned n, int64_t timeout_ns)
{
    struct timespec until;
    bool reached;

    deadline_in(&until, timeout_ns);
    pthread_mutex_lock(&flusher->mutex);
    while (flusher->pending >= n &&
        pthread_cond_timedwait(&flusher->changed, &flusher->mutex,
            &until) != ETIMEDOUT)
        ;
    reached = flusher->pending < n;
    pthread_mutex_unlock(&flusher->mutex);
    return reached;
}

void
flusher_stop(struct flusher *flusher)
{
    pthread_mutex_lock(&flusher->mutex);
    flusher->is_stopping = true;
    pthread_cond_broadcast(&flusher->changed);
    pthread_mutex_unlock(&flusher->mutex);
    pthread_join(flusher->thread, NULL);
    part_writer_free(flusher->writer);
    while (flusher->head != NULL) {
        struct flush_job *next = flusher->head->next;

        /* Its files stay: recovery makes parts of them. */
        if (flusher->head->wal_ends)
            wal_close(flusher->head->wal);
        xfree(flusher->head);
        flusher->head = next;
    }
    pthread_cond_destroy(&flusher->changed);
    pthread_mutex_destroy(&flusher->mutex);
    xfree(flusher);
}
