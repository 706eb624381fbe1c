/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Plans: decode(encode(x)) = x for every query at hand; what cannot be sent is
 * refused, and so is every message of which a node does not know all.
 */

#include "core/base.h"

#include "cluster/plan.h"
#include "filter_same.h"
#include "plan.pb-c.h"
#include "query/parse.h"
#include "query/parser.h"
#include "query_texts.h"
#include "tap.h"

#define NOW INT64_C(1800000000000000000)
#define POOL_MAX (256 * MIB)

static unsigned nsame, nrefused, ntexts;

static struct plan
plan_of(struct query *query)
{
    return (struct plan){.kind = PLAN_QUERY, .tenant = {7, 9},
        .timeout_ns = 5 * NS_PER_SEC, .memory_max = 100 * MIB,
        .now_ns = NOW, .limit = 3, .query = query, .end = SPLIT_PARTIAL,
        .needed = {.is_all = true}};
}

/* Encodes and decodes. */
static int
again(struct plan *out, const struct plan *plan, struct pool *pool,
    struct err *err)
{
    struct sb bytes;
    char *copy;
    int rc;

    sb_init(&bytes, PLAN_BYTES_MAX);
    rc = plan_put(&bytes, plan, err);
    copy = rc == 0 ? pool_dup(pool, bytes.ptr, bytes.len) : NULL;
    if (rc == 0)
        rc = plan_take(out, sv_make(copy, bytes.len), pool, err);
    sb_release(&bytes);
    return rc;
}

static bool
pipe_filters_are_same(const struct pipe *a, const struct pipe *b)
{
    if ((a->filter == NULL) != (b->filter == NULL) ||
        (a->filter != NULL && !filters_are_same(a->filter, b->filter)) ||
        (a->stats == NULL) != (b->stats == NULL))
        return false;
    for (uint32_t i = 0; a->stats != NULL && i < a->stats->nfns; i++) {
        const struct filter *x = a->stats->fns[i].filter;
        const struct filter *y = b->stats->fns[i].filter;

        if ((x == NULL) != (y == NULL) ||
            (x != NULL && !filters_are_same(x, y)))
            return false;
    }
    return true;
}

static bool
pipes_are_same(const struct query *a, const struct query *b)
{
    const struct pipe *p = a->pipes, *q = b->pipes;

    for (; p != NULL && q != NULL; p = p->next, q = q->next) {
        if (p->kind != q->kind || p->type != q->type || p->n != q->n ||
            p->keeps_time != q->keeps_time || !pipe_filters_are_same(p, q))
            return false;
    }
    return p == NULL && q == NULL && a->npipes == b->npipes;
}

static bool
prints_same(const struct query *a, const struct query *b)
{
    struct sb first, second;
    bool is_same;

    sb_init(&first, 8 * MIB);
    sb_init(&second, 8 * MIB);
    query_print(&first, a);
    query_print(&second, b);
    is_same = !sb_failed(&first) && sv_eq(sb_sv(&first), sb_sv(&second));
    if (!is_same)
        diag("%.400s\n  became\n%.400s", first.ptr, second.ptr);
    sb_release(&first);
    sb_release(&second);
    return is_same;
}

static bool
queries_are_same(const struct query *a, const struct query *b)
{
    return prints_same(a, b) && filters_are_same(a->filter, b->filter) &&
        pipes_are_same(a, b) && sv_eq(a->text, b->text) &&
        a->concurrency == b->concurrency &&
        a->parallel_readers == b->parallel_readers &&
        a->ignore_global_time_filter == b->ignore_global_time_filter &&
        a->allow_partial == b->allow_partial &&
        a->time_offset_ns == b->time_offset_ns &&
        sv_eq(a->time_offset, b->time_offset) &&
        a->nhidden == b->nhidden && a->is_hiding == b->is_hiding &&
        a->min_time == b->min_time && a->max_time == b->max_time &&
        a->rate_step == b->rate_step;
}

static bool
filter_asks(const struct filter *filter)
{
    bool asks = filter->subquery != NULL && !filter->is_resolved;

    for (uint32_t i = 0; i < filter->nitems; i++)
        asks |= filter_asks(filter->items[i]);
    return asks;
}

static bool
query_asks(const struct query *query)
{
    bool asks = filter_asks(query->filter);

    for (const struct pipe *pipe = query->pipes; pipe != NULL;
        pipe = pipe->next) {
        asks |= pipe->subquery != NULL;
        asks |= pipe->filter != NULL && filter_asks(pipe->filter);
        for (uint32_t i = 0; pipe->stats != NULL && i < pipe->stats->nfns;
            i++)
            asks |= pipe->stats->fns[i].filter != NULL &&
                filter_asks(pipe->stats->fns[i].filter);
    }
    return asks;
}

