/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A store of parts of both levels and memtables, made of generated spans, and
 * queries over it: twice, with and without the help of indexes.
 */

#ifndef SPOOR_UNIT_INDEX_STORE_H
#define SPOOR_UNIT_INDEX_STORE_H

#include "core/base.h"

#include "core/file.h"
#include "core/metrics.h"
#include "event/loop.h"
#include "event/task.h"
#include "query/query.h"
#include "query/parse.h"
#include "storage/catalog.h"
#include "storage/merge.h"
#include "storage/part_cache.h"
#include "storage/shared.h"

#include "part_gen.h"
#include "span_gen.h"
#include "store_dir.h"
#include "tap.h"

#include "stage_run.h"

#define STORE_PARTS_MAX 64

struct store_part {
    struct part_info info;
    uint32_t entry;
};

static struct store_part store_parts[STORE_PARTS_MAX];
static uint32_t store_nparts;
static uint32_t store_nmemtables;
static uint8_t store_node[16] = "0123456789abcde";
static uint64_t store_next_id = UINT64_C(0x0000010000000001);
static struct part_gen store_gen;
static struct loop *store_loop;
static struct task_pool *store_tasks; /* helpers of queries */

static UNUSED void
store_open(void)
{
    struct err err = ERR_INIT;

    store_dir_make();
    check(shared_create(2, &err) == 0);
    check(catalog_create(&err) == 0);
    part_gen_init(&store_gen);
    store_loop = loop_new();
    store_tasks = task_pool_new(store_loop, "queries", 3, 1000);
}

static UNUSED void
store_close(void)
{
    task_pool_free(store_tasks);
    loop_free(store_loop);
    part_cache_clear();
    part_gen_free(&store_gen);
    catalog_destroy();
    shared_destroy();
}

/* Forgets all parts and memtables. */
static UNUSED void
store_empty(void)
{
    catalog_begin();
    catalog_remove_all();
    (void)catalog_commit();
    part_cache_clear();
    store_nparts = store_nmemtables = 0;
}

static inline void
store_publish(const struct part_info *info)
{
    struct err err = ERR_INIT;

    catalog_begin();
    check(store_nparts < STORE_PARTS_MAX);
    check(catalog_add_part(info, &store_parts[store_nparts].entry,
        &err) == 0);
    (void)catalog_commit();
    store_parts[store_nparts++].info = *info;
}

/* Rows of the generator's memtable become a part of level 1. */
static UNUSED void
store_flush(void)
{
    struct part_lineage lineage = {77, store_next_id * 100000,
        store_next_id * 100000 + 70000};
    struct err err = ERR_INIT;
    char path[PATH_MAX];
    int fd;

    part_gen_rows(&store_gen);
    check(part_encode(store_gen.pw, store_gen.mt, store_gen.rows,
        store_gen.nrows, store_next_id++, store_gen.day, store_node, &lineage,
        &store_gen.file, &store_gen.info, &err) == 0);
    check(layout_create_partition(store_gen.day, &err) == 0);
    layout_part(path, store_gen.day, store_gen.info.id, 1);
    fd = file_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600, &err);
    check(fd >= 0 && file_pwrite(fd, store_gen.file.ptr, store_gen.file.len,
        0, &err) == 0);
    file_close(fd);
    store_publish(&store_gen.info);
    part_gen_reset(&store_gen);
}

/* The last n parts become one of level 2, unless their days differ. */
static UNUSED bool
store_merge(uint32_t n)
{
    struct part *inputs[STORE_PARTS_MAX];
    struct merge_task task = {inputs, n, store_next_id++, store_node, NULL,
        false, NULL};
    uint32_t first = store_nparts - n;
    struct merge_counts counts;
    struct part_info info;
    struct err err = ERR_INIT;
    char path[PATH_MAX];

    for (uint32_t i = 1; i < n; i++) {
        if (store_parts[first + i].info.day != store_parts[first].info.day)
            return false;
    }
    for (uint32_t i = 0; i < n; i++)
        check(part_cache_get(&inputs[i], &store_parts[first + i].info,
            &err) == 0);
    layout_part(path, store_parts[first].info.day, task.part_id, 2);
    task.path = path;
    if (merge_parts(&task, &info, &counts, NULL, &err) != 0)
        bail_out(err.text);
    if (!ok(part_check(path, &err) == 0, "checks %s", err.text))
        return false;
    catalog_begin();
    for (uint32_t i = 0; i < n; i++) {
        part_cache_put(inputs[i]);
        catalog_remove(store_parts[first + i].entry);
    }
    (void)catalog_commit();
    store_nparts = first;
    store_publish(&info);
    return true;
}

