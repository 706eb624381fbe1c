/* SPDX-License-Identifier: BSD-2-Clause */

/* spoorctl export: spans of a server or a data directory to OTLP files. */

#include "core/base.h"
#include "cli/cli.h"

#include <getopt.h>

#include "cli/export.h"
#include "cli/slices.h"
#include "core/num.h"

/* Names of files are put behind it. */
#define DIRECTORY_BYTES_MAX (PATH_MAX - 256)

static const struct option options[] = {
    {"url", required_argument, NULL, 'u'},
    {"data", required_argument, NULL, 'd'},
    {"out", required_argument, NULL, 'o'},
    {"format", required_argument, NULL, 'f'},
    {"query", required_argument, NULL, 'Q'},
    {"start", required_argument, NULL, 's'},
    {"end", required_argument, NULL, 'e'},
    {"tenant", required_argument, NULL, 't'},
    {"header", required_argument, NULL, 'h'},
    {"split", required_argument, NULL, 'p'},
    {"slice", required_argument, NULL, 'S'},
    {"resume", no_argument, NULL, 'r'},
    {"partial", no_argument, NULL, 'P'},
    {"quiet", no_argument, NULL, 'q'},
    {NULL, 0, NULL, 0},
};

static bool
format_take(struct export *export, const char *name)
{
    export->has_format = true;
    if (strcmp(name, "json") == 0)
        export->out_conf.format = OTLP_JSON;
    else if (strcmp(name, "proto") == 0)
        export->out_conf.format = OTLP_PROTOBUF;
    else
        return false;
    return true;
}

static bool
option_take(struct export *export, int c)
{
    switch (c) {
    case 'u': export->url = optarg; return true;
    case 'd': export->data = optarg; return true;
    case 'o': export->out_conf.path = optarg; return true;
    case 'f': return format_take(export, optarg);
    case 'Q': export->filter = optarg; return true;
    case 's': return request_time(optarg, &export->start_ns);
    case 'e': return request_time(optarg, &export->end_ns);
    case 't': return request_headers_tenant(&export->headers, optarg);
    case 'h': return request_headers_add(&export->headers, optarg);
    case 'p': return num_parse_size(sv_from(optarg),
        &export->out_conf.split_bytes) && export->out_conf.split_bytes > 0;
    case 'S': return slices_parse_bytes(optarg, &export->slice_bytes);
    case 'r': export->is_resumed = true; return true;
    case 'P': export->take_partial = true; return true;
    case 'q': export->is_quiet = true; return true;
    default: return false;
    }
}

/* What does not go together. */
static int
check_words(const struct export *export)
{
    bool is_stdout = strcmp(export->out_conf.path, "-") == 0;

    if (export->data != NULL && (export->url != NULL ||
        export->filter != NULL || export->is_resumed))
        return cli_fail("export: --data goes with neither --url, --query nor "
            "--resume");
    if (export->data != NULL && strlen(export->data) > DIRECTORY_BYTES_MAX)
        return cli_fail("the name of the directory is too long");
    if (is_stdout && (export->is_resumed || export->out_conf.split_bytes > 0))
        return cli_fail("export: --resume and --split need a file");
    return 0;
}

static void
form_settle(struct export *export)
{
    enum otlp_format format;

    otlp_name_form(export->out_conf.path, &format,
        &export->out_conf.encoding);
    if (!export->has_format)
        export->out_conf.format = format;
}

static void
report(const struct export *export)
{
    /* Standard output may be the export itself. */
    fprintf(stderr, "%llu spans, %llu bytes, %.1f s\n",
        (unsigned long long)otlp_out_spans(export->out),
        (unsigned long long)otlp_out_bytes(export->out),
        progress_seconds(&export->progress));
}

int
cli_export(int argc, char **argv)
{
    struct export export = {.start_ns = INT64_MIN, .end_ns = INT64_MAX};
    struct err err = ERR_INIT;
    int c, status;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (!option_take(&export, c))
            return cli_bad_option("export", options, c);
    }
    if (optind != argc || export.out_conf.path == NULL)
        return cli_usage("export");
    if (check_words(&export) != 0)
        return CLI_ERROR;
    form_settle(&export);
    progress_start(&export.progress, export.is_quiet);
    status = export.data != NULL ? export_data(&export, &err)
        : export_url(&export, &err);
    if (status == CLI_ERROR)
        cli_fail("%s", err.text);
    if (export.out != NULL)
        report(&export);
    otlp_out_free(export.out);
    return status;
}
