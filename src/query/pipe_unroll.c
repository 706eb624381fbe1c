/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * unroll: a row for each item of the JSON arrays of some fields, side by
 * side; shorter arrays give "" then.  A row without any array stays one row.
 * The texts of the other fields are not copied: rows of a chunk share them.
 */

#include "core/base.h"
#include "query/pipe_type.h"

#include "core/mem.h"
#include "query/arrays.h"
#include "query/parser.h"
#include "query/stage_map.h"
#include "query/stage_stats.h"

/* Cells and decoded items of a chunk; it ends early when it has more. */
#define UNROLL_TEXTS_MAX (8 * MIB)
/* A single item may be as long as a whole text, and so may each field's. */
#define UNROLL_POOL_MAX (512 * MIB)
/* Names of fields behind, and of those the filter reads. */
#define UNROLL_NAMES_MAX (16 * MIB)

struct unroll_spec {
    struct sv *names;
    uint32_t n;
};

/* --- syntax --- */

static int
parse_list(struct parser *p, struct values *names)
{
    *names = (struct values){NULL, 0, 0, false};
    if (parse_at(p, "("))
        return parse_plain_names(p, names);
    do {
        names->items = parse_grow(p, names->items, names->n, &names->cap,
            sizeof(*names->items));
        if (names->items == NULL ||
            parse_name(p, &names->items[names->n], STOP_NAME) == -1)
            return -1;
        names->n++;
    } while (parse_take(p, ","));
    return 0;
}

static int
parse(struct parser *p, struct pipe *pipe)
{
    struct unroll_spec *spec = pool_zalloc(p->pool, sizeof(*spec));
    struct values names;
    uint32_t pos;

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    pipe->keeps_time = true;
    if (parse_if(p, &pipe->filter) == -1)
        return -1;
    (void)parse_take(p, "by");
    pos = lexer_pos(&p->lex);
    if (parse_list(p, &names) == -1)
        return -1;
    if (names.n == 0)
        return parse_fail(p, pos, "unroll needs the name of a field");
    spec->names = names.items;
    spec->n = names.n;
    for (uint32_t i = 0; i < names.n; i++)
        pipe->keeps_time &= !sv_eq(names.items[i], SV("_time"));
    return parse_pipe_end(p, "'|' or the end");
}

static void
print(struct sb *out, const struct pipe *pipe)
{
    const struct unroll_spec *spec = pipe->spec;

    sb_add_str(out, "unroll");
    print_if(out, pipe->filter);
    sb_add_str(out, " by (");
    for (uint32_t i = 0; i < spec->n; i++) {
        if (i > 0)
            sb_add_str(out, ", ");
        print_word(out, spec->names[i]);
    }
    sb_add_char(out, ')');
}

static int
needed(struct needed *needed, const struct pipe *pipe, struct pool *pool)
{
    const struct unroll_spec *spec = pipe->spec;

    for (uint32_t i = 0; i < spec->n; i++) {
        if (needed_add_name(needed, spec->names[i], pool) != 0)
            return -1;
    }
    return needed_add_filter(needed, pipe->filter, pool);
}

/* --- the stage --- */

struct stage_unroll {
    struct stage stage;
    const struct unroll_spec *spec;
    const struct filter *filter;
    struct pool *pool;
    struct needed needed; /* of the pipes behind */
    struct needed inside; /* of the filter */
};

/* One array of the present row. */
struct unroll_field {
    struct array_in array;
    uint32_t column;
    bool has_items;
};

/* One chunk of input and what is made of it. */
struct unrolling {
    const struct stage_unroll *mine;
    unsigned lane;
    struct rows *rows;
    struct column *columns; /* of the input; names of the output */
    uint32_t ncolumns;
    struct sv *row;         /* texts of the present row */
    struct unroll_field *fields;
    struct pool *pool;      /* of the output */
    struct sv **texts;      /* by column */
    uint32_t n;
    uint64_t npolled;
};

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "query needs too much memory");
}

