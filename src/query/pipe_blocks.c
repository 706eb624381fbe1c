/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * blocks_count, block_stats and query_stats: figures of how a query is
 * executed.  Blocks are chunks of rows on their way; those that pipes in
 * front have made anew have no figures of storage.
 */

#include "core/base.h"
#include "query/pipe_type.h"

#include "core/mem.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "query/figures.h"
#include "query/hold.h"
#include "query/parser.h"
#include "query/pipe_old.h"
#include "query/stage_map.h"
#include "query/state.h"

/* --- one row of numbers --- */

#define FIGURES_MAX 8u

static int
emit_figures(struct stage *next, const struct sv *names, const uint64_t *v,
    uint32_t n, struct err *err)
{
    char numbers[FIGURES_MAX][24];
    struct sv texts[FIGURES_MAX];
    struct emit emit;
    int result;

    for (uint32_t i = 0; i < n; i++)
        texts[i] = sv_make(numbers[i], num_print_u64(numbers[i], v[i]));
    emit_begin(&emit, next, names, n);
    result = emit_row(&emit, texts, err);
    if (result == 0)
        result = emit_end(&emit, err);
    emit_free(&emit);
    return result;
}

/* --- blocks_count --- */

struct stage_count {
    struct stage stage;
    struct sv result;
    _Atomic uint64_t n;
};

static int
count_parse(struct parser *p, struct pipe *pipe)
{
    pipe->result = SV("blocks_count");
    if (!parse_take(p, "as") && parse_at_end(p))
        return 0;
    return parse_name(p, &pipe->result, STOP_NAME);
}

static void
count_print(struct sb *out, const struct pipe *pipe)
{
    sb_add_str(out, "blocks_count as ");
    print_word(out, pipe->result);
}

/* No field is read. */
static int
needed_nothing(struct needed *needed, UNUSED const struct pipe *pipe,
    UNUSED struct pool *pool)
{
    *needed = (struct needed){0};
    return 0;
}

static int
count_write(struct stage *stage, UNUSED unsigned lane, struct rows *rows,
    UNUSED struct err *err)
{
    struct stage_count *mine = (struct stage_count *)stage;

    if (rows->nselected > 0)
        atomic_fetch_add_explicit(&mine->n, 1, memory_order_relaxed);
    return 0;
}

static int
count_flush(struct stage *stage, struct err *err)
{
    struct stage_count *mine = (struct stage_count *)stage;
    uint64_t n = atomic_load(&mine->n);

    return emit_figures(stage->next, &mine->result, &n, 1, err);
}

static void
count_free(struct stage *stage)
{
    xfree(stage);
}

static const struct stage_ops count_ops = {
    count_write, count_flush, count_free
};

/* The state: how many. */
static int
count_save(struct stage *stage, state_fn fn, void *arg, struct err *err)
{
    struct state_out out;
    int rc;

    state_out_init(&out, stage, fn, arg);
    state_put_varint(&out.sb,
        atomic_load(&((struct stage_count *)stage)->n));
    rc = state_out_give(&out, err);
    state_out_release(&out);
    return rc;
}

static int
count_load(struct stage *stage, UNUSED unsigned lane, struct sv state,
    struct err *err)
{
    struct enc_reader in;
    uint64_t n;

    if (!state_in_begin(&in, state))
        return state_bad(err);
    n = enc_read_varint(&in);
    if (in.failed || in.ptr != in.end)
        return state_bad(err);
    atomic_fetch_add(&((struct stage_count *)stage)->n, n);
    return 0;
}

static const struct state_ops count_state = {count_save, count_load};

static int
count_make(struct stage **out, const struct pipe *pipe,
    UNUSED struct query_run *run, UNUSED struct err *err)
{
    struct stage_count *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &count_ops;
    mine->stage.state = &count_state;
    mine->result = pipe->result;
    *out = &mine->stage;
    return 0;
}

const struct pipe_ops pipe_blocks_count = {
    count_parse, count_print, needed_nothing, count_make, NULL
};

/* --- query_stats --- */

static int
plain_parse(struct parser *p, UNUSED struct pipe *pipe)
{
    return parse_pipe_end(p, "'|' or the end");
}

static void
plain_print(struct sb *out, const struct pipe *pipe)
{
    sb_add_str(out, pipe->type->name);
}

static int
figures_write(UNUSED struct stage *stage, UNUSED unsigned lane,
    UNUSED struct rows *rows, UNUSED struct err *err)
{
    return 0;
}

/* Blocks, rows, rows that were found, bytes of memory. */
#define FIGURES_JOINED 4u

struct stage_figures {
    struct stage stage;
    int64_t start_ns; /* monotonic */
    _Atomic bool is_joined; /* storage nodes have told theirs */
    _Atomic uint64_t joined[FIGURES_JOINED];
};

