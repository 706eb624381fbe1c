/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Load for bench/small and bench/conns: blocking threads that send as fast
 * as they are answered, and count the answers.
 *
 *   load ingest --url U --seconds N --clients C --traces T --acked FILE
 *               [--gzip] [--pause-ms P]   P: after 429, 503 and failures
 *   load query  --url U --seconds N --clients C [--pause-ms P] TARGET...
 *   load lookup --url U --seconds N --clients C [--pause-ms P] --traces T
 *               --acked FILE              T of the run that writes FILE
 *   load verify --url U --clients C --traces T --acked FILE [--every N]
 *
 * ingest makes a new request of T traces each time and never sends one
 * again; FILE gets the seed and number of each one that was answered 200.
 * query goes through the targets.  lookup gets one random trace by its id at
 * a time, while FILE grows.  verify reads every trace of every Nth
 * request of FILE back by its id and counts its spans; want= says how many
 * there have to be.  Each prints name=value pairs.
 */

#include "core/base.h"

#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <unistd.h>

#include "cli/gen.h"
#include "core/assert.h"
#include "core/compress.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "http/client.h"
#include "otlp/otlp_encode.h"

#define CLIENTS_MAX 256u
#define POOL_BYTES (256 * MIB)
#define TIMEOUT_NS (10 * NS_PER_SEC)
#define LATENCIES_MAX 1000000u

struct entry {
    uint64_t seed;
    uint64_t batch;
    int64_t start_ns;
};

struct counts {
    uint64_t sent, ok, busy, unavailable, other, failed, spans, bytes;
    uint64_t missing, traces, want;
};

static struct {
    const char *url;
    const char *path;
    uint64_t seconds, clients, traces, pause_ms, every;
    bool gzip;
    char **targets;
    int ntargets;
    int fd;
    int64_t until_ns;
    struct entry *entries;
    size_t nentries;
} args = {.seconds = 10, .clients = 4, .traces = 20, .pause_ms = 20,
    .every = 1};

static struct client {
    pthread_t thread;
    unsigned number;
    struct counts counts;
    uint32_t *latency_us;
    size_t nlatencies;
} clients[CLIENTS_MAX];

static void
count_answer(struct client *client, int status, int64_t took_ns)
{
    struct counts *counts = &client->counts;

    counts->sent++;
    if (status == 200 || status == 404)
        counts->ok++;
    else if (status == 429)
        counts->busy++;
    else if (status == 503)
        counts->unavailable++;
    else if (status < 0)
        counts->failed++;
    else
        counts->other++;
    if ((status == 200 || status == 404) &&
        client->nlatencies < LATENCIES_MAX)
        client->latency_us[client->nlatencies++] =
            (uint32_t)MIN(took_ns / 1000, (int64_t)UINT32_MAX);
}

static int
do_request(struct client *client, struct http_client *http,
    const struct http_client_req *req, struct http_client_reply *reply)
{
    int64_t start = clock_mono_ns();
    struct err err = ERR_INIT;
    int status;

    sb_reset(&reply->body);
    status = http_client_do(http, req, reply, &err) != 0 ? -1
        : reply->status;
    count_answer(client, status, clock_mono_ns() - start);
    if (status != 200 && status != 404)
        usleep((useconds_t)(args.pause_ms * 1000));
    return status;
}

static void
make_batch(uint64_t seed, uint64_t batch, int64_t start_ns,
    struct batch *out)
{
    struct gen *gen = gen_new(GEN_SHOP, seed * 1000003 + batch, start_ns,
        NS_PER_MS);

    check(gen_traces(gen, (uint32_t)args.traces, out) == 0);
    gen_free(gen);
}

/* --- ingest --- */

static void *
ingest_main(void *arg)
{
    struct client *client = arg;
    struct pool *pool = pool_new(POOL_BYTES);
    struct http_client_reply reply = {0};
    struct http_client *http;
    struct err err = ERR_INIT;
    struct sb body, packed;

    sb_init(&body, POOL_BYTES);
    sb_init(&packed, POOL_BYTES);
    sb_init(&reply.body, 1 * MIB);
    check(http_client_new(&http, args.url, TIMEOUT_NS, &err) == 0);
    for (uint64_t b = 0; clock_mono_ns() < args.until_ns; b++) {
        struct entry entry = {(uint64_t)getpid() * 1000 + client->number, b,
            clock_wall_ns() - NS_PER_SEC};
        struct http_client_req req = {.method = "POST",
            .target = "/v1/traces",
            .content_type = "application/x-protobuf"};
        struct batch batch;

        pool_reset(pool);
        sb_reset(&body);
        sb_reset(&packed);
        batch_init(&batch, pool);
        make_batch(entry.seed, b, entry.start_ns, &batch);
        otlp_encode_protobuf(&batch, &body);
        req.body = sb_sv(&body);
        if (args.gzip) {
            check(compress_append(ENCODING_GZIP, req.body, 1, &packed,
                &err) == 0);
            req.body = sb_sv(&packed);
            req.content_encoding = "gzip";
        }
        if (do_request(client, http, &req, &reply) != 200)
            continue;
        client->counts.spans += batch.nspans;
        client->counts.bytes += body.len;
        check(write(args.fd, &entry, sizeof(entry)) == sizeof(entry));
    }
    http_client_free(http);
    return NULL;
}

