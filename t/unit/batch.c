/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "span/span.h"

#include "core/pool.h"
#include "tap.h"

static struct pool *pool;

/* A batch of one good span with one of everything. */
static void
make(struct batch *batch)
{
    struct attr *attrs = pool_alloc(pool, 4 * sizeof(*attrs));
    struct span_event *event = pool_zalloc(pool, sizeof(*event));
    struct span_link *link = pool_zalloc(pool, sizeof(*link));

    for (unsigned i = 0; i < 4; i++)
        attrs[i] = (struct attr){SV("key"),
            {.type = VALUE_STRING, .str = SV("value")}};
    batch_init(batch, pool);
    struct resource *resource = batch_add_resource(batch, NULL);
    resource->attrs = (struct attrs){attrs, 1};
    resource->schema_url = SV("r");
    struct scope *scope = batch_add_scope(batch, NULL);
    scope->name = SV("scope");
    scope->version = SV("1");
    scope->schema_url = SV("s");
    scope->attrs = (struct attrs){attrs, 1};
    struct span *span = batch_add_span(batch, NULL);
    memset(&span->trace_id, 1, sizeof(span->trace_id));
    memset(&span->span_id, 2, sizeof(span->span_id));
    span->start_ns = 10;
    span->end_ns = 20;
    span->name = SV("name");
    span->attrs = (struct attrs){attrs, 2};
    event->attrs = (struct attrs){attrs + 2, 1};
    link->attrs = (struct attrs){attrs + 3, 1};
    span->events = event;
    span->nevents = 1;
    span->links = link;
    span->nlinks = 1;
}

static void
test_grow(void)
{
    struct batch batch;
    uint32_t index = 99;
    bool is_kept = true;

    batch_init(&batch, pool);
    for (uint32_t i = 0; i < 1000; i++) {
        struct span *span = batch_add_span(&batch, &index);

        is_kept &= span != NULL && index == i && span->kind == 0;
        span->kind = (int32_t)i;
    }
    for (uint32_t i = 0; i < 1000; i++)
        is_kept &= batch.spans[i].kind == (int32_t)i;
    ok(is_kept, "spans keep their content while the array grows");
    for (uint32_t i = 0; i < 100; i++) {
        is_kept &= batch_add_resource(&batch, &index) != NULL && index == i;
        is_kept &= batch_add_scope(&batch, &index) != NULL && index == i;
    }
    ok(is_kept, "resources and scopes grow");
    is_int(batch.nspans, 1000, "spans are counted");
}

static void
test_maximum(void)
{
    struct pool *large = pool_new(1 * GIB);
    struct pool *small = pool_new(64 * KIB);
    struct batch batch;
    uint32_t n = 0;

    batch_init(&batch, small);
    while (batch_add_span(&batch, NULL) != NULL)
        n++;
    ok(n >= 64 && n < 1000, "a full pool refuses the next span");
    is_int(batch.nspans, n, "and the batch keeps the others");
    ok(!batch_reserve(&batch, 100000, 0, 0), "nor can it reserve");
    ok(!batch_reserve(&batch, BATCH_SPANS_MAX + 1, 0, 0),
        "no more than the maximum can be reserved");

    batch_init(&batch, large);
    ok(batch_reserve(&batch, BATCH_SPANS_MAX, 2, 2), "the maximum can");
    struct span *first = batch_add_span(&batch, NULL);
    for (n = 1; batch_add_span(&batch, NULL) != NULL;)
        n++;
    is_int(n, BATCH_SPANS_MAX, "the batch ends at its maximum");
    ok(first == batch.spans, "reserved spans do not move");
    pool_free(small);
    pool_free(large);
}

static void
test_reject(void)
{
    struct batch batch;

    batch_init(&batch, pool);
    (void)batch_add_span(&batch, NULL);
    (void)batch_add_span(&batch, NULL);
    batch_reject(&batch, 1, REJECT_SPAN_ID);
    batch_reject(&batch, 1, REJECT_TIME);
    is_int(batch.spans[1].reject, REJECT_SPAN_ID, "the first reason stays");
    is_int(batch.rejected, 1, "and the span is counted once");
    is_int(batch.reject_mask, 1 << REJECT_SPAN_ID, "with its reason");
    for (unsigned i = 0; i < REJECT_KINDS; i++)
        ok(reject_text((enum reject)i)[0] != '\0' &&
            reject_label((enum reject)i)[0] != '\0',
            "reason %u has a text and a label", i);
}

static enum reject
limited(struct batch *batch, const struct span_limits *limits)
{
    batch->spans[0].reject = REJECT_NONE;
    batch->rejected = 0;
    batch->reject_mask = 0;
    batch_apply_limits(batch, limits);
    return (enum reject)batch->spans[0].reject;
}

