/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * States of very many groups and values on their way from two nodes to a
 * front: the pieces are small, the answer is right, what both need is charged
 * to the budget of the query, and with too little of it the error says so.
 * SPLIT_ROWS says how many rows each node has.
 */

#include "core/base.h"

#include <stdlib.h>

#include "tap.h"

#include "core/err.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/pool.h"
#include "query/parse.h"
#include "query/pipe.h"
#include "query/rows.h"
#include "query/stage.h"
#include "query/state.h"

#define ROWS_DEFAULT 60000u
#define ROWS_OF_CHUNK 8192u

/* --- what comes out --- */

struct total_sink {
    struct stage stage;
    uint64_t rows;
    uint64_t n; /* sum of the column n, or hits */
};

static int
total_write(struct stage *stage, UNUSED unsigned lane, struct rows *rows,
    struct err *err)
{
    struct total_sink *sink = (struct total_sink *)stage;
    const struct column *n, *hits;
    char buf[COLUMN_TEXT_MAX];

    sink->rows += rows->nselected;
    if (rows_column(rows, SV("n"), &n, err) != 0)
        return -1;
    for (uint32_t row = rows_first(rows); row < rows->n;
        row = rows_next(rows, row)) {
        uint64_t v = 0;

        if (rows_column(rows, SV("n"), &n, err) != 0 ||
            rows_column(rows, SV("hits"), &hits, err) != 0)
            return -1;
        if (num_parse_u64(column_text(n, row, buf), &v) ||
            num_parse_u64(column_text(hits, row, buf), &v))
            sink->n += v;
    }
    return 0;
}

static void
total_free(UNUSED struct stage *stage)
{
}

static const struct stage_ops total_ops = {
    total_write, stage_flush_nothing, total_free
};

/* --- one side: a stage with a budget of its own --- */

struct side {
    struct query_run run;
    struct pool *pool;
    struct query *query;
    struct total_sink sink;
    struct stage *stage;
};

static void
side_make(struct side *side, const char *text, size_t memory)
{
    struct err err = ERR_INIT;

    memset(side, 0, sizeof(*side));
    side->pool = pool_new(16 * MIB);
    side->run.nlanes = 1;
    side->run.budget.max = memory;
    side->sink.stage.ops = &total_ops;
    side->sink.stage.run = &side->run;
    if (query_parse(&side->query, sv_from(text), 0, side->pool, &err) != 0)
        bail_out(err.text);
    side->run.query = side->query;
    if (stage_new(&side->stage, side->query->pipes, &side->run,
            &side->sink.stage, &err) != 0)
        bail_out(err.text);
}

static void
side_free(struct side *side)
{
    side->stage->ops->free(side->stage);
    is_int(atomic_load(&side->run.budget.used), 0,
        "nothing is charged behind it");
    pool_free(side->pool);
}

/* Rows whose "a" counts up; "id" is an id of 16 bytes, "k" one of ten. */
static int
feed(struct side *side, uint64_t first, uint32_t n, struct err *err)
{
    struct pool *pool = pool_new(64 * MIB);
    int rc = 0;

    for (uint32_t at = 0; at < n && rc == 0; at += ROWS_OF_CHUNK) {
        uint32_t count = MIN(ROWS_OF_CHUNK, n - at);
        int64_t *a, *k;
        uint8_t *ids;
        struct rows rows;

        pool_reset(pool);
        a = pool_alloc(pool, count * sizeof(*a));
        k = pool_alloc(pool, count * sizeof(*k));
        ids = pool_zalloc(pool, 16 * (size_t)count);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t v = first + at + i + 1;

            a[i] = (int64_t)v;
            k[i] = (int64_t)(v % 10);
            v *= 0x9e3779b97f4a7c15u;
            memcpy(ids + 16 * (size_t)i, &v, sizeof(v));
        }
        rows_init(&rows, count, pool);
        rows.run = &side->run;
        if (rows_set_column(&rows, &(struct column){.kind = COLUMN_INTS,
                .name = SV("a"), .ints = a}, err) != 0 ||
            rows_set_column(&rows, &(struct column){.kind = COLUMN_INTS,
                .name = SV("k"), .ints = k}, err) != 0 ||
            rows_set_column(&rows, &(struct column){.kind = COLUMN_IDS,
                .name = SV("id"), .ids = ids, .width = 16}, err) != 0)
            rc = -1;
        else
            rc = MIN(stage_write(side->stage, 0, &rows, err), 0);
    }
    pool_free(pool);
    return rc;
}