/* Those of this query here, or of the nodes that it asked. */
static void
figures_get(struct stage_figures *mine, uint64_t *v)
{
    const struct query_run *run = mine->stage.run;
    const struct query_figures *figures = figures_of(run);

    v[0] = atomic_load(&figures->read);
    v[1] = atomic_load(&figures->rows);
    v[2] = atomic_load(&figures->found);
    v[3] = atomic_load(&run->budget.used);
    for (uint32_t i = 0; i < FIGURES_JOINED && atomic_load(&mine->is_joined);
        i++)
        v[i] = atomic_load(&mine->joined[i]);
}

static int
figures_flush(struct stage *stage, struct err *err)
{
    struct stage_figures *mine = (struct stage_figures *)stage;
    static const struct sv names[] = {
        {"BlocksProcessed", 15}, {"RowsProcessed", 13}, {"RowsFound", 9},
        {"MemoryBytes", 11}, {"QueryDurationNsecs", 18},
    };
    uint64_t v[FIGURES_JOINED + 1];

    figures_get(mine, v);
    v[FIGURES_JOINED] = (uint64_t)(clock_mono_ns() - mine->start_ns);
    return emit_figures(stage->next, names, v, ARRAY_LEN(v), err);
}

static const struct stage_ops figures_ops = {
    figures_write, figures_flush, count_free
};

/* The state: the numbers but the last. */
static int
figures_save(struct stage *stage, state_fn fn, void *arg, struct err *err)
{
    uint64_t v[FIGURES_JOINED];
    struct state_out out;
    int rc;

    state_out_init(&out, stage, fn, arg);
    figures_get((struct stage_figures *)stage, v);
    for (uint32_t i = 0; i < FIGURES_JOINED; i++)
        state_put_varint(&out.sb, v[i]);
    rc = state_out_give(&out, err);
    state_out_release(&out);
    return rc;
}

static int
figures_load(struct stage *stage, UNUSED unsigned lane, struct sv state,
    struct err *err)
{
    struct stage_figures *mine = (struct stage_figures *)stage;
    uint64_t v[FIGURES_JOINED];
    struct enc_reader in;

    if (!state_in_begin(&in, state))
        return state_bad(err);
    for (uint32_t i = 0; i < FIGURES_JOINED; i++)
        v[i] = enc_read_varint(&in);
    if (in.failed || in.ptr != in.end)
        return state_bad(err);
    for (uint32_t i = 0; i < FIGURES_JOINED; i++)
        atomic_fetch_add(&mine->joined[i], v[i]);
    atomic_store(&mine->is_joined, true);
    return 0;
}

static const struct state_ops figures_state = {figures_save, figures_load};

static int
figures_make(struct stage **out, UNUSED const struct pipe *pipe,
    UNUSED struct query_run *run, UNUSED struct err *err)
{
    struct stage_figures *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &figures_ops;
    mine->stage.state = &figures_state;
    mine->start_ns = clock_mono_ns();
    *out = &mine->stage;
    return 0;
}

const struct pipe_ops pipe_query_stats = {
    plain_parse, plain_print, needed_before_any, figures_make, NULL
};

/* --- block_stats: a row for each field of each block --- */

struct block_field {
    struct sv name;
    enum column_kind kind;
    uint64_t rows;         /* that passed the filter */
    uint64_t values_bytes; /* of their texts */
    uint64_t dict_items;
    uint64_t dict_bytes;
};

struct blocks_lane {
    struct hold hold;
    struct hold_array fields; /* struct block_field */
    uint32_t n;
};

struct stage_blocks {
    struct stage stage;
    struct blocks_lane *lanes[QUERY_LANES_MAX]; /* made by their threads */
};

/* Those that rows have: a dictionary may be of other tenants' rows, too. */
static int
measure_dictionary(const struct column *column, const struct picks *picks,
    struct pool *pool, struct block_field *out)
{
    uint64_t *seen = pool_zalloc(pool,
        (BITMAP_WORDS((size_t)column->nvalues) + 1) * sizeof(*seen));

    if (seen == NULL)
        return -1;
    for (uint32_t i = 0; i < picks->n; i++) {
        uint32_t code = column->codes[picks_row(picks, i)];

        if (bitmap_has(seen, code))
            continue;
        bitmap_set(seen, code);
        out->dict_items++;
        out->dict_bytes += column->values[code].len;
    }
    return 0;
}

static int
measure(const struct column *column, const struct picks *picks,
    struct pool *pool, struct block_field *out)
{
    char buf[COLUMN_TEXT_MAX];

    out->kind = column->kind;
    out->rows = picks->n;
    for (uint32_t i = 0; i < picks->n; i++)
        out->values_bytes +=
            column_text(column, picks_row(picks, i), buf).len;
    if (column->kind == COLUMN_CONST) {
        out->dict_items = 1;
        out->dict_bytes = column->values[0].len;
    }
    return column->kind != COLUMN_CODES ? 0
        : measure_dictionary(column, picks, pool, out);
}

