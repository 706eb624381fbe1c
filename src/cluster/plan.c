/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Plans as bytes: the message Plan of proto/plan.proto, which says how its
 * versions get on with each other.  A hit of a search is 16 bytes of the
 * trace's id and its end as u64, little endian.
 */

#include "core/base.h"

#include "cluster/plan.h"

#include "cluster/plan_query.h"
#include "core/assert.h"
#include "core/enc.h"
#include "plan.pb-c.h"

/* What a plan of PLAN_BYTES_MAX needs as messages, and little else. */
#define PUT_POOL_MAX (512 * MIB)
#define HIT_BYTES 24u

#define KIND(name) [PLAN_##name] = SPOOR__PLAN_KIND__PLAN_KIND_##name

static const Spoor__PlanKind kinds[] = {
    KIND(QUERY), KIND(SEARCH), KIND(TRACES), KIND(NAMES), KIND(EDGES),
    KIND(TENANTS), KIND(EXPORT),
};

static const Spoor__PlanEnd ends[] = {
    [SPLIT_ROWS] = SPOOR__PLAN_END__PLAN_END_ROWS,
    [SPLIT_PARTIAL] = SPOOR__PLAN_END__PLAN_END_PARTIAL,
    [SPLIT_STATE] = SPOOR__PLAN_END__PLAN_END_STATE,
};

static const char *const paths[] = {
    [PLAN_QUERY] = "/internal/select/query",
    [PLAN_SEARCH] = "/internal/select/search",
    [PLAN_TRACES] = "/internal/select/traces",
    [PLAN_NAMES] = "/internal/select/names",
    [PLAN_EDGES] = "/internal/select/edges",
    [PLAN_TENANTS] = "/internal/select/tenants",
    [PLAN_EXPORT] = "/internal/select/export",
};

const char *
plan_path(enum plan_kind kind)
{
    check(kind >= PLAN_QUERY && kind < ARRAY_LEN(paths));
    return paths[kind];
}

static bool
has_query(enum plan_kind kind)
{
    return kind == PLAN_QUERY || kind == PLAN_SEARCH || kind == PLAN_EXPORT;
}

/* --- putting --- */

