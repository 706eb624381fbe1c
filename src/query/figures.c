/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/figures.h"

#include <time.h>

#include "core/file.h"
#include "core/json_out.h"
#include "core/mem.h"
#include "core/timefmt.h"
#include "query/filter.h"
#include "query/parse.h"
#include "query/pipe_type.h"
#include "query/query.h"
#include "query/text.h"

/* Texts of filters and pipes in a plan. */
#define FIGURES_TEXT_MAX (256 * KIB)

static struct query_figures unread;

struct query_figures *
figures_of(const struct query_run *run)
{
    return run == NULL || run->env == NULL || run->env->figures == NULL
        ? &unread : run->env->figures;
}

/* --- threads --- */

static int64_t
thread_cpu_ns(void)
{
    struct timespec ts;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) != 0)
        return 0;
    return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

void
figures_lap_begin(struct figures_lap *lap)
{
    lap->bytes = file_thread_bytes();
    lap->cpu_ns = thread_cpu_ns();
}

void
figures_lap_end(struct query_figures *figures, const struct figures_lap *lap)
{
    figures_add(&figures->bytes, file_thread_bytes() - lap->bytes);
    atomic_fetch_add_explicit(&figures->cpu_ns,
        thread_cpu_ns() - lap->cpu_ns, memory_order_relaxed);
}

/* --- filters --- */

/* The innermost filter that lets no row of the block pass. */
static const struct filter *
skipping_filter(const struct filter *filter, struct block *block)
{
    while (filter->kind == FILTER_AND) {
        uint32_t i = 0;

        while (i < filter->nitems && filter_may_match(filter->items[i],
            block))
            i++;
        if (i == filter->nitems)
            break;
        filter = filter->items[i];
    }
    return filter;
}

void
figures_skip(const struct query_run *run, const struct filter *filter,
    struct block *block)
{
    struct query_figures *figures = figures_of(run);

    figures_add(&figures->skipped, 1);
    if (!figures->is_explained || run->depth > 0)
        return;
    filter = skipping_filter(filter, block);
    for (uint32_t i = 0; i < FIGURES_FILTERS_MAX; i++) {
        struct figures_filter *mine = &figures->filters[i];
        const struct filter *other = NULL;

        if (atomic_compare_exchange_strong(&mine->filter, &other, filter) ||
            other == filter) {
            figures_add(&mine->blocks, 1);
            return;
        }
    }
}

/* --- stages --- */

struct counter {
    struct stage stage;
    uint32_t i;
};

void
figures_stage_add(struct query_figures *figures, uint32_t i, uint64_t rows,
    int64_t ns)
{
    struct figures_stage *mine =
        &figures->stages[MIN(i, FIGURES_STAGES_MAX - 1)];

    figures_add(&mine->rows, rows);
    atomic_fetch_add_explicit(&mine->ns, ns, memory_order_relaxed);
}

static int
counter_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    uint32_t i = ((struct counter *)stage)->i;
    uint64_t n = rows->nselected;
    int64_t start_ns = clock_mono_ns();
    int rc = stage_write(stage->next, lane, rows, err);

    figures_stage_add(figures_of(stage->run), i, n,
        clock_mono_ns() - start_ns);
    return rc;
}

static int
counter_flush(struct stage *stage, struct err *err)
{
    (void)stage;
    (void)err;
    return 0;
}

static void
counter_free(struct stage *stage)
{
    xfree(stage);
}

static const struct stage_ops counter_ops = {counter_write, counter_flush,
    counter_free};

struct stage *
figures_stage(struct query_run *run, uint32_t i, const struct pipe *pipe,
    struct stage *next)
{
    struct query_figures *figures = figures_of(run);
    struct counter *counter;

    if (!figures->is_explained || run->depth > 0)
        return next;
    if (i < FIGURES_STAGES_MAX) {
        figures->stages[i].pipe = pipe;
        figures->nstages = MAX(figures->nstages, i + 1);
    }
    if (i == 0)
        return next;
    counter = xcalloc(1, sizeof(*counter));
    counter->stage.ops = &counter_ops;
    counter->stage.run = run;
    counter->stage.next = next;
    counter->i = i;
    return &counter->stage;
}

