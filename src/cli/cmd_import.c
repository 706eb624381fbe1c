/* SPDX-License-Identifier: BSD-2-Clause */

/* spoorctl import: spans of files or of another server to a server. */

#include "core/base.h"
#include "cli/cli.h"

#include <getopt.h>

#include "cli/import.h"
#include "cli/request.h"
#include "cli/slices.h"
#include "cli/text.h"

/* What cannot be read is printed so often, and then only counted. */
#define BAD_PRINTED_MAX 20u

/* 2200-01-01: years that every server reads. */
#define LATEST_NS (INT64_C(7258118400) * NS_PER_SEC)

struct import_args {
    const char *url;
    const char *from;
    struct import_source source;
    struct request_headers source_headers;
    struct request_headers headers;
    bool is_quiet;
};

static const struct option options[] = {
    {"url", required_argument, NULL, 'u'},
    {"from", required_argument, NULL, 'f'},
    {"from-url", required_argument, NULL, 'F'},
    {"from-tenant", required_argument, NULL, 'T'},
    {"from-header", required_argument, NULL, 'H'},
    {"query", required_argument, NULL, 'Q'},
    {"start", required_argument, NULL, 's'},
    {"end", required_argument, NULL, 'e'},
    {"slice", required_argument, NULL, 'S'},
    {"tenant", required_argument, NULL, 't'},
    {"header", required_argument, NULL, 'h'},
    {"quiet", no_argument, NULL, 'q'},
    {NULL, 0, NULL, 0},
};

void
import_bad(struct import *import, const char *file, const char *place,
    const char *why)
{
    struct sb line;

    if (import->bad++ >= BAD_PRINTED_MAX)
        return;
    sb_init(&line, 8 * KIB);
    text_add(&line, sv_sub(sv_from(why), 0, 500));
    cli_fail("%s: %s: %s", file, place, line.ptr);
    sb_release(&line);
    if (import->bad == BAD_PRINTED_MAX)
        cli_fail("more of these are only counted");
}

int
import_batch(struct import *import, struct batch *batch, const char *where,
    struct err *err)
{
    struct outbox_counts counts;

    if (outbox_add(import->outbox, batch, err) != 0)
        return -1;
    outbox_count(import->outbox, &counts);
    progress_show(&import->progress, counts.spans, where);
    return 0;
}

static bool
is_vt(const struct import_args *args)
{
    return strcmp(args->from, "victoriatraces") == 0;
}

static bool
option_take(struct import_args *args, int c)
{
    switch (c) {
    case 'u': args->url = optarg; return true;
    case 'f':
        args->from = optarg;
        return strcmp(optarg, "otlp") == 0 || is_vt(args);
    case 'F': args->source.url = optarg; return true;
    case 'T': return request_headers_tenant(&args->source_headers, optarg);
    case 'H': return request_headers_add(&args->source_headers, optarg);
    case 'Q': args->source.filter = optarg; return true;
    case 's': return request_time(optarg, &args->source.start_ns);
    case 'e': return request_time(optarg, &args->source.end_ns);
    case 'S': return slices_parse_bytes(optarg, &args->source.slice_bytes);
    case 't': return request_headers_tenant(&args->headers, optarg);
    case 'h': return request_headers_add(&args->headers, optarg);
    case 'q': args->is_quiet = true; return true;
    default: return false;
    }
}

/* All of what was done, also when it ended early; the exit status. */
static int
report(const struct import *import, int rc)
{
    struct outbox_counts counts;

    outbox_count(import->outbox, &counts);
    if (counts.invalid > 0)
        cli_fail("%llu spans were not sent: %s",
            (unsigned long long)counts.invalid, counts.invalid_why);
    if (counts.refused > 0)
        cli_fail("%llu spans were refused by the server: %.*s",
            (unsigned long long)counts.refused,
            SV_ARG(counts.refused_why));
    if (import->bad > 0)
        cli_fail("%llu lines or requests could not be read",
            (unsigned long long)import->bad);
    printf("%llu spans in %llu requests, %llu bytes, %.1f s",
        (unsigned long long)(counts.spans - MIN(counts.refused,
        counts.spans)), (unsigned long long)counts.requests,
        (unsigned long long)counts.bytes,
        progress_seconds(&import->progress));
    if (import->skipped > 0)
        printf("; %llu lines are no spans",
            (unsigned long long)import->skipped);
    if (import->renamed > 0)
        printf("; %llu fields became attributes",
            (unsigned long long)import->renamed);
    printf("\n");
    if (rc != 0)
        return CLI_ERROR;
    return counts.invalid + counts.refused + import->bad > 0 ? CLI_NOT_FOUND
                                                             : CLI_OK;
}

static int
import_file(struct import *import, const struct import_args *args,
    const char *path, struct err *err)
{
    int rc = is_vt(args) ? import_vt_file(import, path, err)
        : import_otlp(import, path, err);

    if (rc != 0 && strstr(err->text, path) == NULL)
        (void)err_wrap(err, "%s", path);
    return rc;
}

/* The files, which end with a NULL, or what --from-url names. */
static int
import_all(struct import *import, const struct import_args *args,
    char **paths, struct err *err)
{
    int rc = 0;

    if (args->source.url != NULL)
        rc = import_vt_url(import, &args->source, err);
    for (; rc == 0 && *paths != NULL; paths++)
        rc = import_file(import, args, *paths, err);
    return rc == 0 ? outbox_flush(import->outbox, err) : -1;
}

int
cli_import(int argc, char **argv)
{
    struct import_args args = {.from = "otlp", .source = {
        .start_ns = 0, .end_ns = LATEST_NS}};
    struct import import = {.bad = 0};
    struct err err = ERR_INIT;
    int c, rc, status;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (!option_take(&args, c))
            return cli_bad_option("import", options, c);
    }
    if ((optind == argc) == (args.source.url == NULL))
        return cli_usage("import");
    args.source.headers = args.source_headers.v;
    if (outbox_new(&import.outbox, cli_url(args.url), args.headers.v,
        &err) != 0)
        return cli_fail("%s", err.text);
    progress_start(&import.progress, args.is_quiet);
    rc = import_all(&import, &args, argv + optind, &err);
    if (rc != 0)
        cli_fail("%s", err.text);
    status = report(&import, rc);
    outbox_free(import.outbox);
    return status;
}
