/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * json_values: rows as JSON texts, any of them or the first ones in an order.
 *
 * With an order and a limit a group has up to twice as many rows as it may
 * keep; then it is sorted and cut, and later rows that are beyond the last
 * one are not looked at any more.
 */

#include "core/base.h"
#include "query/acc.h"

#include "query/atom.h"
#include "query/msort.h"
#include "query/state.h"

struct json_row {
    struct atom *keys; /* fn->nkeys; texts are in the hold */
    struct sv text;
};

struct json_list {
    struct hold_array rows; /* struct json_row * */
    uint32_t n;
    bool is_cut;            /* row limit - 1 is the worst that counts */
};

struct json_values {
    struct acc acc;
    struct hold_array groups; /* struct json_list */
    struct sb text;
};

/* More rows than a result could be printed with. */
#define ROWS_KEPT_MAX (UINT32_C(1) << 28)

static struct json_list *
lists_of(struct acc *acc)
{
    return ((struct json_values *)acc)->groups.items;
}

static int
json_init(struct acc *acc, UNUSED struct err *err)
{
    sb_init(&((struct json_values *)acc)->text, ACC_ROW_MAX);
    return 0;
}

static int
json_reserve(struct acc *acc, uint32_t ngroups, struct err *err)
{
    return hold_grow(acc->hold, &((struct json_values *)acc)->groups,
        ngroups, sizeof(struct json_list), err);
}

static int
compare_keys(const struct stats_fn *fn, const struct atom *a,
    const struct atom *b)
{
    for (uint32_t i = 0; i < fn->nkeys; i++) {
        int order = atom_order(&a[i], &b[i]);

        if (order != 0)
            return fn->keys[i].is_desc ? -order : order;
    }
    return 0;
}

static int
compare_rows(const void *a, const void *b, const void *arg)
{
    return compare_keys(arg, ((const struct json_row *)a)->keys,
        ((const struct json_row *)b)->keys);
}

/* Sorts the rows and leaves no more than wanted. */
static int
cut(struct acc *acc, struct json_list *list, struct err *err)
{
    const struct stats_fn *fn = acc->fn;
    struct msort how = {compare_rows, fn, acc->hold, acc->run};

    if (fn->nkeys > 0 && msort(&how, list->rows.items, list->n, err) != 0)
        return -1;
    if (fn->limit != 0 && list->n >= fn->limit) {
        list->n = (uint32_t)fn->limit;
        list->is_cut = true;
    }
    return 0;
}

static bool
is_wanted(const struct acc *acc, const struct json_list *list,
    const struct atom *keys)
{
    const struct stats_fn *fn = acc->fn;
    struct json_row *const *rows = list->rows.items;

    if (fn->limit == 0)
        return true;
    if (fn->nkeys == 0)
        return list->n < fn->limit;
    return !list->is_cut ||
        compare_keys(fn, keys, rows[fn->limit - 1]->keys) < 0;
}

static int
list_add(struct acc *acc, struct json_list *list, struct json_row *row,
    struct err *err)
{
    const struct stats_fn *fn = acc->fn;

    if (list->n == ROWS_KEPT_MAX)
        return err_set(err, ERR_LIMIT, "json_values() has too many rows");
    if (hold_grow_raw(acc->hold, &list->rows, (size_t)list->n + 1,
            sizeof(void *), err) != 0)
        return -1;
    ((struct json_row **)list->rows.items)[list->n++] = row;
    if (fn->nkeys == 0 || fn->limit == 0 || list->n / 2 < fn->limit)
        return 0;
    return cut(acc, list, err);
}

static struct json_row *
row_new(struct acc *acc, const struct atom *keys, struct sv text,
    struct err *err)
{
    uint32_t nkeys = acc->fn->nkeys;
    struct json_row *row = hold_alloc(acc->hold,
        sizeof(*row) + nkeys * sizeof(*keys), err);

