/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/keys_codes.h"

/* Runs are worth it when they have so many rows on average. */
#define RUN_ROWS_MIN 8u
/* Rows that are looked at to find out, in two places. */
#define SAMPLE_ROWS 256u
/* Combinations of columns that have a place each, used or not. */
#define MAP_CODES_MAX 4096u

/* Columns whose codes differ, and the table of their combinations. */
struct run_finder {
    struct keys *keys;
    const struct keys_input *input;
    const struct codes *columns;
    uint32_t *map;      /* by code, if there are few codes */
    uint64_t ncodes;    /* of all columns together */
    uint32_t varying;   /* how many columns differ */
};

/* --- is it worth it? --- */

static uint32_t
count_changes(const uint32_t *codes, const struct picks *picks,
    uint32_t from, uint32_t to)
{
    uint32_t n = 0;

    for (uint32_t i = from + 1; i < to; i++)
        n += codes[picks_row(picks, i)] != codes[picks_row(picks, i - 1)];
    return n;
}

static bool
looks_like_runs(const struct keys_input *input, const uint32_t *codes)
{
    const struct picks *picks = input->picks;
    uint32_t middle = picks->n / 2, changes;

    if (picks->n < 2 * SAMPLE_ROWS)
        return count_changes(codes, picks, 0, picks->n) * RUN_ROWS_MIN <
            picks->n;
    changes = count_changes(codes, picks, 0, SAMPLE_ROWS) +
        count_changes(codes, picks, middle, middle + SAMPLE_ROWS);
    return changes * RUN_ROWS_MIN < 2 * SAMPLE_ROWS;
}

/* One code of all columns that differ has room in 64 bits. */
static bool
prepare(struct run_finder *finder)
{
    uint64_t product = 1;

    for (uint32_t k = 0; k < finder->keys->ncolumns; k++) {
        const struct codes *column = &finder->columns[k];

        if (column->codes == NULL)
            continue;
        if (__builtin_mul_overflow(product, (uint64_t)column->n, &product) ||
            !looks_like_runs(finder->input, column->codes))
            return false;
        finder->varying++;
    }
    finder->ncodes = product;
    return finder->varying > 0;
}

/* --- finding them --- */

/* Eight codes at a time. */
static uint32_t
run_end(const uint32_t *codes, uint32_t at, uint32_t end)
{
    uint64_t pair = codes[at] | (uint64_t)codes[at] << 32;
    uint32_t code = codes[at++];

    while (at + 8 <= end) {
        uint64_t v[4];

        memcpy(v, codes + at, sizeof(v));
        if (((v[0] ^ pair) | (v[1] ^ pair) | (v[2] ^ pair) |
            (v[3] ^ pair)) != 0)
            break;
        at += 8;
    }
    while (at < end && codes[at] == code)
        at++;
    return at;
}

/* Picks from i on with equal codes in all columns: the pick behind them. */
static uint32_t
picks_end(const struct run_finder *finder, uint32_t i)
{
    const struct picks *picks = finder->input->picks;
    uint32_t end = picks->n;

    for (uint32_t k = 0; k < finder->keys->ncolumns; k++) {
        const uint32_t *codes = finder->columns[k].codes;
        uint32_t at = i + 1;

        if (codes == NULL)
            continue;
        if (picks->index == NULL) {
            end = run_end(codes + picks->first, i, end);
            continue;
        }
        while (at < end &&
            codes[picks->index[at]] == codes[picks->index[i]])
            at++;
        end = at;
    }
    return end;
}

static int
find_id(struct run_finder *finder, uint32_t row, uint32_t *id,
    struct err *err)
{
    struct keys *keys = finder->keys;
    struct dict_slot *slot;
    uint64_t code = 0;
    uint32_t *place;

    _Static_assert(DICT_NEW == KEYS_NONE, "new slots have no tuple yet");

    for (uint32_t k = 0; k < keys->ncolumns; k++) {
        const struct codes *column = &finder->columns[k];

        if (column->codes != NULL)
            code = code * column->n + column->codes[row];
    }
    if (finder->map != NULL) {
        place = &finder->map[code];
    } else {
        slot = dict_find(&keys->pairs, (struct key128){code, 0}, err);
        if (slot == NULL)
            return -1;
        place = &slot->code;
    }
    if (*place == KEYS_NONE && keys_find_row(keys, finder->columns, row,
            place, err) != 0)
        return -1;
    *id = *place;
    return 0;
}

static int
find_all(struct run_finder *finder, uint32_t *nruns, struct err *err)
{
    struct keys *keys = finder->keys;
    const struct picks *picks = finder->input->picks;
    uint32_t n = 0, end;

    for (uint32_t i = 0; i < picks->n; i = end) {
        struct key_run run;

        end = picks_end(finder, i);
        run.n = end - i;
        if (find_id(finder, picks_row(picks, i), &run.id, err) != 0 ||
            hold_grow(keys->hold, &keys->runs, (size_t)n + 1, sizeof(run),
                err) != 0)
            return -1;
        ((struct key_run *)keys->runs.items)[n++] = run;
        /* The sample was wrong. */
        if (n > SAMPLE_ROWS && n > end / RUN_ROWS_MIN)
            return 0;
    }
    *nruns = n;
    return 0;
}

int
keys_find_runs(struct keys *keys, const struct keys_input *input,
    const struct codes *columns, struct key_ids *out, struct err *err)
{
    struct run_finder finder = {
        .keys = keys, .input = input, .columns = columns
    };

    if (!prepare(&finder))
        return 0;
    dict_clear(&keys->pairs);
    if (finder.varying == 1 || finder.ncodes <= MAP_CODES_MAX) {
        if (hold_grow(keys->hold, &keys->map, finder.ncodes,
                sizeof(*finder.map), err) != 0)
            return -1;
        finder.map = keys->map.items;
        memset(finder.map, 0xff, finder.ncodes * sizeof(*finder.map));
    }
    if (find_all(&finder, &out->nruns, err) != 0)
        return -1;
    out->runs = keys->runs.items;
    return 0;
}

int
keys_expand(struct keys *keys, const struct keys_input *input,
    struct key_ids *ids, struct err *err)
{
    const struct picks *picks = input->picks;
    uint32_t i = 0;
    uint32_t *out;

    if (ids->nruns == 0 || ids->ids != NULL)
        return 0;
    if (hold_grow(keys->hold, &keys->row_ids, input->nrows, sizeof(*out),
            err) != 0)
        return -1;
    out = keys->row_ids.items;
    for (uint32_t k = 0; k < ids->nruns; k++) {
        uint32_t id = ids->runs[k].id, end = i + ids->runs[k].n;

        if (picks->index == NULL) {
            while (i < end)
                out[picks->first + i++] = id;
        } else {
            while (i < end)
                out[picks->index[i++]] = id;
        }
    }
    ids->ids = out;
    return 0;
}
