/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Tables of texts, their columns in any form, chains of stages made of the
 * text of a query, and the rows that come out as lines of text.
 */

#ifndef SPOOR_UNIT_STAGE_RUN_H
#define SPOOR_UNIT_STAGE_RUN_H

#include "core/base.h"

#include "core/err.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/pool.h"
#include "core/sb.h"
#include "core/sv.h"
#include "query/atom.h"
#include "query/filter.h"
#include "query/parse.h"
#include "query/pipe.h"
#include "query/rows.h"

#define TABLE_COLUMNS_MAX 12

struct table {
    const char *names[TABLE_COLUMNS_MAX];
    uint32_t ncolumns;
    uint32_t nrows;
    struct sv *cells; /* [row * ncolumns + column] */
};

static inline uint32_t
stage_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* --- columns --- */

static inline bool
texts_are(const struct sv *texts, uint32_t n, enum column_kind kind,
    uint32_t width)
{
    for (uint32_t i = 0; i < n; i++) {
        struct atom atom = atom_from_text(texts[i]);
        uint64_t number;
        bool is_zero;
        char buf[24];

        switch (kind) {
        case COLUMN_EMPTY:
            if (texts[i].len != 0)
                return false;
            break;
        case COLUMN_CONST:
            if (!sv_eq(texts[i], texts[0]))
                return false;
            break;
        case COLUMN_INTS:
            if (atom.tag != ATOM_INT && atom.tag != ATOM_EMPTY)
                return false;
            break;
        case COLUMN_UINTS:
            if (texts[i].len > 0 && (!num_parse_u64(texts[i], &number) ||
                !sv_eq(sv_make(buf, num_print_u64(buf, number)), texts[i])))
                return false;
            break;
        case COLUMN_TIMES:
            if (atom.tag != ATOM_TIME)
                return false;
            break;
        case COLUMN_IDS:
            if (texts[i].len == 0)
                break;
            if (texts[i].len != 2 * width)
                return false;
            is_zero = true;
            for (uint32_t k = 0; k < texts[i].len; k++) {
                if (strchr("0123456789abcdef", texts[i].ptr[k]) == NULL)
                    return false;
                is_zero &= texts[i].ptr[k] == '0';
            }
            /* That would stand for "". */
            if (is_zero)
                return false;
            break;
        default:
            break;
        }
    }
    return true;
}

static inline void
column_numbers(struct column *column, const struct sv *texts, uint32_t n,
    struct pool *pool)
{
    int64_t *ints = pool_zalloc(pool, n * sizeof(*ints));
    uint64_t *present = pool_zalloc(pool, BITMAP_WORDS(n) * 8);
    bool has_gap = false;

    for (uint32_t i = 0; i < n; i++) {
        struct atom atom = atom_from_text(texts[i]);
        uint64_t number;

        has_gap |= texts[i].len == 0;
        if (texts[i].len == 0)
            continue;
        bitmap_set(present, i);
        ints[i] = atom.v;
        if (column->kind == COLUMN_UINTS && num_parse_u64(texts[i], &number))
            ints[i] = (int64_t)number;
    }
    column->ints = ints;
    column->present = has_gap ? present : NULL;
}

static inline void
column_ids(struct column *column, const struct sv *texts, uint32_t n,
    struct pool *pool)
{
    uint8_t *ids = pool_zalloc(pool, (size_t)n * column->width);

    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < texts[i].len; k++) {
            char c = texts[i].ptr[k];

            ids[i * column->width + k / 2] |= (uint8_t)((c <= '9' ? c - '0'
                : c - 'a' + 10) << (k % 2 == 0 ? 4 : 0));
        }
    }
    column->ids = ids;
}

/* Rows with the same id share it. */
static inline void
column_share(struct column *column, uint32_t n, struct pool *pool)
{
    uint32_t *codes = pool_alloc(pool, n * sizeof(*codes));
    uint8_t *ids = pool_alloc(pool, (size_t)n * column->width);

    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *id = column->ids + (size_t)i * column->width;
        uint32_t code = 0;

        while (code < column->nvalues && memcmp(ids + (size_t)code *
                column->width, id, column->width) != 0)
            code++;
        if (code == column->nvalues)
            memcpy(ids + (size_t)column->nvalues++ * column->width, id,
                column->width);
        codes[i] = code;
    }
    column->ids = ids;
    column->codes = codes;
}

