/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Accumulators: the functions of stats, each over all groups of a lane.
 * Their states are arrays indexed by the number of the group.
 */

#ifndef SPOOR_QUERY_ACC_H
#define SPOOR_QUERY_ACC_H

#include "core/base.h"
#include "core/enc.h"
#include "core/err.h"
#include "core/json_out.h"
#include "core/pool.h"
#include "core/sb.h"
#include "query/ast.h"
#include "query/dict.h"
#include "query/hold.h"
#include "query/stage.h"

/* Rows to take in: those that pass the function's filter. */
struct acc_rows {
    struct picks picks;       /* not empty */
    const uint32_t *groups;   /* of a row; NULL: all are of group `one` */
    uint32_t one;
    uint32_t ngroups;
    uint32_t nrows;           /* of the chunk, picked or not */
    const struct column *columns; /* of the arguments, stars resolved */
    uint32_t ncolumns;
    struct pool *pool;
    struct rows *rows; /* of FUNCTION_LATE: for acc_load_late() */
};

static inline uint32_t
acc_group(const struct acc_rows *in, uint32_t row)
{
    return in->groups == NULL ? in->one : in->groups[row];
}

struct acc;

/* Rows summed up: what each of the rows of a chunk stands for. */
__extension__ typedef __int128 acc_total __attribute__((aligned(8)));

struct acc_cell {
    uint64_t rows;
    int64_t min; /* of their durations */
    int64_t max;
    acc_total sum;
};

struct acc_cells {
    const struct acc_cell *v; /* by row */
};

/* When add() may be called for each run of rows of one group. */
enum acc_runs {
    ACC_RUNS_NEVER = 0,
    ACC_RUNS_PLAIN, /* no column is one of codes or texts */
    ACC_RUNS_ALWAYS,
};

/* The groups of one state. */
struct acc_range {
    uint32_t first;
    uint32_t end;
    /*
     * Of one group alone, when may_divide is set: where its state begins, 0 at
     * first.  A function that has not written all of it says where the next
     * one begins; else it sets 0.
     */
    uint64_t at;
    bool may_divide;
};

struct acc_ops {
    size_t size; /* of the accumulator's struct, which begins with acc */
    enum acc_runs runs;
    bool keeps_hold; /* merge() may use what is in the hold of `from` */
    int (*init)(struct acc *acc, struct err *err); /* NULL: nothing to do */
    /* Before any other call: makes room for so many groups. */
    int (*reserve)(struct acc *acc, uint32_t ngroups, struct err *err);
    int (*add)(struct acc *acc, const struct acc_rows *in, struct err *err);
    /* Of rows that stand for many; NULL: add() does. */
    int (*add_cells)(struct acc *acc, const struct acc_rows *in,
        const struct acc_cells *cells, struct err *err);
    /* Group i of `from` becomes, or is added to, group map[i]. */
    int (*merge)(struct acc *acc, struct acc *from, const uint32_t *map,
        struct err *err);
    /*
     * Before a group's print(), by any thread: what takes long.  NULL:
     * nothing does.  The pool is emptied after some groups.
     */
    void (*finish)(struct acc *acc, uint32_t group, struct pool *pool);
    /* Appends the result; once per group, it may spoil the state. */
    int (*print)(struct acc *acc, uint32_t group, struct sb *out,
        struct err *err);
    void (*free)(struct acc *acc);
    /*
     * The states of some groups as bytes, and those bytes back into an
     * accumulator that has room for as many groups and no rows (query/state.h).
     * Bytes may be anything: the reader has failed, or state_bad().  NULL:
     * this function cannot.
     */
    int (*save)(struct acc *acc, struct acc_range *range, struct sb *out,
        struct err *err);
    int (*load)(struct acc *acc, struct enc_reader *in, struct err *err);
    /* About the bytes of a group's state; NULL: they are few. */
    uint64_t (*weigh)(struct acc *acc, uint32_t group);
};

struct acc {
    const struct acc_ops *ops;
    const struct stats_fn *fn;
    struct hold *hold;
    const struct query_run *run;
    double rate_step; /* seconds; 0: not known */
    uint32_t ngroups; /* set by acc_reserve() */
    bool is_all;      /* no arguments, or a star alone */
};