/* Rows of the generator's memtable become a memtable of the store. */
static UNUSED void
store_keep(void)
{
    unsigned slot = store_nmemtables / SLOT_BUFFERS;
    unsigned buffer = store_nmemtables % SLOT_BUFFERS;
    struct err err = ERR_INIT;

    check(slot < 2);
    memcpy(shared_buffer(slot, buffer), store_gen.mt, MEMTABLE_BYTES);
    catalog_begin();
    check(catalog_add_memtable(slot, buffer, NULL, &err) == 0);
    (void)catalog_commit();
    store_nmemtables++;
    part_gen_reset(&store_gen);
}

/* --- queries --- */

struct answer {
    struct sink sink;
    struct store_answer flags;
    uint64_t blocks; /* that were read */
    struct err err;
    int rc;
};

/* A field "any*P" stands for all whose names begin with P. */
static inline void
store_any(struct filter *filter)
{
    struct sv mark = SV("any*");

    for (uint32_t i = 0; filter != NULL && i < filter->nitems; i++)
        store_any(filter->items[i]);
    if (filter != NULL && sv_starts_with(filter->field, mark)) {
        filter->field = sv_sub(filter->field, mark.len, SIZE_MAX);
        filter->is_field_prefix = true;
    }
}

/*
 * The lines of the answer, sorted.  Rows that end before min_ns or behind
 * max_ns are left out.
 */
static UNUSED void
store_ask(struct answer *answer, const char *text, struct tenant tenant,
    int64_t min_ns, int64_t max_ns)
{
    struct pool *pool = pool_new(64 * MIB);
    struct query *query;
    struct query_env env = {.tenant = tenant,
        .seconds = METRIC_QUERY_SECONDS_LOGSQL, .lanes_max = 4,
        .memory_max = GIB, .tasks = store_tasks};
    uint64_t before = metric_get(METRIC_QUERY_BLOCKS);

    memset(answer, 0, sizeof(*answer));
    answer->err = (struct err)ERR_INIT;
    pthread_mutex_init(&answer->sink.lock, NULL);
    answer->sink.stage.ops = &sink_ops;
    answer->rc = query_parse(&query, sv_from(text), 0, pool, &answer->err);
    if (answer->rc == 0) {
        store_any(query->filter);
        for (struct pipe *pipe = query->pipes; pipe != NULL;
            pipe = pipe->next)
            store_any(pipe->filter);
    }
    if (answer->rc == 0 && (min_ns != INT64_MIN || max_ns != INT64_MAX))
        answer->rc = query_add_filter(query, filter_new_time(pool, min_ns,
            max_ns), true, &answer->err);
    if (answer->rc == 0)
        answer->rc = query_execute(query, &env, &answer->sink.stage,
            &answer->flags, &answer->err);
    if (answer->sink.n > 1)
        qsort(answer->sink.lines, answer->sink.n, sizeof(char *),
            line_order);
    answer->blocks = metric_get(METRIC_QUERY_BLOCKS) - before;
    pool_free(pool);
}

static inline bool
answers_equal(const struct answer *a, const struct answer *b)
{
    if (a->rc != 0 || b->rc != 0 || a->sink.n != b->sink.n)
        return false;
    for (uint32_t i = 0; i < a->sink.n; i++) {
        if (strcmp(a->sink.lines[i], b->sink.lines[i]) != 0) {
            diag("line %u: %s", i, a->sink.lines[i]);
            diag("by rows: %s", b->sink.lines[i]);
            return false;
        }
    }
    return true;
}

