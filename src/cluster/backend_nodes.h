/* SPDX-License-Identifier: BSD-2-Clause */

/* Queries of a front: its storage nodes are asked. */

#ifndef SPOOR_CLUSTER_BACKEND_NODES_H
#define SPOOR_CLUSTER_BACKEND_NODES_H

#include "core/base.h"
#include "query/backend.h"

extern const struct backend backend_nodes;

#endif
