/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * States of count_uniq and uniq_values as bytes (query/state.h).
 *
 *   tuples  their number (varint), the texts of each but the first, which is
 *           the empty one
 *   groups  of each: numbers of ids, of others and of unique ones (varints),
 *           then ids and others, 16 bytes each
 */

#include "core/base.h"
#include "query/stats_uniq.h"

#include "query/state.h"

static void
save_set(struct sb *out, const struct id_set *set)
{
    for (size_t i = 0; i < id_set_slots(set); i++) {
        if ((set->slots[i].lo | set->slots[i].hi) == 0)
            continue;
        state_put64(out, set->slots[i].lo);
        state_put64(out, set->slots[i].hi);
    }
}

int
uniq_save(struct acc *acc, struct sb *out, struct err *err)
{
    const struct keys *texts = &((struct uniq *)acc)->texts;
    struct sv *tuple = hold_alloc(acc->hold,
        texts->ncolumns * sizeof(*tuple) + 1, err);

    if (tuple == NULL)
        return -1;
    state_put_varint(out, texts->count);
    for (uint32_t i = 1; i < texts->count; i++) {
        keys_texts(texts, i, tuple);
        for (uint32_t k = 0; k < texts->ncolumns; k++)
            state_put_text(out, tuple[k]);
    }
    for (uint32_t i = 0; i < acc->ngroups; i++) {
        const struct value_sets *sets = &sets_of(acc)[i];

        state_put_varint(out, sets->ids.n);
        state_put_varint(out, sets->others.n);
        state_put_varint(out, sets->unique);
        save_set(out, &sets->ids);
        save_set(out, &sets->others);
    }
    return 0;
}

static int
load_tuples(struct uniq *uniq, struct enc_reader *in, struct err *err)
{
    uint64_t n = enc_read_varint(in);
    struct sv *tuple = hold_alloc(uniq->acc.hold,
        uniq->texts.ncolumns * sizeof(*tuple) + 1, err);

    if (tuple == NULL)
        return -1;
    for (uint64_t i = 1; i < n && !in->failed; i++) {
        uint32_t id;

        for (uint32_t k = 0; k < uniq->texts.ncolumns; k++)
            tuple[k] = enc_read_sv(in);
        if (keys_find(&uniq->texts, tuple, &id, err) != 0)
            return -1;
        if (id != i)
            return state_bad(err);
    }
    return 0;
}

static int
load_set(struct uniq *uniq, struct id_set *set, uint64_t n,
    struct enc_reader *in, struct err *err)
{
    for (uint64_t i = 0; i < n && !in->failed; i++) {
        struct key128 key = {enc_read64(in), 0};

        key.hi = enc_read64(in);
        if ((key.lo | key.hi) != 0 &&
            id_set_add(set, key, uniq->acc.hold, err) != 0)
            return -1;
    }
    return 0;
}

/* Their tuples are there. */
static bool
others_are_right(const struct uniq *uniq, const struct id_set *set)
{
    bool is_count = uniq->acc.fn->kind == STATS_COUNT_UNIQ;

    for (size_t i = 0; i < id_set_slots(set); i++) {
        struct key128 key = set->slots[i];

        if ((key.lo | key.hi) != 0 && (key.hi != VALUE_TEXT
            ? !is_count : key.lo >= uniq->texts.count))
            return false;
    }
    return true;
}

int
uniq_load(struct acc *acc, struct enc_reader *in, struct err *err)
{
    struct uniq *uniq = (struct uniq *)acc;

    if (load_tuples(uniq, in, err) != 0)
        return -1;
    for (uint32_t i = 0; i < acc->ngroups; i++) {
        struct value_sets *sets = &sets_of(acc)[i];
        uint64_t nids = enc_read_varint(in), nothers = enc_read_varint(in);

        sets->unique = enc_read_varint(in);
        if (load_set(uniq, &sets->ids, nids, in, err) != 0 ||
            load_set(uniq, &sets->others, nothers, in, err) != 0)
            return -1;
        if (!others_are_right(uniq, &sets->others))
            return state_bad(err);
    }
    return 0;
}
