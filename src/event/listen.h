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
#include "core/conf.h"
#include "core/err.h"

struct process;

/*
 * Master: opens what conf names and is not open yet, closes what it no longer
 * names.  On an error nothing changed.  "host:port", ":port", "[::]:port";
 * port 0 asks the kernel.
 */
int listen_open(const struct conf *conf, struct err *err) WARN_UNUSED;
void listen_close_all(void);

/* "127.0.0.1:10428" of the Nth listener with its real port; NULL after the last. */
const char *listen_address(unsigned n);

/* Worker: fn gets each accepted descriptor (non-blocking, close-on-exec). */
typedef void (*listen_accept_fn)(int fd, const char *peer, void *arg);
void listen_start(struct process *process, listen_accept_fn fn, void *arg);
void listen_stop(void);
/* The owner tells when a connection ended, and when it turns busy or idle. */
void listen_conn_ended(void);
void listen_conn_busy(int delta);

#endif
