/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Documents made out of the directive table: the commented sample file and
 * the reference.
 */

#include "core/base.h"

#include "core/conf.h"
#include "core/conf_doc.h"
#include "core/conf_load.h"
#include "core/conf_type.h"

const char *
conf_change_name(enum conf_change change)
{
    return change == CONF_CHANGE_RELOAD ? "reload" : "restart";
}

const char *
conf_kind_doc(enum conf_kind kind)
{
    switch (kind) {
    case CONF_KIND_BOOL:
        return "boolean: true or false";
    case CONF_KIND_UINT:
        return "number";
    case CONF_KIND_SIZE:
        return "size: bytes, or with KB MB GB TB KiB MiB GiB TiB";
    case CONF_KIND_DURATION:
        return "duration: with ns us ms s m h d w y, as in 1m30s";
    case CONF_KIND_RETENTION:
        return "retention: a duration as 7d or 1y, or a number of months of"
            " 31 days";
    case CONF_KIND_STRING:
        return "text";
    case CONF_KIND_PATH:
        return "path: relative to the prefix (-p)";
    case CONF_KIND_ENUM:
        return "choice";
    case CONF_KIND_LIST:
        return "list: [a, b] in the file; with commas or repeated as a flag";
    case CONF_KIND_SECRET:
        return "secret: never shown";
    case CONF_KIND_BOOLS:
        return "booleans: one for each address, or one for all";
    case CONF_KIND_ENUMS:
        return "choices: one for each address, or one for all";
    case CONF_KIND_PATHS:
        return "paths: one for each address, or one for all; relative to the"
            " prefix (-p)";
    case CONF_KIND_SECRETS:
        return "secrets: one for each address, or one for all; never shown";
    case CONF_KIND_WORDS:
        return "words: [a, b] in a map; as a flag \"a;b\" for each address, or"
            " once for all";
    case CONF_KIND_FILES:
        return "paths: [a, b] in a map; as a flag \"a;b\" for each address, or"
            " once for all; relative to the prefix (-p)";
    }
    return "value";
}

void
conf_doc_default(struct sb *out, const struct conf_row *row)
{
    struct sv rest = sv_from(row->def), item;
    bool is_first = true;

    if (!conf_kind_is_list(row->kind)) {
        conf_doc_scalar(out, row->kind, rest);
        return;
    }
    sb_add_char(out, '[');
    while (rest.len > 0 && sv_split(&rest, ',', &item)) {
        if (!is_first)
            sb_add_str(out, ", ");
        conf_type_print_yaml(out, item);
        is_first = false;
    }
    sb_add_char(out, ']');
}

/* --- the sample file --- */

static void
sample_group(struct sv name, unsigned depth, void *arg)
{
    struct sb *out = arg;

    conf_doc_indent(out, depth);
    sb_addf(out, "%.*s:\n", SV_ARG(name));
}

/* The keys of the maps that a table may have. */
static void
sample_columns(struct sb *out, const struct conf_row *row, const char *margin)
{
    const struct conf_row *column = NULL;
    char inner[64];

    while ((column = conf_row_next_column(row, column)) != NULL) {
        if (column == conf_row_next_column(row, NULL))
            conf_doc_wrap(out, "An item may be a map: {" CONF_TABLE_KEY
                ": text, key: value}, with these keys:", margin);
        snprintf(inner, sizeof(inner), "%s    ", margin);
        sb_addf(out, "%s  %.*s: -%s", margin, SV_ARG(conf_row_leaf(column)),
            column->flag);
        if (column->choices != NULL) {
            sb_add_str(out, "; ");
            conf_choices_print(out, column->choices);
        }
        sb_add_char(out, '\n');
        conf_doc_wrap(out, column->doc, inner);
    }
}

