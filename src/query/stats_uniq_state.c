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
#include "query/state_texts.h"

/* Slots of a group's sets: those of ids, then those of others. */
struct slots {
    const struct value_sets *sets;
    size_t at;
    size_t end;
    uint64_t nids;    /* that are used */
    uint64_t nothers;
};

/*
 * Slots are in the order of hashes.  Keys of a part of them would all want the
 * same place of a table that has the same secret: so these are from all over.
 */
#define STRIPES 4096u

static const struct key128 *
striped(const struct id_set *set, size_t i)
{
    size_t n = id_set_slots(set);

    if (n <= STRIPES)
        return &set->slots[i];
    return &set->slots[i % STRIPES * (n / STRIPES) + i / STRIPES];
}

static const struct key128 *
slot_at(const struct value_sets *sets, size_t i)
{
    size_t nids = id_set_slots(&sets->ids);

    return i < nids ? striped(&sets->ids, i)
        : striped(&sets->others, i - nids);
}

static bool
is_used(const struct key128 *key)
{
    return (key->lo | key->hi) != 0;
}

/* Bytes of the texts of a tuple. */
static size_t
tuple_len(const struct keys *texts, uint32_t id, struct sv *tuple)
{
    size_t len = 0;

    keys_texts(texts, id, tuple);
    for (uint32_t i = 0; i < texts->ncolumns; i++)
        len += tuple[i].len + 1;
    return len;
}

/* A state in the making. */
struct saving {
    struct uniq *uniq;
    struct acc_range *range;
    struct state_texts texts;
    struct sv *tuple;
};

/* The number of a tuple in the state; the empty one is always 0. */
static int
tuple_number(struct saving *saving, uint64_t id, uint32_t *number,
    struct err *err)
{
    return state_texts_number(&saving->texts, (uint32_t)id, number, err);
}

/* What of a group is in this state; numbers its tuples. */
static int
slots_find(struct saving *saving, uint32_t group, struct slots *out,
    struct err *err)
{
    const struct value_sets *sets = &sets_of(&saving->uniq->acc)[group];
    size_t nids = id_set_slots(&sets->ids), size = 0;
    size_t all = nids + id_set_slots(&sets->others);
    size_t piece = state_piece(saving->uniq->acc.run);
    uint32_t number;

    *out = (struct slots){sets, saving->range->at, saving->range->at, 0, 0};
    for (; out->end < all; out->end++) {
        const struct key128 *key = slot_at(sets, out->end);

        if (saving->range->may_divide && size >= piece)
            return 0;
        if (!is_used(key))
            continue;
        size += sizeof(*key);
        out->nids += out->end < nids;
        out->nothers += out->end >= nids;
        if (key->hi != VALUE_TEXT || out->end < nids)
            continue;
        if (tuple_number(saving, key->lo, &number, err) != 0)
            return -1;
        size += tuple_len(&saving->uniq->texts, (uint32_t)key->lo,
            saving->tuple);
    }
    return 0;
}

static int
save_slots(struct saving *saving, const struct slots *slots, struct sb *out,
    struct err *err)
{
    size_t nids = id_set_slots(&slots->sets->ids);

    state_put_varint(out, slots->nids);
    state_put_varint(out, slots->nothers);
    state_put_varint(out, slots->at == 0 ? slots->sets->unique : 0);
    for (size_t i = slots->at; i < slots->end; i++) {
        struct key128 key = *slot_at(slots->sets, i);
        uint32_t number;

        if (!is_used(&key))
            continue;
        if (i >= nids && key.hi == VALUE_TEXT) {
            if (tuple_number(saving, key.lo, &number, err) != 0)
                return -1;
            key.lo = number;
        }
        state_put64(out, key.lo);
        state_put64(out, key.hi);
    }
    return 0;
}

static void
save_tuples(const struct saving *saving, struct sb *out)
{
    const struct keys *texts = &saving->uniq->texts;

    state_put_varint(out, saving->texts.n);
    for (uint32_t i = 1; i < saving->texts.n; i++) {
        keys_texts(texts, state_texts_id(&saving->texts, i), saving->tuple);
        for (uint32_t k = 0; k < texts->ncolumns; k++)
            state_put_text(out, saving->tuple[k]);
    }
}

static int
save_groups(struct saving *saving, struct sb *out, struct err *err)
{
    struct acc_range *range = saving->range;
    struct slots slots;
    uint32_t zero;

    if (tuple_number(saving, 0, &zero, err) != 0)
        return -1;
    for (uint32_t i = range->first; i < range->end; i++) {
        if (slots_find(saving, i, &slots, err) != 0)
            return -1;
    }
    save_tuples(saving, out);
    for (uint32_t i = range->first; i < range->end; i++) {
        if ((i % 64 == 0 && run_poll(saving->uniq->acc.run, err) != 0) ||
            slots_find(saving, i, &slots, err) != 0 ||
            save_slots(saving, &slots, out, err) != 0)
            return -1;
    }
    range->at = range->may_divide && range->first < range->end &&
        slots.end < id_set_slots(&slots.sets->ids) +
        id_set_slots(&slots.sets->others) ? slots.end : 0;
    return 0;
}

int
uniq_save(struct acc *acc, struct acc_range *range, struct sb *out,
    struct err *err)
{
    struct uniq *uniq = (struct uniq *)acc;
    struct saving saving = {.uniq = uniq, .range = range};
    int rc = -1;

    state_texts_init(&saving.texts, acc->hold);
    saving.tuple = hold_alloc(acc->hold,
        uniq->texts.ncolumns * sizeof(*saving.tuple) + 1, err);
    if (saving.tuple != NULL)
        rc = save_groups(&saving, out, err);
    state_texts_drop(&saving.texts);
    return rc;
}

uint64_t
uniq_weigh(struct acc *acc, uint32_t group)
{
    const struct value_sets *sets = &sets_of(acc)[group];

    return 16 + UINT64_C(16) * sets->ids.n + UINT64_C(48) * sets->others.n;
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
