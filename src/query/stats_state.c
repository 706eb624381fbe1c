/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/state.h"

#include "query/lanes.h"
#include "query/parser.h"
#include "query/stage_stats.h"

bool
stats_spec_can_save(const struct stats_spec *spec)
{
    if (spec->nby > STATS_BY_MAX)
        return false;
    for (uint32_t i = 0; i < spec->nfns; i++) {
        if (spec->fns[i].type->acc->save == NULL)
            return false;
    }
    return true;
}

bool
stats_can_save(const struct stage *stage)
{
    return stage->ops == &stats_ops &&
        stats_spec_can_save(((const struct stage_stats *)stage)->spec);
}

int
stats_fork(struct stage **out, const struct stage *stage, struct err *err)
{
    const struct stage_stats *mine = (const struct stage_stats *)stage;

    return stage_new(out, mine->pipe, mine->stage.run, stage->next, err);
}

/* --- saving --- */

void
stats_save_groups(const struct keys *keys, const struct acc_range *range,
    struct sb *out)
{
    struct sv texts[STATS_BY_MAX + 1];

    state_put_varint(out, range->end - range->first);
    for (uint32_t i = range->first; i < range->end; i++) {
        keys_texts(keys, i, texts);
        for (uint32_t k = 0; k < keys->ncolumns; k++)
            state_put_text(out, texts[k]);
    }
}

int
stats_lanes_join(struct stage_stats *fork, struct stats_lane **out,
    struct err *err)
{
    *out = NULL;
    for (unsigned i = 0; i < QUERY_LANES_MAX; i++) {
        if (fork->lanes[i] == NULL)
            continue;
        if (*out == NULL) {
            *out = fork->lanes[i];
            continue;
        }
        if (stats_lane_merge(fork, *out, fork->lanes[i], err) != 0)
            return -1;
        stats_lane_free(fork, fork->lanes[i]);
        fork->lanes[i] = NULL;
    }
    return 0;
}

int
stats_save(struct stage *stage, uint32_t groups_max, struct sb *out,
    struct err *err)
{
    struct stage_stats *fork = (struct stage_stats *)stage;
    struct acc_range range = {0};
    struct stats_lane *lane;

    if (stats_lanes_join(fork, &lane, err) != 0)
        return -1;
    if (lane != NULL && lane->keys.count > groups_max)
        return 1;
    range.end = lane == NULL ? 0 : lane->keys.count;
    sb_add_char(out, STATE_VERSION);
    if (lane == NULL || lane->keys.count == 0) {
        state_put_varint(out, 0);
        return 0;
    }
    stats_save_groups(&lane->keys, &range, out);
    for (uint32_t i = 0; i < fork->spec->nfns; i++) {
        struct acc *acc = lane->accs[i];

        if (stats_reserve(acc, lane->keys.count, err) != 0 ||
            acc->ops->save(acc, &range, out, err) != 0)
            return -1;
    }
    return 0;
}

/* --- loading --- */

int
stats_join(struct stage *stage, unsigned lane_index, struct stage *from,
    struct err *err)
{
    struct stage_stats *mine = (struct stage_stats *)stage;
    struct stage_stats *fork = (struct stage_stats *)from;
    struct stats_lane *lane, *add;

    if (stats_lanes_join(fork, &add, err) != 0)
        return -1;
    if (add == NULL)
        return 0;
    if (stats_lane_get(mine, lane_index, &lane, err) != 0)
        return -1;
    return stats_lane_merge(mine, lane, add, err);
}

/* The groups get the numbers that they have in the state. */
static int
load_groups(struct stats_lane *lane, struct enc_reader *in, uint32_t n,
    struct err *err)
{
    struct sv texts[STATS_BY_MAX + 1];
    uint32_t id;

    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < lane->keys.ncolumns; k++)
            texts[k] = enc_read_sv(in);
        if (in->failed)
            return state_bad(err);
        if (keys_find(&lane->keys, texts, &id, err) != 0)
            return -1;
        if (id != i)
            return state_bad(err);
    }
    return 0;
}

static int
load_lane(struct stage_stats *fork, struct stats_lane *lane,
    struct enc_reader *in, struct err *err)
{
    uint64_t n;

    if (enc_read8(in) != STATE_VERSION)
        return state_bad(err);
    n = enc_read_varint(in);
    /* A group of no field is one, and any other has a byte at least. */
    if (n > (size_t)(in->end - in->ptr) + 1)
        return state_bad(err);
    if (load_groups(lane, in, (uint32_t)n, err) != 0)
        return -1;
    for (uint32_t i = 0; i < fork->spec->nfns && n > 0; i++) {
        struct acc *acc = lane->accs[i];

        if (stats_reserve(acc, (uint32_t)n, err) != 0 ||
            acc->ops->load(acc, in, err) != 0)
            return -1;
    }
    return in->failed || in->ptr != in->end ? state_bad(err) : 0;
}

int
stats_load(struct stage *stage, unsigned lane_index, struct sv state,
    struct err *err)
{
    struct enc_reader in = enc_reader_make(state.ptr, state.len);
    struct stats_lane *lane;
    struct stage *fork;
    int rc;

    if (stats_fork(&fork, stage, err) != 0)
        return -1;
    rc = stats_lane_get((struct stage_stats *)fork, 0, &lane, err);
    if (rc == 0)
        rc = load_lane((struct stage_stats *)fork, lane, &in, err);
    if (rc == 0)
        rc = stats_join(stage, lane_index, fork, err);
    fork->ops->free(fork);
    return rc;
}
