/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * count_uniq and uniq_values: a set of values per group.
 *
 * A value is 128 bits that follow from its text alone: ids, whole numbers and
 * times are themselves, other texts and tuples their number in a table of
 * the lane.  Ids of 16 bytes can be any bits and have sets of their own.
 */

#include "core/base.h"
#include "query/stats_uniq.h"

#include "core/json_out.h"
#include "core/num.h"
#include "query/atom.h"
#include "query/msort.h"

struct text_value {
    struct key128 key;
    bool is_id16;
};

static uint64_t
sets_count(const struct value_sets *sets)
{
    return (uint64_t)sets->ids.n + sets->others.n + sets->unique;
}

/* Keys that are put into a set at a time. */
#define BATCH 1024u

static int
uniq_init(struct acc *acc, struct err *err)
{
    struct uniq *uniq = (struct uniq *)acc;
    uint32_t n = acc->fn->kind == STATS_COUNT_UNIQ ? acc->fn->nargs : 1, id;
    struct sv *empty = hold_alloc(acc->hold, n * sizeof(*empty) + 1, err);

    if (empty == NULL || keys_init(&uniq->texts, acc->hold, n, NULL, err) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        empty[i] = SV_EMPTY;
    return keys_find(&uniq->texts, empty, &id, err);
}

static int
uniq_reserve(struct acc *acc, uint32_t ngroups, struct err *err)
{
    return hold_grow(acc->hold, &((struct uniq *)acc)->groups, ngroups,
        sizeof(struct value_sets), err);
}

static bool
is_enough(const struct acc *acc, const struct value_sets *sets)
{
    return acc->fn->limit != 0 &&
        sets_count(sets) >= acc->fn->limit;
}

static int
put(struct acc *acc, struct value_sets *sets, struct key128 key,
    bool is_id16, struct err *err)
{
    if ((key.lo | key.hi) == 0 || is_enough(acc, sets))
        return 0;
    return id_set_add(is_id16 ? &sets->ids : &sets->others, key, acc->hold,
        err);
}

/* --- one form for one text --- */

static bool
parse_hex(struct sv text, uint8_t *out)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        unsigned digit = c >= '0' && c <= '9' ? c - '0' + 0u
            : c >= 'a' && c <= 'f' ? c - 'a' + 10u : 16u;

        if (digit == 16)
            return false;
        out[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : out[i / 2] | digit);
    }
    return true;
}

static struct text_value
value_of_text(struct sv text, uint32_t id)
{
    struct text_value value = {{id, VALUE_TEXT}, false};
    struct atom atom = atom_from_text(text);
    uint64_t number;
    char buf[24];
    uint8_t bytes[16];

    if (atom.tag == ATOM_EMPTY)
        value.key = (struct key128){0, 0};
    else if (atom.tag == ATOM_INT)
        value.key = (struct key128){(uint64_t)atom.v, NUMBER_INT};
    else if (atom.tag == ATOM_TIME)
        value.key = (struct key128){(uint64_t)atom.v, NUMBER_TIME};
    else if (text.len == 32 && parse_hex(text, bytes) &&
        memcmp(bytes, (const uint8_t[16]){0}, 16) != 0)
        value.is_id16 = true;
    else if (text.len == 16 && parse_hex(text, bytes) &&
        memcmp(bytes, (const uint8_t[8]){0}, 8) != 0)
        value.key.hi = NUMBER_ID8;
    else if (num_parse_u64(text, &number) &&
        sv_eq(sv_make(buf, num_print_u64(buf, number)), text))
        value.key = (struct key128){number, NUMBER_UINT};
    if (value.is_id16)
        memcpy(&value.key, bytes, 16);
    else if (value.key.hi == NUMBER_ID8)
        memcpy(&value.key.lo, bytes, 8);
    return value;
}

/* An id of 8 bytes may read as a decimal number, and is that one then. */
static struct key128
value_of_number(struct key128 key)
{
    uint64_t digits = __builtin_bswap64(key.lo);
    /* Bit 0 of each digit above 9. */
    uint64_t letters = (digits >> 3) & (digits >> 2 | digits >> 1) &
        0x1111111111111111u;
    uint64_t number = 0;

    if (key.hi != NUMBER_ID8 || letters != 0 || digits >> 60 == 0)
        return key;
    for (int shift = 60; shift >= 0; shift -= 4)
        number = number * 10 + (digits >> shift & 15);
    return (struct key128){number, NUMBER_INT};
}

