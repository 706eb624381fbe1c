/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part from a memtable: keys and shapes get their ordinals.
 */

#include "core/base.h"
#include "storage/part_write.h"

#define SCOPES KEY_FIELD /* enum key_scope without the fields */

static int
new_maps(struct part_writer *w)
{
    size_t shapes = SCOPES * (size_t)MEMTABLE_SHAPES_MAX * sizeof(uint32_t);
    size_t keys = (SCOPES * FIELD_KEYS + (size_t)w->mt->h.nkeys) *
        VALUE_TYPES * sizeof(uint32_t);

    if (w->mt->h.nkeys > MEMTABLE_KEYS_MAX)
        return writer_damaged(w, "number of keys", w->mt->h.nkeys);
    w->shape_map = writer_alloc(w, SCRATCH_SHAPE_MAP, shapes);
    w->key_map = writer_alloc(w, SCRATCH_KEY_MAP, keys);
    if (w->shape_map == NULL || w->key_map == NULL)
        return -1;
    memset(w->shape_map, 0xff, shapes);
    memset(w->key_map, 0xff, keys);
    return 0;
}

/* --- keys --- */

static int
add_key(struct part_writer *w, struct write_key key, uint32_t *ordinal)
{
    w->keys = writer_grow(w, SCRATCH_KEYS,
        ((size_t)w->nkeys + 1) * sizeof(*w->keys));
    if (w->keys == NULL)
        return -1;
    if (w->nkeys >= PART_KEYS_MAX)
        return err_set(w->err, ERR_LIMIT, "a part has at most %u keys",
            PART_KEYS_MAX);
    w->keys[w->nkeys] = key;
    *ordinal = w->nkeys++;
    return 0;
}

/* The key of an element: its first occurrence in a list. */
static int
first_key(struct part_writer *w, enum key_scope scope, uint32_t elem,
    uint32_t *ordinal)
{
    uint32_t id = memtable_elem_key(elem);
    uint32_t type = memtable_elem_type(elem);
    struct write_key key = {.scope = (uint8_t)scope, .type = (uint8_t)type,
        .is_field = id < FIELD_KEYS, .name = id, .shape_stamp = NO_ORDINAL};
    uint32_t slot = key.is_field ? scope * FIELD_KEYS + id :
                                   SCOPES * FIELD_KEYS + id;

    if (id >= w->mt->h.nkeys || type >= VALUE_TYPES)
        return writer_damaged(w, "element of a shape", elem);
    if (!key.is_field)
        key.name = w->mt->keys[id].text;
    if (key.name >= w->ntexts ||
        (!key.is_field && w->mt->keys[id].scope != (uint32_t)scope))
        return writer_damaged(w, "key", id);
    slot = slot * VALUE_TYPES + type;
    if (w->key_map[slot] == NO_ORDINAL &&
        add_key(w, key, &w->key_map[slot]) != 0)
        return -1;
    *ordinal = w->key_map[slot];
    return 0;
}

/* The key of an element of the shape: the next occurrence if it repeats. */
static int
shape_key(struct part_writer *w, enum key_scope scope, uint32_t elem,
    uint32_t shape, uint32_t *ordinal)
{
    struct write_key *key;
    uint32_t first = 0, last, next;

    if (first_key(w, scope, elem, &first) != 0)
        return -1;
    key = &w->keys[first];
    if (key->shape_stamp != shape) {
        key->shape_stamp = shape;
        key->cursor = first;
        *ordinal = first;
        return 0;
    }
    last = key->cursor;
    if (w->keys[last].next == 0) {
        struct write_key again = *key;

        again.occurrence = w->keys[last].occurrence + 1;
        again.next = 0;
        if (add_key(w, again, &next) != 0)
            return -1;
        w->keys[last].next = next + 1;
    }
    *ordinal = w->keys[last].next - 1;
    w->keys[first].cursor = *ordinal;
    return 0;
}

/* --- shapes --- */

static int
add_shape(struct part_writer *w, enum key_scope scope, uint32_t code,
    uint32_t *ordinal)
{
    struct memtable_shape source = w->mt->shapes[code];
    struct write_shape shape = {.first = w->nshape_keys, .n = source.n,
        .scope = (uint8_t)scope};

    if (source.n > MEMTABLE_LIST_MAX ||
        source.elems > MEMTABLE_HEAP_WORDS - source.n)
        return writer_damaged(w, "shape", code);
    w->shapes = writer_grow(w, SCRATCH_SHAPES,
        ((size_t)w->nshapes + 1) * sizeof(*w->shapes));
    w->shape_keys = writer_grow(w, SCRATCH_SHAPE_KEYS,
        ((size_t)w->nshape_keys + source.n) * sizeof(*w->shape_keys));
    if (w->shapes == NULL || w->shape_keys == NULL)
        return -1;
    for (uint32_t i = 0; i < source.n; i++) {
        uint32_t elem = w->mt->heap[source.elems + i];
        uint32_t *key = &w->shape_keys[shape.first + i];

        if (shape_key(w, scope, elem, w->nshapes, key) != 0)
            return -1;
        shape.words += memtable_type_words(memtable_elem_type(elem));
    }
    w->nshape_keys += source.n;
    w->shapes[w->nshapes] = shape;
    *ordinal = w->nshapes++;
    return 0;
}

int
writer_shape(struct part_writer *w, enum key_scope scope, uint32_t code,
    uint32_t *ordinal)
{
    uint32_t *slot;

    if (w->shape_map == NULL && new_maps(w) != 0)
        return -1;
    if (UNLIKELY(code >= MEMTABLE_SHAPES_MAX))
        return writer_damaged(w, "shape", code);
    slot = &w->shape_map[scope * MEMTABLE_SHAPES_MAX + code];
    if (UNLIKELY(*slot == NO_ORDINAL) &&
        add_shape(w, scope, code, slot) != 0)
        return -1;
    *ordinal = *slot;
    return 0;
}
