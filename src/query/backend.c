/* SPDX-License-Identifier: BSD-2-Clause */

/* The store of this server as a backend. */

#include "core/base.h"
#include "query/backend.h"

#include <pthread.h>

#include "core/assert.h"
#include "core/timefmt.h"
#include "event/team.h"

int
backend_poll(const struct backend_ask *ask, struct err *err)
{
    if (ask->cancel != NULL &&
        atomic_load_explicit(ask->cancel, memory_order_relaxed))
        return err_set(err, ERR_CANCELLED, "the search was cancelled");
    if (ask->deadline_ns != 0 && clock_mono_ns() > ask->deadline_ns)
        return err_set(err, ERR_TIMEOUT, "the search took too long");
    return 0;
}

/* --- traces --- */

/* Ids are taken by several threads, one after the other. */
struct reading {
    const struct backend_ask *ask;
    const struct trace_id *ids;
    uint32_t n;
    backend_trace_fn fn;
    void *arg;
    _Atomic uint32_t next;
    _Atomic bool has_failed;
    pthread_mutex_t mutex;
    struct err err; /* of the first failure */
};

static int
read_one(const struct reading *reading, uint32_t i, struct err *err)
{
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
        rc = reading->fn(reading->arg, i, &batch, &answer, err);
    pool_free(pool);
    return rc;
}

static void
reading_fail(struct reading *reading, const struct err *err)
{
    pthread_mutex_lock(&reading->mutex);
    if (!atomic_load(&reading->has_failed))
        reading->err = *err;
    atomic_store(&reading->has_failed, true);
    pthread_mutex_unlock(&reading->mutex);
}

static void IMPL(team_fn)
reading_run(void *arg, unsigned lane)
{
    struct reading *reading = arg;
    struct err err = ERR_INIT;
    uint32_t i;

    (void)lane;
    while (!atomic_load(&reading->has_failed) &&
        (i = atomic_fetch_add(&reading->next, 1)) < reading->n) {
        if (backend_poll(reading->ask, &err) != 0 ||
            read_one(reading, i, &err) != 0)
            reading_fail(reading, &err);
    }
}

static int
local_read_traces(const struct backend_ask *ask, const struct trace_id *ids,
    uint32_t n, const struct backend_trace_to *to, struct err *err)
{
    struct reading reading = {.ask = ask, .ids = ids, .n = n, .fn = to->fn,
        .arg = to->arg};

    if (n == 1)
        return read_one(&reading, 0, err);
    check(pthread_mutex_init(&reading.mutex, NULL) == 0);
    team_run(ask->tasks, MIN(ask->lanes_max, n), reading_run, &reading);
    pthread_mutex_destroy(&reading.mutex);
    if (!reading.has_failed)
        return 0;
    *err = reading.err;
    return -1;
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
