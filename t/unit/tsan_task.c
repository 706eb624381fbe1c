/* SPDX-License-Identifier: BSD-2-Clause */

/* Thread pool, and posting to a loop from threads. */

#include "core/base.h"

#include <signal.h>

#include "event/loop.h"
#include "event/task.h"

#include "tap.h"

#define TASKS 2000
#define POSTERS 4
#define POSTS 5000

static struct loop *loop;
static pthread_t loop_thread;

static void
stop_loop(UNUSED void *arg)
{
    loop_stop(loop);
}

struct job {
    int value;
    bool ran;
};

static struct job jobs[TASKS];
static int done_count;
static bool done_elsewhere;

static void
job_run(void *arg)
{
    struct job *job = arg;

    job->value *= 2;
    job->ran = !pthread_equal(pthread_self(), loop_thread);
}

static void
job_done(void *arg)
{
    struct job *job = arg;

    if (!pthread_equal(pthread_self(), loop_thread) || !job->ran)
        done_elsewhere = true;
    if (++done_count == TASKS)
        loop_stop(loop);
}

static void
test_run_done(void)
{
    struct task_pool *pool = task_pool_new(loop, "jobs", 4, TASKS);
    int wrong = 0;

    for (int i = 0; i < TASKS; i++) {
        jobs[i].value = i;
        if (task_post(pool, job_run, job_done, &jobs[i], NULL) != 0)
            fail("task %d refused", i);
    }
    loop_run(loop);
    for (int i = 0; i < TASKS; i++)
        wrong += jobs[i].value != 2 * i;
    is_int(wrong, 0, "every task ran once");
    is_int(done_count, TASKS, "every done() came");
    ok(!done_elsewhere, "done() on the loop's thread, run() elsewhere");
    task_pool_free(pool);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int passed;
static int late_done;

static void
wait_at_gate(UNUSED void *arg)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    atomic_fetch_add(&passed, 1);
}

static void
count_done(UNUSED void *arg)
{
    late_done++;
}

static void
test_limit_and_free(void)
{
    struct task_pool *pool = task_pool_new(loop, "gate", 1, 3);
    struct err err = ERR_INIT;
    int accepted = 0;

    pthread_mutex_lock(&gate);
    /* One runs (or waits), three wait. */
    while (accepted < 10 && task_post(pool, wait_at_gate, count_done, NULL,
               &err) == 0)
        accepted++;
    ok(accepted == 3 || accepted == 4, "%d tasks accepted", accepted);
    is_int(err.code, ERR_BUSY, "then the queue is full");
    pthread_mutex_unlock(&gate);
    task_pool_free(pool);
    is_int(passed, accepted, "free runs what waits");
    loop_post(loop, stop_loop, NULL);
    loop_run(loop);
    is_int(late_done, 0, "but done() is not called");
}

static void
note_mask(void *arg)
{
    sigset_t set;

    pthread_sigmask(SIG_SETMASK, NULL, &set);
    *(bool *)arg = sigismember(&set, SIGTERM) && sigismember(&set, SIGCHLD);
}

static void
test_signals(void)
{
    struct task_pool *pool = task_pool_new(loop, "mask", 1, 1);
    bool is_blocked = false;

    ok(task_post(pool, note_mask, stop_loop, &is_blocked, NULL) == 0, "post");
    loop_run(loop);
    ok(is_blocked, "signals are blocked in the threads");
    task_pool_free(pool);
}

static int posted_next[POSTERS];
static int posted_total;
static bool posted_disorder;

static void
on_post(void *arg)
{
    int number = (int)(intptr_t)arg;
    int poster = number / POSTS;

    if (posted_next[poster]++ != number % POSTS)
        posted_disorder = true;
    if (++posted_total == POSTERS * POSTS)
        loop_stop(loop);
}

static void *
poster_thread(void *arg)
{
    int poster = (int)(intptr_t)arg;

    for (int i = 0; i < POSTS; i++)
        loop_post(loop, on_post, (void *)(intptr_t)(poster * POSTS + i));
    return NULL;
}

static void
test_posts(void)
{
    pthread_t threads[POSTERS];

    for (int i = 0; i < POSTERS; i++)
        if (pthread_create(&threads[i], NULL, poster_thread,
                (void *)(intptr_t)i) != 0)
            fail("thread %d", i);
    loop_run(loop);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    is_int(posted_total, POSTERS * POSTS, "every post arrives");
    ok(!posted_disorder, "each thread's posts stay in order");
}

int
main(void)
{
    loop_thread = pthread_self();
    loop = loop_new();
    test_run_done();
    test_limit_and_free();
    test_signals();
    test_posts();
    task_pool_free(NULL);
    loop_free(loop);
    return tap_done();
}
