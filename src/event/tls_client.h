/* SPDX-License-Identifier: BSD-2-Clause */

/* TLS of a client: whom it trusts and who it says it is. */

#ifndef SPOOR_EVENT_TLS_CLIENT_H
#define SPOOR_EVENT_TLS_CLIENT_H

#include "core/base.h"
#include "core/err.h"

struct ssl_ctx_st;

struct tls_client_conf {
    const char *ca_file;     /* NULL: the authorities of the system */
    const char *cert_file;   /* NULL: no certificate is shown */
    const char *key_file;    /* NULL: in cert_file */
    const char *server_name; /* to ask for and to find; NULL: the host */
    bool is_insecure;        /* the server's certificate is not verified */
};

/* Sets of files that are prepared: one for each server, at most. */
#define TLS_CLIENT_PREPARED_MAX 256u

/*
 * Master, before it forks: reads the files with its rights, which its children
 * may not have.  tls_client_ctx_new() with the same files takes what was read,
 * until all is forgotten, which is what a reload begins with.
 */
int tls_client_prepare(const struct tls_client_conf *conf, struct err *err)
    WARN_UNUSED;
void tls_client_forget(void);

/* For tls_new() with the name of the host; borrows nothing of conf. */
int tls_client_ctx_new(struct ssl_ctx_st **out,
    const struct tls_client_conf *conf, struct err *err) WARN_UNUSED;
void tls_client_ctx_free(struct ssl_ctx_st *ctx); /* accepts NULL */

#endif