static int
value_of_id(struct uniq *uniq, uint32_t id, struct text_value *out,
    struct err *err)
{
    struct text_value *known;

    if (uniq->texts.ncolumns > 1 || uniq->acc.fn->kind != STATS_COUNT_UNIQ) {
        *out = (struct text_value){{id, id == 0 ? 0 : VALUE_TEXT}, false};
        return 0;
    }
    if (hold_grow(uniq->acc.hold, &uniq->as_value, uniq->texts.count,
            sizeof(*known), err) != 0)
        return -1;
    known = uniq->as_value.items;
    for (; uniq->ntexts <= id; uniq->ntexts++) {
        struct sv text;

        keys_texts(&uniq->texts, uniq->ntexts, &text);
        known[uniq->ntexts] = value_of_text(text, uniq->ntexts);
    }
    *out = known[id];
    return 0;
}

/* --- adding --- */

/* Ids, numbers and times. */
static int
add_numbers(struct acc *acc, const struct acc_rows *in,
    const struct column *column, struct err *err)
{
    struct value_sets *sets = sets_of(acc);
    bool is_id16 = column->kind == COLUMN_IDS && column->width == 16;
    struct key128 last = {0, 0};
    uint32_t last_group = 0;

    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        uint32_t group = acc_group(in, row);
        struct key128 key = column_number(column, row);

        if (!is_id16)
            key = value_of_number(key);
        if (key.lo == last.lo && key.hi == last.hi && group == last_group)
            continue;
        last = key;
        last_group = group;
        if (put(acc, &sets[group], key, is_id16, err) != 0)
            return -1;
    }
    return 0;
}

/* The same for one group, many at a time. */
static int
add_numbers_at_once(struct acc *acc, const struct acc_rows *in,
    const struct column *column, struct err *err)
{
    struct value_sets *sets = &sets_of(acc)[in->one];
    bool is_id16 = column->kind == COLUMN_IDS && column->width == 16;
    struct id_set *set = is_id16 ? &sets->ids : &sets->others;
    struct key128 keys[BATCH], last = {0, 0};
    uint32_t n = 0;
    uint8_t *seen = NULL; /* of ids that rows share */

    if (column->kind == COLUMN_IDS && column->codes != NULL &&
        in->picks.n >= column->nvalues) {
        seen = pool_zalloc(in->pool, column->nvalues + 1);
        if (seen == NULL)
            return err_set(err, ERR_LIMIT, "no memory for ids");
    }
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        struct key128 key;

        if (seen != NULL && seen[column->codes[row]])
            continue;
        if (seen != NULL)
            seen[column->codes[row]] = 1;
        key = column_number(column, row);
        if (!is_id16)
            key = value_of_number(key);
        keys[n] = key;
        /* Neighbours are often of one trace. */
        n += key.lo != last.lo || key.hi != last.hi;
        last = key;
        if (n < BATCH)
            continue;
        if (is_enough(acc, sets))
            return 0;
        if (id_set_add_many(set, keys, n, acc->hold, err) != 0)
            return -1;
        n = 0;
    }
    return id_set_add_many(set, keys, n, acc->hold, err);
}

/* A text or tuple by its number. */
static int
put_id(struct acc *acc, uint32_t group, uint32_t id, struct err *err)
{
    struct text_value value;

    if (value_of_id((struct uniq *)acc, id, &value, err) != 0)
        return -1;
    return put(acc, &sets_of(acc)[group], value.key, value.is_id16, err);
}

/* A code is looked at once in each group, if so much can be remembered. */
static int
add_codes(struct acc *acc, const struct acc_rows *in,
    const struct column *column, struct err *err)
{
    struct uniq *uniq = (struct uniq *)acc;
    uint32_t *ids = pool_alloc(in->pool, column->nvalues * sizeof(*ids) + 1);
    uint32_t last = KEYS_NONE, last_group = KEYS_NONE;
    struct code_states states;

    if (ids == NULL)
        return err_set(err, ERR_LIMIT, "no memory for groups");
    if (code_states_make(&states, column, in, err) != 0)
        return -1;
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        uint32_t group = acc_group(in, row), code = column->codes[row];

        if (code_states_seen(&states, group, code) ||
            (code == last && group == last_group))
            continue;
        last = code;
        last_group = group;
        if (states.state[code] == 0) {
            states.state[code] = 1;
            if (keys_find(&uniq->texts, &column->values[code], &ids[code],
                    err) != 0)
                return -1;
        }
        if (put_id(acc, group, ids[code], err) != 0)
            return -1;
    }
    return 0;
}

