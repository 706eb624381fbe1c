/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Columns of a memtable that are not made of values: most are its arrays as
 * they are.  The region may be damaged: see memtable_read.c.
 */

#include "core/base.h"
#include "storage/block_read.h"

#include "storage/memtable_format.h"

int
memtable_damage(const struct block *block, const char *what, uint64_t where)
{
    return err_set(block->err, ERR_CORRUPT, "memtable: %s %llu is damaged",
        what, (unsigned long long)where);
}

/* --- resources, scopes, streams --- */

/* The place of the ordinal in a memo of n, made when it is first needed. */
static int
memo_of(struct block *block, uint32_t **memo, uint32_t n)
{
    if (*memo == NULL)
        *memo = block_zalloc(block, n, sizeof(**memo));
    return *memo == NULL ? -1 : 0;
}

int
memtable_resource_of(struct block *block, uint32_t ordinal,
    const struct resource **out)
{
    uint32_t index;

    if (ordinal >= MEMTABLE_RESOURCES_MAX)
        return memtable_damage(block, "resource", ordinal);
    if (memo_of(block, &block->resource_memo, MEMTABLE_RESOURCES_MAX) != 0)
        return -1;
    index = block->resource_memo[ordinal];
    if (index == 0) {
        if (memtable_read_resource(block->mt, ordinal, &block->lists, &index,
                block->err) != 0)
            return -1;
        block->resource_memo[ordinal] = ++index;
    }
    *out = &block->lists.resources[index - 1];
    return 0;
}

int
memtable_scope_of(struct block *block, uint32_t ordinal, const struct scope **out)
{
    uint32_t index;

    if (ordinal >= MEMTABLE_SCOPES_MAX)
        return memtable_damage(block, "scope", ordinal);
    if (memo_of(block, &block->scope_memo, MEMTABLE_SCOPES_MAX) != 0)
        return -1;
    index = block->scope_memo[ordinal];
    if (index == 0) {
        if (memtable_read_scope(block->mt, ordinal, &block->lists, &index,
                block->err) != 0)
            return -1;
        block->scope_memo[ordinal] = ++index;
    }
    *out = &block->lists.scopes[index - 1];
    return 0;
}

/* The scope is good until another one is asked for. */
int
memtable_stream_of(struct block *block, uint32_t code,
    struct block_stream *out)
{
    const struct memtable *mt = block->mt;
    struct memtable_stream stream;

    if (code >= MEMTABLE_STREAMS_MAX)
        return memtable_damage(block, "stream", code);
    stream = mt->streams[code];
    if (stream.tenant >= MEMTABLE_TENANTS_MAX)
        return memtable_damage(block, "tenant of stream", code);
    out->tenant = mt->tenants[stream.tenant];
    out->service = memtable_string(mt, stream.service);
    out->name = memtable_string(mt, stream.name);
    out->kind = stream.kind;
    if (out->service.ptr == NULL || out->name.ptr == NULL)
        return memtable_damage(block, "stream", code);
    return memtable_scope_of(block, stream.scope, &out->scope);
}

int
memtable_select_tenant(struct block *block, const struct tenant *tenant,
    uint64_t *bits)
{
    const struct memtable *mt = block->mt;

    for (uint32_t row = 0; row < block->info.rows; row++) {
        uint32_t stream = mt->stream[row], owner;

        if (stream >= MEMTABLE_STREAMS_MAX)
            return memtable_damage(block, "stream", stream);
        owner = mt->streams[stream].tenant;
        if (owner >= MEMTABLE_TENANTS_MAX)
            return memtable_damage(block, "tenant of stream", stream);
        bits[row / 64] |=
            (uint64_t)(mt->tenants[owner].account == tenant->account &&
            mt->tenants[owner].project == tenant->project) << row % 64;
    }
    return 0;
}

/* --- columns by an ordinal that each row has --- */

struct by_ordinal {
    struct block *block;
    const struct block_field *field;
    struct block_values values;
    uint32_t *memo; /* code + 1, by ordinal */
};

