/* SPDX-License-Identifier: BSD-2-Clause */

/* spoorctl services, search and trace: questions to a server. */

#include "core/base.h"
#include "cli/cli.h"

#include <getopt.h>

#include "cli/jaeger_read.h"
#include "cli/text.h"
#include "cli/waterfall.h"
#include "core/num.h"
#include "core/timefmt.h"

#define POOL_BYTES_MAX (2 * GIB)
#define TARGET_BYTES_MAX (16 * KIB)

/* An answer with status 200, or CLI_ERROR / CLI_NOT_FOUND after a message. */
static int
ask(const char *url, const char *target, struct sb *body)
{
    int status;

    if (cli_get(url, target, body, &status) != 0)
        return CLI_ERROR;
    if (status == 200)
        return CLI_OK;
    cli_print_answer(status, sb_sv(body));
    sb_release(body);
    return status == 404 ? CLI_NOT_FOUND : CLI_ERROR;
}

/* --- services --- */

int
cli_services(int argc, char **argv)
{
    static const struct option options[] = {
        {"url", required_argument, NULL, 'u'}, {NULL, 0, NULL, 0}};
    const char *url = NULL;
    struct err err = ERR_INIT;
    struct sb target, body, line;
    struct pool *pool;
    struct sv *names;
    uint32_t n = 0;
    int c, rc;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c != 'u')
            return cli_usage("services");
        url = optarg;
    }
    if (argc - optind > 1)
        return cli_usage("services");
    sb_init(&target, TARGET_BYTES_MAX);
    sb_add_str(&target, "/select/jaeger/api/services");
    if (optind < argc) {
        sb_add_char(&target, '/');
        cli_escape(&target, argv[optind]);
        sb_add_str(&target, "/operations");
    }
    rc = ask(url, target.ptr, &body);
    sb_release(&target);
    if (rc != CLI_OK)
        return rc;
    pool = pool_new(POOL_BYTES_MAX);
    sb_init(&line, 64 * MIB);
    if (jaeger_read_names(sb_sv(&body), pool, &names, &n, &err) != 0)
        rc = cli_fail("%s", err.text);
    for (uint32_t i = 0; rc == CLI_OK && i < n; i++) {
        sb_reset(&line);
        text_add(&line, names[i]);
        sb_add_char(&line, '\n');
        fwrite(line.ptr, 1, line.len, stdout);
    }
    sb_release(&line);
    sb_release(&body);
    pool_free(pool);
    return rc != CLI_OK ? rc : n == 0 ? CLI_NOT_FOUND : CLI_OK;
}

/* --- search --- */

struct search_args {
    const char *url;
    const char *service;
    const char *operation;
    int64_t since_ns;
    uint64_t limit;
    bool ids_only;
};

static const struct option search_options[] = {
    {"url", required_argument, NULL, 'u'},
    {"service", required_argument, NULL, 's'},
    {"operation", required_argument, NULL, 'n'},
    {"since", required_argument, NULL, 'd'},
    {"limit", required_argument, NULL, 'l'},
    {NULL, 0, NULL, 0},
};

static bool
search_option(struct search_args *args, int c)
{
    struct sv value = optarg != NULL ? sv_from(optarg) : SV_EMPTY;

    switch (c) {
    case 'u': args->url = optarg; return true;
    case 's': args->service = optarg; return true;
    case 'n': args->operation = optarg; return true;
    case 'd': return time_parse_duration(value, &args->since_ns);
    case 'l': return num_parse_u64(value, &args->limit);
    case 'o':
        args->ids_only = strcmp(optarg, "ids") == 0;
        return args->ids_only;
    default: return false;
    }
}

static void
search_target(struct sb *target, const struct search_args *args)
{
    int64_t now = clock_wall_ns();

    sb_add_str(target, "/select/jaeger/api/traces?service=");
    cli_escape(target, args->service);
    if (args->operation != NULL) {
        sb_add_str(target, "&operation=");
        cli_escape(target, args->operation);
    }
    sb_addf(target, "&start=%lld&end=%lld&limit=%llu",
        (long long)((now - args->since_ns) / 1000),
        (long long)((now + NS_PER_DAY) / 1000),
        (unsigned long long)args->limit);
}

