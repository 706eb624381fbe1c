/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Prints the reference pages that are made out of tables of the server and
 * that the server itself has no reason to print: "print_docs routes",
 * "print_docs metrics" and "print_docs spoorctl" (the manual page).
 */

#include "core/base.h"

#include "api/routes.h"
#include "cli/cli.h"
#include "core/sb.h"

#define PAGE_BYTES_MAX MIB

struct metric_row {
    const char *type;
    const char *name;
    const char *labels;
    const char *help;
};

static const struct metric_row metric_rows[] = {
#define METRIC(id, type, name, labels, help) {#type, name, labels, help},
#include "core/metrics.def"
#undef METRIC
};

static void
print_labels(struct sb *out, const struct metric_row *row)
{
    if (row->labels[0] != '\0')
        sb_addf(out, "`%s`", row->labels);
}

/*
 * Rows of one name stand together in the table; they become one line.
 * Returns how many of the n rows they are.
 */
static size_t
print_row(struct sb *out, const struct metric_row *row, size_t n)
{
    size_t i;

    sb_addf(out, "| `%s` | ", row->name);
    for (const char *p = row->type; *p != '\0'; p++)
        sb_add_char(out, (char)(*p | 0x20));
    sb_add_str(out, " | ");
    print_labels(out, row);
    for (i = 1; i < n && strcmp(row[i].name, row->name) == 0; i++) {
        sb_add_str(out, "<br>");
        print_labels(out, &row[i]);
    }
    sb_addf(out, " | %s |\n", row->help);
    return i;
}

static void
print_metrics(struct sb *out)
{
    size_t n = ARRAY_LEN(metric_rows);

    sb_add_str(out, "# Metrics\n\n<!-- Generated from src/core/metrics.def by "
        "`make docs`; do not edit. -->\n\n"
        "`GET /metrics` answers in Prometheus' text format; any worker\n"
        "answers for all processes. Histograms are in seconds.\n\n"
        "| metric | type | labels | what |\n|---|---|---|---|\n");
    for (size_t i = 0; i < n;)
        i += print_row(out, &metric_rows[i], n - i);
}

static const char spoorctl_head[] =
    ".\\\" SPDX-License-Identifier: BSD-2-Clause\n"
    ".\\\" Made from src/cli/cli.c by \"make docs\"; do not edit.\n"
    ".Dd November 21, 2026\n.Dt SPOORCTL 1\n.Os\n"
    ".Sh NAME\n.Nm spoorctl\n.Nd client of the tracing database spoor\n"
    ".Sh SYNOPSIS\n.Nm\n.Ar verb\n.Op Ar options\n.Op Ar arguments\n"
    ".Sh DESCRIPTION\n.Nm\n"
    "makes, sends, finds and shows traces, and checks the data of a\n"
    ".Xr spoor 8\nserver.\nThe server is\n.Fl -url ,\nelse\n"
    ".Ev SPOOR_URL ,\nelse\n.Ql http://127.0.0.1:10428 .\n";

static const char spoorctl_tail[] =
    ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
    ".It Ev SPOOR_URL\nThe server when\n.Fl -url\nis not given.\n"
    ".It Ev NO_COLOR\nWhen set, nothing is coloured.\n.El\n"
    ".Sh EXIT STATUS\n"
    "0: done.\n1: nothing was found, or the data is damaged.\n"
    "2: a wrong command line, or the server did not answer well.\n"
    ".Sh EXAMPLES\n.Bd -literal -offset indent\n"
    "spoorctl gen --traces 1000 --seed 7\n"
    "spoorctl search --service checkout --since 1h -o ids |\n"
    "    head -n 1 | xargs spoorctl trace\n"
    "spoorctl check --deep /var/lib/spoor\n"
    "spoorctl export --out all.jsonl.zst --start 25h --split 1GiB\n"
    "spoorctl import all-*.jsonl.zst\n"
    "spoorctl import --from-url http://victoria-traces:10428\n.Ed\n"
    ".Sh SEE ALSO\n.Xr spoor.yaml 5 ,\n.Xr spoor 8\n";

/* Text of the verb table; a line of it never begins with a dot. */
static void
print_roff(struct sb *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            sb_add_str(out, "\\e");
        else
            sb_add_char(out, *text);
    }
}

static void
print_spoorctl(struct sb *out)
{
    sb_add_str(out, spoorctl_head);
    for (const struct cli_verb *verb = cli_verbs; verb->name != NULL; verb++) {
        sb_addf(out, ".Ss spoorctl %s ", verb->name);
        print_roff(out, verb->usage);
        sb_add_char(out, '\n');
        print_roff(out, verb->doc);
        sb_add_str(out, ".\n");
        if (verb->help[0] != '\0') {
            sb_add_str(out, ".Bd -literal\n");
            print_roff(out, verb->help);
            sb_add_str(out, ".Ed\n");
        }
    }
    sb_add_str(out, spoorctl_tail);
}

int
main(int argc, char **argv)
{
    struct sb out;
    int status = 0;

    sb_init(&out, PAGE_BYTES_MAX);
    if (argc == 2 && strcmp(argv[1], "routes") == 0) {
        routes_print_reference(&out);
    } else if (argc == 2 && strcmp(argv[1], "metrics") == 0) {
        print_metrics(&out);
    } else if (argc == 2 && strcmp(argv[1], "spoorctl") == 0) {
        print_spoorctl(&out);
    } else {
        fprintf(stderr, "usage: print_docs routes|metrics|spoorctl\n");
        status = 2;
    }
    if (status == 0 && (sb_failed(&out) ||
        fwrite(out.ptr, 1, out.len, stdout) != out.len ||
        fflush(stdout) != 0))
        status = 1;
    sb_release(&out);
    return status;
}
