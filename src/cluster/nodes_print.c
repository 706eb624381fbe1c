/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Nodes for people: the JSON of /internal/cluster, and metrics.
 *
 *     {"is_front": true, "nodes": [{"name": "a:10428", "state": "down",
 *      "since": "2026-11-22T04:05:06.789Z", "for_seconds": 12.3,
 *      "why": "connect: ...",
 *      "inserts": {"state": "off", "since": ..., "for_seconds": ...,
 *       "why": ...}, "refuses_queries": false,
 *      "insert": {...}, "select": {...},
 *      "queue": {"parcels": 0, "bytes": 0}}]}
 *
 * "state" is unknown, up or down; of inserts on or off.  "since" and "why"
 * are there when they say something.  A server without nodes says so in
 * "message".
 */

#include "core/base.h"
#include "cluster/nodes_print.h"

#include "cluster/nodes_state.h"
#include "core/json_out.h"
#include "core/metrics.h"
#include "core/timefmt.h"

static const char *const kind_names[NODE_KINDS] = {
    [NODE_SELECT] = "select", [NODE_INSERT] = "insert"};

/* --- what both show --- */

static void
waiting_sum(const struct node *node, int64_t *parcels, int64_t *bytes)
{
    *parcels = *bytes = 0;
    for (unsigned i = 0; i < NODE_PROCESSES_MAX; i++) {
        const struct node_waiting *waiting = &node->state->waiting[i];

        *parcels += atomic_load_explicit(&waiting->parcels,
            memory_order_relaxed);
        *bytes += atomic_load_explicit(&waiting->bytes,
            memory_order_relaxed);
    }
    *parcels = MAX(*parcels, 0);
    *bytes = MAX(*bytes, 0);
}

static uint64_t
errors_sum(const struct node_counters *counters)
{
    uint64_t sum = 0;

    for (int i = NODE_OK + 1; i < NODE_OUTCOMES; i++)
        sum += atomic_load(&counters->outcomes[i]);
    return sum;
}

/* --- JSON --- */

static void
print_since(struct json_out *json, int64_t ns)
{
    char text[32];

    if (ns == 0)
        return;
    json_key(json, "since");
    json_string(json, sv_make(text, time_print_rfc3339(text, ns, 3)));
    json_key(json, "for_seconds");
    json_double(json, (double)(MAX(clock_wall_ns() - ns, 0) / NS_PER_MS) /
        1000);
}

static void
print_text(struct json_out *json, const char *key, const char *text)
{
    if (text[0] == '\0')
        return;
    json_key(json, key);
    json_string(json, sv_from(text));
}

static void
print_number(struct json_out *json, const char *key, uint64_t n)
{
    json_key(json, key);
    json_u64(json, n);
}

static void
print_latency(struct json_out *json, const struct metric_summary *latency)
{
    uint64_t count = atomic_load(&latency->count);
    struct summary_view view;

    if (count > 0) {
        json_key(json, "mean_ms");
        json_double(json, (double)(int64_t)(atomic_load(&latency->sum_ns) /
            count / 1000) / 1000);
    }
    summary_read(latency, clock_mono_ns(), &view);
    for (int i = 0; i < SUMMARY_QUANTILES && view.count > 0; i++) {
        if (summary_phis[i] != 0.5 && summary_phis[i] != 0.99)
            continue;
        json_key(json, summary_phis[i] == 0.5 ? "p50_ms" : "p99_ms");
        json_double(json, (double)(int64_t)(view.seconds[i] * 1e6) / 1000);
    }
}

static void
print_counters(struct json_out *json, const struct node_counters *counters)
{
    json_object(json);
    print_number(json, "requests", atomic_load(&counters->requests));
    json_key(json, "errors");
    json_object(json);
    for (int i = NODE_OK + 1; i < NODE_OUTCOMES; i++)
        print_number(json, node_outcome_name((enum node_outcome)i),
            atomic_load(&counters->outcomes[i]));
    json_object_end(json);
    print_number(json, "rows", atomic_load(&counters->rows));
    print_number(json, "sent_bytes", atomic_load(&counters->sent));
    print_number(json, "received_bytes", atomic_load(&counters->received));
    print_latency(json, &counters->latency);
    json_object_end(json);
}

/* What is under the lock, copied. */
struct texts {
    enum node_health health;
    int64_t since_ns;
    int64_t inserts_since_ns;
    char why[NODE_WHY_MAX];
    char inserts_why[NODE_WHY_MAX];
};

static void
texts_take(struct texts *out, const struct node_state *state)
{
    node_states_lock();
    out->health = (enum node_health)atomic_load(&state->health);
    out->since_ns = state->since_ns;
    out->inserts_since_ns = state->inserts_since_ns;
    snprintf(out->why, sizeof(out->why), "%s", state->why);
    snprintf(out->inserts_why, sizeof(out->inserts_why), "%s",
        state->inserts_why);
    node_states_unlock();
}

static void
print_inserts(struct json_out *json, const struct node *node,
    const struct texts *texts)
{
    bool is_on = node_takes_inserts(node);

    json_object(json);
    json_key(json, "state");
    json_string(json, is_on ? SV("on") : SV("off"));
    if (!is_on && texts->inserts_why[0] != '\0') {
        print_since(json, texts->inserts_since_ns);
        print_text(json, "why", texts->inserts_why);
    }
    json_object_end(json);
}