static int
code_of(struct by_ordinal *by, uint32_t ordinal)
{
    const struct resource *resource = NULL;
    struct block_stream stream;
    struct sv text = SV_EMPTY;
    uint32_t code = 0;
    int rc;

    if (block_is_of_stream(by->field)) {
        rc = memtable_stream_of(by->block, ordinal, &stream);
        if (rc == 0)
            rc = block_stream_text(by->block, by->field, &stream, &text);
    } else {
        rc = memtable_resource_of(by->block, ordinal, &resource);
        if (rc == 0)
            rc = block_attrs_text(by->block, &resource->attrs,
                by->field->key, &text);
    }
    if (rc != 0 || block_values_add(&by->values, text, &code) != 0)
        return -1;
    by->memo[ordinal] = code + 1;
    return 0;
}

static int
ordinal_column(struct block *block, const struct block_field *field,
    struct column *column)
{
    bool is_stream = block_is_of_stream(field);
    const uint32_t *ordinals = is_stream ? block->mt->stream :
        block->mt->resource;
    uint32_t limit = is_stream ?
        MIN(atomic_load(&block->mt->h.nstreams), MEMTABLE_STREAMS_MAX) :
        MIN(atomic_load(&block->mt->h.nresources), MEMTABLE_RESOURCES_MAX);
    struct by_ordinal by = {.block = block, .field = field};
    uint32_t *codes = block_alloc(block, block->info.rows, sizeof(*codes));

    by.memo = block_zalloc(block, (size_t)limit + 1, sizeof(*by.memo));
    if (codes == NULL || by.memo == NULL)
        return -1;
    block_values_init(&by.values, block);
    for (uint32_t row = 0; row < block->info.rows; row++) {
        uint32_t ordinal = ordinals[row];

        if (UNLIKELY(ordinal >= limit))
            return memtable_damage(block, "row", row);
        if (UNLIKELY(by.memo[ordinal] == 0) && code_of(&by, ordinal) != 0)
            return -1;
        codes[row] = by.memo[ordinal] - 1;
    }
    column_set_codes(column, &by.values, codes);
    return 0;
}

/* --- times --- */

static int
duration_column(struct block *block, struct column *column)
{
    const struct memtable *mt = block->mt;
    int64_t *ints = block_alloc(block, block->info.rows, sizeof(*ints));

    if (ints == NULL)
        return -1;
    for (uint32_t row = 0; row < block->info.rows; row++)
        ints[row] = (int64_t)((uint64_t)mt->end_ns[row] -
            (uint64_t)mt->start_ns[row]);
    column_set_ints(column, COLUMN_INTS, ints, NULL);
    return 0;
}

int
memtable_column(struct block *block, const struct block_field *field,
    struct column *column)
{
    const struct memtable *mt = block->mt;

    if (block_is_of_stream(field) ||
        (field->what == BLOCK_ATTR && field->scope == KEY_RESOURCE))
        return ordinal_column(block, field, column);
    if (field->scope != KEY_SPAN)
        return memtable_sub_column(block, field, column);
    switch (field->what) {
    case BLOCK_TIME:
        column_set_ints(column, COLUMN_TIMES, mt->end_ns, NULL);
        return 0;
    case BLOCK_START:
        column_set_ints(column, COLUMN_INTS, mt->start_ns, NULL);
        return 0;
    case BLOCK_END:
        column_set_ints(column, COLUMN_INTS, mt->end_ns, NULL);
        return 0;
    case BLOCK_DURATION:
        return duration_column(block, column);
    case BLOCK_TRACE_ID:
        column_set_ids(column, 16, mt->trace_id);
        return 0;
    case BLOCK_SPAN_ID:
        column_set_ids(column, 8, mt->span_id);
        return 0;
    case BLOCK_PARENT_ID:
        column_set_ids(column, 8, mt->parent_id);
        return 0;
    default:
        return memtable_row_column(block, field, column);
    }
}
