/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the runs of a block have of one field.  The keys that can give it a
 * text are found first, then where they stand in each shape in use.
 */

#include "core/base.h"
#include "storage/block_part_lists.h"

#include "core/assert.h"
#include "span/flat.h"

#define HITS_FIRST 64u

/* --- cursors --- */

int
part_cursor_init(struct part_cursor *cursor, struct block *block,
    const struct part_vector *vector, bool is_sparse)
{
    *cursor = (struct part_cursor){.r = &block->reading, .vector = vector,
        .is_sparse = is_sparse};
    if (is_sparse)
        return 0;
    cursor->buf = block_alloc(block, COL_MINI, sizeof(*cursor->buf));
    return cursor->buf == NULL ? -1 : 0;
}

int
part_cursor_refill(struct part_cursor *cursor, uint32_t i)
{
    cursor->n = 0;
    cursor->from = i - i % COL_MINI;
    check(i < cursor->vector->count);
    if (vector_decode(cursor->r, cursor->vector, cursor->from,
            MIN(COL_MINI, cursor->vector->count - cursor->from),
            cursor->buf) != 0)
        return -1;
    cursor->n = MIN(COL_MINI, cursor->vector->count - cursor->from);
    return 0;
}

/* How many values from i on are in the buffer, n at most. */
static int
buffered(struct part_cursor *cursor, uint32_t i, uint32_t n, uint32_t *count)
{
    if (i - cursor->from >= cursor->n && part_cursor_refill(cursor, i) != 0)
        return -1;
    *count = MIN(n, cursor->n - (i - cursor->from));
    return 0;
}

int
part_cursor_copy(struct part_cursor *cursor, uint32_t i, uint32_t n,
    uint64_t *dst)
{
    uint32_t count = 0;

    if (n >= COL_MINI || cursor->is_sparse)
        return vector_decode(cursor->r, cursor->vector, i, n, dst);
    for (; n > 0; i += count, dst += count, n -= count) {
        if (buffered(cursor, i, n, &count) != 0)
            return -1;
        memcpy(dst, cursor->buf + (i - cursor->from),
            count * sizeof(*dst));
    }
    return 0;
}

int
part_cursor_codes(struct part_cursor *cursor, uint32_t i, uint32_t n,
    uint32_t shift, uint32_t *dst)
{
    uint64_t largest = cursor->largest;
    uint32_t count = 0;

    for (; n > 0; i += count, dst += count, n -= count) {
        const uint64_t *src;

        if (buffered(cursor, i, n, &count) != 0)
            return -1;
        src = cursor->buf + (i - cursor->from);
        for (uint32_t j = 0; j < count; j++) {
            largest = MAX(largest, src[j]);
            dst[j] = (uint32_t)src[j] + shift;
        }
    }
    cursor->largest = largest;
    return 0;
}

/* --- sources --- */

bool
part_key_is_source(const struct block_field *field,
    const struct part_key *key)
{
    if (key->scope != (uint8_t)field->scope)
        return false;
    if (field->what != BLOCK_ATTR)
        return key->is_field && key->field == (uint32_t)field->field;
    if (key->is_field || key->type == VALUE_EMPTY || key->name.len == 0)
        return false;
    if (key->type != VALUE_KVLIST)
        return sv_eq(key->name, field->key);
    return key->name.len < field->key.len &&
        field->key.ptr[key->name.len] == '.' &&
        sv_starts_with(field->key, key->name);
}

/* Is it a key of the field that rows of the block have? */
static const struct part_vector *
find_vector(const struct part_lists *lists, uint32_t key)
{
    if (!part_key_is_source(lists->field, &lists->r->part->keys[key]))
        return NULL;
    return directory_find(lists->r->dir, PART_COLUMNS_CORE + key,
        PART_ROLE_VALUES);
}

int
part_lists_sources(struct part_lists *lists, struct block *block,
    const struct block_field *field, bool is_sparse)
{
    const struct part *part = block->reading.part;
    uint32_t n = 0;

    *lists = (struct part_lists){.block = block, .r = &block->reading,
        .field = field, .is_sparse = is_sparse};
    block_values_init(&lists->values, block);
    for (uint32_t key = 0; key < part->nkeys; key++)
        n += find_vector(lists, key) != NULL;
    if (n == 0)
        return 0;
    lists->sources = block_zalloc(block, n, sizeof(*lists->sources));
    if (lists->sources == NULL)
        return -1;
    for (uint32_t key = 0; key < part->nkeys; key++) {
        const struct part_vector *vector = find_vector(lists, key);
        struct part_source *source = &lists->sources[lists->nsources];

        if (vector == NULL)
            continue;
        source->key = key;
        source->column = PART_COLUMNS_CORE + key;
        source->type = part->keys[key].type;
        if (part_cursor_init(&source->cursor, block, vector,
                is_sparse) != 0)
            return -1;
        lists->nsources++;
    }
    return 0;
}

/* --- plans --- */

