/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Load generator with a ledger, and its checker (design: reliability 4.1).
 *
 *   ledger load   --url U --ledger F --seed S --clients N --ms T
 *                 [--batches N] [--first N] [--tries N]
 *   ledger verify --url U --ledger F [--pause-ms M]
 *   ledger summary --ledger F
 *
 * load: N clients send batches of generated traces for T ms and retry each
 * one, as an exporter does, until it is answered or too many tries failed.
 * Every tenth acknowledged batch is sent once more (a retry whose answer was
 * lost): the server must answer success and store nothing.  --batches ends a
 * client after so many, counted from --first.
 *
 * The ledger is an append-only file of struct entry, written with one
 * write(2) each when the fate of a batch is known; the content of a batch
 * follows from (seed, client, batch number).  Nothing of it lives in the
 * server.
 *
 * verify: reads every trace of every batch back by its id and compares the
 * answer byte for byte with what the same renderer makes of the generated
 * spans.  Acknowledged: there, once, equal.  Refused: not there.  Unknown
 * (no answer): all of the batch or nothing.
 */

#include "core/base.h"

#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <unistd.h>

#include "api/jaeger_json.h"
#include "cli/gen.h"
#include "core/assert.h"
#include "core/enc.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "http/client.h"
#include "otlp/otlp_encode.h"

#define CLIENTS_MAX 64u
#define TRACES_PER_BATCH 4u
#define TRIES_MAX 400u
#define POOL_BYTES (64 * MIB)

enum fate { ACKED = 1, REFUSED = 2, UNKNOWN = 3 };

struct entry {
    uint64_t seed; /* of the client's generator */
    uint64_t batch;
    int64_t first_ns;
    uint32_t spans;
    uint32_t fate;
    uint32_t tries;
    uint32_t resent;
    int64_t acked_ns;
};

struct run {
    const char *url;
    int fd;
    int64_t until_ns;
    int64_t first_ns;
    uint64_t seed;
    unsigned clients, tries;
    uint64_t first, batches;
    bool use_json;
};

struct client {
    struct run *run;
    pthread_t thread;
    uint64_t seed;
    int64_t first_ns; /* every third client's spans ended yesterday */
};

/* --- content --- */

/* Batch b of a client: traces 4b .. 4b+3 of its generator. */
static void
make_batch(uint64_t seed, uint64_t batch, int64_t first_ns, struct pool *pool,
    struct batch *out)
{
    uint64_t batch_seed = seed * 1000003 + batch;
    struct gen *gen = gen_new(GEN_SHOP, batch_seed, first_ns, 1000 * 1000);

    batch_init(out, pool);
    check(gen_traces(gen, TRACES_PER_BATCH, out) == 0);
    gen_free(gen);
}

static struct trace_id
batch_trace_id(uint64_t seed, uint64_t batch, unsigned i)
{
    return gen_trace_id(seed * 1000003 + batch, i);
}

/* --- load --- */

static int
send_once(struct http_client *http, struct sv body, bool json,
    struct http_client_reply *reply)
{
    struct http_client_req req = {.method = "POST", .target = "/v1/traces",
        .content_type = json ? "application/json" : "application/x-protobuf",
        .body = body};
    struct err err = ERR_INIT;

    sb_reset(&reply->body);
    if (http_client_do(http, &req, reply, &err) != 0)
        return -1;
    return reply->status;
}

static bool
is_retryable(int status)
{
    return status < 0 || status == 429 || status == 502 || status == 503 ||
        status == 504;
}

