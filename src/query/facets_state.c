/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The state of facets (query/state.h): the number of rows (varint; another
 * state may have the rest), then fields: name, whether it is given up (a
 * byte), and if not the number of values (varint; the rest may be in another
 * state), each a text and its hits.
 */

#include "core/base.h"
#include "query/pipe_facets.h"

#include "query/state.h"

static void
put_field(struct state_out *out, struct sv name, bool is_dead, uint32_t n)
{
    state_put_text(&out->sb, name);
    sb_add_char(&out->sb, (char)is_dead);
    if (!is_dead)
        state_put_varint(&out->sb, n);
}

/* Values of a field at a time. */
#define STATE_VALUES 4096u

static int
put_values(struct state_out *out, struct sv name, const struct facet *facet,
    struct err *err)
{
    const uint64_t *hits = facet->hits.items;

    for (uint32_t i = 0; i < facet->keys.count; i++) {
        struct sv text;

        if (i % STATE_VALUES == 0)
            put_field(out, name, false,
                MIN(STATE_VALUES, facet->keys.count - i));
        keys_texts(&facet->keys, i, &text);
        state_put_text(&out->sb, text);
        state_put_varint(&out->sb, hits[i]);
        if (i % STATE_VALUES < STATE_VALUES - 1 || !state_out_is_full(out))
            continue;
        if (state_out_give(out, err) != 0)
            return -1;
        state_put_varint(&out->sb, 0);
    }
    return 0;
}

static int
put_fields(struct stage_facets *mine, const struct facets_lane *all,
    struct state_out *out, struct err *err)
{
    state_put_varint(&out->sb, all->rows);
    for (uint32_t i = 0; i < all->names.count; i++) {
        const struct facet *facet = ((struct facet **)all->facets.items)[i];
        struct sv name;

        if (run_poll(mine->stage.run, err) != 0)
            return -1;
        keys_texts(&all->names, i, &name);
        if (facet->is_dead)
            put_field(out, name, true, 0);
        else if (put_values(out, name, facet, err) != 0)
            return -1;
        if (!state_out_is_full(out))
            continue;
        if (state_out_give(out, err) != 0)
            return -1;
        state_put_varint(&out->sb, 0);
    }
    return state_out_give(out, err);
}

static int
facets_save(struct stage *stage, state_fn fn, void *arg, struct err *err)
{
    struct stage_facets *mine = (struct stage_facets *)stage;
    struct facets_lane *all;
    struct state_out out;
    int rc;

    if (facets_join_lanes(mine, &all, err) != 0)
        return -1;
    if (all == NULL)
        return 0;
    state_out_init(&out, stage, fn, arg);
    rc = put_fields(mine, all, &out, err);
    state_out_release(&out);
    return rc;
}

/* All values are read, also of a field that is given up meanwhile. */
static int
take_values(struct stage_facets *mine, struct facets_lane *lane,
    struct facet *facet, struct enc_reader *in, struct err *err)
{
    uint64_t n = enc_read_varint(in);

    for (uint64_t i = 0; i < n && !in->failed; i++) {
        struct sv text = enc_read_sv(in);
        uint64_t hits = enc_read_varint(in);
        uint32_t id;

        if (facet->is_dead || in->failed)
            continue;
        if (keys_find(&facet->keys, &text, &id, err) != 0)
            return -1;
        if (facet_is_beyond(mine, facet)) {
            facet_kill(lane, facet);
            continue;
        }
        if (hold_grow(&lane->hold, &facet->hits, facet->keys.count,
                sizeof(hits), err) != 0)
            return -1;
        ((uint64_t *)facet->hits.items)[id] += hits;
    }
    return 0;
}

static int
take_field(struct stage_facets *mine, struct facets_lane *lane,
    struct enc_reader *in, struct err *err)
{
    struct sv name = enc_read_sv(in);
    unsigned is_dead = enc_read8(in);
    struct facet *facet;

    if (in->failed || is_dead > 1)
        return state_bad(err);
    facet = facet_get(mine, lane, name, err);
    if (facet == NULL)
        return -1;
    if (is_dead && !facet->is_dead)
        facet_kill(lane, facet);
    return is_dead ? 0 : take_values(mine, lane, facet, in, err);
}

static int
facets_load(struct stage *stage, unsigned lane_index, struct sv state,
    struct err *err)
{
    struct stage_facets *mine = (struct stage_facets *)stage;
    struct facets_lane *lane;
    struct enc_reader in;

    if (!state_in_begin(&in, state))
        return state_bad(err);
    if (facets_lane_get(mine, lane_index, &lane, err) != 0)
        return -1;
    lane->rows += enc_read_varint(&in);
    while (in.ptr < in.end) {
        if (run_poll(stage->run, err) != 0 ||
            take_field(mine, lane, &in, err) != 0)
            return -1;
    }
    return in.failed ? state_bad(err) : 0;
}

const struct state_ops facets_state = {facets_save, facets_load};
