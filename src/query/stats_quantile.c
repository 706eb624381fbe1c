/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * quantile and median: exact up to 10,000 values of a group, above that from
 * a stratified sample.
 *
 * The values of a group are cut into windows of 2^shift; of each window one
 * value, chosen at random, is kept.  When as many are there as a lane keeps,
 * one of each two is dropped at random and windows are twice as long.  So a
 * row costs a countdown, a sample a cheap random number, and no window is
 * ever looked at again.  The error of the rank is at most that of as many
 * values drawn at random: with 10,000 of them 0.5 % (one sigma) at the
 * median, less beside it.
 *
 * Values are kept as numbers.  Text is kept once per distinct value, and
 * only of samples.
 */

#include "core/base.h"
#include "query/stats_quantile.h"

#include "query/atom.h"
#include "query/msort.h"

/* Of each lane, if there are several: together they have as many. */
#define LANE_SAMPLES_MAX 12000u

static int
quantile_init(struct acc *acc, struct err *err)
{
    struct quantile *q = (struct quantile *)acc;

    sampler_init(&q->sampler, acc->hold,
        acc->run->nlanes > 1 ? LANE_SAMPLES_MAX : SAMPLES_MAX);
    return keys_init(&q->texts, acc->hold, 1, NULL, err);
}

static int
quantile_reserve(struct acc *acc, uint32_t ngroups, struct err *err)
{
    struct quantile *q = (struct quantile *)acc;
    uint32_t old = acc->ngroups;
    uint32_t *left;

    if (hold_grow(acc->hold, &q->groups, ngroups, sizeof(struct samples),
            err) != 0 ||
        hold_grow(acc->hold, &q->left, ngroups, sizeof(*left), err) != 0)
        return -1;
    left = q->left.items;
    for (uint32_t i = old; i < ngroups; i++)
        left[i] = 1;
    return 0;
}

/* --- taking samples --- */

static int
atom_to_sample(struct quantile *q, struct samples *samples,
    const struct atom *atom, struct err *err)
{
    int64_t v = atom->v;

    if (samples_reserve(&q->sampler, samples, samples->n + 1, err) != 0 ||
        (atom->tag != ATOM_INT && samples_tag(&q->sampler, samples,
            err) != 0))
        return -1;
    if (atom->tag == ATOM_TEXT) {
        uint32_t id;

        if (keys_find(&q->texts, &atom->text, &id, err) != 0)
            return -1;
        v = id;
    }
    if (samples->tags != NULL)
        samples->tags[samples->n] = (uint8_t)atom->tag;
    samples->v[samples->n++] = v;
    return 0;
}

/* Is there room in pieces for the next one?  The last of all goes behind. */
static inline bool
is_first(const struct quantile *q, const struct samples *samples)
{
    return samples_in_pieces(samples) && samples->shift == 0 &&
        samples->n < q->sampler.max - 1;
}

static int
take(struct quantile *q, const struct column *column, uint32_t row,
    uint32_t group, struct err *err)
{
    struct samples *samples = &((struct samples *)q->groups.items)[group];
    struct atom atom;
    char buf[ATOM_TEXT_MAX];

    if (column->kind == COLUMN_INTS && samples->tags == NULL &&
        column->present == NULL) {
        atom = (struct atom){ATOM_INT, column->ints[row], {NULL, 0}};
    } else {
        atom = atom_of_row(column, row, buf);
    }
    if (atom.tag == ATOM_INT && is_first(q, samples)) {
        ((uint32_t *)q->left.items)[group] = 1;
        return samples_put_int(&q->sampler, samples, atom.v, err);
    }
    if (atom_to_sample(q, samples, &atom, err) != 0)
        return -1;
    ((uint32_t *)q->left.items)[group] = samples_next(&q->sampler, samples);
    return 0;
}