struct carry {
    struct side *front;
    uint64_t states, bytes;
    size_t longest;
};

static int
carry_state(void *arg, struct sv state, struct err *err)
{
    struct carry *carry = arg;
    struct stage *stage = carry->front->stage;

    carry->states++;
    carry->bytes += state.len;
    carry->longest = MAX(carry->longest, state.len);
    return MIN(stage->state->load(stage, 0, state, err), 0);
}

/* --- queries --- */

struct many {
    const char *query;
    double rows; /* of the answer, per row of a node; < 0: so many */
    double n;    /* sum of n, per row of a node */
};

/* Half of what the second node has is on the first, too. */
static const struct many queries[] = {
    {"* | stats by (a) count() n, sum(k) s, max(a) m", 1.5, 2},
    {"* | stats by (id) count() n, any(a) x, values(k) v", 1.5, 2},
    {"* | stats by (a) count_uniq(id) n, quantile(0.5, k) q", 1.5, 1.5},
    {"* | uniq by (a, k) with hits", 1.5, 2},
    {"* | uniq by (id)", 1.5, 0},
    {"* | top 1000000000 by (a)", 1.5, 2},
    {"* | stats count_uniq(id) n", -1, 1.5},
    {"* | stats count_uniq(a, k) n, count() c", -1, 1.5},
    {"* | stats by (k) count_uniq(a) n, max(a) m, values(k) v", -10, 1.5},
    {"* | facets 1000000000 max_values_per_field 1000000000 "
        "keep_const_fields", 3.0, 6},
};

static void
ask(const struct many *many, uint32_t rows)
{
    struct side front, node;
    struct carry carry = {.front = &front};
    struct err err = ERR_INIT;
    double want = many->rows < 0 ? -many->rows : many->rows * rows;
    int rc = 0;

    side_make(&front, many->query, 4 * GIB);
    for (uint64_t i = 0; i < 2 && rc == 0; i++) {
        side_make(&node, many->query, 4 * GIB);
        rc = feed(&node, i * rows / 2, rows, &err);
        if (rc == 0)
            rc = node.stage->state->save(node.stage, carry_state, &carry,
                &err);
        side_free(&node);
    }
    if (rc == 0)
        rc = front.stage->ops->flush(front.stage, &err);
    is_int(rc, 0, "%s%s%s", many->query, rc == 0 ? "" : ": ", err.text);
    /* Ten values of k that facets have, too. */
    ok((double)front.sink.rows >= want &&
        (double)front.sink.rows <= want + 10, "%llu rows",
        (unsigned long long)front.sink.rows);
    ok((double)front.sink.n == many->n * rows, "of %llu",
        (unsigned long long)front.sink.n);
    ok(carry.longest < 4 * STATE_PIECE, "%llu states of %llu bytes, none is "
        "longer than %zu", (unsigned long long)carry.states,
        (unsigned long long)carry.bytes, carry.longest);
    diag("%s: %zu MiB at the front", many->query,
        (size_t)atomic_load(&front.run.budget.used) / MIB);
    side_free(&front);
}

/* Both sides with so little memory that one of them gives up. */
static void
starve(const struct many *many, uint32_t rows, size_t node_memory,
    size_t front_memory)
{
    struct side front, node;
    struct carry carry = {.front = &front};
    struct err err = ERR_INIT;
    int rc;

    side_make(&front, many->query, front_memory);
    side_make(&node, many->query, node_memory);
    rc = feed(&node, 0, rows, &err);
    if (rc == 0)
        rc = node.stage->state->save(node.stage, carry_state, &carry, &err);
    ok(rc != 0 && err.code == ERR_LIMIT &&
        strstr(err.text, "MiB of memory") != NULL, "%s: %s", many->query,
        err.text);
    side_free(&node);
    side_free(&front);
}

int
main(void)
{
    const char *text = getenv("SPLIT_ROWS");
    uint32_t rows = text == NULL ? ROWS_DEFAULT
        : (uint32_t)strtoul(text, NULL, 10);

    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        ask(&queries[i], rows);
        starve(&queries[i], ROWS_DEFAULT, 4 * GIB, 1 * MIB);
        starve(&queries[i], ROWS_DEFAULT, 1 * MIB, 4 * GIB);
    }
    return tap_done();
}