static int
message_put(struct sb *out, const Spoor__Plan *message, struct err *err)
{
    size_t size = spoor__plan__get_packed_size(message);
    char *room;

    if (size > PLAN_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the query is too large to be sent to "
            "other servers (%zu MiB, of at most %zu)", size / MIB,
            PLAN_BYTES_MAX / MIB);
    room = sb_reserve(out, size);
    if (room == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    sb_advance(out, spoor__plan__pack(message, (uint8_t *)room));
    return 0;
}

/* All but the query. */
static int
plan_fill(Spoor__Plan *out, const struct plan *plan, struct pool *pool,
    struct err *err)
{
    struct pattern_list needed;

    spoor__plan__init(out);
    if (plan_patterns_put(&needed, plan->needed.patterns, plan->needed.n,
            pool, err) != 0)
        return -1;
    out->kind = kinds[plan->kind];
    out->account = plan->tenant.account;
    out->project = plan->tenant.project;
    out->timeout_ns = (uint64_t)MAX(plan->timeout_ns, 0);
    out->memory_max = plan->memory_max;
    out->wants_plain = plan->wants_plain;
    out->allow_missing = plan->allow_missing;
    out->no_cache = plan->no_cache;
    out->now_ns = plan->now_ns;
    out->min_time = plan->min_time;
    out->max_time = plan->max_time;
    out->limit = plan->limit;
    out->end = ends[plan->end];
    out->needed = needed.v;
    out->n_needed = needed.n;
    out->needs_all = plan->needed.is_all;
    out->trace_ids.data = (uint8_t *)(uintptr_t)plan->ids;
    out->trace_ids.len = plan->nids * sizeof(*plan->ids);
    return 0;
}

int
plan_put(struct sb *out, const struct plan *plan, struct err *err)
{
    struct pool *pool = pool_new(PUT_POOL_MAX);
    Spoor__Query query, *queries = &query;
    Spoor__Plan message;
    int rc;

    check(plan->kind >= PLAN_QUERY && plan->kind < ARRAY_LEN(kinds));
    check(has_query(plan->kind) == (plan->query != NULL));
    check(plan->nids <= PLAN_TRACES_MAX);
    rc = plan_fill(&message, plan, pool, err);
    if (rc == 0 && plan->query != NULL) {
        rc = plan_query_put(&query, plan->query, pool, err);
        message.query = &queries;
        message.n_query = 1;
    }
    if (rc == 0)
        rc = message_put(out, &message, err);
    pool_free(pool);
    return rc;
}

/* --- taking --- */

static void *
pool_give(void *arg, size_t size)
{
    return pool_alloc(arg, size);
}

static void
pool_take_back(UNUSED void *arg, UNUSED void *ptr)
{
}

/*
 * The first field that this version does not know, of the message and of
 * those in it; 0: none.
 */
static uint32_t
find_unknown(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *about = message->descriptor;

    if (message->n_unknown_fields > 0)
        return message->unknown_fields[0].tag;
    for (unsigned i = 0; i < about->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &about->fields[i];
        const char *base = (const char *)message;
        ProtobufCMessage **inner;
        size_t n;

        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        /* All of them are repeated. */
        memcpy(&n, base + field->quantifier_offset, sizeof(n));
        memcpy(&inner, base + field->offset, sizeof(inner));
        for (size_t k = 0; k < n; k++) {
            uint32_t tag = find_unknown(inner[k]);

            if (tag != 0)
                return tag;
        }
    }
    return 0;
}

static int
head_take(struct plan *out, const Spoor__Plan *message, struct err *err)
{
    size_t kind = PLAN_QUERY, end = 0;

    while (kind < ARRAY_LEN(kinds) && kinds[kind] != message->kind)
        kind++;
    while (end < ARRAY_LEN(ends) && ends[end] != message->end)
        end++;
    if (kind == ARRAY_LEN(kinds) || end == ARRAY_LEN(ends))
        return err_set(err, ERR_UNSUPPORTED, "the plan is of a kind (%d, %d) "
            "that this version does not know", (int)message->kind,
            (int)message->end);
    if (message->timeout_ns > INT64_MAX)
        return err_set(err, ERR_INVALID, "the plan's timeout is too long");
    *out = (struct plan){
        .kind = (enum plan_kind)kind,
        .tenant = {message->account, message->project},
        .timeout_ns = (int64_t)message->timeout_ns,
        .memory_max = message->memory_max,
        .wants_plain = message->wants_plain != 0,
        .allow_missing = message->allow_missing != 0,
        .no_cache = message->no_cache != 0,
        .now_ns = message->now_ns,
        .min_time = message->min_time, .max_time = message->max_time,
        .limit = message->limit,
        .end = (enum split_end)end,
    };
    return 0;
}

static int
ids_take(struct plan *out, const Spoor__Plan *message, struct pool *pool,
    struct err *err)
{
    size_t len = message->trace_ids.len, n = len / sizeof(*out->ids);
    struct trace_id *ids;

    if (len % sizeof(*out->ids) != 0 ||
        (n > 0) != (out->kind == PLAN_TRACES))
        return err_set(err, ERR_INVALID, "the ids of traces in the plan are "
            "malformed");
    if (n > PLAN_TRACES_MAX)
        return err_set(err, ERR_LIMIT, "the plan asks for more than %u "
            "traces", PLAN_TRACES_MAX);
    if (n == 0)
        return 0;
    ids = pool_alloc(pool, len);
    if (ids == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    memcpy(ids, message->trace_ids.data, len);
    out->ids = ids;
    out->nids = (uint32_t)n;
    return 0;
}

static int
message_take(struct plan *out, const Spoor__Plan *message,
    struct pool *pool, struct err *err)
{
    struct pattern_list needed = {message->needed, message->n_needed};

    if (head_take(out, message, err) != 0 ||
        ids_take(out, message, pool, err) != 0)
        return -1;
    out->needed.patterns = plan_patterns_take(&needed, pool, err);
    out->needed.n = (uint32_t)needed.n;
    out->needed.is_all = message->needs_all != 0;
    if (out->needed.patterns == NULL)
        return -1;
    if (message->n_query != has_query(out->kind))
        return err_set(err, ERR_INVALID, "the plan has %zu queries, and "
            "should have %d", message->n_query, has_query(out->kind));
    return message->n_query == 0 ? 0 : plan_query_take(&out->query,
        message->query[0], out->now_ns, pool, err);
}

int
plan_take(struct plan *out, struct sv bytes, struct pool *pool,
    struct err *err)
{
    ProtobufCAllocator allocator = {pool_give, pool_take_back, pool};
    Spoor__Plan *message;
    uint32_t tag;

    if (bytes.len > PLAN_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the plan has more than %zu MiB",
            PLAN_BYTES_MAX / MIB);
    message = spoor__plan__unpack(&allocator, bytes.len,
        (const uint8_t *)bytes.ptr);
    if (message == NULL)
        return err_set(err, ERR_INVALID, "the body is no plan, or needs too "
            "much memory");
    tag = find_unknown(&message->base);
    if (tag != 0)
        return err_set(err, ERR_UNSUPPORTED, "the plan is of a newer version: "
            "its field %u is not known here", tag);
    return message_take(out, message, pool, err);
}

/* --- hits --- */

void
plan_hit_put(struct sb *out, const struct plan_hit *hit)
{
    uint8_t bytes[HIT_BYTES];

    memcpy(bytes, hit->id.b, sizeof(hit->id.b));
    enc_put64(bytes + sizeof(hit->id.b), (uint64_t)hit->end_ns);
    sb_add(out, bytes, sizeof(bytes));
}

int
plan_hit_take(struct sv *in, struct plan_hit *out, struct err *err)
{
    if (in->len == 0)
        return 0;
    if (in->len < HIT_BYTES)
        return err_set(err, ERR_CORRUPT, "hits of a search are malformed");
    memcpy(out->id.b, in->ptr, sizeof(out->id.b));
    out->end_ns = (int64_t)enc_get64(in->ptr + sizeof(out->id.b));
    *in = sv_sub(*in, HIT_BYTES, in->len);
    return 1;
}
