/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What all processes of the server use of the machine: each measures itself
 * once a second into a cell of shared memory, and the master adds what the
 * kernel says of those that ended.  Totals therefore never go backwards.
 * A process' cell is its stripe of the metrics, too.
 */

#ifndef SPOOR_EVENT_USAGE_H
#define SPOOR_EVENT_USAGE_H

#include <sys/resource.h>

#include "core/base.h"
#include "core/err.h"
#include "event/module.h"

struct loop;

enum usage_total {
    USAGE_USER_NS,
    USAGE_SYSTEM_NS,
    USAGE_MINOR_FAULTS,
    USAGE_MAJOR_FAULTS,
    USAGE_READ_BYTES,
    USAGE_WRITE_BYTES,
    USAGE_READ_CALLS,
    USAGE_WRITE_CALLS,
    USAGE_STORAGE_READ,
    USAGE_STORAGE_WRITTEN,
    USAGE_TOTALS,
};

enum usage_level {
    USAGE_ANON,   /* bytes that only this process has */
    USAGE_FILE,   /* mapped from files */
    USAGE_SHARED, /* of shared memory */
    USAGE_FDS,
    USAGE_MAX_FDS,
    USAGE_THREADS,
    USAGE_LEVELS,
};

/* Master, once: makes the cells, and the shared metrics beside them. */
int usage_create(unsigned nslots, struct err *err) WARN_UNUSED;

/* The cell of a child; one that recovers a slot has that slot's. */
unsigned usage_cell(enum role role, unsigned slot);
unsigned usage_cell_of_master(void);

/*
 * This process has the cell from now on; measures each second of the loop.
 * role: ROLE_COUNT for the master.
 */
void usage_begin(enum role role, unsigned cell, struct loop *loop);
/* After fork in the child: the timer is the parent's. */
void usage_abandon(void);
/* Once more, and no more: the loop will not run again. */
void usage_end(void);

/* Master: the process of the cell is gone. */
void usage_ended(unsigned cell, const struct rusage *rusage);

struct usage_sum {
    uint64_t totals[USAGE_TOTALS];
    /*
     * SHARED: that of the largest.  MAX_FDS: FDS and what the process that is
     * nearest to its limit may still open.
     */
    uint64_t levels[USAGE_LEVELS];
    unsigned processes[ROLE_COUNT];
    int64_t start_ns;              /* wall clock, of the master */
    int64_t age_ns;
};
/* False: there are no cells (tests). */
bool usage_read(struct usage_sum *out);

#endif