/* The first values of a group, as long as each is kept; how many. */
static int
add_first(struct quantile *q, struct samples *samples,
    const int64_t *ints, const struct picks *picks, struct err *err)
{
    /*
     * The last one that has room begins the sampling.  There are more
     * already where a state was merged into the lane.
     */
    uint32_t most = q->sampler.max - 1;
    uint32_t n = samples->n < most ? MIN(picks->n, most - samples->n) : 0;

    if (!samples_in_pieces(samples)) {
        if (samples_reserve(&q->sampler, samples, samples->n + n, err) != 0)
            return -1;
        for (uint32_t i = 0; i < n; i++)
            samples->v[samples->n + i] = ints[picks_row(picks, i)];
        samples->n += n;
        return (int)n;
    }
    if (picks->index == NULL) {
        if (samples_put_ints(&q->sampler, samples, ints + picks->first, n,
                err) != 0)
            return -1;
        return (int)n;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (samples_put_int(&q->sampler, samples, ints[picks->index[i]],
                err) != 0)
            return -1;
    }
    return (int)n;
}

/* Values of a group that is sampled. */
static uint32_t
add_sampled(struct quantile *q, struct samples *samples,
    const int64_t *ints, const struct picks *picks, uint32_t at)
{
    uint32_t left = ((uint32_t *)q->left.items)[samples -
        (struct samples *)q->groups.items];

    while (left <= picks->n - at) {
        at += left;
        samples->v[samples->n++] = ints[picks_row(picks, at - 1)];
        left = samples_next(&q->sampler, samples);
    }
    return left - (picks->n - at);
}

/* Whole numbers of all rows, in one group: most queries. */
static int
add_ints_of_one(struct quantile *q, const struct acc_rows *in,
    const int64_t *ints, struct err *err)
{
    struct samples *samples = &((struct samples *)q->groups.items)[in->one];
    uint32_t *left = &((uint32_t *)q->left.items)[in->one];
    int at = 0;

    if (samples->shift == 0) {
        at = add_first(q, samples, ints, &in->picks, err);
        if (at < 0)
            return -1;
        if ((uint32_t)at == in->picks.n)
            return 0;
    }
    /* From here on it is halved before it has more. */
    if (samples_reserve(&q->sampler, samples, MAX(samples->n + 1,
            q->sampler.max), err) != 0)
        return -1;
    *left = add_sampled(q, samples, ints, &in->picks, (uint32_t)at);
    return 0;
}

static int
add_one_group(struct quantile *q, const struct acc_rows *in,
    const struct column *column, struct err *err)
{
    uint32_t *left = &((uint32_t *)q->left.items)[in->one];
    uint32_t at = 0;

    if (column->kind == COLUMN_INTS && column->present == NULL &&
        ((struct samples *)q->groups.items)[in->one].tags == NULL)
        return add_ints_of_one(q, in, column->ints, err);
    while (*left <= in->picks.n - at) {
        at += *left;
        if (take(q, column, picks_row(&in->picks, at - 1), in->one,
                err) != 0)
            return -1;
    }
    *left -= in->picks.n - at;
    return 0;
}

/* Whole numbers of all rows and of several groups; most queries. */
static int
add_ints(struct quantile *q, const struct acc_rows *in,
    const struct column *column, struct err *err)
{
    struct samples *all = q->groups.items;
    uint32_t *left = q->left.items;
    const uint32_t *groups = in->groups;

    for (uint32_t i = 0; i < in->picks.n; i++) {
        uint32_t row = picks_row(&in->picks, i), group = groups[row];
        struct samples *samples = &all[group];

        if (--left[group] != 0)
            continue;
        if (LIKELY(is_first(q, samples))) {
            left[group] = 1;
            if (samples_put_int(&q->sampler, samples, column->ints[row],
                    err) != 0)
                return -1;
            continue;
        }
        if (UNLIKELY(samples->tags != NULL || samples->n >= samples->cap)) {
            if (take(q, column, row, group, err) != 0)
                return -1;
            continue;
        }
        samples->v[samples->n++] = column->ints[row];
        left[group] = samples_next(&q->sampler, samples);
    }
    return 0;
}

