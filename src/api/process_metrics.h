/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What /metrics says of the server as a whole: version, flags, memory, CPU,
 * limits and pressure.
 */

#ifndef SPOOR_API_PROCESS_METRICS_H
#define SPOOR_API_PROCESS_METRICS_H

#include "core/base.h"
#include "event/module.h"

extern const struct module process_metrics_module;

#endif
