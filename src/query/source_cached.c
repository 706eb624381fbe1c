/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Parts never change, so what stats has of a whole part depends on the part
 * and the plan alone.  Each such part gets a stage of its own (a fork) for
 * its rows; when its last block is done its state is kept, and goes to the
 * query's own stage.
 *
 * The key has all that a state depends on: the tenant, the part, the times of
 * it that are wanted, the filter and the functions as canonical text.  Times
 * in the filter are in the key as the times of the part that they let
 * through; a query with times elsewhere, where the text does not tell them,
 * or with subqueries keeps nothing.  The key's hash has a secret.
 */

#include "core/base.h"
#include "query/index.h"

#include <pthread.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/mem.h"
#include "query/dict.h"
#include "query/parse.h"
#include "query/parser.h"
#include "query/result_cache.h"
#include "query/stage_stats.h"
#include "query/state.h"

/* Parts with fewer rows are counted faster than looked up. */
#define CACHED_ROWS_MIN 10000u
/* A state of more groups is not kept, nor that of any later part. */
#define CACHED_GROUPS_MAX 20000u
#define PLAN_TEXT_MAX MIB
#define STATE_TEXT_MAX (2 * RESULT_CACHE_STATE_MAX)

struct cached_part {
    pthread_mutex_t mutex; /* of fork and is_wanted */
    struct stage *fork;
    struct result_key key;
    bool is_wanted;        /* its state is to be kept */
    _Atomic bool has_failed;
    _Atomic uint32_t left; /* blocks */
};

struct source_cached {
    const struct source_plan *plan;
    struct scan *scan;
    struct cached_part *parts; /* by item */
    uint32_t n;
    struct sb text;            /* of the plan */
    _Atomic bool is_wide;      /* one state was too large to be kept */
};

/* --- what can be kept --- */

/* Does the canonical text say all of it, whenever it is read? */
static bool
is_lasting(const struct filter *filter)
{
    if (filter == NULL)
        return true;
    /* options(time_offset) moves days and weeks, too, but not their text. */
    if (filter->kind == FILTER_TIME || filter->kind == FILTER_DAY_RANGE ||
        filter->kind == FILTER_WEEK_RANGE || filter->subquery != NULL)
        return false;
    for (uint32_t i = 0; i < filter->nitems; i++) {
        if (!is_lasting(filter->items[i]))
            return false;
    }
    return true;
}

/* The filter without the times that the part's own bounds stand for. */
static bool
add_filter(struct sb *text, const struct filter *filter)
{
    if (filter->kind == FILTER_TIME)
        return true;
    if (filter->kind != FILTER_AND) {
        if (!is_lasting(filter))
            return false;
        filter_print(text, filter);
        sb_add_char(text, '\n');
        return true;
    }
    for (uint32_t i = 0; i < filter->nitems; i++) {
        if (!add_filter(text, filter->items[i]))
            return false;
    }
    return true;
}

/* False: nothing can be kept of this query. */
static bool
plan_text(struct sb *text, const struct source_plan *plan)
{
    const struct stage_stats *stats =
        (const struct stage_stats *)plan->first;

    for (uint32_t i = 0; i < stats->spec->nfns; i++) {
        if (!is_lasting(stats->spec->fns[i].filter))
            return false;
    }
    sb_add(text, &plan->tenant, sizeof(plan->tenant));
    print_pipe(text, stats->pipe);
    sb_add_char(text, '\n');
    return add_filter(text, plan->filter) && !sb_failed(text);
}

/* What a state is of, besides the plan; of zeros: the plan itself. */
struct about {
    struct part_info part;
    int64_t min_time, max_time;
};

static struct result_key
hash_key(const struct source_cached *cached, const struct about *about)
{
    XXH3_state_t hash;
    XXH128_hash_t sum;

    /* With a secret, so that no tenant can look for the key of another's. */
    (void)XXH3_128bits_reset_withSeed(&hash, dict_secret());
    XXH3_128bits_update(&hash, about, sizeof(*about));
    XXH3_128bits_update(&hash, cached->text.ptr, cached->text.len);
    sum = XXH3_128bits_digest(&hash);
    return (struct result_key){sum.low64, sum.high64};
}

/* Under this an empty state is kept when those of the plan are too large. */
static struct result_key
key_of_plan(const struct source_cached *cached)
{
    struct about about;

    memset(&about, 0, sizeof(about));
    return hash_key(cached, &about);
}

static struct result_key
key_of(const struct source_cached *cached, const struct part_info *part)
{
    const struct source_plan *plan = cached->plan;
    struct about about;

    memset(&about, 0, sizeof(about)); /* padding, too */
    about.part.id = part->id;
    about.part.day = part->day;
    about.part.level = part->level;
    about.part.rows = part->rows;
    about.part.bytes = part->bytes;
    about.part.min_end_ns = part->min_end_ns;
    about.part.max_end_ns = part->max_end_ns;
    about.min_time = MAX(plan->min_time, part->min_end_ns);
    about.max_time = MIN(plan->max_time, part->max_end_ns);
    return hash_key(cached, &about);
}

/* --- what is known --- */

static int
take_part(struct source_cached *cached, uint32_t item, uint8_t *fate,
    struct sb *state, struct err *err)
{
    const struct catalog_item *from = &cached->scan->snapshot.items[item];
    struct cached_part *part = &cached->parts[item];
    uint32_t rows_min = cached->plan->results_rows_min;

    if (from->kind != CATALOG_PART ||
        from->part.rows < (rows_min != 0 ? rows_min : CACHED_ROWS_MIN))
        return 0;
    part->is_wanted = true;
    part->key = key_of(cached, &from->part);
    sb_reset(state);
    if (!result_cache_get(&part->key, state))
        return 0;
    *fate = FATE_INDEX;
    return stats_load(cached->plan->first, 0, sb_sv(state), err);
}

