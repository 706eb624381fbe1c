/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Listen sockets: opened by the master (with whatever rights it has),
 * inherited by workers, who share them.  A worker that holds more than its
 * share of busy connections lets the others accept first; without
 * descriptors accepting backs off instead of spinning.
 */

#ifndef SPOOR_EVENT_LISTEN_H
#define SPOOR_EVENT_LISTEN_H

#include "core/base.h"
#include "core/conf_listener.h"
#include "core/err.h"
#include "core/sb.h"

struct process;

/* Addresses in http.listen and otlp_grpc.listen: each costs a descriptor in every process. */
#define LISTEN_MAX 64
/* Slots with a place in the table of loads: three times 256 workers. */
#define LISTEN_SLOTS_MAX 768

/*
 * Master: opens what conf names and is not open yet; workers forked from now
 * on accept from exactly what conf names.  On an error nothing changed.
 * "host:port", ":port" (IPv4), "[::]:port" (IPv6 only), "*:port" (both),
 * "unix:/path", whose file stays when it is closed; port 0 asks the kernel.
 * What conf no longer names stays open, so that a failed reload can go back
 * to it, until listen_commit().
 */
int listen_open(const struct conf *conf, struct err *err) WARN_UNUSED;
/* Closes what the last listen_open() did not name, in this process. */
void listen_commit(void);
/* Closes this process's copies. */
void listen_close_all(void);
/* Master: a worker ended; its connections count no more. */
void listen_child_ended(unsigned slot);

/*
 * In a process that is about to execute another program: lets the sockets
 * live on in it, and appends what INHERIT_SOCKETS has to say.  -1 with errno.
 */
int listen_hand_on(struct sb *out) WARN_UNUSED;

/* "127.0.0.1:10428", the Nth address with its real port; NULL after the last. */
const char *listen_address(unsigned n);

/*
 * Worker: fn gets each accepted descriptor (non-blocking, close-on-exec) and
 * the address that it came to, which lives until listen_start() again.
 */
typedef void (*listen_accept_fn)(int fd,
    const struct conf_listener *listener, void *arg);
void listen_start(struct process *process, listen_accept_fn fn, void *arg);
/* Accepts no more and closes the sockets.  Harmless when not started. */
void listen_stop(void);
/* The owner tells when a connection ended, and when it turns busy or idle. */
void listen_conn_ended(void);
void listen_conn_busy(int delta);

#endif
