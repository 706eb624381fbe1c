/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What a query has cost: counted once per block, so it costs nothing.  With
 * is_explained also by filter and by stage.
 */

#ifndef SPOOR_QUERY_FIGURES_H
#define SPOOR_QUERY_FIGURES_H

#include "core/base.h"
#include "core/sb.h"
#include "query/ast.h"
#include "query/pipe.h"
#include "storage/block.h"

/* Filters that are told apart; a query has few that skip blocks. */
#define FIGURES_FILTERS_MAX 32u
/* Stages that are told apart; those behind count for the last one. */
#define FIGURES_STAGES_MAX 64u

struct figures_filter {
    const struct filter *_Atomic filter;
    _Atomic uint64_t blocks; /* that it skipped */
};

struct figures_stage {
    const struct pipe *pipe; /* NULL: the answer */
    _Atomic uint64_t rows;   /* that went in */
    _Atomic int64_t ns;      /* taking them, all behind it included */
    _Atomic int64_t flush_ns; /* giving what it kept; the same */
};

struct figures_text {
    const struct pipe *pipe;
    struct sv text;
};

struct query_figures {
    bool is_explained;          /* set by the caller, the rest is zeroed */
    /* Of a query with hidden fields, as it was asked (figures_describe()). */
    struct sv query_text;       /* ptr NULL: it is shown as it is */
    struct figures_text *texts; /* of its pipes */
    uint32_t ntexts;
    /* Of a front: what nodes give, and the first pipe that runs here. */
    const char *nodes_give;     /* NULL: there are no nodes */
    const struct pipe *local;
    _Atomic uint64_t parts;     /* whose time range the query meets */
    _Atomic uint64_t memtables;
    _Atomic uint64_t blocks;    /* of these */
    _Atomic uint64_t answered;  /* blocks that indexes answered */
    _Atomic uint64_t late;      /* could not matter: time, or better rows */
    _Atomic uint64_t skipped;   /* no row passes, as an index told */
    _Atomic uint64_t read;      /* blocks */
    _Atomic uint64_t rows;      /* of blocks that were read */
    _Atomic uint64_t found;     /* of these, passed the filter */
    _Atomic uint64_t bytes;     /* read of files; not of their cache */
    _Atomic int64_t cpu_ns;     /* of all threads */
    int64_t wall_ns;
    struct figures_filter filters[FIGURES_FILTERS_MAX];
    struct figures_stage stages[FIGURES_STAGES_MAX];
    uint32_t nstages;
};

/* Never NULL: some that nobody looks at outside of query_execute(). */
struct query_figures *figures_of(const struct query_run *run);

static inline void
figures_add(_Atomic uint64_t *figure, uint64_t n)
{
    atomic_fetch_add_explicit(figure, n, memory_order_relaxed);
}

/*
 * The block is skipped by this filter, or by an item of it; it is told which
 * of the outermost query's, whose filters live as long as the plan is printed.
 */
void figures_skip(const struct query_run *run, const struct filter *filter,
    struct block *block);

/* Of one thread, from begin to end: bytes read, processor time. */
struct figures_lap {
    uint64_t bytes;
    int64_t cpu_ns;
};
void figures_lap_begin(struct figures_lap *lap);
void figures_lap_end(struct query_figures *figures,
    const struct figures_lap *lap);

/*
 * Stages are numbered by their pipes from 0 on; the answer is the last one.
 * figures_stage() puts a counter in front of one, or gives it back as it is
 * when nothing is explained; the first stage has no counter, because sources
 * look at it: they call figures_stage_add().
 */
struct stage *figures_stage(struct query_run *run, uint32_t i,
    const struct pipe *pipe, struct stage *next);
void figures_stage_add(struct query_figures *figures, uint32_t i,
    uint64_t rows, int64_t ns);
/* Which stage the counter is in front of; false: it is no counter. */
bool figures_counter(const struct stage *stage, uint32_t *i);
/* 0: nothing is explained. */
int64_t figures_clock(const struct query_figures *figures);
void figures_flushed(struct query_figures *figures, uint32_t i,
    int64_t start_ns);

/*
 * Before query_execute(): remembers how a query with hidden fields is written
 * without what hides them, which the plan tells nobody.
 */
int figures_describe(struct query_figures *figures,
    const struct query *query, struct err *err) WARN_UNUSED;

/* The plan and its cost as a JSON object. */
void figures_print(struct sb *out, const struct query_figures *figures,
    const struct query *query);

#endif
