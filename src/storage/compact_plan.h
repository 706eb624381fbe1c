/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * From the catalogue and the requests of people to the next merge.  Private
 * to compact*.c; one thread.
 */

#ifndef SPOOR_STORAGE_COMPACT_PLAN_H
#define SPOOR_STORAGE_COMPACT_PLAN_H

#include "core/base.h"
#include "core/err.h"
#include "storage/compact_job.h"

/*
 * With so many parts of level 1, days that have few of them are merged, too:
 * half of what ingest is slowed down at.
 */
#define PLAN_PRESSED_PARTS (COMPACT_SLOW_PARTS / 2)

void plan_start(void);
void plan_stop(void);

/*
 * Fills day, inputs and entries of a job.  1: there is one; 0: nothing to do;
 * -1: the catalogue could not be read.  job NULL: only counts what waits.
 */
int plan_merge(struct compact_job *job, struct err *err);

#endif