static int
take_known(struct source_cached *cached, struct err *err)
{
    uint8_t *fates = pool_zalloc(cached->scan->pool, cached->n + 1u);
    struct sb state;
    int rc = 0;

    if (fates == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    sb_init(&state, STATE_TEXT_MAX);
    for (uint32_t i = 0; i < cached->n && rc == 0; i++) {
        rc = run_poll(cached->plan->run, err);
        if (rc == 0)
            rc = take_part(cached, i, &fates[i], &state, err);
    }
    sb_release(&state);
    scan_drop_blocks(cached->scan, fates);
    /* Now those that are left, to see whether other indexes take some. */
    for (uint32_t i = 0; i < cached->scan->nblocks; i++)
        cached->parts[cached->scan->blocks[i].item].left++;
    return rc;
}

/* False: nothing can be kept of the plan, or its states were too large. */
static bool
is_worth_it(struct source_cached *cached)
{
    struct result_key key;

    if (!plan_text(&cached->text, cached->plan))
        return false;
    key = key_of_plan(cached);
    return !result_cache_has(&key);
}

int
source_cached_take(struct source_cached **out,
    const struct source_plan *plan, struct scan *scan, struct err *err)
{
    struct source_cached *cached;

    *out = NULL;
    if (plan->results_max == 0 || !stats_can_save(plan->first) ||
        stats_counts_traces(plan->first))
        return 0;
    cached = xcalloc(1, sizeof(*cached));
    cached->plan = plan;
    cached->scan = scan;
    sb_init(&cached->text, PLAN_TEXT_MAX);
    if (!is_worth_it(cached)) {
        source_cached_free(cached);
        return 0;
    }
    cached->n = scan->snapshot.n;
    cached->parts = xcalloc((size_t)cached->n + 1, sizeof(*cached->parts));
    for (uint32_t i = 0; i < cached->n; i++)
        pthread_mutex_init(&cached->parts[i].mutex, NULL);
    *out = cached;
    return take_known(cached, err);
}

void
source_cached_free(struct source_cached *cached)
{
    if (cached == NULL)
        return;
    for (uint32_t i = 0; i < cached->n; i++) {
        if (cached->parts[i].fork != NULL)
            cached->parts[i].fork->ops->free(cached->parts[i].fork);
        pthread_mutex_destroy(&cached->parts[i].mutex);
    }
    xfree(cached->parts);
    sb_release(&cached->text);
    xfree(cached);
}

/* --- what is to be known --- */

/* From the lists of items to one behind the other; a counting sort. */
int
source_cached_sort(struct source_cached *cached, struct err *err)
{
    struct scan *scan = cached->scan;
    uint32_t *at = pool_zalloc(scan->pool,
        ((size_t)cached->n + 1) * sizeof(*at));
    struct scan_block *sorted = pool_alloc(scan->pool,
        scan->nblocks * sizeof(*sorted) + 1);

    if (at == NULL || sorted == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t i = 0; i < scan->nblocks; i++)
        at[scan->blocks[i].item + 1]++;
    for (uint32_t i = 0; i < cached->n; i++) {
        /* Other indexes have given some of its rows to the stage itself. */
        if (at[i + 1] != atomic_load(&cached->parts[i].left))
            cached->parts[i].is_wanted = false;
        at[i + 1] += at[i];
    }
    for (uint32_t i = 0; i < scan->nblocks; i++)
        sorted[at[scan->blocks[i].item]++] = scan->blocks[i];
    scan->blocks = sorted;
    return 0;
}

int
source_cached_stage(struct source_cached *cached, uint32_t item,
    struct stage **out, struct err *err)
{
    struct cached_part *part = &cached->parts[item];
    int rc = 0;

    *out = cached->plan->first;
    pthread_mutex_lock(&part->mutex);
    if (part->fork == NULL && atomic_load(&cached->is_wide))
        part->is_wanted = false;
    if (part->is_wanted && part->fork == NULL)
        rc = stats_fork(&part->fork, cached->plan->first, err);
    if (part->is_wanted)
        *out = part->fork;
    pthread_mutex_unlock(&part->mutex);
    return rc;
}

void
source_cached_failed(struct source_cached *cached, uint32_t item)
{
    atomic_store(&cached->parts[item].has_failed, true);
}

static int
keep(struct source_cached *cached, struct cached_part *part, struct err *err)
{
    struct sb state;
    int rc;

    if (atomic_load(&cached->is_wide))
        return 0;
    sb_init(&state, STATE_TEXT_MAX);
    rc = stats_save(part->fork, CACHED_GROUPS_MAX, &state, err);
    if (rc == 0 && !sb_failed(&state) &&
        state.len <= RESULT_CACHE_STATE_MAX) {
        result_cache_put(&part->key, sb_sv(&state),
            cached->plan->results_max);
    } else if (rc >= 0) {
        struct result_key plan = key_of_plan(cached);

        atomic_store(&cached->is_wide, true);
        result_cache_put(&plan, SV_EMPTY, cached->plan->results_max);
    }
    sb_release(&state);
    return rc < 0 ? -1 : 0;
}

int
source_cached_done(struct source_cached *cached, uint32_t item,
    unsigned lane, struct err *err)
{
    struct cached_part *part = &cached->parts[item];
    int rc = 0;

    if (atomic_fetch_sub(&part->left, 1) != 1)
        return 0;
    if (!atomic_load(&part->has_failed)) {
        rc = keep(cached, part, err);
        if (rc == 0)
            rc = stats_join(cached->plan->first, lane, part->fork, err);
    }
    part->fork->ops->free(part->fork);
    part->fork = NULL;
    return rc;
}
