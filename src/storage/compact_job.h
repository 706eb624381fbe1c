/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One merge from its inputs to the retired files, and what a successor does
 * about one that was cut short.  Private to compact*.c.
 *
 * It has two halves: the long one runs on a thread that gives way to all
 * others; the short one, which holds locks that ingest waits for, does not.
 */

#ifndef SPOOR_STORAGE_COMPACT_JOB_H
#define SPOOR_STORAGE_COMPACT_JOB_H

#include "core/base.h"
#include "core/err.h"
#include "storage/compact_state.h"

enum job_result {
    JOB_DONE,
    JOB_WRITTEN,   /* to be published */
    JOB_CANCELLED, /* the day is not open any more, or the process stops */
    JOB_NO_SPACE,
    JOB_BAD_INPUT, /* an input was marked; the others may be tried again */
    JOB_FAILED,
};

struct compact_job {
    compact_merge_fn merge;
    uint32_t day;
    size_t ninputs;
    struct part_info infos[MERGE_INPUTS_MAX];
    uint32_t entries[MERGE_INPUTS_MAX]; /* of the catalogue */
    bool sync;
    bool is_urgent; /* read and write like everybody else */
    _Atomic bool cancel;
    _Atomic bool is_stopping; /* cancel, and do not even wait to publish */

    /* When it is done. */
    enum job_result result;
    struct part_info output;
    struct merge_counts counts;
    int64_t started_ns;
    int64_t took_ns;
    struct err err;

    /* While it runs. */
    uint32_t incarnation;
    struct part *parts[MERGE_INPUTS_MAX];
};

/* Writes the merged part; JOB_WRITTEN, or it is over.  Lowers the thread. */
void job_merge(struct compact_job *job);
/* Behind JOB_WRITTEN. */
void job_publish(struct compact_job *job);
/* A point against each input, when nobody knows which one it was. */
void job_blame(const struct compact_job *job);

/* After the death of a predecessor: finishes its merge or takes it back. */
int job_resume(bool sync, struct err *err) WARN_UNUSED;

#endif