static void
send_batch(struct client *client, struct http_client *http, struct sv body,
    bool json, struct entry *entry, struct http_client_reply *reply)
{
    int status = -1;

    while (entry->tries < client->run->tries) {
        entry->tries++;
        status = send_once(http, body, json, reply);
        if (!is_retryable(status))
            break;
        /* Until the end of the run and a good while after it. */
        if (clock_mono_ns() > client->run->until_ns + 20 * NS_PER_SEC)
            break;
        usleep(20000);
    }
    entry->acked_ns = clock_mono_ns();
    entry->fate = status == 200 ? ACKED : is_retryable(status) ? UNKNOWN
        : REFUSED;
    if (entry->fate == REFUSED)
        fprintf(stderr, "ledger: refused with %d: %.*s\n", status,
            (int)MIN(reply->body.len, (size_t)200), reply->body.ptr);
    if (entry->fate == ACKED && entry->batch % 10 == 3) {
        status = send_once(http, body, json, reply);
        entry->resent = status == 200 ? 1 : 2;
    }
}

static void *
client_main(void *arg)
{
    struct client *client = arg;
    struct run *run = client->run;
    struct pool *pool = pool_new(POOL_BYTES);
    struct http_client_reply reply = {0};
    struct http_client *http;
    struct err err = ERR_INIT;
    struct sb body;

    sb_init(&body, POOL_BYTES);
    sb_init(&reply.body, 1 * MIB);
    check(http_client_new(&http, run->url, 10 * NS_PER_SEC, &err) == 0);
    for (uint64_t b = run->first; clock_mono_ns() < run->until_ns &&
        b - run->first < run->batches; b++) {
        struct entry entry = {client->seed, b, client->first_ns, 0, 0, 0, 0,
            0};
        bool json = run->use_json && b % 4 == 1;
        struct batch batch;

        pool_reset(pool);
        sb_reset(&body);
        make_batch(client->seed, b, client->first_ns, pool, &batch);
        if (json)
            otlp_encode_json(&batch, &body);
        else
            otlp_encode_protobuf(&batch, &body);
        entry.spans = batch.nspans;
        send_batch(client, http, sb_sv(&body), json, &entry, &reply);
        check(write(run->fd, &entry, sizeof(entry)) == sizeof(entry));
    }
    http_client_free(http);
    sb_release(&reply.body);
    sb_release(&body);
    pool_free(pool);
    return NULL;
}

static int
load(struct run *run, const char *path, int64_t ms)
{
    static struct client clients[CLIENTS_MAX];

    run->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    check(run->fd >= 0);
    run->first_ns = clock_wall_ns() - NS_PER_SEC;
    run->until_ns = clock_mono_ns() + ms * NS_PER_MS;
    for (unsigned i = 0; i < run->clients; i++) {
        clients[i].run = run;
        clients[i].seed = run->seed * 1000 + i;
        clients[i].first_ns = run->first_ns - (i % 3 == 2 ? NS_PER_DAY : 0);
        check(pthread_create(&clients[i].thread, NULL, client_main,
            &clients[i]) == 0);
    }
    for (unsigned i = 0; i < run->clients; i++)
        pthread_join(clients[i].thread, NULL);
    close(run->fd);
    return 0;
}

/* --- verify --- */

struct totals {
    uint64_t batches, spans, traces, acked, acked_spans, unknown, refused;
    uint64_t resent, resent_bad, retried;
    uint64_t lost, doubled, wrong, invented, halves, errors;
    uint64_t found_spans;
};

static int
start_cmp(const void *left, const void *right)
{
    const struct span *a = left, *b = right;
    int order;

    if (a->start_ns != b->start_ns)
        return a->start_ns < b->start_ns ? -1 : 1;
    order = memcmp(&a->span_id, &b->span_id, 8);
    if (order == 0)
        order = (a->end_ns > b->end_ns) - (a->end_ns < b->end_ns);
    return order;
}

/* The answer the server must give for trace i of the batch. */
static uint32_t
expected_answer(const struct batch *batch, const struct trace_id *id,
    struct sb *out)
{
    struct batch one = *batch;
    struct json_out json;

