/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Loading, in the order of precedence: defaults, the file, the environment
 * (if enabled), -g and -e, flags.  Each layer is checked as a whole even
 * where a later one wins, so that a mistake shows before it matters.
 */

#include "core/base.h"
#include "core/conf.h"

#include <errno.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/conf_load.h"
#include "core/conf_storage.h"
#include "core/conf_type.h"
#include "core/mem.h"
#include "core/sys.h"

#define FILE_DEFAULT "conf/spoor.yaml"

static void *
member_of(struct conf *conf, const struct conf_row *row)
{
    return (char *)conf + row->offset;
}

static const void *
member_of_const(const struct conf *conf, const struct conf_row *row)
{
    return (const char *)conf + row->offset;
}

/*
 * Another list of addresses than the file's has nothing of what the file says
 * of its own ones.
 */
static void
reset_columns(struct conf_loader *loader, const struct conf_input *input)
{
    const struct conf_origin *origins = loader->conf->origins->v;
    const struct conf_row *column = NULL;

    if (input->layer == CONF_LAYER_DEFAULT)
        return;
    while ((column = conf_row_next_column(input->row, column)) != NULL) {
        enum conf_layer layer = origins[conf_row_index(column)].layer;

        if (layer < input->layer &&
            (layer == CONF_LAYER_FILE || layer == CONF_LAYER_GLOBAL))
            conf_loader_reset(loader, column);
    }
}

int
conf_loader_set(struct conf_loader *loader, const struct conf_input *input,
    struct err *err)
{
    const struct conf_row *row = input->row;
    struct conf_origin *origin =
        &loader->conf->origins->v[conf_row_index(row)];
    void *member = member_of(loader->conf, row);
    const char **items =
        pool_alloc(loader->pool, (input->nitems + 1) * sizeof(*items));
    char *where = pool_dup(loader->pool, input->where, strlen(input->where));

    if (items == NULL || where == NULL)
        return err_set(err, ERR_LIMIT, "is too large");
    for (unsigned i = 0; i < input->nitems; i++)
        items[i] = input->items[i].ptr;
    if (conf_kind_is_list(row->kind))
        *(struct conf_list *)member =
            (struct conf_list){items, input->nitems};
    else if (conf_type_parse(row, input->items[0], member, err) != 0)
        return -1;
    *origin = (struct conf_origin){input->layer, where,
        {items, input->nitems}, input->mark, input->marks};
    reset_columns(loader, input);
    return 0;
}

void
conf_loader_reset(struct conf_loader *loader, const struct conf_row *row)
{
    struct conf_items items = {.n = 0};
    struct conf_input input = {.row = row, .layer = CONF_LAYER_DEFAULT,
        .where = "default", .items = items.v};
    struct err err = ERR_INIT;

    if (conf_kind_is_list(row->kind)) {
        if (conf_split_items(loader->pool, row, sv_from(row->def), &items,
            &err) != 0)
            panic("default of %s %s", row->yaml, err.text);
    } else {
        items.v[items.n++] = sv_from(row->def);
    }
    input.nitems = items.n;
    if (conf_loader_set(loader, &input, &err) != 0)
        panic("default of %s %s", row->yaml, err.text);
}

static void
load_defaults(struct conf_loader *loader)
{
    for (size_t i = 0; i < CONF_ROWS; i++)
        conf_loader_reset(loader, &conf_rows[i]);
}

/*
 * The file to read as people name it, in pool: -c, else the default if it
 * exists, else NULL.
 */
static const char *
find_file(struct pool *pool, const struct conf_source *source)
{
    const char *prefix = source->prefix;
    const char *name = source->file != NULL ? source->file : FILE_DEFAULT;

    name = prefix != NULL ? conf_path_join(pool, prefix, name)
                          : pool_dup(pool, name, strlen(name));
    if (source->file != NULL || (name != NULL && sys.access(name, F_OK) == 0))
        return name;
#ifdef SPOOR_CONF_FILE
    if (prefix == NULL && sys.access(SPOOR_CONF_FILE, F_OK) == 0)
        return SPOOR_CONF_FILE;
#endif
    return NULL;
}

