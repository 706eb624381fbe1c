/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/cli.h"

#include <getopt.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/jaeger_read.h"
#include "cli/text.h"
#include "cli/server_options.h"
#include "core/conf.h"
#include "core/timefmt.h"

#ifndef SPOOR_VERSION
#define SPOOR_VERSION "0.1.0"
#endif

#define REPLY_BYTES_MAX (1 * GIB)
#define TIMEOUT_NS (60 * NS_PER_SEC)
#define ERROR_POOL_BYTES_MAX (64 * MIB)

const struct cli_verb cli_verbs[] = {
    {"gen", "[--url URL | --out FILE] [options]",
        "Make synthetic traces and send them",
        "  --profile P  shop: a web shop (default); a: 7.8 spans a trace, "
        "many\n"
        "               operations; b: 17.9 spans a trace, many uuids\n"
        "  --traces N   how many traces (default 100)\n"
        "  --seed S     same seed, same spans but for times (default 1)\n"
        "  --batch N    traces in one request (default 20)\n"
        "  --json       OTLP/JSON instead of protobuf\n"
        "  --encoding E gzip, deflate, zstd or snappy\n"
        "  --spread D   time from the first trace to the last (default 10m)\n"
        "  --start S    unix time of the first trace (default: the spread "
        "ago);\n"
        "               with it, same seed, same bytes\n"
        "  --quiet      no closing line\n", cli_gen},
    {"send", "[--url URL] FILE...",
        "Send files of OTLP requests (- is standard input)",
        "  .json and .jsonl files hold JSON, one request or several, others "
        "one\n  request as protobuf\n"
        "  --json       the input is OTLP/JSON whatever its name\n", cli_send},
    {"services", "[--url URL] [SERVICE]",
        "List services, or the span names of one", "", cli_services},
    {"search", "[--url URL] --service S [options]",
        "List the newest traces of a service",
        "  --operation NAME  only spans of this name\n"
        "  --since D    how far back (default 7d)\n"
        "  --limit N    how many traces (default 20)\n"
        "  -o ids       only the ids, one a line\n", cli_search},
    {"trace", "[--url URL] [options] ID",
        "Show one trace as a waterfall",
        "  --json       the server's answer as it is\n"
        "  --width N    columns (default: the terminal's)\n", cli_trace},
    {"query", "[--url URL] [options] QUERY",
        "Ask in LogsQL; a table on a terminal, JSON lines elsewhere",
        "  --since D    how far back (default: everything)\n"
        "  --start T, --end T  times as the HTTP API takes them\n"
        "  --limit N    rows, the newest where that means something\n"
        "  --format F   auto, table, long (a field a line), json, csv, "
        "logfmt\n"
        "  --stats      rows, bytes and time on standard error\n"
        "  --tenant A:P, --header H   as for export\n"
        "  The status is 1 when there are no rows.\n", cli_query},
    {"tail", "[--url URL] [options] QUERY",
        "Show rows as they come in; Ctrl-C ends it",
        "  --since D    begin so long ago\n"
        "  A connection that is cut is made again, and what came meanwhile "
        "is shown.\n"
        "  --format F, --tenant A:P, --header H   as for query\n", cli_tail},
    {"shell", "[--url URL] [--tenant A:P] [--header H]",
        "Queries line by line, with completion; spoorctl alone does it, too",
        "  \\help in it says more. Lines come from standard input if that "
        "is no terminal.\n", cli_shell},
    {"cluster", "[--json] [URL]",
        "Show the storage nodes of a front",
        "  --url URL    as for all others, too\n"
        "  --json       the server's answer as it is\n"
        "  FOR is how long the node is up or down. REQUESTS are those with "
        "spans; times\n"
        "  are of the last 5 minutes. QUEUE is what waits on the front's "
        "disk for just\n"
        "  this node. The status is 1 when a node is down or refuses "
        "something.\n", cli_cluster},
    {"check", "[--deep] DIRECTORY",
        "Verify a data directory nobody uses",
        "  --deep       read and decode every row, too\n", cli_check},
    {"export", "[--url URL | --data DIRECTORY] --out FILE [options]",
        "Write spans to files of OTLP requests",
        "  --url URL    of a running server, in slices of time\n"
        "  --data D     of a data directory nobody uses\n"
        "  --out FILE   .jsonl (JSON lines) or .pb (protobuf behind "
        "lengths), then\n"
        "               perhaps .zst or .gz; - is standard output\n"
        "  --format F   json or proto, whatever the name\n"
        "  --split N    a new file beyond so many bytes (1GiB)\n"
        "  --query Q    spans that pass a LogsQL filter (--url)\n"
        "  --start T    spans that end at or after it: a time, or 2h for "
        "two hours ago\n"
        "  --end T      and before it\n"
        "  --tenant A:P account and project (default 0:0)\n"
        "  --header H   \"Name: value\" with each request, repeated\n"
        "  --slice N    largest answer to ask for at a time (64MiB)\n"
        "  --resume     go on with an export that was interrupted (--url)\n"
        "  --partial    take answers that leave damaged data out; status 1\n"
        "  --quiet      no progress\n", cli_export},
    {"import", "[--url URL] [options] FILE... | --from-url URL",
        "Send spans of files or of a VictoriaTraces server to a server",
        "  Files are what export or a Collector's file exporter writes: JSON "
        "lines or\n  protobuf, gzip or zstd, told by their content; - is "
        "standard input.\n"
        "  --from victoriatraces  files hold the lines of "
        "/select/logsql/query\n"
        "  --from-url URL         read these of a VictoriaTraces server, in "
        "slices of time\n"
        "  --query Q    of the rows that pass a LogsQL filter\n"
        "  --start T    of rows with _time at or after it: a time, or 2h for "
        "two hours ago\n"
        "  --end T      and before it\n"
        "  --slice N    largest answer to ask for at a time (64MiB)\n"
        "  --from-tenant A:P, --from-header H   for that server\n"
        "  --tenant A:P account and project to write to (default 0:0)\n"
        "  --header H   \"Name: value\" with each request, repeated\n"
        "  --quiet      no progress\n", cli_import},
    {NULL, NULL, NULL, NULL, NULL},
};

