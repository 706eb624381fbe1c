/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Names in certificates: DNS and URI names of subjectAltName, and the common
 * name.  Names of clients are compared whole: a wildcard in a certificate
 * stands for itself.
 */

#ifndef SPOOR_EVENT_TLS_NAME_H
#define SPOOR_EVENT_TLS_NAME_H

#include <openssl/types.h>

#include "core/base.h"

/*
 * The verify callback of contexts that ask for a certificate; arg is the
 * struct tls_listener.  The chain first, then the names.
 */
int tls_name_verify(X509_STORE_CTX *store, void *arg);

/* Of a resumed session: the certificate is neither missing nor expired. */
bool tls_name_is_still_good(SSL *ssl);
/*
 * The accepted name of the client's certificate, or its first; NULL without
 * one.  Free with xfree().
 */
char *tls_name_of_peer(SSL *ssl);
/* The first name, "" for none, cut to size. */
void tls_name_first(X509 *cert, char *dst, size_t size);

#endif
