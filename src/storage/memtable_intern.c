/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The writer's hash tables: from content to the code it already has in the
 * region, or a new one.  Hashes are seeded by process, so that nobody who
 * sends spans can choose collisions.
 */

#include "core/base.h"
#include "storage/memtable_writer.h"

#include "core/assert.h"

static uint64_t
hash_bytes(const struct memtable_writer *w, const void *ptr, size_t len)
{
    return XXH3_64bits_withSecretandSeed(ptr, len, w->secret,
        sizeof(w->secret), w->seed);
}

static inline uint32_t
hash_tag(uint64_t hash)
{
    return (uint32_t)(hash >> (32 + SLOT_CODE_BITS));
}

/*
 * Walks the slots that a hash may be in, from *at on: the next one with this
 * hash, or the empty one that ends the walk.
 */
static inline uint32_t *
next_slot(const struct intern_table *table, uint64_t hash, uint32_t *at)
{
    uint32_t *slot;

    do {
        slot = &table->slots[*at & table->mask];
        *at += 1;
    } while (*slot != 0 && *slot >> SLOT_CODE_BITS != hash_tag(hash));
    return slot;
}

static inline uint32_t
slot_code(const uint32_t *slot)
{
    return (*slot & SLOT_CODE_MASK) - 1;
}

static inline void
fill(uint32_t *slot, uint64_t hash, uint32_t code)
{
    *slot = hash_tag(hash) << SLOT_CODE_BITS | (code + 1);
}

/* --- strings --- */

/* Copies the bytes into the heap under a new code. */
static uint32_t
add_string(struct memtable_writer *w, struct sv text)
{
    uint32_t code = w->nstrings;
    uint32_t off;

    if (UNLIKELY(code == MEMTABLE_STRINGS_MAX ||
        (uint64_t)w->word_top * 4 + text.len > w->byte_top)) {
        w->is_full = true;
        return 0;
    }
    w->byte_top -= (uint32_t)text.len;
    off = (uint32_t)MEMTABLE_FIXED_BYTES + w->byte_top;
    memcpy((char *)w->mt + off, text.ptr, text.len);
    w->mt->strings[code] = (struct memtable_string){off, (uint32_t)text.len};
    w->nstrings++;
    return code;
}

uint64_t
intern_prefetch(const struct memtable_writer *w, struct sv text)
{
    uint64_t hash = hash_bytes(w, text.ptr, text.len);

    __builtin_prefetch(&w->strings.slots[(uint32_t)hash & w->strings.mask], 1);
    return hash;
}

uint32_t
intern_hashed(struct memtable_writer *w, struct sv text, uint64_t hash)
{
    uint32_t at = (uint32_t)hash;
    uint32_t *slot;
    uint32_t code;

    for (;;) {
        slot = next_slot(&w->strings, hash, &at);
        if (*slot == 0)
            break;
        code = slot_code(slot);
        const struct memtable_string *s = &w->mt->strings[code];
        if (s->len == text.len &&
            bytes_equal((const char *)w->mt + s->off, text.ptr, text.len))
            return code;
    }
    code = add_string(w, text);
    if (!w->is_full)
        fill(slot, hash, code);
    return code;
}

uint32_t
intern_exact(struct memtable_writer *w, struct sv text)
{
    if (text.len == 0)
        return 0;
    return intern_hashed(w, text, hash_bytes(w, text.ptr, text.len));
}

uint32_t
intern_string(struct memtable_writer *w, struct sv text)
{
    if (text.len == 0)
        return 0;
    if (UNLIKELY(text.len > MEMTABLE_INTERN_MAX))
        return add_string(w, text);
    return intern_exact(w, text);
}

/* --- keys --- */

static uint64_t
hash_key(const struct memtable_writer *w, enum key_scope scope, uint32_t text)
{
    uint64_t pair = (uint64_t)text << 8 | scope;

    return hash_bytes(w, &pair, sizeof(pair));
}

uint32_t
intern_key(struct memtable_writer *w, enum key_scope scope, struct sv text)
{
    uint32_t code = intern_exact(w, text);
    uint64_t hash = hash_key(w, scope, code);
    uint32_t at = (uint32_t)hash;
    uint32_t *slot;
    uint32_t key;

    for (;;) {
        slot = next_slot(&w->keys, hash, &at);
        if (*slot == 0)
            break;
        key = slot_code(slot);
        if (w->mt->keys[key].text == code && w->mt->keys[key].scope == scope)
            return key;
    }
    if (w->is_full || w->nkeys == MEMTABLE_KEYS_MAX) {
        w->is_full = true;
        return 0;
    }
    key = w->nkeys++;
    w->mt->keys[key] = (struct memtable_key){code, scope};
    fill(slot, hash, key);
    return key;
}

void
intern_adopt(struct memtable_writer *w)
{
    for (uint32_t code = 1; code < w->nstrings; code++) {
        struct sv text = memtable_string(w->mt, code);
        uint64_t hash = hash_bytes(w, text.ptr, text.len);
        uint32_t at = (uint32_t)hash;
        uint32_t *slot;

        do
            slot = next_slot(&w->strings, hash, &at);
        while (*slot != 0);
        fill(slot, hash, code);
    }
    for (uint32_t key = 0; key < w->nkeys; key++) {
        const struct memtable_key *k = &w->mt->keys[key];
        uint64_t hash = hash_key(w, k->scope, k->text);
        uint32_t at = (uint32_t)hash;
        uint32_t *slot;

        do
            slot = next_slot(&w->keys, hash, &at);
        while (*slot != 0);
        fill(slot, hash, key);
    }
}

