/* SPDX-License-Identifier: BSD-2-Clause */

/* What the running program says of its configuration: -T, -help, /flags. */

#include "core/base.h"
#include "core/conf_doc.h"

#include "core/conf.h"
#include "core/conf_load.h"
#include "core/conf_report.h"
#include "core/conf_type.h"

#define LINE_MAX_COLUMNS 79

struct effective {
    const struct conf *conf;
    struct sb *out;
};

void
conf_doc_indent(struct sb *out, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        sb_add_str(out, "    ");
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
    struct sv text = sv_from(origin->items.v[0]);

    if (row->kind == CONF_KIND_PATH)
        return sv_from(*(const char *const *)((const char *)conf +
            row->offset));
    return conf_type_shown(row->kind, text);
}

void
conf_doc_list(struct sb *out, const struct conf_list *list)
{
    sb_add_char(out, '[');
    for (unsigned i = 0; i < list->n; i++) {
        if (i > 0)
            sb_add_str(out, ", ");
        conf_type_print_yaml(out, sv_from(list->v[i]));
    }
    sb_add_char(out, ']');
}

/* Numbers, sizes and times need no quotes; text is quoted as needed. */
void
conf_doc_scalar(struct sb *out, enum conf_kind kind, struct sv text)
{
    switch (kind) {
    case CONF_KIND_BOOL:
    case CONF_KIND_UINT:
    case CONF_KIND_SIZE:
    case CONF_KIND_DURATION:
    case CONF_KIND_RETENTION:
        sb_add_sv(out, text);
        break;
    default:
        conf_type_print_yaml(out, text);
    }
}

static void
effective_group(struct sv name, unsigned depth, void *arg)
{
    struct effective *effective = arg;

    conf_doc_indent(effective->out, depth);
    sb_addf(effective->out, "%.*s:\n", SV_ARG(name));
}

static const struct conf_list *
list_of(const struct conf *conf, const struct conf_row *row)
{
    return (const struct conf_list *)(const void *)((const char *)conf +
        row->offset);
}

/* Where a value comes from, behind it. */
static void
add_origin(const struct effective *effective, const struct conf_row *row)
{
    struct sb *out = effective->out;
    const struct conf_origin *origin =
        &effective->conf->origins->v[conf_row_index(row)];

    sb_add_str(out, "  # ");
    conf_add_printable(out, sv_from(origin->where));
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
        conf_type_print_yaml(out, conf_type_shown(kind, rest));
}

/* The items of a table as maps; false if texts say all of them. */
static bool
add_maps(const struct effective *effective, const struct conf_row *row,
    unsigned depth)
{
    const struct conf_list *list = list_of(effective->conf, row);
    const struct conf_row *column = NULL;
    bool has_more = false;

    while ((column = conf_row_next_column(row, column)) != NULL) {
        for (unsigned i = 0; i < list->n; i++)
            has_more |= conf_item(list_of(effective->conf, column), i) != NULL;
    }
    if (!has_more)
        return false;
    add_origin(effective, row);
    for (unsigned i = 0; i < list->n; i++) {
        conf_doc_indent(effective->out, depth + 1);
        sb_add_str(effective->out, "- " CONF_TABLE_KEY ": ");
        conf_type_print_yaml(effective->out, sv_from(list->v[i]));
        sb_add_char(effective->out, '\n');
        while ((column = conf_row_next_column(row, column)) != NULL) {
            const char *text = conf_item(list_of(effective->conf, column), i);

            if (text == NULL)
                continue;
            conf_doc_indent(effective->out, depth + 1);
            sb_addf(effective->out, "  %.*s: ",
                SV_ARG(conf_row_leaf(column)));
            add_cell(effective->out, column->kind, text);
            add_origin(effective, column);
        }
    }
    return true;
}

