/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/map_out.h"

#include "core/assert.h"
#include "query/dict.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Room for targets at first. */
#define TARGETS_FEW 8u
/* A builder that small is not worth counting. */
#define TEXT_FREE (64 * KIB)
/* A column that fewer rows have than one in so many is kept by codes. */
#define ROWS_PER_TEXT 8u

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "query needs too much memory");
}

/* --- targets --- */

static uint32_t *
slot_of(const struct map_out *out, struct sv name)
{
    uint32_t at = (uint32_t)XXH3_64bits_withSeed(name.ptr, name.len,
        dict_secret()) & out->slots_mask;

    while (out->slots[at] != 0 &&
        !sv_eq(out->targets[out->slots[at] - 1].name, name))
        at = (at + 1) & out->slots_mask;
    return &out->slots[at];
}

/* The table is at most half full. */
static int
slots_grow(struct map_out *out, struct err *err)
{
    uint32_t n = 4 * out->targets_cap;

    out->slots = pool_zalloc(out->rows->pool, n * sizeof(*out->slots));
    if (out->slots == NULL)
        return no_memory(err);
    out->slots_mask = n - 1;
    for (uint32_t i = 0; i < out->ntargets; i++)
        *slot_of(out, out->targets[i].name) = i + 1;
    return 0;
}

static struct map_target *
target_add(struct map_out *out, struct sv name, struct err *err)
{
    struct map_target *target;

    if (out->ntargets == MAP_TARGETS_MAX) {
        err_set(err, ERR_LIMIT, "a pipe makes more than %u fields of a block",
            MAP_TARGETS_MAX);
        return NULL;
    }
    if (out->ntargets == out->targets_cap) {
        uint32_t cap = MAX(2 * out->targets_cap, TARGETS_FEW);
        struct map_target *more = pool_alloc(out->rows->pool,
            cap * sizeof(*more));

        if (more == NULL) {
            no_memory(err);
            return NULL;
        }
        if (out->ntargets > 0)
            memcpy(more, out->targets, out->ntargets * sizeof(*more));
        out->targets = more;
        out->targets_cap = cap;
        if (slots_grow(out, err) != 0)
            return NULL;
    }
    name.ptr = pool_dup(out->rows->pool, name.ptr, name.len);
    if (name.ptr == NULL) {
        no_memory(err);
        return NULL;
    }
    target = &out->targets[out->ntargets++];
    *target = (struct map_target){.name = name,
        .is_wanted = needed_has(out->needed, name)};
    *slot_of(out, name) = out->ntargets;
    return target;
}

static struct map_target *
target_of(struct map_out *out, struct sv name, struct err *err)
{
    uint32_t slot;

    if (out->cursor < out->ntargets &&
        sv_eq(out->targets[out->cursor].name, name))
        return &out->targets[out->cursor++];
    slot = out->ntargets == 0 ? 0 : *slot_of(out, name);
    if (slot == 0)
        return target_add(out, name, err);
    out->cursor = slot;
    return &out->targets[slot - 1];
}

int
map_out_init(struct map_out *out, struct err *err)
{
    const struct mapper *mapper = out->mapper;

    sb_init(&out->text, MAP_TEXT_MAX);
    for (uint32_t i = 0; i < mapper->ntargets; i++) {
        struct map_target *target = target_of(out, mapper->targets[i], err);

        if (target == NULL) {
            map_out_release(out);
            return -1;
        }
        target->is_listed = true;
    }
    out->cursor = 0;
    return 0;
}

void
map_out_release(struct map_out *out)
{
    budget_give(&out->run->budget, out->charged);
    out->charged = 0;
    sb_release(&out->text);
}

/* --- what mappers call --- */

static bool
is_within(struct sv piece, struct sv whole)
{
    return (uintptr_t)piece.ptr >= (uintptr_t)whole.ptr &&
        (uintptr_t)piece.ptr + piece.len <=
        (uintptr_t)whole.ptr + whole.len;
}

static bool
lasts(const struct map_out *out, struct sv text)
{
    if (text.len == 0 || is_within(text, out->newest))
        return true;
    if (is_within(text, out->scratch))
        return false;
    for (uint32_t i = 0; i < out->nin; i++) {
        if (is_within(text, out->in[i].text))
            return true;
    }
    return false;
}

static int
entry_add(struct map_out *out, struct map_target *target, struct sv text,
    struct err *err)
{
    if (target->n == target->cap) {
        uint32_t cap = target->is_listed && target->cap == 0 ?
            out->nunits + 1 : MAX(2 * target->cap, 8u);
        struct map_entry *more = pool_alloc(out->rows->pool,
            cap * sizeof(*more));

        if (more == NULL)
            return no_memory(err);
        if (target->n > 0)
            memcpy(more, target->entries, target->n * sizeof(*more));
        target->entries = more;
        target->cap = cap;
    }
    target->entries[target->n++] = (struct map_entry){out->unit, text};
    return 0;
}

