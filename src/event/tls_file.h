/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * PEM files of certificates and keys.  A file is read whole before it is
 * looked at; a key is wiped from memory afterwards.  Errors begin with the
 * path and never show content.
 */

#ifndef SPOOR_EVENT_TLS_FILE_H
#define SPOOR_EVENT_TLS_FILE_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "core/base.h"
#include "core/err.h"

/* Certificates of one file: a chain, or the authorities of a system. */
#define TLS_FILE_CERTS_MAX 1000

/* The first certificate, and those behind it. */
int tls_file_chain(const char *path, X509 **leaf, STACK_OF(X509) **chain,
    struct err *err) WARN_UNUSED;
/* The first private key; one with a password is an error. */
int tls_file_key(const char *path, EVP_PKEY **key, struct err *err)
    WARN_UNUSED;
/*
 * Authorities: all are trusted by ctx, whose servers also tell their names.
 * digest gets 32 bytes that differ when they do; NULL: not wanted.
 */
int tls_file_authorities(const char *path, SSL_CTX *ctx, uint8_t *digest,
    struct err *err) WARN_UNUSED;

/* What stat() says of a file; all zero when it cannot be seen. */
struct tls_stamp {
    uint64_t device;
    uint64_t inode;
    int64_t size;
    int64_t modified_ns;
};

struct tls_stamp tls_stamp_of(const char *path);
bool tls_stamp_eq(struct tls_stamp a, struct tls_stamp b);

#endif
