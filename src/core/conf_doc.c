/* SPDX-License-Identifier: BSD-2-Clause */

/* Values as YAML, and -help. */

#include "core/base.h"
#include "core/conf_doc.h"

#include "core/conf.h"
#include "core/conf_flags.h"
#include "core/conf_load.h"
#include "core/conf_report.h"
#include "core/conf_type.h"

#define LINE_MAX_COLUMNS 79

void
conf_doc_indent(struct sb *out, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        sb_add_str(out, "    ");
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
    const struct conf_flag *flag;
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
    while (*name == '-')
        name++;
    flag = conf_flag_find(sv_from(name));
    if (flag != NULL) {
        sb_addf(out, "-%s is %s: %s\n", flag->name,
            flag->state == CONF_FLAG_REFUSED ? "refused" :
            "accepted without effect", flag->reason);
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
