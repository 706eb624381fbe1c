/* SPDX-License-Identifier: BSD-2-Clause */

/* Nodes as metrics. */

#ifndef SPOOR_CLUSTER_NODES_PRINT_H
#define SPOOR_CLUSTER_NODES_PRINT_H

#include "core/base.h"

/* From now on /metrics of this process shows the nodes of its list. */
void nodes_collect(void);

#endif