bool
figures_counter(const struct stage *stage, uint32_t *i)
{
    if (stage->ops != &counter_ops)
        return false;
    *i = ((const struct counter *)stage)->i;
    return true;
}

int64_t
figures_clock(const struct query_figures *figures)
{
    return figures->is_explained ? clock_mono_ns() : 0;
}

void
figures_flushed(struct query_figures *figures, uint32_t i, int64_t start_ns)
{
    if (start_ns == 0)
        return;
    atomic_fetch_add_explicit(
        &figures->stages[MIN(i, FIGURES_STAGES_MAX - 1)].flush_ns,
        clock_mono_ns() - start_ns, memory_order_relaxed);
}

/* --- the plan --- */

static void
put_ms(struct json_out *out, const char *key, int64_t ns)
{
    json_key(out, key);
    json_double(out, (double)(ns / NS_PER_US) / 1000);
}

static void
put_u64(struct json_out *out, const char *key, uint64_t n)
{
    json_key(out, key);
    json_u64(out, n);
}

static void
put_text(struct json_out *out, const char *key, const struct sb *sb)
{
    json_key(out, key);
    json_string(out, sb_sv(sb));
}

static void
put_time(struct json_out *out, const char *key, int64_t ns)
{
    char text[TIME_TEXT_MAX];

    json_key(out, key);
    json_string(out, sv_make(text, time_print_short(text, ns)));
}

static void
put_blocks(struct json_out *out, const struct query_figures *figures)
{
    struct sb sb;

    put_u64(out, "parts", atomic_load(&figures->parts));
    put_u64(out, "memtables", atomic_load(&figures->memtables));
    json_key(out, "blocks");
    json_object(out);
    put_u64(out, "all", atomic_load(&figures->blocks));
    put_u64(out, "answered_by_index", atomic_load(&figures->answered));
    put_u64(out, "skipped_by_time", atomic_load(&figures->late));
    put_u64(out, "skipped_by_filter", atomic_load(&figures->skipped));
    put_u64(out, "read", atomic_load(&figures->read));
    json_object_end(out);
    sb_init(&sb, FIGURES_TEXT_MAX);
    json_key(out, "skipping_filters");
    json_array(out);
    for (uint32_t i = 0; i < FIGURES_FILTERS_MAX; i++) {
        const struct filter *filter = atomic_load(
            &figures->filters[i].filter);

        if (filter == NULL)
            break;
        sb_reset(&sb);
        filter_print(&sb, filter);
        json_object(out);
        put_text(out, "filter", &sb);
        put_u64(out, "blocks", atomic_load(&figures->filters[i].blocks));
        json_object_end(out);
    }
    json_array_end(out);
    sb_release(&sb);
}

static struct sv
copy_text(const struct sb *sb, struct pool *pool)
{
    return sv_make(pool_dup(pool, sb->ptr, sb->len), sb->len);
}

static int
describe_pipes(struct query_figures *figures, const struct query *query,
    struct sb *sb)
{
    figures->texts = pool_alloc(query->pool,
        (query->npipes + 1) * sizeof(*figures->texts));
    if (figures->texts == NULL)
        return -1;
    for (const struct pipe *pipe = query->pipes; pipe != NULL;
        pipe = pipe->next) {
        struct figures_text *mine = &figures->texts[figures->ntexts];

        sb_reset(sb);
        pipe->type->ops->print(sb, pipe);
        *mine = (struct figures_text){pipe, copy_text(sb, query->pool)};
        if (mine->text.ptr == NULL)
            return -1;
        figures->ntexts++;
    }
    return 0;
}

int
figures_describe(struct query_figures *figures, const struct query *query,
    struct err *err)
{
    struct sb sb;
    int rc = 0;

