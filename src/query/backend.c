/* SPDX-License-Identifier: BSD-2-Clause */

/* The store of this server as a backend. */

#include "core/base.h"
#include "query/backend.h"

#include <pthread.h>

#include "core/assert.h"
#include "core/timefmt.h"
#include "event/team.h"

/* --- work by several threads --- */

struct team_work {
    const struct backend_ask *ask;
    const struct backend_work *work;
    _Atomic uint32_t next;
    _Atomic bool has_failed;
    pthread_mutex_t mutex;
    struct err err; /* of the first failure */
};

static int
ask_poll(const struct backend_ask *ask, struct err *err)
{
    if (ask->cancel != NULL &&
        atomic_load_explicit(ask->cancel, memory_order_relaxed))
        return err_set(err, ERR_CANCELLED, "the search was cancelled");
    if (ask->deadline_ns != 0 && clock_mono_ns() > ask->deadline_ns)
        return err_set(err, ERR_TIMEOUT, "the search took too long");
    return 0;
}

static void
team_fail(struct team_work *team, const struct err *err)
{
    pthread_mutex_lock(&team->mutex);
    if (!atomic_load(&team->has_failed))
        team->err = *err;
    atomic_store(&team->has_failed, true);
    pthread_mutex_unlock(&team->mutex);
}

static void IMPL(team_fn)
team_take(void *arg, unsigned lane)
{
    struct team_work *team = arg;
    const struct backend_work *work = team->work;
    struct err err = ERR_INIT;
    uint32_t i;

    (void)lane;
    while (!atomic_load(&team->has_failed) &&
        (i = atomic_fetch_add(&team->next, 1)) < work->n) {
        if (ask_poll(team->ask, &err) != 0 ||
            work->fn(work->arg, i, &err) != 0)
            team_fail(team, &err);
    }
}

int
backend_each(const struct backend_ask *ask, const struct backend_work *work,
    struct err *err)
{
    struct team_work team = {.ask = ask, .work = work};

    if (work->n == 1)
        return work->fn(work->arg, 0, err);
    check(pthread_mutex_init(&team.mutex, NULL) == 0);
    team_run(ask->tasks, MIN(ask->lanes_max, work->n), team_take, &team);
    pthread_mutex_destroy(&team.mutex);
    if (!team.has_failed)
        return 0;
    *err = team.err;
    return -1;
}

/* --- traces --- */

struct reading {
    const struct backend_ask *ask;
    const struct trace_id *ids;
    const struct backend_trace_to *to;
};

static int
read_one(void *arg, uint32_t i, struct err *err)
{
    const struct reading *reading = arg;
    const struct backend_ask *ask = reading->ask;
    struct pool *pool = pool_new(ask->memory_max);
    struct store_answer answer;
    struct batch batch;
    int rc;

    pool_share(pool, ask->share);
    batch_init(&batch, pool);
    rc = store_read_trace(&ask->tenant, &reading->ids[i], &batch, &answer,
        err);
    if (rc == 0)
        rc = reading->to->fn(reading->to->arg, i, &batch, &answer, err);
    pool_free(pool);
    return rc;
}

static int
local_read_traces(const struct backend_ask *ask, const struct trace_id *ids,
    uint32_t n, const struct backend_trace_to *to, struct err *err)
{
    struct reading reading = {ask, ids, to};
    const struct backend_work work = {read_one, &reading, n};

    return backend_each(ask, &work, err);
}

/* --- the rest --- */

static int
local_visit_streams(const struct backend_ask *ask,
    struct stream_visit *visit, struct err *err)
{
    return store_visit_streams(&ask->tenant, visit, ask->answer, err);
}

static int
local_visit_edges(const struct backend_ask *ask,
    const struct edge_visit *visit, struct err *err)
{
    return store_visit_edges(&ask->tenant, visit, ask->answer, err);
}

static int
local_list_tenants(const struct backend_ask *ask, struct tenant_list *list,
    int64_t start_ns, int64_t end_ns, struct err *err)
{
    (void)ask;
    return store_tenants(list, start_ns, end_ns, err);
}

const struct backend backend_local = {
    .source = source_local,
    .read_traces = local_read_traces,
    .visit_streams = local_visit_streams,
    .visit_edges = local_visit_edges,
    .list_tenants = local_list_tenants,
};

static const struct backend *backend = &backend_local;

const struct backend *
backend_get(void)
{
    return backend;
}

void
backend_set(const struct backend *other)
{
    backend = other;
}
