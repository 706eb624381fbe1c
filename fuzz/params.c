/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Parameters of requests: any bytes as a canonical form, and any text as the
 * four lists (separated by newlines).  What was accepted has one canonical
 * form, and doing it twice is doing it once.
 */

#include "core/base.h"
#include "span/params.h"

#include "core/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* {"inner": {"leaf": "\033[1mx"}, "n": 1} as a KeyValueList. */
static const char map[] =
    "\x0a\x1d" "\x0a\x05" "inner" "\x12\x14" "\x32\x12"
        "\x0a\x10" "\x0a\x04" "leaf" "\x12\x08" "\x0a\x06" "\033[1mxy"
    "\x0a\x07" "\x0a\x01" "n" "\x12\x02" "\x18\x01";

static const struct attr attrs[] = {
    {{"a", 1}, {.str = {"\033[31mred\033[0m", 12}, .type = VALUE_STRING}},
    {{"map", 3}, {.str = {map, sizeof(map) - 1}, .type = VALUE_KVLIST}},
    {{"service.name", 12}, {.str = {"shop", 4}, .type = VALUE_STRING}},
    {{"a", 1}, {.i = 5, .type = VALUE_INT}},
};

#define ALL ((struct attrs){attrs, ARRAY_LEN(attrs)})

static void
make_batch(struct batch *batch, struct pool *pool)
{
    static const struct span_event events[] = {
        {.time_ns = 1, .name = {"e", 1}, .attrs = {attrs, 2}},
        {.time_ns = 2, .dropped_attrs = 3},
    };
    static const struct span_link links[] = {
        {.trace_id = {{1}}, .span_id = {{2}}, .attrs = {attrs, 1}},
    };
    struct span *span;

    batch_init(batch, pool);
    struct resource *resource = batch_add_resource(batch, NULL);
    struct scope *scope = batch_add_scope(batch, NULL);
    span = batch_add_span(batch, NULL);
    check(resource != NULL && scope != NULL && span != NULL);
    resource->attrs = ALL;
    scope->attrs = ALL;
    scope->name = SV("scope");
    span->name = SV("\033[0mname");
    span->attrs = ALL;
    span->events = events;
    span->nevents = ARRAY_LEN(events);
    span->links = links;
    span->nlinks = ARRAY_LEN(links);
    span->kind = 2;
    span->status_code = 1;
}

/* Applies the form; the hash of the span. */
static void
apply(struct batch *batch, struct sv form, uint8_t hash[16])
{
    struct err err = ERR_INIT;

    check(params_apply_canonical(form, batch, &err) == 0);
    span_hash(batch, &batch->spans[0], hash);
}

static void
use(const struct params *params, struct pool *pool)
{
    struct err err = ERR_INIT;
    struct params back;
    struct batch batch;
    struct sv once, twice;
    uint8_t first[16], second[16];

    check(params_encode(params, pool, &once, &err) == 0);
    check(params_decode(&back, once, pool, &err) == 0);
    check(params_encode(&back, pool, &twice, &err) == 0);
    check(sv_eq(once, twice));
    make_batch(&batch, pool);
    apply(&batch, once, first);
    apply(&batch, once, second);
    check(memcmp(first, second, sizeof(first)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pool *pool = pool_new(64 * MIB);
    struct params params = {0};
    struct err err = ERR_INIT;
    struct sv rest = sv_make(data, size), text;
    bool is_good = true;

    if (size > PARAMS_BYTES_MAX / 2) {
        pool_free(pool);
        return 0;
    }
    if (params_decode(&params, rest, pool, &err) == 0)
        use(&params, pool);
    memset(&params, 0, sizeof(params));
    for (unsigned kind = 0; kind < PARAMS_KINDS; kind++) {
        if (sv_split(&rest, '\n', &text) &&
            params_set(&params, (enum params_kind)kind, text, pool,
                &err) != 0)
            is_good = false;
    }
    if (is_good)
        use(&params, pool);
    pool_free(pool);
    return 0;
}
