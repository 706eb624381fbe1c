/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A predicate over codes.  A value is asked once, not once per row: all
 * values first where they are few, and the codes are then only compared;
 * else those of the rows that are still in question.
 */

#include "core/base.h"
#include "query/filter.h"

#include "core/assert.h"

/* All values are asked when there are that many rows for each. */
#define ROWS_PER_VALUE 4u

enum { UNKNOWN = 0, NO, YES };

/* --- few values --- */

struct verdict {
    uint8_t *passes; /* per code, 0 or 1 */
    uint32_t count;  /* codes that pass */
    uint32_t one;    /* one of them */
};

static int
ask_all(const struct predicate *predicate, const struct column_rows *rows,
    struct verdict *out, struct err *err)
{
    const struct column *column = rows->column;
    uint32_t few = predicate_is_slow(predicate) ? 1 : 64;

    for (uint32_t code = 0; code < column->nvalues; code++) {
        int matches = code % few == 0 && column_rows_poll(rows, err) != 0 ? -1
            : predicate_ask(predicate, column->values[code], err);

        if (matches < 0)
            return -1;
        out->passes[code] = matches > 0;
        if (matches > 0) {
            out->count++;
            out->one = code;
        }
    }
    return 0;
}

static uint64_t
word_of_one(const uint32_t *codes, uint32_t n, uint32_t one)
{
    uint8_t flags[64] = {0};

    for (uint32_t i = 0; i < n; i++)
        flags[i] = codes[i] == one;
    return word_of_flags(flags);
}

/* Codes of rows that are not in may be anything. */
static uint64_t
word_of_some(const uint32_t *codes, uint64_t in,
    const struct verdict *verdict)
{
    uint64_t hits = 0;

    for (; in != 0; in &= in - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(in);

        hits |= (uint64_t)verdict->passes[codes[i]] << i;
    }
    return hits;
}

static uint64_t
word_of_all(const uint32_t *codes, const struct verdict *verdict)
{
    uint8_t flags[64];

    for (uint32_t i = 0; i < 64; i++)
        flags[i] = verdict->passes[codes[i]];
    return word_of_flags(flags);
}

static int
run_few(const struct predicate *predicate, const struct column_rows *rows,
    uint64_t *out, struct err *err)
{
    const struct column *column = rows->column;
    struct verdict verdict = {NULL, 0, 0};

    verdict.passes = pool_alloc(rows->pool, column->nvalues + 1);
    if (verdict.passes == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    if (ask_all(predicate, rows, &verdict, err) != 0)
        return -1;
    for (uint32_t word = 0; word < BITMAP_WORDS(rows->n); word++) {
        const uint32_t *codes = column->codes + (size_t)word * 64;
        uint32_t n = MIN(64u, rows->n - word * 64);

        if (rows->in[word] == 0 || verdict.count == 0)
            out[word] = 0;
        else if (verdict.count == column->nvalues)
            out[word] = rows->in[word];
        else if (verdict.count == 1)
            out[word] = rows->in[word] & word_of_one(codes, n, verdict.one);
        else if (rows->in[word] == UINT64_MAX)
            out[word] = word_of_all(codes, &verdict);
        else
            out[word] = word_of_some(codes, rows->in[word], &verdict);
    }
    return 0;
}

/* --- many values --- */

/* Asks for the values of the rows of one word that are not known yet. */
static int
ask_word(const struct predicate *predicate, const struct column_rows *rows,
    uint32_t word, uint8_t *known, struct err *err)
{
    const struct column *column = rows->column;
    bool is_slow = predicate_is_slow(predicate);

    if (rows->in[word] != 0 && column_rows_poll(rows, err) != 0)
        return -1;
    for (uint64_t bits = rows->in[word]; bits != 0; bits &= bits - 1) {
        uint32_t code =
            column->codes[word * 64 + (uint32_t)__builtin_ctzll(bits)];
        int matches;

        check(code < column->nvalues);
        if (known[code] != UNKNOWN)
            continue;
        matches = predicate_ask(predicate, column->values[code], err);
        if (matches < 0 || (is_slow && column_rows_poll(rows, err) != 0))
            return -1;
        known[code] = matches > 0 ? YES : NO;
    }
    return 0;
}

static int
run_many(const struct predicate *predicate, const struct column_rows *rows,
    uint64_t *out, struct err *err)
{
    const struct column *column = rows->column;
    uint8_t *known = pool_zalloc(rows->pool, column->nvalues + 1);

    if (known == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t word = 0; word < BITMAP_WORDS(rows->n); word++) {
        const uint32_t *codes = column->codes + (size_t)word * 64;
        uint64_t hits = 0;

        if (ask_word(predicate, rows, word, known, err) != 0)
            return -1;
        for (uint64_t bits = rows->in[word]; bits != 0; bits &= bits - 1) {
            uint32_t i = (uint32_t)__builtin_ctzll(bits);

            hits |= (uint64_t)(known[codes[i]] == YES) << i;
        }
        out[word] = hits;
    }
    return 0;
}

int
predicate_run_codes(const struct predicate *predicate,
    const struct column_rows *rows, uint64_t *out, struct err *err)
{
    uint32_t count = bitmap_count(rows->in, rows->n);

    return count / ROWS_PER_VALUE >= rows->column->nvalues
        ? run_few(predicate, rows, out, err)
        : run_many(predicate, rows, out, err);
}
