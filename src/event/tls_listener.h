/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What TLS is on one address: a context of OpenSSL with certificates, keys
 * and the rules for clients, made of a struct conf_listener by a process
 * that may read the files.
 */

#ifndef SPOOR_EVENT_TLS_LISTENER_H
#define SPOOR_EVENT_TLS_LISTENER_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "core/base.h"
#include "core/conf_listener.h"
#include "core/err.h"

/* Certificates of an address: each is looked at in a handshake. */
#define TLS_CERTS_MAX 64
/* Names of clients that are accepted. */
#define TLS_ACCEPTED_MAX 1000

struct tls_cert {
    char *file;
    char *key_file;
    X509 *leaf;
    STACK_OF(X509) *chain;
    EVP_PKEY *key;
};

struct tls_listener {
    char *address;
    bool has_mtls;
    char *ca_file;     /* NULL: none */
    unsigned ncerts;
    unsigned nnames;
    SSL_CTX *ctx;
    struct tls_cert certs[TLS_CERTS_MAX];
    char **names;      /* accepted of clients; none: all */
};

/* Copies what it needs of conf. */
int tls_listener_new(struct tls_listener **out,
    const struct conf_listener *conf, struct err *err) WARN_UNUSED;
void tls_listener_free(struct tls_listener *listener); /* accepts NULL */

/* The Nth part of a text with ';' in it, to be freed; NULL: no more. */
char *tls_listener_part(const char *text, unsigned n);

#endif
