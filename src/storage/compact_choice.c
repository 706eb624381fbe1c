/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/compact_choice.h"

#include "core/assert.h"
#include "core/mem.h"

/* Candidates of one rule, in the order of their ends. */
struct run {
    const struct compact_part *parts;
    uint32_t *v; /* places */
    size_t n;
};

/* Two with half of the traces that a merge may have cannot meet any more. */
static bool
part_is_final(const struct compact_part *part)
{
    return part->level > 1 && (part->rows >= COMPACT_FINAL_ROWS ||
        part->ntraces >= MERGE_TRACES_MAX / 2);
}

/* 0 for up to 7 rows, 1 for up to 63 ... */
static unsigned
part_size_class(const struct compact_part *part)
{
    return (63u - (unsigned)__builtin_clzll(part->rows | 1)) / 3;
}

static int
end_cmp(const void *left, const void *right, void *arg)
{
    const struct compact_part *parts = arg;
    const struct compact_part *a = &parts[*(const uint32_t *)left];
    const struct compact_part *b = &parts[*(const uint32_t *)right];

    if (a->min_end_ns != b->min_end_ns)
        return a->min_end_ns < b->min_end_ns ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

static void
run_sort(struct run *run)
{
    if (run->n > 1)
        qsort_r(run->v, run->n, sizeof(*run->v), end_cmp,
            (void *)(uintptr_t)run->parts);
}

/* What one merge holds so far. */
struct sum {
    size_t n;
    uint64_t rows;
    uint64_t traces;
    bool is_suspect;
};

static bool
sum_add(struct sum *sum, const struct compact_part *part)
{
    bool is_suspect = sum->is_suspect || part->is_suspect;
    size_t most = is_suspect ? COMPACT_SUSPECT_INPUTS : MERGE_INPUTS_MAX;

    if (sum->n + 1 > most || sum->rows + part->rows > MERGE_ROWS_MAX ||
        sum->traces + part->ntraces > MERGE_TRACES_MAX)
        return false;
    sum->n++;
    sum->rows += part->rows;
    sum->traces += part->ntraces;
    sum->is_suspect = is_suspect;
    return true;
}

/*
 * The first neighbours that fit into one merge, until it holds `enough` rows.
 * A part that fits with no neighbour is left out.
 */
static size_t
run_take(const struct run *run, uint64_t enough,
    uint32_t chosen[MERGE_INPUTS_MAX])
{
    size_t first = 0;

    while (first + 1 < run->n) {
        struct sum sum = {0, 0, 0, false};

        while (first + sum.n < run->n && sum.rows < enough &&
            sum_add(&sum, &run->parts[run->v[first + sum.n]]))
            ;
        if (sum.n >= 2) {
            memcpy(chosen, run->v + first, sum.n * sizeof(*chosen));
            return sum.n;
        }
        first++;
    }
    return 0;
}

/* --- rules --- */

static uint64_t
day_scale(const struct compact_day *day)
{
    uint64_t finals = 0, scale = 1;

    for (size_t i = 0; i < day->n; i++)
        finals += part_is_final(&day->parts[i]);
    while (scale < COMPACT_SCALE_MAX && finals >= COMPACT_SCALE * scale)
        scale *= 2;
    return scale;
}

/*
 * All that were there when it was asked for, in as few parts as may be, and
 * none of level 1.
 */
static size_t
choose_forced(const struct compact_day *day, struct run *run,
    uint32_t chosen[MERGE_INPUTS_MAX])
{
    size_t n;

    for (size_t i = 0; i < day->n; i++) {
        if (day->parts[i].id < day->forced_ids)
            run->v[run->n++] = (uint32_t)i;
    }
    run_sort(run);
    n = run_take(run, UINT64_MAX, chosen);
    for (size_t i = 0; n == 0 && i < run->n; i++) {
        if (run->parts[run->v[i]].level == 1)
            chosen[n++] = run->v[i];
    }
    return n;
}

static size_t
choose_level1(const struct compact_day *day, struct run *run,
    uint32_t chosen[MERGE_INPUTS_MAX])
{
    uint64_t scale = day_scale(day), rows = 0;
    int64_t age_ns = 0;

    for (size_t i = 0; i < day->n; i++) {
        if (day->parts[i].level > 1)
            continue;
        rows += day->parts[i].rows;
        age_ns = MAX(age_ns, day->parts[i].age_ns);
        run->v[run->n++] = (uint32_t)i;
    }
    if (rows < COMPACT_UNIT_ROWS * scale && run->n < COMPACT_COUNT * scale &&
        (run->n < COMPACT_SMALL_COUNT ||
        rows / run->n >= COMPACT_SMALL_ROWS) &&
        age_ns < COMPACT_AGE_NS && !day->is_pressed)
        return 0;
    run_sort(run);
    return run_take(run, COMPACT_UNIT_ROWS * scale, chosen);
}

/* Eight of a size and what is smaller. */
static size_t
choose_size_class(const struct compact_day *day, struct run *run,
    uint32_t chosen[MERGE_INPUTS_MAX])
{
    unsigned counts[22] = {0}, class = 0;

    for (size_t i = 0; i < day->n; i++) {
        const struct compact_part *part = &day->parts[i];

        if (part->level > 1 && !part_is_final(part))
            counts[part_size_class(part)]++;
    }
    while (class < ARRAY_LEN(counts) && counts[class] < COMPACT_FANIN)
        class++;
    for (size_t i = 0; class < ARRAY_LEN(counts) && i < day->n; i++) {
        const struct compact_part *part = &day->parts[i];

        if (part->level > 1 && !part_is_final(part) &&
            part_size_class(part) <= class)
            run->v[run->n++] = (uint32_t)i;
    }
    run_sort(run);
    return run_take(run, UINT64_MAX, chosen);
}

/* The largest stays out as long as it would be most of the work. */
static size_t
choose_closed(const struct compact_day *day, struct run *run,
    uint32_t chosen[MERGE_INPUTS_MAX])
{
    uint64_t rows = 0;

    for (size_t i = 0; day->is_closed && i < day->n; i++) {
        if (part_is_final(&day->parts[i]))
            continue;
        rows += day->parts[i].rows;
        run->v[run->n++] = (uint32_t)i;
    }
    while (run->n >= COMPACT_CLOSED_COUNT) {
        size_t largest = 0;
        uint64_t most;

        for (size_t i = 1; i < run->n; i++) {
            if (run->parts[run->v[i]].rows > run->parts[run->v[largest]].rows)
                largest = i;
        }
        most = run->parts[run->v[largest]].rows;
        if (most <= rows - most)
            break;
        rows -= most;
        run->v[largest] = run->v[--run->n];
    }
    if (run->n < COMPACT_CLOSED_COUNT)
        return 0;
    run_sort(run);
    return run_take(run, UINT64_MAX, chosen);
}

size_t
compact_choose(const struct compact_day *day,
    uint32_t chosen[MERGE_INPUTS_MAX])
{
    static size_t (*const rules[])(const struct compact_day *, struct run *,
        uint32_t *) = {choose_level1, choose_size_class, choose_closed};
    struct run run = {day->parts, NULL, 0};
    size_t n = 0;

    if (day->n < 2 && day->forced_ids == 0)
        return 0;
    run.v = xmalloc(day->n * sizeof(*run.v));
    if (day->forced_ids != 0) {
        n = choose_forced(day, &run, chosen);
    } else {
        for (size_t i = 0; n == 0 && i < ARRAY_LEN(rules); i++) {
            run.n = 0;
            n = rules[i](day, &run, chosen);
        }
    }
    xfree(run.v);
    check(n <= MERGE_INPUTS_MAX && (n != 1 || day->forced_ids != 0));
    return n;
}

size_t
compact_pending(const struct compact_day *day, uint64_t *rows)
{
    size_t n = 0;

    *rows = 0;
    for (size_t i = 0; i < day->n; i++) {
        if (day->parts[i].level > 1)
            continue;
        *rows += day->parts[i].rows;
        n++;
    }
    return n > 0 ? n - 1 : 0;
}
