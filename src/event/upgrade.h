/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Two masters at an upgrade, and what they say to each other over a socket
 * that the new one finds in SPOOR_UPGRADE, one word a message:
 *
 *     new  "prepared"      it has its configuration and all sockets
 *     old  "go"            no process of the old server is left
 *     new  "up"            all processes of the new one are ready
 *     old  (ends)          the supervisor knows the new one
 *     new  "failed: TEXT"  instead of any of its own
 *
 * Both may be of different versions, so these words stay as they are.  This
 * is the side of the new master; the other one is master_upgrade.c.
 */

#ifndef SPOOR_EVENT_UPGRADE_H
#define SPOOR_EVENT_UPGRADE_H

#include "core/base.h"
#include "core/err.h"

/* The variable that names the descriptor. */
#define UPGRADE_CHANNEL "SPOOR_UPGRADE"
/* A message; texts are cut. */
#define UPGRADE_TEXT_MAX 1024

/* Once, at the start of the master.  Takes the variable away. */
int upgrade_init(struct err *err) WARN_UNUSED;
/* Another master waits for us to take over. */
bool upgrade_is_successor(void);

/*
 * Says that all is prepared and waits until the old server is gone.  Blocks;
 * signals end the process, as until here nothing was begun.
 */
int upgrade_wait_turn(struct err *err) WARN_UNUSED;
/* fd becomes readable when the old master has ended. */
int upgrade_say_up(void);
/* Harmless when nobody listens. */
void upgrade_say_failed(const char *why);
void upgrade_close(void);

/* One message on such a socket; -1 with errno. */
int upgrade_send(int fd, const char *text) WARN_UNUSED;

#endif