/* Numbers of tuples for one group, many at a time. */
static int
add_tuples_at_once(struct acc *acc, const struct acc_rows *in,
    const uint32_t *ids, struct err *err)
{
    struct value_sets *sets = &sets_of(acc)[in->one];
    struct key128 keys[BATCH];
    uint32_t n = 0, last = KEYS_NONE;

    for (uint32_t i = 0; i < in->picks.n && !is_enough(acc, sets); i++) {
        uint32_t id = ids[picks_row(&in->picks, i)];

        /* Number 0 is the empty one, as {0, 0}. */
        keys[n] = (struct key128){id, id == 0 ? 0 : VALUE_TEXT};
        n += id != last;
        last = id;
        if (n < BATCH)
            continue;
        if (id_set_add_many(&sets->others, keys, n, acc->hold, err) != 0)
            return -1;
        n = 0;
    }
    return id_set_add_many(&sets->others, keys, n, acc->hold, err);
}

static int
add_texts(struct acc *acc, const struct acc_rows *in,
    const struct column *columns, struct err *err)
{
    struct uniq *uniq = (struct uniq *)acc;
    struct keys_input input = {columns, &in->picks, in->nrows, in->pool};
    uint32_t last = KEYS_NONE, last_group = KEYS_NONE;
    struct key_ids ids;

    if (uniq->texts.ncolumns == 1 && columns[0].kind == COLUMN_CODES)
        return add_codes(acc, in, columns, err);
    if (keys_map(&uniq->texts, &input, &ids, err) != 0)
        return -1;
    if (uniq->texts.ncolumns > 1 && in->groups == NULL && ids.ids != NULL)
        return add_tuples_at_once(acc, in, ids.ids, err);
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        uint32_t group = acc_group(in, row);
        uint32_t id = ids.ids == NULL ? ids.one : ids.ids[row];

        if (id == last && group == last_group)
            continue;
        last = id;
        last_group = group;
        if (put_id(acc, group, id, err) != 0)
            return -1;
    }
    return 0;
}

static int
count_uniq_add(struct acc *acc, const struct acc_rows *in, struct err *err)
{
    if (in->ncolumns > 1 || !column_is_numbers(&in->columns[0]))
        return add_texts(acc, in, in->columns, err);
    if (in->groups == NULL)
        return add_numbers_at_once(acc, in, &in->columns[0], err);
    return add_numbers(acc, in, &in->columns[0], err);
}

static int
uniq_values_add(struct acc *acc, const struct acc_rows *in, struct err *err)
{
    for (uint32_t k = 0; k < in->ncolumns; k++) {
        if (add_texts(acc, in, &in->columns[k], err) != 0)
            return -1;
    }
    return 0;
}

int
acc_uniq_add_ids(struct acc *acc, const struct uniq_ids *add,
    struct err *err)
{
    struct value_sets *sets = &sets_of(acc)[0];

    sets->unique += add->unique;
    return id_set_add_many(&sets->ids, add->ids, add->n, acc->hold, err);
}

const struct id_set *
acc_uniq_ids(const struct acc *acc)
{
    const struct value_sets *sets = ((const struct uniq *)acc)->groups.items;

    return acc->ngroups == 0 ? NULL : &sets[0].ids;
}

/* --- merging --- */

static int
merge_others(struct acc *acc, struct value_sets *to,
    const struct id_set *from, const uint32_t *texts, struct err *err)
{
    size_t nslots = id_set_slots(from);

    for (size_t i = 0; i < nslots; i++) {
        struct text_value value = {from->slots[i], false};

        if (i % STAGE_POLL_ROWS == 0 && run_poll(acc->run, err) != 0)
            return -1;
        if (value.key.hi == VALUE_TEXT)
            value.key.lo = texts[value.key.lo];
        if (put(acc, to, value.key, false, err) != 0)
            return -1;
    }
    return 0;
}

static int
uniq_merge(struct acc *acc, struct acc *from_acc, const uint32_t *map,
    struct err *err)
{
    struct uniq *uniq = (struct uniq *)acc;
    struct value_sets *from = sets_of(from_acc);
    struct hold_array texts = {NULL, 0};
    int result = -1;

