/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Why handshakes of clients fail: counted by reason, and said in the log
 * once per reason and interval, with the number of those that were not said.
 */

#ifndef SPOOR_EVENT_TLS_FAILURE_H
#define SPOOR_EVENT_TLS_FAILURE_H

#include "core/base.h"

/* Between two lines of one reason. */
#define TLS_FAILURE_LOG_NS (10 * NS_PER_SEC)

enum tls_failure {
    TLS_FAILURE_OTHER,
    TLS_FAILURE_VERSION,     /* none in common, or no TLS at all */
    TLS_FAILURE_CIPHER,      /* suite, group or signature: none in common */
    TLS_FAILURE_PROTOCOL,    /* ALPN without h2 and http/1.1 */
    TLS_FAILURE_CERTIFICATE, /* the client's: missing or not verified */
    TLS_FAILURE_NAME,        /* verified, but of none that is accepted */
    TLS_FAILURE_ALERT,       /* the client refused */
    TLS_FAILURE_CLOSED,      /* the client left */
    TLS_FAILURE_TIMEOUT,
    TLS_FAILURE_TOO_MANY,    /* the oldest of many made room */
    TLS_FAILURE_PLAIN,       /* HTTP without TLS */
    TLS_FAILURES,
};

/* peer and listener as addresses, text is the reason in words. */
void tls_failure_count(enum tls_failure failure, const char *peer,
    const char *listener, const char *text);

#endif
