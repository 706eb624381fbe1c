/* SPDX-License-Identifier: BSD-2-Clause */

/* GET /health of nodes that are down, or that nobody talks to. */

#ifndef SPOOR_CLUSTER_NODES_PROBE_H
#define SPOOR_CLUSTER_NODES_PROBE_H

#include "core/base.h"

#include <poll.h>

#include "cluster/nodes.h"

/* Of one process at a time. */
#define PROBES_MAX 64u

struct probes;

struct probes *probes_new(const struct conf *conf);
/* Gives up what is under way. */
void probes_free(struct probes *probes); /* accepts NULL */
/* Begins those that are due; *wake_ns is lowered (monotonic). */
void probes_begin(struct probes *probes, int64_t *wake_ns);
/* Room for PROBES_MAX. */
unsigned probes_wants(const struct probes *probes, struct pollfd *pfds,
    int64_t *wake_ns);
/* As far as they go without waiting. */
void probes_step(struct probes *probes);

#endif
