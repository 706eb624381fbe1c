/* SPDX-License-Identifier: BSD-2-Clause */

/* What the running program says of its values: -T and /flags. */

#include "core/base.h"

#include "core/conf.h"
#include "core/conf_doc.h"
#include "core/conf_load.h"
#include "core/conf_report.h"
#include "core/conf_type.h"

/* All values of one flag. */
#define FLAG_BYTES_MAX (4 * MIB)

struct effective {
    const struct conf *conf;
    struct sb *out;
};

static const struct conf_list *
list_of(const struct conf *conf, const struct conf_row *row)
{
    return (const struct conf_list *)(const void *)((const char *)conf +
        row->offset);
}

static bool
is_set(const struct conf *conf, const struct conf_row *row)
{
    return conf->origins->v[conf_row_index(row)].layer != CONF_LAYER_DEFAULT;
}

/* Secrets, and what -secret.flags names: by flag or directive. */
static bool
is_masked(const struct conf *conf, const struct conf_row *row)
{
    for (unsigned i = 0; i < conf->secret_flags.n; i++) {
        const char *name = conf->secret_flags.v[i];

        while (*name == '-')
            name++;
        if (strcmp(name, row->flag) == 0 || strcmp(name, row->yaml) == 0)
            return true;
    }
    return conf_kind_is_secret(row->kind);
}

bool
conf_flag_is_secret(const struct conf *conf, const char *name)
{
    const struct conf_row *row = conf_row_by_flag(sv_from(name));

    return row != NULL && is_masked(conf, row);
}

/* Where a secret is may be seen, and so may that there is none. */
static bool
is_hidden(const struct conf *conf, const struct conf_row *row,
    struct sv text)
{
    return text.len > 0 && is_masked(conf, row) && is_set(conf, row) &&
        !(conf_kind_is_secret(row->kind) && sv_starts_with(text, SV("file:")));
}

/*
 * The text of a single value as it counts: paths are absolute, the rest is
 * as it was written.
 */
static struct sv
text_of(const struct conf *conf, const struct conf_row *row)
{
    const struct conf_origin *origin =
        &conf->origins->v[conf_row_index(row)];

    if (row->kind == CONF_KIND_PATH)
        return sv_from(*(const char *const *)((const char *)conf +
            row->offset));
    return sv_from(origin->items.v[0]);
}

/* --- -T --- */

static void
effective_group(struct sv name, unsigned depth, void *arg)
{
    struct effective *effective = arg;

    conf_doc_indent(effective->out, depth);
    sb_addf(effective->out, "%.*s:\n", SV_ARG(name));
}

/*
 * What stands for a value that must not be seen: a variable, so that the file
 * loads again only where somebody gives the value.
 */
static void
add_mask(struct sb *out, const struct conf_row *row)
{
    sb_add_str(out, "\"${");
    for (const char *c = row->yaml; *c != '\0'; c++)
        sb_add_char(out, *c == '.' ? '_' :
            *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c);
    sb_add_str(out, "}\"");
}

#define NO_ITEM UINT_MAX

/* Where a value, or one item of a list, comes from, behind it. */
static void
add_origin(const struct effective *effective, const struct conf_row *row,
    unsigned item, bool is_secret)
{
    struct sb *out = effective->out;
    const struct conf_origin *origin =
        &effective->conf->origins->v[conf_row_index(row)];

    sb_add_str(out, is_secret ? "  # " CONF_SECRET_MASK "; " : "  # ");
    if (origin->marks != NULL && item < origin->items.n &&
        origin->marks[item].line != 0) {
        conf_add_printable(out, sv_from(origin->marks[item].file->name));
        sb_addf(out, ":%u", origin->marks[item].line);
    } else {
        conf_add_printable(out, sv_from(origin->where));
    }
    if (origin->layer != CONF_LAYER_DEFAULT && row->def[0] != '\0')
        sb_addf(out, "; default %s", row->def);
    sb_addf(out, "; %s\n", conf_change_name(row->change));
}

/* "a;b" as [a, b], true as it is. */
static void
add_cell(struct sb *out, enum conf_kind kind, const char *text)
{
    struct sv rest = sv_from(text), part;
    bool is_list = conf_kind_has_several(kind) && strchr(text, ';') != NULL;

    sb_add_str(out, is_list ? "[" : "");
    for (bool is_first = true; is_list && sv_split(&rest, ';', &part);
        is_first = false) {
        sb_add_str(out, is_first ? "" : ", ");
        conf_type_print_yaml(out, part);
    }
    if (is_list)
        sb_add_char(out, ']');
    else if (kind == CONF_KIND_BOOLS)
        sb_add_str(out, text);
    else
        conf_type_print_yaml(out, rest);
}