static void
effective_row(const struct conf_row *row, struct sv name, unsigned depth,
    void *arg)
{
    struct effective *effective = arg;
    struct sb *out = effective->out;

    conf_doc_indent(out, depth);
    sb_addf(out, "%.*s:", SV_ARG(name));
    if (add_maps(effective, row, depth))
        return;
    sb_add_char(out, ' ');
    if (conf_kind_is_list(row->kind))
        conf_doc_list(out, list_of(effective->conf, row));
    else
        conf_doc_scalar(out, row->kind, text_of(effective->conf, row));
    add_origin(effective, row);
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

void
conf_print_flags(const struct conf *conf, struct sb *out)
{
    for (size_t i = 0; i < CONF_ROWS; i++) {
        const struct conf_row *row = &conf_rows[i];
        const struct conf_list *list = &conf->origins->v[i].items;
        bool is_list = conf_kind_is_list(row->kind);

        sb_addf(out, "-%s=\"", row->flag);
        for (unsigned j = 0; is_list && j < list->n; j++) {
            if (j > 0)
                sb_add_char(out, ',');
            conf_add_printable(out, conf_type_shown(row->kind,
                sv_from(list->v[j])));
        }
        if (!is_list)
            conf_add_printable(out, text_of(conf, row));
        sb_add_str(out, "\"\n");
    }
}

/* "-retentionPeriod value", as usage texts write it. */
static void
add_flag_head(struct sb *out, const struct conf_row *row)
{
    sb_addf(out, "  -%s", row->flag);
    if (row->kind != CONF_KIND_BOOL && row->kind != CONF_KIND_BOOLS)
        sb_addf(out, " %s", conf_kind_name(row->kind));
    sb_add_char(out, '\n');
}

void
conf_doc_wrap(struct sb *out, const char *text, const char *margin)
{
    struct sv rest = sv_from(text);
    struct sv word;
    size_t column = 0;

    while (sv_split(&rest, ' ', &word)) {
        if (column > 0 && column + 1 + word.len > LINE_MAX_COLUMNS) {
            sb_add_char(out, '\n');
            column = 0;
        }
        if (column == 0) {
            sb_add_str(out, margin);
            column = strlen(margin);
        } else {
            sb_add_char(out, ' ');
            column++;
        }
        sb_add_sv(out, word);
        column += word.len;
    }
    sb_add_char(out, '\n');
}

static void
help_flag(struct sb *out, const struct conf_row *row)
{
    struct sb line;

    sb_init(&line, 4 * KIB);
    add_flag_head(out, row);
    sb_addf(&line, "%s (%s", row->doc, row->yaml);
    if (row->def[0] != '\0')
        sb_addf(&line, "; default %s", row->def);
    if (row->choices != NULL) {
        sb_add_str(&line, "; ");
        conf_choices_print(&line, row->choices);
    }
    if (row->min != NULL || row->max != NULL) {
        sb_add_str(&line, "; ");
        conf_range_print(&line, row);
    }
    sb_add_char(&line, ')');
    conf_doc_wrap(out, line.ptr, "        ");
    sb_release(&line);
}

/* The directive in its groups, as it stands in a file. */
static void
add_example(struct sb *out, const struct conf_row *row)
{
    const struct conf_row *table = conf_row_table(row);
    struct sv rest = sv_from(table != NULL ? table->yaml : row->yaml);
    struct sv name;
    unsigned depth = 0;

    while (sv_split(&rest, '.', &name)) {
        if (depth > 0)
            sb_addf(out, "%15s", "");
        for (unsigned i = 0; i < depth; i++)
            sb_add_str(out, "    ");
        sb_addf(out, "%.*s:", SV_ARG(name));
        if (rest.len > 0)
            sb_add_char(out, '\n');
        depth++;
    }
    if (table != NULL) {
        sb_addf(out, " [{" CONF_TABLE_KEY ": ..., %.*s: ...}]\n",
            SV_ARG(conf_row_leaf(row)));
        return;
    }
    sb_add_char(out, ' ');
    conf_doc_default(out, row);
    sb_add_char(out, '\n');
}

static void
help_row(struct sb *out, const struct conf_row *row)
{
    sb_addf(out, "%s, flag -%s\n\n", row->yaml, row->flag);
    conf_doc_wrap(out, row->doc, "    ");
    sb_addf(out, "\n    type       %s\n    default    %s\n",
        conf_kind_doc(row->kind), row->def[0] != '\0' ? row->def : "(empty)");
    if (row->choices != NULL) {
        sb_add_str(out, "    values     ");
        conf_choices_print(out, row->choices);
        sb_add_char(out, '\n');
    }
    if (row->min != NULL || row->max != NULL) {
        sb_add_str(out, "    range      ");
        conf_range_print(out, row);
        sb_add_char(out, '\n');
    }
    sb_addf(out, "    a change   needs a %s\n    flag       -%s=%s\n",
        conf_change_name(row->change), row->flag,
        row->def[0] != '\0' ? row->def : "VALUE");
    sb_add_str(out, "    variable   ");
    for (const char *c = row->flag; *c != '\0'; c++)
        sb_add_char(out, *c == '.' ? '_' : *c);
    sb_add_str(out, " (with -envflag.enable, after -envflag.prefix)\n"
        "    file       ");
    add_example(out, row);
}

int
conf_print_help(const char *name, struct sb *out)
{
    const struct conf_row *row;
    struct conf_near near;

    if (name == NULL) {
        for (size_t i = 0; i < CONF_ROWS; i++)
            help_flag(out, &conf_rows[i]);
        return 0;
    }
    row = conf_row_find(name);
    if (row != NULL) {
        help_row(out, row);
        return 0;
    }
    conf_near_init(&near, sv_from(name));
    row = conf_row_suggest(&near);
    sb_add_str(out, "no flag or directive \"");
    conf_add_printable(out, sv_sub(sv_from(name), 0, 80));
    sb_add_char(out, '"');
    if (row != NULL)
        sb_addf(out, " (did you mean -%s or %s?)", row->flag, row->yaml);
    sb_add_char(out, '\n');
    return -1;
}
