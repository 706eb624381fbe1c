/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to http/: what the connections of one process share.  http.c owns
 * it; h1.c tells it what its connections do.
 */

#ifndef SPOOR_HTTP_SERVER_H
#define SPOOR_HTTP_SERVER_H

#include <sys/queue.h>

#include "core/base.h"
#include "event/module.h"

struct h1_conn;
TAILQ_HEAD(h1_list, h1_conn);

/* After a drain began: how long idle connections may still send a request. */
#define DRAIN_IDLE_NS (250 * NS_PER_MS)

struct server {
    struct process *process;
    struct h1_list conns;   /* all */
    struct h1_list waiting; /* for a whole request, longest first */
    unsigned nconns;
    unsigned nrequests;     /* with a handler, or their reply unsent */
    bool is_draining;
};

#endif
