/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the choice of merges (src/storage/compact_choice.h) leads to, without
 * any data: a clock, workers that flush, one merge at a time.  Prints, for
 * several loads, how many files a day has, how many level-1 parts wait, and
 * how many bytes are kept and written for a span.
 *
 *     merge_policy [WORKERS]
 *
 * A part is taken to have 10 KB and 30 bytes a row (level 1) or 26 (level 2),
 * a merge to take 1 us a row.  A memtable is flushed when it has 65,536 rows
 * or is 10 minutes old.
 */

#include "core/base.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/num.h"
#include "storage/compact_choice.h"

#define FLUSH_NS (600 * NS_PER_SEC)
#define FLUSH_ROWS 65536.0
#define SPANS_PER_TRACE 8
#define PART_BYTES 10000.0
#define LEVEL1_BYTES 30.0
#define LEVEL2_BYTES 26.0
#define DAYS_MAX 8
#define PARTS_MAX 65536u

struct sim_day {
    struct compact_part *parts;
    int64_t *made_ns;
    size_t n;
    size_t most; /* files at any time */
};

struct sim {
    double rate;
    int64_t now_ns;
    struct sim_day days[DAYS_MAX];
    uint64_t next_id;
    double rows, written, rewritten;
    uint64_t merges, largest_merge;
    size_t most_level1;
    /* The merge that runs. */
    int64_t busy_until_ns;
    unsigned busy_day;
    size_t nbusy;
    uint64_t busy_ids[MERGE_INPUTS_MAX];
};

static void
day_add(struct sim *sim, unsigned index, uint32_t level, double rows,
    int64_t min_end_ns)
{
    struct sim_day *day = &sim->days[index];
    struct compact_part *part = &day->parts[day->n];

    if (day->n == PARTS_MAX)
        abort();
    *part = (struct compact_part){.id = sim->next_id++, .level = level,
        .rows = (uint64_t)rows, .ntraces = (uint32_t)(rows / SPANS_PER_TRACE)
        + 1, .min_end_ns = min_end_ns};
    day->made_ns[day->n++] = sim->now_ns;
    day->most = MAX(day->most, day->n);
    sim->written += PART_BYTES + rows *
        (level == 1 ? LEVEL1_BYTES : LEVEL2_BYTES);
}

/* The rows of one memtable, parted at midnight. */
static void
sim_flush(struct sim *sim, int64_t since_ns, double rows)
{
    unsigned first = (unsigned)(since_ns / NS_PER_DAY);
    unsigned last = (unsigned)(sim->now_ns / NS_PER_DAY);

    sim->rows += rows;
    if (first != last && last < DAYS_MAX) {
        double share = (double)(last * NS_PER_DAY - since_ns) /
            (double)(sim->now_ns - since_ns);

        day_add(sim, first, 1, rows * share, since_ns);
        rows *= 1 - share;
        since_ns = last * NS_PER_DAY;
    }
    if (last < DAYS_MAX && rows >= 1)
        day_add(sim, last, 1, rows, since_ns);
}

static void
merge_end(struct sim *sim)
{
    struct sim_day *day = &sim->days[sim->busy_day];
    int64_t min_end_ns = INT64_MAX;
    double rows = 0;
    size_t kept = 0;

    for (size_t i = 0; i < day->n; i++) {
        bool is_input = false;

        for (size_t k = 0; k < sim->nbusy; k++)
            is_input |= sim->busy_ids[k] == day->parts[i].id;
        if (is_input) {
            rows += (double)day->parts[i].rows;
            min_end_ns = MIN(min_end_ns, day->parts[i].min_end_ns);
        } else {
            day->parts[kept] = day->parts[i];
            day->made_ns[kept++] = day->made_ns[i];
        }
    }
    day->n = kept;
    day_add(sim, sim->busy_day, 2, rows, min_end_ns);
    sim->rewritten += rows;
    sim->largest_merge = MAX(sim->largest_merge, (uint64_t)rows);
    sim->merges++;
    sim->nbusy = 0;
}