static void
test_limits(void)
{
    struct span_limits limits = {20, 20, 1000};
    char name[SPAN_FIELD_NAME_MAX];
    struct batch batch;
    struct attr *attrs;

    make(&batch);
    is_int(limited(&batch, &limits), REJECT_NONE, "within all limits");
    limits.oldest_ns = 21;
    is_int(limited(&batch, &limits), REJECT_TOO_OLD, "too old");
    limits.oldest_ns = 0;
    limits.newest_ns = 19;
    is_int(limited(&batch, &limits), REJECT_TOO_NEW, "too new");
    limits.newest_ns = 20;

    /* Nine of its own, two heads, two, and three each for event and link. */
    limits.fields_max = 19;
    is_int(limited(&batch, &limits), REJECT_NONE, "as many as allowed");
    limits.fields_max = 18;
    is_int(limited(&batch, &limits), REJECT_MANY_FIELDS, "one too many");
    limits.fields_max = 1000;

    memset(name, 'n', sizeof(name));
    attrs = pool_alloc(pool, sizeof(*attrs));
    *attrs = (struct attr){sv_make(name, 118), {.type = VALUE_EMPTY}};
    batch.spans[0].attrs = (struct attrs){attrs, 1};
    is_int(limited(&batch, &limits), REJECT_NONE, "128 bytes of a name");
    attrs->key.len++;
    is_int(limited(&batch, &limits), REJECT_LONG_NAME, "129 of a span's");
    batch.spans[0].attrs.n = 0;
    attrs->key.len = 115;
    batch.resources[0].attrs = (struct attrs){attrs, 1};
    is_int(limited(&batch, &limits), REJECT_LONG_NAME, "of a resource's");
    batch.resources[0].attrs.n = 0;
    attrs->key.len = 118;
    batch.scopes[0].attrs = (struct attrs){attrs, 1};
    is_int(limited(&batch, &limits), REJECT_LONG_NAME, "of a scope's");
    batch.scopes[0].attrs.n = 0;

    batch.spans[0].bytes = SPAN_BYTES_MAX;
    is_int(limited(&batch, &limits), REJECT_NONE, "2 MiB");
    batch.spans[0].bytes++;
    is_int(limited(&batch, &limits), REJECT_LARGE, "2 MiB and a byte");
    batch.spans[0].reject = REJECT_TIME;
    batch_apply_limits(&batch, &limits);
    is_int(batch.spans[0].reject, REJECT_TIME, "an earlier reason stays");
}

static void
test_equal(void)
{
    struct batch batch;
    struct batch same;
    uint8_t hash_a[16];
    uint8_t hash_b[16];

    make(&batch);
    make(&same);
    span_hash(&batch, batch.spans, hash_a);
    span_hash(&same, same.spans, hash_b);
    ok(span_equal(&batch, batch.spans, &same, same.spans), "equal");
    ok(memcmp(hash_a, hash_b, 16) == 0, "with equal hashes");
}

static void
differs(const struct batch *a, const struct batch *b, const char *field)
{
    uint8_t hash_a[16];
    uint8_t hash_b[16];

    span_hash(a, a->spans, hash_a);
    span_hash(b, b->spans, hash_b);
    ok(!span_equal(a, a->spans, b, b->spans), "another %s", field);
    ok(memcmp(hash_a, hash_b, 16) != 0, "another hash by %s", field);
}

#define CHANGED(field, value) \
    do { \
        make(&other); \
        other.field = value; \
        differs(&batch, &other, #field); \
    } while (0)

/* Every field counts. */
static void
test_differs(void)
{
    static const struct span_event event = {.time_ns = 5};
    static const struct span_link link = {.flags = 5};
    struct batch batch;
    struct batch other;

    make(&batch);
    CHANGED(spans[0].trace_id.b[15], 9);
    CHANGED(spans[0].span_id.b[0], 9);
    CHANGED(spans[0].parent_id.b[7], 9);
    CHANGED(spans[0].start_ns, 9);
    CHANGED(spans[0].end_ns, 9);
    CHANGED(spans[0].name, SV("other"));
    CHANGED(spans[0].trace_state, SV("other"));
    CHANGED(spans[0].status_message, SV("other"));
    CHANGED(spans[0].status_code, 2);
    CHANGED(spans[0].kind, 2);
    CHANGED(spans[0].flags, 2);
    CHANGED(spans[0].dropped_attrs, 2);
    CHANGED(spans[0].dropped_events, 2);
    CHANGED(spans[0].dropped_links, 2);
    CHANGED(spans[0].attrs.n, 1);
    CHANGED(spans[0].nevents, 0);
    CHANGED(spans[0].nlinks, 0);
    CHANGED(spans[0].events, &event);
    CHANGED(spans[0].links, &link);
    CHANGED(resources[0].attrs.n, 0);
    CHANGED(resources[0].schema_url, SV("x"));
    CHANGED(resources[0].dropped_attrs, 1);
    CHANGED(scopes[0].name, SV("x"));
    CHANGED(scopes[0].version, SV("x"));
    CHANGED(scopes[0].schema_url, SV("x"));
    CHANGED(scopes[0].attrs.n, 0);
    CHANGED(scopes[0].dropped_attrs, 1);
    CHANGED(scopes[0].stream_fields, SV("\1x"));
    CHANGED(scopes[0].extra_fields, SV("\1x\1y"));
}

int
main(void)
{
    struct trace_id trace_id = {{0}};
    struct span_id span_id = {{0}};

    pool = pool_new(64 * MIB);
    test_grow();
    test_maximum();
    test_reject();
    test_limits();
    test_equal();
    test_differs();
    ok(trace_id_is_zero(&trace_id) && span_id_is_zero(&span_id), "zero ids");
    trace_id.b[15] = 1;
    span_id.b[7] = 1;
    ok(!trace_id_is_zero(&trace_id) && !span_id_is_zero(&span_id),
        "ids that are not");
    is_str(span_kind_name(2), "server", "a kind");
    is_str(span_kind_name(-1), "unspecified", "an unknown kind");
    is_str(span_kind_name(6), "unspecified", "another");
    pool_free(pool);
    return tap_done();
}