static int
add_field(struct blocks_lane *lane, struct rows *rows,
    const struct picks *picks, struct sv name, struct err *err)
{
    struct block_field field = {.kind = COLUMN_EMPTY};
    const struct column *column;

    if (rows_column(rows, name, &column, err) != 0)
        return -1;
    if (column->kind == COLUMN_EMPTY)
        return 0;
    if (measure(column, picks, rows->pool, &field) != 0)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    /* Only rows that were left out, perhaps of another tenant, have it. */
    if (field.values_bytes == 0)
        return 0;
    if (hold_text(&lane->hold, name, &field.name, err) != 0 ||
        hold_grow_raw(&lane->hold, &lane->fields, (size_t)lane->n + 1,
            sizeof(field), err) != 0)
        return -1;
    ((struct block_field *)lane->fields.items)[lane->n++] = field;
    return 0;
}

static int
blocks_write(struct stage *stage, unsigned i, struct rows *rows,
    struct err *err)
{
    struct stage_blocks *mine = (struct stage_blocks *)stage;
    struct blocks_lane *lane = mine->lanes[i];
    const struct sv *names;
    struct picks picks;
    uint32_t n;

    if (rows->nselected == 0 || rows->block == NULL)
        return 0;
    if (lane == NULL) {
        lane = mine->lanes[i] = xcalloc(1, sizeof(*lane));
        hold_init(&lane->hold, &stage->run->budget);
    }
    if (picks_make(&picks, rows, err) != 0 ||
        rows_names(rows, &names, &n, err) != 0)
        return -1;
    for (uint32_t k = 0; k < n; k++) {
        if (run_poll(stage->run, err) != 0 ||
            add_field(lane, rows, &picks, names[k], err) != 0)
            return -1;
    }
    return 0;
}

static int
emit_field(struct emit *emit, const struct block_field *field,
    struct err *err)
{
    static const char *const kinds[] = {
        [COLUMN_EMPTY] = "", [COLUMN_CONST] = "const",
        [COLUMN_CODES] = "dict", [COLUMN_INTS] = "int64",
        [COLUMN_UINTS] = "uint64", [COLUMN_TIMES] = "iso8601",
        [COLUMN_IDS] = "id", [COLUMN_TEXTS] = "string",
    };
    const uint64_t v[] = {
        field->values_bytes, field->dict_items, field->dict_bytes,
        field->rows
    };
    struct sv texts[2 + ARRAY_LEN(v)] = {
        field->name, sv_from(kinds[field->kind])
    };
    char numbers[ARRAY_LEN(v)][24];

    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        texts[2 + i] = sv_make(numbers[i], num_print_u64(numbers[i], v[i]));
    return emit_row(emit, texts, err);
}

static int
blocks_flush(struct stage *stage, struct err *err)
{
    static const struct sv names[] = {
        {"field", 5}, {"type", 4}, {"values_bytes", 12}, {"dict_items", 10},
        {"dict_bytes", 10}, {"rows", 4},
    };
    struct stage_blocks *mine = (struct stage_blocks *)stage;
    struct emit emit;
    int result = 0;

    emit_begin(&emit, stage->next, names, ARRAY_LEN(names));
    for (unsigned i = 0; i < QUERY_LANES_MAX && result == 0; i++) {
        const struct blocks_lane *lane = mine->lanes[i];

        for (uint32_t k = 0; lane != NULL && k < lane->n && result == 0 &&
            !emit.is_done; k++)
            result = emit_field(&emit,
                &((struct block_field *)lane->fields.items)[k], err);
    }
    if (result == 0)
        result = emit_end(&emit, err);
    emit_free(&emit);
    return result;
}

static void
blocks_free(struct stage *stage)
{
    struct stage_blocks *mine = (struct stage_blocks *)stage;

    for (unsigned i = 0; i < QUERY_LANES_MAX; i++) {
        struct blocks_lane *lane = mine->lanes[i];

        if (lane == NULL)
            continue;
        hold_drop(&lane->hold, &lane->fields, sizeof(struct block_field));
        hold_free(&lane->hold);
        xfree(lane);
    }
    xfree(mine);
}

static const struct stage_ops blocks_ops = {
    blocks_write, blocks_flush, blocks_free
};

static int
blocks_make(struct stage **out, UNUSED const struct pipe *pipe,
    UNUSED struct query_run *run, UNUSED struct err *err)
{
    struct stage_blocks *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &blocks_ops;
    *out = &mine->stage;
    return 0;
}

const struct pipe_ops pipe_block_stats = {
    plain_parse, plain_print, needed_before_any, blocks_make, NULL
};
