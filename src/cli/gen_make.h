/* SPDX-License-Identifier: BSD-2-Clause */

/* What the profiles of gen.h share; private to gen*.c. */

#ifndef SPOOR_CLI_GEN_MAKE_H
#define SPOOR_CLI_GEN_MAKE_H

#include "core/base.h"
#include "cli/gen.h"

/* A trace is cut there. */
#define GEN_TRACE_SPANS_MAX 256u
#define GEN_ATTRS_MAX 16u
#define GEN_TEXT_MAX (64 * KIB) /* of one attribute */

struct mesh;

/* One kind of load; resources and scopes are numbered from 0. */
struct gen_maker {
    const char *name;
    double mean_spans;
    void (*trace)(struct gen *gen, int64_t start_ns);
    void (*resource)(struct gen *gen, uint32_t number, struct resource *out);
    void (*scope)(struct gen *gen, uint32_t number, struct scope *out);
    void (*open)(struct gen *gen); /* these two may be NULL */
    void (*close)(struct gen *gen);
    bool has_jitter;
};

extern const struct gen_maker gen_shop, gen_a, gen_b;

struct gen {
    const struct gen_maker *maker;
    struct mesh *mesh; /* of a and b */
    uint64_t seed;
    uint64_t index; /* of the next trace */
    int64_t first_ns;
    int64_t spacing_ns;
    struct sb text; /* a value being put together */
    /* of the batch being made */
    struct pool *pool;
    struct span *all;
    uint32_t nall, cap;
    bool no_memory;
    /* of the trace being made; resource and scope have the maker's numbers */
    uint64_t random;
    struct span *spans;
    unsigned nspans;
    struct trace_id trace_id;
};

/* splitmix64 */
static inline uint64_t
gen_mix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint64_t
gen_random(struct gen *gen)
{
    return gen_mix(&gen->random);
}

static inline uint32_t
gen_below(struct gen *gen, uint32_t n)
{
    return (uint32_t)((gen_random(gen) >> 32) * n >> 32);
}

/* The attributes of one thing. */
struct gen_list {
    struct gen *gen;
    struct attr v[GEN_ATTRS_MAX];
    unsigned n;
};

void gen_add_text(struct gen_list *list, struct sv key, struct sv value);
void gen_add_int(struct gen_list *list, struct sv key, int64_t value);
/* A copy of the list in the batch. */
struct attrs gen_attrs(struct gen_list *list);

/* A value that printf puts together; slow. */
struct sv gen_printf(struct gen *gen, const char *fmt, ...)
    PRINTF_LIKE(2, 3);
/* gen->text as a value; gen->text is empty then. */
struct sv gen_take(struct gen *gen);
/* Appends to gen->text. */
void gen_put_uuid(struct gen *gen, uint64_t a, uint64_t b);

/* The next span of the trace, or NULL when there are too many. */
struct span *gen_span(struct gen *gen, const struct span *parent,
    int64_t start_ns);

#endif