static void
sample_row(const struct conf_row *row, struct sv name, unsigned depth,
    void *arg)
{
    struct sb *out = arg;
    struct sb facts;
    char margin[4 * CONF_GROUP_DEPTH_MAX + 4];

    snprintf(margin, sizeof(margin), "%*s# ", (int)(4 * depth), "");
    conf_doc_wrap(out, row->doc, margin);
    sb_init(&facts, 4 * KIB);
    sb_addf(&facts, "-%s; %s", row->flag, conf_kind_name(row->kind));
    if (row->choices != NULL) {
        sb_add_str(&facts, ": ");
        conf_choices_print(&facts, row->choices);
    }
    if (row->min != NULL || row->max != NULL) {
        sb_add_char(&facts, ' ');
        conf_range_print(&facts, row);
    }
    sb_addf(&facts, "; a change needs a %s", conf_change_name(row->change));
    conf_doc_wrap(out, facts.ptr, margin);
    sb_release(&facts);
    sample_columns(out, row, margin);
    conf_doc_indent(out, depth);
    sb_addf(out, "#%.*s: ", SV_ARG(name));
    conf_doc_default(out, row);
    sb_add_str(out, "\n\n");
}

void
conf_print_sample(struct sb *out)
{
    static const struct conf_visitor visitor = {sample_group, sample_row};

    sb_add_str(out,
        "# Every directive of spoor with its default.  Made by\n"
        "# \"spoor --print-sample\"; do not edit: copy what you need into\n"
        "# spoor.yaml and take the # away.  \"spoor -t\" checks a file,\n"
        "# \"spoor -T\" shows what counts and where it comes from.\n\n");
    conf_table_visit(&visitor, out);
    if (out->len > 0 && !out->failed)
        out->ptr[--out->len] = '\0'; /* one empty line too many */
}

/* --- the reference --- */

static const char reference_head[] =
    "# Configuration\n"
    "\n"
    "Made by `spoor --print-reference`; do not edit.\n"
    "\n"
    "spoor runs without any configuration. A value comes from the first of\n"
    "these that has it:\n"
    "\n"
    "1. the command line: a flag, then `-e`, then `-g 'storage.retention:"
    " 30d'`;\n"
    "2. the environment, with `-envflag.enable`: the flag's name with `_` for"
    "\n   each `.`, after `-envflag.prefix`;\n"
    "3. the file: `-c FILE`, else `conf/spoor.yaml` under the prefix (`-p`,\n"
    "   the current directory by default), else the installed\n"
    "   `spoor.yaml`, if there is one;\n"
    "4. the default.\n"
    "\n"
    "`spoor -t` checks everything and names every mistake with its place;\n"
    "`spoor -T` prints the values that count with their origin;\n"
    "`spoor -help NAME` explains one directive or flag. `spoor -s reload`\n"
    "reads the file again: a file with a mistake changes nothing.\n"
    "\n"
    "## The file\n"
    "\n"
    "YAML: directives in groups, or with dotted names\n"
    "(`storage.retention: 30d`). `${NAME}` in a value is replaced by the\n"
    "environment variable, `${NAME:-default}` has a default, `$${` stands\n"
    "for `${`. Aliases and tags are refused.\n"
    "\n"
    "`include: conf.d/*.yaml`, or a list of files and patterns, outside of\n"
    "groups: files beside this one, with directives like it. The order does\n"
    "not matter, because a directive that is in two files is a mistake. A\n"
    "pattern may find nothing, a name must be there. At most 8 files within\n"
    "each other, 256 files, 1 MiB all together.\n"
    "\n"
    "A secret is the word itself or `file:PATH`, a file with it: relative to\n"
    "the prefix, white space at its end does not count, at most 4 KiB; who\n"
    "loads the configuration must be able to read it, and nobody else should\n"
    "(a warning says so). It is read again at a reload. `file:///PATH` and\n"
    "`file://PATH` of VictoriaTraces mean the same, `http://` and `https://`\n"
    "are refused. A secret on the command line is overwritten in the words\n"
    "of the process, but may have been seen before: a warning names the\n"
    "other form. No secret is in `/flags`, metrics, `-T` or the log;\n"
    "`secret.flags` adds the names of other flags. `-T` writes a variable\n"
    "in the place of a secret.\n"
    "\n"
    "`spoor -t -format json` writes each mistake as an object in a line on\n"
    "standard output, for editors: `severity`, `file`, `line`, `column`,\n"
    "`width`, `message`.\n"
    "\n"
    "## Flags\n"
    "\n"
    "`-name=value`, `--name=value`, `-name value`, and `-name` alone for a\n"
    "boolean. A list is given by repetition or with commas; quotes keep a\n"
    "comma (`\"a,b\"`), and so do `{}`, `[]` and `()`. `%{NAME}` is\n"
    "replaced by the environment variable. Flags have the names that\n"
    "VictoriaTraces gave them.\n"
    "\n"
    "## Values\n"
    "\n"
    "| type | written as |\n"
    "| --- | --- |\n"
    "| boolean | `true` or `false` |\n"
    "| number | digits |\n"
    "| size | bytes, or with `KB MB GB TB` (1000) and `KiB MiB GiB TiB`"
    " (1024) |\n"
    "| duration | with `ns us ms s m h d w y`: `500ms`, `1m30s` |\n"
    "| retention | a duration, or a number of months of 31 days |\n"
    "| path | relative to the prefix |\n"
    "| list | `[a, b]` |\n"
    "\n"
    "A list with more to say of its items is a table: `http.listen` and\n"
    "`otlp_grpc.listen`. An item is a text or a map, with the last part of\n"
    "the names below it as keys:\n"
    "\n"
    "```yaml\n"
    "http:\n"
    "    listen:\n"
    "        - \"127.0.0.1:10428\"\n"
    "        - address: \":10443\"\n"
    "          cert: /etc/spoor/example.org.pem\n"
    "          key: /etc/spoor/example.org.key\n"
    "          disable: [select, admin]\n"
    "```\n"
    "\n"
    "As flags each key is a list of its own: the second value belongs to the\n"
    "second address, a single value to all, and an empty one says nothing:\n"
    "`-httpListenAddr=127.0.0.1:10428,:10443 -tls=,true"
    " -tlsCertFile=,a.pem`.\n"
    "In a map `[a, b]`, in a flag `\"a;b\"` give several files or words for\n"
    "one address. Addresses of a flag or variable have nothing of what the\n"
    "file says of its own.\n"
    "\n"
    "A change needs a reload or, where the table says so, a restart.\n";