static void
load_error_log(struct conf_loader *loader, const char *path)
{
    const struct conf_row *row = &conf_rows[CONF_ROW_log_file];
    struct sv item = sv_from(path);
    struct conf_input input = {.row = row, .layer = CONF_LAYER_COMMAND,
        .where = "-e", .items = &item, .nitems = 1};
    struct err err = ERR_INIT;

    item.ptr = pool_dup(loader->pool, item.ptr, item.len);
    conf_report_source(&loader->report, "command line", sv_make(NULL, 0));
    if (item.ptr == NULL || !sv_is_utf8(item))
        conf_report_error(&loader->report, NULL, "-e: must be UTF-8");
    else if (conf_loader_set(loader, &input, &err) != 0)
        conf_report_error(&loader->report, NULL, "-e: %s", err.text);
}

static void
load_layers(struct conf_loader *loader, const struct conf_source *source)
{
    load_defaults(loader);
    loader->conf->file = find_file(loader->pool, source);
    if (loader->conf->file != NULL)
        conf_load_file(loader, loader->conf->file);
    if (source->env_enable)
        conf_load_env(loader, source->env_prefix);
    for (size_t i = 0; source->globals != NULL && source->globals[i] != NULL;
        i++)
        conf_load_global(loader, source->globals[i]);
    if (source->error_log != NULL)
        load_error_log(loader, source->error_log);
    conf_load_flags(loader, source->flags);
}

int
conf_load(struct conf **out, const struct conf_source *source,
    struct sb *messages)
{
    static uint64_t loads;
    struct conf *conf = xcalloc(1, sizeof(*conf));
    struct conf_loader loader;
    const char *prefix;

    *out = NULL;
    conf->serial = ++loads;
    conf->origins = xcalloc(1, sizeof(*conf->origins));
    conf->origins->pool = pool_new(CONF_POOL_BYTES_MAX);
    memset(&loader, 0, sizeof(loader));
    loader.conf = conf;
    loader.pool = conf->origins->pool;
    conf_report_init(&loader.report, messages);
    loader.report.is_json = source->is_json;
    conf_report_source(&loader.report, "configuration", sv_make(NULL, 0));

    load_layers(&loader, source);
    conf_check_together(&loader);
    conf_report_source(&loader.report, "configuration", sv_make(NULL, 0));
    prefix = conf_absolute_prefix(&loader, source->prefix);
    if (prefix != NULL) {
        conf_resolve_paths(&loader, prefix);
        conf_resolve_secrets(&loader, prefix);
        conf_storage_resolve(&loader);
    }
    if (!conf_listeners_widen(conf, loader.pool))
        conf_report_error(&loader.report, NULL,
            "the addresses are too long");
    if (source->is_test)
        conf_check_system(&loader, source);
    if (loader.report.nerrors > 0) {
        conf_report_close(&loader.report,
            conf->file != NULL ? conf->file : "configuration");
        conf_free(conf);
        conf = NULL;
    }
    *out = conf;
    return conf != NULL ? 0 : -1;
}

void
conf_free(struct conf *conf)
{
    if (conf == NULL)
        return;
    pool_free(conf->origins->pool);
    xfree(conf->origins);
    xfree(conf);
}

bool
conf_needs_restart(const struct conf *a, const struct conf *b,
    const char **yaml)
{
    for (size_t i = 0; i < CONF_ROWS; i++) {
        const struct conf_row *row = &conf_rows[i];

        if (row->change == CONF_CHANGE_RESTART &&
            !conf_type_equal(row->kind, member_of_const(a, row),
            member_of_const(b, row))) {
            *yaml = row->yaml;
            return true;
        }
    }
    if (conf_is_front(a) != conf_is_front(b)) {
        *yaml = conf_rows[CONF_ROW_nodes].yaml;
        return true;
    }
    return false;
}

bool
conf_flag_known(const char *name, bool *is_bool)
{
    const struct conf_row *row = conf_row_by_flag(sv_from(name));

    *is_bool = row != NULL && (row->kind == CONF_KIND_BOOL ||
        row->kind == CONF_KIND_BOOLS);
    return row != NULL;
}
