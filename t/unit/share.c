/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The split of inserts: what all parcels hold together is what came, without
 * what was rejected; each trace is whole in the parcels of one node; parcels
 * do not change when other nodes come and go.
 */

#include "core/base.h"
#include "cluster/share.h"

#include "core/assert.h"
#include "core/mem.h"
#include "otlp/otlp.h"
#include "otlp/otlp_encode.h"
#include "otlp_make.h"
#include "span/params.h"
#include "span_gen.h"
#include "tap.h"

#define NODES 5
#define POOL_MAX (1 * GIB)

static struct node all[NODES];
static struct nodes nodes = {NODES, all};

static void
make_nodes(void)
{
    static const char *const names[NODES] = {"a:1", "b:1", "c:1", "d:1",
        "e:1"};

    for (unsigned i = 0; i < NODES; i++)
        all[i] = (struct node){.name = names[i],
            .seed = node_seed(sv_from(names[i]))};
}

/* --- requests --- */

struct request {
    struct ingest ingest;
    struct batch batch;
    struct sb body;
};

static void
request_decode(struct request *request, enum otlp_format format,
    struct sv params)
{
    struct err err = ERR_INIT;

    request->ingest = (struct ingest){.tenant = {1, 2}, .format = format,
        .params = params, .batch = &request->batch,
        .plain = sb_sv(&request->body)};
    batch_init(&request->batch, pool_new(POOL_MAX));
    check(otlp_decode_request(format, params, sb_sv(&request->body),
        &request->batch, &err) == 0);
}

static void
request_make(struct request *request, uint64_t seed, uint32_t n,
    enum otlp_format format)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct span_gen gen;
    struct batch batch;

    span_gen_init(&gen, seed);
    gen.huge_every = n < 1000 ? 0 : 2000;
    if (gen.huge_every == 0)
        gen.huge_every = 100000;
    batch_init(&batch, pool);
    if (seed % 2 == 0)
        span_gen_wild(&gen, &batch, n);
    else
        span_gen_real(&gen, &batch, 4, n);
    /* Spans of few traces, so that many meet. */
    for (uint32_t i = 0; i < n; i++)
        memset(&batch.spans[i].trace_id, 1 + (int)gen_below(&gen, 40),
            sizeof(struct trace_id));
    sb_init(&request->body, POOL_MAX);
    if (format == OTLP_JSON)
        otlp_encode_json(&batch, &request->body);
    else
        otlp_encode_protobuf(&batch, &request->body);
    pool_free(pool);
    request_decode(request, format, SV_EMPTY);
}

static void
request_free(struct request *request)
{
    pool_free(request->batch.pool);
    sb_release(&request->body);
}

/* --- what comes out --- */

struct seen {
    uint64_t sum[2];  /* of the hashes of all spans */
    uint32_t nspans;
    unsigned nshares;
    unsigned misplaced;
    size_t largest;
};

static void
see_span(struct seen *seen, const struct batch *batch,
    const struct span *span)
{
    uint64_t hash[2];

    span_hash(batch, span, (uint8_t *)hash);
    seen->sum[0] += hash[0];
    seen->sum[1] += hash[1];
    seen->nspans++;
}

static void
see_share(struct seen *seen, const struct share_conf *conf,
    const struct ingest *ingest, const struct share *share)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct parcel again = share->parcel;
    struct err err = ERR_INIT;
    struct batch batch;
    struct sb plain;
    uint64_t everybody[NODES_MAX / 64] = {UINT64_MAX};

    sb_init(&plain, POOL_MAX);
    if (share->parcel.encoding == ENCODING_ZSTD)
        check(decompress(ENCODING_ZSTD, share->parcel.body, POOL_MAX, &plain,
            &err) == 0);
    else
        sb_add_sv(&plain, share->parcel.body);
    parcel_make_id(&again, sb_sv(&plain));
    check(memcmp(again.id, share->parcel.id, sizeof(again.id)) == 0);
    batch_init(&batch, pool);
    check(otlp_decode_request(OTLP_PROTOBUF, ingest->params, sb_sv(&plain),
        &batch, &err) == 0);
    check(batch.nspans == share->parcel.nspans && batch.nspans > 0);
    for (uint32_t i = 0; i < batch.nspans; i++) {
        uint64_t key = trace_key(&batch.spans[i].trace_id);
        unsigned home = nodes_choose(conf->nodes, key, everybody);
        bool takes = (conf->takers[0] >> home & 1) != 0;
        unsigned target = takes || conf->takers[0] == 0 ? home
            : nodes_choose(conf->nodes, key, conf->takers);

        seen->misplaced += home != share->home || target != share->target;
        see_span(seen, &batch, &batch.spans[i]);
    }
    seen->nshares++;
    seen->largest = MAX(seen->largest, plain.len);
    sb_release(&plain);
    pool_free(pool);
}

static struct seen
see_all(const struct share_conf *conf, const struct ingest *ingest,
    const struct share *shares)
{
    struct seen seen = {{0, 0}, 0, 0, 0, 0};

    for (const struct share *s = shares; s != NULL; s = s->next)
        see_share(&seen, conf, ingest, s);
    return seen;
}

