/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Spans for tests and benchmarks, the same for the same seed.
 *
 * span_gen_wild() makes everything the model allows: all value types, empty
 * and huge strings, repeated keys, odd kinds and status codes, events, links.
 * span_gen_real() makes what a shop of microservices sends: traces of about
 * 18 spans, about 8 attributes a span, a uuid in 37 % of the spans.
 *
 * Both append to a batch and take all memory from its pool.
 */

#ifndef SPOOR_T_UNIT_SPAN_GEN_H
#define SPOOR_T_UNIT_SPAN_GEN_H

#include "core/base.h"
#include "core/assert.h"
#include "span/span.h"

#define SPAN_GEN_BASE_NS INT64_C(1795219200000000000) /* 2026-11-21 */

#define GEN_OPEN_TRACES 32

struct span_gen {
    uint64_t state;
    int64_t now_ns;           /* spans end around here; moves on */
    int64_t spread_ns;        /* wild: ends are within +- this */
    uint32_t huge_every;      /* wild: one string in this many is huge */
    uint32_t reject_every;    /* wild: one span in this many, 0: none */
    uint32_t shapes;          /* wild: about this many attribute lists */
    struct gen_trace {
        struct trace_id id;
        struct span_id parent;
        uint32_t left;
    } open[GEN_OPEN_TRACES];  /* spans arrive mixed */
};

#define GEN_FN static UNUSED

