/* SPDX-License-Identifier: BSD-2-Clause */

/* spoorctl query and tail: one question, its rows. */

#include "core/base.h"
#include "cli/cli.h"

#include <getopt.h>
#include <signal.h>
#include <unistd.h>

#include "cli/pager.h"
#include "cli/query_ask.h"
#include "core/num.h"
#include "core/timefmt.h"

static const struct option query_options[] = {
    {"url", required_argument, NULL, 'u'},
    {"since", required_argument, NULL, 'd'},
    {"start", required_argument, NULL, 's'},
    {"end", required_argument, NULL, 'e'},
    {"limit", required_argument, NULL, 'l'},
    {"format", required_argument, NULL, 'f'},
    {"tenant", required_argument, NULL, 't'},
    {"header", required_argument, NULL, 'h'},
    {"stats", no_argument, NULL, 'S'},
    {NULL, 0, NULL, 0},
};

struct args {
    struct query_ask ask;
    bool has_format;
    bool has_stats;
};

static bool
is_duration(const char *text)
{
    int64_t ns;

    return time_parse_duration(sv_from(text), &ns) && ns > 0;
}

static bool
is_number(const char *text)
{
    uint64_t n;

    return num_parse_u64(sv_from(text), &n);
}

static bool
option_take(struct args *args, int c)
{
    struct query_ask *ask = &args->ask;

    switch (c) {
    case 'u': ask->url = optarg; return true;
    case 'd': ask->start = optarg; return is_duration(optarg);
    case 's': ask->start = optarg; return true;
    case 'e': ask->end = optarg; return true;
    case 'l': ask->limit = optarg; return is_number(optarg);
    case 'f':
        args->has_format = true;
        return rows_format_parse(optarg, &ask->print.format, &ask->is_csv);
    case 't': return request_headers_tenant(&ask->headers, optarg);
    case 'h': return request_headers_add(&ask->headers, optarg);
    case 'S': args->has_stats = true; return true;
    default: return false;
    }
}

/* The words behind the options are the query: "'a:b | count()'" or several. */
static int
query_of_words(struct sb *out, int argc, char **argv, const char *verb)
{
    if (optind == argc)
        return cli_usage(verb);
    for (int i = optind; i < argc; i++) {
        if (i > optind)
            sb_add_char(out, ' ');
        sb_add_str(out, argv[i]);
    }
    return CLI_OK;
}

static void
print_stats(const struct query_asked *asked)
{
    fprintf(stderr, "%llu rows, %llu bytes, %.3f s\n",
        (unsigned long long)asked->rows, (unsigned long long)asked->bytes,
        (double)asked->took_ns / NS_PER_SEC);
}

static volatile sig_atomic_t interrupted;

static void
on_interrupt(UNUSED int signal_number)
{
    interrupted = 1;
}

/* Ctrl-C ends the query; the pager, which gets it, too, stays until left. */
static void
leave_to_pager(struct query_ask *ask)
{
    struct sigaction action = {.sa_handler = on_interrupt};

    sigaction(SIGINT, &action, NULL);
    ask->cancel = &interrupted;
}

static int
ask_with(struct args *args, const char *verb, int argc, char **argv)
{
    struct query_ask *ask = &args->ask;
    struct pager pager = {.out = stdout};
    struct query_asked asked;
    struct sb query;
    int c, status;

    while ((c = getopt_long(argc, argv, "", query_options, NULL)) != -1) {
        if (!option_take(args, c))
            return cli_bad_option(verb, query_options, c);
    }
    sb_init(&query, 2 * MIB);
    status = query_of_words(&query, argc, argv, verb);
    if (status != CLI_OK)
        goto out;
    ask->query = query.ptr;
    if (!args->has_format)
        ask->print.format = isatty(STDOUT_FILENO) ? ROWS_AUTO : ROWS_RAW;
    ask->print.has_color = cli_has_color();
    ask->print.width = cli_width();
    if (!ask->is_tail && isatty(STDOUT_FILENO))
        pager_begin(&pager);
    if (pager.pid != 0)
        leave_to_pager(ask);
    ask->print.out = pager.out;
    ask->print.is_screen = isatty(STDOUT_FILENO);
    status = query_ask(ask, &asked);
    pager_end(&pager);
    if (args->has_stats)
        print_stats(&asked);
    else if (status == CLI_NOT_FOUND && isatty(STDERR_FILENO))
        fprintf(stderr, "no rows\n");
out:
    sb_release(&query);
    return status;
}

int
cli_query(int argc, char **argv)
{
    struct args args = {.has_format = false};

    return ask_with(&args, "query", argc, argv);
}

int
cli_tail(int argc, char **argv)
{
    struct args args = {.ask = {.is_tail = true}};

    args.ask.print.is_live = true;
    return ask_with(&args, "tail", argc, argv);
}
