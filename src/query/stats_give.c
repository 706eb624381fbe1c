/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The state of a stats stage (query/state.h) for another node: groups in
 * pieces, and of a group with very many values in a function (count_uniq)
 * these in pieces, too.
 */

#include "core/base.h"
#include "query/stage_stats.h"

#include "core/mem.h"
#include "query/parser.h"
#include "query/state.h"

struct giving {
    struct stage_stats *mine;
    struct stats_lane *lane;
    struct stats_lane *empty; /* one group without rows */
    struct state_out out;
};

/* Bytes of a state of the groups from `first` on; *end: a piece of them. */
static void
find_end(const struct giving *giving, uint32_t first, uint32_t *end)
{
    const struct stats_spec *spec = giving->mine->spec;
    const struct keys *keys = &giving->lane->keys;
    struct sv texts[STATS_BY_MAX + 1];
    uint64_t size = 0;

    for (*end = first; *end < keys->count && size < giving->out.piece;
        (*end)++) {
        uint64_t before = size;

        keys_texts(keys, *end, texts);
        for (uint32_t i = 0; i < keys->ncolumns; i++)
            size += texts[i].len + 1;
        for (uint32_t i = 0; i < spec->nfns; i++) {
            struct acc *acc = giving->lane->accs[i];

            size += acc->ops->weigh == NULL ? 16
                : acc->ops->weigh(acc, *end);
        }
        /* A large one stands alone, so that it can be divided. */
        if (*end > first && size - before >= giving->out.piece)
            return;
    }
}

/* What function i has of the only group behind `at`; nothing of the others. */
static int
give_rest(struct giving *giving, const struct acc_range *range, uint32_t i,
    uint64_t at, struct err *err)
{
    struct acc_range rest = *range;

    rest.at = at;
    while (rest.at > 0) {
        stats_save_groups(&giving->lane->keys, range, &giving->out.sb);
        for (uint32_t k = 0; k < giving->mine->spec->nfns; k++) {
            struct acc_range none = {0, 1, 0, false};
            struct acc *acc = giving->empty->accs[k];
            int rc = k == i ? giving->lane->accs[i]->ops->save(
                giving->lane->accs[i], &rest, &giving->out.sb, err)
                : acc->ops->save(acc, &none, &giving->out.sb, err);

            if (rc != 0)
                return -1;
        }
        if (state_out_give(&giving->out, err) != 0)
            return -1;
    }
    return 0;
}

static int
give_piece(struct giving *giving, uint32_t first, uint32_t end,
    struct err *err)
{
    struct acc_range range = {first, end, 0, end - first == 1};
    uint32_t nfns = giving->mine->spec->nfns;
    uint64_t *at = xcalloc((size_t)nfns + 1, sizeof(*at));
    int rc = 0;

    stats_save_groups(&giving->lane->keys, &range, &giving->out.sb);
    for (uint32_t i = 0; i < nfns && rc == 0; i++) {
        struct acc *acc = giving->lane->accs[i];

        range.at = 0;
        rc = acc->ops->save(acc, &range, &giving->out.sb, err);
        at[i] = range.at;
    }
    if (rc == 0)
        rc = state_out_give(&giving->out, err);
    for (uint32_t i = 0; i < nfns && rc == 0; i++)
        rc = give_rest(giving, &range, i, at[i], err);
    xfree(at);
    return rc;
}

static int
give_all(struct giving *giving, struct err *err)
{
    struct stats_lane *lane = giving->lane;
    uint32_t first = 0, end;

    for (uint32_t i = 0; i < giving->mine->spec->nfns; i++) {
        if (stats_reserve(lane->accs[i], lane->keys.count, err) != 0 ||
            stats_reserve(giving->empty->accs[i], 1, err) != 0)
            return -1;
    }
    for (; first < lane->keys.count; first = end) {
        find_end(giving, first, &end);
        if (run_poll(giving->mine->stage.run, err) != 0 ||
            give_piece(giving, first, end, err) != 0)
            return -1;
    }
    return 0;
}

static int
state_save(struct stage *stage, state_fn fn, void *arg, struct err *err)
{
    struct giving giving = {.mine = (struct stage_stats *)stage};
    struct stage *fork;
    int rc;

    if (!stats_can_save(stage))
        return err_set(err, ERR_INVALID, "this pipe has no partial result");
    if (stats_lanes_join(giving.mine, &giving.lane, err) != 0)
        return -1;
    if (giving.lane == NULL)
        return 0;
    if (stats_fork(&fork, stage, err) != 0)
        return -1;
    state_out_init(&giving.out, stage, fn, arg);
    rc = stats_lane_get((struct stage_stats *)fork, 0, &giving.empty, err);
    if (rc == 0)
        rc = give_all(&giving, err);
    state_out_release(&giving.out);
    fork->ops->free(fork);
    return rc;
}

const struct state_ops stats_state = {state_save, stats_load};
