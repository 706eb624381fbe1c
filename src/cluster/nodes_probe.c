/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Any answer below 500 is one of a living server: who may not ask for
 * /health, or does not find it there, sees what inserts and queries come to.
 * 5xx is a server that stops or starts, or a proxy without its server.
 */

#include "core/base.h"
#include "cluster/nodes_probe.h"

#include "cluster/nodes_state.h"
#include "core/conf.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "http/call.h"

/* Steps of a call; and what a busy process needs to note the result. */
#define CLAIM_STEPS 4

struct probe {
    const struct nodes *nodes; /* held */
    const struct node *node;
    struct http_call *call;
};

struct probes {
    const struct conf *conf;
    unsigned n;
    struct probe v[PROBES_MAX];
};

struct probes *
probes_new(const struct conf *conf)
{
    struct probes *probes = xcalloc(1, sizeof(*probes));

    probes->conf = conf;
    return probes;
}

static void
probe_remove(struct probes *probes, unsigned at)
{
    http_call_free(probes->v[at].call);
    nodes_release(probes->v[at].nodes);
    probes->v[at] = probes->v[--probes->n];
}

void
probes_free(struct probes *probes)
{
    if (probes == NULL)
        return;
    while (probes->n > 0)
        probe_remove(probes, 0);
    xfree(probes);
}

static void
probe_begin(struct probes *probes, const struct node *node)
{
    int64_t limit_ns = probes->conf->cluster_connect_timeout;
    struct http_call_conf call = {
        .method = "GET",
        .target = "/health",
        .connect_ns = limit_ns,
        .send_ns = limit_ns,
        .answer_ns = limit_ns,
        .idle_ns = limit_ns,
        .deadline_ns = clock_mono_ns() + (CLAIM_STEPS - 1) * limit_ns,
    };
    struct probe *probe = &probes->v[probes->n++];

    metric_add(METRIC_NODE_PROBES, 1);
    probe->nodes = nodes_hold();
    /* The list may be another one by now; the node is of the one held. */
    probe->node = nodes_find(probe->nodes, sv_from(node->name));
    if (probe->node == NULL) {
        nodes_release(probe->nodes);
        probes->n--;
        return;
    }
    probe->call = http_call_new(probe->node->peer, &call);
}

void
probes_begin(struct probes *probes, int64_t *wake_ns)
{
    const struct nodes *nodes = nodes_hold();
    int64_t now_ns = clock_mono_ns();
    int64_t claim_ns = CLAIM_STEPS * probes->conf->cluster_connect_timeout;
    int64_t interval_ns = probes->conf->cluster_probe_interval;

    for (unsigned i = 0; i < nodes->n && probes->n < PROBES_MAX; i++) {
        if (node_probe_claim(&nodes->v[i], now_ns, claim_ns, interval_ns))
            probe_begin(probes, &nodes->v[i]);
        *wake_ns = MIN(*wake_ns, node_probe_time(&nodes->v[i], interval_ns));
    }
    nodes_release(nodes);
}

unsigned
probes_wants(const struct probes *probes, struct pollfd *pfds,
    int64_t *wake_ns)
{
    for (unsigned i = 0; i < probes->n; i++) {
        int64_t call_wake_ns = INT64_MAX;

        http_call_wants(probes->v[i].call, &pfds[i], &call_wake_ns);
        *wake_ns = MIN(*wake_ns, call_wake_ns);
    }
    return probes->n;
}

static void
probe_end(const struct probes *probes, const struct probe *probe, int rc,
    const struct err *err)
{
    struct http_call_result result;
    char why[NODE_WHY_MAX] = "";
    struct sv line;
    enum node_outcome outcome = NODE_OK;

    http_call_result(probe->call, &result);
    if (rc < 0) {
        outcome = err->code == ERR_TIMEOUT ? NODE_SLOW : NODE_UNREACHABLE;
        node_why_set(why, err->text);
    } else if (result.status >= 500) {
        outcome = NODE_UNREACHABLE;
        line = sv_sub(result.text, 0, sv_find_byte(result.text, '\n'));
        snprintf(why, sizeof(why), "it answers %d to GET /health: %.*s",
            result.status, (int)MIN(line.len, (size_t)100), line.ptr);
    }
    node_probe_end(probe->node, outcome, why,
        probes->conf->cluster_probe_interval);
}

void
probes_step(struct probes *probes)
{
    for (unsigned i = 0; i < probes->n;) {
        struct err err = ERR_INIT;
        int rc = http_call_step(probes->v[i].call, &err);

        if (rc == 0) {
            i++;
            continue;
        }
        probe_end(probes, &probes->v[i], rc, &err);
        probe_remove(probes, i);
    }
}
