/* SPDX-License-Identifier: BSD-2-Clause */

/* What storage_nodes must not say. */

#include "core/base.h"
#include "core/conf_storage.h"

#include "core/conf_listener.h"
#include "core/conf_load.h"

static const struct conf_list *
column_of(const struct conf *conf, enum conf_row_id id)
{
    return (const struct conf_list *)(const void *)((const char *)conf +
        conf_rows[id].offset);
}

/* "tls" of "storage_nodes.tls". */
static const char *
leaf_of(enum conf_row_id id)
{
    return conf_row_leaf(&conf_rows[id]).ptr;
}

/* --- addresses --- */

static bool
is_same(const struct storage_address *a, const struct storage_address *b)
{
    return a->kind == b->kind && strcmp(a->host, b->host) == 0 &&
        strcmp(a->port, b->port) == 0;
}

/* The same node would have twice its share, and each answer twice. */
static void
check_twice(struct conf_loader *loader, const struct storage_address *all,
    const bool *is_good, unsigned n)
{
    const char *const *texts = loader->conf->nodes.v;

    for (unsigned i = 0; i < n; i++) {
        if (is_good[i] && is_same(&all[i], &all[n])) {
            bool is_equal = strcmp(texts[i], texts[n]) == 0;

            conf_loader_complain(loader, CONF_ROW_nodes, n,
                "has %s twice%s%s%s (item %u)", texts[n],
                is_equal ? "" : ", first as \"", is_equal ? "" : texts[i],
                is_equal ? "" : "\"", i + 1);
            return;
        }
    }
}

/* A front that asks itself would do so for ever. */
static void
check_self(struct conf_loader *loader, const struct storage_address *address,
    unsigned n)
{
    const struct conf *conf = loader->conf;

    for (unsigned i = 0; i < conf_listeners(conf); i++) {
        const char *text = conf_listener_get(conf, i).address;
        const char *colon = strrchr(text, ':');
        struct sv host = sv_make(text, colon == NULL ? 0 :
            (size_t)(colon - text));
        bool is_any = host.len == 0 || sv_eq(host, SV("*")) ||
            sv_eq(host, SV("0.0.0.0")) || sv_eq(host, SV("[::]"));

        if (colon == NULL || strcmp(colon + 1, address->port) != 0)
            continue;
        if (host.len > 2 && host.ptr[0] == '[')
            host = sv_sub(host, 1, host.len - 2);
        if (!(is_any && storage_address_is_local(address)) &&
            !sv_eq_nocase(host, sv_from(address->host)))
            continue;
        conf_loader_complain(loader, CONF_ROW_nodes, n,
            "has %s, which is this server itself (it listens on %s)",
            conf->nodes.v[n], text);
        return;
    }
}

static void
check_addresses(struct conf_loader *loader, struct storage_address *all,
    bool *is_good)
{
    const struct conf_list *nodes = &loader->conf->nodes;

    for (unsigned i = 0; i < nodes->n; i++) {
        struct err err = ERR_INIT;

        is_good[i] = storage_address_parse(&all[i], sv_from(nodes->v[i]),
            &err) == 0;
        if (!is_good[i] && strchr(nodes->v[i], '@') != NULL)
            conf_loader_complain_hidden(loader, CONF_ROW_nodes, i, "%s",
                err.text);
        else if (!is_good[i])
            conf_loader_complain(loader, CONF_ROW_nodes, i, "%s", err.text);
        if (!is_good[i])
            continue;
        check_twice(loader, all, is_good, i);
        if (all[i].kind == STORAGE_FIXED)
            check_self(loader, &all[i], i);
    }
}

/* --- TLS --- */

static const enum conf_row_id tls_rows[] = {CONF_ROW_node_cas,
    CONF_ROW_node_certs, CONF_ROW_node_keys, CONF_ROW_node_server_names,
    CONF_ROW_node_insecure};

/* Said of this node, not by a single value for all of several. */
static bool
is_said(const struct conf *conf, enum conf_row_id id, unsigned n)
{
    bool is_for_all = conf->origins->v[id].items.n == 1 && conf->nodes.n > 1;

    if (id == CONF_ROW_node_insecure)
        return !is_for_all && conf_item_bool(column_of(conf, id), n) == 1;
    return !is_for_all && conf_item(column_of(conf, id), n) != NULL;
}

static void
check_tls(struct conf_loader *loader, const struct conf_storage_node *node,
    unsigned n)
{
    const struct conf *conf = loader->conf;
    struct storage_address name;
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(tls_rows); i++) {
        if (!node->has_tls && is_said(conf, tls_rows[i], n))
            conf_loader_complain(loader, tls_rows[i], n,
                "of %s needs TLS, but \"tls\" is false", node->address);
    }
    if (node->key_file != NULL && node->cert_file == NULL)
        conf_loader_complain(loader, CONF_ROW_node_keys, n,
            "of %s needs the certificate that it belongs to: \"%s\", -%s",
            node->address, leaf_of(CONF_ROW_node_certs),
            conf_rows[CONF_ROW_node_certs].flag);
    if (node->server_name != NULL && (storage_address_parse(&name,
        sv_from(node->server_name), &err) != 0 ||
        name.kind != STORAGE_FIXED ||
        (!name.is_ip && strchr(node->server_name, ':') != NULL)))
        conf_loader_complain(loader, CONF_ROW_node_server_names, n,
            "of %s must be a host name without a port, not \"%s\"",
            node->address, node->server_name);
}