    if (row == NULL)
        return NULL;
    row->keys = (struct atom *)(row + 1);
    for (uint32_t i = 0; i < nkeys; i++) {
        row->keys[i] = keys[i];
        if (keys[i].tag == ATOM_TEXT && hold_text(acc->hold, keys[i].text,
                &row->keys[i].text, err) != 0)
            return NULL;
    }
    return hold_text(acc->hold, text, &row->text, err) == 0 ? row : NULL;
}

/* Rows of a chunk on their way into the lists. */
struct intake {
    struct acc *acc;
    const struct acc_rows *in;
    struct atom *keys; /* of one row, then ATOM_TEXT_MAX bytes for each */
    uint32_t *index;   /* rows that may be wanted */
    uint32_t n;
    struct acc_args args;
};

static bool
is_row_wanted(struct intake *intake, uint32_t row)
{
    const struct acc_rows *in = intake->in;
    struct acc *acc = intake->acc;
    char *bufs = (char *)(intake->keys + acc->fn->nkeys);

    for (uint32_t i = 0; i < acc->fn->nkeys; i++)
        intake->keys[i] = atom_of_row(&in->columns[i], row,
            bufs + (size_t)i * ATOM_TEXT_MAX);
    return is_wanted(acc, &lists_of(acc)[acc_group(in, row)], intake->keys);
}

static int
add_row(struct intake *intake, uint32_t at, struct err *err)
{
    struct acc *acc = intake->acc;
    struct sb *text = &((struct json_values *)acc)->text;
    struct json_row *row;

    sb_reset(text);
    acc_json_row(text, &intake->args, at);
    if (sb_failed(text))
        return err_set(err, ERR_LIMIT, "a row is too long for json_values()");
    row = row_new(acc, intake->keys, sb_sv(text), err);
    return row == NULL ? -1 : list_add(acc,
        &lists_of(acc)[acc_group(intake->in, at)], row, err);
}

/*
 * A row that is not wanted before the others of its chunk are taken in is not
 * wanted later, either.
 */
static int
choose_rows(struct intake *intake, struct err *err)
{
    const struct acc_rows *in = intake->in;
    uint32_t nkeys = intake->acc->fn->nkeys;

    intake->keys = pool_alloc(in->pool,
        nkeys * (sizeof(*intake->keys) + ATOM_TEXT_MAX) + 1);
    intake->index = pool_alloc(in->pool,
        in->picks.n * sizeof(*intake->index) + 1);
    if (intake->keys == NULL || intake->index == NULL)
        return err_set(err, ERR_LIMIT, "no memory for rows");
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);

        intake->index[intake->n] = row;
        intake->n += is_row_wanted(intake, row);
    }
    return 0;
}

static int
json_add(struct acc *acc, const struct acc_rows *in, struct err *err)
{
    struct intake intake = {.acc = acc, .in = in};
    uint64_t limit = acc->fn->limit;
    struct picks wanted;

    if (choose_rows(&intake, err) != 0)
        return -1;
    /* Without an order the first rows of the chunk are as good as any. */
    if (acc->fn->nkeys == 0 && in->groups == NULL && limit != 0)
        intake.n = (uint32_t)MIN(intake.n, limit);
    if (intake.n == 0)
        return 0;
    wanted = (struct picks){intake.n, intake.index, 0};
    if (acc_load_late(acc, in, &wanted, &intake.args, err) != 0)
        return -1;
    acc_sort_names(&intake.args);
    for (uint32_t i = 0; i < intake.n; i++) {
        if (i % STAGE_POLL_ROWS == 0 && run_poll(acc->run, err) != 0)
            return -1;
        if (is_row_wanted(&intake, intake.index[i]) &&
            add_row(&intake, intake.index[i], err) != 0)
            return -1;
    }
    return 0;
}

