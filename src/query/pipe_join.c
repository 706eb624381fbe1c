/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * join: each row with the rows of another query that have the same values
 * (5.19).  The other rows are kept, with a table of them by these values;
 * what a row has itself stays.
 */

#include "core/base.h"
#include "query/pipe_type.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>

#include "core/mem.h"
#include "query/dict.h"
#include "query/pipe_inner.h"

struct join_spec {
    struct inner inner;
    struct sv *by;
    uint32_t nby;
    struct sv prefix;
    bool is_inner;
};

#define NONE UINT32_MAX

/* A name of held cells as it goes on, and its number. */
struct join_name {
    struct sv name;
    uint32_t held;
};

struct stage_join {
    struct stage stage;
    const struct join_spec *spec;
    struct pool *pool;      /* names; small */
    struct needed needed;   /* of the pipes behind */
    struct held held;
    uint32_t *by;           /* numbers of names of held rows, or NONE */
    struct sv *names;       /* of held cells, with the prefix; by number */
    bool *is_wanted;        /* the same: it goes on, and is no by-field */
    struct join_name *sorted; /* those that are wanted, by name */
    uint32_t nsorted;
    struct hold_array slots; /* uint32_t: first row + 1 of a chain */
    struct hold_array next;  /* uint32_t: row + 1 with the same values */
    uint32_t mask;
    uint64_t secret;
};

/* The pool of names: their number is limited by held rows. */
#define JOIN_POOL_MAX (128 * MIB)
/* Names between two looks at the clock: each may be compared with many. */
#define POLL_NAMES 64u

/* --- the pipe --- */

static int
join_options(struct parser *p, struct join_spec *spec)
{
    while (!parse_at_end(p)) {
        struct word word;

        if (parse_take(p, "inner")) {
            spec->is_inner = true;
            continue;
        }
        if (!parse_take(p, "prefix"))
            return parse_unexpected(p, "'inner', 'prefix' or '|'");
        if (parse_word(p, &word, STOP_NAME, "a prefix") == -1)
            return -1;
        spec->prefix = word.text;
    }
    return 0;
}

static int
join_parse(struct parser *p, struct pipe *pipe)
{
    struct join_spec *spec = pool_zalloc(p->pool, sizeof(*spec));
    struct values names;
    uint32_t pos;

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    spec->prefix = SV_EMPTY;
    if (!parse_take(p, "by"))
        (void)parse_take(p, "on");
    pos = lexer_pos(&p->lex);
    if (parse_plain_names(p, &names) == -1)
        return -1;
    if (names.n == 0)
        return parse_fail(p, pos, "join needs the name of a field");
    spec->by = names.items;
    spec->nby = names.n;
    if (inner_parse(p, pipe, &spec->inner, "join") == -1)
        return -1;
    return join_options(p, spec);
}

static void
join_print(struct sb *out, const struct pipe *pipe)
{
    const struct join_spec *spec = pipe->spec;

    sb_add_str(out, "join by (");
    for (uint32_t i = 0; i < spec->nby; i++) {
        if (i > 0)
            sb_add_str(out, ", ");
        print_word(out, spec->by[i]);
    }
    sb_add_str(out, ") ");
    inner_print(out, pipe, &spec->inner);
    if (spec->is_inner)
        sb_add_str(out, " inner");
    if (spec->prefix.len > 0) {
        sb_add_str(out, " prefix ");
        print_word(out, spec->prefix);
    }
}

static int
join_needed(struct needed *needed, const struct pipe *pipe, struct pool *pool)
{
    const struct join_spec *spec = pipe->spec;

    for (uint32_t i = 0; i < spec->nby; i++) {
        if (needed_add_name(needed, spec->by[i], pool) != 0)
            return -1;
    }
    return 0;
}

/* --- the table of held rows --- */

static uint64_t
hash_add(uint64_t hash, struct sv text)
{
    return XXH3_64bits_withSeed(text.ptr, text.len, hash);
}

static struct sv
held_by(const struct stage_join *mine, uint32_t row, uint32_t i)
{
    return mine->by[i] == NONE ? SV_EMPTY :
        held_text(held_row(&mine->held, row), mine->by[i]);
}

static bool
is_same(const struct stage_join *mine, uint32_t row, const struct sv *texts)
{
    for (uint32_t i = 0; i < mine->spec->nby; i++) {
        if (!sv_eq(held_by(mine, row, i), texts[i]))
            return false;
    }
    return true;
}

