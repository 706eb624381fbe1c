/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Merging parts: the rows of some parts of one day become one level-2 part.
 * Traces stand together again, sorted by their end; a span that is there more
 * than once (the same identity and the same content, design P14) is kept once.
 *
 * Memory is bounded whatever the inputs hold: some words for each trace, and
 * at most MERGE_BLOCKS_OPEN decoded blocks at a time.
 */

#ifndef SPOOR_STORAGE_MERGE_H
#define SPOOR_STORAGE_MERGE_H

#include "core/base.h"
#include "core/err.h"
#include "storage/part.h"

/* What one merge may read; who chooses the inputs keeps to it. */
#define MERGE_INPUTS_MAX 256u
#define MERGE_ROWS_MAX (16u << 20)
#define MERGE_TRACES_MAX (768u << 10) /* sum of the inputs' ntraces */

struct merge_task {
    struct part *const *inputs; /* open, all of one day */
    size_t ninputs;
    uint64_t part_id;
    const uint8_t *node_id;     /* 16 bytes */
    const char *path;           /* of the file to make; replaced */
    bool sync;                  /* fdatasync before it returns */
    /* Looked at every few milliseconds; true: ERR_CANCELLED.  May be NULL. */
    const _Atomic bool *cancel;
};

struct merge_counts {
    uint64_t rows_in;
    uint64_t rows_out;
    uint64_t bytes_out;
};

/*
 * Writes the merged part to task->path and fills *info and *counts.  An input
 * that turns out to be damaged is ERR_CORRUPT with its file in err, and
 * *bad_input (may be NULL) is its index, else SIZE_MAX.  After a failure no
 * file is left.
 */
int merge_parts(const struct merge_task *task, struct part_info *info,
    struct merge_counts *counts, size_t *bad_input, struct err *err)
    WARN_UNUSED;

#endif
