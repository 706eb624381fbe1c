/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What all contexts have in common: TLS 1.2 and 1.3 with forward secrecy and
 * authenticated ciphers only, no renegotiation, no compression, no data
 * before the handshake is over, no session kept in memory.
 */

#ifndef SPOOR_EVENT_TLS_SETUP_H
#define SPOOR_EVENT_TLS_SETUP_H

#include <openssl/ssl.h>

#include "core/base.h"
#include "core/err.h"

/* Suites a person may name. */
#define TLS_CIPHERS_MAX 32

SSL_CTX *tls_setup_new(bool is_server, struct err *err) WARN_UNUSED;
/*
 * Names of suites, OpenSSL's or IANA's, with ';', ':' or ',' between them; of
 * TLS 1.2 and 1.3.  A version that is not named keeps its default.
 */
int tls_setup_ciphers(SSL_CTX *ctx, const char *names, struct err *err)
    WARN_UNUSED;
/* For a client: what the server's certificate must name. */
bool tls_setup_host(SSL *ssl, const char *host);

#endif