/* The slot of these values, or a free one. */
static uint32_t *
slot_of(const struct stage_join *mine, const struct sv *texts)
{
    uint32_t *slots = mine->slots.items;
    uint64_t hash = mine->secret;

    for (uint32_t i = 0; i < mine->spec->nby; i++)
        hash = hash_add(hash, texts[i]);
    for (uint32_t at = (uint32_t)hash & mine->mask;;
        at = (at + 1) & mine->mask) {
        if (slots[at] == 0 || is_same(mine, slots[at] - 1, texts))
            return &slots[at];
    }
}

/* From the last row to the first, so that chains are in the rows' order. */
static int
table_make(struct stage_join *mine, struct err *err)
{
    struct held *held = &mine->held;
    uint32_t n = 16, *next;
    struct sv *texts = pool_alloc(mine->pool,
        mine->spec->nby * sizeof(*texts));

    while (n / 2 < held->nrows && n < UINT32_MAX / 2)
        n *= 2;
    mine->mask = n - 1;
    if (texts == NULL || n / 2 < held->nrows)
        return err_set(err, ERR_LIMIT, "no memory for join");
    if (hold_grow(&held->hold, &mine->slots, n, sizeof(uint32_t),
            err) != 0 ||
        hold_grow(&held->hold, &mine->next, held->nrows, sizeof(uint32_t),
            err) != 0)
        return -1;
    next = mine->next.items;
    for (uint32_t row = held->nrows; row-- > 0;) {
        uint32_t *slot;

        if (row % STAGE_POLL_ROWS == 0 && run_poll(mine->stage.run, err) != 0)
            return -1;
        for (uint32_t i = 0; i < mine->spec->nby; i++)
            texts[i] = held_by(mine, row, i);
        slot = slot_of(mine, texts);
        next[row] = *slot;
        *slot = row + 1;
    }
    return 0;
}

static bool
is_by(const struct join_spec *spec, struct sv name)
{
    for (uint32_t i = 0; i < spec->nby; i++) {
        if (sv_eq(spec->by[i], name))
            return true;
    }
    return false;
}

static int
name_cmp(const void *left, const void *right)
{
    return sv_cmp(((const struct join_name *)left)->name,
        ((const struct join_name *)right)->name);
}

/* The number of the wanted held name, or NONE. */
static uint32_t
find_wanted(const struct stage_join *mine, struct sv name)
{
    const struct join_name wanted = {name, NONE}, *found;

    found = mine->nsorted == 0 ? NULL : bsearch(&wanted, mine->sorted,
        mine->nsorted, sizeof(wanted), name_cmp);
    return found == NULL ? NONE : found->held;
}

/* The number of the field in held rows, or NONE. */
static uint32_t
find_held(const struct intern *names, struct sv name)
{
    for (uint32_t k = 0; k < names->n; k++) {
        if (sv_eq(names->v[k], name))
            return k;
    }
    return NONE;
}

/* Names of held cells as they go on. */
static int
names_make(struct stage_join *mine, struct err *err)
{
    const struct intern *names = &mine->held.names;
    const struct join_spec *spec = mine->spec;

    mine->by = pool_alloc(mine->pool, spec->nby * sizeof(*mine->by));
    mine->names = pool_alloc(mine->pool, (names->n + 1u) *
        sizeof(*mine->names));
    mine->is_wanted = pool_zalloc(mine->pool, names->n + 1u);
    mine->sorted = pool_alloc(mine->pool, (names->n + 1u) *
        sizeof(*mine->sorted));
    if (mine->by == NULL || mine->names == NULL ||
        mine->is_wanted == NULL || mine->sorted == NULL)
        return err_set(err, ERR_LIMIT, "no memory for join");
    for (uint32_t i = 0; i < spec->nby; i++) {
        if (run_poll(mine->stage.run, err) != 0)
            return -1;
        mine->by[i] = find_held(names, spec->by[i]);
    }
    for (uint32_t k = 0; k < names->n; k++) {
        size_t len = spec->prefix.len + names->v[k].len;
        char *name = pool_alloc(mine->pool, len + 1);

        if (k % POLL_NAMES == 0 && run_poll(mine->stage.run, err) != 0)
            return -1;
        if (name == NULL)
            return err_set(err, ERR_LIMIT, "no memory for join");
        if (spec->prefix.len > 0)
            memcpy(name, spec->prefix.ptr, spec->prefix.len);
        if (names->v[k].len > 0)
            memcpy(name + spec->prefix.len, names->v[k].ptr,
                names->v[k].len);
        mine->names[k] = sv_make(name, len);
        mine->is_wanted[k] = !is_by(spec, names->v[k]) &&
            needed_has(&mine->needed, mine->names[k]);
        if (mine->is_wanted[k])
            mine->sorted[mine->nsorted++] =
                (struct join_name){mine->names[k], k};
    }
    qsort(mine->sorted, mine->nsorted, sizeof(*mine->sorted), name_cmp);
    return 0;
}

