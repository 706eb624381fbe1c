/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How many queries run at a time, counted over all workers in shared memory.
 * A worker that dies gives back its share.
 */

#ifndef SPOOR_API_ADMISSION_H
#define SPOOR_API_ADMISSION_H

#include "core/base.h"
#include "core/conf.h"
#include "event/module.h"

extern const struct module admission_module;

/* search.max_concurrent_requests, or what 0 stands for on this machine. */
unsigned admission_max(const struct conf *conf);

/*
 * Queries of clients, and those of fronts: these have their own number,
 * internal_select.max_concurrent_requests.
 */
enum admission_kind {
    ADMISSION_QUERY,
    ADMISSION_INTERNAL,
    ADMISSION_KINDS,
};

/* False when as many run already.  Loop thread. */
bool admission_enter(const struct process *process, enum admission_kind kind);
void admission_leave(const struct process *process,
    enum admission_kind kind);

#endif
