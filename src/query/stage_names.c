/* SPDX-License-Identifier: BSD-2-Clause */

/* field_names: fields with a value, and in how many rows they have one. */

#include "core/base.h"
#include "query/stage.h"

#include "core/mem.h"
#include "core/num.h"
#include "query/index.h"
#include "query/keys.h"
#include "query/state.h"

struct names_lane {
    struct hold hold;
    struct keys keys;       /* the names */
    struct hold_array hits; /* uint64_t per name */
};

struct stage_names {
    struct stage stage;
    struct sv result;
    struct sv substring; /* of the names that are given */
    struct names_lane *lanes[QUERY_LANES_MAX];
};

static void
lane_free(struct names_lane *lane)
{
    if (lane == NULL)
        return;
    keys_drop(&lane->keys);
    hold_drop(&lane->hold, &lane->hits, sizeof(uint64_t));
    hold_free(&lane->hold);
    xfree(lane);
}

static int
add_hits(struct names_lane *lane, struct sv name, uint64_t n,
    struct err *err)
{
    uint32_t id;

    if (keys_find(&lane->keys, &name, &id, err) != 0 ||
        hold_grow(&lane->hold, &lane->hits, (size_t)id + 1, sizeof(uint64_t),
            err) != 0)
        return -1;
    ((uint64_t *)lane->hits.items)[id] += n;
    return 0;
}

static int
lane_get(struct stage_names *mine, unsigned i, struct names_lane **out,
    struct err *err)
{
    struct names_lane *lane = mine->lanes[i];

    *out = lane;
    if (lane != NULL)
        return 0;
    lane = mine->lanes[i] = *out = xcalloc(1, sizeof(*lane));
    hold_init(&lane->hold, &mine->stage.run->budget);
    return keys_init(&lane->keys, &lane->hold, 1, NULL, err);
}

/* All rows of a block can be counted by its runs. */
static int
count_hits(struct rows *rows, const struct picks *picks, struct sv name,
    uint32_t *hits, struct err *err)
{
    struct block *block = rows_block_of(rows, name);
    const struct column *column;

    *hits = UINT32_MAX;
    if (block != NULL && picks->n == rows->n &&
        block_count_filled(block, name, hits, err) != 0)
        return -1;
    if (*hits != UINT32_MAX)
        return 0;
    if (rows_column(rows, name, &column, err) != 0)
        return -1;
    *hits = column_count_filled(column, picks);
    return 0;
}

static int
names_write(struct stage *stage, unsigned lane_index, struct rows *rows,
    struct err *err)
{
    struct stage_names *mine = (struct stage_names *)stage;
    struct names_lane *lane;
    const struct sv *names;
    struct picks picks;
    uint32_t n;

    if (lane_get(mine, lane_index, &lane, err) != 0 ||
        picks_make(&picks, rows, err) != 0 ||
        rows_names(rows, &names, &n, err) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t hits;

        if (count_hits(rows, &picks, names[i], &hits, err) != 0)
            return -1;
        if (hits > 0 && add_hits(lane, names[i], hits, err) != 0)
            return -1;
    }
    return 0;
}

int
names_add_counts(struct stage *stage, unsigned lane_index,
    const struct uniq_counts *counts, struct err *err)
{
    struct stage_names *mine = (struct stage_names *)stage;
    struct names_lane *lane;

    if (lane_get(mine, lane_index, &lane, err) != 0)
        return -1;
    for (uint32_t i = 0; i < counts->n; i++) {
        if (add_hits(lane, counts->texts[i], counts->rows[i], err) != 0)
            return -1;
    }
    return 0;
}

static int
emit_lane(struct stage_names *mine, const struct names_lane *lane,
    struct err *err)
{
    const struct sv names[2] = {mine->result, SV("hits")};
    const uint64_t *hits = lane->hits.items;
    struct emit emit;
    int result = 0;

