/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the scopes of a block's memtable or part say about all their spans:
 * most say nothing, and then nothing more is to be done.  Only these texts
 * are read, as a memtable has the scopes of all tenants.
 */

#include "core/base.h"
#include "storage/block_memtable_lists.h"

struct block_scopes {
    bool has_labels;
    struct block_values extras; /* names */
};

static int
add_extras(struct block_scopes *scopes, struct sv list)
{
    struct sv name, text;
    uint32_t code;

    while (text_list_next(&list, &name) && text_list_next(&list, &text)) {
        if (block_values_add(&scopes->extras, name, &code) != 0)
            return -1;
    }
    return 0;
}

static int
add_list(struct block_scopes *scopes, enum field_key field, struct sv list)
{
    if (field == FIELD_EXTRA_FIELDS)
        return add_extras(scopes, list);
    scopes->has_labels |= list.len > 0;
    return 0;
}

/* One field of all scopes of a memtable. */
static int
add_memtable(struct block *block, struct block_scopes *scopes,
    enum field_key key)
{
    const struct block_field field = {.what = BLOCK_TEXT, .scope = KEY_SPAN,
        .field = key};
    const struct memtable *mt = block->mt;
    uint32_t n = atomic_load_explicit(&mt->h.nscopes, memory_order_acquire);
    struct memtable_lists lists;

    if (memtable_lists_init(&lists, block, &field) != 0)
        return -1;
    for (uint32_t i = 0; i < MIN(n, MEMTABLE_SCOPES_MAX); i++) {
        struct memtable_scope scope = mt->scopes[i];
        const struct memtable_plan *plan = NULL;
        struct sv list;

        if (memtable_lists_plan(&lists, scope.shape, &plan) != 0)
            return -1;
        if (plan->n == 0)
            continue;
        if (!memtable_has_words(scope.values, plan->words))
            return memtable_damage(block, "scope", i);
        list = memtable_string(mt, mt->heap[scope.values + plan->off]);
        if (list.ptr == NULL)
            return memtable_damage(block, "scope", i);
        if (add_list(scopes, key, list) != 0)
            return -1;
    }
    return 0;
}

static int
add_part(const struct part *part, struct block_scopes *scopes)
{
    for (uint32_t i = 0; i < part->nscopes; i++) {
        const struct scope *scope = &part->scopes[i];

        if (add_list(scopes, FIELD_STREAM_FIELDS,
                scope->stream_fields) != 0 ||
            add_list(scopes, FIELD_EXTRA_FIELDS, scope->extra_fields) != 0)
            return -1;
    }
    return 0;
}

static int
scopes_of(struct block *block, const struct block_scopes **out)
{
    struct block_scopes *scopes = block->scopes;

    *out = scopes;
    if (scopes != NULL)
        return 0;
    scopes = block_zalloc(block, 1, sizeof(*scopes));
    if (scopes == NULL)
        return -1;
    block_values_init(&scopes->extras, block);
    if (block->mt != NULL ?
        add_memtable(block, scopes, FIELD_STREAM_FIELDS) != 0 ||
            add_memtable(block, scopes, FIELD_EXTRA_FIELDS) != 0 :
        add_part(block->reading.part, scopes) != 0)
        return -1;
    *out = block->scopes = scopes;
    return 0;
}

bool
block_declares_labels(struct block *block)
{
    const struct block_scopes *scopes = NULL;

    return scopes_of(block, &scopes) != 0 || scopes->has_labels;
}

bool
block_has_extra(struct block *block, struct sv name)
{
    const struct block_scopes *scopes = NULL;
    uint32_t code;

    return scopes_of(block, &scopes) != 0 ||
        block_values_find(&scopes->extras, name, &code);
}
