/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/stage_uniq.h"

#include "core/mem.h"
#include "core/num.h"
#include "query/index.h"
#include "query/state.h"
#include "storage/part_cells.h"

static const struct stage_ops uniq_ops;
static const struct state_ops uniq_state;

static void
lane_free(struct uniq_lane *lane)
{
    if (lane == NULL)
        return;
    keys_drop(&lane->keys);
    hold_drop(&lane->hold, &lane->hits, sizeof(uint64_t));
    hold_free(&lane->hold);
    xfree(lane);
}

static int
lane_get(struct stage_uniq *mine, unsigned i, struct uniq_lane **out,
    struct err *err)
{
    const struct pipe *pipe = mine->pipe;
    struct uniq_lane *lane = mine->lanes[i];

    *out = lane;
    if (lane != NULL)
        return 0;
    lane = mine->lanes[i] = *out = xcalloc(1, sizeof(*lane));
    hold_init(&lane->hold, &mine->stage.run->budget);
    if (keys_init(&lane->keys, &lane->hold, pipe->nnames, NULL, err) != 0)
        return -1;
    if (mine->max != 0 && mine->max < lane->keys.max)
        lane->keys.max = (uint32_t)mine->max;
    return 0;
}

static int
count_hits(struct uniq_lane *lane, const struct key_ids *ids,
    const struct picks *picks, struct err *err)
{
    uint64_t *hits;

    if (hold_grow(&lane->hold, &lane->hits, lane->keys.count, sizeof(*hits),
            err) != 0)
        return -1;
    hits = lane->hits.items;
    for (uint32_t i = 0; i < ids->nruns; i++) {
        if (ids->runs[i].id != KEYS_NONE)
            hits[ids->runs[i].id] += ids->runs[i].n;
    }
    if (ids->ids == NULL) {
        if (ids->one != KEYS_NONE)
            hits[ids->one] += picks->n;
        return 0;
    }
    for (uint32_t i = 0; i < picks->n; i++) {
        uint32_t id = ids->ids[picks_row(picks, i)];

        if (LIKELY(id != KEYS_NONE))
            hits[id]++;
    }
    return 0;
}

/* Without hits N tuples are enough, whoever has them. */
static bool
uniq_is_done(struct stage_uniq *mine, const struct uniq_lane *lane)
{
    if (!lane->keys.is_over && (mine->pipe->hits.len > 0 ||
        lane->keys.count < lane->keys.max))
        return false;
    atomic_store_explicit(&mine->is_over, true, memory_order_relaxed);
    return true;
}

static int
uniq_write(struct stage *stage, unsigned lane_index, struct rows *rows,
    struct err *err)
{
    struct stage_uniq *mine = (struct stage_uniq *)stage;
    const struct pipe *pipe = mine->pipe;
    struct uniq_lane *lane;
    struct keys_input input;
    struct column *columns;
    struct key_ids ids;
    struct picks picks;

    if (atomic_load_explicit(&mine->is_over, memory_order_relaxed))
        return 1;
    if (rows->nselected == 0)
        return 0;
    columns = pool_alloc(rows->pool, pipe->nnames * sizeof(*columns) + 1);
    if (columns == NULL)
        return err_set(err, ERR_LIMIT, "no memory for uniq");
    if (lane_get(mine, lane_index, &lane, err) != 0 ||
        picks_make(&picks, rows, err) != 0)
        return -1;
    for (uint32_t i = 0; i < pipe->nnames; i++) {
        const struct column *column;

        if (rows_column(rows, pipe->names[i].name, &column, err) != 0)
            return -1;
        columns[i] = *column;
    }
    input = (struct keys_input){columns, &picks, rows->n, rows->pool};
    if (keys_map_runs(&lane->keys, &input, &ids, err) != 0 ||
        count_hits(lane, &ids, &picks, err) != 0)
        return -1;
    return uniq_is_done(mine, lane) ? 1 : 0;
}

/* --- what is taken from indexes --- */

bool
uniq_takes_cells(const struct stage *stage, struct cells_want *want)
{
    const struct stage_uniq *mine = (const struct stage_uniq *)stage;

    if (stage->ops != &uniq_ops)
        return false;
    for (uint32_t i = 0; i < mine->pipe->nnames; i++) {
        const struct field_pattern *field = &mine->pipe->names[i];

        if (field->is_prefix || !part_cells_have(field->name) ||
            !cells_want_add(want, field->name))
            return false;
    }
    return mine->pipe->nnames > 0;
}

