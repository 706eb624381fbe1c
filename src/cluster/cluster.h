/* SPDX-License-Identifier: BSD-2-Clause */

/* A front as the rest of the server sees it. */

#ifndef SPOOR_CLUSTER_CLUSTER_H
#define SPOOR_CLUSTER_CLUSTER_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"
#include "event/module.h"

/*
 * Does nothing where there are no storage nodes.  In a front's workers it
 * starts nodes and sender and sets the backend of queries.
 */
extern const struct module cluster_module;

/* -t: the files that TLS to nodes needs, read as at the start. */
int cluster_check(const struct conf *conf, struct err *err) WARN_UNUSED;
/*
 * A worker of a front: whether it is of use now.  Inserts need a node that
 * takes them, or the queue; queries a node that can be reached.  *why is
 * static.
 */
bool cluster_is_ready(const struct conf *conf, const char **why);

#endif
