/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How OpenSSL reaches a socket.  Its own kind sends with write(), which
 * raises SIGPIPE, and does not tell how much it sent.
 */

#ifndef SPOOR_EVENT_TLS_BIO_H
#define SPOOR_EVENT_TLS_BIO_H

#include <openssl/bio.h>

#include "core/base.h"

/* The descriptor stays the caller's.  Aborts without memory. */
BIO *tls_bio_new(int fd);
/* Bytes that the socket took. */
uint64_t tls_bio_sent(BIO *bio);

#endif