/* --- rows --- */

/* One chunk on its way: its own columns, then those of held rows. */
struct join_chunk {
    struct rows *rows;
    struct column *by_columns;
    struct column *columns;
    uint32_t nown;
    struct sv *names;  /* of all */
    uint32_t n;
    uint32_t *places;  /* of held names: their column, or NONE */
    struct sv *own;    /* texts of one row */
    struct sv *texts;  /* the same with those of a held row */
    struct sv *key;
    char (*bufs)[COLUMN_TEXT_MAX];
    char (*key_bufs)[COLUMN_TEXT_MAX];
};

static int
chunk_alloc(const struct stage_join *mine, struct join_chunk *chunk,
    uint32_t nnames, struct err *err)
{
    struct pool *pool = chunk->rows->pool;
    uint32_t nby = mine->spec->nby, nheld = mine->held.names.n;
    uint32_t most = nnames + nheld + 1;

    chunk->by_columns = pool_alloc(pool, nby * sizeof(*chunk->by_columns));
    chunk->columns = pool_alloc(pool, most * sizeof(*chunk->columns));
    chunk->names = pool_alloc(pool, most * sizeof(*chunk->names));
    chunk->places = pool_alloc(pool, most * sizeof(*chunk->places));
    chunk->own = pool_alloc(pool, most * sizeof(*chunk->own));
    chunk->texts = pool_alloc(pool, most * sizeof(*chunk->texts));
    chunk->key = pool_alloc(pool, nby * sizeof(*chunk->key));
    chunk->bufs = pool_alloc(pool, most * sizeof(*chunk->bufs));
    chunk->key_bufs = pool_alloc(pool, nby * sizeof(*chunk->key_bufs));
    if (chunk->by_columns == NULL || chunk->columns == NULL ||
        chunk->names == NULL || chunk->places == NULL ||
        chunk->own == NULL || chunk->texts == NULL || chunk->key == NULL ||
        chunk->bufs == NULL || chunk->key_bufs == NULL)
        return err_set(err, ERR_LIMIT, "no memory for join");
    return 0;
}

static int
load_own(const struct stage_join *mine, struct join_chunk *chunk,
    const struct sv *names, uint32_t nnames, struct err *err)
{
    const struct column *column;

    for (uint32_t i = 0; i < mine->spec->nby; i++) {
        if (rows_column(chunk->rows, mine->spec->by[i], &column, err) != 0)
            return -1;
        chunk->by_columns[i] = *column;
    }
    for (uint32_t i = 0; i < nnames; i++) {
        if (!needed_has(&mine->needed, names[i]))
            continue;
        if (run_poll(mine->stage.run, err) != 0 ||
            rows_column(chunk->rows, names[i], &column, err) != 0)
            return -1;
        chunk->columns[chunk->nown] = *column;
        chunk->names[chunk->nown++] = names[i];
    }
    return 0;
}

static int
chunk_make(const struct stage_join *mine, struct join_chunk *chunk,
    struct err *err)
{
    const struct sv *names;
    uint32_t nnames;

    if (rows_names(chunk->rows, &names, &nnames, err) != 0 ||
        chunk_alloc(mine, chunk, nnames, err) != 0 ||
        load_own(mine, chunk, names, nnames, err) != 0)
        return -1;
    chunk->n = chunk->nown;
    for (uint32_t k = 0; k < mine->held.names.n; k++)
        chunk->places[k] = NONE;
    for (uint32_t i = 0; i < chunk->nown; i++) {
        uint32_t k = find_wanted(mine, chunk->names[i]);

        if (k != NONE)
            chunk->places[k] = i;
    }
    for (uint32_t k = 0; k < mine->held.names.n; k++) {
        if (!mine->is_wanted[k] || chunk->places[k] != NONE)
            continue;
        chunk->places[k] = chunk->n;
        chunk->names[chunk->n++] = mine->names[k];
    }
    return 0;
}

