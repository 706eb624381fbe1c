/* SPDX-License-Identifier: BSD-2-Clause */

#ifndef SPOOR_STORAGE_STORE_METRICS_H
#define SPOOR_STORAGE_STORE_METRICS_H

#include "core/base.h"
#include "core/metrics.h"

/* For metrics_on_collect() in a worker; arg: its struct conf. */
void store_collect_metrics(struct metrics_scrape *scrape, void *arg);

#endif
