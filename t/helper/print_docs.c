/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Prints the reference pages that are made out of tables of the server and
 * that the server itself has no reason to print; its usage lists them.
 */

#include "core/base.h"

#include "api/routes.h"
#include "cli/cli.h"
#include "cli/server_options.h"
#include "core/sb.h"
#include "query/parser.h"
#include "query/pipe_type.h"
#include "query/split.h"

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
    if (strcmp(row->type, "NUMBERS") == 0)
        sb_add_str(out, "histogram");
    else
        for (const char *p = row->type; *p != '\0' && *p != '_'; p++)
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
        "answers for all processes, and no counter goes backwards while the\n"
        "master lives, whatever becomes of the others (a new one, after a start\n"
        "or an upgrade of the binary, counts from zero, as\n"
        "`process_start_time_seconds` tells). Histograms of times are\n"
        "in seconds; summaries are quantiles of the last five minutes.\n\n"
        "What begins with `vt_`, `vm_` or `process_`, and `flag`, has the name\n"
        "and meaning that VictoriaTraces gives it, so its dashboards and alert\n"
        "rules show spoor, too: `vm_app_version` has a `version` that begins\n"
        "with `victoria-traces-`, by which they find their servers. What begins\n"
        "with `spoor_` is ours. Metrics of the Go runtime (`go_*`) do not\n"
        "exist; `spoor_loop_lag_seconds` and `spoor_task_wait_seconds` stand in\n"
        "for scheduling latency, `process_num_threads` for goroutines.\n\n"
        "`contrib/grafana/spoor.json` is a dashboard for Grafana 10 and later\n"
        "(import it and choose a data source), `contrib/prometheus/alerts.yml`\n"
        "has [alerts](alerts.md). `metrics.expose_metadata` adds types and help\n"
        "texts. What is labelled `addr` is there on servers with storage\n"
        "nodes ([fronts](cluster.md)), for each of them.\n\n"
        "Where the stages of an insert are: `spoor_receive_seconds`,\n"
        "`spoor_decode_seconds`, `spoor_append_seconds` (a group of inserts),\n"
        "`spoor_log_wait_seconds` (until the group is on disk) with\n"
        "`spoor_log_write_seconds` and `spoor_log_sync_seconds` in it; later\n"
        "`spoor_flush_seconds` and `spoor_merge_seconds`. Of a query:\n"
        "`spoor_query_queue_seconds`, `spoor_query_plan_seconds`,\n"
        "`spoor_query_seconds`, `spoor_reply_seconds`.\n\n"
        "| metric | type | labels | what |\n|---|---|---|---|\n");
    for (size_t i = 0; i < n;)
        i += print_row(out, &metric_rows[i], n - i);
    sb_add_str(out, "\n## What VictoriaTraces has and spoor has not\n\n"
        "| metric | why |\n|---|---|\n"
        "| `go_*` | there is no Go runtime |\n"
        "| `vt_indexdb_rows`, `_parts`, `_blocks` | indexes are inside the "
        "parts |\n"
        "| `vt_pending_rows` | a span is found when it is acknowledged |\n"
        "| `vt_insert_processors_count` | `vm_concurrent_insert_current` says "
        "it |\n"
        "| `vtinsert_backend_*`, `vtselect_backend_*` | `spoor_node_*` of a "
        "front says it for each storage node |\n"
        "| `vt_http_request_errors_*` | `vt_http_errors_total` has them "
        "|\n"
        "| `vt_servicegraph_*` | calls between services are asked of the "
        "parts, no task makes them |\n"
        "| `vm_filestream_*`, `vm_fs_*`, `vm_mmapped_files`, "
        "`vm_zstd_block_*`, `vm_nfs_*` | these libraries are not used; see "
        "`process_io_*` |\n"
        "| `vtagent_*`, `vm_persistentqueue_*` | another program |\n");
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
    ".Ev SPOOR_URL ,\nelse\n.Ql http://127.0.0.1:10428 .\n"
    "With\n.Ql https://\nits certificate is verified.\nAll verbs that ask "
    "a server take these, too:\n.Bd -literal\n";

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
    ".Sh SEE ALSO\n.Xr spoor.yaml 5 ,\n.Xr spoor-logsql 7 ,\n.Xr spoor 8\n";

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
    print_roff(out, server_options_help);
    sb_add_str(out, ".Ed\n");
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

