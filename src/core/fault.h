/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Named fault points, so that tests can stop a process or fail a call at an
 * exact step of a protocol.  Compiled in always; one predictable branch when
 * unused.  The environment variable SPOOR_FAULT holds a comma list of
 *
 *     NAME:kill[:N]       SIGKILL at the Nth visit (default 1) of the point
 *     NAME:stop[:N]       SIGSTOP
 *     NAME:ERRNO[:N]      fault_point() returns that errno (EIO, ENOSPC ...)
 *                         from the Nth visit on
 *     NAME:sleep=MS[:N]   waits, from the Nth visit on
 *
 * Visits are counted over all processes of one server.  A list that cannot
 * be understood ends the process with status 2.  SPOOR_FAULT_FILE names a
 * file with the same list, read again at each visit at most every 10 ms: a
 * test can arm points while the server runs (write a new file and rename it;
 * every new version counts from zero, a missing file arms nothing).
 */

#ifndef SPOOR_CORE_FAULT_H
#define SPOOR_CORE_FAULT_H

#include "core/base.h"

extern bool fault_is_armed;

/* Returns 0, or the errno to pretend.  Never call directly: use fault(). */
int fault_point(const char *name);

#define fault(name) (UNLIKELY(fault_is_armed) ? fault_point(name) : 0)

/* Reads the environment; call once in the master before any fork. */
void fault_init(void);

#endif
