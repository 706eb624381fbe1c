/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * row_any, row_max, row_min, any, field_max, field_min: what one row of a
 * group has.  The row is chosen first; its fields are loaded and its text is
 * made once per chunk, if it is still the one.
 */

#include "core/base.h"
#include "query/acc.h"

#include <stdlib.h>

#include "query/atom.h"
#include "query/parser.h"
#include "query/state.h"

/* --- rows as JSON --- */

void
acc_json_text(struct json_out *json, struct sv text)
{
    struct json_out quoted_out;
    struct sb quoted, safe;

    if (sv_find_byte(text, '\'') == text.len &&
        sv_find_byte(text, '<') == text.len) {
        json_string(json, text);
        return;
    }
    sb_init(&quoted, 8 * text.len + 64);
    sb_init(&safe, 8 * text.len + 64);
    json_out_init(&quoted_out, &quoted);
    json_string(&quoted_out, text);
    for (size_t i = 0; i < quoted.len; i++) {
        if (quoted.ptr[i] == '\'')
            sb_add_str(&safe, "\\u0027");
        else if (quoted.ptr[i] == '<')
            sb_add_str(&safe, "\\u003c");
        else
            sb_add_char(&safe, quoted.ptr[i]);
    }
    json_raw(json, sb_sv(&safe));
    sb_release(&quoted);
    sb_release(&safe);
}

static int
load_args(const struct acc *acc, struct rows *rows, struct acc_args *out,
    struct err *err)
{
    static const struct field_pattern all = {{"", 0}, true};
    const struct stats_fn *fn = acc->fn;
    const struct column *column;
    struct name_list names;

    if (rows_match_names(rows, fn->nargs == 0 ? &all : fn->args,
            MAX(fn->nargs, 1u), &names, err) != 0)
        return -1;
    out->n = names.n;
    out->columns = pool_alloc(rows->pool,
        names.n * sizeof(*out->columns) + 1);
    if (out->columns == NULL)
        return err_set(err, ERR_LIMIT, "no memory for the fields of a row");
    for (uint32_t i = 0; i < names.n; i++) {
        if (rows_column(rows, names.v[i], &column, err) != 0)
            return -1;
        out->columns[i] = *column;
        out->columns[i].name = names.v[i];
    }
    return 0;
}

int
acc_load_late(const struct acc *acc, const struct acc_rows *in,
    const struct picks *wanted, struct acc_args *out, struct err *err)
{
    struct rows *rows = in->rows;
    const uint64_t *selected = rows->selected;
    uint32_t nselected = rows->nselected, ncolumns = rows->ncolumns;
    uint64_t *bits = pool_zalloc(in->pool,
        BITMAP_WORDS(rows->n) * sizeof(*bits) + 8);
    int result;

    if (bits == NULL)
        return err_set(err, ERR_LIMIT, "no memory for the fields of a row");
    for (uint32_t i = 0; i < wanted->n; i++)
        bitmap_set(bits, picks_row(wanted, i));
    rows_select(rows, bits);
    result = load_args(acc, rows, out, err);
    rows->selected = selected;
    rows->nselected = nselected;
    /* Columns that were loaded now are those of fewer rows. */
    rows->ncolumns = ncolumns;
    return result;
}

static int
compare_names(const void *a, const void *b)
{
    return sv_cmp(((const struct column *)a)->name,
        ((const struct column *)b)->name);
}

void
acc_sort_names(struct acc_args *args)
{
    qsort(args->columns, args->n, sizeof(*args->columns), compare_names);
}

void
acc_json_row(struct sb *out, const struct acc_args *args, uint32_t row)
{
    char buf[COLUMN_TEXT_MAX];
    struct json_out json;

    json_out_init(&json, out);
    json_object(&json);
    for (uint32_t i = 0; i < args->n; i++) {
        const struct column *column = &args->columns[i];

        if (!column_is_filled(column, row))
            continue;
        json_key_sv(&json, column->name);
        acc_json_text(&json, column_text(column, row, buf));
    }
    json_object_end(&json);
}

