/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What a front does with a span between decoding and sending: a request is
 * split for three nodes, plain and with zstd; beside it the way not taken,
 * where the decoded spans are encoded again.  Microseconds of CPU a span, and
 * bytes; profiles a and b of the generator.
 */

#include "core/base.h"

#include <time.h>

#include "cli/gen.h"
#include "cluster/share.h"
#include "core/assert.h"
#include "core/timefmt.h"
#include "otlp/otlp.h"
#include "otlp/otlp_encode.h"

#define SAMPLES 5
#define SPANS_TOTAL 100000u
#define FIRST_NS INT64_C(1795219200000000000)

static struct node all[3] = {{.name = "a", .seed = 1},
    {.name = "b", .seed = 2}, {.name = "c", .seed = 3}};
static const struct nodes nodes = {ARRAY_LEN(all), all};

enum way { WAY_PLAIN, WAY_ZSTD, WAY_ENCODE, WAYS };

struct request {
    struct ingest ingest;
    struct batch batch;
    struct sb body;
};

static int64_t
cpu_ns(void)
{
    struct timespec ts;

    check(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0);
    return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static void
request_make(struct request *request, enum gen_profile profile,
    unsigned traces)
{
    struct gen *gen = gen_new(profile, 1, FIRST_NS, NS_PER_MS);
    struct pool *pool = pool_new(1 * GIB);
    struct err err = ERR_INIT;
    struct batch made;

    batch_init(&made, pool);
    check(gen_traces(gen, traces, &made) == 0);
    sb_init(&request->body, 1 * GIB);
    otlp_encode_protobuf(&made, &request->body);
    pool_free(pool);
    gen_free(gen);
    batch_init(&request->batch, pool_new(1 * GIB));
    check(otlp_decode_protobuf(sb_sv(&request->body), &request->batch,
        &err) == 0);
    request->ingest = (struct ingest){.batch = &request->batch,
        .plain = sb_sv(&request->body), .params = SV_EMPTY};
}

/* Bytes that would be sent. */
static size_t
run_once(const struct request *request, enum way way)
{
    struct share_conf conf = {.nodes = &nodes, .takers = {7},
        .is_plain = way == WAY_PLAIN};
    struct err err = ERR_INIT;
    struct share *shares;
    size_t bytes = 0;
    struct sb out;

    if (way == WAY_ENCODE) {
        sb_init(&out, 1 * GIB);
        otlp_encode_protobuf(&request->batch, &out);
        bytes = out.len;
        sb_release(&out);
        return bytes;
    }
    check(shares_make(&conf, &request->ingest, &shares, &err) == 0);
    for (struct share *share = shares; share != NULL; share = share->next)
        bytes += share->frame.len;
    shares_free(shares);
    return bytes;
}

static void
run(const struct request *request, enum gen_profile profile, enum way way)
{
    static const char *const names[WAYS] = {"split", "split+zstd",
        "encode alone"};
    uint32_t nspans = request->batch.nspans;
    uint32_t rounds = MAX(SPANS_TOTAL / nspans, 1);
    int64_t best = INT64_MAX;
    size_t bytes = 0;

    for (int sample = 0; sample < SAMPLES; sample++) {
        int64_t start = cpu_ns();

        for (uint32_t i = 0; i < rounds; i++)
            bytes = run_once(request, way);
        best = MIN(best, cpu_ns() - start);
    }
    printf("%s %-12s %6u spans/request %7.3f us/span %6.1f bytes/span of "
        "%zu\n", profile == GEN_A ? "a" : "b", names[way], nspans,
        (double)best / 1000 / rounds / nspans, (double)bytes / nspans,
        request->body.len / nspans);
}

int
main(void)
{
    static const unsigned traces[] = {10, 100, 1000};

    for (enum gen_profile profile = GEN_A; profile <= GEN_B; profile++) {
        for (size_t i = 0; i < ARRAY_LEN(traces); i++) {
            struct request request;

            request_make(&request, profile, traces[i]);
            for (enum way way = WAY_PLAIN; way < WAYS; way++)
                run(&request, profile, way);
            pool_free(request.batch.pool);
            sb_release(&request.body);
        }
    }
    return 0;
}