static void
check_query(struct query *query, const char *what, struct pool *pool)
{
    struct plan plan = plan_of(query), got;
    struct err err = ERR_INIT;
    bool asks = query_asks(query);
    int rc = again(&got, &plan, pool, &err);

    if (asks) {
        nrefused++;
        if (rc == 0 || err.code != ERR_UNSUPPORTED)
            fail("%s asks a query: %s", what, err.text);
        return;
    }
    nsame++;
    if (rc != 0)
        fail("%s: %s", what, err.text);
    else if (!queries_are_same(query, got.query))
        fail("%s is the same", what);
}

static void
check_text(UNUSED void *arg, struct sv text)
{
    struct pool *pool = pool_new(POOL_MAX);
    const struct field_pattern hidden[] = {{SV("b"), false}, {SV("x"), true}};
    struct err err = ERR_INIT;
    struct query *query;
    char what[200];

    ntexts++;
    snprintf(what, sizeof(what), "%.*s", SV_ARG(text));
    if (query_parse(&query, text, NOW, pool, &err) == 0) {
        check_query(query, what, pool);
        query->hidden = (struct field_pattern *)(uintptr_t)hidden;
        query->nhidden = ARRAY_LEN(hidden);
        if (query_hide(query, &err) == 0)
            check_query(query, what, pool);
    }
    pool_free(pool);
}

/* --- values of queries inside the query --- */

static void
test_resolved(void)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct sv values[] = {SV("one"), SV(""), SV("two \xff words"),
        SV("three|)")};
    struct err err = ERR_INIT;
    struct query *query;
    struct plan plan, got;
    struct filter *in, *pipe_in;

    if (query_parse(&query, SV("a:in(b:c | fields d) | filter "
            "e:in(f:g | fields h) | stats count() if (i:in(j | fields k)) n"),
            NOW, pool, &err) != 0) {
        fail("%s", err.text);
        return;
    }
    plan = plan_of(query);
    ok(again(&got, &plan, pool, &err) == -1 && err.code == ERR_UNSUPPORTED,
        "queries that were not resolved: %s", err.text);
    in = query->filter->items[0];
    pipe_in = query->pipes->stats->fns[0].filter;
    in->values = pipe_in->values = values;
    in->nvalues = pipe_in->nvalues = ARRAY_LEN(values);
    in->is_resolved = pipe_in->is_resolved = true;
    query->filter->items[1]->is_resolved = true; /* no value at all */
    is_int(again(&got, &plan, pool, &err), 0, "resolved ones: %s", err.text);
    in = got.query->filter->items[0];
    ok(in->subquery == NULL && values_are_same(in->values, in->nvalues,
        values, ARRAY_LEN(values)), "values travel");
    in = got.query->filter->items[1];
    ok(in->kind == FILTER_IN && in->subquery == NULL && in->nvalues == 0,
        "none is none");
    in = got.query->pipes->stats->fns[0].filter;
    ok(in->subquery == NULL && values_are_same(in->values, in->nvalues,
        values, ARRAY_LEN(values)), "values of a function's filter travel");
    /* A server that is a front itself passes them on. */
    plan = got;
    is_int(again(&got, &plan, pool, &err), 0, "once more: %s", err.text);
    ok(filters_are_same(got.query->filter, plan.query->filter) &&
        pipes_are_same(got.query, plan.query), "they are the same");
    pool_free(pool);
}

/* More values than a query's text may have, of a filter pipe. */
static void
test_many_values(void)
{
    struct pool *pool = pool_new(POOL_MAX);
    uint32_t n = 300000;
    struct sv *values = pool_alloc(pool, n * sizeof(*values));
    struct err err = ERR_INIT;
    struct query *query = NULL;
    struct plan plan, got;
    struct filter *in;

    for (uint32_t i = 0; i < n; i++) {
        char text[32];

        snprintf(text, sizeof(text), "value | %u", i);
        values[i] = sv_make(pool_dup(pool, text, strlen(text)),
            strlen(text));
    }
    ok(query_parse(&query, SV("* | limit 10 | filter _stream_id:in(a:b | "
        "fields c) | limit 5"), NOW, pool, &err) == 0, "parsed: %s",
        err.text);
    in = query->pipes->next->filter;
    in->values = values;
    in->nvalues = n;
    in->is_resolved = true;
    plan = plan_of(query);
    for (unsigned level = 1; level < 4; level++) {
        is_int(again(&got, &plan, pool, &err), 0, "%u values, level %u: %s",
            n, level, err.text);
        in = got.query->pipes->next->filter;
        ok(values_are_same(in->values, in->nvalues, values, n), "all of them");
        plan = got;
    }
    pool_free(pool);
}

/* --- the rest of a plan --- */

