/* SPDX-License-Identifier: BSD-2-Clause */

/* Distinct texts with their codes, and columns made of them. */

#include "core/base.h"
#include "storage/block_read.h"

#include "core/assert.h"
#include "core/enc.h"
#include "core/num.h"
#include "span/flat.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define VALUES_FIRST 16u

/* --- distinct texts --- */

void
block_values_init(struct block_values *values, struct block *block)
{
    *values = (struct block_values){.block = block};
}

static uint32_t
hash_text(struct sv text)
{
    return (uint32_t)XXH3_64bits(text.ptr, text.len);
}

static void
put_bucket(struct block_values *values, uint32_t code)
{
    uint32_t mask = values->nbuckets - 1;
    uint32_t slot = hash_text(values->v[code]) & mask;

    while (values->buckets[slot] != 0)
        slot = (slot + 1) & mask;
    values->buckets[slot] = code + 1;
}

static int
grow(struct block_values *values)
{
    uint32_t cap = values->cap == 0 ? VALUES_FIRST : 4 * values->cap;
    struct sv *v = block_alloc(values->block, cap, sizeof(*v));

    if (v == NULL)
        return -1;
    if (values->n > 0)
        memcpy(v, values->v, values->n * sizeof(*v));
    values->v = v;
    values->cap = cap;
    return 0;
}

static int
grow_buckets(struct block_values *values)
{
    uint32_t n = values->nbuckets;
    const uint32_t *old = values->buckets;

    values->nbuckets = n == 0 ? 2 * VALUES_FIRST : 4 * n;
    values->buckets = block_zalloc(values->block, values->nbuckets,
        sizeof(*values->buckets));
    if (values->buckets == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        if (old[i] != 0)
            put_bucket(values, old[i] - 1);
    }
    return 0;
}

int
block_values_append(struct block_values *values, struct sv text,
    uint32_t *code)
{
    if (values->n == values->cap && grow(values) != 0)
        return -1;
    *code = values->n;
    values->v[values->n++] = text;
    return 0;
}

int
block_values_add(struct block_values *values, struct sv text, uint32_t *code)
{
    uint32_t mask, slot;

    if (2 * values->nhashed >= values->nbuckets && grow_buckets(values) != 0)
        return -1;
    mask = values->nbuckets - 1;
    slot = hash_text(text) & mask;
    for (; values->buckets[slot] != 0; slot = (slot + 1) & mask) {
        *code = values->buckets[slot] - 1;
        if (sv_eq(values->v[*code], text))
            return 0;
    }
    if (block_values_append(values, text, code) != 0)
        return -1;
    values->buckets[slot] = *code + 1;
    values->nhashed++;
    return 0;
}

bool
block_values_find(const struct block_values *values, struct sv text,
    uint32_t *code)
{
    uint32_t mask = values->nbuckets - 1;

    if (values->nbuckets == 0)
        return false;
    for (uint32_t slot = hash_text(text) & mask; values->buckets[slot] != 0;
        slot = (slot + 1) & mask) {
        *code = values->buckets[slot] - 1;
        if (sv_eq(values->v[*code], text))
            return true;
    }
    return false;
}

/* --- columns --- */

void
column_set_const(struct column *column, const struct sv *text)
{
    if (text->len == 0) {
        column->kind = COLUMN_EMPTY;
        return;
    }
    column->kind = COLUMN_CONST;
    column->values = text;
    column->nvalues = 1;
}

int
column_set_text(struct block *block, struct column *column, struct sv text)
{
    struct sv *value = block_alloc(block, 1, sizeof(*value));

    if (value == NULL)
        return -1;
    *value = text;
    column_set_const(column, value);
    return 0;
}

void
column_set_codes(struct column *column, const struct block_values *values,
    const uint32_t *codes)
{
    if (values->n == 0) {
        column->kind = COLUMN_EMPTY;
        return;
    }
    if (values->n == 1) {
        column_set_const(column, values->v);
        return;
    }
    column->kind = COLUMN_CODES;
    column->values = values->v;
    column->nvalues = values->n;
    column->codes = codes;
}

void
column_set_ints(struct column *column, enum column_kind kind,
    const int64_t *ints, const uint64_t *present)
{
    column->kind = kind;
    column->ints = ints;
    column->present = present;
}

