/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Which parts are merged: the rules one by one, then random days on which
 * every answer must keep to the limits and the work must come to an end.
 */

#include "core/base.h"
#include "storage/compact_choice.h"

#include "core/mem.h"
#include "span_gen.h"
#include "tap.h"

#define PARTS 600u
#define RANDOM_DAYS 3000u

static struct compact_part parts[PARTS];
static uint32_t chosen[MERGE_INPUTS_MAX];

static struct compact_day
day_of(size_t n)
{
    return (struct compact_day){.parts = parts, .n = n};
}

/* n alike parts, one after the other. */
static void
fill(size_t n, uint32_t level, uint64_t rows)
{
    for (size_t i = 0; i < n; i++)
        parts[i] = (struct compact_part){.id = i + 1, .level = level,
            .rows = rows, .ntraces = (uint32_t)(rows / 8 + 1),
            .min_end_ns = (int64_t)i};
}

static size_t
choose(size_t n)
{
    struct compact_day day = day_of(n);

    return compact_choose(&day, chosen);
}

static void
test_level1(void)
{
    fill(64, 1, 3000);
    is_int(choose(0), 0, "an empty day");
    is_int(choose(15), 0, "15 small ones wait");
    is_int(choose(16), 16, "16 are merged");
    parts[3].age_ns = COMPACT_AGE_NS;
    is_int(choose(5), 5, "or fewer, when one is old");
    is_int(choose(1), 0, "but not a single one");
    fill(64, 1, 65536);
    is_int(choose(19), 0, "large ones wait longer");
    is_int(choose(20), 20, "until the result is final");
    is_int(choose(40), 20, "then as many as that takes");
    fill(64, 1, 17000);
    is_int(choose(63), 0, "in between: 63 wait");
    is_int(choose(64), 64, "64 do not");
    fill(400, 1, 10);
    is_int(choose(400), MERGE_INPUTS_MAX, "not more than a merge may have");
    parts[2].is_suspect = true;
    is_int(choose(400), COMPACT_SUSPECT_INPUTS, "few with a suspect one");
    is_int(chosen[0], 0, "from the oldest on");
}

static void
test_level2(void)
{
    struct compact_day day;

    fill(64, 2, 40000);
    is_int(choose(7), 0, "seven of a size");
    is_int(choose(8), 8, "eight of a size");
    fill(64, 2, COMPACT_FINAL_ROWS);
    is_int(choose(64), 0, "final ones stay");
    fill(16, 2, 400000);
    for (size_t i = 0; i < 16; i++)
        parts[i].ntraces = 400000;
    is_int(choose(16), 0, "so do those with very many traces");
    fill(16, 2, 40000);
    for (size_t i = 8; i < 16; i++)
        parts[i].rows = 500;
    is_int(choose(15), 15, "eight of a size take smaller ones along");
    fill(16, 2, 4096);
    for (size_t i = 1; i < 12; i++)
        parts[i].rows = 4096 >> i / 2;
    day = day_of(12);
    is_int(compact_choose(&day, chosen), 0, "twelve of different sizes");
    day.is_closed = true;
    is_int(compact_choose(&day, chosen), 12, "on a closed day they merge");
    parts[0].rows = 100000;
    is_int(compact_choose(&day, chosen), 0,
        "unless that writes a large one for little");
}

static void
test_scale(void)
{
    fill(PARTS, 2, COMPACT_FINAL_ROWS);
    for (size_t i = COMPACT_SCALE; i < PARTS; i++)
        parts[i] = (struct compact_part){.id = i + 1, .level = 1,
            .rows = 65536, .ntraces = 9000, .min_end_ns = (int64_t)i};
    is_int(choose(COMPACT_SCALE + 39), 0, "a day with many files waits");
    is_int(choose(COMPACT_SCALE + 40), 40, "for twice as much");
}

static void
test_forced(void)
{
    struct compact_day day;

    fill(40, 2, COMPACT_FINAL_ROWS);
    day = day_of(40);
    day.forced_ids = 41;
    is_int(compact_choose(&day, chosen),
        MERGE_TRACES_MAX / parts[0].ntraces, "forced: traces that one holds");
    for (size_t i = 0; i < 40; i++)
        parts[i].ntraces = 1000;
    is_int(compact_choose(&day, chosen), 16, "and rows that one holds");
    day.forced_ids = 3;
    is_int(compact_choose(&day, chosen), 2, "of those that were there");
    fill(3, 2, MERGE_ROWS_MAX - 10);
    parts[2].rows = 10;
    for (size_t i = 0; i < 3; i++)
        parts[i].ntraces = 10;
    day = day_of(3);
    day.forced_ids = 4;
    is_int(compact_choose(&day, chosen), 2, "what fits with its neighbour");
    is_int(chosen[0], 1, "which need not be the first");
    day.n = 2;
    is_int(compact_choose(&day, chosen), 0, "or nothing");
    parts[1].level = 1;
    is_int(compact_choose(&day, chosen), 1, "or one of level 1 alone");
    is_int(chosen[0], 1, "that one");
    day.forced_ids = parts[1].id;
    is_int(compact_choose(&day, chosen), 0, "if it was there");
    fill(1, 1, 100);
    day = day_of(1);
    is_int(compact_choose(&day, chosen), 0, "alone: not when nobody asked");
    day.forced_ids = 2;
    is_int(compact_choose(&day, chosen), 1, "alone: when somebody did");
}