/* --- the row of each group --- */

struct chosen {
    struct atom key;  /* a text is in the hold */
    size_t key_cap;   /* bytes there */
    char *text;       /* what is printed, in the hold */
    size_t len;
    size_t cap;
    uint32_t pending; /* row of this chunk + 1 */
    bool is_set;
};

struct row {
    struct acc acc;
    struct hold_array groups;  /* struct chosen */
    struct hold_array touched; /* uint32_t: groups with a pending row */
    uint32_t ntouched;
    struct sb text;
};

static int field_print(struct acc *acc, uint32_t group, struct sb *out,
    struct err *err);

static struct chosen *
chosen_of(struct acc *acc)
{
    return ((struct row *)acc)->groups.items;
}

static int
row_init(struct acc *acc, UNUSED struct err *err)
{
    sb_init(&((struct row *)acc)->text, ACC_ROW_MAX);
    return 0;
}

static int
row_reserve(struct acc *acc, uint32_t ngroups, struct err *err)
{
    return hold_grow(acc->hold, &((struct row *)acc)->groups, ngroups,
        sizeof(struct chosen), err);
}

/* Room for so many bytes where there are *cap; the old ones are lost. */
static int
room(struct acc *acc, char **ptr, size_t *cap, size_t need, struct err *err)
{
    if (need <= *cap)
        return 0;
    *cap = MAX(2 * *cap, need);
    *ptr = hold_alloc(acc->hold, *cap, err);
    if (*ptr == NULL)
        *cap = 0;
    return *ptr == NULL ? -1 : 0;
}

static int
key_set(struct acc *acc, struct chosen *chosen, const struct atom *key,
    struct err *err)
{
    char *ptr = (char *)(uintptr_t)chosen->key.text.ptr;

    chosen->is_set = true;
    chosen->key.tag = key->tag;
    chosen->key.v = key->v;
    if (key->tag != ATOM_TEXT)
        return 0;
    if (room(acc, &ptr, &chosen->key_cap, key->text.len, err) != 0)
        return -1;
    memcpy(ptr, key->text.ptr, key->text.len);
    chosen->key.text = sv_make(ptr, key->text.len);
    return 0;
}

static int
text_set(struct acc *acc, struct chosen *chosen, struct sv text,
    struct err *err)
{
    if (room(acc, &chosen->text, &chosen->cap, text.len, err) != 0)
        return -1;
    if (text.len > 0)
        memcpy(chosen->text, text.ptr, text.len);
    chosen->len = text.len;
    return 0;
}

static bool
is_min(const struct acc *acc)
{
    return acc->ops == &acc_row_min || acc->ops == &acc_field_min;
}

static bool
is_better(const struct acc *acc, const struct chosen *chosen,
    const struct atom *key)
{
    int order;

    if (key->tag == ATOM_EMPTY)
        return false;
    if (!chosen->is_set)
        return true;
    order = atom_order(key, &chosen->key);
    return is_min(acc) ? order < 0 : order > 0;
}

/* The row is the group's, for now. */
static int
choose(struct acc *acc, uint32_t group, uint32_t row, struct err *err)
{
    struct row *mine = (struct row *)acc;
    struct chosen *chosen = &chosen_of(acc)[group];

    if (chosen->pending == 0) {
        if (hold_grow_raw(acc->hold, &mine->touched,
                (size_t)mine->ntouched + 1, sizeof(uint32_t), err) != 0)
            return -1;
        ((uint32_t *)mine->touched.items)[mine->ntouched++] = group;
    }
    chosen->is_set = true;
    chosen->pending = row + 1;
    return 0;
}

static int
offer(struct acc *acc, uint32_t group, uint32_t row, const struct atom *key,
    struct err *err)
{
    struct chosen *chosen = &chosen_of(acc)[group];

    if (!is_better(acc, chosen, key))
        return 0;
    return key_set(acc, chosen, key, err) != 0 ? -1
        : choose(acc, group, row, err);
}

