/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The addresses to listen on, each with what it may do: http.listen and
 * otlp_grpc.listen, the lists of their flags put together by position.
 */

#ifndef SPOOR_CORE_CONF_LISTENER_H
#define SPOOR_CORE_CONF_LISTENER_H

#include "core/base.h"
#include "core/conf.h"

/* Endpoint groups: bits of what is switched off. */
enum conf_group_bit {
    CONF_GROUP_INSERT = 1,
    CONF_GROUP_SELECT = 2,
    CONF_GROUP_INTERNAL_INSERT = 4,
    CONF_GROUP_INTERNAL_SELECT = 8,
    CONF_GROUP_DELETE = 16,
    CONF_GROUP_ADMIN = 32, /* what changes or tells the server's state */
    CONF_GROUP_INTERNAL_DELETE = 64,
};

/* Several paths or names in one text are separated by ';'. */
struct conf_listener {
    const char *address;     /* as it is written */
    bool is_grpc;            /* of otlp_grpc.listen */
    bool has_proxy_protocol; /* a PROXY header comes first */
    const char *proxy_from;  /* networks that may send it; NULL: all */
    bool has_tls;
    const char *certs;       /* PEM files of chains; NULL: none */
    const char *keys;        /* as many, in the same order */
    const char *ciphers;     /* OpenSSL's names, TLS 1.2; NULL: default */
    const char *tls_min;     /* "TLS12" or "TLS13"; NULL: TLS12 */
    bool has_mtls;           /* a client's certificate is asked for */
    const char *mtls_ca;     /* PEM file */
    const char *mtls_names;  /* accepted; NULL: every one of mtls_ca */
    unsigned disabled;       /* CONF_GROUP_*, those of the whole server, too */
};

unsigned conf_listeners(const struct conf *conf);
/* The Nth; texts are borrowed from conf. */
struct conf_listener conf_listener_get(const struct conf *conf, unsigned n);

#endif
