/* SPDX-License-Identifier: BSD-2-Clause */

/* min and max: the text of the least or greatest value. */

#include "core/base.h"
#include "query/acc.h"

#include "query/atom.h"
#include "query/state.h"

struct extreme {
    struct atom atom; /* its text is in the hold */
    size_t text_cap;  /* bytes there */
    bool is_set;
};

struct minmax {
    struct acc acc;
    struct hold_array extremes; /* struct extreme */
};

/* Pairs of group and code that are remembered: 128 KiB as bits. */
#define SEEN_MAX (UINT64_C(1) << 20)

int
code_states_make(struct code_states *out, const struct column *column,
    const struct acc_rows *in, struct err *err)
{
    uint64_t ngroups = in->groups == NULL ? 1 : in->ngroups;
    uint64_t pairs = ngroups * column->nvalues;

    out->first = in->groups == NULL ? in->one : 0;
    out->nvalues = column->nvalues;
    out->seen = NULL;
    out->state = pool_zalloc(in->pool, column->nvalues + 1);
    if (pairs <= SEEN_MAX)
        out->seen = pool_zalloc(in->pool, pairs / 8 + 8);
    if (out->state == NULL || (pairs <= SEEN_MAX && out->seen == NULL))
        return err_set(err, ERR_LIMIT, "no memory for groups");
    return 0;
}

int
code_atoms_make(struct code_atoms *out, const struct column *column,
    const struct acc_rows *in, struct err *err)
{
    out->column = column;
    out->atoms = pool_alloc(in->pool,
        column->nvalues * sizeof(*out->atoms) + 1);
    if (out->atoms == NULL)
        return err_set(err, ERR_LIMIT, "no memory for groups");
    return code_states_make(&out->states, column, in, err);
}

const struct atom *
code_atoms_next(struct code_atoms *atoms, uint32_t group, uint32_t code)
{
    struct atom *atom = &atoms->atoms[code];

    if (code_states_seen(&atoms->states, group, code))
        return NULL;
    if (atoms->states.state[code] == 0) {
        atoms->states.state[code] = 1;
        *atom = atom_from_text(atoms->column->values[code]);
    }
    return atom;
}

static int
minmax_reserve(struct acc *acc, uint32_t ngroups, struct err *err)
{
    return hold_grow(acc->hold, &((struct minmax *)acc)->extremes, ngroups,
        sizeof(struct extreme), err);
}

static int
replace(struct acc *acc, struct extreme *extreme, const struct atom *atom,
    struct err *err)
{
    struct sv text = extreme->atom.text;

    extreme->is_set = true;
    extreme->atom.tag = atom->tag;
    extreme->atom.v = atom->v;
    if (atom->tag != ATOM_TEXT)
        return 0;
    if (atom->text.len > extreme->text_cap) {
        size_t cap = MAX(2 * extreme->text_cap, atom->text.len);
        char *room = hold_alloc(acc->hold, cap, err);

        if (room == NULL)
            return -1;
        text.ptr = room;
        extreme->text_cap = cap;
    }
    memcpy((char *)(uintptr_t)text.ptr, atom->text.ptr, atom->text.len);
    text.len = atom->text.len;
    extreme->atom.text = text;
    return 0;
}

static int
offer(struct acc *acc, struct extreme *extreme, const struct atom *atom,
    struct err *err)
{
    if (extreme->is_set) {
        int order = atom_order_total(atom, &extreme->atom);

        if (acc->fn->kind == STATS_MIN ? order >= 0 : order <= 0)
            return 0;
    }
    return replace(acc, extreme, atom, err);
}

/* INTS and TIMES of all rows; one group, then many. */
static int64_t
least_of(const int64_t *ints, int64_t flip, const struct picks *picks)
{
    int64_t least = INT64_MAX;

    if (picks->index == NULL) {
        for (uint32_t i = 0; i < picks->n; i++)
            least = MIN(least, ints[picks->first + i] ^ flip);
    } else {
        for (uint32_t i = 0; i < picks->n; i++)
            least = MIN(least, ints[picks->index[i]] ^ flip);
    }
    return least;
}

static int
add_ints(struct acc *acc, const struct acc_rows *in,
    const struct column *column, struct err *err)
{
    struct extreme *extremes = ((struct minmax *)acc)->extremes.items;
    enum atom_tag tag = column->kind == COLUMN_TIMES ? ATOM_TIME : ATOM_INT;
    /* Complementing turns max into min. */
    int64_t flip = acc->fn->kind == STATS_MIN ? 0 : -1;

    if (in->groups == NULL) {
        int64_t v = least_of(column->ints, flip, &in->picks) ^ flip;

        return offer(acc, &extremes[in->one], &(struct atom){
            tag, v, {NULL, 0}}, err);
    }
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        struct extreme *extreme = &extremes[in->groups[row]];
        int64_t v = column->ints[row];

        if (LIKELY(extreme->is_set && extreme->atom.tag == tag)) {
            if (UNLIKELY((v ^ flip) < (extreme->atom.v ^ flip)))
                extreme->atom.v = v;
        } else if (offer(acc, extreme, &(struct atom){tag, v, {NULL, 0}},
                err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
add_codes(struct acc *acc, const struct acc_rows *in,
    const struct column *column, struct err *err)
{
    struct extreme *extremes = ((struct minmax *)acc)->extremes.items;
    struct code_atoms atoms;

    if (code_atoms_make(&atoms, column, in, err) != 0)
        return -1;
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        uint32_t group = acc_group(in, row);
        const struct atom *atom = code_atoms_next(&atoms, group,
            column->codes[row]);

        if (atom != NULL && offer(acc, &extremes[group], atom, err) != 0)
            return -1;
    }
    return 0;
}

static int
add_others(struct acc *acc, const struct acc_rows *in,
    const struct column *column, struct err *err)
{
    struct extreme *extremes = ((struct minmax *)acc)->extremes.items;
    bool is_const = column->kind <= COLUMN_CONST;
    struct atom atom = {ATOM_EMPTY, 0, {NULL, 0}};
    char buf[ATOM_TEXT_MAX];

    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);

        if (!is_const || i == 0)
            atom = atom_of_row(column, row, buf);
        if (offer(acc, &extremes[acc_group(in, row)], &atom, err) != 0)
            return -1;
        if (is_const && in->groups == NULL)
            break;
    }
    return 0;
}