static void
merge_begin(struct sim *sim)
{
    uint32_t chosen[MERGE_INPUTS_MAX];

    for (unsigned d = 0; sim->nbusy == 0 && d < DAYS_MAX; d++) {
        struct sim_day *day = &sim->days[d];
        struct compact_day view = {.parts = day->parts, .n = day->n,
            .is_closed = sim->now_ns > (int64_t)(d + 1) * NS_PER_DAY +
            COMPACT_CLOSED_NS};
        uint64_t rows = 0;

        for (size_t i = 0; i < day->n; i++)
            day->parts[i].age_ns = sim->now_ns - day->made_ns[i];
        sim->nbusy = compact_choose(&view, chosen);
        for (size_t i = 0; i < sim->nbusy; i++) {
            sim->busy_ids[i] = day->parts[chosen[i]].id;
            rows += day->parts[chosen[i]].rows;
        }
        sim->busy_day = d;
        sim->busy_until_ns = sim->now_ns + (int64_t)rows * NS_PER_US;
    }
}

static void
sim_merge(struct sim *sim)
{
    size_t level1 = 0;
    unsigned today = (unsigned)(sim->now_ns / NS_PER_DAY);

    if (sim->nbusy != 0 && sim->now_ns >= sim->busy_until_ns)
        merge_end(sim);
    if (sim->nbusy == 0)
        merge_begin(sim);
    for (size_t i = 0; today < DAYS_MAX && i < sim->days[today].n; i++)
        level1 += sim->days[today].parts[i].level == 1;
    sim->most_level1 = MAX(sim->most_level1, level1);
}

static void
sim_print(const struct sim *sim, unsigned ndays)
{
    double bytes = 0, rows = 0;
    size_t files = 0, most = 0;

    for (unsigned d = 0; d < ndays; d++) {
        const struct sim_day *day = &sim->days[d];

        files = MAX(files, day->n);
        most = MAX(most, day->most);
        for (size_t i = 0; i < day->n; i++) {
            bytes += PART_BYTES + (double)day->parts[i].rows *
                (day->parts[i].level == 1 ? LEVEL1_BYTES : LEVEL2_BYTES);
            rows += (double)day->parts[i].rows;
        }
    }
    printf("%9.0f %5u %9zu %9zu %9zu %9.1f %9.1f %9.2f %8llu %10llu\n",
        sim->rate, ndays, files, most, sim->most_level1, bytes / rows,
        sim->written / sim->rows, sim->rewritten / sim->rows,
        (unsigned long long)sim->merges,
        (unsigned long long)sim->largest_merge);
}

static void
sim_run(double rate, unsigned workers, unsigned ndays)
{
    struct sim *sim = xcalloc(1, sizeof(*sim));
    double step = MIN(FLUSH_ROWS / rate * workers, FLUSH_NS / 1e9) / workers;
    int64_t step_ns = (int64_t)(step * 1e9);
    int64_t end_ns = (int64_t)ndays * NS_PER_DAY;

    sim->rate = rate;
    sim->next_id = 1;
    for (unsigned d = 0; d < DAYS_MAX; d++) {
        sim->days[d].parts = xcalloc(PARTS_MAX, sizeof(struct compact_part));
        sim->days[d].made_ns = xcalloc(PARTS_MAX, sizeof(int64_t));
    }
    /* Workers take turns: each flush holds its share since its last one. */
    for (sim->now_ns = step_ns * workers; sim->now_ns < end_ns;
        sim->now_ns += step_ns) {
        sim_flush(sim, sim->now_ns - step_ns * workers, rate * step);
        sim_merge(sim);
    }
    /* What a day looks like when nothing comes any more. */
    for (unsigned i = 0; i < 100; i++) {
        sim->now_ns += 300 * NS_PER_SEC;
        sim_merge(sim);
    }
    sim_print(sim, ndays);
    for (unsigned d = 0; d < DAYS_MAX; d++) {
        xfree(sim->days[d].parts);
        xfree(sim->days[d].made_ns);
    }
    xfree(sim);
}

int
main(int argc, char **argv)
{
    uint64_t v = 2;
    unsigned workers;

    if (argc > 1 && (!num_parse_u64(sv_from(argv[1]), &v) || v == 0 ||
        v > 64))
        return 2;
    workers = (unsigned)v;
    printf("%9s %5s %9s %9s %9s %9s %9s %9s %8s %10s\n", "spans/s", "days",
        "files/day", "most", "level 1", "B kept", "B written", "rewrites",
        "merges", "largest");
    sim_run(1, workers, 7);
    sim_run(10, workers, 7);
    sim_run(100, workers, 7);
    sim_run(300, workers, 7);
    sim_run(1000, workers, 7);
    sim_run(10000, workers, 7);
    sim_run(50000, workers, 2);
    sim_run(300000, workers, 1);
    return 0;
}
