/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The loop of the merge process: looks at the catalogue when it has changed,
 * chooses, and hands one merge at a time to its threads.
 */

#include "core/base.h"
#include "storage/compact.h"

#include "core/assert.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/loop.h"
#include "event/task.h"
#include "storage/catalog.h"
#include "storage/compact_job.h"
#include "storage/compact_plan.h"
#include "storage/part_read_cache.h"
#include "storage/shared.h"

/* While something runs or waits, and when nothing does. */
#define TICK_NS (100 * NS_PER_MS)
#define IDLE_TICK_NS (500 * NS_PER_MS)
/* Without any change of the catalogue: parts grow old, days end. */
#define LOOK_NS (10 * NS_PER_SEC)
/* While a merge runs, what waits is counted this often. */
#define COUNT_NS NS_PER_SEC
/* After a failure, doubled up to the maximum with each one that follows. */
#define PAUSE_MIN_NS NS_PER_SEC
#define PAUSE_MAX_NS (300 * NS_PER_SEC)
/* Files removed in one go, some milliseconds each where disks are slow. */
#define REMOVE_MAX 256u
/* At the end of the process, for queries that read retired files. */
#define DRAIN_NS (200 * NS_PER_MS)
/* A merge reads a block once; what it decodes is not for the cache. */
#define CACHE_BYTES (4 * MIB)
/* Its buffers live for a whole merge; then the kernel gets all of them. */
#define HEAP_KEEP_BYTES (512 * KIB)

static struct {
    const struct conf *conf;
    struct loop *loop;
    struct loop_timer *timer;
    struct task_pool *pool;
    struct task_pool *publisher;
    struct compact_job *job; /* NULL: none runs */
    bool is_resumed;
    bool is_removing;
    bool is_stopping;
    uint64_t seen_gen;
    int64_t looked_ns;
    int64_t pause_until_ns;
    int64_t pause_ns;
} self;

/* --- the end of a merge --- */

static int
remove_input(const char *path, struct err *err)
{
    int rc = file_unlink(path, err);

    fault("merge.between_unlinks");
    return rc;
}

static void
count_done(const struct compact_job *job)
{
    const struct merge_counts *counts = &job->counts;

    metric_add(METRIC_MERGES, 1);
    metric_add(METRIC_MERGED_ROWS, counts->rows_in);
    metric_add(METRIC_MERGED_PARTS, job->ninputs);
    metric_add(METRIC_MERGE_DUPLICATES, counts->rows_in - counts->rows_out);
    metric_add(METRIC_MERGE_WRITTEN_BYTES, counts->bytes_out);
    metric_observe_ns(METRIC_MERGE_SECONDS, job->took_ns);
    log_info("merged %zu parts of %u: %llu rows in, %llu rows and %llu bytes "
        "out, %lld ms", job->ninputs, job->day,
        (unsigned long long)counts->rows_in,
        (unsigned long long)counts->rows_out,
        (unsigned long long)counts->bytes_out,
        (long long)(job->took_ns / NS_PER_MS));
}

static void
pause_merges(void)
{
    self.pause_ns = MIN(MAX(2 * self.pause_ns, PAUSE_MIN_NS), PAUSE_MAX_NS);
    self.pause_until_ns = clock_mono_ns() + self.pause_ns;
}

static void
count_failed(const struct compact_job *job)
{
    metric_add(METRIC_MERGE_ERRORS, 1);
    log_error("merge of %zu parts of %u failed: %s", job->ninputs, job->day,
        job->err.text);
    job_blame(job);
    pause_merges();
}

static void
job_count(const struct compact_job *job)
{
    switch (job->result) {
    case JOB_DONE:
        count_done(job);
        self.pause_ns = 0;
        break;
    case JOB_CANCELLED:
        log_debug("merge of %zu parts of %u cancelled", job->ninputs,
            job->day);
        break;
    case JOB_NO_SPACE:
        metric_add(METRIC_MERGE_ERRORS, 1);
        log_warn("merge put off: %s", job->err.text);
        pause_merges();
        break;
    case JOB_BAD_INPUT:
        metric_add(METRIC_MERGE_ERRORS, 1);
        log_warn("merge begins again without some inputs: %s",
            job->err.text);
        break;
    case JOB_FAILED:
        count_failed(job);
        break;
    case JOB_WRITTEN:
        check(false);
    }
}

static void
note_progress(void)
{
    atomic_store(&compact_state->progress_ns, clock_mono_ns());
}

static void IMPL(task_fn)
job_done(void *arg)
{
    struct compact_job *job = arg;

    check(job == self.job);
    self.job = NULL;
    self.seen_gen = 0;
    job_count(job);
    metric_set(METRIC_MERGES_ACTIVE, 0);
    if (job->result != JOB_FAILED && job->result != JOB_NO_SPACE)
        note_progress();
    xfree(job);
    loop_timer_set(self.timer, 0);
}

/* --- the beginning of one --- */

/* Files are removed by the thread that merges, in between. */
static void IMPL(task_fn)
remove_on_thread(void *arg)
{
    (void)arg;
    (void)retire_poll(RETIRE_MERGE, remove_input, REMOVE_MAX);
}

static void IMPL(task_fn)
remove_done(void *arg)
{
    (void)arg;
    self.is_removing = false;
}