/* Is its one argument the duration? */
static inline bool
acc_is_of_duration(const struct acc *acc)
{
    return acc->fn->nargs == 1 && !acc->fn->args[0].is_prefix &&
        sv_eq(acc->fn->args[0].name, SV("duration"));
}

extern const struct acc_ops acc_count;
extern const struct acc_ops acc_sum; /* and avg */
extern const struct acc_ops acc_minmax;
extern const struct acc_ops acc_quantile;
extern const struct acc_ops acc_count_uniq;
extern const struct acc_ops acc_uniq_values;
extern const struct acc_ops acc_count_empty;
extern const struct acc_ops acc_rate;
extern const struct acc_ops acc_rate_sum;
extern const struct acc_ops acc_sum_len;
extern const struct acc_ops acc_stddev;
extern const struct acc_ops acc_histogram;
extern const struct acc_ops acc_values;
extern const struct acc_ops acc_json_values;
extern const struct acc_ops acc_any;
extern const struct acc_ops acc_row_any;
extern const struct acc_ops acc_row_max;
extern const struct acc_ops acc_row_min;
extern const struct acc_ops acc_field_max;
extern const struct acc_ops acc_field_min;

/* --- what functions have in common (stats_row.c) --- */

/* A text as JSON inside a value: "'" and "<" are escaped, too. */
void acc_json_text(struct json_out *json, struct sv text);
/* Columns of the arguments; in the chunk's pool. */
struct acc_args {
    struct column *columns;
    uint32_t n;
};
/* Loads them for these rows only, which need not be in order. */
int acc_load_late(const struct acc *acc, const struct acc_rows *in,
    const struct picks *wanted, struct acc_args *out, struct err *err)
    WARN_UNUSED;
void acc_sort_names(struct acc_args *args);
/* A row as a JSON object of the texts that are not empty. */
void acc_json_row(struct sb *out, const struct acc_args *args, uint32_t row);
/* Bytes of one row as JSON: many fields of 64 KiB. */
#define ACC_ROW_MAX (16 * MIB)

/*
 * count_uniq of ids of 16 bytes without groups: takes ids in, and a number of
 * others that are known to be in no lane's set; and the set of the lane (NULL:
 * it has none yet).
 */
struct uniq_ids {
    const struct key128 *ids;
    uint32_t n;
    uint64_t unique;
};
int acc_uniq_add_ids(struct acc *acc, const struct uniq_ids *add,
    struct err *err) WARN_UNUSED;
const struct id_set *acc_uniq_ids(const struct acc *acc);

/*
 * What is known of the codes of a column in one chunk: `state` of a code is 0
 * at first.  And whether a pair of group and code was there, where that is
 * not too much memory: then a value is looked at once per group.
 */
struct code_states {
    uint8_t *state;
    uint64_t *seen; /* NULL: not kept */
    uint32_t nvalues;
    uint32_t first; /* group, the only one when all rows are of one */
};
int code_states_make(struct code_states *out, const struct column *column,
    const struct acc_rows *in, struct err *err) WARN_UNUSED;
/* True if the pair was there before. */
static inline bool
code_states_seen(struct code_states *states, uint32_t group, uint32_t code)
{
    size_t bit = (size_t)(group - states->first) * states->nvalues + code;
    uint64_t mask = UINT64_C(1) << bit % 64;

    if (states->seen == NULL)
        return false;
    if ((states->seen[bit / 64] & mask) != 0)
        return true;
    states->seen[bit / 64] |= mask;
    return false;
}

/* The same with the atoms of the column's values, made when first met. */
struct code_atoms {
    struct code_states states;
    const struct column *column;
    struct atom *atoms;
};
int code_atoms_make(struct code_atoms *out, const struct column *column,
    const struct acc_rows *in, struct err *err) WARN_UNUSED;
/* NULL if the pair was there before. */
const struct atom *code_atoms_next(struct code_atoms *atoms, uint32_t group,
    uint32_t code);

#endif
