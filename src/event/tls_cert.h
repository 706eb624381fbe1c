/* SPDX-License-Identifier: BSD-2-Clause */

/* The certificates of one address: loading, and which one is for whom. */

#ifndef SPOOR_EVENT_TLS_CERT_H
#define SPOOR_EVENT_TLS_CERT_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"
#include "event/tls_listener.h"

/* Kinds of keys; one certificate of each can be offered. */
enum tls_cert_kind {
    TLS_CERT_ECDSA,
    TLS_CERT_RSA,
    TLS_CERT_ED25519,
    TLS_CERT_KINDS,
};

/* file and key_file are set; the key must be that of the certificate. */
int tls_cert_load(struct tls_cert *cert, struct err *err) WARN_UNUSED;
void tls_cert_release(struct tls_cert *cert);

/* By kind, NULL where there is none.  False: none is good for the name. */
bool tls_cert_choose(const struct tls_listener *listener, const char *name,
    const struct tls_cert *chosen[TLS_CERT_KINDS]);
void tls_cert_default(const struct tls_listener *listener,
    const struct tls_cert *chosen[TLS_CERT_KINDS]);

const char *tls_cert_kind_name(const struct tls_cert *cert);
/* Unix seconds. */
int64_t tls_cert_not_after(const struct tls_cert *cert);
/*
 * What is probably not meant: expired, not yet valid, a chain that does not
 * fit, no names.  A sentence with the file; "" when all is well.
 */
void tls_cert_doubts(const struct tls_cert *cert, char *dst, size_t size);

#endif
