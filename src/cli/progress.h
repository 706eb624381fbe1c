/* SPDX-License-Identifier: BSD-2-Clause */

/* A line on standard error from time to time, for what takes long. */

#ifndef SPOOR_CLI_PROGRESS_H
#define SPOOR_CLI_PROGRESS_H

#include "core/base.h"

struct progress {
    bool is_quiet;
    int64_t start_ns; /* monotonic */
    int64_t next_ns;
};

void progress_start(struct progress *progress, bool is_quiet);
/* "spoorctl: 120000 spans (40000/s), WHERE", at most every two seconds. */
void progress_show(struct progress *progress, uint64_t spans,
    const char *where);
double progress_seconds(const struct progress *progress);

#endif