    if (!figures->is_explained || query->nhidden == 0)
        return 0;
    sb_init(&sb, FIGURES_TEXT_MAX);
    query_print(&sb, query);
    figures->query_text = copy_text(&sb, query->pool);
    if (figures->query_text.ptr == NULL ||
        describe_pipes(figures, query, &sb) != 0)
        rc = err_set(err, ERR_LIMIT, "query needs too much memory");
    sb_release(&sb);
    return rc;
}

static void
print_stage(struct sb *out, const struct query_figures *figures,
    const struct pipe *pipe)
{
    if (pipe == NULL) {
        sb_add_str(out, "answer");
        return;
    }
    if (figures->query_text.ptr == NULL) {
        pipe->type->ops->print(out, pipe);
        return;
    }
    for (uint32_t i = 0; i < figures->ntexts; i++) {
        if (figures->texts[i].pipe == pipe) {
            sb_add_sv(out, figures->texts[i].text);
            return;
        }
    }
    sb_add_str(out, "hidden fields");
}

/* Without those behind it, which its time includes. */
static int64_t
own_ns(const struct query_figures *figures, uint32_t i)
{
    const struct figures_stage *mine = &figures->stages[i];
    int64_t ns = atomic_load(&mine->ns) + atomic_load(&mine->flush_ns);

    if (i + 1 < figures->nstages)
        ns -= atomic_load(&mine[1].ns);
    return MAX(ns, 0);
}

static void
put_stages(struct json_out *out, const struct query_figures *figures)
{
    struct sb sb;

    sb_init(&sb, FIGURES_TEXT_MAX);
    json_key(out, "stages");
    json_array(out);
    for (uint32_t i = 0; i < figures->nstages; i++) {
        const struct figures_stage *mine = &figures->stages[i];

        sb_reset(&sb);
        print_stage(&sb, figures, mine->pipe);
        json_object(out);
        put_text(out, "pipe", &sb);
        put_u64(out, "rows", atomic_load(&mine->rows));
        put_ms(out, "ms", own_ns(figures, i));
        json_object_end(out);
    }
    json_array_end(out);
    sb_release(&sb);
}

/* The pipes that nodes run alone, and what they give. */
static void
put_nodes(struct json_out *out, const struct query_figures *figures,
    const struct query *query)
{
    struct sb sb;

    if (figures->nodes_give == NULL)
        return;
    sb_init(&sb, FIGURES_TEXT_MAX);
    json_key(out, "nodes");
    json_object(out);
    json_key(out, "pipes");
    json_array(out);
    for (const struct pipe *pipe = query->pipes; pipe != figures->local;
        pipe = pipe->next) {
        sb_reset(&sb);
        print_stage(&sb, figures, pipe);
        json_string(out, sb_sv(&sb));
    }
    json_array_end(out);
    json_key(out, "give");
    json_string(out, sv_from(figures->nodes_give));
    json_object_end(out);
    sb_release(&sb);
}

void
figures_print(struct sb *reply, const struct query_figures *figures,
    const struct query *query)
{
    struct json_out out;
    struct sb sb;

    sb_init(&sb, FIGURES_TEXT_MAX);
    if (figures->query_text.ptr != NULL)
        sb_add_sv(&sb, figures->query_text);
    else
        query_print(&sb, query);
    json_out_init(&out, reply);
    json_object(&out);
    put_text(&out, "query", &sb);
    sb_release(&sb);
    put_time(&out, "start", query->min_time);
    put_time(&out, "end", query->max_time);
    put_blocks(&out, figures);
    put_u64(&out, "rows_read", atomic_load(&figures->rows));
    put_u64(&out, "rows_found", atomic_load(&figures->found));
    put_u64(&out, "bytes_read", atomic_load(&figures->bytes));
    put_ms(&out, "ms", figures->wall_ns);
    put_ms(&out, "cpu_ms", atomic_load(&figures->cpu_ns));
    put_nodes(&out, figures, query);
    put_stages(&out, figures);
    json_object_end(&out);
}
