/* SPDX-License-Identifier: BSD-2-Clause */

/* Manual pages out of the directive table, in mdoc. */

#include "core/base.h"

#include "core/conf.h"
#include "core/conf_doc.h"

#define LINE_MAX_COLUMNS 78

/* A word; roff has commands at the start of a line. */
static void
add_word(struct sb *out, struct sv word, bool is_first)
{
    if (is_first && word.len > 0 && (word.ptr[0] == '.' ||
        word.ptr[0] == '\''))
        sb_add_str(out, "\\&");
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] == '\\')
            sb_add_str(out, "\\e");
        else if (word.ptr[i] == '"')
            sb_add_str(out, "\\(dq");
        else
            sb_add_char(out, word.ptr[i]);
    }
}

void
conf_add_roff(struct sb *out, const char *text)
{
    struct sv rest = sv_from(text);
    struct sv word;
    size_t column = 0;

    while (sv_split(&rest, ' ', &word)) {
        if (column > 0 && column + 1 + word.len > LINE_MAX_COLUMNS) {
            sb_add_char(out, '\n');
            column = 0;
        }
        if (column > 0)
            sb_add_char(out, ' ');
        add_word(out, word, column == 0);
        column += word.len + 1;
    }
    sb_add_str(out, ".\n");
}

/* One line: "Default: 7d." */
static void
add_fact(struct sb *out, const char *name, const char *value)
{
    sb_addf(out, "%s: ", name);
    conf_add_roff(out, value);
}

static void
add_facts(struct sb *out, const struct conf_row *row)
{
    struct sb text;

    sb_init(&text, 4 * KIB);
    sb_add_str(out, ".Pp\n");
    add_fact(out, "Type", conf_kind_doc(row->kind));
    if (row->def[0] != '\0')
        add_fact(out, "Default", row->def);
    if (row->choices != NULL) {
        conf_choices_print(&text, row->choices);
        add_fact(out, "Values", text.ptr);
    }
    if (row->min != NULL || row->max != NULL) {
        sb_reset(&text);
        conf_range_print(&text, row);
        add_fact(out, "Range", text.ptr);
    }
    sb_addf(out, "A change needs a %s.\n", conf_change_name(row->change));
    sb_release(&text);
}

static void
man_group(struct sv name, unsigned depth, void *arg)
{
    struct sb *out = arg;

    (void)depth;
    sb_addf(out, ".El\n.Ss %.*s\n.Bl -tag -width Ds\n", SV_ARG(name));
}

static void
add_row(struct sb *out, const struct conf_row *row)
{
    sb_addf(out, ".It Cm %s , Fl %s\n", row->yaml, row->flag);
    conf_add_roff(out, row->doc);
    add_facts(out, row);
}

static void
man_row(const struct conf_row *row, struct sv name, unsigned depth,
    void *arg)
{
    const struct conf_row *column = NULL;
    struct sb *out = arg;

    (void)name;
    (void)depth;
    add_row(out, row);
    while ((column = conf_row_next_column(row, column)) != NULL)
        add_row(out, column);
}

void
conf_print_man(struct sb *out)
{
    static const struct conf_visitor visitor = {man_group, man_row};

    sb_add_str(out,
        ".\\\" SPDX-License-Identifier: BSD-2-Clause\n"
        ".\\\" Made by \"spoor --print-man=spoor.yaml.5\"; do not edit.\n"
        ".Dd November 21, 2026\n"
        ".Dt SPOOR.YAML 5\n"
        ".Os\n"
        ".Sh NAME\n"
        ".Nm spoor.yaml\n"
        ".Nd configuration of the tracing database\n"
        ".Sh DESCRIPTION\n"
        "The file of\n"
        ".Xr spoor 8\n"
        "is YAML: directives in groups, or with dotted names.\n"
        "Every directive has a flag, which wins over the file, and a default.\n"
        ".Pp\n"
        "In a value\n"
        ".Ql ${NAME}\n"
        "is replaced by the environment variable,\n"
        ".Ql ${NAME:-default}\n"
        "has a default, and\n"
        ".Ql $${\n"
        "stands for\n"
        ".Ql ${ .\n"
        "Aliases and tags are refused; all files together have at most"
        " 1 MiB.\n"
        ".Pp\n"
        ".Ql include: conf.d/*.yaml ,\n"
        "a file, a pattern or a list of them, outside of groups, takes files\n"
        "beside the one it stands in.\n"
        "A directive that is in two files is a mistake.\n"
        ".Pp\n"
        "A secret is the word itself or\n"
        ".Ql file:PATH ,\n"
        "a file with it that only the user who starts the server should be\n"
        "able to read.\n"
        ".Pp\n"
        "The items of\n"
        ".Cm http.listen\n"
        "and\n"
        ".Cm otlp_grpc.listen\n"
        "are texts or maps, whose keys are the last parts of the names below"
        "\nthem.\n"
        ".Sh DIRECTIVES\n"
        ".Ss outside of groups\n"
        ".Bl -tag -width Ds\n");
    conf_table_visit(&visitor, out);
    sb_add_str(out,
        ".El\n"
        ".Sh EXAMPLES\n"
        "Keep spans for a month, listen on the loopback, and with TLS for\n"
        "all others:\n"
        ".Bd -literal -offset indent\n"
        "http:\n"
        "    listen:\n"
        "        - \"127.0.0.1:10428\"\n"
        "        - address: \":10443\"\n"
        "          cert: /etc/spoor/example.org.pem\n"
        "          key: /etc/spoor/example.org.key\n"
        "storage:\n"
        "    path: /var/lib/spoor\n"
        "    retention: 30d\n"
        ".Ed\n"
        ".Sh SEE ALSO\n"
        ".Xr spoorctl 1 ,\n"
        ".Xr spoor 8\n");
}

void
conf_print_man_flags(struct sb *out)
{
    for (size_t i = 0; i < CONF_ROWS; i++) {
        const struct conf_row *row = &conf_rows[i];

        sb_addf(out, ".It Fl %s", row->flag);
        if (row->kind != CONF_KIND_BOOL && row->kind != CONF_KIND_BOOLS)
            sb_addf(out, " Ns = Ns Ar %s", conf_kind_name(row->kind));
        sb_add_char(out, '\n');
        conf_add_roff(out, row->doc);
        if (row->def[0] != '\0')
            add_fact(out, "Default", row->def);
        sb_addf(out, "Directive\n.Cm %s .\n", row->yaml);
    }
}
