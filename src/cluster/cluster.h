/* SPDX-License-Identifier: BSD-2-Clause */

/* A front as the rest of the server sees it. */

#ifndef SPOOR_CLUSTER_CLUSTER_H
#define SPOOR_CLUSTER_CLUSTER_H

#include "core/base.h"
#include "event/module.h"

/*
 * Does nothing where there are no storage nodes.  In a front's workers it
 * starts nodes and sender and sets the backend of queries.
 */
extern const struct module cluster_module;

#endif