    one.spans = xmalloc(batch->nspans * sizeof(*one.spans));
    one.nspans = 0;
    for (uint32_t i = 0; i < batch->nspans; i++) {
        if (memcmp(&batch->spans[i].trace_id, id, 16) == 0)
            one.spans[one.nspans++] = batch->spans[i];
    }
    qsort(one.spans, one.nspans, sizeof(*one.spans), start_cmp);
    json_out_init(&json, out);
    jaeger_begin(&json);
    json_array(&json);
    jaeger_trace(&json, &one, NULL);
    json_array_end(&json);
    jaeger_end(&json, 1, NULL, 0);
    xfree(one.spans);
    return one.nspans;
}

static unsigned
count_spans(struct sv json)
{
    unsigned n = 0;

    for (size_t i = 0; i + 15 < json.len; i++)
        n += memcmp(json.ptr + i, "\"operationName\"", 15) == 0;
    return n;
}

enum seen { ABSENT, PRESENT, BROKEN };

static enum seen
verify_trace(struct http_client *http, const struct batch *batch,
    const struct trace_id *id, struct totals *totals)
{
    struct http_client_reply reply = {0};
    struct http_client_req req = {.method = "GET"};
    struct err err = ERR_INIT;
    struct sb target, expected;
    enum seen seen = BROKEN;
    uint32_t spans;

    sb_init(&target, 1024);
    sb_init(&expected, POOL_BYTES);
    sb_init(&reply.body, POOL_BYTES);
    sb_add_str(&target, "/select/jaeger/api/traces/");
    sb_add_hex(&target, id->b, 16);
    req.target = target.ptr;
    spans = expected_answer(batch, id, &expected);
    for (unsigned tries = 0;; tries++) {
        sb_reset(&reply.body);
        if (http_client_do(http, &req, &reply, &err) == 0)
            break;
        if (tries == 50) {
            totals->errors++;
            fprintf(stderr, "ledger: %s\n", err.text);
            goto out;
        }
        usleep(100000);
    }
    if (reply.status == 404) {
        seen = ABSENT;
    } else if (reply.status == 200 &&
        sv_eq(sb_sv(&reply.body), sb_sv(&expected))) {
        seen = PRESENT;
        totals->found_spans += spans;
    } else {
        unsigned got = count_spans(sb_sv(&reply.body));

        totals->wrong++;
        totals->doubled += got > spans;
        fprintf(stderr, "ledger: trace %.32s: status %d, %u spans, expected "
            "%u\n", target.ptr + strlen("/select/jaeger/api/traces/"),
            reply.status, got, spans);
        if (totals->wrong <= 3) {
            fprintf(stderr, "got:  %.*s\nwant: %.*s\n",
                (int)MIN(reply.body.len, (size_t)3000), reply.body.ptr,
                (int)MIN(expected.len, (size_t)3000), expected.ptr);
        }
    }
out:
    sb_release(&reply.body);
    sb_release(&expected);
    sb_release(&target);
    return seen;
}

static void
verify_entry(struct http_client *http, const struct entry *entry,
    struct pool *pool, struct totals *totals)
{
    unsigned present = 0, absent = 0;
    struct batch batch;

    pool_reset(pool);
    make_batch(entry->seed, entry->batch, entry->first_ns, pool, &batch);
    check(batch.nspans == entry->spans);
    for (unsigned i = 0; i < TRACES_PER_BATCH; i++) {
        struct trace_id id = batch_trace_id(entry->seed, entry->batch, i);
        enum seen seen = verify_trace(http, &batch, &id, totals);

        present += seen == PRESENT;
        absent += seen == ABSENT;
        if (seen == ABSENT && entry->fate == ACKED) {
            totals->lost++;
            fprintf(stderr, "ledger: LOST trace of seed %llu batch %llu "
                "(tries %u)\n", (unsigned long long)entry->seed,
                (unsigned long long)entry->batch, entry->tries);
        }
    }
    if (entry->fate == REFUSED && present != 0)
        totals->invented++;
    if (present != 0 && absent != 0)
        totals->halves++;
}

