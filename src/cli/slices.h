/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * All that a server has of a span of time, asked for in slices: each answer
 * is read whole before anything is done with it, so what a slice gives is
 * used all or not at all, and memory is bounded.  A slice is made smaller
 * when its answer is too large or fails, and larger when answers are small.
 */

#ifndef SPOOR_CLI_SLICES_H
#define SPOOR_CLI_SLICES_H

#include "core/base.h"
#include "core/err.h"
#include "core/sv.h"
#include "http/client.h"

/* Answers are never larger; most are to be a quarter of it. */
#define SLICE_BYTES (64 * MIB)
#define SLICE_BYTES_MIN (64 * KIB)
#define SLICE_BYTES_MAX GIB
/* Times in a row that the server may fail before it is given up. */
#define SLICE_TRIES 8u

struct slice {
    struct sv body;    /* good during the call */
    int64_t start_ns;  /* rows with _time at or after it */
    int64_t end_ns;    /* and before it */
    bool is_partial;   /* the server left damaged data out */
};
typedef int (*slice_fn)(const struct slice *slice, void *arg,
    struct err *err);

struct slices {
    struct http_client *client;
    const char *const *headers; /* "Name: value" ..., NULL */
    const char *path;           /* "/select/logsql/query" */
    const char *filter;         /* of LogsQL; NULL: all rows */
    int64_t next_ns;            /* what is left: [next, end) */
    int64_t end_ns;
    int64_t len_ns;             /* of the next slice; 0: a minute */
    uint64_t bytes_max;         /* of an answer; 0: SLICE_BYTES */
    bool is_quiet;              /* says nothing of what it tries again */
    slice_fn fn;
    void *arg;
};

/* "64MiB" on a command line, within its bounds. */
bool slices_parse_bytes(const char *text, uint64_t *bytes);

/*
 * How many rows there are in [next, end), and makes that as narrow as they
 * are.  Uses no row, so it is quick where rows are counted by an index.
 */
int slices_bounds(struct slices *slices, uint64_t *rows, struct err *err)
    WARN_UNUSED;

/*
 * Calls fn for slice after slice, in order; next_ns moves on with each.  -1:
 * the server refuses, fails or fails too often, or fn returned -1.
 */
int slices_run(struct slices *slices, struct err *err) WARN_UNUSED;

#endif