static void
print_node(struct json_out *json, const struct node *node)
{
    static const char *const states[] = {
        [NODE_UNHEARD] = "unknown", [NODE_UP] = "up", [NODE_DOWN] = "down"};
    int64_t parcels, bytes;
    struct texts texts;

    texts_take(&texts, node->state);
    waiting_sum(node, &parcels, &bytes);
    json_object(json);
    print_text(json, "name", node->name);
    print_text(json, "state", node->problem != NULL ? "down"
        : states[texts.health]);
    print_since(json, texts.since_ns);
    print_text(json, "why", node->problem != NULL ? node->problem
        : texts.why);
    json_key(json, "inserts");
    print_inserts(json, node, &texts);
    json_key(json, "refuses_queries");
    json_bool(json, atomic_load(&node->state->refuses_queries));
    for (int kind = NODE_KINDS - 1; kind >= 0; kind--) {
        json_key(json, kind_names[kind]);
        print_counters(json, &node->state->counters[kind]);
    }
    json_key(json, "queue");
    json_object(json);
    print_number(json, "parcels", (uint64_t)parcels);
    print_number(json, "bytes", (uint64_t)bytes);
    json_object_end(json);
    json_object_end(json);
}

void
nodes_print(struct sb *out)
{
    const struct nodes *nodes = nodes_hold();
    struct json_out json;

    json_out_init(&json, out);
    json_object(&json);
    json_key(&json, "is_front");
    json_bool(&json, nodes->n > 0);
    json_key(&json, "nodes");
    json_array(&json);
    for (unsigned i = 0; i < nodes->n; i++)
        print_node(&json, &nodes->v[i]);
    json_array_end(&json);
    if (nodes->n == 0)
        print_text(&json, "message", "this server has no storage nodes: it "
            "stores spans itself");
    json_object_end(&json);
    nodes_release(nodes);
}

/* --- metrics --- */

static void
sample_kind(struct metrics_scrape *scrape, const struct node *node,
    int kind, struct sb *labels)
{
    const struct node_counters *counters = &node->state->counters[kind];
    size_t len;

    sb_reset(labels);
    metric_add_label(labels, "addr", sv_from(node->name));
    metric_sample(scrape, kind == NODE_INSERT ? METRIC_INSERT_REMOTE_ERRORS
        : METRIC_SELECT_REMOTE_ERRORS, labels->ptr,
        (double)errors_sum(counters));
    metric_add_label(labels, "type", sv_from(kind_names[kind]));
    metric_sample(scrape, METRIC_NODE_REQUESTS, labels->ptr,
        (double)atomic_load(&counters->requests));
    metric_sample(scrape, METRIC_NODE_ROWS, labels->ptr,
        (double)atomic_load(&counters->rows));
    metric_sample(scrape, METRIC_NODE_SENT, labels->ptr,
        (double)atomic_load(&counters->sent));
    metric_sample(scrape, METRIC_NODE_RECEIVED, labels->ptr,
        (double)atomic_load(&counters->received));
    metric_sample(scrape, METRIC_NODE_SECONDS, labels->ptr,
        (double)atomic_load(&counters->latency.sum_ns) / 1e9);
    len = labels->len;
    for (int i = NODE_OK + 1; i < NODE_OUTCOMES; i++) {
        metric_add_label(labels, "reason",
            sv_from(node_outcome_name((enum node_outcome)i)));
        metric_sample(scrape, METRIC_NODE_ERRORS, labels->ptr,
            (double)atomic_load(&counters->outcomes[i]));
        labels->len = len;
    }
}

static void
sample_latency(struct metrics_scrape *scrape, const struct node *node,
    int kind, struct sb *labels)
{
    struct summary_view view;
    size_t len;

    summary_read(&node->state->counters[kind].latency, clock_mono_ns(),
        &view);
    sb_reset(labels);
    metric_add_label(labels, "addr", sv_from(node->name));
    metric_add_label(labels, "type", sv_from(kind_names[kind]));
    len = labels->len;
    for (int i = 0; i < SUMMARY_QUANTILES && view.count > 0; i++) {
        char phi[16];

        snprintf(phi, sizeof(phi), "%g", summary_phis[i]);
        metric_add_label(labels, "quantile", sv_from(phi));
        metric_sample(scrape, METRIC_NODE_LATENCY, labels->ptr,
            view.seconds[i]);
        labels->len = len;
    }
}

static void
sample_state(struct metrics_scrape *scrape, const struct node *node,
    struct sb *labels)
{
    int64_t parcels, bytes;

    sb_reset(labels);
    metric_add_label(labels, "addr", sv_from(node->name));
    waiting_sum(node, &parcels, &bytes);
    metric_sample(scrape, METRIC_INSERT_REMOTE_REACHABLE, labels->ptr,
        node_takes_inserts(node) ? 1 : 0);
    metric_sample(scrape, METRIC_NODE_UP, labels->ptr,
        node_is_up(node) ? 1 : 0);
    metric_sample(scrape, METRIC_NODE_QUEUE_PARCELS, labels->ptr,
        (double)parcels);
    metric_sample(scrape, METRIC_NODE_QUEUE_BYTES, labels->ptr,
        (double)bytes);
}

static void IMPL(metric_collect_fn)
collect(struct metrics_scrape *scrape, void *arg UNUSED)
{
    const struct nodes *nodes = nodes_hold();
    struct sb labels;

    sb_init(&labels, 4 * KIB);
    for (unsigned i = 0; i < nodes->n; i++) {
        sample_state(scrape, &nodes->v[i], &labels);
        for (int kind = 0; kind < NODE_KINDS; kind++) {
            sample_kind(scrape, &nodes->v[i], kind, &labels);
            sample_latency(scrape, &nodes->v[i], kind, &labels);
        }
    }
    sb_release(&labels);
    nodes_release(nodes);
}

void
nodes_collect(void)
{
    static bool is_on;

    if (!is_on)
        metrics_on_collect(collect, NULL);
    is_on = true;
}
