/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Keys of session tickets, in memory that the master shares with all workers
 * of all generations, so that a session is resumed whoever gets the
 * connection.  A key is used for TLS_TICKET_PERIOD_NS and accepted for as
 * long again; then nobody can read the sessions any more that it protected.
 */

#ifndef SPOOR_EVENT_TLS_TICKET_H
#define SPOOR_EVENT_TLS_TICKET_H

#include <openssl/types.h>

#include "core/base.h"
#include "core/err.h"

#define TLS_TICKET_PERIOD_NS (12 * 3600 * NS_PER_SEC)

struct loop;

/* Master, before any fork; once is enough. */
int tls_ticket_init(struct err *err) WARN_UNUSED;
/* Master: from now on a new key when it is time.  Stop it in children. */
void tls_ticket_start(struct loop *loop);
void tls_ticket_stop(void);
/* Looks at clock_pace_ns(); true when there is a new key. */
bool tls_ticket_rotate(void);

/* Sessions of ctx go by these keys. */
void tls_ticket_use(SSL_CTX *ctx);

#endif
