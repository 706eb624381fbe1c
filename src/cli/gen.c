/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/gen.h"

#include "cli/gen_make.h"
#include "core/mem.h"

/* Of a batch; groups are few hundred, so the tables stay small. */
#define FIRST_SPANS 4096u

static const struct gen_maker *const makers[GEN_PROFILES] = {
    [GEN_SHOP] = &gen_shop, [GEN_A] = &gen_a, [GEN_B] = &gen_b};

bool
gen_profile_from_name(struct sv name, enum gen_profile *out)
{
    for (unsigned i = 0; i < GEN_PROFILES; i++) {
        if (sv_eq(name, sv_from(makers[i]->name))) {
            *out = (enum gen_profile)i;
            return true;
        }
    }
    return false;
}

double
gen_mean_spans(enum gen_profile profile)
{
    return makers[profile]->mean_spans;
}

struct gen *
gen_new(enum gen_profile profile, uint64_t seed, int64_t first_ns,
    int64_t spacing_ns)
{
    struct gen *gen = xcalloc(1, sizeof(*gen));

    gen->maker = makers[profile];
    gen->seed = seed;
    gen->first_ns = first_ns;
    gen->spacing_ns = spacing_ns;
    sb_init(&gen->text, GEN_TEXT_MAX);
    if (gen->maker->open != NULL)
        gen->maker->open(gen);
    return gen;
}

void
gen_free(struct gen *gen)
{
    if (gen->maker->close != NULL)
        gen->maker->close(gen);
    sb_release(&gen->text);
    xfree(gen->all);
    xfree(gen);
}

void
gen_seek(struct gen *gen, uint64_t index)
{
    gen->index = index;
}

struct trace_id
gen_trace_id(uint64_t seed, uint64_t index)
{
    uint64_t state = seed * UINT64_C(0x2545f4914f6cdd1d) + index;
    struct trace_id id;
    uint64_t half = gen_mix(&state);

    memcpy(id.b, &half, 8);
    half = gen_mix(&state) | 1;
    memcpy(id.b + 8, &half, 8);
    return id;
}

/* --- values --- */

static struct sv
value_copy(struct gen *gen, const char *ptr, size_t len)
{
    char *copy = pool_dup(gen->pool, ptr, len);

    if (copy == NULL) {
        gen->no_memory = true;
        return SV_EMPTY;
    }
    return sv_make(copy, len);
}

struct sv
gen_printf(struct gen *gen, const char *fmt, ...)
{
    char buf[512];
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(buf, sizeof(buf), fmt, args);
    va_end(args);
    return value_copy(gen, buf, (size_t)MIN(len, (int)sizeof(buf) - 1));
}

struct sv
gen_take(struct gen *gen)
{
    struct sv value = value_copy(gen, gen->text.ptr, gen->text.len);

    sb_reset(&gen->text);
    return value;
}

