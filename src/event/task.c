/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Thread pool.  Waiting tasks are one list under one mutex; finished ones are
 * collected in another and brought to the loop by one posted call however
 * many there are.  Tasks are large (a body, a scan), so the mutex is quiet.
 */

#include "core/base.h"
#include "event/task.h"

#include <pthread.h>
#include <signal.h>

#include "core/assert.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/loop.h"

#define TASK_POOL_MAGIC 0x7a5c0001u

struct task {
    struct task *next;
    task_fn run;
    task_fn done;
    void *arg;
    int64_t posted_ns;
};

struct task_list {
    struct task *first;
    struct task **end;
};

struct task_pool {
    uint32_t magic;
    struct loop *loop;
    unsigned threads;
    unsigned queue_max;

    pthread_mutex_t mutex; /* what follows, up to the blank line */
    pthread_cond_t is_not_empty;
    struct task_list waiting;
    struct task_list finished;
    unsigned nwaiting;
    bool is_closing;

    char name[16]; /* limit of pthread_setname_np */
    pthread_t thread[];
};

static void
task_list_init(struct task_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void
task_list_append(struct task_list *list, struct task *task)
{
    task->next = NULL;
    *list->end = task;
    list->end = &task->next;
}

static struct task *
task_list_take(struct task_list *list)
{
    struct task *task = list->first;

    if (task == NULL)
        return NULL;
    list->first = task->next;
    if (list->first == NULL)
        list->end = &list->first;
    return task;
}

/* On the loop: calls done() of what has finished up to now. */
static void
IMPL(loop_post_fn) task_deliver(void *arg)
{
    struct task_pool *pool = arg;
    struct task_list batch;
    struct task *task;

    OBJ_CHECK(pool, TASK_POOL_MAGIC);
    task_list_init(&batch);
    pthread_mutex_lock(&pool->mutex);
    if (pool->finished.first != NULL) {
        batch = pool->finished;
        task_list_init(&pool->finished);
    }
    pthread_mutex_unlock(&pool->mutex);

    /* done() may free the pool: only the batch is used from here. */
    for (task = batch.first; task != NULL; task = batch.first) {
        batch.first = task->next;
        task->done(task->arg);
        xfree(task);
    }
}

static void
task_finish(struct task_pool *pool, struct task *task)
{
    bool was_empty;

    if (task->done == NULL) {
        xfree(task);
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    was_empty = pool->finished.first == NULL;
    task_list_append(&pool->finished, task);
    pthread_mutex_unlock(&pool->mutex);
    if (was_empty)
        loop_post(pool->loop, task_deliver, pool);
}

static void *
task_thread(void *arg)
{
    struct task_pool *pool = arg;
    struct task *task;

    (void)pthread_setname_np(pthread_self(), pool->name);
    for (;;) {
        pthread_mutex_lock(&pool->mutex);
        while (pool->waiting.first == NULL && !pool->is_closing)
            pthread_cond_wait(&pool->is_not_empty, &pool->mutex);
        task = task_list_take(&pool->waiting);
        if (task != NULL)
            pool->nwaiting--;
        pthread_mutex_unlock(&pool->mutex);
        if (task == NULL)
            return NULL;
        metric_observe_ns(METRIC_TASK_WAIT_SECONDS,
            clock_mono_ns() - task->posted_ns);
        task->run(task->arg);
        task_finish(pool, task);
    }
}

struct task_pool *
task_pool_new(struct loop *loop, const char *name, unsigned threads,
    unsigned queue_max)
{
    struct task_pool *pool;
    sigset_t all, before;
    int code;

    check(loop != NULL && threads > 0 && queue_max > 0);
    pool = xcalloc(1, sizeof(*pool) + threads * sizeof(pool->thread[0]));
    pool->magic = TASK_POOL_MAGIC;
    pool->loop = loop;
    pool->threads = threads;
    pool->queue_max = queue_max;
    task_list_init(&pool->waiting);
    task_list_init(&pool->finished);
    snprintf(pool->name, sizeof(pool->name), "%s", name);
    check(pthread_mutex_init(&pool->mutex, NULL) == 0);
    check(pthread_cond_init(&pool->is_not_empty, NULL) == 0);

    sigfillset(&all);
    check(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    for (unsigned i = 0; i < threads; i++) {
        code = pthread_create(&pool->thread[i], NULL, task_thread, pool);
        if (code != 0)
            panic("no thread for %s: %s", name, strerror(code));
    }
    check(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return pool;
}

void
task_pool_free(struct task_pool *pool)
{
    struct task *task;

    if (pool == NULL)
        return;
    OBJ_CHECK(pool, TASK_POOL_MAGIC);
    pthread_mutex_lock(&pool->mutex);
    pool->is_closing = true;
    pthread_cond_broadcast(&pool->is_not_empty);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->threads; i++)
        check(pthread_join(pool->thread[i], NULL) == 0);
    loop_post_cancel(pool->loop, task_deliver, pool);
    while ((task = task_list_take(&pool->finished)) != NULL)
        xfree(task);
    pthread_cond_destroy(&pool->is_not_empty);
    pthread_mutex_destroy(&pool->mutex);
    pool->magic = 0;
    xfree(pool);
}

int
task_post(struct task_pool *pool, task_fn run, task_fn done, void *arg,
    struct err *err)
{
    struct task *task;
    bool is_full;

    OBJ_CHECK(pool, TASK_POOL_MAGIC);
    check(run != NULL);
    task = xmalloc(sizeof(*task));
    task->run = run;
    task->done = done;
    task->arg = arg;
    task->posted_ns = clock_mono_ns();
    pthread_mutex_lock(&pool->mutex);
    /* A task may post when its pool is closing already. */
    is_full = pool->nwaiting >= pool->queue_max || pool->is_closing;
    if (!is_full) {
        task_list_append(&pool->waiting, task);
        pool->nwaiting++;
        pthread_cond_signal(&pool->is_not_empty);
    }
    pthread_mutex_unlock(&pool->mutex);
    if (!is_full)
        return 0;
    xfree(task);
    metric_add(METRIC_QUEUE_TASKS_REFUSED, 1);
    return err_set(err, ERR_BUSY, "%u tasks wait already", pool->queue_max);
}