/* --- query --- */

static void *
query_main(void *arg)
{
    struct client *client = arg;
    struct http_client_reply reply = {0};
    struct http_client *http;
    struct err err = ERR_INIT;

    sb_init(&reply.body, POOL_BYTES);
    check(http_client_new(&http, args.url, TIMEOUT_NS, &err) == 0);
    for (uint64_t i = client->number; clock_mono_ns() < args.until_ns; i++) {
        struct http_client_req req = {.method = "GET",
            .target = args.targets[i % (uint64_t)args.ntargets]};

        do_request(client, http, &req, &reply);
        usleep((useconds_t)(args.pause_ms * 1000));
    }
    http_client_free(http);
    return NULL;
}

static unsigned
count_spans(struct sv json)
{
    unsigned n = 0;

    for (const char *at = json.ptr; (at = strstr(at, "\"operationName\""))
        != NULL; at++)
        n++;
    return n;
}

static void
print_target(char *out, size_t size, const struct entry *entry, uint32_t nth)
{
    struct trace_id id = gen_trace_id(entry->seed * 1000003 + entry->batch,
        nth);
    struct sb text;

    sb_init(&text, 64);
    sb_add_hex(&text, id.b, 16);
    snprintf(out, size, "/select/jaeger/api/traces/%s", text.ptr);
    sb_release(&text);
}

/* --- lookup --- */

static bool
pick_entry(struct entry *out, unsigned *random)
{
    off_t n = lseek(args.fd, 0, SEEK_END) / (off_t)sizeof(*out);

    return n > 0 && pread(args.fd, out, sizeof(*out),
        (off_t)rand_r(random) % n * (off_t)sizeof(*out)) ==
        (ssize_t)sizeof(*out);
}

static void *
lookup_main(void *arg)
{
    struct client *client = arg;
    struct http_client_reply reply = {0};
    struct http_client *http;
    struct err err = ERR_INIT;
    unsigned random = client->number + 1;

    sb_init(&reply.body, POOL_BYTES);
    check(http_client_new(&http, args.url, TIMEOUT_NS, &err) == 0);
    while (clock_mono_ns() < args.until_ns) {
        struct http_client_req req = {.method = "GET"};
        struct entry entry;
        char target[128];

        if (pick_entry(&entry, &random)) {
            print_target(target, sizeof(target), &entry,
                (uint32_t)rand_r(&random) % (uint32_t)args.traces);
            req.target = target;
            if (do_request(client, http, &req, &reply) == 200)
                client->counts.spans += count_spans(sb_sv(&reply.body));
            else if (reply.status == 404)
                client->counts.missing++;
        }
        usleep((useconds_t)(args.pause_ms * 1000));
    }
    http_client_free(http);
    return NULL;
}

/* --- verify --- */

static void
verify_entry(struct client *client, struct http_client *http,
    struct http_client_reply *reply, const struct entry *entry,
    const struct batch *batch)
{
    for (uint32_t t = 0; t < args.traces; t++) {
        struct trace_id id = gen_trace_id(entry->seed * 1000003 +
            entry->batch, t);
        struct http_client_req req = {.method = "GET"};
        unsigned want = 0, got = 0;
        char target[128];
        int status = -1;

        for (uint32_t i = 0; i < batch->nspans; i++)
            want += memcmp(&batch->spans[i].trace_id, &id, 16) == 0;
        print_target(target, sizeof(target), entry, t);
        req.target = target;
        for (unsigned tries = 0; tries < 100 && status != 200 &&
            status != 404; tries++)
            status = do_request(client, http, &req, reply);
        if (status == 200)
            got = count_spans(sb_sv(&reply->body));
        client->counts.traces++;
        client->counts.want += want;
        client->counts.spans += got;
        if (got == want)
            continue;
        client->counts.missing += want > got ? want - got : got - want;
        fprintf(stderr, "load: %s: %u spans, want %u\n", target, got, want);
    }
}

static void *
verify_main(void *arg)
{
    struct client *client = arg;
    struct pool *pool = pool_new(POOL_BYTES);
    struct http_client_reply reply = {0};
    struct http_client *http;
    struct err err = ERR_INIT;

    sb_init(&reply.body, POOL_BYTES);
    check(http_client_new(&http, args.url, TIMEOUT_NS, &err) == 0);
    for (size_t i = client->number * args.every; i < args.nentries;
        i += args.clients * args.every) {
        const struct entry *entry = &args.entries[i];
        struct batch batch;

        pool_reset(pool);
        batch_init(&batch, pool);
        make_batch(entry->seed, entry->batch, entry->start_ns, &batch);
        verify_entry(client, http, &reply, entry, &batch);
    }
    http_client_free(http);
    return NULL;
}