static void
print_summary(struct sb *out, const struct view_trace *trace)
{
    const struct view_span *root = NULL;
    int64_t start = INT64_MAX, end = INT64_MIN;
    unsigned errors = 0;
    char when[32];

    for (uint32_t i = 0; i < trace->nspans; i++) {
        const struct view_span *span = &trace->spans[i];

        start = MIN(start, span->start_us);
        end = MAX(end, span->start_us + span->duration_us);
        errors += span->is_error;
        if (span->parent.len == 0 && root == NULL)
            root = span;
    }
    if (root == NULL && trace->nspans > 0)
        root = &trace->spans[0];
    when[time_print_rfc3339(when, start * 1000, 3)] = '\0';
    sb_addf(out, "%.*s  %s  %9.2fms  %5u spans  ", SV_ARG(trace->id), when,
        (double)(end - start) / 1e3, trace->nspans);
    if (errors != 0)
        sb_addf(out, "%3u errors  ", errors);
    else
        sb_add_str(out, "            ");
    if (root != NULL) {
        text_add_columns(out, root->service, 16);
        sb_add_char(out, ' ');
        text_add_columns(out, root->name, 40);
    }
    while (out->len > 0 && out->ptr[out->len - 1] == ' ')
        out->len--;
    sb_add_char(out, '\n');
}

static int
print_traces(const struct search_args *args, struct sv json)
{
    struct pool *pool = pool_new(POOL_BYTES_MAX);
    struct err err = ERR_INIT;
    struct view_trace *trace;
    struct sb out;
    int rc = CLI_NOT_FOUND;

    sb_init(&out, 256 * MIB);
    if (jaeger_read_traces(json, pool, &trace, &err) != 0) {
        rc = cli_fail("%s", err.text);
        trace = NULL;
    }
    for (; trace != NULL; trace = trace->next) {
        rc = CLI_OK;
        if (args->ids_only)
            sb_addf(&out, "%.*s\n", SV_ARG(trace->id));
        else
            print_summary(&out, trace);
    }
    fwrite(out.ptr, 1, out.len, stdout);
    sb_release(&out);
    pool_free(pool);
    if (rc == CLI_NOT_FOUND)
        fprintf(stderr, "no traces found\n");
    return rc;
}

int
cli_search(int argc, char **argv)
{
    struct search_args args = {.since_ns = 7 * NS_PER_DAY, .limit = 20};
    struct sb target, body;
    int c, rc;

    while ((c = getopt_long(argc, argv, "o:", search_options, NULL)) != -1) {
        if (!search_option(&args, c))
            return cli_bad_option("search", search_options, c);
    }
    if (optind != argc || args.service == NULL)
        return cli_usage("search");
    sb_init(&target, TARGET_BYTES_MAX);
    search_target(&target, &args);
    rc = ask(args.url, target.ptr, &body);
    sb_release(&target);
    if (rc != CLI_OK)
        return rc;
    rc = print_traces(&args, sb_sv(&body));
    sb_release(&body);
    return rc;
}

/* --- trace --- */

static int
print_trace(struct sv json, unsigned width)
{
    struct pool *pool = pool_new(POOL_BYTES_MAX);
    struct err err = ERR_INIT;
    struct view_trace *trace;
    struct sb out;
    int rc = CLI_NOT_FOUND;

    sb_init(&out, 1 * GIB);
    if (jaeger_read_traces(json, pool, &trace, &err) != 0) {
        rc = cli_fail("%s", err.text);
    } else if (trace != NULL && trace->nspans > 0) {
        waterfall_print(&out, trace, width, cli_has_color());
        fwrite(out.ptr, 1, out.len, stdout);
        rc = CLI_OK;
    }
    sb_release(&out);
    pool_free(pool);
    return rc;
}

int
cli_trace(int argc, char **argv)
{
    static const struct option options[] = {
        {"url", required_argument, NULL, 'u'},
        {"json", no_argument, NULL, 'j'},
        {"width", required_argument, NULL, 'w'}, {NULL, 0, NULL, 0}};
    const char *url = NULL;
    uint64_t width = cli_width();
    struct sb target, body;
    bool json = false;
    int c, rc;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'u')
            url = optarg;
        else if (c == 'j')
            json = true;
        else if (c != 'w' || !num_parse_u64(sv_from(optarg), &width))
            return cli_bad_option("trace", options, c);
    }
    if (optind + 1 != argc)
        return cli_usage("trace");
    sb_init(&target, TARGET_BYTES_MAX);
    sb_add_str(&target, "/select/jaeger/api/traces/");
    cli_escape(&target, argv[optind]);
    rc = ask(url, target.ptr, &body);
    sb_release(&target);
    if (rc != CLI_OK)
        return rc;
    if (json)
        fwrite(body.ptr, 1, body.len, stdout);
    else
        rc = print_trace(sb_sv(&body), (unsigned)MIN(width, 10000u));
    sb_release(&body);
    return rc;
}