static int
quantile_add(struct acc *acc, const struct acc_rows *in, struct err *err)
{
    struct quantile *q = (struct quantile *)acc;
    uint32_t *left = q->left.items;
    const uint32_t *groups = in->groups;

    for (uint32_t k = 0; k < in->ncolumns; k++) {
        const struct column *column = &in->columns[k];

        if (groups == NULL) {
            if (add_one_group(q, in, column, err) != 0)
                return -1;
            continue;
        }
        if (column->kind == COLUMN_INTS && column->present == NULL) {
            if (add_ints(q, in, column, err) != 0)
                return -1;
            continue;
        }
        for (uint32_t i = 0; i < in->picks.n; i++) {
            uint32_t row = picks_row(&in->picks, i);

            if (UNLIKELY(--left[groups[row]] == 0) &&
                take(q, column, row, groups[row], err) != 0)
                return -1;
        }
    }
    return 0;
}

/* --- merging --- */

static int
samples_append(struct quantile *q, struct samples *to,
    const struct quantile *from, const struct samples *add, struct err *err)
{
    if (add->n == 0)
        return 0;
    if (samples_reserve(&q->sampler, to, to->n + add->n, err) != 0)
        return -1;
    if (to->tags == NULL && add->tags == NULL) {
        samples_copy(add, to->v + to->n);
        to->n += add->n;
        return 0;
    }
    for (uint32_t i = 0; i < add->n; i++) {
        struct atom atom = {ATOM_INT, add->v[i], {NULL, 0}};

        if (add->tags != NULL)
            atom.tag = add->tags[i];
        if (atom.tag == ATOM_TEXT)
            keys_texts(&from->texts, (uint32_t)add->v[i], &atom.text);
        if (atom_to_sample(q, to, &atom, err) != 0)
            return -1;
    }
    return 0;
}

static int
merge_group(struct quantile *q, struct samples *to, struct quantile *from,
    struct samples *add, struct err *err)
{
    if (samples_in_pieces(to) && samples_in_pieces(add) &&
        to->shift == 0 && add->shift == 0 && to->n + add->n <= SAMPLES_MAX) {
        samples_link(to, add);
        return 0;
    }
    if (samples_reserve(&from->sampler, add, add->n, err) != 0 ||
        samples_reserve(&q->sampler, to, to->n, err) != 0)
        return -1;
    /* Samples of equal weight can be put together. */
    while (to->shift < add->shift)
        samples_halve(&q->sampler, to);
    while (add->shift < to->shift)
        samples_halve(&q->sampler, add);
    if (samples_append(q, to, from, add, err) != 0)
        return -1;
    while (to->n > SAMPLES_MAX)
        samples_halve(&q->sampler, to);
    samples_drop(&from->sampler, add);
    return 0;
}

static int
quantile_merge(struct acc *acc, struct acc *from_acc, const uint32_t *map,
    struct err *err)
{
    struct quantile *q = (struct quantile *)acc;
    struct quantile *from = (struct quantile *)from_acc;
    struct samples *groups = q->groups.items, *add = from->groups.items;

    for (uint32_t i = 0; i < from_acc->ngroups; i++) {
        if ((i % 64 == 0 && run_poll(acc->run, err) != 0) ||
            merge_group(q, &groups[map[i]], from, &add[i], err) != 0)
            return -1;
    }
    return 0;
}

/* --- the answer --- */

static int
compare_atoms(const void *a, const void *b, UNUSED const void *arg)
{
    return atom_order_total(a, b);
}

/* Values of several kinds. */
static int
select_mixed(struct quantile *q, const struct samples *samples, uint32_t k,
    struct sb *out, struct err *err)
{
    struct msort how = {compare_atoms, NULL, q->acc.hold, q->acc.run};
    struct hold_array atoms = {NULL, 0}, items = {NULL, 0};
    const void **order;
    struct atom *v;
    char buf[ATOM_TEXT_MAX];
    int result = -1;

    if (hold_grow(q->acc.hold, &atoms, samples->n, sizeof(*v), err) != 0 ||
        hold_grow(q->acc.hold, &items, samples->n, sizeof(void *), err) != 0)
        goto out;
    v = atoms.items;
    order = items.items;
    for (uint32_t i = 0; i < samples->n; i++) {
        v[i] = (struct atom){samples->tags[i], samples->v[i], {NULL, 0}};
        if (v[i].tag == ATOM_TEXT)
            keys_texts(&q->texts, (uint32_t)v[i].v, &v[i].text);
        order[i] = &v[i];
    }
    if (msort(&how, order, samples->n, err) != 0)
        goto out;
    sb_add_sv(out, atom_text(order[k], buf));
    result = 0;
out:
    hold_drop(q->acc.hold, &atoms, sizeof(*v));
    hold_drop(q->acc.hold, &items, sizeof(void *));
    return result;
}