/* --- shapes --- */

static uint32_t
value_words(const uint32_t *elems, uint32_t n)
{
    uint32_t words = 0;

    for (uint32_t i = 0; i < n; i++)
        words += memtable_type_words(memtable_elem_type(elems[i]));
    return words;
}

/*
 * The elements go to the byte end of the heap: the word end may be in the
 * middle of a row's events.
 */
static uint32_t
add_shape(struct memtable_writer *w, uint32_t n)
{
    uint32_t code = w->nshapes;
    uint64_t bytes = (uint64_t)n * 4 + 3;

    if (w->is_full || code == MEMTABLE_SHAPES_MAX ||
        (uint64_t)w->word_top * 4 + bytes > w->byte_top) {
        w->is_full = true;
        return 0;
    }
    w->byte_top = (w->byte_top - n * 4) & ~3u;
    memcpy(&w->mt->heap[w->byte_top / 4], w->elems, n * 4);
    w->mt->shapes[code] = (struct memtable_shape){n, w->byte_top / 4,
        value_words(w->elems, n)};
    w->nshapes++;
    return code;
}

uint32_t
intern_shape(struct memtable_writer *w, uint32_t n)
{
    uint32_t *slot;
    uint64_t hash;
    uint32_t at, code;

    if (n == 0)
        return 0;
    hash = hash_bytes(w, w->elems, n * 4);
    at = (uint32_t)hash;
    for (;;) {
        slot = next_slot(&w->shapes, hash, &at);
        if (*slot == 0)
            break;
        code = slot_code(slot);
        const struct memtable_shape *shape = &w->mt->shapes[code];
        if (shape->n == n &&
            memcmp(&w->mt->heap[shape->elems], w->elems, n * 4) == 0)
            return code;
    }
    code = add_shape(w, n);
    if (!w->is_full)
        fill(slot, hash, code);
    return code;
}

/* --- resources and scopes --- */

/* Values of equal shapes are equal words: strings have one code. */
static uint64_t
hash_values(const struct memtable_writer *w, uint32_t shape, uint32_t values)
{
    return hash_bytes(w, &w->mt->heap[values],
        (size_t)w->mt->shapes[shape].words * 4) + shape;
}

static bool
values_equal(const struct memtable_writer *w, uint32_t shape, uint32_t a,
    uint32_t b)
{
    return memcmp(&w->mt->heap[a], &w->mt->heap[b],
        (size_t)w->mt->shapes[shape].words * 4) == 0;
}

uint32_t
intern_resource(struct memtable_writer *w,
    const struct memtable_resource *resource)
{
    uint32_t *slot;
    uint64_t hash;
    uint32_t at, ordinal;

    if (w->is_full)
        return 0;
    hash = hash_values(w, resource->shape, resource->values);
    at = (uint32_t)hash;
    for (;;) {
        slot = next_slot(&w->resources, hash, &at);
        if (*slot == 0)
            break;
        ordinal = slot_code(slot);
        const struct memtable_resource *r = &w->mt->resources[ordinal];
        if (r->shape == resource->shape && r->service == resource->service &&
            values_equal(w, r->shape, r->values, resource->values)) {
            w->word_top = resource->values;
            return ordinal;
        }
    }
    if (w->nresources == MEMTABLE_RESOURCES_MAX) {
        w->is_full = true;
        return 0;
    }
    ordinal = w->nresources++;
    w->mt->resources[ordinal] = *resource;
    fill(slot, hash, ordinal);
    return ordinal;
}

uint32_t
intern_scope(struct memtable_writer *w, const struct memtable_scope *scope)
{
    uint32_t *slot;
    uint64_t hash;
    uint32_t at, ordinal;

    if (w->is_full)
        return 0;
    hash = hash_values(w, scope->shape, scope->values);
    at = (uint32_t)hash;
    for (;;) {
        slot = next_slot(&w->scopes, hash, &at);
        if (*slot == 0)
            break;
        ordinal = slot_code(slot);
        const struct memtable_scope *s = &w->mt->scopes[ordinal];
        if (s->shape == scope->shape &&
            values_equal(w, s->shape, s->values, scope->values)) {
            w->word_top = scope->values;
            return ordinal;
        }
    }
    if (w->nscopes == MEMTABLE_SCOPES_MAX) {
        w->is_full = true;
        return 0;
    }
    ordinal = w->nscopes++;
    w->mt->scopes[ordinal] = *scope;
    fill(slot, hash, ordinal);
    return ordinal;
}

/* --- streams --- */

uint32_t
intern_stream(struct memtable_writer *w, const struct memtable_stream *stream)
{
    uint32_t *slot;
    uint64_t hash;
    uint32_t at, code;

    if (w->is_full)
        return 0;
    hash = hash_bytes(w, stream, offsetof(struct memtable_stream, first_row));
    at = (uint32_t)hash;
    for (;;) {
        slot = next_slot(&w->streams, hash, &at);
        if (*slot == 0)
            break;
        code = slot_code(slot);
        if (memcmp(&w->mt->streams[code], stream,
            offsetof(struct memtable_stream, first_row)) == 0)
            return code;
    }
    if (w->nstreams == MEMTABLE_STREAMS_MAX) {
        w->is_full = true;
        return 0;
    }
    code = w->nstreams++;
    w->mt->streams[code] = *stream;
    fill(slot, hash, code);
    return code;
}