static inline void
column_codes(struct column *column, const struct sv *texts, uint32_t n,
    struct pool *pool)
{
    struct sv *values = pool_alloc(pool, (n + 2) * sizeof(*values));
    uint32_t *codes = pool_alloc(pool, n * sizeof(*codes)), nvalues = 0;

    /* A value that no row has. */
    values[nvalues++] = SV("unused value");
    for (uint32_t i = 0; i < n; i++) {
        uint32_t code = 0;

        while (code < nvalues && !sv_eq(values[code], texts[i]))
            code++;
        if (code == nvalues)
            values[nvalues++] = texts[i];
        codes[i] = code;
    }
    column->values = values;
    column->codes = codes;
    column->nvalues = nvalues;
}

/* The texts as a column of a form that can hold them; form < 0: any. */
static inline struct column
column_make(const struct sv *texts, uint32_t n, uint64_t *random,
    struct pool *pool)
{
    static const struct {
        enum column_kind kind;
        uint32_t width;
    } forms[] = {
        {COLUMN_EMPTY, 0}, {COLUMN_CONST, 0}, {COLUMN_CODES, 0},
        {COLUMN_INTS, 0}, {COLUMN_UINTS, 0}, {COLUMN_TIMES, 0},
        {COLUMN_IDS, 8}, {COLUMN_IDS, 16}, {COLUMN_TEXTS, 0},
    };
    struct column column = {.kind = COLUMN_TEXTS};
    struct sv *copy;
    uint32_t form;

    do {
        form = stage_random(random) % ARRAY_LEN(forms);
    } while (!texts_are(texts, n, forms[form].kind, forms[form].width));
    column.kind = forms[form].kind;
    column.width = forms[form].width;
    switch (column.kind) {
    case COLUMN_EMPTY:
        break;
    case COLUMN_CODES:
        column_codes(&column, texts, n, pool);
        break;
    case COLUMN_INTS:
    case COLUMN_UINTS:
    case COLUMN_TIMES:
        column_numbers(&column, texts, n, pool);
        break;
    case COLUMN_IDS:
        column_ids(&column, texts, n, pool);
        if (stage_random(random) % 2 == 0)
            column_share(&column, n, pool);
        break;
    default:
        copy = pool_alloc(pool, n * sizeof(*copy));
        memcpy(copy, texts, n * sizeof(*copy));
        column.texts = column.values = copy;
    }
    return column;
}

/* Rows first .. first + n of a table; each third row more is not selected. */
static inline void
chunk_make(struct rows *rows, const struct table *table, uint32_t first,
    uint32_t n, uint64_t *random)
{
    struct pool *pool = rows->pool;
    bool has_gaps = stage_random(random) % 2 == 0;
    uint32_t total = has_gaps ? n + n / 2 + 1 : n;
    struct sv *texts = pool_alloc(pool, total * sizeof(*texts));
    uint64_t *bits = pool_zalloc(pool, BITMAP_WORDS(total) * 8);
    struct err err = ERR_INIT;

    rows_init(rows, total, pool);
    for (uint32_t i = 0, k = 0; i < total && k < n; i++) {
        if (has_gaps && i % 3 == 2)
            continue;
        bitmap_set(bits, i);
        k++;
    }
    for (uint32_t c = 0; c < table->ncolumns; c++) {
        struct column column;

        for (uint32_t i = 0, k = 0; i < total; i++) {
            uint32_t row = first + (bitmap_has(bits, i) ? k++ : 0);

            texts[i] = table->cells[row * table->ncolumns + c];
        }
        column = column_make(texts, total, random, pool);
        column.name = sv_from(table->names[c]);
        if (rows_set_column(rows, &column, &err) != 0)
            abort();
    }
    rows_select(rows, bits);
}

/* --- the sink: rows as lines "a=1 b=2" --- */

#define SINK_LINES_MAX 100000

struct sink {
    struct stage stage;
    pthread_mutex_t lock;
    char **lines;
    uint32_t n;
    uint64_t enough; /* asks for no more; 0: never */
    bool is_broken;  /* fails */
};

static inline int
sink_write(struct stage *stage, UNUSED unsigned lane, struct rows *rows,
    struct err *err)
{
    struct sink *sink = (struct sink *)stage;
    const struct sv *names;
    uint32_t nnames;

