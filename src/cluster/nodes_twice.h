/* SPDX-License-Identifier: BSD-2-Clause */

/* One server under two names. */

#ifndef SPOOR_CLUSTER_NODES_TWICE_H
#define SPOOR_CLUSTER_NODES_TWICE_H

#include "core/base.h"

#include "cluster/nodes_list.h"

/*
 * Warns, once for each pair in the life of the process, of nodes that are at
 * the same address and port: what they answer would be counted twice, unless
 * a proxy there tells them apart by their host names.
 */
void nodes_warn_twice(const struct nodes_entry *entries, unsigned n);

#endif