static int
minmax_add(struct acc *acc, const struct acc_rows *in, struct err *err)
{
    for (uint32_t k = 0; k < in->ncolumns; k++) {
        const struct column *column = &in->columns[k];
        int result;

        if (column->kind == COLUMN_TIMES ||
            (column->kind == COLUMN_INTS && column->present == NULL))
            result = add_ints(acc, in, column, err);
        else if (column->kind == COLUMN_CODES)
            result = add_codes(acc, in, column, err);
        else
            result = add_others(acc, in, column, err);
        if (result != 0)
            return -1;
    }
    return 0;
}

/* Of fields that the columns have it is what rows give. */
static int
minmax_add_cells(struct acc *acc, const struct acc_rows *in,
    const struct acc_cells *cells, struct err *err)
{
    struct extreme *extremes = ((struct minmax *)acc)->extremes.items;
    bool is_min = acc->fn->kind == STATS_MIN;

    if (!acc_is_of_duration(acc))
        return minmax_add(acc, in, err);
    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i);
        const struct acc_cell *cell = &cells->v[row];
        struct atom atom = {ATOM_INT, is_min ? cell->min : cell->max,
            {NULL, 0}};

        if (offer(acc, &extremes[acc_group(in, row)], &atom, err) != 0)
            return -1;
    }
    return 0;
}

static int
minmax_merge(struct acc *acc, struct acc *from, const uint32_t *map,
    struct err *err)
{
    struct extreme *extremes = ((struct minmax *)acc)->extremes.items;
    const struct extreme *add = ((struct minmax *)from)->extremes.items;

    for (uint32_t i = 0; i < from->ngroups; i++) {
        if (add[i].is_set &&
            offer(acc, &extremes[map[i]], &add[i].atom, err) != 0)
            return -1;
    }
    return 0;
}

static int
minmax_print(struct acc *acc, uint32_t group, struct sb *out,
    UNUSED struct err *err)
{
    const struct extreme *extreme =
        &((struct extreme *)((struct minmax *)acc)->extremes.items)[group];
    char buf[ATOM_TEXT_MAX];

    if (extreme->is_set)
        sb_add_sv(out, atom_text(&extreme->atom, buf));
    return 0;
}

static void
minmax_free(struct acc *acc)
{
    hold_drop(acc->hold, &((struct minmax *)acc)->extremes,
        sizeof(struct extreme));
}

/* Of each group: 0, or the tag + 1 and the number or text. */
static int
minmax_save(struct acc *acc, struct acc_range *range, struct sb *out,
    UNUSED struct err *err)
{
    const struct extreme *extremes = ((struct minmax *)acc)->extremes.items;

    for (uint32_t i = range->first; i < range->end; i++) {
        const struct atom *atom = &extremes[i].atom;

        sb_add_char(out, extremes[i].is_set ? (char)(atom->tag + 1) : 0);
        if (!extremes[i].is_set)
            continue;
        if (atom->tag == ATOM_TEXT)
            state_put_text(out, atom->text);
        else
            state_put64(out, (uint64_t)atom->v);
    }
    return 0;
}

static uint64_t
minmax_weigh(struct acc *acc, uint32_t group)
{
    const struct extreme *extremes = ((struct minmax *)acc)->extremes.items;

    return 16 + extremes[group].atom.text.len;
}

static int
minmax_load(struct acc *acc, struct enc_reader *in, struct err *err)
{
    struct extreme *extremes = ((struct minmax *)acc)->extremes.items;

    for (uint32_t i = 0; i < acc->ngroups; i++) {
        unsigned tag = enc_read8(in);
        struct atom atom = {ATOM_EMPTY, 0, {NULL, 0}};

        if (tag == 0)
            continue;
        if (tag > ATOM_TEXT + 1)
            return state_bad(err);
        atom.tag = (enum atom_tag)(tag - 1);
        if (atom.tag == ATOM_TEXT)
            atom.text = enc_read_sv(in);
        else
            atom.v = (int64_t)enc_read64(in);
        if (in->failed || (atom.tag == ATOM_TEXT && atom.text.len == 0))
            return state_bad(err);
        if (replace(acc, &extremes[i], &atom, err) != 0)
            return -1;
    }
    return 0;
}

const struct acc_ops acc_minmax = {
    .size = sizeof(struct minmax),
    .runs = ACC_RUNS_PLAIN,
    .reserve = minmax_reserve,
    .add = minmax_add,
    .add_cells = minmax_add_cells,
    .merge = minmax_merge,
    .print = minmax_print,
    .free = minmax_free,
    .save = minmax_save,
    .weigh = minmax_weigh,
    .load = minmax_load,
};
