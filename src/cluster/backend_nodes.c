/* SPDX-License-Identifier: BSD-2-Clause */

/* The storage nodes of a front as a backend: its lists and searches. */

#include "core/base.h"
#include "cluster/backend_nodes.h"

#include "cluster/answer_wire.h"
#include "cluster/fanout.h"
#include "core/assert.h"
#include "core/metrics.h"
#include "core/timefmt.h"

static const struct conf *own_conf;

void
backend_nodes_init(const struct conf *conf)
{
    own_conf = conf;
}

const struct conf *
backend_nodes_conf(void)
{
    check(own_conf != NULL);
    return own_conf;
}

/* --- asking --- */

/* Takes one payload; -1 with err. */
typedef int (*take_fn)(void *arg, struct sv payload, struct err *err);

struct asking {
    const struct backend_ask *ask;
    struct plan plan;
    enum frame_type type; /* what is expected */
    take_fn take;
    void *arg;
};

static int
take_frame(void *arg, unsigned node, enum frame_type type,
    struct sv payload, struct err *err)
{
    const struct asking *asking = arg;

    (void)node;
    if (type != asking->type)
        return err_set(err, ERR_CORRUPT, "the answer of the node is "
            "malformed: a frame that was not asked for");
    return asking->take(asking->arg, payload, err);
}

static int
ask_nodes(struct asking *asking, struct err *err)
{
    const struct backend_ask *ask = asking->ask;
    const struct fanout fanout = {.plan = &asking->plan, .conf = own_conf,
        .deadline_ns = ask->deadline_ns, .cancel = ask->cancel,
        .allow_missing = ask->allow_missing, .share = ask->share,
        .fn = take_frame, .arg = asking, .answer = ask->answer};
    int64_t start_ns = clock_mono_ns();
    int rc;

    asking->plan.tenant = ask->tenant;
    asking->plan.timeout_ns = ask->deadline_ns == 0 ? 0
        : MAX(ask->deadline_ns - start_ns, NS_PER_MS);
    asking->plan.memory_max = ask->memory_max;
    asking->plan.wants_plain = own_conf->select_no_compression;
    asking->plan.allow_missing = ask->allow_missing;
    rc = fanout_run(&fanout, err);
    metric_observe_ns(asking->plan.kind == PLAN_SEARCH
        ? METRIC_QUERY_SECONDS_SEARCH : METRIC_QUERY_SECONDS_SERVICES,
        clock_mono_ns() - start_ns);
    return rc;
}

/* --- lists --- */

static int
take_names(void *arg, struct sv payload, struct err *err)
{
    const struct stream_visit *visit = arg;
    struct wire_name name;
    int got;

    while ((got = wire_name_take(&payload, &name, err)) > 0) {
        if (visit->fn(name.service, name.name, name.kind, visit->arg) != 0)
            return err_set(err, ERR_LIMIT,
                "names of spans need too much memory");
    }
    return got;
}

static int
nodes_visit_streams(const struct backend_ask *ask,
    struct stream_visit *visit, struct err *err)
{
    struct asking asking = {.ask = ask, .plan = {.kind = PLAN_NAMES,
        .min_time = visit->start_ns, .max_time = visit->end_ns},
        .type = FRAME_NAMES, .take = take_names, .arg = visit};

    return ask_nodes(&asking, err);
}

static int
take_edges(void *arg, struct sv payload, struct err *err)
{
    const struct edge_visit *visit = arg;
    struct edge edge;
    int got;

    while ((got = wire_edge_take(&payload, &edge, err)) > 0) {
        if (visit->fn(&edge, visit->arg, err) != 0)
            return -1;
    }
    return got;
}

static int
nodes_visit_edges(const struct backend_ask *ask,
    const struct edge_visit *visit, struct err *err)
{
    struct asking asking = {.ask = ask, .plan = {.kind = PLAN_EDGES,
        .min_time = visit->min_end_ns, .max_time = visit->max_end_ns},
        .type = FRAME_EDGES, .take = take_edges,
        .arg = (void *)(uintptr_t)visit};

    return ask_nodes(&asking, err);
}

static int
take_tenants(void *arg, struct sv payload, struct err *err)
{
    struct tenant tenant;
    int got;

    while ((got = wire_tenant_take(&payload, &tenant, err)) > 0) {
        if (tenants_add(arg, &tenant, 1, err) != 0)
            return -1;
    }
    return got;
}

/* Who takes the list for whole copies or deletes by it: none is left out. */
static int
nodes_list_tenants(const struct backend_ask *ask, struct tenant_list *list,
    int64_t start_ns, int64_t end_ns, struct err *err)
{
    struct backend_ask whole = *ask;
    struct asking asking = {.ask = &whole, .plan = {.kind = PLAN_TENANTS,
        .min_time = start_ns, .max_time = end_ns}, .type = FRAME_TENANTS,
        .take = take_tenants, .arg = list};

    whole.allow_missing = false;
    if (ask_nodes(&asking, err) != 0)
        return -1;
    tenants_unite(list);
    return 0;
}

/* --- search --- */

static int
take_hits(void *arg, struct sv payload, struct err *err)
{
    const struct backend_hit_to *to = arg;
    struct plan_hit hit;
    int got;

    while ((got = plan_hit_take(&payload, &hit, err)) > 0)
        to->fn(to->arg, &hit.id, hit.end_ns);
    return got;
}

static int
nodes_search(const struct backend_ask *ask, struct query *query,
    uint32_t limit, const struct backend_hit_to *to, struct err *err)
{
    struct asking asking = {.ask = ask, .plan = {.kind = PLAN_SEARCH,
        .query = query, .limit = limit, .now_ns = query->now_ns},
        .type = FRAME_HITS, .take = take_hits,
        .arg = (void *)(uintptr_t)to};

    return ask_nodes(&asking, err);
}

const struct backend backend_nodes = {
    .source = source_nodes,
    .is_remote = true,
    .read_traces = nodes_read_traces,
    .visit_streams = nodes_visit_streams,
    .visit_edges = nodes_visit_edges,
    .list_tenants = nodes_list_tenants,
    .search = nodes_search,
    .export_spans = nodes_export_spans,
};