int
map_set(struct map_out *out, struct sv name, struct sv text, struct err *err)
{
    struct map_target *target;

    /* Too many names are no fault if nobody wants them. */
    if (out->ntargets == MAP_TARGETS_MAX && !needed_has(out->needed, name))
        return 0;
    target = target_of(out, name, err);
    if (target == NULL)
        return -1;
    if (!target->is_wanted)
        return 0;
    if (text.len == 0) {
        text = SV_EMPTY;
    } else if (!lasts(out, text)) {
        text.ptr = pool_dup(out->rows->pool, text.ptr, text.len);
        if (text.ptr == NULL)
            return no_memory(err);
    }
    /* A key that comes again and again in one text costs nothing more. */
    if (target->n > 0 && target->entries[target->n - 1].unit == out->unit) {
        target->entries[target->n - 1].text = text;
        return 0;
    }
    return entry_add(out, target, text, err);
}

char *
map_alloc(struct map_out *out, size_t len, struct err *err)
{
    char *ptr = pool_alloc(out->rows->pool, len + 1);

    if (ptr == NULL) {
        no_memory(err);
        return NULL;
    }
    out->newest = sv_make(ptr, len);
    return ptr;
}

int
map_take(struct map_out *out, size_t bytes, struct err *err)
{
    return budget_take(&out->run->budget, bytes, err);
}

void
map_give(struct map_out *out, size_t bytes)
{
    budget_give(&out->run->budget, bytes);
}

int
map_poll(const struct map_out *out, struct err *err)
{
    return run_poll(out->run, err);
}

struct pool *
map_pool(struct map_out *out)
{
    return out->rows->pool;
}

struct sb *
map_text(struct map_out *out)
{
    sb_reset(&out->text);
    return &out->text;
}

int
map_set_text(struct map_out *out, struct sv name, struct err *err)
{
    size_t len = out->text.len;

    if (sb_failed(&out->text))
        return err_set(err, ERR_LIMIT, "a text that a pipe makes is too "
            "long");
    /* The builder keeps its memory to the end of the chunk. */
    if (len > out->charged && len > TEXT_FREE) {
        if (budget_take(&out->run->budget, len - out->charged, err) != 0)
            return -1;
        out->charged = len;
    }
    return map_set(out, name, sb_sv(&out->text), err);
}

/* --- columns --- */

/* A target's texts by unit; ptr NULL: it was not set. */
static struct sv *
texts_by_unit(const struct map_out *out, const struct map_target *target,
    struct err *err)
{
    struct sv *texts = pool_alloc(out->rows->pool,
        ((size_t)out->nunits + 1) * sizeof(*texts));
    struct sv other = target->is_listed ? SV_EMPTY : (struct sv){NULL, 0};

    if (texts == NULL) {
        no_memory(err);
        return NULL;
    }
    for (uint32_t i = 0; i < out->nunits; i++)
        texts[i] = other;
    for (uint32_t i = 0; i < target->n; i++)
        texts[target->entries[i].unit] = target->entries[i].text;
    return texts;
}

static uint32_t
unit_of(const struct map_out *out, uint32_t i)
{
    return out->units == NULL ? i : out->units[i];
}

/* Distinct texts and their numbers. */
struct numbering {
    struct sv *values; /* 0: "" */
    uint32_t n;
    uint32_t *slots;
    uint32_t mask;
};

static uint32_t
number_of(struct numbering *all, struct sv text)
{
    uint32_t at;

    if (text.len == 0)
        return 0;
    at = (uint32_t)XXH3_64bits_withSeed(text.ptr, text.len, dict_secret()) &
        all->mask;
    while (all->slots[at] != 0) {
        if (sv_eq(all->values[all->slots[at]], text))
            return all->slots[at];
        at = (at + 1) & all->mask;
    }
    all->values[all->n] = text;
    return all->slots[at] = all->n++;
}

static int
numbering_init(struct numbering *all, uint32_t n, struct pool *pool,
    struct err *err)
{
    uint32_t nslots = 4;

    while (nslots < 2 * n)
        nslots *= 2;
    all->values = pool_alloc(pool, ((size_t)n + 1) * sizeof(*all->values));
    all->slots = pool_zalloc(pool, nslots * sizeof(*all->slots));
    all->mask = nslots - 1;
    if (all->values == NULL || all->slots == NULL)
        return no_memory(err);
    all->values[0] = SV_EMPTY;
    all->n = 1;
    return 0;
}