void
gen_put_uuid(struct gen *gen, uint64_t a, uint64_t b)
{
    static const char digits[] = "0123456789abcdef";
    char text[36];

    /* Version 4, variant 1. */
    a = (a & ~UINT64_C(0xf000)) | 0x4000;
    b = (b & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
    for (unsigned i = 0, at = 0; i < 16; i++) {
        uint64_t half = i < 8 ? a : b;
        unsigned byte = (unsigned)(half >> (56 - 8 * (i & 7))) & 255;

        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        text[at++] = digits[byte >> 4];
        text[at++] = digits[byte & 15];
    }
    sb_add(&gen->text, text, sizeof(text));
}

void
gen_add_text(struct gen_list *list, struct sv key, struct sv value)
{
    struct attr *attr = &list->v[list->n];

    if (list->n == GEN_ATTRS_MAX)
        return;
    attr->key = key;
    attr->value.type = VALUE_STRING;
    attr->value.str = value;
    list->n++;
}

void
gen_add_int(struct gen_list *list, struct sv key, int64_t value)
{
    struct attr *attr = &list->v[list->n];

    if (list->n == GEN_ATTRS_MAX)
        return;
    attr->key = key;
    attr->value.type = VALUE_INT;
    attr->value.i = value;
    list->n++;
}

struct attrs
gen_attrs(struct gen_list *list)
{
    struct attr *attrs = pool_alloc(list->gen->pool,
        list->n * sizeof(*attrs));

    if (attrs == NULL) {
        list->gen->no_memory = true;
        return (struct attrs){0};
    }
    memcpy(attrs, list->v, list->n * sizeof(*attrs));
    return (struct attrs){attrs, list->n};
}

/* --- spans --- */

struct span *
gen_span(struct gen *gen, const struct span *parent, int64_t start_ns)
{
    struct span *span;
    uint64_t id;

    if (gen->nspans == GEN_TRACE_SPANS_MAX)
        return NULL;
    span = &gen->spans[gen->nspans++];
    memset(span, 0, sizeof(*span));
    id = gen_random(gen) | 1;
    memcpy(span->span_id.b, &id, sizeof(id));
    span->trace_id = gen->trace_id;
    if (parent != NULL)
        span->parent_id = parent->span_id;
    span->start_ns = start_ns;
    span->flags = 0x101;
    return span;
}

static void
make_trace(struct gen *gen)
{
    int64_t start = gen->first_ns + (int64_t)gen->index * gen->spacing_ns;

    if (gen->cap - gen->nall < GEN_TRACE_SPANS_MAX) {
        gen->cap = MAX(FIRST_SPANS, gen->cap * 2);
        gen->all = xrealloc(gen->all, gen->cap * sizeof(*gen->all));
    }
    gen->random = gen->seed ^ (gen->index * UINT64_C(0xd1342543de82ef95));
    gen->trace_id = gen_trace_id(gen->seed, gen->index);
    gen->spans = gen->all + gen->nall;
    gen->nspans = 0;
    /* Traces of people do not begin at even intervals, nor in order. */
    if (gen->maker->has_jitter && gen->spacing_ns > 0)
        start += (int64_t)(gen_random(gen) % (4 * (uint64_t)gen->spacing_ns));
    gen->maker->trace(gen, start);
    gen->nall += gen->nspans;
    gen->index++;
}

/* --- the request --- */

/* Resources and scopes in use get numbers of the batch as they come. */
struct numbering {
    uint32_t *to; /* of a maker's number; UINT32_MAX: none yet */
    uint32_t n;
};

static uint32_t
number_of(struct numbering *numbering, uint32_t from)
{
    if (from >= numbering->n) {
        numbering->to = xrealloc(numbering->to,
            (from + 1) * sizeof(*numbering->to));
        while (numbering->n <= from)
            numbering->to[numbering->n++] = UINT32_MAX;
    }
    return numbering->to[from];
}

static int
group_add(struct gen *gen, struct batch *out, struct numbering *resources,
    struct numbering *scopes, const struct span *span)
{
    if (number_of(resources, span->resource) == UINT32_MAX) {
        struct resource *resource = batch_add_resource(out,
            &resources->to[span->resource]);

        if (resource == NULL)
            return -1;
        gen->maker->resource(gen, span->resource, resource);
        resource_find_service(resource);
    }
    if (number_of(scopes, span->scope) == UINT32_MAX) {
        struct scope *scope = batch_add_scope(out,
            &scopes->to[span->scope]);

        if (scope == NULL)
            return -1;
        gen->maker->scope(gen, span->scope, scope);
    }
    return 0;
}

/* The spans in the order of their groups, else in the order of the making. */
static void
spans_place(struct gen *gen, struct batch *out,
    const struct numbering *resources, const struct numbering *scopes)
{
    size_t ngroups = (size_t)resources->n * scopes->n;
    uint32_t *at = xcalloc(ngroups + 1, sizeof(*at));

    for (uint32_t i = 0; i < gen->nall; i++)
        at[gen->all[i].resource * scopes->n + gen->all[i].scope + 1]++;
    for (size_t i = 1; i <= ngroups; i++)
        at[i] += at[i - 1];
    for (uint32_t i = 0; i < gen->nall; i++) {
        const struct span *from = &gen->all[i];
        struct span *span = &out->spans[
            at[from->resource * scopes->n + from->scope]++];

        *span = *from;
        span->resource = resources->to[from->resource];
        span->scope = scopes->to[from->scope];
    }
    xfree(at);
}

int
gen_traces(struct gen *gen, unsigned traces, struct batch *out)
{
    struct numbering resources = {0}, scopes = {0};
    int rc = -1;

    gen->pool = out->pool;
    gen->no_memory = false;
    gen->nall = 0;
    for (unsigned i = 0; i < traces; i++)
        make_trace(gen);
    if (!batch_reserve(out, gen->nall, 0, 0))
        return -1;
    for (uint32_t i = 0; i < gen->nall; i++) {
        if (group_add(gen, out, &resources, &scopes, &gen->all[i]) != 0)
            goto out;
        if (batch_add_span(out, NULL) == NULL)
            goto out;
    }
    spans_place(gen, out, &resources, &scopes);
    rc = gen->no_memory ? -1 : 0;
out:
    xfree(resources.to);
    xfree(scopes.to);
    return rc;
}
