/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The storage nodes of a front: storage_nodes, the lists of its flags put
 * together by position.  A server with at least one stores nothing itself: it
 * is a front.
 */

#ifndef SPOOR_CORE_CONF_STORAGE_H
#define SPOOR_CORE_CONF_STORAGE_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/sv.h"

/* Nodes that are listed or found by their names. */
#define STORAGE_NODES_MAX 256u

struct conf_storage_node {
    /*
     * "host:port" (":10428" is meant where there is no port); or
     * "dns+host:port": a node for each address of the name; or "srv+name": a
     * node for each SRV record of it.
     */
    const char *address;
    bool has_tls;
    const char *ca_file;     /* NULL: the authorities of the system */
    const char *cert_file;   /* NULL: no certificate is shown */
    const char *key_file;    /* NULL: in cert_file */
    const char *server_name; /* NULL: the host of the address */
    bool is_insecure;        /* the certificate is not verified */
    const char *username;    /* NULL: no Basic auth */
    const char *password;    /* NULL: empty */
    const char *token;       /* bearer; NULL: none */
};

/* 0: it is no front. */
unsigned conf_storage_nodes(const struct conf *conf);
/* The Nth; texts are borrowed from conf. */
struct conf_storage_node conf_storage_node_get(const struct conf *conf,
    unsigned n);

/* Of all nodes, as columns: what `from` says, copied into to's memory. */
void conf_storage_keep(struct conf *to, const struct conf *from);
/* Calls fn for every file that the nodes' TLS and credentials are in. */
void conf_storage_files(const struct conf *conf, void (*fn)(const char *path));

/* --- addresses --- */

#define STORAGE_PORT_DEFAULT "10428"
#define STORAGE_HOST_MAX 254u /* RFC 1035, and the NUL */

enum storage_kind {
    STORAGE_FIXED, /* one node */
    STORAGE_DNS,   /* "dns+": one for each address */
    STORAGE_SRV,   /* "srv+": one for each record */
};

struct storage_address {
    enum storage_kind kind;
    bool is_ip;                  /* no name; never of DNS and SRV */
    char host[STORAGE_HOST_MAX]; /* without []; in lower case */
    char port[6];                /* empty of SRV */
};

/*
 * What an address of a node says.  On -1 err->text continues a sentence that
 * begins with "storage_nodes".
 */
int storage_address_parse(struct storage_address *out, struct sv text,
    struct err *err) WARN_UNUSED;
/* The server itself, or another process of this machine. */
bool storage_address_is_local(const struct storage_address *address);

static inline bool
conf_is_front(const struct conf *conf)
{
    return conf_storage_nodes(conf) > 0;
}

#endif