    if (sink->is_broken)
        return err_set(err, ERR_BUSY, "sink is broken");
    if (rows_names(rows, &names, &nnames, err) != 0)
        return -1;
    pthread_mutex_lock(&sink->lock);
    for (uint32_t row = rows_first(rows); row < rows->n;
        row = rows_next(rows, row)) {
        struct sb sb;

        sb_init(&sb, MIB);
        for (uint32_t i = 0; i < nnames; i++) {
            const struct column *column;
            char buf[COLUMN_TEXT_MAX];
            struct sv text;

            if (rows_column(rows, names[i], &column, err) != 0)
                abort();
            text = column_text(column, row, buf);
            if (text.len > 0)
                sb_addf(&sb, "%s%.*s=%.*s", sb.len > 0 ? " " : "",
                    SV_ARG(names[i]), SV_ARG(text));
        }
        if (sink->n % 1024 == 0)
            sink->lines = xrealloc(sink->lines,
                (sink->n + 1024) * sizeof(*sink->lines));
        sink->lines[sink->n++] = xstrdup(sb.ptr);
        sb_release(&sb);
    }
    pthread_mutex_unlock(&sink->lock);
    return sink->enough != 0 && sink->n >= sink->enough;
}

static inline int
sink_nothing(UNUSED struct stage *stage, UNUSED struct err *err)
{
    return 0;
}

static inline void
sink_free(UNUSED struct stage *stage)
{
}

static const struct stage_ops sink_ops = {
    sink_write, sink_nothing, sink_free
};

static inline void
sink_reset(struct sink *sink)
{
    for (uint32_t i = 0; i < sink->n; i++)
        xfree(sink->lines[i]);
    xfree(sink->lines);
    sink->lines = NULL;
    sink->n = 0;
}

static inline int
line_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* --- running --- */

struct chain {
    struct pool *pool;
    struct query *query;
    struct query_run run;
    struct stage *first;
};

static inline int
chain_make(struct chain *chain, const char *text, struct sink *sink,
    size_t memory, struct err *err)
{
    const struct pipe *pipes[64];
    uint32_t n = 0;

    memset(chain, 0, sizeof(*chain));
    chain->pool = pool_new(64 * MIB);
    chain->run.budget.max = memory;
    chain->run.nlanes = 4;
    sink->stage.ops = &sink_ops;
    sink->stage.run = &chain->run;
    chain->run.time_bound = INT64_MIN;
    if (query_parse(&chain->query, sv_from(text), 0, chain->pool, err) != 0 ||
        query_prepare(chain->query, err) != 0)
        return -1;
    chain->run.query = chain->query;
    for (const struct pipe *p = chain->query->pipes; p != NULL; p = p->next)
        pipes[n++] = p;
    chain->first = &sink->stage;
    while (n-- > 0) {
        struct stage *stage;

        if (stage_new(&stage, pipes[n], &chain->run, chain->first, err) != 0)
            return -1;
        chain->first = stage;
    }
    return 0;
}

static UNUSED uint32_t chunk_rows_max = 200;

/* Feeds the table in chunks to lanes in turn; 0 or -1. */
static inline int
chain_feed(struct chain *chain, const struct table *table, unsigned nlanes,
    uint64_t *random, struct err *err)
{
    uint32_t at = 0;
    unsigned lane = 0;

    while (at < table->nrows) {
        uint32_t n = MIN(1 + stage_random(random) % chunk_rows_max,
            table->nrows - at);
        struct rows rows = {.pool = pool_new(256 * MIB)};
        int result;

        chunk_make(&rows, table, at, n, random);
        result = stage_write(chain->first, lane, &rows, err);
        pool_free(rows.pool);
        if (result != 0)
            return result < 0 ? -1 : 0;
        at += n;
        lane = (lane + 1) % nlanes;
    }
    return 0;
}

/* Runs the query over the table; the lines are in the sink. */
static inline int
run_table(struct sink *sink, const char *query, const struct table *table,
    unsigned nlanes, uint64_t seed)
{
    struct chain chain;
    struct err err = ERR_INIT;
    int result = chain_make(&chain, query, sink, GIB, &err);

    chain.run.nlanes = nlanes;
    if (result == 0)
        result = chain_feed(&chain, table, nlanes, &seed, &err);
    if (result == 0)
        result = stages_flush(chain.first, &err);
    else if (chain.first != NULL)
        stages_free(chain.first);
    if (result != 0)
        diag("%s: %s", query, err.text);
    else if (chain.run.budget.used != 0)
        diag("%s: %zu bytes are still charged", query,
            (size_t)chain.run.budget.used);
    if (result == 0 && chain.run.budget.used != 0)
        result = -1;
    pool_free(chain.pool);
    return result;
}

#endif