static void
test_kinds(void)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct trace_id ids[3] = {{{1}}, {{2}}, {{255, 3}}};
    struct field_pattern needed[] = {{SV("a"), false}, {SV("b."), true}};
    struct err err = ERR_INIT;
    struct plan plan = {.kind = PLAN_TRACES, .tenant = {UINT32_MAX, 1},
        .ids = ids, .nids = 3, .min_time = INT64_MIN, .max_time = INT64_MAX,
        .wants_plain = true, .allow_missing = true, .no_cache = true,
        .needed = {.patterns = needed, .n = 2}};
    struct plan got;

    is_int(again(&got, &plan, pool, &err), 0, "traces: %s", err.text);
    ok(got.nids == 3 && memcmp(got.ids, ids, sizeof(ids)) == 0, "ids");
    ok(got.wants_plain && got.allow_missing && got.no_cache, "flags");
    ok(got.min_time == INT64_MIN && got.max_time == INT64_MAX, "times");
    ok(got.tenant.account == UINT32_MAX && got.tenant.project == 1,
        "tenant");
    ok(got.needed.n == 2 && got.needed.patterns[1].is_prefix &&
        sv_eq(got.needed.patterns[1].name, SV("b.")) && !got.needed.is_all,
        "needed columns");
    plan.ids = NULL;
    plan.nids = 0;
    ok(again(&got, &plan, pool, &err) == -1 && err.code == ERR_INVALID,
        "traces without ids: %s", err.text);
    for (enum plan_kind kind = PLAN_NAMES; kind <= PLAN_TENANTS; kind++) {
        plan.kind = kind;
        is_int(again(&got, &plan, pool, &err), 0, "%s", plan_path(kind));
        is_int(got.kind, kind, "its kind");
    }
    pool_free(pool);
}

static void
test_hits(void)
{
    struct plan_hit hit = {{{1, 2, 3}}, -5}, got;
    struct err err = ERR_INIT;
    struct sb sb;
    struct sv rest;

    sb_init(&sb, KIB);
    plan_hit_put(&sb, &hit);
    plan_hit_put(&sb, &hit);
    rest = sb_sv(&sb);
    is_int(plan_hit_take(&rest, &got, &err), 1, "a hit");
    ok(memcmp(&hit, &got, sizeof(hit)) == 0, "is the same");
    is_int(plan_hit_take(&rest, &got, &err), 1, "another");
    is_int(plan_hit_take(&rest, &got, &err), 0, "no more");
    rest = sv_make(sb.ptr, 20);
    is_int(plan_hit_take(&rest, &got, &err), -1, "a part of one");
    sb_release(&sb);
}

/* --- what a node does not know --- */

/* A change of the message of "x:a or y:b | stats count() n". */
typedef void (*change_fn)(Spoor__Plan *message);

static int
take_changed(change_fn change, struct err *err)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct query *query;
    struct plan plan, got;
    Spoor__Plan *message;
    struct sb bytes;
    int rc = -1;

    *err = (struct err)ERR_INIT;
    sb_init(&bytes, MIB);
    if (query_parse(&query, SV("x:a or y:b or {c=~\"d\"} | stats count() n"),
            NOW, pool, err) == 0) {
        plan = plan_of(query);
        rc = plan_put(&bytes, &plan, err);
    }
    if (rc == 0) {
        message = spoor__plan__unpack(NULL, bytes.len,
            (const uint8_t *)bytes.ptr);
        change(message);
        sb_reset(&bytes);
        sb_advance(&bytes, spoor__plan__pack(message, (uint8_t *)
            sb_reserve(&bytes, spoor__plan__get_packed_size(message))));
        spoor__plan__free_unpacked(message, NULL);
        rc = plan_take(&got, sb_sv(&bytes), pool, err);
    }
    sb_release(&bytes);
    pool_free(pool);
    return rc;
}

static void
add_unknown(ProtobufCMessage *message)
{
    ProtobufCMessageUnknownField *field = calloc(1, sizeof(*field));

    field->tag = 999;
    field->wire_type = PROTOBUF_C_WIRE_TYPE_VARINT;
    field->len = 1;
    field->data = calloc(1, 1);
    message->n_unknown_fields = 1;
    message->unknown_fields = field;
}

static void
change_nothing(UNUSED Spoor__Plan *message)
{
}

static void
unknown_in_plan(Spoor__Plan *message)
{
    add_unknown(&message->base);
}

static void
unknown_in_query(Spoor__Plan *message)
{
    add_unknown(&message->query[0]->base);
}

static void
unknown_in_filter(Spoor__Plan *message)
{
    add_unknown(&message->query[0]->filter[2]->base);
}

static void
unknown_in_tag(Spoor__Plan *message)
{
    add_unknown(&message->query[0]->filter[3]->tags[0]->base);
}

static void
change_kind(Spoor__Plan *message)
{
    message->kind = 99;
}