/* Puts the empty ones aside; true if the rest is of one kind of number. */
static bool
is_one_kind(struct samples *samples, uint32_t *nempty, uint8_t *tag)
{
    uint32_t n = 0;

    *nempty = 0;
    *tag = ATOM_INT;
    if (samples->tags == NULL)
        return true;
    for (uint32_t i = 0; i < samples->n; i++) {
        if (samples->tags[i] == ATOM_TEXT)
            return false;
        if (samples->tags[i] == ATOM_EMPTY) {
            ++*nempty;
            continue;
        }
        if (n > 0 && samples->tags[i] != *tag)
            return false;
        *tag = samples->tags[i];
        n++;
    }
    n = 0;
    for (uint32_t i = 0; i < samples->n; i++) {
        if (samples->tags[i] != ATOM_EMPTY)
            samples->v[n++] = samples->v[i];
    }
    return true;
}

static uint32_t
place_of(double phi, uint32_t n)
{
    return phi <= 0 ? 0 : phi >= 1 ? n - 1 : MIN((uint32_t)(phi * n), n - 1);
}

/* Of whole numbers. */
static void
quantile_finish(struct acc *acc, uint32_t group, struct pool *pool)
{
    struct quantile *q = (struct quantile *)acc;
    struct samples *samples = &((struct samples *)q->groups.items)[group];
    int64_t *scratch;

    if (samples->n == 0 || samples->tags != NULL)
        return;
    /* Without memory there, quantile_print() does it. */
    scratch = pool_alloc(pool, samples->n * sizeof(*scratch));
    if (scratch == NULL)
        return;
    samples->answer = samples_select(samples,
        place_of(acc->fn->phi, samples->n), scratch);
    samples->is_done = true;
}

static int
quantile_print(struct acc *acc, uint32_t group, struct sb *out,
    struct err *err)
{
    struct quantile *q = (struct quantile *)acc;
    struct samples *samples = &((struct samples *)q->groups.items)[group];
    uint32_t k, nempty;
    uint8_t tag;
    struct atom atom;
    char buf[ATOM_TEXT_MAX];

    if (samples->n == 0)
        return 0;
    if (samples->is_done) {
        atom = (struct atom){ATOM_INT, samples->answer, {NULL, 0}};
        sb_add_sv(out, atom_text(&atom, buf));
        return 0;
    }
    k = place_of(acc->fn->phi, samples->n);
    if (samples_reserve(&q->sampler, samples, samples->n, err) != 0)
        return -1;
    if (!is_one_kind(samples, &nempty, &tag))
        return select_mixed(q, samples, k, out, err);
    if (k < nempty)
        return 0;
    atom = (struct atom){tag, select_int(samples->v, samples->n - nempty,
        k - nempty), {NULL, 0}};
    sb_add_sv(out, atom_text(&atom, buf));
    return 0;
}

static void
quantile_free(struct acc *acc)
{
    struct quantile *q = (struct quantile *)acc;
    struct samples *groups = q->groups.items;

    for (size_t i = 0; i < q->groups.cap; i++)
        samples_drop(&q->sampler, &groups[i]);
    hold_drop(acc->hold, &q->groups, sizeof(struct samples));
    hold_drop(acc->hold, &q->left, sizeof(uint32_t));
    keys_drop(&q->texts);
}

const struct acc_ops acc_quantile = {
    .size = sizeof(struct quantile),
    .runs = ACC_RUNS_ALWAYS,
    .keeps_hold = true,
    .init = quantile_init,
    .reserve = quantile_reserve,
    .add = quantile_add,
    .merge = quantile_merge,
    .finish = quantile_finish,
    .print = quantile_print,
    .free = quantile_free,
    .save = quantile_save,
    .weigh = quantile_weigh,
    .load = quantile_load,
};