static void
count_entry(const struct entry *entry, struct totals *totals)
{
    totals->batches++;
    totals->spans += entry->spans;
    totals->traces += TRACES_PER_BATCH;
    totals->acked += entry->fate == ACKED;
    totals->acked_spans += entry->fate == ACKED ? entry->spans : 0;
    totals->unknown += entry->fate == UNKNOWN;
    totals->refused += entry->fate == REFUSED;
    totals->resent += entry->resent == 1;
    totals->resent_bad += entry->resent == 2;
    totals->retried += entry->tries > 1;
}

static int
verify(const char *url, const char *path, bool read_back)
{
    struct totals totals = {0};
    struct pool *pool = pool_new(POOL_BYTES);
    struct http_client *http = NULL;
    struct err err = ERR_INIT;
    struct entry entry;
    FILE *file = fopen(path, "r");

    check(file != NULL);
    if (read_back)
        check(http_client_new(&http, url, 10 * NS_PER_SEC, &err) == 0);
    while (fread(&entry, sizeof(entry), 1, file) == 1) {
        count_entry(&entry, &totals);
        if (read_back)
            verify_entry(http, &entry, pool, &totals);
    }
    fclose(file);
    if (http != NULL)
        http_client_free(http);
    pool_free(pool);
    printf("batches=%llu acked=%llu unknown=%llu refused=%llu retried=%llu "
        "resent=%llu spans=%llu acked_spans=%llu found_spans=%llu lost=%llu "
        "doubled=%llu wrong=%llu invented=%llu halves=%llu errors=%llu\n",
        (unsigned long long)totals.batches, (unsigned long long)totals.acked,
        (unsigned long long)totals.unknown,
        (unsigned long long)totals.refused,
        (unsigned long long)totals.retried,
        (unsigned long long)totals.resent, (unsigned long long)totals.spans,
        (unsigned long long)totals.acked_spans,
        (unsigned long long)totals.found_spans,
        (unsigned long long)totals.lost, (unsigned long long)totals.doubled,
        (unsigned long long)totals.wrong,
        (unsigned long long)totals.invented,
        (unsigned long long)totals.halves,
        (unsigned long long)totals.errors);
    return totals.lost + totals.doubled + totals.wrong + totals.invented +
        totals.halves + totals.errors == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"url", required_argument, NULL, 'u'},
        {"ledger", required_argument, NULL, 'l'},
        {"seed", required_argument, NULL, 's'},
        {"clients", required_argument, NULL, 'c'},
        {"ms", required_argument, NULL, 'm'},
        {"batches", required_argument, NULL, 'b'},
        {"first", required_argument, NULL, 'f'},
        {"tries", required_argument, NULL, 't'},
        {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    struct run run = {.seed = 1, .batches = UINT64_MAX};
    const char *path = NULL;
    uint64_t ms = 1000, clients = 4, tries = TRIES_MAX;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        struct sv value = optarg != NULL ? sv_from(optarg) : SV_EMPTY;

        if (c == 'u')
            run.url = optarg;
        else if (c == 'l')
            path = optarg;
        else if (c == 'j')
            run.use_json = true;
        else if (!num_parse_u64(value, c == 's' ? &run.seed
            : c == 'c' ? &clients : c == 'b' ? &run.batches
            : c == 'f' ? &run.first : c == 't' ? &tries : &ms))
            return 2;
    }
    run.clients = (unsigned)MIN(clients, CLIENTS_MAX);
    run.tries = (unsigned)MIN(tries, TRIES_MAX);
    if (path == NULL || optind + 1 != argc)
        return 2;
    if (strcmp(argv[optind], "load") == 0)
        return load(&run, path, (int64_t)ms);
    if (strcmp(argv[optind], "verify") == 0)
        return verify(run.url, path, true);
    return verify(NULL, path, false);
}
