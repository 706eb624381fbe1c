/* SPDX-License-Identifier: BSD-2-Clause */

/* storage_nodes as the server asks for them. */

#include "core/base.h"
#include "core/conf_storage.h"

#include "core/assert.h"
#include "core/conf_load.h"

unsigned
conf_storage_nodes(const struct conf *conf)
{
    return conf->nodes.n;
}

struct conf_storage_node
conf_storage_node_get(const struct conf *conf, unsigned n)
{
    struct conf_storage_node node = {.address = NULL};
    int tls = conf_item_bool(&conf->node_tls, n);

    check(n < conf->nodes.n);
    node.address = conf->nodes.v[n];
    node.ca_file = conf_item(&conf->node_cas, n);
    node.cert_file = conf_item(&conf->node_certs, n);
    node.key_file = conf_item(&conf->node_keys, n);
    node.server_name = conf_item(&conf->node_server_names, n);
    node.is_insecure = conf_item_bool(&conf->node_insecure, n) == 1;
    node.has_tls = tls == 1 || (tls < 0 && (node.ca_file != NULL ||
        node.cert_file != NULL || node.key_file != NULL ||
        node.server_name != NULL || node.is_insecure));
    node.username = conf_item(&conf->node_users_read, n);
    node.password = conf_item(&conf->node_passwords_read, n);
    node.token = conf_item(&conf->node_tokens_read, n);
    return node;
}

static void
each_file(const struct conf_list *column, void (*fn)(const char *path))
{
    for (unsigned i = 0; i < column->n; i++) {
        const char *path = conf_item(column, i);

        if (path != NULL)
            fn(path);
    }
}

void
conf_storage_files(const struct conf *conf, void (*fn)(const char *path))
{
    each_file(&conf->node_cas, fn);
    each_file(&conf->node_certs, fn);
    each_file(&conf->node_keys, fn);
    each_file(&conf->node_username_files, fn);
    each_file(&conf->node_password_files, fn);
    each_file(&conf->node_token_files, fn);
}

/* --- credentials --- */

/* A text of Basic or bearer auth in a header. */
static bool
is_clean(const char *text, bool may_have_space, const char *without)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x20 || c == 0x7f || (c == ' ' && !may_have_space) ||
            strchr(without, *text) != NULL)
            return false;
    }
    return true;
}

/* The value of one node: given, or in a file; "" for none. */
static const char *
read_one(struct conf_loader *loader, enum conf_row_id id,
    const struct conf_list *given, const struct conf_list *files, unsigned n)
{
    const char *text = conf_item(given, n), *path = conf_item(files, n);
    enum conf_row_id row = path != NULL ? id + 1 : id;
    struct err err = ERR_INIT;
    bool is_user = id == CONF_ROW_node_usernames;
    bool is_token = id == CONF_ROW_node_tokens;

    if (path != NULL) {
        text = conf_secret_read(loader, &conf_rows[row], n, path, &err);
        if (text == NULL)
            conf_loader_complain(loader, row, n, "%s", err.text);
    }
    if (text == NULL)
        return "";
    if (!is_clean(text, !is_token, is_user ? ":" : ""))
        conf_loader_complain_hidden(loader, row, n,
            "must not have %s control characters",
            is_user ? "a ':' or" : is_token ? "spaces or" : "any");
    return text;
}

/* Equal neighbours, as a single value for all makes them, are read once. */
static void
read_column(struct conf_loader *loader, enum conf_row_id id,
    const struct conf_list *files, struct conf_list *out)
{
    const struct conf_list *given = (const struct conf_list *)(const void *)
        ((const char *)loader->conf + conf_rows[id].offset);
    unsigned n = loader->conf->nodes.n;
    const char **values = pool_alloc(loader->pool, (n + 1) * sizeof(*values));

    if (values == NULL) {
        conf_loader_complain_hidden(loader, id, 0, "is too large");
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        bool is_same = i > 0 &&
            conf_item(given, i) == conf_item(given, i - 1) &&
            conf_item(files, i) == conf_item(files, i - 1);

        values[i] = is_same ? values[i - 1] :
            read_one(loader, id, given, files, i);
    }
    *out = (struct conf_list){values, n};
}

void
conf_storage_resolve(struct conf_loader *loader)
{
    struct conf *conf = loader->conf;

    _Static_assert(CONF_ROW_node_username_files ==
        CONF_ROW_node_usernames + 1 && CONF_ROW_node_password_files ==
        CONF_ROW_node_passwords + 1 && CONF_ROW_node_token_files ==
        CONF_ROW_node_tokens + 1, "a file stands behind its text");
    read_column(loader, CONF_ROW_node_usernames, &conf->node_username_files,
        &conf->node_users_read);
    read_column(loader, CONF_ROW_node_passwords, &conf->node_password_files,
        &conf->node_passwords_read);
    read_column(loader, CONF_ROW_node_tokens, &conf->node_token_files,
        &conf->node_tokens_read);
}

/* --- a reload that may not change them --- */

static bool
copy_list(struct pool *pool, struct conf_list *to,
    const struct conf_list *from)
{
    const char **v = pool_alloc(pool, (from->n + 1) * sizeof(*v));

    for (unsigned i = 0; v != NULL && i < from->n; i++) {
        v[i] = pool_dup(pool, from->v[i], strlen(from->v[i]));
        if (v[i] == NULL)
            return false;
    }
    *to = (struct conf_list){v, from->n};
    return v != NULL;
}

/* What was given is kept with what counts, for -T and /flags. */
static bool
copy_origin(struct conf *to, const struct conf *from, enum conf_row_id id)
{
    const struct conf_origin *origin = &from->origins->v[id];
    struct pool *pool = to->origins->pool;
    const char *where = pool_dup(pool, origin->where, strlen(origin->where));
    struct conf_origin copy = {.layer = origin->layer, .where = where};

    if (where == NULL || !copy_list(pool, &copy.items, &origin->items))
        return false;
    to->origins->v[id] = copy;
    return true;
}

void
conf_storage_keep(struct conf *to, const struct conf *from)
{
    static const enum conf_row_id rows[] = {CONF_ROW_nodes, CONF_ROW_node_tls,
        CONF_ROW_node_cas, CONF_ROW_node_certs, CONF_ROW_node_keys,
        CONF_ROW_node_server_names, CONF_ROW_node_insecure,
        CONF_ROW_node_usernames, CONF_ROW_node_username_files,
        CONF_ROW_node_passwords, CONF_ROW_node_password_files,
        CONF_ROW_node_tokens, CONF_ROW_node_token_files};
    struct pool *pool = to->origins->pool;
    bool is_good = true;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t offset = conf_rows[rows[i]].offset;

        is_good = is_good && copy_origin(to, from, rows[i]) &&
            copy_list(pool, (struct conf_list *)(void *)((char *)to + offset),
            (const struct conf_list *)(const void *)((const char *)from +
            offset));
    }
    check(is_good && copy_list(pool, &to->node_users_read,
        &from->node_users_read) && copy_list(pool,
        &to->node_passwords_read, &from->node_passwords_read) &&
        copy_list(pool, &to->node_tokens_read, &from->node_tokens_read));
}