static int
add_hit(struct part_lists *lists, struct part_hit hit)
{
    if (lists->nhits == lists->hits_cap) {
        uint32_t cap = MAX(2 * lists->hits_cap, HITS_FIRST);
        struct part_hit *hits = block_alloc(lists->block, cap,
            sizeof(*hits));

        if (hits == NULL)
            return -1;
        if (lists->nhits > 0)
            memcpy(hits, lists->hits, lists->nhits * sizeof(*hits));
        lists->hits = hits;
        lists->hits_cap = cap;
    }
    lists->hits[lists->nhits++] = hit;
    return 0;
}

/* Number of the source of the key, or nsources. */
static uint32_t
source_of(const struct part_lists *lists, uint32_t key)
{
    uint32_t low = 0, high = lists->nsources;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (lists->sources[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < lists->nsources && lists->sources[low].key == key ? low :
        lists->nsources;
}

/* Only lists can be without a text: what stands before others is hidden. */
static int
make_plan(struct part_lists *lists, uint32_t code)
{
    const struct part *part = lists->r->part;
    const struct part_shape *shape = &part->shapes[code];
    struct part_plan *plan = &lists->plans[code];

    plan->first = lists->nhits;
    for (uint32_t i = 0; i < shape->n; i++) {
        uint32_t source = source_of(lists,
            part->shape_keys[shape->first + i]);

        if (source == lists->nsources)
            continue;
        if (lists->sources[source].type != VALUE_KVLIST)
            lists->nhits = plan->first;
        if (add_hit(lists, (struct part_hit){i, source}) != 0)
            return -1;
    }
    plan->n = lists->nhits - plan->first;
    for (uint32_t i = 0; i < plan->n; i++)
        lists->types |= 1u <<
            lists->sources[lists->hits[plan->first + i].source].type;
    lists->hits_max = MAX(lists->hits_max, plan->n);
    return 0;
}

/*
 * The shapes of the block's runs by the keys they have, so that a field costs
 * only the shapes that have it.  Those of key k are shapes[first[k]] up to
 * shapes[first[k + 1]].
 */
struct part_uses {
    uint32_t *first;
    uint32_t *shapes;
};

/* The shapes that runs have, ascending; n of them. */
static int
used_shapes(struct part_lists *lists, uint32_t **out, uint32_t *n)
{
    uint32_t nshapes = lists->r->part->nshapes;
    uint64_t *used = block_zalloc(lists->block, BITMAP_WORDS(nshapes),
        sizeof(*used));
    uint32_t *shapes = block_alloc(lists->block, nshapes, sizeof(*shapes));

    *n = 0;
    *out = shapes;
    if (used == NULL || shapes == NULL)
        return -1;
    for (uint32_t run = 0; run < lists->runs->nruns; run++)
        bitmap_set(used, lists->runs->shape[run]);
    for (uint32_t i = 0; i < nshapes; i++) {
        if (bitmap_has(used, i))
            shapes[(*n)++] = i;
    }
    return 0;
}

static int
uses_make(struct part_lists *lists, struct part_uses **out)
{
    const struct part *part = lists->r->part;
    struct part_uses *uses = block_zalloc(lists->block, 1, sizeof(*uses));
    uint32_t *used, n;

    if (uses == NULL || used_shapes(lists, &used, &n) != 0)
        return -1;
    uses->first = block_zalloc(lists->block, part->nkeys + 2,
        sizeof(*uses->first));
    if (uses->first == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        const struct part_shape *shape = &part->shapes[used[i]];

        for (uint32_t k = 0; k < shape->n; k++)
            uses->first[part->shape_keys[shape->first + k] + 2]++;
    }
    for (uint32_t key = 0; key < part->nkeys; key++)
        uses->first[key + 2] += uses->first[key + 1];
    uses->shapes = block_alloc(lists->block,
        uses->first[part->nkeys + 1] + 1, sizeof(*uses->shapes));
    if (uses->shapes == NULL)
        return -1;
    /* first[k + 1] moves from the first shape of k to that of k + 1. */
    for (uint32_t i = 0; i < n; i++) {
        const struct part_shape *shape = &part->shapes[used[i]];

        for (uint32_t k = 0; k < shape->n; k++)
            uses->shapes[uses->first[part->shape_keys[shape->first + k] +
                1]++] = used[i];
    }
    *out = uses;
    return 0;
}

/* A shape without a plan has no key of the field. */
static int
make_plans(struct part_lists *lists, enum part_table table)
{
    struct part_uses **uses = &lists->block->uses[table];

    lists->plans = block_zalloc(lists->block, lists->r->part->nshapes,
        sizeof(*lists->plans));
    if (lists->plans == NULL ||
        (*uses == NULL && uses_make(lists, uses) != 0))
        return -1;
    for (uint32_t i = 0; i < lists->nsources; i++) {
        uint32_t key = lists->sources[i].key;

        for (uint32_t k = (*uses)->first[key]; k < (*uses)->first[key + 1];
            k++) {
            uint32_t shape = (*uses)->shapes[k];

            if (lists->plans[shape].n == 0 && make_plan(lists, shape) != 0)
                return -1;
        }
    }
    return 0;
}

int
part_lists_init(struct part_lists *lists, struct block *block,
    const struct block_field *field, bool is_sparse)
{
    enum part_table table = field->scope == KEY_EVENT ? PART_TABLE_EVENTS :
        field->scope == KEY_LINK ? PART_TABLE_LINKS : PART_TABLE_SPANS;

    if (part_lists_sources(lists, block, field, is_sparse) != 0)
        return -1;
    if (lists->nsources == 0)
        return 0;
    if (reading_runs(lists->r, table, &lists->runs) != 0)
        return -1;
    return make_plans(lists, table);
}

/* --- texts --- */

int
part_lists_absent(struct part_lists *lists, uint32_t *code)
{
    if (UNLIKELY(lists->absent == 0)) {
        if (block_values_add(&lists->values, SV_EMPTY, code) != 0)
            return -1;
        lists->absent = *code + 1;
    }
    *code = lists->absent - 1;
    return 0;
}

static int
get_string(struct part_lists *lists, struct part_source *source,
    uint64_t string, struct sv *out)
{
    if (lists->is_sparse)
        return dictionary_get(lists->r, source->column, string,
            lists->block->pool, out);
    if (UNLIKELY(source->dict.v == NULL) &&
        part_dict_load(lists->block, source->column, &source->dict) != 0)
        return -1;
    if (UNLIKELY(string >= source->dict.n))
        return reading_corrupt(lists->r, "column %u has no string %llu",
            source->column, (unsigned long long)string);
    *out = source->dict.v[string + 1];
    return 0;
}

/* The text of a value as flat_find() gives it; *text stays without one. */
static int
get_text(struct part_lists *lists, struct part_source *source, uint64_t v,
    struct sv *text)
{
    struct attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.value.type = source->type;
    switch (source->type) {
    case VALUE_BOOL:
        attr.value.b = v != 0;
        break;
    case VALUE_INT:
        attr.value.i = (int64_t)v;
        break;
    case VALUE_DOUBLE:
        memcpy(&attr.value.d, &v, sizeof(v));
        break;
    default:
        if (get_string(lists, source, v, &attr.value.str) != 0)
            return -1;
    }
    if (lists->field->what != BLOCK_ATTR) {
        *text = attr.value.str;
        return 0;
    }
    attr.key = lists->r->part->keys[source->key].name;
    return flat_find(&attr, lists->field->key, lists->block->pool, text) ? 0 :
        block_no_memory(lists->block);
}

static int
add_text(struct part_lists *lists, struct sv text, uint32_t *code)
{
    return text.len == 0 ? part_lists_absent(lists, code) :
        block_values_add(&lists->values, text, code);
}

/* Values of dictionaries are looked at once. */
static int
code_of_value(struct part_lists *lists, struct part_source *source,
    uint64_t v, uint32_t *code)
{
    bool has_dict = source->type != VALUE_BOOL &&
        source->type != VALUE_INT && source->type != VALUE_DOUBLE;
    struct sv text = SV_EMPTY;

    if (has_dict && source->memo != NULL && v < source->dict.n &&
        source->memo[v] != 0) {
        *code = source->memo[v] - 1;
        return 0;
    }
    if (get_text(lists, source, v, &text) != 0 ||
        add_text(lists, text, code) != 0)
        return -1;
    if (source->dict.v == NULL)
        return 0;
    if (source->memo == NULL) {
        source->memo = block_zalloc(lists->block, source->dict.n,
            sizeof(*source->memo));
        if (source->memo == NULL)
            return -1;
    }
    source->memo[v] = *code + 1;
    return 0;
}

int
part_lists_string(struct part_lists *lists, struct part_source *source,
    uint64_t string, uint32_t *code)
{
    struct sv text;

    if (get_string(lists, source, string, &text) != 0)
        return -1;
    return add_text(lists, text, code);
}

int
part_lists_code(struct part_lists *lists, uint32_t run, uint32_t row,
    uint32_t *code)
{
    const struct part_plan *plan = part_lists_plan(lists, run);
    const struct part_hit *hits = &lists->hits[plan->first];
    uint32_t at = row - lists->runs->start[run];
    struct sv text = SV_EMPTY;
    uint64_t v;

    if (plan->n == 0)
        return part_lists_absent(lists, code);
    if (plan->n == 1) {
        struct part_source *source = &lists->sources[hits->source];

        if (part_cursor_get(&source->cursor,
                part_lists_base(lists, run, hits) + at, &v) != 0)
            return -1;
        return code_of_value(lists, source, v, code);
    }
    for (uint32_t i = 0; i < plan->n; i++) {
        struct part_source *source = &lists->sources[hits[i].source];

        if (part_cursor_get(&source->cursor,
                part_lists_base(lists, run, &hits[i]) + at, &v) != 0 ||
            get_text(lists, source, v, &text) != 0)
            return -1;
    }
    return add_text(lists, text, code);
}
