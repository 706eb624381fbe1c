/* SPDX-License-Identifier: BSD-2-Clause */

/* What went to each node and what came back, added up over all workers. */

#include "core/base.h"
#include "cluster/nodes_state.h"

#include "core/timefmt.h"

static void
add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void
node_count(const struct node *node, bool is_insert,
    const struct node_traffic *traffic)
{
    struct node_counters *counters = &node->state->counters[is_insert];

    add(&counters->requests, 1);
    add(&counters->failed, traffic->has_failed ? 1 : 0);
    add(&counters->rows, traffic->rows);
    add(&counters->sent, traffic->bytes_sent);
    add(&counters->received, traffic->bytes_received);
    summary_observe(&counters->latency, traffic->took_ns, clock_mono_ns());
}

void
node_count_queue(const struct node *node, int64_t parcels, int64_t bytes)
{
    unsigned process = node_process();

    if (process == NODE_PROCESSES_MAX)
        return;
    atomic_fetch_add(&node->state->waiting[process].parcels, parcels);
    atomic_fetch_add(&node->state->waiting[process].bytes, bytes);
}
