/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The arrays of a batch.  They grow by doubling inside the pool: what was
 * outgrown stays in the region until it is freed, so a decoder that can count
 * first calls batch_reserve().
 */

#include "core/base.h"
#include "span/span.h"

#include "core/assert.h"

/* Enough for the requests of one browser page. */
#define FIRST_SPANS 64
#define FIRST_GROUPS 4

void
batch_init(struct batch *batch, struct pool *pool)
{
    memset(batch, 0, sizeof(*batch));
    batch->pool = pool;
}

/* A larger array with the old content in front, or NULL. */
static void *
grow(struct pool *pool, const void *old, size_t old_bytes, size_t bytes)
{
    void *bigger = pool_alloc(pool, bytes);

    if (bigger != NULL && old_bytes > 0)
        memcpy(bigger, old, old_bytes);
    return bigger;
}

static bool
reserve_spans(struct batch *batch, uint32_t want)
{
    if (want <= batch->cap_spans)
        return true;
    void *bigger = grow(batch->pool, batch->spans,
        batch->nspans * sizeof(struct span), want * sizeof(struct span));
    if (bigger == NULL)
        return false;
    batch->spans = bigger;
    batch->cap_spans = want;
    return true;
}

static bool
reserve_resources(struct batch *batch, uint32_t want)
{
    if (want <= batch->cap_resources)
        return true;
    void *bigger = grow(batch->pool, batch->resources,
        batch->nresources * sizeof(struct resource),
        want * sizeof(struct resource));
    if (bigger == NULL)
        return false;
    batch->resources = bigger;
    batch->cap_resources = want;
    return true;
}

static bool
reserve_scopes(struct batch *batch, uint32_t want)
{
    if (want <= batch->cap_scopes)
        return true;
    void *bigger = grow(batch->pool, batch->scopes,
        batch->nscopes * sizeof(struct scope), want * sizeof(struct scope));
    if (bigger == NULL)
        return false;
    batch->scopes = bigger;
    batch->cap_scopes = want;
    return true;
}

bool
batch_reserve(struct batch *batch, uint32_t spans, uint32_t resources,
    uint32_t scopes)
{
    if (MAX(MAX(spans, resources), scopes) > BATCH_SPANS_MAX)
        return false;
    return reserve_spans(batch, spans) &&
        reserve_resources(batch, resources) && reserve_scopes(batch, scopes);
}

/* The next size of a full array; 0 at the maximum. */
static uint32_t
next_size(uint32_t n, uint32_t first)
{
    if (n >= BATCH_SPANS_MAX)
        return 0;
    return n == 0 ? first : MIN(n * 2, BATCH_SPANS_MAX);
}

struct span *
batch_add_span(struct batch *batch, uint32_t *index)
{
    if (UNLIKELY(batch->nspans == batch->cap_spans)) {
        uint32_t want = next_size(batch->nspans, FIRST_SPANS);

        if (want == 0 || !reserve_spans(batch, want))
            return NULL;
    }
    if (index != NULL)
        *index = batch->nspans;
    struct span *span = &batch->spans[batch->nspans++];
    memset(span, 0, sizeof(*span));
    return span;
}

struct resource *
batch_add_resource(struct batch *batch, uint32_t *index)
{
    if (batch->nresources == batch->cap_resources) {
        uint32_t want = next_size(batch->nresources, FIRST_GROUPS);

        if (want == 0 || !reserve_resources(batch, want))
            return NULL;
    }
    if (index != NULL)
        *index = batch->nresources;
    struct resource *resource = &batch->resources[batch->nresources++];
    memset(resource, 0, sizeof(*resource));
    return resource;
}

struct scope *
batch_add_scope(struct batch *batch, uint32_t *index)
{
    if (batch->nscopes == batch->cap_scopes) {
        uint32_t want = next_size(batch->nscopes, FIRST_GROUPS);

        if (want == 0 || !reserve_scopes(batch, want))
            return NULL;
    }
    if (index != NULL)
        *index = batch->nscopes;
    struct scope *scope = &batch->scopes[batch->nscopes++];
    memset(scope, 0, sizeof(*scope));
    return scope;
}

void
resource_find_service(struct resource *resource)
{
    static const struct sv name = SV("service.name");

    resource->service = SV_EMPTY;
    for (uint32_t i = 0; i < resource->attrs.n; i++) {
        const struct attr *attr = &resource->attrs.v[i];

        if (sv_eq(attr->key, name))
            resource->service = attr->value.type != VALUE_STRING ? SV_EMPTY
                : attr->value.str.len != 0 ? attr->value.str : SV("-");
    }
}

void
batch_reject(struct batch *batch, uint32_t span, enum reject why)
{
    check(span < batch->nspans);
    check(why > REJECT_NONE && why < REJECT_KINDS);
    if (batch->spans[span].reject != REJECT_NONE)
        return;
    batch->spans[span].reject = (uint8_t)why;
    batch->rejected++;
    batch->reject_mask |= 1u << why;
}

static const struct {
    const char *label;
    const char *text;
} reject_kinds[REJECT_KINDS] = {
    [REJECT_NONE] = {"none", "accepted"},
    [REJECT_TRACE_ID] = {"trace_id",
        "trace_id is not 16 bytes or is all zero"},
    [REJECT_SPAN_ID] = {"span_id",
        "span_id is not 8 bytes or is all zero"},
    [REJECT_PARENT_ID] = {"parent_id",
        "parent_span_id is neither empty nor 8 bytes"},
    [REJECT_TOO_OLD] = {"too_small_timestamp",
        "the span ended before the retention window"},
    [REJECT_TOO_NEW] = {"too_big_timestamp",
        "the span ends too far in the future"},
    [REJECT_TIME] = {"time",
        "a time is beyond the year 2262"},
    [REJECT_MANY_FIELDS] = {"too_many_fields",
        "the span has too many fields"},
    [REJECT_LONG_NAME] = {"long_field_name",
        "a field name is longer than 128 bytes"},
    [REJECT_LARGE] = {"too_large",
        "the span is larger than 2 MiB"},
    [REJECT_DETACHED] = {"detached",
        "the day on which the span ended is detached"},
};

const char *
reject_text(enum reject why)
{
    check((unsigned)why < REJECT_KINDS);
    return reject_kinds[why].text;
}

const char *
reject_label(enum reject why)
{
    check((unsigned)why < REJECT_KINDS);
    return reject_kinds[why].label;
}