static void IMPL(task_fn)
merge_on_thread(void *arg)
{
    remove_on_thread(NULL);
    job_merge(arg);
    mem_trim();
}

static void IMPL(task_fn)
publish_on_thread(void *arg)
{
    job_publish(arg);
}

static void IMPL(task_fn)
merge_done(void *arg)
{
    struct compact_job *job = arg;
    struct err err = ERR_INIT;

    if (job->result == JOB_WRITTEN)
        check(task_post(self.publisher, publish_on_thread, job_done, job,
            &err) == 0);
    else
        job_done(job);
}

static compact_merge_fn merge_engine;

static void
job_begin(struct compact_job *job)
{
    struct err err = ERR_INIT;

    job->merge = merge_engine;
    job->sync = self.conf->fsync != FSYNC_OFF;
    job->is_urgent = atomic_load(&compact_state->pending) >=
        PLAN_PRESSED_PARTS;
    metric_set(METRIC_MERGES_ACTIVE, 1);
    note_progress();
    self.job = job;
    check(task_post(self.pool, merge_on_thread, merge_done, job,
        &err) == 0);
}

static bool
may_begin(void)
{
    return self.is_resumed && !self.is_stopping && self.job == NULL &&
        !self.is_removing &&
        clock_mono_ns() >= self.pause_until_ns &&
        retire_has_room(RETIRE_MERGE, MERGE_INPUTS_MAX);
}

/*
 * What a predecessor left is dealt with first; an error of the disk may put
 * that off.
 */
static void
resume(void)
{
    struct err err = ERR_INIT;

    if (clock_mono_ns() < self.pause_until_ns)
        return;
    if (job_resume(self.conf->fsync != FSYNC_OFF, &err) != 0) {
        metric_add(METRIC_MERGE_ERRORS, 1);
        log_error("merge that was cut short is not cleared up yet: %s",
            err.text);
        pause_merges();
        return;
    }
    self.is_resumed = true;
}

/* What is there is looked at only when it may have changed. */
static bool
look_is_due(void)
{
    int64_t since_ns = clock_mono_ns() - self.looked_ns;

    if (since_ns >= LOOK_NS || (may_begin() && compact_forced() > 0))
        return true;
    return catalog_generation() != self.seen_gen &&
        (may_begin() || since_ns >= COUNT_NS);
}

static void
look(void)
{
    struct compact_job *job = NULL;
    struct err err = ERR_INIT;

    self.seen_gen = catalog_generation();
    self.looked_ns = clock_mono_ns();
    if (may_begin())
        job = xcalloc(1, sizeof(*job));
    switch (plan_merge(job, &err)) {
    case 1:
        job_begin(job);
        return;
    case 0:
        break;
    default:
        log_error("parts to merge cannot be chosen: %s", err.text);
        pause_merges();
        break;
    }
    xfree(job);
}

static void
remove_begin(void)
{
    struct err err = ERR_INIT;

    if (self.is_removing || self.is_stopping)
        return;
    self.is_removing = true;
    check(task_post(self.pool, remove_on_thread, remove_done, NULL,
        &err) == 0);
}

/* The day of the merge that runs is being detached or dropped. */
static void
watch_day(void)
{
    if (partition_state(self.job->day) != PARTITION_OPEN)
        atomic_store(&self.job->cancel, true);
}

static void IMPL(loop_timer_fn)
tick(void *arg)
{
    (void)arg;
    if (!self.is_resumed && !self.is_stopping)
        resume();
    if (self.job != NULL)
        watch_day();
    if (look_is_due())
        look();
    if (self.job == NULL && retire_waiting(RETIRE_MERGE) != 0)
        remove_begin();
    loop_timer_set(self.timer, self.job != NULL ||
        retire_waiting(RETIRE_MERGE) != 0 ? TICK_NS : IDLE_TICK_NS);
}

/* --- life --- */

void
compact_start(struct process *process, compact_merge_fn merge)
{
    memset(&self, 0, sizeof(self));
    self.conf = process->conf;
    self.loop = process->loop;
    merge_engine = merge;
    data_cache_set_budget(CACHE_BYTES);
    mem_tune(HEAP_KEEP_BYTES);
    metric_set(METRIC_MERGES_ACTIVE, 0);
    resume();
    plan_start();
    /* A merge or a removal waits or runs, not both. */
    self.pool = task_pool_new(process->loop, "merge", 1, 2);
    self.publisher = task_pool_new(process->loop, "publish", 1, 1);
    self.timer = loop_timer_new(process->loop, tick, NULL);
    loop_timer_set(self.timer, NS_PER_MS);
}

void
compact_drain(void)
{
    self.is_stopping = true;
    if (self.job != NULL) {
        atomic_store(&self.job->is_stopping, true);
        atomic_store(&self.job->cancel, true);
    }
}

bool
compact_is_drained(void)
{
    return self.job == NULL && !self.is_removing;
}

void
compact_stop(void)
{
    compact_drain();
    task_pool_free(self.pool);
    task_pool_free(self.publisher);
    if (self.job != NULL) {
        if (self.job->result == JOB_WRITTEN)
            job_publish(self.job);
        job_count(self.job);
    }
    xfree(self.job);
    loop_timer_free(self.timer);
    (void)retire_drain(RETIRE_MERGE, remove_input, DRAIN_NS);
    plan_stop();
    memset(&self, 0, sizeof(self));
}
