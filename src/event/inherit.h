/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Listen sockets that were open before this program ran.  Two give them:
 *
 *   a service manager   LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES (see
 *                       sd_listen_fds(3)): descriptors from 3 on
 *   an older master     SPOOR_SOCKETS="7=127.0.0.1:10428;8=[::1]:4317": each
 *                       with its address as the configuration has it
 *
 * Master only.  Those of a service manager stay open here: a later reload may
 * name their address again.
 */

#ifndef SPOOR_EVENT_INHERIT_H
#define SPOOR_EVENT_INHERIT_H

#include <sys/socket.h>

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"

/* The variable in which a master hands its sockets on. */
#define INHERIT_SOCKETS "SPOOR_SOCKETS"

/* Once, before anything is listened on.  Takes the variables away. */
int inherit_init(struct err *err) WARN_UNUSED;

bool inherit_is_any(void);
/* The socket of this address will be asked for: no name takes it. */
void inherit_reserve(const char *spec, const struct sockaddr *addr);
/* A copy of the socket of this address; -1 when there is none. */
int inherit_take(const char *spec, const struct sockaddr *addr);
/* A copy of one that is free and has this name; -1 when there is none. */
int inherit_take_named(const char *name);

/*
 * All addresses are open: a socket of the service manager that none of them
 * uses is an error, since who connects to it would wait for ever.  Those of
 * an older master are closed: what is used was copied.
 */
int inherit_settle(struct err *err) WARN_UNUSED;
void inherit_close_all(void);

/* Appends "7=127.0.0.1:10428" to the text of INHERIT_SOCKETS. */
void inherit_print(struct sb *out, int fd, const char *spec);

#endif
