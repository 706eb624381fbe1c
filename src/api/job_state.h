/* SPDX-License-Identifier: BSD-2-Clause */

/* Between job.c and job_place.c. */

#ifndef SPOOR_API_JOB_STATE_H
#define SPOOR_API_JOB_STATE_H

#include "core/base.h"
#include "api/job.h"

/* Queries of this worker that wait for a place, as their threads see it. */
extern _Atomic unsigned job_nwaiting;

/* Gives back the place that it has, if any. */
void job_place_leave(struct job *job);

/* From now on its client may leave, or hear that it is alive. */
void job_begin(struct job *job, void (*run)(struct job *job));
void job_run(void *arg);
void job_done(void *arg);
/* The client was told something already: tells it why not.  Else false. */
bool job_stream_refuse(struct job *job, const char *why);

#endif