    emit_begin(&emit, mine->stage.next, names, 2);
    for (uint32_t i = 0; i < lane->keys.count && result == 0 &&
        !emit.is_done; i++) {
        char number[24];
        struct sv texts[2];

        keys_texts(&lane->keys, i, texts);
        if (!text_has(texts[0], mine->substring))
            continue;
        texts[1] = sv_make(number, num_print_u64(number, hits[i]));
        result = emit_row(&emit, texts, err);
    }
    if (result == 0)
        result = emit_end(&emit, err);
    emit_free(&emit);
    return result;
}

/* *out: all lanes; NULL: there are no rows. */
static int
join_lanes(struct stage_names *mine, struct names_lane **out,
    struct err *err)
{
    struct names_lane *all = NULL;

    for (unsigned i = 0; i < QUERY_LANES_MAX; i++) {
        const struct names_lane *lane = mine->lanes[i];

        if (lane == NULL)
            continue;
        if (run_poll(mine->stage.run, err) != 0)
            return -1;
        if (all == NULL) {
            all = mine->lanes[i];
            continue;
        }
        for (uint32_t k = 0; k < lane->keys.count; k++) {
            struct sv name;

            keys_texts(&lane->keys, k, &name);
            if (add_hits(all, name, ((uint64_t *)lane->hits.items)[k],
                    err) != 0)
                return -1;
        }
    }
    *out = all;
    return 0;
}

static int
names_flush(struct stage *stage, struct err *err)
{
    struct stage_names *mine = (struct stage_names *)stage;
    struct names_lane *all;

    if (join_lanes(mine, &all, err) != 0)
        return -1;
    return all == NULL ? 0 : emit_lane(mine, all, err);
}

/* --- the state: names with their hits --- */

static int
put_names(struct stage_names *mine, const struct names_lane *all,
    struct state_out *out, struct err *err)
{
    for (uint32_t i = 0; i < all->keys.count; i++) {
        struct sv name;

        keys_texts(&all->keys, i, &name);
        if (!text_has(name, mine->substring))
            continue;
        state_put_text(&out->sb, name);
        state_put_varint(&out->sb, ((uint64_t *)all->hits.items)[i]);
        if (state_out_is_full(out) && state_out_give(out, err) != 0)
            return -1;
    }
    return state_out_give(out, err);
}

static int
names_save(struct stage *stage, state_fn fn, void *arg, struct err *err)
{
    struct stage_names *mine = (struct stage_names *)stage;
    struct names_lane *all;
    struct state_out out;
    int rc;

    if (join_lanes(mine, &all, err) != 0)
        return -1;
    if (all == NULL)
        return 0;
    state_out_init(&out, stage, fn, arg);
    rc = put_names(mine, all, &out, err);
    state_out_release(&out);
    return rc;
}

static int
names_load(struct stage *stage, unsigned lane_index, struct sv state,
    struct err *err)
{
    struct names_lane *lane;
    struct enc_reader in;

    if (!state_in_begin(&in, state))
        return state_bad(err);
    if (lane_get((struct stage_names *)stage, lane_index, &lane, err) != 0)
        return -1;
    while (in.ptr < in.end) {
        struct sv name = enc_read_sv(&in);
        uint64_t hits = enc_read_varint(&in);

        if (in.failed)
            return state_bad(err);
        if (add_hits(lane, name, hits, err) != 0)
            return -1;
    }
    return 0;
}

static const struct state_ops names_state = {names_save, names_load};

static void
names_free(struct stage *stage)
{
    struct stage_names *mine = (struct stage_names *)stage;

    for (unsigned i = 0; i < QUERY_LANES_MAX; i++)
        lane_free(mine->lanes[i]);
    xfree(mine);
}

static const struct stage_ops names_ops = {
    names_write, names_flush, names_free
};

bool
names_takes_counts(const struct stage *stage)
{
    return stage->ops == &names_ops;
}

int
stage_new_names(struct stage **out, const struct pipe *pipe,
    UNUSED struct query_run *run, UNUSED struct err *err)
{
    struct stage_names *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &names_ops;
    mine->stage.state = &names_state;
    mine->result = pipe->result;
    mine->substring = pipe->substring;
    *out = &mine->stage;
    return 0;
}