static void
same_spans(const struct request *request, const struct share_conf *conf,
    const char *name)
{
    struct seen want = {{0, 0}, 0, 0, 0, 0}, got;
    struct err err = ERR_INIT;
    struct share *shares;

    for (uint32_t i = 0; i < request->batch.nspans; i++) {
        if (request->batch.spans[i].reject == REJECT_NONE)
            see_span(&want, &request->batch, &request->batch.spans[i]);
    }
    ok(shares_make(conf, &request->ingest, &shares, &err) == 0, "%s: %s",
        name, err.text);
    got = see_all(conf, &request->ingest, shares);
    is_int(got.nspans, want.nspans, "%s: spans", name);
    ok(got.sum[0] == want.sum[0] && got.sum[1] == want.sum[1],
        "%s: the same ones", name);
    is_int(got.misplaced, 0, "%s: where they belong", name);
    shares_free(shares);
}

static void
test_same(void)
{
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct share_conf conf = {.nodes = &nodes,
            .takers = {seed % 5 == 0 ? 0 : seed % 32},
            .is_plain = seed % 3 == 0};
        struct request request;
        char name[64];

        snprintf(name, sizeof(name), "seed %u", (unsigned)seed);
        request_make(&request, seed, 60, seed % 4 == 3 ? OTLP_JSON
            : OTLP_PROTOBUF);
        for (uint32_t i = 0; i < request.batch.nspans; i += 7)
            batch_reject(&request.batch, i, REJECT_TOO_OLD);
        same_spans(&request, &conf, name);
        request_free(&request);
    }
}

/* Nobody is known: one parcel for whoever comes. */
static void
test_no_nodes(void)
{
    const struct nodes none = {0, NULL};
    struct share_conf conf = {.nodes = &none};
    struct err err = ERR_INIT;
    struct request request;
    struct share *shares;

    request_make(&request, 3, 50, OTLP_PROTOBUF);
    ok(shares_make(&conf, &request.ingest, &shares, &err) == 0, "no nodes");
    ok(shares != NULL && shares->next == NULL, "one share");
    is_int(shares->home, 0, "for nobody");
    is_int(shares->parcel.nspans, 50, "of all spans");
    shares_free(shares);
    request_free(&request);
}

/* Bits of the parcels of homes that take inserts, ids summed up. */
static uint64_t
ids_of_home(const struct share *shares, unsigned home)
{
    uint64_t sum = 0, id;

    for (const struct share *s = shares; s != NULL; s = s->next) {
        memcpy(&id, s->parcel.id, sizeof(id));
        if (s->home == home)
            sum += id;
    }
    return sum;
}

static void
test_stable(void)
{
    struct share_conf conf = {.nodes = &nodes, .takers = {31}};
    struct err err = ERR_INIT;
    struct share *before, *again, *after;
    struct request request;
    unsigned changed = 0, moved = 0, targets = 0;

    request_make(&request, 5, 400, OTLP_PROTOBUF);
    check(shares_make(&conf, &request.ingest, &before, &err) == 0);
    check(shares_make(&conf, &request.ingest, &again, &err) == 0);
    conf.takers[0] = 31 & ~4u;
    check(shares_make(&conf, &request.ingest, &after, &err) == 0);
    for (unsigned i = 0; i < NODES; i++) {
        changed += ids_of_home(before, i) != ids_of_home(again, i);
        changed += i != 2 && ids_of_home(before, i) != ids_of_home(after, i);
        moved += i == 2 && ids_of_home(before, i) != ids_of_home(after, i);
    }
    is_int(changed, 0, "parcels of others stay what they are");
    is_int(moved, 1, "those of a node that is gone do not");
    for (const struct share *s = after; s != NULL; s = s->next) {
        check(s->target != 2);
        if (s->home == 2)
            targets |= 1u << s->target;
    }
    ok(__builtin_popcount(targets) >= 3, "and spread over the others");
    shares_free(before);
    shares_free(again);
    shares_free(after);
    request_free(&request);
}

static void
test_sizes(void)
{
    struct share_conf conf = {.nodes = &nodes, .takers = {31},
        .is_plain = true};
    struct err err = ERR_INIT;
    struct request request;
    struct share *shares;
    struct seen seen;

    request_make(&request, 7, 40000, OTLP_PROTOBUF);
    check(shares_make(&conf, &request.ingest, &shares, &err) == 0);
    seen = see_all(&conf, &request.ingest, shares);
    is_int(seen.nspans, 40000, "a large request");
    ok(seen.nshares > NODES, "has %u parcels", seen.nshares);
    ok(seen.largest <= SHARE_BYTES_MAX + 64 * KIB, "of at most %zu bytes",
        seen.largest);
    shares_free(shares);
    request_free(&request);
}

