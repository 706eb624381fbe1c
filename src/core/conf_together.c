/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What directives say together: columns of tables become as long as their
 * tables, and what contradicts something else is an error.
 */

#include "core/base.h"

#include "core/conf_listener.h"
#include "core/conf_load.h"
#include "core/log.h"
#include "core/num.h"

/* Rows of numbers of which at most one may be set (not 0). */
static const enum conf_row_id exclusive[][2] = {
    {CONF_ROW_retention_bytes, CONF_ROW_retention_percent},
};

/* The place a value, or that item of a list, came from. */
static const struct conf_mark *
place_of(struct conf_loader *loader, enum conf_row_id id, unsigned item)
{
    const struct conf_origin *origin = &loader->conf->origins->v[id];

    if (origin->marks != NULL && item < origin->items.n &&
        origin->marks[item].line != 0)
        return &origin->marks[item];
    if (origin->mark.line == 0)
        conf_report_source(&loader->report, origin->where,
            sv_make(NULL, 0));
    return &origin->mark;
}

static void
complain(struct conf_loader *loader, enum conf_row_id id, unsigned item,
    bool is_hidden, const char *text)
{
    const struct conf_mark *mark = place_of(loader, id, item);

    loader->is_bad[id] = true;
    if (is_hidden)
        conf_report_error_hidden(&loader->report, mark, "\"%s\" %s",
            conf_rows[id].yaml, text);
    else
        conf_report_error(&loader->report, mark, "\"%s\" %s",
            conf_rows[id].yaml, text);
}

void
conf_loader_complain(struct conf_loader *loader, enum conf_row_id id,
    unsigned item, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    complain(loader, id, item, conf_kind_is_secret(conf_rows[id].kind), text);
}

void
conf_loader_complain_hidden(struct conf_loader *loader, enum conf_row_id id,
    unsigned item, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    complain(loader, id, item, true, text);
}

void
conf_loader_warn(struct conf_loader *loader, enum conf_row_id id,
    unsigned item, const char *fmt, ...)
{
    const struct conf_mark *mark = place_of(loader, id, item);
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    conf_report_warning(&loader->report, mark, "\"%s\" %s",
        conf_rows[id].yaml, text);
}

static bool
is_set(const struct conf *conf, enum conf_row_id id)
{
    const uint64_t *value = (const uint64_t *)(const void *)
        ((const char *)conf + conf_rows[id].offset);

    return *value != 0;
}

static void
check_exclusive(struct conf_loader *loader)
{
    const struct conf *conf = loader->conf;

    for (size_t i = 0; i < ARRAY_LEN(exclusive); i++) {
        enum conf_row_id a = exclusive[i][0], b = exclusive[i][1];
        const struct conf_origin *origin = &conf->origins->v[b];
        const struct conf_origin *other = &conf->origins->v[a];

        if (!is_set(conf, a) || !is_set(conf, b))
            continue;
        /* The one that was said later is the one to complain about. */
        if (other->layer > origin->layer || (other->layer == origin->layer &&
            other->mark.line > origin->mark.line)) {
            b = a;
            a = exclusive[i][1];
            other = origin;
        }
        conf_loader_complain(loader, b, 0, "excludes \"%s\" (%s)",
            conf_rows[a].yaml, other->where);
    }
}

/* Texts that the log must be able to read. */
static void
check_log(struct conf_loader *loader)
{
    const struct conf *conf = loader->conf;
    const struct {
        enum conf_row_id id;
        int (*check)(const char *text, struct err *err);
        const char *text;
    } texts[] = {
        {CONF_ROW_log_timezone, log_check_timezone, conf->log_timezone},
        {CONF_ROW_log_json_fields, log_check_json_fields,
            conf->log_json_fields},
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct err err = ERR_INIT;

        if (texts[i].check(texts[i].text, &err) != 0)
            conf_loader_complain(loader, texts[i].id, 0, "%s", err.text);
    }
}

/* --- tables --- */

static struct conf_list *
list_of(struct conf *conf, const struct conf_row *row)
{
    return (struct conf_list *)(void *)((char *)conf + row->offset);
}

/* As many values as the table has items, or none if none says anything. */
static void
settle_column(struct conf_loader *loader, const struct conf_row *column,
    unsigned n)
{
    struct conf_list *list = list_of(loader->conf, column);
    const char **values = pool_alloc(loader->pool, (n + 1) * sizeof(*values));
    bool has_any = false;

    if (values == NULL) {
        conf_loader_complain(loader, conf_row_index(column), 0,
            "is too large");
        return;
    }
    if (list->n > MAX(n, 1u)) {
        conf_loader_warn(loader, conf_row_index(column), n,
            "has %u values for %u addresses", list->n, n);
    }
    for (unsigned i = 0; i < n; i++) {
        const char *value = conf_item(list, i);

        has_any |= value != NULL;
        values[i] = value != NULL ? value : "";
    }
    *list = (struct conf_list){values, has_any ? n : 0};
}