static void
own_texts(const struct stage_join *mine, struct join_chunk *chunk,
    uint32_t row)
{
    for (uint32_t i = 0; i < mine->spec->nby; i++)
        chunk->key[i] = column_text(&chunk->by_columns[i], row,
            chunk->key_bufs[i]);
    for (uint32_t i = 0; i < chunk->nown; i++)
        chunk->own[i] = column_text(&chunk->columns[i], row, chunk->bufs[i]);
    for (uint32_t i = chunk->nown; i < chunk->n; i++)
        chunk->own[i] = SV_EMPTY;
}

/* Adds the cells of a held row where the row has nothing itself. */
static void
both_texts(const struct stage_join *mine, struct join_chunk *chunk,
    uint32_t held_row_id)
{
    const struct held_row *from = held_row(&mine->held, held_row_id);

    memcpy(chunk->texts, chunk->own, chunk->n * sizeof(*chunk->texts));
    for (uint32_t i = 0; i < from->n; i++) {
        const struct held_cell *cell = &from->cells[i];
        uint32_t place = chunk->places[cell->name];

        if (place != NONE && chunk->texts[place].len == 0)
            chunk->texts[place] = sv_make(cell->ptr, cell->len);
    }
}

static int
join_row(const struct stage_join *mine, struct join_chunk *chunk,
    struct emit *emit, uint32_t *made, struct err *err)
{
    const uint32_t *next = mine->next.items;
    uint32_t match = *slot_of(mine, chunk->key);

    if (match == 0)
        return mine->spec->is_inner ? 0 : emit_row(emit, chunk->own, err);
    for (; match != 0 && !emit->is_done; match = next[match - 1]) {
        if (++*made % STAGE_POLL_ROWS == 0 &&
            run_poll(mine->stage.run, err) != 0)
            return -1;
        both_texts(mine, chunk, match - 1);
        if (emit_row(emit, chunk->texts, err) != 0)
            return -1;
    }
    return 0;
}

static int
join_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct stage_join *mine = (struct stage_join *)stage;
    struct join_chunk chunk = {.rows = rows};
    uint32_t made = 0;
    struct emit emit;
    int rc = 0;

    if (chunk_make(mine, &chunk, err) != 0)
        return -1;
    emit_begin(&emit, stage->next, chunk.names, chunk.n);
    emit.lane = lane;
    for (uint32_t row = rows_first(rows);
        rc == 0 && row < rows->n && !emit.is_done;
        row = rows_next(rows, row)) {
        if (++made % STAGE_POLL_ROWS == 0)
            rc = run_poll(stage->run, err);
        own_texts(mine, &chunk, row);
        if (rc == 0)
            rc = join_row(mine, &chunk, &emit, &made, err);
    }
    if (rc == 0)
        rc = emit_end(&emit, err);
    emit_free(&emit);
    return rc != 0 ? -1 : emit.is_done;
}

static void
join_free(struct stage *stage)
{
    struct stage_join *mine = (struct stage_join *)stage;

    hold_drop(&mine->held.hold, &mine->slots, sizeof(uint32_t));
    hold_drop(&mine->held.hold, &mine->next, sizeof(uint32_t));
    held_free(&mine->held);
    pool_free(mine->pool);
    xfree(mine);
}

static const struct stage_ops join_ops = {
    join_write, stage_flush_nothing, join_free
};

static int
join_make(struct stage **out, const struct pipe *pipe, struct query_run *run,
    struct err *err)
{
    struct stage_join *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &join_ops;
    mine->stage.run = run;
    mine->spec = pipe->spec;
    mine->secret = dict_secret();
    mine->pool = pool_new(JOIN_POOL_MAX);
    pool_share(mine->pool, run->budget.share);
    held_init(&mine->held, &run->budget);
    if (needed_find(&mine->needed, pipe->next, mine->pool, err) != 0 ||
        inner_hold(&mine->spec->inner, pipe, run, &mine->held, err) != 0 ||
        names_make(mine, err) != 0 || table_make(mine, err) != 0) {
        join_free(&mine->stage);
        return -1;
    }
    *out = &mine->stage;
    return 0;
}

const struct pipe_ops pipe_join = {
    join_parse, join_print, join_needed, join_make, NULL
};
