/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/hold.h"

#include "core/assert.h"
#include "core/mem.h"

/* Chunks grow from the first size to the second, so that a query of three
 * groups is cheap and one of millions makes few calls. */
#define HOLD_CHUNK_MIN (4 * KIB)
#define HOLD_CHUNK_MAX (1 * MIB)
#define HOLD_ARRAY_MIN 16u /* items */

struct hold_chunk {
    struct hold_chunk *next;
    size_t size;
};

void
hold_init(struct hold *hold, struct query_budget *budget)
{
    memset(hold, 0, sizeof(*hold));
    hold->budget = budget;
    hold->chunk_next = HOLD_CHUNK_MIN;
}

void
hold_free(struct hold *hold)
{
    struct hold_chunk *chunk, *next;

    if (hold->budget == NULL)
        return;
    for (chunk = hold->chunks; chunk != NULL; chunk = next) {
        next = chunk->next;
        xfree(chunk);
    }
    budget_give(hold->budget, hold->taken);
    memset(hold, 0, sizeof(*hold));
}

void
hold_adopt(struct hold *to, struct hold *from)
{
    struct hold_chunk **end = &to->chunks;

    check(to->budget == from->budget);
    while (*end != NULL)
        end = &(*end)->next;
    *end = from->chunks;
    for (const struct hold_chunk *chunk = from->chunks; chunk != NULL;
        chunk = chunk->next) {
        to->taken += chunk->size;
        from->taken -= chunk->size;
    }
    from->chunks = NULL;
    from->ptr = from->end = NULL;
}

static int
charge(struct hold *hold, size_t size, struct err *err)
{
    if (budget_take(hold->budget, size, err) != 0)
        return -1;
    hold->taken += size;
    return 0;
}

static void
discharge(struct hold *hold, size_t size)
{
    check(hold->taken >= size);
    hold->taken -= size;
    budget_give(hold->budget, size);
}

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "no memory for the query");
}

static int
chunk_add(struct hold *hold, size_t need, struct err *err)
{
    size_t size = MAX(hold->chunk_next, need + sizeof(struct hold_chunk));
    struct hold_chunk *chunk;

    if (charge(hold, size, err) != 0)
        return -1;
    chunk = mem_try_alloc(size);
    if (chunk == NULL) {
        discharge(hold, size);
        return no_memory(err);
    }
    *chunk = (struct hold_chunk){hold->chunks, size};
    hold->chunks = chunk;
    hold->ptr = (char *)(chunk + 1);
    hold->end = (char *)chunk + size;
    hold->chunk_next = MIN(2 * hold->chunk_next, HOLD_CHUNK_MAX);
    return 0;
}

void *
hold_alloc(struct hold *hold, size_t size, struct err *err)
{
    void *ptr;

    /* Nothing is somewhere, too: NULL is an error. */
    size = ALIGN_UP(MAX(size, (size_t)1), 8);
    if (size > (size_t)(hold->end - hold->ptr) &&
        chunk_add(hold, size, err) != 0)
        return NULL;
    ptr = hold->ptr;
    hold->ptr += size;
    return ptr;
}

int
hold_text(struct hold *hold, struct sv text, struct sv *out, struct err *err)
{
    char *copy;

    if (text.len == 0) {
        *out = SV_EMPTY;
        return 0;
    }
    copy = hold_alloc(hold, text.len, err);
    if (copy == NULL)
        return -1;
    memcpy(copy, text.ptr, text.len);
    *out = sv_make(copy, text.len);
    return 0;
}

int
hold_grow_raw(struct hold *hold, struct hold_array *array, size_t need,
    size_t item_size, struct err *err)
{
    size_t cap = MAX(array->cap, HOLD_ARRAY_MIN);
    void *more;

    if (LIKELY(need <= array->cap))
        return 0;
    while (cap < need)
        cap *= 2;
    if (cap > SIZE_MAX / 2 / item_size)
        return no_memory(err);
    if (charge(hold, (cap - array->cap) * item_size, err) != 0)
        return -1;
    more = mem_try_realloc(array->items, cap * item_size);
    if (more == NULL) {
        discharge(hold, (cap - array->cap) * item_size);
        return no_memory(err);
    }
    array->items = more;
    array->cap = cap;
    return 0;
}

int
hold_grow(struct hold *hold, struct hold_array *array, size_t need,
    size_t item_size, struct err *err)
{
    size_t old = array->cap;

    if (LIKELY(need <= old))
        return 0;
    if (hold_grow_raw(hold, array, need, item_size, err) != 0)
        return -1;
    memset((char *)array->items + old * item_size, 0,
        (array->cap - old) * item_size);
    return 0;
}

void
hold_drop(struct hold *hold, struct hold_array *array, size_t item_size)
{
    if (array->items == NULL)
        return;
    xfree(array->items);
    discharge(hold, array->cap * item_size);
    *array = (struct hold_array){NULL, 0};
}
