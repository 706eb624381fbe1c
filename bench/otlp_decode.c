/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Decoding of OTLP requests, without the server around it: nanoseconds for a
 * span of about 400 bytes with eight attributes, in requests of 100 to 10,000
 * spans.  The aim for protobuf is 150 ns.
 */

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sb.h"
#include "core/timefmt.h"
#include "otlp/otlp.h"
#include "otlp/otlp_encode.h"
#include "span/span.h"

#define SPANS_TOTAL 1000000u

static const char *const keys[8] = {"http.request.method", "url.path",
    "http.response.status_code", "server.address", "server.port",
    "user_agent.original", "thread.id", "peer.service"};

static void
set_attrs(struct attr *attrs, uint32_t i)
{
    static const struct value values[8] = {
        {.type = VALUE_STRING, .str = SV("GET")},
        {.type = VALUE_STRING, .str = SV("/api/v1/cart/items/81723/detail")},
        {.type = VALUE_INT, .i = 200},
        {.type = VALUE_STRING, .str = SV("cart.shop.svc.cluster.local")},
        {.type = VALUE_INT, .i = 8080},
        {.type = VALUE_STRING, .str = SV("Mozilla/5.0 (X11; Linux x86_64)")},
        {.type = VALUE_INT, .i = 140},
        {.type = VALUE_STRING, .str = SV("recommendation")},
    };

    for (unsigned a = 0; a < 8; a++) {
        attrs[a].key = sv_from(keys[a]);
        attrs[a].value = values[a];
    }
    attrs[6].value.i = i;
}

static bool
make_body(uint32_t nspans, bool is_json, struct sb *body)
{
    struct pool *pool = pool_new(1 * GIB);
    static const struct attr service = {SV("service.name"),
        {.type = VALUE_STRING, .str = SV("checkout")}};
    struct batch batch;

    batch_init(&batch, pool);
    struct resource *resource = batch_add_resource(&batch, NULL);
    struct scope *scope = batch_add_scope(&batch, NULL);
    if (resource == NULL || scope == NULL)
        return false;
    resource->attrs = (struct attrs){&service, 1};
    scope->name = SV("@opentelemetry/instrumentation-http");
    for (uint32_t i = 0; i < nspans; i++) {
        struct attr *attrs = pool_alloc(pool, 8 * sizeof(*attrs));
        struct span *span = batch_add_span(&batch, NULL);

        if (attrs == NULL || span == NULL)
            return false;
        set_attrs(attrs, i);
        memset(&span->trace_id, 1 + i % 200, sizeof(span->trace_id));
        memcpy(&span->span_id, &(uint64_t){i + 1}, sizeof(span->span_id));
        memset(&span->parent_id, 7, sizeof(span->parent_id));
        span->start_ns = INT64_C(1790000000000000000) + i;
        span->end_ns = span->start_ns + 12345678;
        span->name = SV("GET /api/v1/cart/items/{id}/detail");
        span->kind = 2;
        span->flags = 0x101;
        span->status_code = 1;
        span->attrs = (struct attrs){attrs, 8};
    }
    if (is_json)
        otlp_encode_json(&batch, body);
    else
        otlp_encode_protobuf(&batch, body);
    pool_free(pool);
    return !sb_failed(body);
}

static int
run(uint32_t nspans, bool is_json)
{
    struct err err = ERR_INIT;
    struct sb body;
    uint32_t rounds = SPANS_TOTAL / nspans / (is_json ? 10 : 1);
    int64_t best = INT64_MAX;

    sb_init(&body, 1 * GIB);
    if (!make_body(nspans, is_json, &body))
        return 1;
    for (int sample = 0; sample < 5; sample++) {
        int64_t start = clock_mono_ns();

        for (uint32_t i = 0; i < rounds; i++) {
            struct pool *pool = pool_new(16 * body.len + MIB);
            struct batch batch;

            batch_init(&batch, pool);
            if (otlp_decode(is_json ? OTLP_JSON : OTLP_PROTOBUF,
                    sb_sv(&body), &batch, &err) != 0 ||
                batch.nspans != nspans || batch.rejected != 0) {
                fprintf(stderr, "decode: %s\n", err.text);
                return 1;
            }
            pool_free(pool);
        }
        best = MIN(best, clock_mono_ns() - start);
    }
    double spans = (double)rounds * nspans;
    printf("%-8s %6u spans/request %5zu bytes/span %8.1f ns/span\n",
        is_json ? "json" : "protobuf", nspans, body.len / nspans,
        (double)best / spans);
    sb_release(&body);
    return 0;
}

int
main(void)
{
    static const uint32_t sizes[] = {100, 1000, 10000};
    int failed = 0;

    for (int json = 0; json < 2; json++) {
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
            failed |= run(sizes[i], json != 0);
    }
    return failed;
}
