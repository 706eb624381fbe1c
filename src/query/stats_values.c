/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * values: all texts of a group, in the order in which they came.  A text that
 * is there more than once is kept once.
 */

#include "core/base.h"
#include "query/acc.h"

#include "query/keys.h"
#include "query/parser.h"
#include "query/state.h"
#include "query/state_texts.h"

struct list {
    struct hold_array ids; /* uint32_t: numbers of texts */
    uint32_t n;
};

struct value_lists {
    struct acc acc;
    struct hold_array groups; /* struct list */
    struct keys texts;
};

static struct list *
lists_of(struct acc *acc)
{
    return ((struct value_lists *)acc)->groups.items;
}

static int
values_init(struct acc *acc, struct err *err)
{
    return keys_init(&((struct value_lists *)acc)->texts, acc->hold, 1, NULL, err);
}

static int
values_reserve(struct acc *acc, uint32_t ngroups, struct err *err)
{
    return hold_grow(acc->hold, &((struct value_lists *)acc)->groups, ngroups,
        sizeof(struct list), err);
}

static bool
is_full(const struct acc *acc, const struct list *list)
{
    return acc->fn->limit != 0 && list->n >= acc->fn->limit;
}

/* More values than a result could be printed with; 4 GiB of memory. */
#define LIST_MAX (UINT32_C(1) << 30)

static int
list_add(struct acc *acc, struct list *list, uint32_t id, struct err *err)
{
    if (is_full(acc, list))
        return 0;
    if (list->n == LIST_MAX)
        return err_set(err, ERR_LIMIT, "%s() has too many values",
            acc->fn->type->name);
    if (hold_grow_raw(acc->hold, &list->ids, (size_t)list->n + 1,
            sizeof(uint32_t), err) != 0)
        return -1;
    ((uint32_t *)list->ids.items)[list->n++] = id;
    return 0;
}

static int
values_add(struct acc *acc, const struct acc_rows *in, struct err *err)
{
    struct list *lists = lists_of(acc);

    for (uint32_t k = 0; k < in->ncolumns; k++) {
        struct keys_input input = {
            &in->columns[k], &in->picks, in->nrows, in->pool
        };
        struct key_ids ids;

        if (in->groups == NULL && is_full(acc, &lists[in->one]))
            return 0;
        if (keys_map(&((struct value_lists *)acc)->texts, &input, &ids, err) != 0)
            return -1;
        for (uint32_t i = 0; i < in->picks.n; i++) {
            uint32_t row = picks_row(&in->picks, i);

            if (list_add(acc, &lists[acc_group(in, row)],
                    ids.ids == NULL ? ids.one : ids.ids[row], err) != 0)
                return -1;
        }
    }
    return 0;
}

static int
values_merge(struct acc *acc, struct acc *from, const uint32_t *map,
    struct err *err)
{
    struct hold_array texts = {NULL, 0};
    int result = keys_merge(&((struct value_lists *)acc)->texts,
        &((struct value_lists *)from)->texts, &texts, acc->run, err);
    const uint32_t *ids = texts.items;

    for (uint32_t i = 0; i < from->ngroups && result == 0; i++) {
        struct list *add = &lists_of(from)[i];

        for (uint32_t k = 0; k < add->n && result == 0; k++) {
            if (k % STAGE_POLL_ROWS == 0)
                result = run_poll(acc->run, err);
            if (result == 0)
                result = list_add(acc, &lists_of(acc)[map[i]],
                    ids[((uint32_t *)add->ids.items)[k]], err);
        }
        hold_drop(from->hold, &add->ids, sizeof(uint32_t));
        add->n = 0;
    }
    hold_drop(acc->hold, &texts, sizeof(uint32_t));
    return result;
}

static int
values_print(struct acc *acc, uint32_t group, struct sb *out,
    struct err *err)
{
    const struct list *list = &lists_of(acc)[group];
    const uint32_t *ids = list->ids.items;
    struct json_out json;

    json_out_init(&json, out);
    json_array(&json);
    for (uint32_t i = 0; i < list->n; i++) {
        struct sv text;

        if (i % STAGE_POLL_ROWS == 0 && run_poll(acc->run, err) != 0)
            return -1;
        if (sb_failed(out))
            return 0;
        keys_texts(&((struct value_lists *)acc)->texts, ids[i], &text);
        acc_json_text(&json, text);
    }
    json_array_end(&json);
    return 0;
}

/* The texts, then of each group how many it has and their numbers. */
static int
save_lists(struct value_lists *values, const struct acc_range *range,
    struct state_texts *texts, struct sb *out, struct err *err)
{
    const struct list *lists = lists_of(&values->acc);
    uint32_t number;

    for (uint32_t i = range->first; i < range->end; i++) {
        for (uint32_t k = 0; k < lists[i].n; k++) {
            if (state_texts_number(texts,
                    ((uint32_t *)lists[i].ids.items)[k], &number, err) != 0)
                return -1;
        }
    }
    state_put_varint(out, texts->n);
    for (uint32_t i = 0; i < texts->n; i++) {
        struct sv text;

        keys_texts(&values->texts, state_texts_id(texts, i), &text);
        state_put_text(out, text);
    }
    for (uint32_t i = range->first; i < range->end; i++) {
        state_put_varint(out, lists[i].n);
        for (uint32_t k = 0; k < lists[i].n; k++) {
            if (state_texts_number(texts,
                    ((uint32_t *)lists[i].ids.items)[k], &number, err) != 0)
                return -1;
            state_put_varint(out, number);
        }
    }
    return 0;
}

static int
values_save(struct acc *acc, struct acc_range *range, struct sb *out,
    struct err *err)
{
    struct state_texts texts;
    int rc;

    state_texts_init(&texts, acc->hold);
    rc = save_lists((struct value_lists *)acc, range, &texts, out, err);
    state_texts_drop(&texts);
    return rc;
}

static uint64_t
values_weigh(struct acc *acc, uint32_t group)
{
    return 16 + UINT64_C(32) * lists_of(acc)[group].n;
}

static int
values_load(struct acc *acc, struct enc_reader *in, struct err *err)
{
    struct keys *texts = &((struct value_lists *)acc)->texts;
    uint64_t ntexts = enc_read_varint(in);

    for (uint64_t i = 0; i < ntexts && !in->failed; i++) {
        struct sv text = enc_read_sv(in);
        uint32_t id;

        if (keys_find(texts, &text, &id, err) != 0)
            return -1;
        if (id != i)
            return state_bad(err);
    }
    for (uint32_t i = 0; i < acc->ngroups; i++) {
        uint64_t n = enc_read_varint(in);

        for (uint64_t k = 0; k < n && !in->failed; k++) {
            uint64_t id = enc_read_varint(in);

            if (id >= texts->count)
                return state_bad(err);
            if (list_add(acc, &lists_of(acc)[i], (uint32_t)id, err) != 0)
                return -1;
        }
    }
    return 0;
}

static void
values_free(struct acc *acc)
{
    struct value_lists *values = (struct value_lists *)acc;

    for (size_t i = 0; i < values->groups.cap; i++)
        hold_drop(acc->hold, &lists_of(acc)[i].ids, sizeof(uint32_t));
    hold_drop(acc->hold, &values->groups, sizeof(struct list));
    keys_drop(&values->texts);
}

const struct acc_ops acc_values = {
    .size = sizeof(struct value_lists),
    .init = values_init,
    .reserve = values_reserve,
    .add = values_add,
    .merge = values_merge,
    .print = values_print,
    .free = values_free,
    .save = values_save,
    .weigh = values_weigh,
    .load = values_load,
};
