/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The profiles of gen have the shape that gen.h states, the same seed makes
 * the same bytes, and a trace does not depend on those before it.  Prints the
 * figures that bench/README.md quotes.
 */

#include "core/base.h"
#include "cli/gen.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../t/unit/tap.h"
#include "core/mem.h"
#include "core/timefmt.h"
#include "otlp/otlp_encode.h"

#define TRACES 20000u
#define POOL_MAX (256 * MIB)
#define REQUEST_SPANS 900
#define FIRST_NS (INT64_C(1700000000) * NS_PER_SEC)

/* --- a set of hashes --- */

struct set {
    uint64_t slots[1u << 18];
    uint32_t n;
};

static bool
set_add(struct set *set, uint64_t hash)
{
    size_t at = hash & (ARRAY_LEN(set->slots) - 1);

    hash |= 1;
    while (set->slots[at] != 0 && set->slots[at] != hash)
        at = (at + 1) & (ARRAY_LEN(set->slots) - 1);
    if (set->slots[at] == hash)
        return false;
    set->slots[at] = hash;
    set->n++;
    return true;
}

/* --- measuring --- */

struct figures {
    uint64_t spans, traces, bytes, attrs, with_uuid, uuids, distinct_uuids;
    uint64_t us_clocks, failed, events, singles, longest;
    uint32_t streams;
    double ns;
};

static struct set streams, uuids;

/* Where a uuid is in the text, or NULL. */
static const char *
find_uuid(struct sv text)
{
    for (size_t i = 0; i + 36 <= text.len; i++) {
        const char *c = text.ptr + i;
        unsigned k = 0;

        if (c[8] != '-' || c[13] != '-' || c[18] != '-' || c[23] != '-')
            continue;
        while (k < 36 && (c[k] == '-' || (c[k] >= '0' && c[k] <= '9') ||
            (c[k] >= 'a' && c[k] <= 'f')))
            k++;
        if (k == 36)
            return c;
    }
    return NULL;
}

static void
measure_span(struct figures *f, const struct batch *batch,
    const struct span *span)
{
    struct sv service = batch->resources[span->resource].service;
    uint64_t hash = XXH3_64bits_withSeed(span->name.ptr, span->name.len,
        XXH3_64bits(service.ptr, service.len) + (uint64_t)span->kind);
    bool has_uuid = false;

    set_add(&streams, hash);
    f->spans++;
    f->attrs += span->attrs.n;
    f->us_clocks += span->start_ns % 1000 == 0 && span->end_ns % 1000 == 0;
    f->failed += span->status_code == 2;
    f->events += span->nevents;
    for (uint32_t i = 0; i < span->attrs.n; i++) {
        const struct value *value = &span->attrs.v[i].value;
        const char *uuid;

        if (value->type != VALUE_STRING ||
            (uuid = find_uuid(value->str)) == NULL)
            continue;
        has_uuid = true;
        f->uuids++;
        f->distinct_uuids += set_add(&uuids, XXH3_64bits_withSeed(uuid, 36,
            XXH3_64bits(&span->trace_id, sizeof(span->trace_id))));
    }
    f->with_uuid += has_uuid;
}

static void
measure(enum gen_profile profile, struct figures *f)
{
    unsigned per_request = (unsigned)(REQUEST_SPANS / gen_mean_spans(profile));
    struct gen *gen = gen_new(profile, 7, FIRST_NS, NS_PER_MS);
    struct pool *pool = pool_new(POOL_MAX);
    struct sb body;

    memset(f, 0, sizeof(*f));
    memset(&streams, 0, sizeof(streams));
    memset(&uuids, 0, sizeof(uuids));
    sb_init(&body, POOL_MAX);
    while (f->traces < TRACES) {
        int64_t start = clock_mono_ns();
        struct batch batch;

        pool_reset(pool);
        batch_init(&batch, pool);
        sb_reset(&body);
        if (gen_traces(gen, per_request, &batch) != 0)
            break;
        otlp_encode_protobuf(&batch, &body);
        f->ns += (double)(clock_mono_ns() - start);
        f->bytes += body.len;
        f->traces += per_request;
        for (uint32_t i = 0; i < batch.nspans; i++)
            measure_span(f, &batch, &batch.spans[i]);
    }
    f->streams = streams.n;
    sb_release(&body);
    pool_free(pool);
    gen_free(gen);
}

