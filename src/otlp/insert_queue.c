/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "otlp/insert_queue.h"

#include <sys/queue.h>

#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/loop.h"
#include "http/grpc.h"

/* In the request's region. */
struct insert_wait {
    struct http_req *req;
    struct insert_head head;
    int64_t until_ns;
    TAILQ_ENTRY(insert_wait) link;
};

/*
 * All wait equally long, so the first one is the first to have waited long
 * enough.
 */
static struct {
    TAILQ_HEAD(, insert_wait) list;
    unsigned n;
    struct loop_timer *timer;  /* made with the first that waits */
    struct loop_later later;
} queue = {.list = TAILQ_HEAD_INITIALIZER(queue.list)};

static void
wait_remove(struct insert_wait *wait)
{
    TAILQ_REMOVE(&queue.list, wait, link);
    queue.n--;
}

static void IMPL(http_abort_fn)
wait_aborted(struct http_req *req, void *arg)
{
    wait_remove(arg);
    http_abandon(req);
}

static void
refuse(struct http_req *req, const char *text)
{
    metric_add(METRIC_CONCURRENT_INSERT_TIMEOUT, 1);
    insert_refuse(req, text);
}

/* Begins what has a place, refuses what has waited too long. */
static void IMPL(loop_post_fn)
queue_run(void *arg)
{
    int64_t now_ns = clock_mono_ns();
    struct insert_wait *wait;

    (void)arg;
    while ((wait = TAILQ_FIRST(&queue.list)) != NULL) {
        struct http_req *req = wait->req;
        bool has_place = insert_has_place(req->process);

        if (!has_place && now_ns < wait->until_ns) {
            loop_timer_set(queue.timer, wait->until_ns - now_ns);
            return;
        }
        wait_remove(wait);
        if (grpc_is_call(req) && grpc_is_late(req))
            http_reply_error(req, 408, "the deadline of the call passed");
        else if (has_place)
            insert_begin(req, &wait->head);
        else
            refuse(req, "too many inserts at a time (insert.max_concurrent) "
                "for longer than insert.max_queue_duration");
    }
}

bool
insert_queue_is_used(void)
{
    return queue.n > 0;
}

void
insert_queue_wake(struct process *process)
{
    if (queue.n == 0)
        return;
    queue.later.fn = queue_run;
    loop_later_add(process->loop, &queue.later);
}

void
insert_queue_add(struct http_req *req, const struct insert_head *head)
{
    int64_t wait_ns = req->process->conf->insert_queue_time;
    struct insert_wait *wait;

    metric_add(METRIC_CONCURRENT_INSERT_LIMIT, 1);
    if (wait_ns == 0 || queue.n == INSERT_QUEUE_MAX) {
        refuse(req, "too many inserts at a time");
        return;
    }
    wait = pool_alloc(req->pool, sizeof(*wait));
    if (wait == NULL) {
        insert_refuse(req, "no memory for the insert");
        return;
    }
    wait->req = req;
    wait->head = *head;
    wait->until_ns = clock_mono_ns() + wait_ns;
    if (queue.timer == NULL)
        queue.timer = loop_timer_new(req->process->loop, queue_run, NULL);
    if (queue.n == 0)
        loop_timer_set(queue.timer, wait_ns);
    TAILQ_INSERT_TAIL(&queue.list, wait, link);
    queue.n++;
    http_on_abort(req, wait_aborted, wait);
}