    if (keys_merge(&uniq->texts, &((struct uniq *)from_acc)->texts, &texts,
            acc->run, err) != 0)
        goto out;
    for (uint32_t i = 0; i < from_acc->ngroups; i++) {
        struct value_sets *to = &sets_of(acc)[map[i]];

        if (i % 64 == 0 && run_poll(acc->run, err) != 0)
            goto out;
        if (!is_enough(acc, to) && id_set_merge(&to->ids, &from[i].ids,
                acc->hold, err) != 0)
            goto out;
        if (merge_others(acc, to, &from[i].others, texts.items, err) != 0)
            goto out;
        to->unique += from[i].unique;
        id_set_drop(&from[i].ids, from_acc->hold);
        id_set_drop(&from[i].others, from_acc->hold);
    }
    result = 0;
out:
    hold_drop(acc->hold, &texts, sizeof(uint32_t));
    return result;
}

/* --- the answer --- */

static int
count_uniq_print(struct acc *acc, uint32_t group, struct sb *out,
    UNUSED struct err *err)
{
    const struct value_sets *sets = &sets_of(acc)[group];
    uint64_t n = sets_count(sets);

    if (acc->fn->limit != 0)
        n = MIN(n, acc->fn->limit);
    sb_add_u64(out, n);
    return 0;
}

static int
compare_values(const void *a, const void *b, UNUSED const void *arg)
{
    return atom_order_total(a, b);
}

static void
print_values(struct sb *out, const void **order, uint32_t n)
{
    struct json_out json;
    char buf[ATOM_TEXT_MAX];

    json_out_init(&json, out);
    json_array(&json);
    for (uint32_t i = 0; i < n; i++)
        acc_json_text(&json, atom_text(order[i], buf));
    json_array_end(&json);
}

static int
uniq_values_print(struct acc *acc, uint32_t group, struct sb *out,
    struct err *err)
{
    struct uniq *uniq = (struct uniq *)acc;
    const struct id_set *set = &sets_of(acc)[group].others;
    struct msort how = {compare_values, NULL, acc->hold, acc->run};
    struct hold_array atoms = {NULL, 0}, items = {NULL, 0};
    uint32_t n = 0;
    int result = -1;

    if (hold_grow(acc->hold, &atoms, set->n, sizeof(struct atom), err) != 0 ||
        hold_grow(acc->hold, &items, set->n, sizeof(void *), err) != 0)
        goto out;
    for (size_t i = 0; i < id_set_slots(set); i++) {
        struct atom *atom = &((struct atom *)atoms.items)[n];
        struct sv text;

        if (set->slots[i].hi == 0)
            continue;
        keys_texts(&uniq->texts, (uint32_t)set->slots[i].lo, &text);
        *atom = atom_from_text(text);
        ((const void **)items.items)[n++] = atom;
    }
    if (msort(&how, items.items, n, err) != 0)
        goto out;
    print_values(out, items.items, n);
    result = 0;
out:
    hold_drop(acc->hold, &atoms, sizeof(struct atom));
    hold_drop(acc->hold, &items, sizeof(void *));
    return result;
}

static void
uniq_free(struct acc *acc)
{
    struct uniq *uniq = (struct uniq *)acc;

    for (size_t i = 0; i < uniq->groups.cap; i++) {
        id_set_drop(&sets_of(acc)[i].ids, acc->hold);
        id_set_drop(&sets_of(acc)[i].others, acc->hold);
    }
    hold_drop(acc->hold, &uniq->groups, sizeof(struct value_sets));
    hold_drop(acc->hold, &uniq->as_value, sizeof(struct text_value));
    keys_drop(&uniq->texts);
}

const struct acc_ops acc_count_uniq = {
    .size = sizeof(struct uniq),
    .runs = ACC_RUNS_PLAIN,
    .init = uniq_init,
    .reserve = uniq_reserve,
    .add = count_uniq_add,
    .merge = uniq_merge,
    .print = count_uniq_print,
    .free = uniq_free,
    .save = uniq_save,
    .weigh = uniq_weigh,
    .load = uniq_load,
};

const struct acc_ops acc_uniq_values = {
    .size = sizeof(struct uniq),
    .init = uniq_init,
    .reserve = uniq_reserve,
    .add = uniq_values_add,
    .merge = uniq_merge,
    .print = uniq_values_print,
    .free = uniq_free,
    .save = uniq_save,
    .weigh = uniq_weigh,
    .load = uniq_load,
};
