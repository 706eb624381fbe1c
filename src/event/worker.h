/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The life of a child process, of any role, from fork to exit.
 */

#ifndef SPOOR_EVENT_WORKER_H
#define SPOOR_EVENT_WORKER_H

#include <signal.h>

#include "core/base.h"
#include "event/jail.h"
#include "event/module.h"

/* What the child gets from proc_spawn(). */
struct worker_start {
    struct process process;
    const struct jail *jail;
    pid_t master;
    int channel_fd;
    char *record;            /* for panics */
    const sigset_t *signals; /* the mask to go back to */
};

/* In the child, signals blocked, the master's loop abandoned. */
void worker_main(const struct worker_start *start) NORETURN;

#endif
