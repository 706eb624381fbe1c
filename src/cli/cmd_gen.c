/* SPDX-License-Identifier: BSD-2-Clause */

/* spoorctl gen: synthetic traces to a server or a file. */

#include "core/base.h"
#include "cli/cli.h"

#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

#include "cli/gen.h"
#include "cli/post.h"
#include "core/file.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "otlp/otlp_encode.h"

#define BATCH_BYTES_MAX (256 * MIB)

struct gen_args {
    const char *url;
    const char *out;
    enum gen_profile profile;
    uint64_t traces;
    uint64_t seed;
    uint64_t batch;
    int64_t spread_ns;
    int64_t start_ns; /* -1: the spread before now */
    enum encoding encoding;
    bool json;
    bool quiet;
};

static const struct option options[] = {
    {"url", required_argument, NULL, 'u'},
    {"out", required_argument, NULL, 'o'},
    {"profile", required_argument, NULL, 'p'},
    {"traces", required_argument, NULL, 'n'},
    {"seed", required_argument, NULL, 's'},
    {"batch", required_argument, NULL, 'b'},
    {"spread", required_argument, NULL, 'd'},
    {"start", required_argument, NULL, 't'},
    {"encoding", required_argument, NULL, 'e'},
    {"json", no_argument, NULL, 'j'},
    {"quiet", no_argument, NULL, 'q'},
    {NULL, 0, NULL, 0},
};

static bool
option_take(struct gen_args *args, int c)
{
    struct sv value = optarg != NULL ? sv_from(optarg) : SV_EMPTY;

    switch (c) {
    case 'u': args->url = optarg; return true;
    case 'o': args->out = optarg; return true;
    case 'p': return gen_profile_from_name(value, &args->profile);
    case 'n': return num_parse_u64(value, &args->traces);
    case 's': return num_parse_u64(value, &args->seed);
    case 'b': return num_parse_u64(value, &args->batch) &&
        args->batch >= 1 && args->batch <= 1000;
    case 'd': return time_parse_duration(value, &args->spread_ns) &&
        args->spread_ns >= 0;
    case 't': return num_parse_i64(value, &args->start_ns) &&
        args->start_ns >= 0 && !__builtin_mul_overflow(args->start_ns,
        NS_PER_SEC, &args->start_ns);
    case 'e': return encoding_from_name(value, &args->encoding);
    case 'j': args->json = true; return true;
    case 'q': args->quiet = true; return true;
    default: return false;
    }
}

struct gen_run {
    const struct gen_args *args;
    struct post *post; /* or */
    int fd;
    uint64_t offset;
    uint64_t spans, requests, bytes;
};

static int
request_out(struct gen_run *run, struct sv body, struct err *err)
{
    run->requests++;
    run->bytes += body.len;
    if (run->post != NULL)
        return post_send(run->post, body, run->args->json,
            run->args->encoding, err);
    if (file_pwrite(run->fd, body.ptr, body.len, run->offset, err) != 0)
        return -1;
    run->offset += body.len;
    return 0;
}

static int
generate(struct gen_run *run, struct gen *gen, struct err *err)
{
    const struct gen_args *args = run->args;
    struct pool *pool = pool_new(BATCH_BYTES_MAX);
    struct sb body;
    int rc = 0;

    sb_init(&body, BATCH_BYTES_MAX);
    for (uint64_t done = 0; rc == 0 && done < args->traces;) {
        unsigned n = (unsigned)MIN(args->batch, args->traces - done);
        struct batch batch;

        pool_reset(pool);
        sb_reset(&body);
        batch_init(&batch, pool);
        if (gen_traces(gen, n, &batch) != 0) {
            rc = err_set(err, ERR_LIMIT, "batch is too large");
            break;
        }
        if (args->json)
            otlp_encode_json(&batch, &body);
        else
            otlp_encode_protobuf(&batch, &body);
        if (args->json && run->post == NULL)
            sb_add_char(&body, '\n');
        rc = request_out(run, sb_sv(&body), err);
        run->spans += batch.nspans;
        done += n;
    }
    sb_release(&body);
    pool_free(pool);
    return rc;
}

static int
gen_open(struct gen_run *run, struct err *err)
{
    if (run->args->out == NULL)
        return post_new(&run->post, cli_url(run->args->url), err);
    run->fd = file_open(run->args->out, O_WRONLY | O_CREAT | O_TRUNC, 0644,
        err);
    return run->fd < 0 ? -1 : 0;
}

int
cli_gen(int argc, char **argv)
{
    struct gen_args args = {.traces = 100, .seed = 1, .batch = 20,
        .spread_ns = 600 * NS_PER_SEC, .start_ns = -1};
    struct gen_run run = {.args = &args, .fd = -1};
    struct err err = ERR_INIT;
    struct gen *gen;
    int64_t start;
    int c, rc;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (!option_take(&args, c))
            return cli_bad_option("gen", options, c);
    }
    if (optind != argc)
        return cli_usage("gen");
    if (args.start_ns < 0)
        args.start_ns = clock_wall_ns() - args.spread_ns;
    if (args.out != NULL && !args.json && args.traces > args.batch)
        args.batch = MIN(args.traces, 1000u);
    if (gen_open(&run, &err) != 0)
        return cli_fail("%s", err.text);
    gen = gen_new(args.profile, args.seed, args.start_ns,
        args.spread_ns / (int64_t)MAX(args.traces, 1u));
    start = clock_mono_ns();
    rc = generate(&run, gen, &err);
    gen_free(gen);
    post_free(run.post);
    file_close(run.fd);
    if (rc != 0)
        return cli_fail("%s", err.text);
    if (!args.quiet)
        printf("%llu spans of %llu traces in %llu requests, %llu bytes, "
            "%.1f s\n", (unsigned long long)run.spans,
            (unsigned long long)args.traces,
            (unsigned long long)run.requests, (unsigned long long)run.bytes,
            (double)(clock_mono_ns() - start) / 1e9);
    return CLI_OK;
}