/* --- random stores --- */

static UNUSED void
store_spans(struct span_gen *spans, bool wild, uint32_t n,
    struct tenant tenant)
{
    struct pool *pool = pool_new(2 * GIB);
    struct batch batch;

    batch_init(&batch, pool);
    if (wild)
        span_gen_wild(spans, &batch, n);
    else
        span_gen_real(spans, &batch, 12, n);
    (void)part_gen_add(&store_gen, tenant, &batch);
    pool_free(pool);
}

/* What a random store may hold. */
struct store_mix {
    uint32_t steps;
    uint32_t spans_max; /* of a step */
    bool has_tenants;
    bool has_nodes;     /* parts of other nodes */
    bool is_real;       /* no wild spans */
};

static UNUSED void
store_random(struct span_gen *spans, const struct store_mix *mix)
{
    store_empty();
    spans->now_ns = SPAN_GEN_BASE_NS + 12 * 3600 * NS_PER_SEC;
    for (uint32_t i = 0; i < mix->steps; i++) {
        bool wild = !mix->is_real && gen_one_in(spans, 3);
        uint32_t pieces = 1 + gen_below(spans, 3);

        store_node[0] = mix->has_nodes && gen_one_in(spans, 5) ? 'x' : '0';
        for (uint32_t k = 0; k < pieces; k++) {
            struct tenant tenant = {0, 0};

            if (mix->has_tenants && gen_one_in(spans, 3))
                tenant.project = 1 + gen_below(spans, 2);
            store_spans(spans, wild, 1 + gen_below(spans, mix->spans_max /
                pieces), tenant);
        }
        if (gen_one_in(spans, 5) && store_nmemtables < 2 * SLOT_BUFFERS)
            store_keep();
        else
            store_flush();
        if (store_nparts > 1 && gen_one_in(spans, 3))
            (void)store_merge(1 + gen_below(spans, MIN(store_nparts, 8u)));
    }
}

/* A moment at which the store has spans, or near it. */
static UNUSED int64_t
store_time(struct span_gen *spans)
{
    const struct part_info *info;
    uint64_t width;

    if (store_nparts == 0)
        return SPAN_GEN_BASE_NS + 12 * 3600 * NS_PER_SEC;
    info = &store_parts[gen_below(spans, store_nparts)].info;
    width = (uint64_t)(info->max_end_ns - info->min_end_ns) + 1;
    switch (gen_below(spans, 4)) {
    case 0:
        return info->min_end_ns;
    case 1:
        return info->max_end_ns;
    default:
        return info->min_end_ns + (int64_t)(gen_next(spans) % width);
    }
}

/*
 * Asks "FILTER | PIPES" in the way that may use indexes and in one that has
 * to read all rows; the answers have to be equal.  Blocks saved are added.
 */
static UNUSED bool
store_agrees(struct span_gen *spans, const char *filter, const char *pipes,
    uint64_t *saved)
{
    struct answer fast, slow;
    struct tenant tenant = {0, gen_one_in(spans, 8) ? 1 : 0};
    int64_t min = INT64_MIN, max = INT64_MAX;
    char text[2048];
    bool same;

    if (gen_one_in(spans, 2))
        min = store_time(spans);
    if (gen_one_in(spans, 2))
        max = store_time(spans);
    snprintf(text, sizeof(text), "%s %s", filter, pipes);
    store_ask(&fast, text, tenant, min, max);
    snprintf(text, sizeof(text), "(%s) !span_id:=x %s", filter, pipes);
    store_ask(&slow, text, tenant, min, max);
    same = answers_equal(&fast, &slow);
    if (!same) {
        diag("%s %s of tenant %u, %lld to %lld: %u lines, not %u", filter,
            pipes, tenant.project, (long long)min, (long long)max,
            fast.sink.n, slow.sink.n);
        diag("%s %s", fast.err.text, slow.err.text);
    }
    *saved += slow.blocks - MIN(fast.blocks, slow.blocks);
    sink_reset(&fast.sink);
    sink_reset(&slow.sink);
    return same;
}

#endif