/* One warning, whoever they are. */
static void
warn_insecure(struct conf_loader *loader)
{
    const struct conf *conf = loader->conf;
    unsigned first = 0, n = 0;

    for (unsigned i = 0; i < conf->nodes.n; i++) {
        struct conf_storage_node node = conf_storage_node_get(conf, i);

        if (!node.has_tls || !node.is_insecure)
            continue;
        if (n++ == 0)
            first = i;
    }
    if (n > 0)
        conf_loader_warn(loader, CONF_ROW_node_insecure, first,
            "is on for %s%s: whoever answers in its place gets spans and "
            "credentials; \"%s\" is the safe way to trust a certificate of "
            "your own", conf->nodes.v[first], n > 1 ? " and others" : "",
            leaf_of(CONF_ROW_node_cas));
}

/* --- credentials --- */

/* A text and its file say the same; id is the row of the text. */
static bool
has_auth(const struct conf *conf, enum conf_row_id id, unsigned n)
{
    return conf_item(column_of(conf, id), n) != NULL ||
        conf_item(column_of(conf, id + 1), n) != NULL;
}

/* The row that says it. */
static enum conf_row_id
row_of(const struct conf *conf, enum conf_row_id id, unsigned n)
{
    return conf_item(column_of(conf, id), n) != NULL ? id : id + 1;
}

static void
check_auth(struct conf_loader *loader, const char *address, unsigned n)
{
    static const enum conf_row_id rows[] = {CONF_ROW_node_usernames,
        CONF_ROW_node_passwords, CONF_ROW_node_tokens};
    const struct conf *conf = loader->conf;
    bool has_user = has_auth(conf, CONF_ROW_node_usernames, n);
    bool has_token = has_auth(conf, CONF_ROW_node_tokens, n);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (conf_item(column_of(conf, rows[i]), n) != NULL &&
            conf_item(column_of(conf, rows[i] + 1), n) != NULL)
            conf_loader_complain(loader, rows[i] + 1, n,
                "of %s excludes \"%s\"", address, leaf_of(rows[i]));
    }
    if (has_auth(conf, CONF_ROW_node_passwords, n) && !has_user)
        conf_loader_complain(loader,
            row_of(conf, CONF_ROW_node_passwords, n), n,
            "of %s needs a user: \"%s\", -%s", address,
            leaf_of(CONF_ROW_node_usernames),
            conf_rows[CONF_ROW_node_usernames].flag);
    if (has_user && has_token)
        conf_loader_complain(loader, row_of(conf, CONF_ROW_node_tokens, n), n,
            "of %s excludes \"%s\": a node is asked with a token or as a "
            "user", address,
            leaf_of(row_of(conf, CONF_ROW_node_usernames, n)));
}

/* What goes over a network that may be read by others. */
static void
warn_clear(struct conf_loader *loader, const struct storage_address *all,
    const bool *is_good)
{
    const struct conf *conf = loader->conf;
    unsigned first = 0, n = 0;

    for (unsigned i = 0; i < conf->nodes.n; i++) {
        if (!is_good[i] || storage_address_is_local(&all[i]) ||
            conf_storage_node_get(conf, i).has_tls ||
            (!has_auth(conf, CONF_ROW_node_passwords, i) &&
            !has_auth(conf, CONF_ROW_node_tokens, i)))
            continue;
        if (n++ == 0)
            first = i;
    }
    if (n > 0)
        conf_loader_warn(loader, CONF_ROW_nodes, first, "sends the "
            "credentials of %s%s in clear text over the network: \"%s\", -%s",
            conf->nodes.v[first], n > 1 ? " and others" : "",
            leaf_of(CONF_ROW_node_tls), conf_rows[CONF_ROW_node_tls].flag);
}

/* --- all --- */

/* Columns of no node. */
static void
warn_unused(struct conf_loader *loader)
{
    const struct conf_row *table = &conf_rows[CONF_ROW_nodes];
    const struct conf_row *column = NULL;

    while ((column = conf_row_next_column(table, column)) != NULL) {
        enum conf_row_id id = conf_row_index(column);
        const struct conf_list *items = &loader->conf->origins->v[id].items;

        if (items->n == 1 && items->v[0][0] != '\0')
            conf_loader_warn(loader, id, 0, "has no effect: there are no "
                "storage nodes (\"%s\", -%s)", table->yaml, table->flag);
    }
}

void
conf_storage_check(struct conf_loader *loader)
{
    const struct conf_list *nodes = &loader->conf->nodes;
    struct storage_address *all;
    bool *is_good;

    if (nodes->n == 0) {
        warn_unused(loader);
        return;
    }
    if (nodes->n > STORAGE_NODES_MAX) {
        conf_loader_complain(loader, CONF_ROW_nodes, STORAGE_NODES_MAX,
            "has %u nodes, at most %u can be", nodes->n, STORAGE_NODES_MAX);
        return;
    }
    all = pool_alloc(loader->pool, nodes->n * sizeof(*all));
    is_good = pool_zalloc(loader->pool, nodes->n * sizeof(*is_good));
    if (all == NULL || is_good == NULL) {
        conf_loader_complain(loader, CONF_ROW_nodes, 0, "is too large");
        return;
    }
    check_addresses(loader, all, is_good);
    for (unsigned i = 0; i < nodes->n; i++) {
        struct conf_storage_node node =
            conf_storage_node_get(loader->conf, i);

        check_tls(loader, &node, i);
        check_auth(loader, node.address, i);
    }
    warn_insecure(loader);
    warn_clear(loader, all, is_good);
}