static int
offer_codes(struct acc *acc, const struct acc_rows *in,
    const struct column *column, struct err *err)
{
    struct code_atoms atoms;

    if (code_atoms_make(&atoms, column, in, err) != 0)
        return -1;
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        uint32_t group = acc_group(in, row);
        const struct atom *atom = code_atoms_next(&atoms, group,
            column->codes[row]);

        if (atom != NULL && offer(acc, group, row, atom, err) != 0)
            return -1;
    }
    return 0;
}

static int
offer_rows(struct acc *acc, const struct acc_rows *in,
    const struct column *column, struct err *err)
{
    char buf[ATOM_TEXT_MAX];

    if (column->kind == COLUMN_CODES)
        return offer_codes(acc, in, column, err);
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        struct atom key = atom_of_row(column, row, buf);

        if (offer(acc, acc_group(in, row), row, &key, err) != 0)
            return -1;
    }
    return 0;
}

/* The texts of the rows that were chosen, before the chunk is gone. */
static int
keep_row(struct acc *acc, struct chosen *chosen, const struct acc_args *args,
    struct err *err)
{
    struct sb *json = &((struct row *)acc)->text;
    uint32_t row = chosen->pending - 1;
    char buf[COLUMN_TEXT_MAX];

    chosen->pending = 0;
    /* One field is given as it is. */
    if (acc->ops->print == field_print)
        return text_set(acc, chosen, column_text(args->columns, row, buf),
            err);
    sb_reset(json);
    acc_json_row(json, args, row);
    return sb_failed(json) ? err_set(err, ERR_LIMIT,
        "a row is too long for %s()", acc->fn->type->name)
        : text_set(acc, chosen, sb_sv(json), err);
}

static int
keep_rows(struct acc *acc, const struct acc_rows *in, struct err *err)
{
    struct row *mine = (struct row *)acc;
    const uint32_t *touched = mine->touched.items;
    struct chosen *all = chosen_of(acc);
    struct picks wanted = {mine->ntouched, NULL, 0};
    struct acc_args args;
    uint32_t *index;

    if (mine->ntouched == 0)
        return 0;
    index = pool_alloc(in->pool, mine->ntouched * sizeof(*index));
    if (index == NULL)
        return err_set(err, ERR_LIMIT, "no memory for groups");
    for (uint32_t i = 0; i < mine->ntouched; i++)
        index[i] = all[touched[i]].pending - 1;
    wanted.index = index;
    if (acc_load_late(acc, in, &wanted, &args, err) != 0)
        return -1;
    if (acc->fn->nkeys == 0)
        acc_sort_names(&args);
    for (uint32_t i = 0; i < mine->ntouched; i++) {
        if (keep_row(acc, &all[touched[i]], &args, err) != 0)
            return -1;
    }
    mine->ntouched = 0;
    return 0;
}

static int
extreme_add(struct acc *acc, const struct acc_rows *in, struct err *err)
{
    return offer_rows(acc, in, &in->columns[0], err) != 0 ? -1
        : keep_rows(acc, in, err);
}

static int
row_any_add(struct acc *acc, const struct acc_rows *in, struct err *err)
{
    struct chosen *all = chosen_of(acc);

    if (in->groups == NULL && all[in->one].is_set)
        return 0;
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        uint32_t group = acc_group(in, row);

        if (!all[group].is_set && choose(acc, group, row, err) != 0)
            return -1;
        if (in->groups == NULL)
            break;
    }
    return keep_rows(acc, in, err);
}

static int
any_add(struct acc *acc, const struct acc_rows *in, struct err *err)
{
    struct chosen *all = chosen_of(acc);
    char buf[COLUMN_TEXT_MAX];

    for (uint32_t k = 0; k < in->ncolumns; k++) {
        const struct column *column = &in->columns[k];

        for (uint32_t i = 0; i < in->picks.n; i++) {
            uint32_t row = picks_row(&in->picks, i);
            struct chosen *chosen = &all[acc_group(in, row)];

            if (chosen->is_set && in->groups == NULL)
                return 0;
            if (chosen->is_set || !column_is_filled(column, row))
                continue;
            chosen->is_set = true;
            if (text_set(acc, chosen, column_text(column, row, buf),
                    err) != 0)
                return -1;
        }
    }
    return 0;
}