/* --- LogsQL: filters, pipes and functions alike --- */

struct language_row {
    const char *name;
    const char *aliases;
    const char *syntax; /* whole */
    const char *example;
    const char *doc;
    const char *where;  /* it runs in a cluster; NULL: that is no question */
};

typedef void (*language_fn)(struct sb *out, const struct language_row *row);

static void
each_filter(struct sb *out, language_fn print)
{
    for (size_t i = 0; i < nfilter_names; i++) {
        const struct filter_name *name = &filter_names[i];

        print(out, &(struct language_row){name->name, "", name->syntax,
            name->example, name->doc, NULL});
    }
}

static void
each_pipe(struct sb *out, language_fn print)
{
    for (size_t i = 0; i < npipe_types; i++) {
        const struct pipe_type *type = &pipe_types[i];
        char syntax[500];

        if (type->ops == NULL)
            continue;
        snprintf(syntax, sizeof(syntax), "%s%s%s", type->name,
            type->syntax[0] == '(' || type->syntax[0] == '\0' ? "" : " ",
            type->syntax);
        print(out, &(struct language_row){type->name, type->aliases, syntax,
            type->example, type->doc, split_where(type)});
    }
}

static void
each_function(struct sb *out, language_fn print)
{
    for (size_t i = 0; i < nfunction_names; i++) {
        const struct function_name *name = &function_names[i];
        char syntax[500];

        snprintf(syntax, sizeof(syntax), "%s(%s)%s", name->name, name->syntax,
            name->traits & FUNCTION_LIMIT ? " [limit N]" : "");
        print(out, &(struct language_row){name->name, "", syntax,
            name->example, name->doc, NULL});
    }
}

/* In a cell of a table a bar needs a backslash. */
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
print_language_md(struct sb *out, const struct language_row *row)
{
    sb_add_str(out, "| `");
    add_cell(out, row->syntax);
    sb_add_str(out, "` | ");
    add_cell(out, row->doc);
    if (row->aliases[0] != '\0')
        sb_addf(out, "; also `%s`", row->aliases);
    sb_add_str(out, " | `");
    add_cell(out, row->example);
    sb_add_str(out, "` |");
    if (row->where != NULL)
        sb_addf(out, " %s |", row->where);
    sb_add_char(out, '\n');
}

static void
print_logsql(struct sb *out)
{
    static const char head[] = "|---|---|---|\n";

    sb_add_str(out, "# LogsQL: all filters, pipes and functions\n\n"
        "<!-- Generated from src/query/*.def by `make docs`; do not edit. "
        "-->\n\n"
        "What this version runs; [LogsQL in spoor](logsql.md) says how it "
        "works. Every\nexample is run by `t/78-logsql-examples.t`. Brackets "
        "stand around what may be\nleft out.\n\n"
        "## Filters\n\n| filter | a row passes that ... | example |\n");
    sb_add_str(out, head);
    each_filter(out, print_language_md);
    sb_add_str(out, "\n## Pipes\n\n"
        "The last column tells what of a pipe the storage nodes of a cluster "
        "do by\nthemselves; [clusters](cluster.md) says more.\n\n"
        "| pipe | what | example | in a cluster |\n|---|---|---|---|\n");
    each_pipe(out, print_language_md);
    sb_add_str(out, "\n## Functions of stats\n\n"
        "Each takes `if (FILTER)` behind it and `as name`.\n\n"
        "| function | what | example |\n");
    sb_add_str(out, head);
    each_function(out, print_language_md);
}

static void
print_example(struct sb *out, const struct language_row *row)
{
    sb_addf(out, "%s\t%s\n", row->name, row->example);
}

