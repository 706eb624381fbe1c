/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Values from the command line and the environment.  Both may hold
 * %{NAME} for an environment variable, as VictoriaMetrics' flags do.
 */

#include "core/base.h"

#include "core/conf_flags.h"
#include "core/conf_load.h"
#include "core/conf_type.h"
#include "core/conf_walk.h"

/* The value after %{NAME} was replaced. */
#define ARG_BYTES_MAX (64 * KIB)

static int
add_item(struct pool *pool, const struct conf_row *row, struct sv item,
    struct conf_items *items, struct err *err)
{
    if (item.ptr == NULL)
        return err_set(err, ERR_LIMIT, "is too large");
    if (items->n == CONF_LIST_MAX)
        return err_set(err, ERR_LIMIT, "has more than %u items",
            CONF_LIST_MAX);
    if (conf_type_item(row, pool, &item, err) != 0)
        return -1;
    items->v[items->n++] = item;
    return 0;
}

int
conf_split_items(struct pool *pool, const struct conf_row *row,
    struct sv text, struct conf_items *items, struct err *err)
{
    bool has_comma_last = sv_ends_with(text, SV(","));
    struct sv item;

    while (conf_type_split(&text, pool, &item)) {
        if (add_item(pool, row, item, items, err) != 0)
            return -1;
    }
    /* "a," of a column says something of two items. */
    if (has_comma_last && conf_row_table(row) != NULL)
        return add_item(pool, row, SV_EMPTY, items, err);
    return 0;
}

static int
add_variable(struct sb *out, struct sv name, struct err *err)
{
    char copy[128];
    const char *value;

    if (name.len == 0 || name.len >= sizeof(copy))
        return err_set(err, ERR_INVALID,
            "\"%%{%.*s}\" must be %%{NAME} of an environment variable",
            (int)MIN(name.len, sizeof(copy)), name.ptr);
    memcpy(copy, name.ptr, name.len);
    copy[name.len] = '\0';
    value = getenv(copy);
    if (value == NULL)
        return err_set(err, ERR_INVALID,
            "environment variable \"%s\" is not set", copy);
    sb_add_str(out, value);
    return 0;
}

/* The text with every %{NAME} replaced, in pool. */
static int
expand(struct pool *pool, const char *text, struct sv *out, struct err *err)
{
    struct sv rest = sv_from(text);
    struct sb sb;
    int rc = -1;

    sb_init(&sb, ARG_BYTES_MAX);
    while (rest.len > 0) {
        size_t end = sv_find_byte(rest, '}');

        if (sv_starts_with(rest, SV("%{")) && end < rest.len) {
            if (add_variable(&sb, sv_sub(rest, 2, end - 2), err) != 0)
                goto out;
            rest = sv_sub(rest, end + 1, rest.len);
        } else {
            sb_add_char(&sb, rest.ptr[0]);
            rest = sv_sub(rest, 1, rest.len);
        }
    }
    out->len = sb.len;
    out->ptr = sb_failed(&sb) ? NULL : pool_dup(pool, sb.ptr, sb.len);
    if (out->ptr == NULL)
        err_set(err, ERR_LIMIT, "is too large");
    else if (!sv_is_utf8(*out))
        err_set(err, ERR_INVALID, "must be UTF-8");
    else
        rc = 0;
out:
    sb_release(&sb);
    return rc;
}

/* Adds to items; a directive that is no list keeps its last text. */
static int
give(struct pool *pool, const struct conf_row *row, const char *text,
    struct conf_items *items, struct err *err)
{
    struct sv value;

    if (expand(pool, text, &value, err) != 0)
        return -1;
    if (conf_kind_is_list(row->kind))
        return conf_split_items(pool, row, value, items, err);
    items->v[0] = value;
    items->n = 1;
    return 0;
}

