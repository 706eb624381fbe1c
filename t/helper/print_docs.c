/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Prints the reference pages that are made out of tables of the server and
 * that the server itself has no reason to print: "print_docs routes" and
 * "print_docs metrics".
 */

#include "core/base.h"

#include "api/routes.h"
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
    } else {
        fprintf(stderr, "usage: print_docs routes|metrics\n");
        status = 2;
    }
    if (status == 0 && (sb_failed(&out) ||
        fwrite(out.ptr, 1, out.len, stdout) != out.len ||
        fflush(stdout) != 0))
        status = 1;
    sb_release(&out);
    return status;
}