static void
settle_tables(struct conf_loader *loader)
{
    for (size_t i = 0; i < CONF_ROWS; i++) {
        const struct conf_row *table = conf_row_table(&conf_rows[i]);

        if (table != NULL)
            settle_column(loader, &conf_rows[i],
                list_of(loader->conf, table)->n);
    }
}

/* --- listeners --- */

/* The rows of a listener: those of http.listen, or of otlp_grpc.listen. */
struct rows {
    enum conf_row_id address, certs, keys, tls, mtls, cas, names;
};

static const struct rows http_rows = {CONF_ROW_http_listen,
    CONF_ROW_http_certs, CONF_ROW_http_keys, CONF_ROW_http_tls,
    CONF_ROW_http_mtls, CONF_ROW_http_mtls_cas, CONF_ROW_http_mtls_names};
static const struct rows grpc_rows = {CONF_ROW_otlp_grpc_listen,
    CONF_ROW_grpc_certs, CONF_ROW_grpc_keys, CONF_ROW_grpc_tls,
    CONF_ROW_grpc_mtls, CONF_ROW_grpc_mtls_cas, CONF_ROW_grpc_mtls_names};

static unsigned
count_parts(const char *text)
{
    unsigned n = text != NULL;

    for (; text != NULL && *text != '\0'; text++)
        n += *text == ';';
    return n;
}

static void
check_tls(struct conf_loader *loader, const struct rows *rows,
    const struct conf_listener *listener, unsigned n)
{
    unsigned ncerts = count_parts(listener->certs);
    unsigned nkeys = count_parts(listener->keys);

    if (listener->has_tls && ncerts == 0)
        conf_loader_complain(loader, rows->tls, n,
            "of %s needs a certificate: \"cert\" and \"key\", -%s and -%s",
            listener->address, conf_rows[rows->certs].flag,
            conf_rows[rows->keys].flag);
    else if (ncerts > nkeys)
        conf_loader_complain(loader, rows->certs, n,
            "of %s has %u certificate%s, but %u key%s: each needs one",
            listener->address, ncerts, ncerts == 1 ? "" : "s", nkeys,
            nkeys == 1 ? "" : "s");
    else if (nkeys > ncerts)
        conf_loader_complain(loader, rows->keys, n,
            "of %s has %u key%s, but %u certificate%s: each belongs to one",
            listener->address, nkeys, nkeys == 1 ? "" : "s", ncerts,
            ncerts == 1 ? "" : "s");
}

static void
check_mtls(struct conf_loader *loader, const struct rows *rows,
    const struct conf_listener *listener, unsigned n)
{
    if (listener->has_mtls && listener->mtls_ca == NULL)
        conf_loader_complain(loader, rows->mtls, n,
            "of %s needs the authorities of the clients: \"mtls_ca\", -%s",
            listener->address, conf_rows[rows->cas].flag);
    else if (listener->has_mtls && !listener->has_tls)
        conf_loader_complain(loader,
            conf_item_bool(rows == &http_rows ? &loader->conf->http_mtls :
            &loader->conf->grpc_mtls, n) == 1 ? rows->mtls : rows->cas, n,
            "of %s asks for certificates of clients, but has no TLS",
            listener->address);
    else if (!listener->has_mtls && listener->mtls_names != NULL)
        conf_loader_complain(loader, rows->names, n,
            "of %s names clients, but does not ask for their certificates",
            listener->address);
}

/* Port 0 is another one each time. */
static bool
has_any_port(const char *address)
{
    const char *colon = strrchr(address, ':');
    uint64_t port;

    return colon != NULL && num_parse_u64(sv_from(colon + 1), &port) &&
        port == 0;
}

static void
check_listeners(struct conf_loader *loader)
{
    const struct conf *conf = loader->conf;

    for (unsigned i = 0; i < conf_listeners(conf); i++) {
        struct conf_listener listener = conf_listener_get(conf, i);
        const struct rows *rows = listener.is_grpc ? &grpc_rows : &http_rows;
        unsigned n = listener.is_grpc ? i - conf->http_listen.n : i;
        unsigned before = loader->report.nerrors;

        check_tls(loader, rows, &listener, n);
        check_mtls(loader, rows, &listener, n);
        loader->is_bad_listener[i] = loader->report.nerrors > before;
        for (unsigned j = 0; j < i; j++) {
            const char *other = conf_listener_get(conf, j).address;

            if (strcmp(other, listener.address) != 0 || has_any_port(other))
                continue;
            conf_loader_complain(loader, rows->address, n,
                "has %s twice (%s%s)", other,
                j < conf->http_listen.n ? "http.listen" : "otlp_grpc.listen",
                listener.is_grpc && j < conf->http_listen.n ?
                "; every address takes OTLP over gRPC" : "");
            break;
        }
    }
}

void
conf_check_together(struct conf_loader *loader)
{
    settle_tables(loader);
    check_log(loader);
    check_exclusive(loader);
    check_listeners(loader);
    conf_storage_check(loader);
}