bool
uniq_takes_counts(const struct stage *stage, struct sv *field)
{
    const struct stage_uniq *mine = (const struct stage_uniq *)stage;

    if (stage->ops != &uniq_ops || mine->pipe->nnames != 1 ||
        mine->pipe->names[0].is_prefix)
        return false;
    *field = mine->pipe->names[0].name;
    return true;
}

static int
add_counts(struct uniq_lane *lane, const struct key_ids *ids,
    const struct uniq_counts *counts, struct err *err)
{
    uint64_t *hits;

    if (hold_grow(&lane->hold, &lane->hits, lane->keys.count, sizeof(*hits),
            err) != 0)
        return -1;
    hits = lane->hits.items;
    for (uint32_t i = 0; i < counts->n; i++) {
        uint32_t id = ids->ids == NULL ? ids->one : ids->ids[i];

        if (id != KEYS_NONE)
            hits[id] += counts->rows[i];
    }
    return 0;
}

static int
take_rows(struct stage_uniq *mine, unsigned lane_number,
    const struct keys_input *input, const struct uniq_counts *counts,
    struct err *err)
{
    struct uniq_lane *lane;
    struct key_ids ids;

    if (lane_get(mine, lane_number, &lane, err) != 0 ||
        keys_map(&lane->keys, input, &ids, err) != 0)
        return -1;
    return add_counts(lane, &ids, counts, err);
}

int
uniq_add_cells(struct stage *stage, unsigned lane,
    const struct cells_chunk *cells, struct err *err)
{
    struct stage_uniq *mine = (struct stage_uniq *)stage;
    struct rows *rows = cells->rows;
    struct column *columns = pool_alloc(rows->pool,
        mine->pipe->nnames * sizeof(*columns) + 1);
    uint64_t *hits = pool_alloc(rows->pool, rows->n * sizeof(*hits) + 1);
    struct uniq_counts counts = {rows->pool, NULL, hits, rows->n};
    struct picks picks = {rows->n, NULL, 0};
    struct keys_input input = {columns, &picks, rows->n, rows->pool};

    if (columns == NULL || hits == NULL)
        return err_set(err, ERR_LIMIT, "no memory for uniq");
    for (uint32_t i = 0; i < mine->pipe->nnames; i++) {
        const struct column *column;

        if (rows_column(rows, mine->pipe->names[i].name, &column, err) != 0)
            return -1;
        columns[i] = *column;
    }
    for (uint32_t i = 0; i < rows->n; i++)
        hits[i] = cells->v[i].rows;
    return take_rows(mine, lane, &input, &counts, err);
}

/* Pieces of at most a block's rows. */
static int
take_counts(struct stage_uniq *mine, unsigned lane_number,
    const struct uniq_counts *counts, struct err *err)
{
    struct column column = {.kind = COLUMN_TEXTS, .texts = counts->texts};
    struct picks picks = {counts->n, NULL, 0};
    struct keys_input input = {&column, &picks, counts->n, counts->pool};

    return take_rows(mine, lane_number, &input, counts, err);
}

int
uniq_add_counts(struct stage *stage, unsigned lane,
    const struct uniq_counts *counts, struct err *err)
{
    struct stage_uniq *mine = (struct stage_uniq *)stage;

    for (uint32_t i = 0; i < counts->n; i += ROWS_MAX) {
        struct uniq_counts piece = {counts->pool, counts->texts + i,
            counts->rows + i, MIN(ROWS_MAX, counts->n - i)};

        if (take_counts(mine, lane, &piece, err) != 0)
            return -1;
    }
    return 0;
}

/* --- the answer --- */

static int
merge_lane(struct stage_uniq *mine, struct uniq_lane *to,
    const struct uniq_lane *from, struct err *err)
{
    struct hold_array map = {NULL, 0};
    const uint64_t *add = from->hits.items;
    const uint32_t *ids;
    int result = -1;
    uint64_t *hits;

    if (keys_merge(&to->keys, &from->keys, &map, mine->stage.run, err) != 0 ||
        hold_grow(&to->hold, &to->hits, to->keys.count, sizeof(*hits),
            err) != 0)
        goto out;
    hits = to->hits.items;
    ids = map.items;
    for (uint32_t i = 0; i < from->keys.count; i++) {
        if (ids[i] != KEYS_NONE)
            hits[ids[i]] += add[i];
    }
    result = 0;
out:
    hold_drop(&to->hold, &map, sizeof(uint32_t));
    return result;
}

