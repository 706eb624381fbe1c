/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Items of storage_nodes, and the nodes that each of them stands for now.
 * One thread of a worker uses these.
 */

#ifndef SPOOR_CLUSTER_NODES_SOURCE_H
#define SPOOR_CLUSTER_NODES_SOURCE_H

#include "core/base.h"

#include "cluster/discover.h"
#include "cluster/nodes_list.h"
#include "core/conf_storage.h"
#include "core/err.h"

/*
 * A node that is not found any more leaves after so many lookups that found
 * others: a resolver that skips one for a moment must not hide its spans.
 */
#define SOURCE_MISSES_MAX 6u

struct sources;

/* Borrows conf; nodes as far as they are known without a lookup. */
int sources_new(struct sources **out, const struct conf *conf,
    struct err *err) WARN_UNUSED;
void sources_free(struct sources *sources); /* accepts NULL */
/* The names to look up, valid as long as the sources; *n may be 0. */
struct discover_name *sources_names(struct sources *sources, unsigned *n);
/* All of them have addresses, if perhaps old ones. */
bool sources_are_known(const struct sources *sources);
/* Takes what was found, releases the names' answers, logs failures once. */
void sources_take(struct sources *sources);
/* Makes the list of all nodes the present one. */
int sources_publish(struct sources *sources, bool *has_changed,
    struct err *err) WARN_UNUSED;

#endif
