/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Values of one field in the lists of a memtable.  What a shape has of the
 * field is found out once, so a list costs a look at its plan and the words.
 */

#include "core/base.h"
#include "storage/block_memtable_lists.h"

#include "span/flat.h"

#define HITS_FIRST 64u

int
memtable_lists_init(struct memtable_lists *lists, struct block *block,
    const struct block_field *field)
{
    uint32_t nstrings = atomic_load_explicit(&block->mt->h.nstrings,
        memory_order_acquire);
    uint32_t nshapes = atomic_load_explicit(&block->mt->h.nshapes,
        memory_order_acquire);

    *lists = (struct memtable_lists){.block = block, .field = field};
    lists->nstrings = MIN(nstrings, MEMTABLE_STRINGS_MAX);
    block_values_init(&lists->values, block);
    lists->nplans = MIN(nshapes, MEMTABLE_SHAPES_MAX);
    lists->plans = block_zalloc(block, lists->nplans + 1,
        sizeof(*lists->plans));
    return lists->plans == NULL ? -1 : 0;
}

/* --- plans --- */

static int
add_hit(struct memtable_lists *lists, struct memtable_plan *plan,
    struct memtable_hit hit)
{
    if (lists->nhits == lists->hits_cap) {
        uint32_t cap = MAX(2 * lists->hits_cap, HITS_FIRST);
        struct memtable_hit *hits = block_alloc(lists->block, cap,
            sizeof(*hits));

        if (hits == NULL)
            return -1;
        if (lists->nhits > 0)
            memcpy(hits, lists->hits, lists->nhits * sizeof(*hits));
        lists->hits = hits;
        lists->hits_cap = cap;
    }
    lists->hits[lists->nhits++] = hit;
    plan->n++;
    return 0;
}

/* 0: the element is not of the field, 1: it may be, 2: it surely is. */
static int
match(const struct memtable_lists *lists, uint32_t key, uint32_t type)
{
    const struct block_field *field = lists->field;
    struct sv name;

    if (field == NULL)
        return 0;
    if (field->what != BLOCK_ATTR) {
        bool is_text = field->what == BLOCK_TEXT;

        return key < FIELD_KEYS && key == (uint32_t)field->field &&
            type == (is_text ? VALUE_STRING : VALUE_INT) ? 2 : 0;
    }
    if (key < FIELD_KEYS || type == VALUE_EMPTY)
        return 0;
    name = memtable_string(lists->block->mt,
        lists->block->mt->keys[key].text);
    if (type != VALUE_KVLIST)
        return sv_eq(name, field->key) ? 2 : 0;
    return name.len > 0 && name.len < field->key.len &&
        field->key.ptr[name.len] == '.' && sv_starts_with(field->key, name);
}

static int
make_plan(struct memtable_lists *lists, uint32_t code,
    struct memtable_plan *plan)
{
    const struct memtable *mt = lists->block->mt;
    struct memtable_shape shape = mt->shapes[code];

    if (UNLIKELY(shape.n > MEMTABLE_LIST_MAX ||
        shape.elems > MEMTABLE_HEAP_WORDS - shape.n))
        return memtable_damage(lists->block, "shape", code);
    plan->first = lists->nhits;
    for (uint32_t i = 0; i < shape.n; i++) {
        uint32_t elem = mt->heap[shape.elems + i];
        struct memtable_hit hit = {plan->words, memtable_elem_type(elem),
            memtable_elem_key(elem)};
        int found;

        if (UNLIKELY(hit.type >= VALUE_TYPES || hit.key >= MEMTABLE_KEYS_MAX))
            return memtable_damage(lists->block, "shape", code);
        plan->words += memtable_type_words(hit.type);
        found = match(lists, hit.key, hit.type);
        if (found == 0)
            continue;
        if (found == 2) {
            lists->nhits = plan->first;
            plan->n = 0;
        }
        if (add_hit(lists, plan, hit) != 0)
            return -1;
    }
    for (uint32_t i = 0; i < plan->n; i++)
        lists->types |= 1u << lists->hits[plan->first + i].type;
    lists->hits_max = MAX(lists->hits_max, plan->n);
    plan->off = plan->n == 0 ? 0 : lists->hits[lists->nhits - 1].off;
    plan->is_made = true;
    return 0;
}

int
memtable_lists_new_plan(struct memtable_lists *lists, uint32_t shape)
{
    if (shape >= lists->nplans)
        return memtable_damage(lists->block, "shape", shape);
    return make_plan(lists, shape, &lists->plans[shape]);
}

