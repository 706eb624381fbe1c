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
 *     NAME:short[:N]      points of sys.h: half of a read or write is done
 *     NAME:tear[:N]       points of sys.h: half of the Nth write, then SIGKILL
 *     NAME:crash[:N]      SIGKILL, and to every process that meets any point
 *                         after that: the server changes nothing any more
 *
 * N may be a range "3-5" for those that go on.  NAME may be "NAME@ROLE" for
 * processes of one role (master, worker, recover, merge, retention), and may
 * end with "*" for all points that begin so.
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

enum fault_action {
    FAULT_NONE,
    FAULT_ERRNO, /* *number is set */
    FAULT_SHORT,
    FAULT_TEAR,
    FAULT_KILL, FAULT_CRASH, FAULT_STOP, FAULT_SLEEP, /* done by the visit */
};
/* As fault_point(), for callers that know more than errors. */
enum fault_action fault_visit(const char *name, int *number);
void fault_die(void) NORETURN; /* SIGKILL to this process */

#define fault(name) (UNLIKELY(fault_is_armed) ? fault_point(name) : 0)

/* Reads the environment; call once in the master before any fork. */
void fault_init(void);

/* "worker 3" is role "worker"; log_set_role() calls it. */
void fault_set_role(const char *role);
const char *fault_role(void);

#endif
