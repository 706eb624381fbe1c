/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What systemd is told (sd_notify(3), without its library): datagrams to
 * $NOTIFY_SOCKET.  Without a supervisor all of this does nothing.  Master
 * only.
 */

#ifndef SPOOR_EVENT_NOTIFY_H
#define SPOOR_EVENT_NOTIFY_H

#include "core/base.h"

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. */
void notify_init(void);
bool notify_is_on(void);
/* Within this time WATCHDOG=1 is expected; 0: there is no watchdog. */
int64_t notify_watchdog_ns(void);

/*
 * "READY=1\nSTATUS=ready": lines of one message.  Failures are logged once;
 * nothing depends on it.
 */
void notify_send(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
