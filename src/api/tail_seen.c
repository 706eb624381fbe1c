/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/tail_seen.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/mem.h"
#include "query/dict.h"
#include "query/text.h"

/* A quarter of the slots is free at least. */
#define SLOTS_FIRST 1024u

struct entry {
    uint64_t hash;   /* 0: free */
    int64_t time_ns;
    bool is_new;     /* of this round */
};

struct tail_seen {
    struct entry *slots;
    uint32_t nslots; /* a power of two */
    uint32_t n;
    bool is_full;    /* some were not remembered */
};

struct seen_stage {
    struct stage stage;
    struct tail_seen *seen;
};

struct tail_seen *
tail_seen_new(void)
{
    struct tail_seen *seen = xcalloc(1, sizeof(*seen));

    seen->nslots = SLOTS_FIRST;
    seen->slots = xcalloc(seen->nslots, sizeof(*seen->slots));
    return seen;
}

void
tail_seen_free(struct tail_seen *seen)
{
    if (seen == NULL)
        return;
    xfree(seen->slots);
    xfree(seen);
}

static struct entry *
slot_find(const struct tail_seen *seen, uint64_t hash)
{
    uint32_t i = (uint32_t)(hash >> 32) & (seen->nslots - 1);

    while (seen->slots[i].hash != 0 && seen->slots[i].hash != hash)
        i = (i + 1) & (seen->nslots - 1);
    return &seen->slots[i];
}

/* Moves what is to be kept into so many slots. */
static void
slots_move(struct tail_seen *seen, uint32_t nslots, bool is_failed,
    int64_t from_ns)
{
    struct entry *old = seen->slots;
    uint32_t nold = seen->nslots;

    seen->slots = xcalloc(nslots, sizeof(*seen->slots));
    seen->nslots = nslots;
    seen->n = 0;
    for (uint32_t i = 0; i < nold; i++) {
        if (old[i].hash == 0 || old[i].time_ns < from_ns ||
            (old[i].is_new && is_failed))
            continue;
        *slot_find(seen, old[i].hash) = old[i];
        seen->n++;
    }
    xfree(old);
}

/* True if it is new. */
static bool
seen_add(struct tail_seen *seen, uint64_t hash, int64_t time_ns)
{
    struct entry *slot;

    hash |= 1;
    slot = slot_find(seen, hash);
    if (slot->hash != 0)
        return false;
    if (seen->n == TAIL_SEEN_MAX) {
        seen->is_full = true;
        return true;
    }
    if (seen->n >= seen->nslots / 4 * 3) {
        slots_move(seen, 2 * seen->nslots, false, INT64_MIN);
        slot = slot_find(seen, hash);
    }
    *slot = (struct entry){hash, time_ns, true};
    seen->n++;
    return true;
}

bool
tail_seen_end(struct tail_seen *seen, bool is_failed, int64_t from_ns)
{
    bool was_full = seen->is_full;
    uint32_t nslots = SLOTS_FIRST;

    while (seen->n >= nslots / 4 * 3)
        nslots *= 2;
    slots_move(seen, nslots, is_failed, from_ns);
    for (uint32_t i = 0; i < seen->nslots; i++)
        seen->slots[i].is_new = false;
    seen->is_full = false;
    return !was_full;
}

/* --- the stage --- */

#define NCOLUMNS 3u

static const struct sv seen_fields[NCOLUMNS] = {
    {"trace_id", 8}, {"span_id", 7}, {"_time", 5},
};

static bool
row_is_new(struct tail_seen *seen, const struct column *columns,
    uint32_t row)
{
    XXH64_hash_t hash = dict_secret();
    int64_t time_ns = INT64_MAX;

    for (uint32_t i = 0; i < NCOLUMNS; i++) {
        char buf[COLUMN_TEXT_MAX];
        struct sv text = column_text(&columns[i], row, buf);

        hash = XXH3_64bits_withSeed(text.ptr, text.len, hash);
        if (i == NCOLUMNS - 1)
            (void)time_parse_value(text, &time_ns);
    }
    return seen_add(seen, hash, time_ns);
}

static int
seen_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct tail_seen *seen = ((struct seen_stage *)stage)->seen;
    struct column columns[NCOLUMNS];
    const struct column *column;
    uint64_t *bits = pool_zalloc(rows->pool,
        BITMAP_WORDS(rows->n) * sizeof(*bits) + 8);

    if (bits == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t i = 0; i < NCOLUMNS; i++) {
        if (rows_column(rows, seen_fields[i], &column, err) != 0)
            return -1;
        columns[i] = *column;
    }
    for (uint32_t row = rows_first(rows); row < rows->n;
        row = rows_next(rows, row)) {
        if (row_is_new(seen, columns, row))
            bits[row / 64] |= UINT64_C(1) << row % 64;
    }
    rows_select(rows, bits);
    return rows->nselected == 0 ? 0
        : stage_write(stage->next, lane, rows, err);
}

static int
seen_flush(struct stage *stage, struct err *err)
{
    (void)stage;
    (void)err;
    return 0;
}

static void
seen_free(struct stage *stage)
{
    xfree(stage);
}

static const struct stage_ops seen_ops = {seen_write, seen_flush, seen_free};

struct stage *
tail_seen_stage(struct tail_seen *seen)
{
    struct seen_stage *stage = xcalloc(1, sizeof(*stage));

    stage->stage.ops = &seen_ops;
    stage->seen = seen;
    return &stage->stage;
}