static void
load_flag(struct conf_loader *loader, const struct conf_row *row,
    const char *const *flags)
{
    struct err err = ERR_INIT;
    struct conf_items items;
    char where[CONF_NAME_MAX + 1];
    struct conf_input input = {.row = row, .layer = CONF_LAYER_COMMAND,
        .where = where, .items = items.v};
    bool is_given = false, is_good = true;

    snprintf(where, sizeof(where), "-%s", row->flag);
    items.n = 0;
    for (size_t i = 0; flags[i] != NULL; i += 2) {
        if (strcmp(flags[i], row->flag) != 0)
            continue;
        is_given = true;
        if (give(loader->pool, row, flags[i + 1], &items, &err) != 0) {
            conf_report_error(&loader->report, NULL, "-%s: %s", row->flag,
                err.text);
            is_good = false;
        }
    }
    input.nitems = items.n;
    if (is_given && is_good && conf_loader_set(loader, &input, &err) != 0)
        conf_report_error(&loader->report, NULL, "-%s: %s", row->flag,
            err.text);
}

/* A flag without effect: the last one given counts, said once. */
static void
note_flag(struct conf_loader *loader, const struct conf_flag *flag,
    const char *const *flags)
{
    const char *value = NULL;
    char name[CONF_NAME_MAX + 1];

    for (size_t i = 0; flags[i] != NULL; i += 2) {
        if (strcmp(flags[i], flag->name) == 0)
            value = flags[i + 1];
    }
    snprintf(name, sizeof(name), "-%s", flag->name);
    if (value != NULL)
        conf_flag_given(&loader->report, flag, name, value);
}

void
conf_load_flags(struct conf_loader *loader, const char *const *flags)
{
    if (flags == NULL)
        return;
    conf_report_source(&loader->report, "command line", sv_make(NULL, 0));
    for (size_t i = 0; i < CONF_ROWS; i++)
        load_flag(loader, &conf_rows[i], flags);
    for (unsigned i = 0; conf_flag_at(i) != NULL; i++)
        note_flag(loader, conf_flag_at(i), flags);
}

/* The variable that stands for a flag: dots are underscores. */
static const char *
variable_of(const char *prefix, const char *flag, char *name, size_t size)
{
    snprintf(name, size, "%s%s", prefix, flag);
    for (char *c = name; *c != '\0'; c++) {
        if (*c == '.')
            *c = '_';
    }
    return getenv(name);
}

static void
load_variable(struct conf_loader *loader, const struct conf_row *row,
    const char *prefix)
{
    char name[256];
    char where[sizeof(name) + 16];
    struct err err = ERR_INIT;
    struct conf_items items;
    struct conf_input input = {.row = row, .layer = CONF_LAYER_ENV,
        .where = where, .items = items.v};
    const char *text;

    text = variable_of(prefix, row->flag, name, sizeof(name));
    if (text == NULL)
        return;
    snprintf(where, sizeof(where), "environment %s", name);
    items.n = 0;
    if (give(loader->pool, row, text, &items, &err) == 0) {
        input.nitems = items.n;
        if (conf_loader_set(loader, &input, &err) == 0)
            return;
    }
    conf_report_error(&loader->report, NULL, "%s: %s", name, err.text);
}

void
conf_load_env(struct conf_loader *loader, const char *prefix)
{
    const char *text;
    char name[256];

    prefix = prefix != NULL ? prefix : "";
    conf_report_source(&loader->report, "environment", sv_make(NULL, 0));
    for (size_t i = 0; i < CONF_ROWS; i++)
        load_variable(loader, &conf_rows[i], prefix);
    for (unsigned i = 0; conf_flag_at(i) != NULL; i++) {
        text = variable_of(prefix, conf_flag_at(i)->name, name, sizeof(name));
        if (text != NULL)
            conf_flag_given(&loader->report, conf_flag_at(i), name, text);
    }
}

void
conf_load_global(struct conf_loader *loader, const char *text)
{
    struct conf_walk walk = {.loader = loader, .layer = CONF_LAYER_GLOBAL};
    char name[160];

    if (conf_line_is_secret(sv_from(text)))
        snprintf(name, sizeof(name), "command line: -g");
    else
        snprintf(name, sizeof(name), "command line: -g \"%s\"", text);
    conf_report_source(&loader->report, name, sv_make(NULL, 0));
    if (strlen(text) > CONF_VALUE_BYTES_MAX || !sv_is_utf8(sv_from(text)))
        conf_report_error(&loader->report, NULL,
            "must be UTF-8 and at most %zu bytes", CONF_VALUE_BYTES_MAX);
    else
        conf_walk_text(&walk, sv_from(text));
}