/* A secret as it was given: where it is, is no secret. */
static const char *
cell_of(const struct conf *conf, const struct conf_row *column, unsigned n)
{
    const struct conf_origin *origin =
        &conf->origins->v[conf_row_index(column)];

    return conf_item(conf_kind_is_secret(column->kind) ? &origin->items :
        list_of(conf, column), n);
}

static void
add_map(const struct effective *effective, const struct conf_row *row,
    unsigned depth, unsigned n)
{
    const struct conf *conf = effective->conf;
    const struct conf_row *column = NULL;
    struct sb *out = effective->out;

    conf_doc_indent(out, depth);
    sb_add_str(out, "- " CONF_TABLE_KEY ": ");
    conf_type_print_yaml(out, sv_from(list_of(conf, row)->v[n]));
    sb_add_char(out, '\n');
    while ((column = conf_row_next_column(row, column)) != NULL) {
        const char *text = cell_of(conf, column, n);
        bool is_secret;

        if (text == NULL)
            continue;
        is_secret = is_hidden(conf, column, sv_from(text));
        conf_doc_indent(out, depth);
        sb_addf(out, "  %.*s: ", SV_ARG(conf_row_leaf(column)));
        if (is_secret)
            add_mask(out, column);
        else
            add_cell(out, column->kind, text);
        add_origin(effective, column, n, is_secret);
    }
}

/* Texts do not say all of the items: they are maps. */
static bool
has_maps(const struct conf *conf, const struct conf_row *row)
{
    const struct conf_row *column = NULL;

    while ((column = conf_row_next_column(row, column)) != NULL) {
        for (unsigned i = 0; i < list_of(conf, row)->n; i++) {
            if (conf_item(list_of(conf, column), i) != NULL)
                return true;
        }
    }
    return false;
}

static void
effective_row(const struct conf_row *row, struct sv name, unsigned depth,
    void *arg)
{
    const struct effective *effective = arg;
    const struct conf *conf = effective->conf;
    const struct conf_list *list = list_of(conf, row);
    struct sb *out = effective->out;
    bool is_list = conf_kind_is_list(row->kind);
    bool is_secret = is_list ? is_set(conf, row) && is_masked(conf, row)
                             : is_hidden(conf, row, text_of(conf, row));

    conf_doc_indent(out, depth);
    sb_addf(out, "%.*s:", SV_ARG(name));
    if (!is_secret && has_maps(conf, row)) {
        add_origin(effective, row, NO_ITEM, false);
        for (unsigned i = 0; i < list->n; i++)
            add_map(effective, row, depth + 1, i);
        return;
    }
    sb_add_char(out, ' ');
    if (is_secret)
        add_mask(out, row);
    else if (is_list)
        conf_doc_list(out, list);
    else
        conf_doc_scalar(out, row->kind, text_of(conf, row));
    add_origin(effective, row, NO_ITEM, is_secret);
}

void
conf_print_effective(const struct conf *conf, struct sb *out)
{
    static const struct conf_visitor visitor = {
        effective_group, effective_row,
    };
    struct effective effective = {conf, out};

    sb_add_str(out, "# Every value that counts, where it comes from, and what"
        " a change needs.\n# File: ");
    conf_add_printable(out,
        conf->file != NULL ? sv_from(conf->file) : SV("none"));
    sb_add_str(out, "\n\n");
    conf_table_visit(&visitor, &effective);
}

/* --- /flags --- */

/* A value as a flag has it, printable. */
static void
add_flag(const struct conf *conf, const struct conf_row *row, struct sb *out)
{
    const struct conf_origin *origin =
        &conf->origins->v[conf_row_index(row)];

    for (unsigned i = 0; i < origin->items.n; i++) {
        struct sv text = conf_kind_is_list(row->kind) ?
            sv_from(origin->items.v[i]) : text_of(conf, row);

        if (i > 0)
            sb_add_char(out, ',');
        conf_add_printable(out,
            is_hidden(conf, row, text) ? SV(CONF_SECRET_MASK) : text);
    }
}

void
conf_each_flag(const struct conf *conf, conf_flag_fn fn, void *arg)
{
    struct sb value;

    sb_init(&value, FLAG_BYTES_MAX);
    for (size_t i = 0; i < CONF_ROWS; i++) {
        sb_reset(&value);
        add_flag(conf, &conf_rows[i], &value);
        fn(conf_rows[i].flag, value.ptr,
            is_set(conf, &conf_rows[i]), arg);
    }
    sb_release(&value);
}

static void
print_flag(const char *name, const char *value, UNUSED bool is_set, void *arg)
{
    sb_addf(arg, "-%s=\"%s\"\n", name, value);
}

void
conf_print_flags(const struct conf *conf, struct sb *out)
{
    conf_each_flag(conf, print_flag, out);
}
