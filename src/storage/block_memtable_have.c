/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What a memtable cannot have, told by its tables of streams and shapes, its
 * chains of traces, and by its strings: all of them are looked through, which
 * costs a tenth of a column.  Whatever goes wrong here is a "may have".
 */

#include "core/base.h"
#include "storage/block_memtable_lists.h"

#include "core/enc.h"
#include "core/num.h"

/* Looking at more streams or resources costs as much as the column. */
#define LOOKUPS_MAX 2048u
/* Strings of the wanted length that are fetched from memory together. */
#define CANDIDATES 32u

/* --- strings --- */

struct candidates {
    const char *v[CANDIDATES];
    uint32_t n;
};

static bool
any_is(const struct candidates *candidates, struct sv text)
{
    for (uint32_t i = 0; i < candidates->n; i++) {
        if (memcmp(candidates->v[i], text.ptr, text.len) == 0)
            return true;
    }
    return false;
}

static bool
strings_have(const struct block *block, struct sv text)
{
    const struct memtable *mt = block->mt;
    uint32_t n = atomic_load_explicit(&mt->h.nstrings, memory_order_acquire);
    struct candidates candidates = {.n = 0};

    for (uint32_t code = 0; code < MIN(n, MEMTABLE_STRINGS_MAX); code++) {
        struct sv own;

        if (LIKELY(mt->strings[code].len != text.len))
            continue;
        own = memtable_string(mt, code);
        if (own.ptr == NULL)
            return true;
        __builtin_prefetch(own.ptr);
        candidates.v[candidates.n++] = own.ptr;
        if (candidates.n < CANDIDATES)
            continue;
        if (any_is(&candidates, text))
            return true;
        candidates.n = 0;
    }
    return any_is(&candidates, text);
}

static bool
values_have(struct block *block, const struct block_field *field,
    struct sv text)
{
    uint32_t types = 0;
    int64_t v;

    if (memtable_lists_types(block, field, &types) != 0 ||
        (types & ~(1u << VALUE_STRING | 1u << VALUE_INT |
            1u << VALUE_BOOL)) != 0)
        return true;
    if ((types & 1u << VALUE_INT) != 0 && num_parse_exact_i64(text, &v))
        return true;
    if ((types & 1u << VALUE_BOOL) != 0 &&
        (sv_eq(text, SV("true")) || sv_eq(text, SV("false"))))
        return true;
    /* "-" stands for the empty string, which is always there. */
    return (types & 1u << VALUE_STRING) != 0 &&
        (sv_eq(text, SV("-")) || strings_have(block, text));
}

/* --- streams and resources --- */

static bool
streams_have(struct block *block, const struct block_field *field,
    struct sv text)
{
    uint32_t n = atomic_load_explicit(&block->mt->h.nstreams,
        memory_order_acquire);

    if (n > LOOKUPS_MAX)
        return true;
    for (uint32_t code = 0; code < n; code++) {
        struct block_stream stream;
        struct sv own;

        if (memtable_stream_of(block, code, &stream) != 0 ||
            block_stream_text(block, field, &stream, &own) != 0 ||
            sv_eq(own, text))
            return true;
    }
    return false;
}

static bool
resources_have(struct block *block, const struct block_field *field,
    struct sv text)
{
    uint32_t n = atomic_load_explicit(&block->mt->h.nresources,
        memory_order_acquire);

    if (n > LOOKUPS_MAX)
        return true;
    for (uint32_t ordinal = 0; ordinal < n; ordinal++) {
        const struct resource *resource = NULL;
        struct sv own;

        if (memtable_resource_of(block, ordinal, &resource) != 0 ||
            block_attrs_text(block, &resource->attrs, field->key,
                &own) != 0 ||
            sv_eq(own, text))
            return true;
    }
    return false;
}

bool
memtable_may_have(struct block *block, const struct block_field *field,
    struct sv text)
{
    struct trace_id id;

    if (block_is_of_stream(field))
        return streams_have(block, field, text);
    switch (field->what) {
    case BLOCK_TRACE_ID:
        return !enc_unhex(text, id.b, sizeof(id.b)) ||
            memtable_may_have_trace(block->mt, block->info.rows, &id);
    case BLOCK_ATTR:
        return field->scope == KEY_RESOURCE ?
            resources_have(block, field, text) :
            values_have(block, field, text);
    case BLOCK_TEXT:
        return values_have(block, field, text);
    case BLOCK_EVENT_NAME:
        return strings_have(block, text);
    default:
        return true;
    }
}