static void
change_end(Spoor__Plan *message)
{
    message->end = 99;
}

static void
change_partial(Spoor__Plan *message)
{
    message->query[0]->allow_partial = 77;
}

static void
change_filter_kind(Spoor__Plan *message)
{
    message->query[0]->filter[1]->kind = 1000;
}

static void
no_filter_kind(Spoor__Plan *message)
{
    message->query[0]->filter[1]->kind = 0;
}

static void
change_op(Spoor__Plan *message)
{
    message->query[0]->filter[3]->tags[0]->op = 50;
}

static void
many_items(Spoor__Plan *message)
{
    message->query[0]->filter[0]->items = UINT32_MAX;
}

static void
few_items(Spoor__Plan *message)
{
    message->query[0]->filter[0]->items = 2;
}

static void
no_items(Spoor__Plan *message)
{
    message->query[0]->filter[0]->items = 0;
}

static void
items_of_leaf(Spoor__Plan *message)
{
    message->query[0]->filter[1]->items = 1;
}

static void
wrong_pipes(Spoor__Plan *message)
{
    memcpy(message->query[0]->pipes.data, "state", 5);
}

static void
missing_pipe_filters(Spoor__Plan *message)
{
    message->query[0]->filter_pipes = 1;
}

static void
wrong_regexp(Spoor__Plan *message)
{
    memcpy(message->query[0]->filter[3]->tags[0]->values.data, "\1(", 2);
}

static void
wrong_values(Spoor__Plan *message)
{
    message->query[0]->filter[3]->tags[0]->values.data[0] = 50;
}

static void
wrong_ids(Spoor__Plan *message)
{
    message->trace_ids.data = calloc(1, 17);
    message->trace_ids.len = 17;
}

static void
test_changed(void)
{
    static const struct {
        const char *what;
        change_fn change;
        enum err_code code;
    } cases[] = {
        {"nothing changed", change_nothing, ERR_NONE},
        {"a field of a plan", unknown_in_plan, ERR_UNSUPPORTED},
        {"a field of a query", unknown_in_query, ERR_UNSUPPORTED},
        {"a field of a filter", unknown_in_filter, ERR_UNSUPPORTED},
        {"a field of a tag", unknown_in_tag, ERR_UNSUPPORTED},
        {"a kind of plan", change_kind, ERR_UNSUPPORTED},
        {"an end", change_end, ERR_UNSUPPORTED},
        {"a kind of partial answer", change_partial, ERR_UNSUPPORTED},
        {"a kind of filter", change_filter_kind, ERR_UNSUPPORTED},
        {"no kind of filter", no_filter_kind, ERR_UNSUPPORTED},
        {"an operator", change_op, ERR_UNSUPPORTED},
        {"too many items", many_items, ERR_INVALID},
        {"too few items", few_items, ERR_INVALID},
        {"no items", no_items, ERR_INVALID},
        {"items of a leaf", items_of_leaf, ERR_INVALID},
        {"pipes that are none", wrong_pipes, ERR_INVALID},
        {"filters of pipes that are missing", missing_pipe_filters,
            ERR_INVALID},
        {"a regular expression that is none", wrong_regexp, ERR_INVALID},
        {"values that are none", wrong_values, ERR_INVALID},
        {"half an id", wrong_ids, ERR_INVALID},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        int rc = take_changed(cases[i].change, &err);

        ok(rc == (cases[i].code == ERR_NONE ? 0 : -1) &&
            err.code == cases[i].code, "%s: %s", cases[i].what, err.text);
    }
}

static void
test_garbage(void)
{
    struct pool *pool = pool_new(MIB);
    struct plan got;
    struct err err = ERR_INIT;
    struct sb sb;

    ok(plan_take(&got, SV("\xff\xff garbage"), pool, &err) == -1 &&
        err.code == ERR_INVALID, "garbage: %s", err.text);
    ok(plan_take(&got, SV(""), pool, &err) == -1, "nothing: %s", err.text);
    /* A million filters of two bytes, in a pool of one MiB. */
    sb_init(&sb, 8 * MIB);
    for (unsigned i = 0; i < 1000000; i++)
        sb_add(&sb, "\x6a\x02\x0a\x00", 4);
    ok(plan_take(&got, sb_sv(&sb), pool, &err) == -1, "too large: %s",
        err.text);
    sb_release(&sb);
    pool_free(pool);
}

int
main(void)
{
    query_texts(check_text, NULL);
    diag("%u texts: %u queries are the same, %u ask a query and are refused",
        ntexts, nsame, nrefused);
    ok(nsame > 2000 && nrefused > 50, "queries were found");
    test_resolved();
    test_many_values();
    test_kinds();
    test_hits();
    test_changed();
    test_garbage();
    return tap_done();
}
