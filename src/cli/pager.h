/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Output that may be longer than the screen goes through $PAGER, or less:
 * what nobody scrolls to is not even fetched, since the pipe fills.
 */

#ifndef SPOOR_CLI_PAGER_H
#define SPOOR_CLI_PAGER_H

#include "core/base.h"

#include <sys/types.h>

struct pager {
    FILE *out; /* stdout until there is a pager */
    pid_t pid; /* 0: none */
};

/* Without a pager (none is set or found, PAGER is empty) nothing changes. */
void pager_begin(struct pager *pager);
/* Waits until people are done with it; out is stdout again. */
void pager_end(struct pager *pager);

#endif