void
column_set_ids(struct column *column, uint32_t width, const void *ids)
{
    column->kind = COLUMN_IDS;
    column->width = width;
    column->ids = ids;
}

static struct sv
id_text(const uint8_t *id, uint32_t width, char *buf)
{
    uint8_t any = 0;

    for (uint32_t i = 0; i < width; i++)
        any |= id[i];
    enc_hex(buf, id, width);
    return sv_make(buf, any == 0 ? 0 : 2 * (size_t)width);
}

struct sv
column_text(const struct column *column, uint32_t row, char *buf)
{
    switch (column->kind) {
    case COLUMN_EMPTY:
        break;
    case COLUMN_CONST:
        return column->values[0];
    case COLUMN_CODES:
        return column->values[column->codes[row]];
    case COLUMN_INTS:
        if (column->present != NULL && !bitmap_has(column->present, row))
            break;
        return sv_make(buf, num_print_i64(buf, column->ints[row]));
    case COLUMN_UINTS:
        if (column->present != NULL && !bitmap_has(column->present, row))
            break;
        return sv_make(buf, num_print_u64(buf,
            (uint64_t)column->ints[row]));
    case COLUMN_TIMES:
        return sv_make(buf, flat_time(buf, column->ints[row]));
    case COLUMN_IDS:
        return id_text(column_id(column, row), column->width, buf);
    case COLUMN_TEXTS:
        return column->texts[row];
    }
    return SV_EMPTY;
}

/* --- texts of streams and lists --- */

int
block_attrs_text(struct block *block, const struct attrs *attrs,
    struct sv key, struct sv *text)
{
    *text = SV_EMPTY;
    for (uint32_t i = 0; i < attrs->n; i++) {
        if (!flat_find(&attrs->v[i], key, block->pool, text))
            return block_no_memory(block);
    }
    return 0;
}

bool
block_is_of_stream(const struct block_field *field)
{
    return (field->what >= BLOCK_NAME && field->what <= BLOCK_STREAM_ID) ||
        (field->what == BLOCK_ATTR && field->scope == KEY_SCOPE);
}

static int
copy_text(struct block *block, const char *ptr, size_t len, struct sv *text)
{
    char *copy = pool_dup(block->pool, ptr, len);

    if (copy == NULL)
        return block_no_memory(block);
    *text = sv_make(copy, len);
    return 0;
}

int
block_number_text(struct block *block, int64_t number, struct sv *text)
{
    char buf[24];

    return copy_text(block, buf, num_print_i64(buf, number), text);
}

/* Quoting makes four bytes of one at most. */
static int
stream_labels(struct block *block, const struct block_stream *stream,
    struct sv *text)
{
    struct sb sb;
    int rc;

    sb_init(&sb, 4 * (stream->service.len + stream->name.len) + 100);
    flat_stream(&sb, stream->service, stream->name);
    rc = sb_failed(&sb) ? block_no_memory(block) :
        copy_text(block, sb.ptr, sb.len, text);
    sb_release(&sb);
    return rc;
}

static struct sv
extra_text(const struct scope *scope, struct sv key)
{
    struct sv rest = scope->extra_fields, name, text;

    while (text_list_next(&rest, &name) && text_list_next(&rest, &text)) {
        if (sv_eq(name, key))
            return text;
    }
    return SV_EMPTY;
}

int
block_stream_text(struct block *block, const struct block_field *field,
    const struct block_stream *stream, struct sv *text)
{
    char buf[FLAT_STREAM_ID_LEN];

    switch (field->what) {
    case BLOCK_NAME:
        *text = stream->name;
        return 0;
    case BLOCK_KIND:
        return block_number_text(block, stream->kind, text);
    case BLOCK_SCOPE_NAME:
        *text = stream->scope->name;
        return 0;
    case BLOCK_SCOPE_VERSION:
        *text = stream->scope->version;
        return 0;
    case BLOCK_EXTRA:
        *text = extra_text(stream->scope, field->key);
        return 0;
    case BLOCK_STREAM:
        return stream_labels(block, stream, text);
    case BLOCK_STREAM_ID:
        flat_stream_id(buf, &stream->tenant, stream->service, stream->name);
        return copy_text(block, buf, sizeof(buf), text);
    default:
        return block_attrs_text(block, &stream->scope->attrs, field->key,
            text);
    }
}
