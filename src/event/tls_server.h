/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * TLS of all addresses of a configuration: made in the master, which may read
 * the keys, and inherited by the workers.  A process without network forgets
 * them.
 */

#ifndef SPOOR_EVENT_TLS_SERVER_H
#define SPOOR_EVENT_TLS_SERVER_H

#include "core/base.h"
#include "core/conf.h"
#include "event/module.h"
#include "event/tls.h"

/* Before modules that accept connections. */
extern const struct module tls_module;

/* Worker: the server's side of a connection to an address with TLS. */
struct tls *tls_server_new(const char *address, int fd) WARN_UNUSED;

/*
 * -t: loads the files of an address.  Doubts about certificates are lines in
 * doubts.
 */
int tls_server_check(const struct conf_listener *listener, struct sb *doubts,
    struct err *err) WARN_UNUSED;

#endif