/* Tuples that the pipe's substring lets through; all without one. */
static uint64_t
count_wanted(const struct stage_uniq *mine, const struct uniq_lane *all)
{
    uint64_t n = 0;
    struct sv text;

    if (mine->pipe->substring.len == 0)
        return all->keys.count;
    for (uint32_t i = 0; i < all->keys.count; i++) {
        keys_texts(&all->keys, i, &text);
        n += text_has(text, mine->pipe->substring);
    }
    return n;
}

static int
emit_tuples(struct stage_uniq *mine, const struct uniq_lane *all,
    struct emit *emit, struct sv *texts, struct err *err)
{
    const struct pipe *pipe = mine->pipe;
    const uint64_t *hits = all->hits.items;
    uint64_t wanted = count_wanted(mine, all), given = 0;
    bool is_over = all->keys.is_over || (pipe->n != 0 && wanted > pipe->n);
    int result = 0;
    char number[24];

    for (uint32_t i = 0; i < all->keys.count && !emit->is_done; i++) {
        keys_texts(&all->keys, i, texts);
        if (i % STAGE_POLL_ROWS == 0)
            result = run_poll(mine->stage.run, err);
        if (result != 0 || (pipe->n != 0 && given == pipe->n))
            break;
        if (pipe->substring.len > 0 && !text_has(texts[0], pipe->substring))
            continue;
        given++;
        texts[pipe->nnames] = sv_make(number,
            num_print_u64(number, is_over ? 0 : hits[i]));
        result = emit_row(emit, texts, err);
        if (result != 0)
            break;
    }
    return result != 0 ? -1 : emit_end(emit, err);
}

int
uniq_emit(struct stage_uniq *mine, struct uniq_lane *all, struct err *err)
{
    const struct pipe *pipe = mine->pipe;
    uint32_t nnames = pipe->nnames;
    struct sv *names = xcalloc(2 * ((size_t)nnames + 1), sizeof(*names));
    struct emit emit;
    int result;

    for (uint32_t i = 0; i < nnames; i++)
        names[i] = pipe->names[i].name;
    names[nnames] = pipe->hits;
    emit_begin(&emit, mine->stage.next, names,
        nnames + (pipe->hits.len > 0));
    result = emit_tuples(mine, all, &emit, names + nnames + 1, err);
    emit_free(&emit);
    xfree(names);
    return result;
}

/* *out: all lanes; NULL: there are no rows. */
static int
join_lanes(struct stage_uniq *mine, struct uniq_lane **out, struct err *err)
{
    struct uniq_lane *all = NULL;

    for (unsigned i = 0; i < QUERY_LANES_MAX; i++) {
        struct uniq_lane *lane = mine->lanes[i];

        if (lane == NULL)
            continue;
        if (all == NULL) {
            all = lane;
            continue;
        }
        if (merge_lane(mine, all, lane, err) != 0)
            return -1;
        lane_free(lane);
        mine->lanes[i] = NULL;
    }
    *out = all;
    return 0;
}

static int
uniq_flush(struct stage *stage, struct err *err)
{
    struct stage_uniq *mine = (struct stage_uniq *)stage;
    struct uniq_lane *all;

    if (join_lanes(mine, &all, err) != 0)
        return -1;
    return all == NULL ? 0 : mine->emit(mine, all, err);
}

static void
uniq_free(struct stage *stage)
{
    struct stage_uniq *mine = (struct stage_uniq *)stage;

    for (unsigned i = 0; i < QUERY_LANES_MAX; i++)
        lane_free(mine->lanes[i]);
    xfree(mine);
}

static const struct stage_ops uniq_ops = {
    uniq_write, uniq_flush, uniq_free
};

/* --- the state: whether there are too many, tuples with their hits --- */

static void
put_begin(struct state_out *out, const struct uniq_lane *all)
{
    sb_add_char(&out->sb, (char)all->keys.is_over);
}