/* Rows that the mapper was not for, or did not set, have "". */
static int
column_of_codes(const struct map_out *out, const struct map_target *target,
    struct column *column, struct err *err)
{
    struct pool *pool = out->rows->pool;
    struct numbering all = {.n = 0};
    uint32_t *by_unit, *codes;

    by_unit = pool_zalloc(pool, ((size_t)out->nunits + 1) * sizeof(*by_unit));
    codes = pool_zalloc(pool, ((size_t)out->rows->n + 1) * sizeof(*codes));
    if (by_unit == NULL || codes == NULL)
        return no_memory(err);
    if (numbering_init(&all, target->n, pool, err) != 0)
        return -1;
    for (uint32_t i = 0; i < target->n; i++)
        by_unit[target->entries[i].unit] =
            number_of(&all, target->entries[i].text);
    for (uint32_t i = 0; i < out->picks.n; i++)
        codes[picks_row(&out->picks, i)] = by_unit[unit_of(out, i)];
    column->kind = COLUMN_CODES;
    column->codes = codes;
    column->values = all.values;
    column->nvalues = all.n;
    return 0;
}

/* The text of a row as it was, so that it lasts as long as the chunk. */
static int
text_before(const struct column *before, uint32_t row, struct pool *pool,
    struct sv *out, struct err *err)
{
    char buf[COLUMN_TEXT_MAX];

    *out = column_text(before, row, buf);
    if (out->len == 0) {
        *out = SV_EMPTY;
    } else if (is_within(*out, sv_make(buf, sizeof(buf)))) {
        out->ptr = pool_dup(pool, out->ptr, out->len);
        if (out->ptr == NULL)
            return no_memory(err);
    }
    return 0;
}

/* 1: the result is to be taken. */
static bool
is_taken(enum map_keep keep, struct sv result, struct sv before)
{
    if (result.ptr == NULL)
        return false;
    return keep == MAP_REPLACE ||
        (keep == MAP_KEEP_ORIGINAL ? before.len == 0 : result.len > 0);
}

static int
column_of_texts(const struct map_out *out, const struct map_target *target,
    const struct column *before, struct column *column, struct err *err)
{
    struct rows *rows = out->rows;
    struct sv *by_unit = texts_by_unit(out, target, err);
    struct sv *texts = pool_alloc(rows->pool,
        ((size_t)rows->n + 1) * sizeof(*texts));
    uint32_t next = 0;

    if (by_unit == NULL || texts == NULL)
        return no_memory(err);
    for (uint32_t row = 0; row < rows->n; row++) {
        bool is_picked = next < out->picks.n &&
            picks_row(&out->picks, next) == row;
        struct sv result = {NULL, 0};

        texts[row] = SV_EMPTY;
        if (is_picked)
            result = by_unit[unit_of(out, next++)];
        else if (!bitmap_has(rows->selected, row))
            continue;
        if ((result.ptr == NULL || out->mapper->keep != MAP_REPLACE) &&
            text_before(before, row, rows->pool, &texts[row], err) != 0)
            return -1;
        if (is_taken(out->mapper->keep, result, texts[row]))
            texts[row] = result;
    }
    column->kind = COLUMN_TEXTS;
    column->texts = texts;
    return 0;
}

/* What the rows had in this field; nothing if that does not matter. */
static int
load_before(struct map_out *out, const struct map_target *target,
    struct column *before, struct err *err)
{
    const struct column *loaded;

    *before = (struct column){.kind = COLUMN_EMPTY};
    if (target->is_listed && out->mapper->keep == MAP_REPLACE &&
        out->picks.n == out->rows->nselected)
        return 0;
    if (rows_column(out->rows, target->name, &loaded, err) != 0)
        return -1;
    *before = *loaded;
    return 0;
}

static int
finish_target(struct map_out *out, const struct map_target *target,
    struct err *err)
{
    struct column column = {.kind = COLUMN_EMPTY}, before;
    bool is_coded = out->units != NULL ||
        target->n < out->rows->n / ROWS_PER_TEXT;
    int result = 0;

    if (load_before(out, target, &before, err) != 0)
        return -1;
    if (before.kind != COLUMN_EMPTY || !is_coded)
        result = column_of_texts(out, target, &before, &column, err);
    else if (target->n > 0)
        result = column_of_codes(out, target, &column, err);
    column.name = target->name;
    return result != 0 ? -1 : rows_make_column(out->rows, &column, err);
}

int
map_out_finish(struct map_out *out, struct err *err)
{
    for (uint32_t i = 0; i < out->ntargets; i++) {
        if (!out->targets[i].is_wanted)
            continue;
        if (run_poll(out->run, err) != 0 ||
            finish_target(out, &out->targets[i], err) != 0)
            return -1;
    }
    return 0;
}
