/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Running pipes.  A running pipe (stage) takes rows, keeps what it must and
 * gives rows to the next stage.  Several threads write to the first stages
 * at a time, each with an own lane number below stage->nlanes; a stage that
 * needs all its input keeps a state per lane and merges them in its flush(),
 * which one thread calls after all writes have ended.  What a flush gives to
 * the next stage comes in lane 0.
 */

#ifndef SPOOR_QUERY_PIPE_H
#define SPOOR_QUERY_PIPE_H

#include "core/base.h"
#include "core/err.h"
#include "core/mem_share.h"
#include "core/pool.h"
#include "query/ast.h"
#include "query/rows.h"

#define QUERY_LANES_MAX 64u

struct inside;
struct query_env;
struct query_run;
struct stage;
struct state_ops;
struct store_answer;
struct task_pool;

struct stage_ops {
    /*
     * Takes the selected rows.  0: go on; 1: this stage and all before it
     * need no more rows; -1 with err.
     */
    int (*write)(struct stage *stage, unsigned lane, struct rows *rows,
        struct err *err);
    /* All writes have ended: gives the rest to the next stage. */
    int (*flush)(struct stage *stage, struct err *err);
    void (*free)(struct stage *stage);
};

/* What a query may hold in memory, over all stages and lanes. */
struct query_budget {
    _Atomic size_t used;
    size_t max;
    struct mem_share *share; /* of all queries; regions count, too */
    /* Of the query around this one: what is taken here is taken there. */
    struct query_budget *outer;
};
/* ERR_LIMIT "query needs more than N MiB of memory" */
int budget_take(struct query_budget *budget, size_t bytes, struct err *err)
    WARN_UNUSED;
void budget_give(struct query_budget *budget, size_t bytes);

/* What the stages of one query share. */
struct query_run {
    const struct query *query;
    struct query_budget budget;
    unsigned nlanes;
    struct task_pool *tasks;    /* threads that help; NULL: none */
    const _Atomic bool *cancel; /* may be NULL */
    int64_t deadline_ns;        /* monotonic; 0: none */
    /*
     * A stage that wants the newest rows only says so here: rows that end
     * before this cannot matter any more.  It only rises.
     */
    _Atomic int64_t time_bound;
    /*
     * The same of the longest rows only: rows with a smaller duration.  A
     * source does well to begin with the longest ones then.
     */
    bool wants_longest;
    _Atomic int64_t duration_bound;
    /* --- queries inside this one (query/inside.h) --- */
    struct inside *inside; /* of the outermost; NULL: there can be none */
    unsigned depth;        /* of this one in others */
    const struct query_env *env;
    struct store_answer *answer;
    /*
     * Runs a query inside this one, on the calling thread; its rows go to
     * the sink, which is freed in any case.  NULL: nothing can be asked.
     */
    int (*run_inside)(struct query_run *outer, struct query *query,
        struct stage *sink, struct err *err);
    /*
     * Gives its state to env->state_fn where others give rows to the next
     * stage; NULL: none does.
     */
    struct stage *state;
};
/* ERR_CANCELLED or ERR_TIMEOUT; cheap enough for every few thousand rows. */
int run_poll(const struct query_run *run, struct err *err) WARN_UNUSED;

struct stage {
    const struct stage_ops *ops;
    struct query_run *run;
    struct stage *next; /* NULL: the last one, a sink */
    const struct state_ops *state; /* query/state.h; NULL: it has none */
};

static inline int
stage_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    return stage->ops->write(stage, lane, rows, err);
}

/*
 * The stage of one pipe (query/stages.c: one table of makers, one file per
 * family of pipes: stage_fields.c, stage_limit.c, stage_sort.c, stage_uniq.c,
 * stage_stats.c, ...).
 */
int stage_new(struct stage **out, const struct pipe *pipe,
    struct query_run *run, struct stage *next, struct err *err) WARN_UNUSED;

/* Flushes and frees this stage and all behind it. */
int stages_flush(struct stage *first, struct err *err) WARN_UNUSED;
void stages_free(struct stage *first);

/*
 * Which columns the pipes from `pipe` on read, so that a source loads and a
 * remote node sends no others: names in *out, or *all set.
 */
int pipes_needed(const struct pipe *pipe, struct pool *pool,
    struct field_pattern **out, uint32_t *n, bool *all) WARN_UNUSED;

#endif
