/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "otlp/places.h"

#include <sys/queue.h>

#include "core/assert.h"
#include "core/conf_budget.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/loop.h"
#include "http/grpc.h"
#include "otlp/otlp.h"

/* What insert.max_concurrent: 0 means. */
#define INSERTS_PER_CPU 16

/* In the request's region. */
struct place_wait {
    struct http_req *req;
    place_fn begin;
    void *arg;
    int64_t until_ns;
    TAILQ_ENTRY(place_wait) link;
};

/*
 * All wait equally long, so the first one is the first to have waited long
 * enough.
 */
static struct {
    TAILQ_HEAD(, place_wait) list;
    unsigned n;
    struct loop_timer *timer;  /* made with the first that waits */
    struct loop_later later;
} queue = {.list = TAILQ_HEAD_INITIALIZER(queue.list)};
static unsigned running; /* inserts of this process */

unsigned
otlp_concurrent_max(const struct conf *conf)
{
    if (conf->max_concurrent_inserts > 0)
        return (unsigned)conf->max_concurrent_inserts;
    return conf_budget(conf)->cpus * INSERTS_PER_CPU;
}

static bool
has_place(const struct process *process)
{
    return running < otlp_concurrent_max(process->conf);
}

static void
begin(struct http_req *req, place_fn fn, void *arg)
{
    running++;
    metric_gauge_add(METRIC_CONCURRENT_INSERT, 1);
    fn(req, arg);
}

void
place_refuse(struct http_req *req, const char *text)
{
    metric_add(METRIC_INGEST_REFUSED_BUSY, 1);
    http_reply_header(req, "Retry-After", "1");
    http_reply_error(req, 429, "%s", text);
}

static void
wait_remove(struct place_wait *wait)
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
    place_refuse(req, text);
}

/* Begins what has a place, refuses what has waited too long. */
static void IMPL(loop_post_fn)
queue_run(void *arg)
{
    int64_t now_ns = clock_mono_ns();
    struct place_wait *wait;

    (void)arg;
    while ((wait = TAILQ_FIRST(&queue.list)) != NULL) {
        struct http_req *req = wait->req;
        bool has_one = has_place(req->process);

        if (!has_one && now_ns < wait->until_ns) {
            loop_timer_set(queue.timer, wait->until_ns - now_ns);
            return;
        }
        wait_remove(wait);
        if (grpc_is_call(req) && grpc_is_late(req))
            http_reply_error(req, 408, "the deadline of the call passed");
        else if (has_one)
            begin(req, wait->begin, wait->arg);
        else
            refuse(req, "too many inserts at a time (insert.max_concurrent) "
                "for longer than insert.max_queue_duration");
    }
}

static void
queue_add(struct http_req *req, place_fn fn, void *arg)
{
    int64_t wait_ns = req->process->conf->insert_queue_time;
    struct place_wait *wait;

    metric_add(METRIC_CONCURRENT_INSERT_LIMIT, 1);
    if (wait_ns == 0 || queue.n == PLACES_WAITING_MAX) {
        refuse(req, "too many inserts at a time");
        return;
    }
    wait = pool_alloc(req->pool, sizeof(*wait));
    if (wait == NULL) {
        place_refuse(req, "no memory for the insert");
        return;
    }
    wait->req = req;
    wait->begin = fn;
    wait->arg = arg;
    wait->until_ns = clock_mono_ns() + wait_ns;
    if (queue.timer == NULL)
        queue.timer = loop_timer_new(req->process->loop, queue_run, NULL);
    if (queue.n == 0)
        loop_timer_set(queue.timer, wait_ns);
    TAILQ_INSERT_TAIL(&queue.list, wait, link);
    queue.n++;
    http_on_abort(req, wait_aborted, wait);
}

/* While others wait, who comes takes its turn behind them. */
void
place_take(struct http_req *req, place_fn fn, void *arg)
{
    if (queue.n == 0 && has_place(req->process))
        begin(req, fn, arg);
    else
        queue_add(req, fn, arg);
}

void
place_leave(struct process *process)
{
    check(running > 0);
    running--;
    metric_gauge_add(METRIC_CONCURRENT_INSERT, -1);
    if (queue.n == 0)
        return;
    queue.later.fn = queue_run;
    loop_later_add(process->loop, &queue.later);
}