static int
add_column(struct unrolling *u, struct sv name, struct err *err)
{
    const struct column *column;

    if (rows_column(u->rows, name, &column, err) != 0)
        return -1;
    u->columns[u->ncolumns] = *column;
    u->columns[u->ncolumns++].name = name;
    return 0;
}

/* Those that are read behind, and the arrays. */
static int
load_columns(struct unrolling *u, struct err *err)
{
    const struct unroll_spec *spec = u->mine->spec;
    const struct column *column;
    const struct sv *names;
    uint32_t n;

    if (rows_names(u->rows, &names, &n, err) != 0)
        return -1;
    u->columns = pool_alloc(u->rows->pool,
        ((size_t)n + spec->n) * sizeof(*u->columns));
    u->fields = pool_alloc(u->rows->pool, spec->n * sizeof(*u->fields));
    if (u->columns == NULL || u->fields == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        if (needed_has(&u->mine->needed, names[i]) &&
            add_column(u, names[i], err) != 0)
            return -1;
    }
    for (uint32_t i = 0; i < spec->n; i++) {
        uint32_t at = 0;

        while (at < u->ncolumns && !sv_eq(u->columns[at].name, spec->names[i]))
            at++;
        u->fields[i].column = at;
        if (at == u->ncolumns && add_column(u, spec->names[i], err) != 0)
            return -1;
    }
    /* Before the filter selects: of the other rows they would be anything. */
    for (uint32_t i = 0; i < u->mine->inside.n; i++) {
        if (rows_column(u->rows, u->mine->inside.patterns[i].name, &column,
                err) != 0)
            return -1;
    }
    u->row = pool_alloc(u->rows->pool, u->ncolumns * sizeof(*u->row));
    return u->row == NULL ? no_memory(err) : 0;
}

/* --- output --- */

static int
chunk_begin(struct unrolling *u, struct err *err)
{
    u->texts = pool_alloc(u->pool, u->ncolumns * sizeof(*u->texts));
    if (u->texts == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < u->ncolumns; i++) {
        u->texts[i] = pool_alloc(u->pool,
            ROWS_CHUNK * sizeof(*u->texts[i]));
        if (u->texts[i] == NULL)
            return no_memory(err);
    }
    return 0;
}

/* 0: go on; 1: the next stage needs no more; -1 */
static int
chunk_end(struct unrolling *u, struct err *err)
{
    struct rows out;
    int result;

    if (u->n == 0)
        return 0;
    rows_init(&out, u->n, u->pool);
    if (out.n != u->n)
        return no_memory(err);
    out.run = u->rows->run;
    for (uint32_t i = 0; i < u->ncolumns; i++) {
        struct column column = {.name = u->columns[i].name,
            .kind = COLUMN_TEXTS, .texts = u->texts[i]};

        if (rows_set_column(&out, &column, err) != 0)
            return -1;
    }
    result = stage_write(u->mine->stage.next, u->lane, &out, err);
    u->n = 0;
    pool_reset(u->pool);
    return result;
}

/* The texts of an input row, for as long as the chunk lasts. */
static int
load_row(struct unrolling *u, uint32_t row, struct err *err)
{
    for (uint32_t i = 0; i < u->ncolumns; i++) {
        char buf[COLUMN_TEXT_MAX];
        struct sv text = column_text(&u->columns[i], row, buf);

        if (text.len == 0) {
            text = SV_EMPTY;
        } else if (text.ptr >= buf && text.ptr < buf + sizeof(buf)) {
            text.ptr = pool_dup(u->pool, text.ptr, text.len);
            if (text.ptr == NULL)
                return no_memory(err);
        }
        u->row[i] = text;
    }
    return 0;
}

/* u->row as a row of the output, with the next items. */
static int
put_row(struct unrolling *u, uint32_t narrays, struct err *err)
{
    if (++u->npolled % STAGE_POLL_ROWS == 0 &&
        run_poll(u->mine->stage.run, err) != 0)
        return -1;
    for (uint32_t i = 0; i < u->ncolumns; i++)
        u->texts[i][u->n] = u->row[i];
    for (uint32_t i = 0; i < narrays; i++) {
        struct unroll_field *field = &u->fields[i];
        struct sv item = SV_EMPTY;

        if (field->has_items && !array_next(&field->array, &item)) {
            if (json_in_failed(&field->array.in))
                return no_memory(err);
            field->has_items = false;
            item = SV_EMPTY;
        }
        u->texts[field->column][u->n] = item;
    }
    u->n++;
    return 0;
}