/* Lines of name, tabulator, query. */
static void
print_examples(struct sb *out)
{
    each_filter(out, print_example);
    each_pipe(out, print_example);
    each_function(out, print_example);
}

/* A line never begins with a dot or an apostrophe. */
static void
print_language_roff(struct sb *out, const struct language_row *row)
{
    sb_add_str(out, ".It Li \"");
    for (const char *c = row->syntax; *c != '\0'; c++) {
        if (*c == '"')
            sb_add_str(out, "\\(dq");
        else if (*c == '\\')
            sb_add_str(out, "\\e");
        else
            sb_add_char(out, *c);
    }
    sb_add_str(out, "\"\n\\&");
    print_roff(out, row->doc);
    if (row->aliases[0] != '\0')
        sb_addf(out, "; also %s", row->aliases);
    sb_add_str(out, ".\n.Bd -literal -compact\n\\&");
    print_roff(out, row->example);
    sb_add_str(out, "\n.Ed\n");
}

static void
print_logsql_man(struct sb *out)
{
    sb_add_str(out, ".\\\" SPDX-License-Identifier: BSD-2-Clause\n"
        ".\\\" Made from src/query/*.def by \"make docs\"; do not edit.\n"
        ".Dd November 21, 2026\n.Dt SPOOR-LOGSQL 7\n.Os\n"
        ".Sh NAME\n.Nm spoor-logsql\n.Nd query language of spoor\n"
        ".Sh SYNOPSIS\n.D1 FILTER | PIPE | PIPE ...\n"
        ".Sh DESCRIPTION\nA query is a filter, and pipes behind it.\n"
        "A span is a row of texts; a field that is missing and one that is\n"
        "empty are the same.\n"
        "Names of fields that hold a colon stand in quotes where a colon\n"
        "would mean something else:\n"
        ".Dl \\(dqresource_attr:service.name\\(dq:=cart\n"
        "Numbers may be sizes\n.Pq 10KiB\nor durations\n.Pq 250ms ;\n"
        "a comment goes from\n.Ql #\nto the end of its line.\n"
        ".Sh FILTERS\nNot binds tightest, then and, then or.\n"
        ".Bl -tag -width Ds\n");
    each_filter(out, print_language_roff);
    sb_add_str(out, ".El\n.Sh PIPES\n.Bl -tag -width Ds\n");
    each_pipe(out, print_language_roff);
    sb_add_str(out, ".El\n.Sh FUNCTIONS OF STATS\n"
        "Each takes\n.Li if (FILTER)\nbehind it and\n.Li as name .\n"
        ".Bl -tag -width Ds\n");
    each_function(out, print_language_roff);
    sb_add_str(out, ".El\n.Sh SEE ALSO\n.Xr spoorctl 1 ,\n.Xr spoor 8\n");
}

static const struct page {
    const char *name;
    void (*print)(struct sb *out);
} pages[] = {
    {"routes", routes_print_reference},
    {"metrics", print_metrics},
    {"spoorctl", print_spoorctl},
    {"logsql", print_logsql},
    {"spoor-logsql", print_logsql_man},
    {"examples", print_examples},
};

static int
usage(void)
{
    fprintf(stderr, "usage: print_docs");
    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        fprintf(stderr, "%c%s", i == 0 ? ' ' : '|', pages[i].name);
    fprintf(stderr, "\n");
    return 2;
}

int
main(int argc, char **argv)
{
    const struct page *page = NULL;
    struct sb out;
    int status = 0;

    for (size_t i = 0; argc == 2 && i < ARRAY_LEN(pages); i++) {
        if (strcmp(pages[i].name, argv[1]) == 0)
            page = &pages[i];
    }
    if (page == NULL)
        return usage();
    sb_init(&out, PAGE_BYTES_MAX);
    page->print(&out);
    if (sb_failed(&out) || fwrite(out.ptr, 1, out.len, stdout) != out.len ||
        fflush(stdout) != 0)
        status = 1;
    sb_release(&out);
    return status;
}