/* Markdown ends a cell at a bar. */
static void
add_cell(struct sb *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            sb_add_char(out, '\\');
        sb_add_char(out, *text);
    }
}

static void
reference_values(struct sb *out, const struct conf_row *row)
{
    sb_add_str(out, conf_kind_name(row->kind));
    if (row->choices != NULL) {
        sb_add_str(out, ": ");
        conf_choices_print(out, row->choices);
    }
    if (row->min != NULL || row->max != NULL) {
        sb_add_str(out, ", ");
        conf_range_print(out, row);
    }
}

static void
reference_head_row(struct sb *out)
{
    sb_add_str(out, "\n| directive | flag | default | values | meaning |\n"
        "| --- | --- | --- | --- | --- |\n");
}

static void
reference_group(struct sv name, unsigned depth, void *arg)
{
    struct sb *out = arg;

    sb_addf(out, "\n%s `%.*s`\n", depth == 0 ? "##" : "###", SV_ARG(name));
    reference_head_row(out);
}

static void
add_row(struct sb *out, const struct conf_row *row)
{
    sb_addf(out, "| `%s` | `-%s` | %s%s%s | ", row->yaml, row->flag,
        row->def[0] != '\0' ? "`" : "", row->def,
        row->def[0] != '\0' ? "`" : "");
    reference_values(out, row);
    sb_add_str(out, " | ");
    add_cell(out, row->doc);
    if (row->change == CONF_CHANGE_RESTART)
        sb_add_str(out, " (a change needs a restart)");
    sb_add_str(out, " |\n");
}

static void
reference_row(const struct conf_row *row, struct sv name, unsigned depth,
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
conf_print_reference(struct sb *out)
{
    static const struct conf_visitor visitor = {
        reference_group, reference_row,
    };

    sb_add_str(out, reference_head);
    sb_add_str(out, "\n## Outside of groups\n");
    reference_head_row(out);
    conf_table_visit(&visitor, out);
}
