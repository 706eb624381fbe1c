/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the merge process leaves in shared memory for its successor and for
 * others.  Private to compact*.c.
 */

#ifndef SPOOR_STORAGE_COMPACT_STATE_H
#define SPOOR_STORAGE_COMPACT_STATE_H

#include "core/base.h"
#include "storage/compact.h"
#include "storage/retire.h"

enum intent_state {
    INTENT_NONE = 0,
    INTENT_MERGING,    /* the output may exist as .tmp or under its name */
    INTENT_PUBLISHING, /* it exists; it may be listed and in the catalogue */
};

struct intent_input {
    uint64_t id;
    uint32_t level;
    uint32_t entry; /* of the catalogue */
};

/* The merge that runs; written by the merge process only. */
struct intent {
    _Atomic uint32_t state; /* stored behind everything else */
    _Atomic uint32_t day;
    uint64_t output;
    uint32_t ninputs;
    struct intent_input inputs[MERGE_INPUTS_MAX];
};

/*
 * Parts whose merges failed or killed the process (design P21), with points:
 * a crash counts as three, a kill or a failed read as one.  With three, a
 * part is merged with few others only; with six, never again in this run of
 * the server.  When the table is full the oldest is forgotten.
 */
#define BLAMES_MAX 1024u
#define BLAME_CRASH 3u
#define BLAME_SUSPECT 3u
#define BLAME_UNMERGED 6u

struct blame {
    uint64_t part_id;
    uint32_t points;
};

/* More than a person asks for at a time. */
#define FORCES_MAX 16u
#define FORCE_PREFIX_MAX 8u

enum force_state { FORCE_FREE = 0, FORCE_FILLING, FORCE_WAITS, FORCE_RUNS };

struct force {
    _Atomic uint32_t state;
    char prefix[FORCE_PREFIX_MAX + 1];
    uint64_t below_id; /* only parts that were there when it began */
};

struct compact_state {
    struct intent intent;
    _Atomic uint32_t deaths; /* points since the last start */
    struct blame blames[BLAMES_MAX];
    uint32_t next_blame;
    struct force forces[FORCES_MAX];
    _Atomic uint32_t pending;     /* parts that wait, as the last look found */
    _Atomic int64_t progress_ns;  /* monotonic: a merge began or ended */
};

/* NULL before compact_create(). */
extern struct compact_state *compact_state;

uint32_t blame_points(uint64_t part_id);
/* Adds points; returns the sum. */
uint32_t blame_add(uint64_t part_id, uint32_t points);

/* "partitions/20261121/0000010000000001.l1" */
void retired_name(char dst[RETIRE_NAME_MAX], uint32_t day, uint64_t part_id,
    uint32_t level);

#endif