static void
read_entries(void)
{
    struct sb text;
    struct err err = ERR_INIT;
    FILE *file = fopen(args.path, "r");
    char chunk[4096];
    size_t n;

    (void)err;
    check(file != NULL);
    sb_init(&text, 1 * GIB);
    while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0)
        sb_add(&text, chunk, n);
    fclose(file);
    args.nentries = text.len / sizeof(struct entry);
    args.entries = (struct entry *)(void *)sb_detach(&text, &n);
}

/* --- all --- */

static int
compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void
report(void)
{
    struct counts all = {0};
    uint32_t *latency;
    size_t n = 0;

    for (unsigned i = 0; i < args.clients; i++)
        n += clients[i].nlatencies;
    latency = xmalloc(n * sizeof(*latency) + 1);
    n = 0;
    for (unsigned i = 0; i < args.clients; i++) {
        const uint64_t *from = (const uint64_t *)&clients[i].counts;
        uint64_t *to = (uint64_t *)&all;

        for (size_t k = 0; k < sizeof(all) / sizeof(*to); k++)
            to[k] += from[k];
        memcpy(latency + n, clients[i].latency_us,
            clients[i].nlatencies * sizeof(*latency));
        n += clients[i].nlatencies;
    }
    qsort(latency, n, sizeof(*latency), compare_u32);
    printf("sent=%llu ok=%llu busy=%llu unavailable=%llu other=%llu "
        "failed=%llu spans=%llu bytes=%llu traces=%llu missing=%llu want=%llu "
        "p50_us=%u p99_us=%u max_us=%u\n",
        (unsigned long long)all.sent, (unsigned long long)all.ok,
        (unsigned long long)all.busy, (unsigned long long)all.unavailable,
        (unsigned long long)all.other, (unsigned long long)all.failed,
        (unsigned long long)all.spans, (unsigned long long)all.bytes,
        (unsigned long long)all.traces, (unsigned long long)all.missing,
        (unsigned long long)all.want,
        n > 0 ? latency[n / 2] : 0, n > 0 ? latency[n * 99 / 100] : 0,
        n > 0 ? latency[n - 1] : 0);
}

static int
read_args(int argc, char **argv)
{
    static const struct option options[] = {
        {"url", required_argument, NULL, 'u'},
        {"acked", required_argument, NULL, 'a'},
        {"seconds", required_argument, NULL, 's'},
        {"clients", required_argument, NULL, 'c'},
        {"traces", required_argument, NULL, 't'},
        {"pause-ms", required_argument, NULL, 'p'},
        {"every", required_argument, NULL, 'e'},
        {"gzip", no_argument, NULL, 'g'}, {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        struct sv value = optarg != NULL ? sv_from(optarg) : SV_EMPTY;

        if (c == 'u')
            args.url = optarg;
        else if (c == 'a')
            args.path = optarg;
        else if (c == 'g')
            args.gzip = true;
        else if (c == '?' || !num_parse_u64(value, c == 's' ? &args.seconds
            : c == 'c' ? &args.clients : c == 't' ? &args.traces
            : c == 'e' ? &args.every
            : &args.pause_ms))
            return -1;
    }
    args.clients = MAX(MIN(args.clients, CLIENTS_MAX), 1u);
    args.every = MAX(args.every, 1u);
    return args.url != NULL && optind < argc ? 0 : -1;
}

int
main(int argc, char **argv)
{
    void *(*run)(void *) = NULL;

    if (read_args(argc, argv) != 0)
        return 2;
    args.targets = argv + optind + 1;
    args.ntargets = argc - optind - 1;
    if (strcmp(argv[optind], "query") == 0 && args.ntargets > 0) {
        run = query_main;
    } else if (strcmp(argv[optind], "ingest") == 0 && args.path != NULL) {
        run = ingest_main;
        args.fd = open(args.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
            0644);
        check(args.fd >= 0);
    } else if (strcmp(argv[optind], "lookup") == 0 && args.path != NULL) {
        run = lookup_main;
        args.fd = open(args.path, O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
        check(args.fd >= 0);
    } else if (strcmp(argv[optind], "verify") == 0 && args.path != NULL) {
        run = verify_main;
        read_entries();
    } else {
        return 2;
    }
    args.until_ns = clock_mono_ns() + (int64_t)args.seconds * NS_PER_SEC;
    for (unsigned i = 0; i < args.clients; i++) {
        clients[i].number = i;
        clients[i].latency_us = xmalloc(LATENCIES_MAX * sizeof(uint32_t));
        check(pthread_create(&clients[i].thread, NULL, run,
            &clients[i]) == 0);
    }
    for (unsigned i = 0; i < args.clients; i++)
        pthread_join(clients[i].thread, NULL);
    report();
    return 0;
}