static bool
is_full(const struct unrolling *u)
{
    return u->n == ROWS_CHUNK || pool_used(u->pool) > UNROLL_TEXTS_MAX +
        (size_t)u->ncolumns * ROWS_CHUNK * sizeof(struct sv);
}

/* The rows that an input row becomes; 0, 1, -1 as of a stage. */
static int
unroll_row(struct unrolling *u, uint32_t row, bool is_picked,
    struct err *err)
{
    uint32_t narrays = is_picked ? u->mine->spec->n : 0;
    uint64_t nrows = 1;
    int result = 0;

    if (u->n == 0 && chunk_begin(u, err) != 0)
        return -1;
    if (load_row(u, row, err) != 0)
        return -1;
    for (uint32_t i = 0; i < narrays; i++) {
        struct unroll_field *field = &u->fields[i];
        struct sv text = u->row[field->column];
        uint64_t count = array_count(text);

        field->has_items = count > 0;
        if (count > 0)
            array_begin(&field->array, text, u->pool);
        nrows = MAX(nrows, count);
    }
    for (uint64_t i = 0; i < nrows && result == 0; i++) {
        if (put_row(u, narrays, err) != 0)
            return -1;
        if (!is_full(u))
            continue;
        result = chunk_end(u, err);
        /* The pool was emptied: the rest of the rows anew. */
        if (result == 0 && i + 1 < nrows && (chunk_begin(u, err) != 0 ||
            load_row(u, row, err) != 0))
            return -1;
    }
    return result;
}

static int
unroll_rows(struct unrolling *u, struct err *err)
{
    struct picks picks;
    uint32_t next = 0;
    int result = 0;

    if (load_columns(u, err) != 0)
        return -1;
    if (rows_pick(u->rows, u->mine->filter, &picks, err) != 0)
        return -1;
    for (uint32_t row = rows_first(u->rows);
        row < u->rows->n && result == 0; row = rows_next(u->rows, row)) {
        bool is_picked = next < picks.n && picks_row(&picks, next) == row;

        next += is_picked;
        result = unroll_row(u, row, is_picked, err);
    }
    return result == 0 ? chunk_end(u, err) : result;
}

static int
unroll_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct unrolling u = {.mine = (struct stage_unroll *)stage, .lane = lane,
        .rows = rows};
    int result;

    if (rows->nselected == 0)
        return 0;
    u.pool = pool_new(UNROLL_POOL_MAX);
    pool_share(u.pool, stage->run->budget.share);
    pool_keep(u.pool, UNROLL_TEXTS_MAX);
    result = unroll_rows(&u, err);
    pool_free(u.pool);
    return result;
}

static void
unroll_free(struct stage *stage)
{
    struct stage_unroll *mine = (struct stage_unroll *)stage;

    pool_free(mine->pool);
    xfree(mine);
}

static const struct stage_ops unroll_ops = {
    unroll_write, stage_flush_nothing, unroll_free
};

static int
make(struct stage **out, const struct pipe *pipe,
    UNUSED struct query_run *run, struct err *err)
{
    struct stage_unroll *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &unroll_ops;
    mine->spec = pipe->spec;
    mine->filter = pipe->filter;
    mine->pool = pool_new(UNROLL_NAMES_MAX);
    if (needed_find(&mine->needed, pipe->next, mine->pool, err) != 0) {
        unroll_free(&mine->stage);
        return -1;
    }
    if (needed_add_filter(&mine->inside, mine->filter, mine->pool) != 0) {
        unroll_free(&mine->stage);
        return no_memory(err);
    }
    *out = &mine->stage;
    return 0;
}

const struct pipe_ops pipe_unroll = {parse, print, needed, make, NULL};
