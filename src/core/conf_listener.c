/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/conf_listener.h"

#include "core/assert.h"
#include "core/conf_load.h"
#include "core/sv.h"

const char *
conf_item(const struct conf_list *column, unsigned n)
{
    const char *text = NULL;

    if (n < column->n)
        text = column->v[n];
    else if (column->n == 1)
        text = column->v[0];
    return text != NULL && text[0] != '\0' ? text : NULL;
}

int
conf_item_bool(const struct conf_list *column, unsigned n)
{
    const char *text = conf_item(column, n);

    return text == NULL ? -1 : strcmp(text, "true") == 0;
}

static unsigned
groups_of(const char *names)
{
    static const struct {
        struct sv name;
        unsigned bits;
    } groups[] = {
        {{"insert", 6}, CONF_GROUP_INSERT},
        {{"select", 6}, CONF_GROUP_SELECT | CONF_GROUP_INTERNAL_SELECT},
        {{"internalinsert", 14}, CONF_GROUP_INTERNAL_INSERT},
        {{"internalselect", 14}, CONF_GROUP_INTERNAL_SELECT},
        {{"delete", 6}, CONF_GROUP_DELETE},
        {{"internaldelete", 14}, CONF_GROUP_INTERNAL_DELETE},
        {{"admin", 5}, CONF_GROUP_ADMIN},
    };
    struct sv rest = sv_from(names), name;
    unsigned bits = 0;

    while (sv_split(&rest, ';', &name)) {
        for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
            if (sv_eq_nocase(name, groups[i].name))
                bits |= groups[i].bits;
        }
    }
    return bits;
}

/* Those of the whole server. */
static unsigned
disabled_of(const struct conf *conf)
{
    return (conf->insert_disable ? CONF_GROUP_INSERT : 0u) |
        (conf->select_disable ? CONF_GROUP_SELECT |
        CONF_GROUP_INTERNAL_SELECT : 0u) |
        (conf->internal_insert_disable ? CONF_GROUP_INTERNAL_INSERT : 0u) |
        (conf->internal_select_disable ? CONF_GROUP_INTERNAL_SELECT : 0u) |
        (conf->delete_enable ? 0u : CONF_GROUP_DELETE) |
        (conf->internal_delete_enable ? 0u : CONF_GROUP_INTERNAL_DELETE);
}

/* ":port" becomes "*:port". */
static bool
widen(struct conf_list *list, struct pool *pool)
{
    const char **texts = pool_alloc(pool, (list->n + 1) * sizeof(*texts));

    if (texts == NULL)
        return false;
    for (unsigned i = 0; i < list->n; i++) {
        size_t len = strlen(list->v[i]);
        char *wide;

        texts[i] = list->v[i];
        if (list->v[i][0] != ':')
            continue;
        wide = pool_alloc(pool, len + 2);
        if (wide == NULL)
            return false;
        wide[0] = '*';
        memcpy(wide + 1, list->v[i], len + 1);
        texts[i] = wide;
    }
    list->v = texts;
    return true;
}

bool
conf_listeners_widen(struct conf *conf, struct pool *pool)
{
    return !conf->enable_tcp6 || (widen(&conf->http_listen, pool) &&
        widen(&conf->otlp_grpc_listen, pool));
}

unsigned
conf_listeners(const struct conf *conf)
{
    return conf->http_listen.n + conf->otlp_grpc_listen.n;
}

struct conf_listener
conf_listener_get(const struct conf *conf, unsigned n)
{
    struct conf_listener listener = {.is_grpc = n >= conf->http_listen.n};
    const char *groups;
    int tls, mtls, proxy;

    check(n < conf_listeners(conf));
    if (listener.is_grpc)
        n -= conf->http_listen.n;
#define PICK(column) \
    (listener.is_grpc ? &conf->grpc_##column : &conf->http_##column)
    listener.address = listener.is_grpc ? conf->otlp_grpc_listen.v[n] :
        conf->http_listen.v[n];
    listener.proxy_from = conf_item(PICK(proxy_from), n);
    proxy = conf_item_bool(PICK(proxy), n);
    listener.certs = conf_item(PICK(certs), n);
    listener.keys = conf_item(PICK(keys), n);
    listener.ciphers = conf_item(PICK(ciphers), n);
    listener.tls_min = conf_item(PICK(tls_min), n);
    listener.mtls_ca = conf_item(PICK(mtls_cas), n);
    listener.mtls_names = conf_item(PICK(mtls_names), n);
    tls = conf_item_bool(PICK(tls), n);
    mtls = conf_item_bool(PICK(mtls), n);
    groups = conf_item(PICK(disabled), n);
#undef PICK
    listener.has_proxy_protocol = proxy == 1 ||
        (proxy < 0 && listener.proxy_from != NULL);
    listener.has_tls = tls == 1 || (tls < 0 && listener.certs != NULL);
    listener.has_mtls = mtls == 1 || (mtls < 0 && listener.mtls_ca != NULL);
    listener.disabled = disabled_of(conf) |
        (groups != NULL ? groups_of(groups) : 0u);
    return listener;
}