static int
json_merge(struct acc *acc, struct acc *from, const uint32_t *map,
    struct err *err)
{
    for (uint32_t i = 0; i < from->ngroups; i++) {
        struct json_list *to = &lists_of(acc)[map[i]];
        struct json_list *add = &lists_of(from)[i];
        struct json_row **rows = add->rows.items;

        for (uint32_t k = 0; k < add->n; k++) {
            struct json_row *row;

            if (k % STAGE_POLL_ROWS == 0 && run_poll(acc->run, err) != 0)
                return -1;
            if (!is_wanted(acc, to, rows[k]->keys))
                continue;
            row = row_new(acc, rows[k]->keys, rows[k]->text, err);
            if (row == NULL || list_add(acc, to, row, err) != 0)
                return -1;
        }
        hold_drop(from->hold, &add->rows, sizeof(void *));
        add->n = 0;
        if (i % 64 == 0 && run_poll(acc->run, err) != 0)
            return -1;
    }
    return 0;
}

static int
json_print(struct acc *acc, uint32_t group, struct sb *out, struct err *err)
{
    struct json_list *list = &lists_of(acc)[group];
    struct json_row *const *rows;
    struct json_out json;

    if (cut(acc, list, err) != 0)
        return -1;
    rows = list->rows.items;
    json_out_init(&json, out);
    json_array(&json);
    for (uint32_t i = 0; i < list->n && !sb_failed(out); i++)
        acc_json_text(&json, rows[i]->text);
    json_array_end(&json);
    return 0;
}

/* Of each group: how many rows, the keys and the text of each. */
static int
json_save(struct acc *acc, struct acc_range *range, struct sb *out,
    UNUSED struct err *err)
{
    for (uint32_t i = range->first; i < range->end; i++) {
        const struct json_list *list = &lists_of(acc)[i];

        state_put_varint(out, list->n);
        for (uint32_t k = 0; k < list->n; k++) {
            const struct json_row *row =
                ((struct json_row **)list->rows.items)[k];
            char buf[ATOM_TEXT_MAX];

            for (uint32_t j = 0; j < acc->fn->nkeys; j++)
                state_put_text(out, atom_text(&row->keys[j], buf));
            state_put_text(out, row->text);
        }
    }
    return 0;
}

static uint64_t
json_weigh(struct acc *acc, uint32_t group)
{
    const struct json_list *list = &lists_of(acc)[group];
    uint64_t size = 16;

    for (uint32_t i = 0; i < list->n; i++)
        size += 16 + ((struct json_row **)list->rows.items)[i]->text.len;
    return size;
}

static int
json_load(struct acc *acc, struct enc_reader *in, struct err *err)
{
    uint32_t nkeys = acc->fn->nkeys;
    struct atom *keys = hold_alloc(acc->hold, nkeys * sizeof(*keys) + 1, err);

    if (keys == NULL)
        return -1;
    for (uint32_t i = 0; i < acc->ngroups; i++) {
        uint64_t n = enc_read_varint(in);

        for (uint64_t k = 0; k < n && !in->failed; k++) {
            struct json_row *row;

            for (uint32_t j = 0; j < nkeys; j++)
                keys[j] = atom_from_text(enc_read_sv(in));
            row = row_new(acc, keys, enc_read_sv(in), err);
            if (row == NULL || list_add(acc, &lists_of(acc)[i], row,
                    err) != 0)
                return -1;
        }
    }
    return 0;
}

static void
json_free(struct acc *acc)
{
    struct json_values *mine = (struct json_values *)acc;

    for (size_t i = 0; i < mine->groups.cap; i++)
        hold_drop(acc->hold, &lists_of(acc)[i].rows, sizeof(void *));
    hold_drop(acc->hold, &mine->groups, sizeof(struct json_list));
    sb_release(&mine->text);
}

const struct acc_ops acc_json_values = {
    .size = sizeof(struct json_values),
    .init = json_init,
    .reserve = json_reserve,
    .add = json_add,
    .merge = json_merge,
    .print = json_print,
    .free = json_free,
    .save = json_save,
    .weigh = json_weigh,
    .load = json_load,
};
