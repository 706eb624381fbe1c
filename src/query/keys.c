/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/keys.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/assert.h"

#define KEYS_SLOTS_MIN 64u

struct tuple {
    const char *ptr; /* several columns: each with its length in front */
    uint32_t len;
    uint32_t hash;
};

static struct tuple *
tuples(const struct keys *keys)
{
    return keys->tuples.items;
}

int
keys_init(struct keys *keys, struct hold *hold, uint32_t ncolumns,
    const struct stats_by *by, struct err *err)
{
    memset(keys, 0, sizeof(*keys));
    keys->hold = hold;
    keys->ncolumns = ncolumns;
    keys->max = KEYS_NONE - 1;
    keys->by = by;
    dict_init(&keys->ids, hold);
    dict_init(&keys->numbers, hold);
    dict_init(&keys->pairs, hold);
    dict_init(&keys->by_values, hold);
    return hold_grow(hold, &keys->slots, KEYS_SLOTS_MIN, sizeof(uint64_t),
        err);
}

static uint32_t
tuple_hash(struct sv bytes)
{
    return (uint32_t)XXH3_64bits_withSeed(bytes.ptr, bytes.len,
        dict_secret());
}

/* The slot of a tuple, or the empty one where it belongs. */
static uint64_t *
tuple_place(const struct keys *keys, struct sv bytes, uint32_t hash)
{
    uint64_t *slots = keys->slots.items;
    size_t mask = keys->slots.cap - 1, at = hash & mask;

    for (; slots[at] != 0; at = (at + 1) & mask) {
        const struct tuple *tuple;

        if ((uint32_t)(slots[at] >> 32) != hash)
            continue;
        tuple = &tuples(keys)[(uint32_t)slots[at] - 1];
        if (sv_eq(sv_make(tuple->ptr, tuple->len), bytes))
            break;
    }
    return &slots[at];
}

static int
keys_grow(struct keys *keys, struct err *err)
{
    struct hold_array old = keys->slots;
    size_t mask = 2 * old.cap - 1;
    uint64_t *slots;

    keys->slots = (struct hold_array){NULL, 0};
    if (hold_grow(keys->hold, &keys->slots, 2 * old.cap, sizeof(*slots),
            err) != 0) {
        keys->slots = old;
        return -1;
    }
    slots = keys->slots.items;
    for (uint32_t i = 0; i < keys->count; i++) {
        uint32_t hash = tuples(keys)[i].hash;
        size_t at = hash & mask;

        while (slots[at] != 0)
            at = (at + 1) & mask;
        slots[at] = (uint64_t)hash << 32 | (i + 1);
    }
    hold_drop(keys->hold, &old, sizeof(*slots));
    return 0;
}

static int
find_bytes(struct keys *keys, struct sv bytes, uint32_t *id, struct err *err)
{
    uint32_t hash = tuple_hash(bytes);
    uint64_t *slot = tuple_place(keys, bytes, hash);
    struct sv copy;

    if (*slot != 0) {
        *id = (uint32_t)*slot - 1;
        return 0;
    }
    *id = KEYS_NONE;
    if (keys->count >= keys->max) {
        keys->is_over = true;
        return 0;
    }
    if (bytes.len > UINT32_MAX)
        return err_set(err, ERR_LIMIT, "value of more than 4 GiB");
    if (2 * ((size_t)keys->count + 1) > keys->slots.cap) {
        if (keys_grow(keys, err) != 0)
            return -1;
        slot = tuple_place(keys, bytes, hash);
    }
    if (hold_grow(keys->hold, &keys->tuples, (size_t)keys->count + 1,
            sizeof(struct tuple), err) != 0 ||
        hold_text(keys->hold, bytes, &copy, err) != 0)
        return -1;
    tuples(keys)[keys->count] =
        (struct tuple){copy.ptr, (uint32_t)copy.len, hash};
    *id = keys->count++;
    *slot = (uint64_t)hash << 32 | (*id + 1);
    return 0;
}

int
keys_find(struct keys *keys, const struct sv *texts, uint32_t *id,
    struct err *err)
{
    size_t need = 0;
    char *ptr;

    if (keys->ncolumns == 1)
        return find_bytes(keys, texts[0], id, err);
    for (uint32_t i = 0; i < keys->ncolumns; i++)
        need += sizeof(uint32_t) + texts[i].len;
    if (hold_grow(keys->hold, &keys->tuple_buf, need, 1, err) != 0)
        return -1;
    ptr = keys->tuple_buf.items;
    for (uint32_t i = 0; i < keys->ncolumns; i++) {
        uint32_t len = (uint32_t)texts[i].len;

        memcpy(ptr, &len, sizeof(len));
        ptr += sizeof(len);
        if (len > 0)
            memcpy(ptr, texts[i].ptr, len);
        ptr += len;
    }
    return find_bytes(keys, sv_make(keys->tuple_buf.items, need), id, err);
}

void
keys_texts(const struct keys *keys, uint32_t id, struct sv *texts)
{
    const struct tuple *tuple = &tuples(keys)[id];
    const char *ptr = tuple->ptr;

    check(id < keys->count);
    if (keys->ncolumns == 1) {
        texts[0] = sv_make(ptr, tuple->len);
        return;
    }
    for (uint32_t i = 0; i < keys->ncolumns; i++) {
        uint32_t len;

        memcpy(&len, ptr, sizeof(len));
        texts[i] = sv_make(ptr + sizeof(len), len);
        ptr += sizeof(len) + len;
    }
}

int
keys_merge(struct keys *keys, const struct keys *from,
    struct hold_array *out, const struct query_run *run, struct err *err)
{
    uint32_t *map;

    if (hold_grow(keys->hold, out, (size_t)from->count + 1, sizeof(*map),
            err) != 0)
        return -1;
    map = out->items;
    for (uint32_t i = 0; i < from->count; i++) {
        const struct tuple *tuple = &tuples(from)[i];

        if (i % STAGE_POLL_ROWS == 0 && run_poll(run, err) != 0)
            return -1;
        if (find_bytes(keys, sv_make(tuple->ptr, tuple->len), &map[i],
                err) != 0)
            return -1;
    }
    keys->is_over |= from->is_over;
    return 0;
}