static int
put_tuples(struct stage_uniq *mine, const struct uniq_lane *all,
    struct sv *texts, struct state_out *out, struct err *err)
{
    const uint64_t *hits = all->hits.items;
    struct sv substring = mine->pipe->substring;

    put_begin(out, all);
    for (uint32_t i = 0; i < all->keys.count; i++) {
        if (i % STAGE_POLL_ROWS == 0 && run_poll(mine->stage.run, err) != 0)
            return -1;
        keys_texts(&all->keys, i, texts);
        if (substring.len > 0 && !text_has(texts[0], substring))
            continue;
        for (uint32_t k = 0; k < mine->pipe->nnames; k++)
            state_put_text(&out->sb, texts[k]);
        state_put_varint(&out->sb, hits[i]);
        if (!state_out_is_full(out))
            continue;
        if (state_out_give(out, err) != 0)
            return -1;
        put_begin(out, all);
    }
    return state_out_give(out, err);
}

static int
uniq_save(struct stage *stage, state_fn fn, void *arg, struct err *err)
{
    struct stage_uniq *mine = (struct stage_uniq *)stage;
    struct uniq_lane *all;
    struct state_out out;
    struct sv *texts;
    int rc;

    if (join_lanes(mine, &all, err) != 0)
        return -1;
    if (all == NULL)
        return 0;
    texts = xcalloc((size_t)mine->pipe->nnames + 1, sizeof(*texts));
    state_out_init(&out, stage, fn, arg);
    rc = put_tuples(mine, all, texts, &out, err);
    state_out_release(&out);
    xfree(texts);
    return rc;
}

static int
take_tuple(struct uniq_lane *lane, const struct sv *texts, uint64_t hits,
    struct err *err)
{
    uint32_t id;

    if (keys_find(&lane->keys, texts, &id, err) != 0)
        return -1;
    if (id == KEYS_NONE)
        return 0;
    if (hold_grow(&lane->hold, &lane->hits, (size_t)id + 1, sizeof(hits),
            err) != 0)
        return -1;
    ((uint64_t *)lane->hits.items)[id] += hits;
    return 0;
}

static int
take_tuples(struct stage_uniq *mine, struct uniq_lane *lane,
    struct enc_reader *in, struct sv *texts, struct err *err)
{
    for (uint32_t n = 0; in->ptr < in->end; n++) {
        uint64_t hits;

        if (n % STAGE_POLL_ROWS == 0 && run_poll(mine->stage.run, err) != 0)
            return -1;
        for (uint32_t k = 0; k < mine->pipe->nnames; k++)
            texts[k] = enc_read_sv(in);
        hits = enc_read_varint(in);
        if (in->failed)
            return state_bad(err);
        if (take_tuple(lane, texts, hits, err) != 0)
            return -1;
    }
    return 0;
}

static int
uniq_load(struct stage *stage, unsigned lane_index, struct sv state,
    struct err *err)
{
    struct stage_uniq *mine = (struct stage_uniq *)stage;
    struct enc_reader in;
    struct uniq_lane *lane;
    struct sv *texts;
    unsigned is_over;
    int rc;

    if (!state_in_begin(&in, state) || (is_over = enc_read8(&in)) > 1 ||
        in.failed)
        return state_bad(err);
    if (lane_get(mine, lane_index, &lane, err) != 0)
        return -1;
    texts = xcalloc((size_t)mine->pipe->nnames + 1, sizeof(*texts));
    rc = take_tuples(mine, lane, &in, texts, err);
    xfree(texts);
    if (rc != 0)
        return -1;
    lane->keys.is_over |= is_over != 0;
    return uniq_is_done(mine, lane) ? 1 : 0;
}

static const struct state_ops uniq_state = {uniq_save, uniq_load};

struct stage_uniq *
stage_uniq_new(const struct pipe *pipe)
{
    struct stage_uniq *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &uniq_ops;
    mine->stage.state = &uniq_state;
    mine->pipe = pipe;
    return mine;
}

int
stage_new_uniq(struct stage **out, const struct pipe *pipe,
    UNUSED struct query_run *run, UNUSED struct err *err)
{
    struct stage_uniq *mine = stage_uniq_new(pipe);

    mine->max = pipe->n;
    mine->emit = uniq_emit;
    *out = &mine->stage;
    return 0;
}