/* A resource of 3 MiB with spans for all nodes and many parcels. */
static void
test_large_resource(void)
{
    struct share_conf conf = {.nodes = &nodes, .takers = {31},
        .is_plain = true};
    struct err err = ERR_INIT;
    struct request request;
    struct pool *pool = pool_new(POOL_MAX);
    struct resource *resource;
    struct share *shares;
    struct batch batch;
    struct attr attr = {SV("huge"), {.type = VALUE_STRING}};
    char *text = xmalloc(6 * MIB);

    memset(text, 'x', 6 * MIB);
    attr.value.str = sv_make(text, 6 * MIB);
    batch_init(&batch, pool);
    resource = batch_add_resource(&batch, NULL);
    check(resource != NULL && batch_add_scope(&batch, NULL) != NULL);
    resource->attrs = (struct attrs){&attr, 1};
    for (uint32_t i = 0; i < 60000; i++) {
        struct span *span = batch_add_span(&batch, NULL);

        check(span != NULL);
        memcpy(&span->trace_id, &(uint64_t){i + 1}, sizeof(uint64_t));
        memcpy(&span->span_id, &(uint64_t){i + 1}, sizeof(uint64_t));
        span->name = sv_make(text, 100);
    }
    sb_init(&request.body, POOL_MAX);
    otlp_encode_protobuf(&batch, &request.body);
    request_decode(&request, OTLP_PROTOBUF, SV_EMPTY);
    is_int(shares_make(&conf, &request.ingest, &shares, &err), -1,
        "copies of a resource are bounded");
    is_int(err.code, ERR_LIMIT, "%s", err.text);
    ok(shares == NULL, "nothing comes out");
    request_free(&request);
    pool_free(pool);
    xfree(text);
}

/* Parameters are done once here and once there, with the same result. */
static void
test_params(void)
{
    static const struct {
        enum params_kind kind;
        const char *text;
    } lists[] = {
        {PARAMS_EXTRA, "zone=north,span_attr:tier=gold,name=all"},
        {PARAMS_IGNORE, "span_attr:a*,resource_attr:h*,kind"},
        {PARAMS_DECOLORIZE, "name,span_attr:*"},
        {PARAMS_STREAM, "span_attr:tier"},
    };
    struct share_conf conf = {.nodes = &nodes, .takers = {31}};
    struct pool *pool = pool_new(1 * MIB);
    struct params params = {0};
    struct err err = ERR_INIT;
    struct sv canonical;

    for (unsigned i = 0; i < ARRAY_LEN(lists); i++)
        check(params_set(&params, lists[i].kind, sv_from(lists[i].text),
            pool, &err) == 0);
    check(params_encode(&params, pool, &canonical, &err) == 0);
    for (int is_json = 0; is_json < 2; is_json++) {
        struct request request;

        request_make(&request, 11, 80, is_json ? OTLP_JSON : OTLP_PROTOBUF);
        pool_free(request.batch.pool);
        request_decode(&request, is_json ? OTLP_JSON : OTLP_PROTOBUF,
            canonical);
        same_spans(&request, &conf, is_json ? "parameters of JSON"
            : "parameters of protobuf");
        request_free(&request);
    }
    pool_free(pool);
}

/* Fields that no version knows, and messages in an order that none writes. */
static void
test_odd_order(void)
{
    struct share_conf conf = {.nodes = &nodes, .takers = {31}};
    struct request request;
    struct sb span, scope_spans, resource_spans;

    sb_init(&span, BODY_MAX);
    sb_init(&scope_spans, BODY_MAX);
    sb_init(&resource_spans, BODY_MAX);
    sb_init(&request.body, BODY_MAX);
    for (int i = 0; i < 4; i++) {
        sb_reset(&span);
        put_ids(&span);
        wire_put_bytes(&span, 77, SV("unknown"));
        wire_put_bytes(&scope_spans, 2, sb_sv(&span));
        wire_put_bytes(&scope_spans, 99, SV("unknown"));
    }
    wire_put_bytes(&scope_spans, 3, SV("schema"));
    wire_put_bytes(&scope_spans, 1, SV("\x0a\x01s"));
    wire_put_bytes(&resource_spans, 2, sb_sv(&scope_spans));
    wire_put_bytes(&resource_spans, 3, SV("schema of all"));
    wire_put_bytes(&resource_spans, 2, sb_sv(&scope_spans));
    wire_put_bytes(&resource_spans, 1, SV("\x10\x07"));
    wire_put_bytes(&request.body, 5, SV("unknown"));
    wire_put_bytes(&request.body, 1, sb_sv(&resource_spans));
    request_decode(&request, OTLP_PROTOBUF, SV_EMPTY);
    is_int(request.batch.nspans, 8, "spans in odd order");
    same_spans(&request, &conf, "odd order");
    request_free(&request);
    sb_release(&span);
    sb_release(&scope_spans);
    sb_release(&resource_spans);
}

int
main(void)
{
    make_nodes();
    test_same();
    test_no_nodes();
    test_stable();
    test_sizes();
    test_large_resource();
    test_params();
    test_odd_order();
    return tap_done();
}
