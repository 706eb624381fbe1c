/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * In a worker: closes open parts soon after they have left the catalogue, on
 * a task thread.
 */

#ifndef SPOOR_STORAGE_PART_SWEEP_H
#define SPOOR_STORAGE_PART_SWEEP_H

#include "core/base.h"
#include "event/module.h"

void part_sweep_start(struct process *process);
void part_sweep_stop(void);

#endif