/* Without a key the first one stays. */
static int
row_merge(struct acc *acc, struct acc *from, const uint32_t *map,
    struct err *err)
{
    bool has_key = acc->fn->nkeys > 0;

    for (uint32_t i = 0; i < from->ngroups; i++) {
        const struct chosen *add = &chosen_of(from)[i];
        struct chosen *to = &chosen_of(acc)[map[i]];

        if (!add->is_set || (has_key ? !is_better(acc, to, &add->key)
            : to->is_set))
            continue;
        if (key_set(acc, to, &add->key, err) != 0 ||
            text_set(acc, to, sv_make(add->text, add->len), err) != 0)
            return -1;
    }
    return 0;
}

static int
row_print(struct acc *acc, uint32_t group, struct sb *out,
    UNUSED struct err *err)
{
    const struct chosen *chosen = &chosen_of(acc)[group];

    if (chosen->is_set)
        sb_add(out, chosen->text, chosen->len);
    else
        sb_add_str(out, "{}");
    return 0;
}

static int
field_print(struct acc *acc, uint32_t group, struct sb *out,
    UNUSED struct err *err)
{
    const struct chosen *chosen = &chosen_of(acc)[group];

    if (chosen->is_set && chosen->len > 0)
        sb_add(out, chosen->text, chosen->len);
    return 0;
}

/* Of each group: whether there is a row, its key, what is printed. */
static int
row_save(struct acc *acc, struct acc_range *range, struct sb *out,
    UNUSED struct err *err)
{
    for (uint32_t i = range->first; i < range->end; i++) {
        const struct chosen *chosen = &chosen_of(acc)[i];
        char buf[ATOM_TEXT_MAX];

        sb_add_char(out, (char)chosen->is_set);
        if (!chosen->is_set)
            continue;
        state_put_text(out, atom_text(&chosen->key, buf));
        state_put_text(out, sv_make(chosen->text, chosen->len));
    }
    return 0;
}

static uint64_t
row_weigh(struct acc *acc, uint32_t group)
{
    return 32 + chosen_of(acc)[group].len;
}

static int
row_load(struct acc *acc, struct enc_reader *in, struct err *err)
{
    for (uint32_t i = 0; i < acc->ngroups && !in->failed; i++) {
        struct chosen *chosen = &chosen_of(acc)[i];
        struct atom key;

        if (enc_read8(in) == 0)
            continue;
        key = atom_from_text(enc_read_sv(in));
        if (key_set(acc, chosen, &key, err) != 0 ||
            text_set(acc, chosen, enc_read_sv(in), err) != 0)
            return -1;
    }
    return 0;
}

static void
row_free(struct acc *acc)
{
    struct row *mine = (struct row *)acc;

    hold_drop(acc->hold, &mine->groups, sizeof(struct chosen));
    hold_drop(acc->hold, &mine->touched, sizeof(uint32_t));
    sb_release(&mine->text);
}

#define ROW_OPS(add_rows, print_group) { \
    .size = sizeof(struct row), \
    .init = row_init, \
    .reserve = row_reserve, \
    .add = add_rows, \
    .merge = row_merge, \
    .print = print_group, \
    .free = row_free, \
    .save = row_save, \
    .weigh = row_weigh, \
    .load = row_load, \
}

const struct acc_ops acc_row_any = ROW_OPS(row_any_add, row_print);
const struct acc_ops acc_row_max = ROW_OPS(extreme_add, row_print);
const struct acc_ops acc_row_min = ROW_OPS(extreme_add, row_print);
const struct acc_ops acc_any = ROW_OPS(any_add, field_print);
const struct acc_ops acc_field_max = ROW_OPS(extreme_add, field_print);
const struct acc_ops acc_field_min = ROW_OPS(extreme_add, field_print);