static void
test_pressed(void)
{
    struct compact_day day;
    uint64_t rows;

    fill(3, 1, 100);
    day = day_of(3);
    is_int(compact_pending(&day, &rows), 2, "two of three wait");
    is_int(rows, 300, "rows that wait");
    day.is_pressed = true;
    is_int(compact_choose(&day, chosen), 3, "pressed: all at once");
}

/* --- random days --- */

static size_t
random_day(struct span_gen *g)
{
    size_t n = gen_below(g, PARTS);
    unsigned finals = gen_below(g, 4);

    for (size_t i = 0; i < n; i++) {
        struct compact_part *part = &parts[i];

        memset(part, 0, sizeof(*part));
        part->id = i + 1;
        part->level = 1 + (gen_below(g, 3) == 0);
        part->rows = part->level == 1 ? 1 + gen_below(g, 65536) :
            1 + gen_below(g, 1u << (1 + gen_below(g, 20 + finals)));
        part->ntraces = 1 + gen_below(g, (uint32_t)part->rows);
        part->min_end_ns = gen_below(g, 100000);
        part->age_ns = gen_below(g, 3700) * NS_PER_SEC;
        part->is_suspect = gen_below(g, 500) == 0;
    }
    return n;
}

static const char *
fault_of(const struct compact_day *day, size_t n)
{
    uint64_t rows = 0, traces = 0;
    bool is_suspect = false;

    for (size_t i = 0; i < n; i++) {
        const struct compact_part *part = &day->parts[chosen[i]];

        if (chosen[i] >= day->n)
            return "a place that is not there";
        if (i > 0 && (chosen[i] == chosen[i - 1] ||
            part->min_end_ns < day->parts[chosen[i - 1]].min_end_ns))
            return "not in order";
        if (day->forced_ids == 0 && part->level > 1 &&
            part->rows >= COMPACT_FINAL_ROWS)
            return "a final part";
        if (day->forced_ids != 0 && part->id >= day->forced_ids)
            return "newer than the request";
        rows += part->rows;
        traces += part->ntraces;
        is_suspect |= part->is_suspect;
    }
    if (n == 1 && (day->forced_ids == 0 || day->parts[chosen[0]].level > 1))
        return "one part for nothing";
    if (n > MERGE_INPUTS_MAX || rows > MERGE_ROWS_MAX ||
        traces > MERGE_TRACES_MAX ||
        (is_suspect && n > COMPACT_SUSPECT_INPUTS))
        return "a limit";
    return NULL;
}

/* What was chosen becomes one part; returns how many there are now. */
static size_t
merge(size_t n, size_t nchosen, uint64_t id)
{
    struct compact_part out = {.id = id, .level = 2,
        .min_end_ns = parts[chosen[0]].min_end_ns};
    size_t kept = 0;

    for (size_t i = 0; i < nchosen; i++) {
        out.rows += parts[chosen[i]].rows;
        out.ntraces += parts[chosen[i]].ntraces;
        parts[chosen[i]].rows = 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (parts[i].rows != 0)
            parts[kept++] = parts[i];
    }
    parts[kept++] = out;
    return kept;
}

static void
test_random(void)
{
    struct span_gen g = {.state = 1};
    const char *fault = NULL;
    unsigned questions = 0, merges = 0, most = 0, endless = 0;

    for (unsigned i = 0; fault == NULL && i < RANDOM_DAYS; i++) {
        struct compact_day day = day_of(random_day(&g));
        unsigned rounds = 0;
        size_t n;

        day.is_closed = gen_below(&g, 2) == 0;
        day.is_pressed = gen_below(&g, 8) == 0;
        day.forced_ids = gen_below(&g, 4) == 0 ? gen_below(&g, PARTS) : 0;
        while (fault == NULL && (n = compact_choose(&day, chosen)) > 0 &&
            rounds++ < 2 * PARTS) {
            fault = fault_of(&day, n);
            questions++;
            if (fault != NULL)
                break;
            day.n = merge(day.n, n, 1000 + rounds);
            merges++;
        }
        endless += rounds > 2 * PARTS;
        most = MAX(most, rounds);
    }
    ok(fault == NULL, "%u answers keep to the limits: %s", questions,
        fault != NULL ? fault : "all");
    is_int(endless, 0, "%u merges on %u days, at most %u on one", merges,
        RANDOM_DAYS, most);
}

int
main(void)
{
    test_level1();
    test_level2();
    test_scale();
    test_forced();
    test_pressed();
    test_random();
    return tap_done();
}