GEN_FN uint64_t
gen_next(struct span_gen *gen)
{
    uint64_t z = gen->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* 0 .. n - 1 */
GEN_FN uint32_t
gen_below(struct span_gen *gen, uint32_t n)
{
    return (uint32_t)((gen_next(gen) >> 32) * n >> 32);
}

GEN_FN bool
gen_one_in(struct span_gen *gen, uint32_t n)
{
    return n != 0 && gen_below(gen, n) == 0;
}

GEN_FN void
span_gen_init(struct span_gen *gen, uint64_t seed)
{
    *gen = (struct span_gen){
        .state = seed,
        .now_ns = SPAN_GEN_BASE_NS,
        .spread_ns = 3600 * NS_PER_SEC,
        .huge_every = 2000,
        .shapes = 200,
    };
}

GEN_FN void *
gen_alloc(struct batch *batch, size_t size)
{
    void *p = pool_zalloc(batch->pool, size);

    check(p != NULL);
    return p;
}

GEN_FN void
gen_bytes(struct span_gen *gen, uint8_t *dst, size_t len)
{
    for (size_t i = 0; i < len; i++)
        dst[i] = (uint8_t)(gen_next(gen) >> 40);
}

GEN_FN struct sv
gen_printf(struct batch *batch, const char *fmt, ...) PRINTF_LIKE(2, 3);

GEN_FN struct sv
gen_printf(struct batch *batch, const char *fmt, ...)
{
    char buf[256];
    va_list ap;
    int n;
    char *p;

    va_start(ap, fmt);
    n = vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    check(n >= 0 && (size_t)n < sizeof(buf));
    p = pool_dup(batch->pool, buf, (size_t)n);
    check(p != NULL);
    return sv_make(p, (size_t)n);
}

GEN_FN struct sv
gen_uuid(struct span_gen *gen, struct batch *batch)
{
    uint64_t a = gen_next(gen), b = gen_next(gen);

    return gen_printf(batch, "%08x-%04x-4%03x-a%03x-%012llx",
        (unsigned)(a >> 32), (unsigned)(a >> 16 & 0xffff),
        (unsigned)(a & 0xfff), (unsigned)(b & 0xfff),
        (unsigned long long)(b >> 16));
}

/* Text of any kind: empty, ASCII, UTF-8, random bytes, repeated, huge. */
GEN_FN struct sv
gen_text(struct span_gen *gen, struct batch *batch)
{
    static const char *const words[] = {"GET", "POST", "/api/v1/cart",
        "caf\xc3\xa9", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", "checkout",
        "\xf0\x9f\x9a\x80", "a", "SELECT * FROM orders WHERE id = ?",
        "\xed\xa0\x80 not utf-8", "with \"quotes\" and \\ and \n"};
    uint32_t kind = gen_below(gen, 10);
    size_t len;
    uint8_t *p;

    if (gen_one_in(gen, gen->huge_every)) {
        len = 3000 + gen_below(gen, 40000);
        p = gen_alloc(batch, len);
        memset(p, 'x', len);
        gen_bytes(gen, p, 8);
        return sv_make(p, len);
    }
    if (kind == 0)
        return SV_EMPTY;
    if (kind <= 4)
        return sv_from(words[gen_below(gen, ARRAY_LEN(words))]);
    if (kind <= 6)
        return gen_printf(batch, "value-%u", gen_below(gen, 500));
    if (kind == 7)
        return gen_uuid(gen, batch);
    len = gen_below(gen, 60);
    p = gen_alloc(batch, len + 1);
    gen_bytes(gen, p, len);
    return sv_make(p, len);
}

/* --- protobuf payloads of arrays and lists --- */

struct gen_out {
    uint8_t b[2048];
    size_t len;
};

GEN_FN void
gen_put(struct gen_out *out, const void *ptr, size_t len)
{
    check(len <= sizeof(out->b) - out->len);
    memcpy(out->b + out->len, ptr, len);
    out->len += len;
}

GEN_FN void
gen_put_varint(struct gen_out *out, uint64_t v)
{
    uint8_t c;

    for (; v >= 0x80; v >>= 7) {
        c = (uint8_t)(v | 0x80);
        gen_put(out, &c, 1);
    }
    c = (uint8_t)v;
    gen_put(out, &c, 1);
}

GEN_FN void
gen_put_field(struct gen_out *out, uint32_t field, const void *ptr,
    size_t len)
{
    gen_put_varint(out, field << 3 | 2);
    gen_put_varint(out, len);
    gen_put(out, ptr, len);
}

GEN_FN void gen_put_list(struct span_gen *gen, struct gen_out *out,
    bool is_kvlist, unsigned depth);

/* One AnyValue. */
GEN_FN void
gen_put_any(struct span_gen *gen, struct gen_out *out, unsigned depth)
{
    struct gen_out inner = {.len = 0};
    double d = -0.0;
    uint8_t raw[5] = {0, 255, 1, 2, 3};

    switch (gen_below(gen, depth < 3 ? 8 : 6)) {
    case 0:
        return; /* empty value */
    case 1:
        gen_put_field(out, 1, "text", gen_below(gen, 5));
        return;
    case 2:
        gen_put_varint(out, 2 << 3);
        gen_put_varint(out, gen_below(gen, 2));
        return;
    case 3:
        gen_put_varint(out, 3 << 3);
        gen_put_varint(out, gen_next(gen) >> gen_below(gen, 64));
        return;
    case 4:
        gen_put_varint(out, 4 << 3 | 1);
        gen_put(out, &d, 8);
        return;
    case 5:
        gen_put_field(out, 7, raw, gen_below(gen, 6));
        return;
    case 6:
        gen_put_list(gen, &inner, false, depth + 1);
        gen_put_field(out, 5, inner.b, inner.len);
        return;
    default:
        gen_put_list(gen, &inner, true, depth + 1);
        gen_put_field(out, 6, inner.b, inner.len);
    }
}

GEN_FN void
gen_put_list(struct span_gen *gen, struct gen_out *out, bool is_kvlist,
    unsigned depth)
{
    for (uint32_t n = gen_below(gen, 4); n > 0; n--) {
        struct gen_out any = {.len = 0}, pair = {.len = 0};

        gen_put_any(gen, &any, depth);
        if (any.len > 150)
            continue;
        if (is_kvlist) {
            gen_put_field(&pair, 1, "nested.key", gen_below(gen, 11));
            gen_put_field(&pair, 2, any.b, any.len);
            gen_put_field(out, 1, pair.b, pair.len);
        } else {
            gen_put_field(out, 1, any.b, any.len);
        }
    }
}

/* --- wild spans --- */

GEN_FN struct value
gen_value(struct span_gen *gen, struct batch *batch, uint8_t type)
{
    static const double doubles[] = {0.0, -0.0, 1.0, 0.1, -1e300, 5e-324,
        __builtin_nan("7"), __builtin_inf(), -__builtin_inf(), 42.5};
    static const int64_t ints[] = {0, 1, -1, 200, INT64_MIN, INT64_MAX,
        INT64_C(0x100000000), 0xffffffff};
    struct value v;
    struct gen_out out = {.len = 0};

    memset(&v, 0, sizeof(v));
    v.type = type;
    switch (type) {
    case VALUE_STRING:
    case VALUE_BYTES:
        v.str = gen_text(gen, batch);
        break;
    case VALUE_BOOL:
        v.b = gen_below(gen, 2) != 0;
        break;
    case VALUE_INT:
        v.i = gen_one_in(gen, 2) ? ints[gen_below(gen, ARRAY_LEN(ints))]
            : (int64_t)gen_next(gen);
        break;
    case VALUE_DOUBLE:
        v.d = doubles[gen_below(gen, ARRAY_LEN(doubles))];
        break;
    case VALUE_ARRAY:
    case VALUE_KVLIST:
        gen_put_list(gen, &out, type == VALUE_KVLIST, 0);
        v.str = sv_make(pool_dup(batch->pool, out.b, out.len), out.len);
        check(v.str.ptr != NULL);
        break;
    }
    return v;
}

/*
 * The keys and types of a list come from a small space of seeds, so that
 * lists repeat as those of real programs do; the values are always new.
 */
GEN_FN struct attrs
gen_attrs(struct span_gen *gen, struct batch *batch, uint32_t max)
{
    /* Attributes called like parts of the span. */
    static const char *const names[] = {"flags", "name", "version",
        "trace_state", "status_message", "status_code", "schema_url",
        "dropped_attributes_count", "service.name", "duration"};
    struct span_gen keys;
    uint32_t n;
    struct attr *v;

    span_gen_init(&keys, gen_below(gen, gen->shapes + 1));
    n = gen_below(&keys, max + 1);
    if (n == 0)
        return (struct attrs){NULL, 0};
    v = gen_alloc(batch, n * sizeof(*v));
    for (uint32_t i = 0; i < n; i++) {
        if (gen_one_in(&keys, 50))
            v[i].key = SV_EMPTY;
        else if (gen_one_in(&keys, 100))
            v[i].key = gen_text(&keys, batch);
        else if (gen_one_in(&keys, 10))
            v[i].key = sv_from(names[gen_below(&keys, ARRAY_LEN(names))]);
        else
            v[i].key = gen_printf(batch, "key.%u", gen_below(&keys, 60));
        v[i].value = gen_value(gen, batch,
            (uint8_t)gen_below(&keys, VALUE_TYPES));
    }
    return (struct attrs){v, n};
}

GEN_FN void
gen_wild_events(struct span_gen *gen, struct batch *batch, struct span *span)
{
    struct span_event *v;

    span->nevents = gen_below(gen, 5);
    span->events = v = gen_alloc(batch, (span->nevents + 1) * sizeof(*v));
    for (uint32_t i = 0; i < span->nevents; i++) {
        v[i].time_ns = gen_next(gen);
        v[i].name = gen_text(gen, batch);
        v[i].attrs = gen_attrs(gen, batch, 6);
        v[i].dropped_attrs = gen_one_in(gen, 4) ? gen_below(gen, 9) : 0;
    }
}

GEN_FN void
gen_wild_links(struct span_gen *gen, struct batch *batch, struct span *span)
{
    struct span_link *v;

    span->nlinks = gen_below(gen, 4);
    span->links = v = gen_alloc(batch, (span->nlinks + 1) * sizeof(*v));
    for (uint32_t i = 0; i < span->nlinks; i++) {
        if (!gen_one_in(gen, 4)) {
            gen_bytes(gen, v[i].trace_id.b, 16);
            gen_bytes(gen, v[i].span_id.b, 8);
        }
        v[i].trace_state = gen_one_in(gen, 3) ? gen_text(gen, batch)
            : SV_EMPTY;
        v[i].attrs = gen_attrs(gen, batch, 6);
        v[i].dropped_attrs = gen_one_in(gen, 4) ? gen_below(gen, 9) : 0;
        v[i].flags = gen_one_in(gen, 2) ? (uint32_t)gen_next(gen) : 0;
    }
}

/* Ids and times; a new trace about every 18 spans. */
GEN_FN void
gen_ids(struct span_gen *gen, struct span *span)
{
    struct gen_trace *trace = &gen->open[gen_below(gen, GEN_OPEN_TRACES)];
    bool is_root = trace->left == 0;

    if (is_root) {
        gen_bytes(gen, trace->id.b, 16);
        trace->id.b[0] |= 1;
        trace->left = 1 + gen_below(gen, 35);
        gen->now_ns += 10 * NS_PER_MS;
    }
    trace->left--;
    span->trace_id = trace->id;
    gen_bytes(gen, span->span_id.b, 8);
    span->span_id.b[0] |= 1;
    if (!is_root)
        span->parent_id = trace->parent;
    if (is_root || gen_one_in(gen, 3))
        trace->parent = span->span_id;
}

GEN_FN void
gen_wild_fields(struct span_gen *gen, struct batch *batch, struct span *span)
{
    static const int32_t kinds[] = {0, 1, 2, 3, 4, 5, 6, -1, INT32_MIN, 77};
    static const int32_t codes[] = {0, 0, 0, 1, 2, 3, -5, INT32_MAX, 255};

    span->name = gen_text(gen, batch);
    span->kind = kinds[gen_below(gen, ARRAY_LEN(kinds))];
    span->status_code = codes[gen_below(gen, ARRAY_LEN(codes))];
    span->status_message = gen_one_in(gen, 4) ? gen_text(gen, batch)
        : SV_EMPTY;
    span->trace_state = gen_one_in(gen, 4) ? gen_text(gen, batch) : SV_EMPTY;
    span->flags = gen_one_in(gen, 2) ? 0x101 : gen_below(gen, 3) * 3000000000u;
    span->dropped_attrs = gen_one_in(gen, 5) ? (uint32_t)gen_next(gen) : 0;
    span->dropped_events = gen_one_in(gen, 5) ? gen_below(gen, 9) : 0;
    span->dropped_links = gen_one_in(gen, 5) ? gen_below(gen, 9) : 0;
}

GEN_FN void
gen_wild_span(struct span_gen *gen, struct batch *batch)
{
    uint32_t idx;
    struct span *span = batch_add_span(batch, &idx);
    int64_t off;

    check(span != NULL);
    gen_ids(gen, span);
    off = (int64_t)(gen_next(gen) % (2 * (uint64_t)gen->spread_ns + 1)) -
        gen->spread_ns;
    span->end_ns = gen->now_ns + off;
    /* Some end before they start. */
    span->start_ns = span->end_ns - (int64_t)gen_below(gen, 1000000000) +
        1000000;
    gen_wild_fields(gen, batch, span);
    span->attrs = gen_attrs(gen, batch, gen_one_in(gen, 40) ? 120 : 12);
    if (gen_one_in(gen, 4))
        gen_wild_events(gen, batch, span);
    if (gen_one_in(gen, 6))
        gen_wild_links(gen, batch, span);
    span->resource = gen_below(gen, batch->nresources);
    span->scope = gen_below(gen, batch->nscopes);
    span->bytes = 400;
    if (gen_one_in(gen, gen->reject_every))
        batch_reject(batch, idx, REJECT_TOO_OLD);
}

/* Adds a few resources and scopes and n spans to an empty batch. */
GEN_FN void
span_gen_wild(struct span_gen *gen, struct batch *batch, uint32_t n)
{
    for (uint32_t i = 1 + gen_below(gen, 4); i > 0; i--) {
        struct resource *r = batch_add_resource(batch, NULL);

        check(r != NULL);
        r->attrs = gen_attrs(gen, batch, 8);
        r->service = gen_one_in(gen, 5) ? SV_EMPTY
            : gen_printf(batch, "service-%u", gen_below(gen, 6));
        r->schema_url = gen_one_in(gen, 3) ? gen_text(gen, batch) : SV_EMPTY;
        r->dropped_attrs = gen_one_in(gen, 5) ? gen_below(gen, 9) : 0;
    }
    for (uint32_t i = 1 + gen_below(gen, 4); i > 0; i--) {
        struct scope *s = batch_add_scope(batch, NULL);

        check(s != NULL);
        s->name = gen_text(gen, batch);
        s->version = gen_one_in(gen, 2) ? SV("1.2.3") : SV_EMPTY;
        s->attrs = gen_attrs(gen, batch, 3);
        s->schema_url = gen_one_in(gen, 3) ? gen_text(gen, batch) : SV_EMPTY;
        s->dropped_attrs = gen_one_in(gen, 5) ? gen_below(gen, 9) : 0;
        s->stream_fields = gen_one_in(gen, 3) ? gen_text(gen, batch)
            : SV_EMPTY;
        s->extra_fields = gen_one_in(gen, 3) ? gen_text(gen, batch)
            : SV_EMPTY;
    }
    for (uint32_t i = 0; i < n; i++)
        gen_wild_span(gen, batch);
}

/* --- real spans --- */

GEN_FN void
gen_attr_str(struct attr *a, const char *key, struct sv text)
{
    a->key = sv_from(key);
    a->value = (struct value){.str = text, .type = VALUE_STRING};
}

GEN_FN void
gen_attr_int(struct attr *a, const char *key, int64_t i)
{
    a->key = sv_from(key);
    a->value = (struct value){.i = i, .type = VALUE_INT};
}

/* HTTP server or client call, 8 or 9 attributes. */
GEN_FN uint32_t
gen_real_http(struct span_gen *gen, struct batch *batch, struct attr *v,
    uint32_t route)
{
    uint32_t n = 0;

    gen_attr_str(&v[n++], "http.request.method",
        route % 3 ? SV("GET") : SV("POST"));
    gen_attr_str(&v[n++], "http.route",
        gen_printf(batch, "/api/v1/resource-%u/{id}", route));
    gen_attr_str(&v[n++], "url.scheme", SV("https"));
    gen_attr_str(&v[n++], "url.path", gen_printf(batch,
        "/api/v1/resource-%u/%u", route, gen_below(gen, 3000)));
    gen_attr_int(&v[n++], "http.response.status_code",
        gen_one_in(gen, 40) ? 503 : 200);
    gen_attr_str(&v[n++], "server.address",
        gen_printf(batch, "svc-%u.prod.svc.cluster.local", route % 12));
    gen_attr_int(&v[n++], "server.port", 8080);
    if (gen_below(gen, 100) < 37)
        gen_attr_str(&v[n++], "app.request_id", gen_uuid(gen, batch));
    if (gen_one_in(gen, 2))
        gen_attr_str(&v[n++], "user_agent.original",
            SV("okhttp/4.12.0 (Linux; Android 14)"));
    return n;
}

/* Database call, 8 or 9 attributes. */
GEN_FN uint32_t
gen_real_db(struct span_gen *gen, struct batch *batch, struct attr *v,
    uint32_t query)
{
    uint32_t n = 0;

    gen_attr_str(&v[n++], "db.system.name", SV("postgresql"));
    gen_attr_str(&v[n++], "db.namespace", SV("orders"));
    gen_attr_str(&v[n++], "db.operation.name", SV("SELECT"));
    gen_attr_str(&v[n++], "db.query.text", gen_printf(batch,
        "SELECT id, total, state FROM table_%u WHERE customer = $1", query));
    gen_attr_str(&v[n++], "server.address", SV("db-0.prod.internal"));
    gen_attr_int(&v[n++], "server.port", 5432);
    gen_attr_int(&v[n++], "db.response.returned_rows", gen_below(gen, 200));
    if (gen_below(gen, 100) < 37)
        gen_attr_str(&v[n++], "app.order_id", gen_uuid(gen, batch));
    gen_attr_str(&v[n++], "thread.name",
        gen_printf(batch, "worker-%u", gen_below(gen, 16)));
    return n;
}

GEN_FN void
gen_real_error(struct batch *batch, struct span *span)
{
    struct span_event *event = gen_alloc(batch, sizeof(*event));
    struct attr *v = gen_alloc(batch, 3 * sizeof(*v));

    gen_attr_str(&v[0], "exception.type", SV("java.io.IOException"));
    gen_attr_str(&v[1], "exception.message", SV("connection reset by peer"));
    gen_attr_str(&v[2], "exception.stacktrace",
        SV("java.io.IOException: connection reset by peer\n"
            "\tat shop.Cart.load(Cart.java:118)\n"
            "\tat shop.Cart.handle(Cart.java:74)\n"));
    *event = (struct span_event){(uint64_t)span->end_ns - 1000,
        SV("exception"), {v, 3}, 0};
    span->events = event;
    span->nevents = 1;
    span->status_code = 2;
    span->status_message = SV("connection reset by peer");
}

GEN_FN void
gen_real_span(struct span_gen *gen, struct batch *batch, uint32_t service)
{
    struct span *span = batch_add_span(batch, NULL);
    struct attr *v = gen_alloc(batch, 10 * sizeof(*v));
    uint32_t which = gen_below(gen, 8);

    check(span != NULL);
    gen_ids(gen, span);
    span->start_ns = gen->now_ns + (int64_t)gen_below(gen, 5000000);
    span->end_ns = span->start_ns + (int64_t)gen_below(gen, 80000000);
    span->resource = service;
    span->attrs.v = v;
    if (gen_one_in(gen, 3)) {
        span->scope = 0;
        span->kind = 3;
        span->name = gen_printf(batch, "SELECT orders.table_%u", which);
        span->attrs.n = gen_real_db(gen, batch, v, which);
    } else {
        span->scope = 1;
        span->kind = 2 + (int32_t)(which & 1);
        span->name = gen_printf(batch, "GET /api/v1/resource-%u/{id}",
            service * 8 + which);
        span->attrs.n = gen_real_http(gen, batch, v, service * 8 + which);
    }
    span->flags = 0x101;
    span->bytes = 460;
    if (gen_one_in(gen, 50))
        gen_real_error(batch, span);
}

/* Adds nservices resources, two scopes and n spans to an empty batch. */
GEN_FN void
span_gen_real(struct span_gen *gen, struct batch *batch, uint32_t nservices,
    uint32_t n)
{
    for (uint32_t i = 0; i < nservices; i++) {
        struct resource *r = batch_add_resource(batch, NULL);
        struct attr *v = gen_alloc(batch, 6 * sizeof(*v));

        check(r != NULL);
        r->service = gen_printf(batch, "service-%u", i);
        gen_attr_str(&v[0], "service.name", r->service);
        gen_attr_str(&v[1], "service.version", SV("2.14.1"));
        gen_attr_str(&v[2], "k8s.pod.name",
            gen_printf(batch, "service-%u-6f7d9c7b5-x%u", i, i * 7919));
        gen_attr_str(&v[3], "telemetry.sdk.language", SV("java"));
        gen_attr_str(&v[4], "telemetry.sdk.name", SV("opentelemetry"));
        gen_attr_int(&v[5], "process.pid", 1000 + i);
        r->attrs = (struct attrs){v, 6};
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct scope *s = batch_add_scope(batch, NULL);

        check(s != NULL);
        s->name = i == 0 ? SV("io.opentelemetry.jdbc")
            : SV("io.opentelemetry.http");
        s->version = SV("2.9.0");
    }
    for (uint32_t i = 0; i < n; i++)
        gen_real_span(gen, batch, (uint32_t)((uint64_t)i * nservices / n));
}

#undef GEN_FN

#endif