static const struct cli_verb *
verb_find(const char *name)
{
    for (const struct cli_verb *verb = cli_verbs; verb->name != NULL; verb++) {
        if (strcmp(verb->name, name) == 0)
            return verb;
    }
    return NULL;
}

static int
help(FILE *out)
{
    fprintf(out, "usage: spoorctl VERB ...\n\n");
    for (const struct cli_verb *verb = cli_verbs; verb->name != NULL; verb++)
        fprintf(out, "  %-9s %s\n", verb->name, verb->doc);
    fprintf(out, "\nspoorctl VERB --help says more. --url is the server "
        "(default: $SPOOR_URL, http://127.0.0.1:10428).\n"
        "All verbs that ask a server take\n%s", server_options_help);
    return out == stdout ? CLI_OK : CLI_ERROR;
}

int
cli_usage(const char *name)
{
    const struct cli_verb *verb = verb_find(name);

    fprintf(stderr, "usage: spoorctl %s %s\n%s", verb->name, verb->usage,
        verb->help);
    return CLI_ERROR;
}

int
cli_bad_option(const char *name, const struct option *options, int c)
{
    /* getopt has said what it does not know. */
    if (c == '?' || optarg == NULL)
        return cli_usage(name);
    for (; options->name != NULL && options->val != c; options++)
        ;
    if (options->name == NULL)
        return cli_fail("%s: -%c: bad value \"%s\"; spoorctl %s --help says "
            "more", name, c, optarg, name);
    return cli_fail("%s: --%s: bad value \"%s\"; spoorctl %s --help says "
        "more", name, options->name, optarg, name);
}

int
cli_main(int argc, char **argv)
{
    const struct cli_verb *verb;

    signal(SIGPIPE, SIG_DFL);
    if (server_options_take(&argc, argv) != 0)
        return CLI_ERROR;
    if (argc < 2 && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
        static char name[] = "shell";
        char *words[] = {name, NULL};

        return cli_shell(1, words);
    }
    if (argc < 2)
        return help(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        return help(stdout);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-v") == 0) {
        printf("spoorctl %s\n", SPOOR_VERSION);
        return CLI_OK;
    }
    verb = verb_find(argv[1]);
    if (verb == NULL)
        return cli_fail("unknown verb \"%s\"; spoorctl help lists them",
            argv[1]);
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            printf("usage: spoorctl %s %s\n%s\n%s", verb->name, verb->usage,
                verb->doc, verb->help);
            return CLI_OK;
        }
    }
    return verb->run(argc - 1, argv + 1);
}

int
cli_fail(const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "spoorctl: ");
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\n");
    return CLI_ERROR;
}

const char *
cli_url(const char *given)
{
    const char *url = given != NULL ? given : getenv("SPOOR_URL");

    return url != NULL && url[0] != '\0' ? url : "http://127.0.0.1:10428";
}

int
cli_get(const char *url, const char *target, struct sb *body, int *status)
{
    struct http_client_req req = {.method = "GET", .target = target};
    struct http_client_reply reply = {0};
    struct http_client *client;
    struct err err = ERR_INIT;
    int rc;

    sb_init(&reply.body, REPLY_BYTES_MAX);
    if (server_connect(&client, cli_url(url), TIMEOUT_NS, &err) != 0) {
        sb_release(&reply.body);
        cli_fail("%s", err.text);
        return -1;
    }
    rc = http_client_do(client, &req, &reply, &err);
    http_client_free(client);
    if (rc != 0) {
        sb_release(&reply.body);
        cli_fail("%s", err.text);
        return -1;
    }
    *status = reply.status;
    *body = reply.body;
    return 0;
}

void
cli_print_answer(int status, struct sv body)
{
    struct pool *pool = pool_new(ERROR_POOL_BYTES_MAX);
    struct sv text = jaeger_read_error(body, pool);
    struct sb line;

    sb_init(&line, 8 * KIB);
    sb_addf(&line, "the server answered %d: ", status);
    text_add(&line, sv_sub(sv_trim(text), 0, 1000));
    cli_fail("%s", line.ptr);
    sb_release(&line);
    pool_free(pool);
}

void
cli_escape(struct sb *out, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (const char *c = text; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;

        if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
            (byte >= '0' && byte <= '9') || strchr("-_.~", byte) != NULL) {
            sb_add_char(out, *c);
        } else {
            sb_add_char(out, '%');
            sb_add_char(out, digits[byte >> 4]);
            sb_add_char(out, digits[byte & 15]);
        }
    }
}

bool
cli_has_color(void)
{
    const char *no_color = getenv("NO_COLOR");

    return isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0');
}

unsigned
cli_width(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        return size.ws_col;
    return 100;
}