static void
print_figures(const char *name, const struct figures *f)
{
    double n = (double)f->spans;

    printf("# %s: %.2f spans a trace, %.1f bytes and %.2f attributes a span, "
        "%u streams\n", name, n / (double)f->traces, (double)f->bytes / n,
        (double)f->attrs / n, f->streams);
    printf("# %s: uuids in %.1f %% of spans, %.2f times in a trace; times of "
        "%.0f %% in us; %.2f %% failed, %.2f %% have events\n", name,
        100 * (double)f->with_uuid / n,
        (double)f->uuids / (double)MAX(f->distinct_uuids, 1u),
        100 * (double)f->us_clocks / n, 100 * (double)f->failed / n,
        100 * (double)f->events / n);
    printf("# %s: made and encoded in %.0f ns a span\n", name, f->ns / n);
}

static bool
near(double got, double want, double percent)
{
    return got > want * (1 - percent / 100) &&
        got < want * (1 + percent / 100);
}

static void
check_shape(const char *name, enum gen_profile profile, double bytes,
    double attrs)
{
    struct figures f;

    measure(profile, &f);
    print_figures(name, &f);
    ok(near((double)f.spans / (double)f.traces, gen_mean_spans(profile), 2),
        "%s: spans a trace", name);
    ok(near((double)f.bytes / (double)f.spans, bytes, 2),
        "%s: bytes a span", name);
    ok(near((double)f.attrs / (double)f.spans, attrs, 2),
        "%s: attributes a span", name);
    if (profile == GEN_A) {
        ok(near(f.streams, 326, 2), "%s: streams", name);
    } else {
        ok(near(100 * (double)f.with_uuid / (double)f.spans, 37, 3),
            "%s: share of uuids", name);
        ok(near((double)f.uuids / (double)f.distinct_uuids, 2.25, 11),
            "%s: uuids that repeat in a trace", name);
        ok(near(100 * (double)f.us_clocks / (double)f.spans, 50, 20),
            "%s: clocks", name);
    }
}

/* --- determinism --- */

static uint64_t
hash_traces(enum gen_profile profile, uint64_t seed, uint64_t first,
    unsigned traces)
{
    struct gen *gen = gen_new(profile, seed, FIRST_NS, NS_PER_MS);
    struct pool *pool = pool_new(POOL_MAX);
    struct batch batch;
    struct sb body;
    uint64_t hash;

    batch_init(&batch, pool);
    sb_init(&body, POOL_MAX);
    gen_seek(gen, first);
    if (gen_traces(gen, traces, &batch) != 0)
        return 0;
    otlp_encode_protobuf(&batch, &body);
    hash = XXH3_64bits(body.ptr, body.len);
    sb_release(&body);
    pool_free(pool);
    gen_free(gen);
    return hash;
}

/* A trace made alone and as one of several: the same spans. */
static bool
is_same_alone(enum gen_profile profile)
{
    struct gen *gen = gen_new(profile, 3, FIRST_NS, NS_PER_MS);
    struct pool *pool = pool_new(POOL_MAX);
    struct batch many, one;
    bool same;

    batch_init(&many, pool);
    batch_init(&one, pool);
    same = gen_traces(gen, 5, &many) == 0;
    gen_seek(gen, 4);
    same = same && gen_traces(gen, 1, &one) == 0 && one.nspans > 0;
    for (uint32_t i = 0; same && i < one.nspans; i++) {
        uint32_t k = 0;

        while (k < many.nspans && memcmp(&many.spans[k].span_id,
            &one.spans[i].span_id, sizeof(struct span_id)) != 0)
            k++;
        same = k < many.nspans &&
            span_equal(&one, &one.spans[i], &many, &many.spans[k]);
    }
    pool_free(pool);
    gen_free(gen);
    return same;
}

static void
check_seeds(const char *name, enum gen_profile profile)
{
    uint64_t hash = hash_traces(profile, 5, 0, 40);

    ok(hash != 0 && hash == hash_traces(profile, 5, 0, 40),
        "%s: the same seed makes the same bytes", name);
    ok(hash != hash_traces(profile, 6, 0, 40),
        "%s: another seed makes others", name);
    ok(hash_traces(profile, 5, 40, 40) != hash,
        "%s: so does another place", name);
    ok(is_same_alone(profile), "%s: a trace does not depend on others", name);
}

int
main(void)
{
    enum gen_profile profile = GEN_PROFILES;

    ok(gen_profile_from_name(SV("b"), &profile) && profile == GEN_B,
        "a profile by its name");
    ok(!gen_profile_from_name(SV("c"), &profile), "no such profile");
    check_shape("a", GEN_A, 462, 8.5);
    check_shape("b", GEN_B, 403, 7.9);
    check_seeds("shop", GEN_SHOP);
    check_seeds("a", GEN_A);
    check_seeds("b", GEN_B);
    return tap_done();
}