int
memtable_lists_types(struct block *block, const struct block_field *field,
    uint32_t *types)
{
    const struct memtable *mt = block->mt;
    struct memtable_lists lists = {.block = block, .field = field};
    uint32_t n = atomic_load_explicit(&mt->h.nshapes, memory_order_acquire);

    *types = 0;
    for (uint32_t code = 0; code < MIN(n, MEMTABLE_SHAPES_MAX); code++) {
        struct memtable_shape shape = mt->shapes[code];

        if (UNLIKELY(shape.n > MEMTABLE_LIST_MAX ||
            shape.elems > MEMTABLE_HEAP_WORDS - shape.n))
            return memtable_damage(block, "shape", code);
        for (uint32_t i = 0; i < shape.n; i++) {
            uint32_t elem = mt->heap[shape.elems + i];
            uint32_t type = memtable_elem_type(elem);
            uint32_t key = memtable_elem_key(elem);

            if (UNLIKELY(type >= VALUE_TYPES || key >= MEMTABLE_KEYS_MAX))
                return memtable_damage(block, "shape", code);
            if (match(&lists, key, type) != 0)
                *types |= 1u << type;
        }
    }
    return 0;
}

/* --- texts --- */

int
memtable_lists_new_absent(struct memtable_lists *lists)
{
    uint32_t code;

    if (block_values_add(&lists->values, SV_EMPTY, &code) != 0)
        return -1;
    lists->absent = code + 1;
    return 0;
}

static int
add_string(struct memtable_lists *lists, uint32_t string, uint32_t *code)
{
    struct sv text = memtable_string(lists->block->mt, string);

    if (text.ptr == NULL)
        return memtable_damage(lists->block, "string", string);
    if (text.len == 0 && lists->field->what == BLOCK_ATTR)
        text = SV("-");
    if (lists->is_plain && text.len > 1 && text.len <= MEMTABLE_INTERN_MAX)
        return block_values_append(&lists->values, text, code);
    return block_values_add(&lists->values, text, code);
}

int
memtable_lists_memo(struct memtable_lists *lists)
{
    if (lists->memo == NULL)
        lists->memo = block_zalloc(lists->block,
            (size_t)lists->nstrings + 1, sizeof(*lists->memo));
    return lists->memo == NULL ? -1 : 0;
}

/* Where all texts are strings, only very long ones, "" and "-" can be equal. */
int
memtable_lists_string(struct memtable_lists *lists, uint32_t string,
    uint32_t *code)
{
    if (UNLIKELY(string >= lists->nstrings))
        return memtable_damage(lists->block, "string", string);
    if (memtable_lists_memo(lists) != 0)
        return -1;
    if (lists->memo[string] == 0) {
        if (add_string(lists, string, code) != 0)
            return -1;
        lists->memo[string] = *code + 1;
    }
    *code = lists->memo[string] - 1;
    return 0;
}

static int
read_attr(const struct memtable_lists *lists, const struct memtable_hit *hit,
    const uint32_t *words, struct attr *attr)
{
    const struct memtable *mt = lists->block->mt;
    uint64_t bits;

    memset(attr, 0, sizeof(*attr));
    attr->key = memtable_string(mt, mt->keys[hit->key].text);
    attr->value.type = (uint8_t)hit->type;
    switch (hit->type) {
    case VALUE_BOOL:
        attr->value.b = words[0] != 0;
        return 0;
    case VALUE_INT:
        attr->value.i = (int64_t)memtable_word2(words);
        return 0;
    case VALUE_DOUBLE:
        bits = memtable_word2(words);
        memcpy(&attr->value.d, &bits, sizeof(bits));
        return 0;
    default:
        attr->value.str = memtable_string(mt, words[0]);
        return attr->value.str.ptr == NULL ? memtable_damage(lists->block,
            "string", words[0]) : 0;
    }
}

int
memtable_lists_code(struct memtable_lists *lists, uint32_t shape,
    uint32_t at, uint32_t *code)
{
    const struct memtable_plan *plan = NULL;
    const struct memtable_hit *hit;
    const uint32_t *words;
    struct sv text = SV_EMPTY;

    if (memtable_lists_plan(lists, shape, &plan) != 0)
        return -1;
    if (plan->n == 0)
        return memtable_lists_absent(lists, code);
    if (UNLIKELY(!memtable_has_words(at, plan->words)))
        return memtable_damage(lists->block, "values of shape", shape);
    words = &lists->block->mt->heap[at];
    hit = &lists->hits[plan->first];
    if (LIKELY(plan->n == 1 && hit->type == VALUE_STRING))
        return memtable_lists_string(lists, words[hit->off], code);
    for (uint32_t i = 0; i < plan->n; i++) {
        struct attr attr;

        if (read_attr(lists, &hit[i], words + hit[i].off, &attr) != 0)
            return -1;
        if (!flat_find(&attr, lists->field->key, lists->block->pool, &text))
            return block_no_memory(lists->block);
    }
    if (text.len == 0)
        return memtable_lists_absent(lists, code);
    return block_values_add(&lists->values, text, code);
}

int
memtable_lists_number(struct memtable_lists *lists, uint32_t shape,
    uint32_t at, int64_t *number)
{
    const struct memtable_plan *plan = NULL;

    *number = 0;
    if (memtable_lists_plan(lists, shape, &plan) != 0)
        return -1;
    if (plan->n == 0)
        return 0;
    if (UNLIKELY(!memtable_has_words(at, plan->words)))
        return memtable_damage(lists->block, "values of shape", shape);
    *number = (int64_t)memtable_word2(&lists->block->mt->heap[at +
        lists->hits[plan->first].off]);
    return 0;
}
