/* SPDX-License-Identifier: BSD-2-Clause */

/* limit and offset: a counter of rows that all lanes share. */

#include "core/base.h"
#include "query/stage.h"

#include "core/mem.h"

struct stage_limit {
    struct stage stage;
    uint64_t n;
    _Atomic uint64_t seen;
};

/* Selects the rows from the first-th selected one on, `count` of them. */
static int
select_range(struct rows *rows, uint32_t first, uint32_t count,
    struct err *err)
{
    size_t size = BITMAP_WORDS(rows->n) * sizeof(uint64_t);
    uint64_t *bits = pool_zalloc(rows->pool, size + 8);
    uint32_t i = 0;

    if (bits == NULL)
        return err_set(err, ERR_LIMIT, "no memory for a block of rows");
    for (uint32_t row = rows_first(rows); row < rows->n && i < first + count;
        row = rows_next(rows, row), i++) {
        if (i >= first)
            bitmap_set(bits, row);
    }
    rows_select(rows, bits);
    return 0;
}

static int
limit_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct stage_limit *limit = (struct stage_limit *)stage;
    uint64_t seen = atomic_load_explicit(&limit->seen, memory_order_relaxed);
    uint64_t take;
    int result;

    /* Never counts beyond n. */
    do {
        if (seen >= limit->n)
            return 1;
        take = MIN((uint64_t)rows->nselected, limit->n - seen);
    } while (!atomic_compare_exchange_weak_explicit(&limit->seen, &seen,
        seen + take, memory_order_relaxed, memory_order_relaxed));
    if (take < rows->nselected &&
        select_range(rows, 0, (uint32_t)take, err) != 0)
        return -1;
    result = stage_write(stage->next, lane, rows, err);
    if (result == 0 && seen + take >= limit->n)
        return 1;
    return result;
}

static int
offset_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct stage_limit *offset = (struct stage_limit *)stage;
    uint64_t seen = atomic_load_explicit(&offset->seen, memory_order_relaxed);
    uint64_t skip;

    do {
        skip = MIN((uint64_t)rows->nselected, offset->n - seen);
    } while (skip > 0 && !atomic_compare_exchange_weak_explicit(&offset->seen,
        &seen, seen + skip, memory_order_relaxed, memory_order_relaxed));
    if (skip == rows->nselected)
        return 0;
    if (skip > 0 && select_range(rows, (uint32_t)skip,
            rows->nselected - (uint32_t)skip, err) != 0)
        return -1;
    return stage_write(stage->next, lane, rows, err);
}

static void
limit_free(struct stage *stage)
{
    xfree(stage);
}

static const struct stage_ops limit_ops = {
    limit_write, stage_flush_nothing, limit_free
};
static const struct stage_ops offset_ops = {
    offset_write, stage_flush_nothing, limit_free
};

static int
make(struct stage **out, const struct stage_ops *ops, uint64_t n)
{
    struct stage_limit *limit = xcalloc(1, sizeof(*limit));

    limit->stage.ops = ops;
    limit->n = n;
    *out = &limit->stage;
    return 0;
}

int
stage_new_limit(struct stage **out, const struct pipe *pipe,
    UNUSED struct query_run *run, UNUSED struct err *err)
{
    return make(out, &limit_ops, pipe->n);
}

int
stage_new_offset(struct stage **out, const struct pipe *pipe,
    UNUSED struct query_run *run, UNUSED struct err *err)
{
    return make(out, &offset_ops, pipe->n);
}
