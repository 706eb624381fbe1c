/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/progress.h"

#include "core/timefmt.h"

#define STEP_NS (2 * NS_PER_SEC)

void
progress_start(struct progress *progress, bool is_quiet)
{
    progress->is_quiet = is_quiet;
    progress->start_ns = clock_mono_ns();
    progress->next_ns = progress->start_ns + STEP_NS;
}

double
progress_seconds(const struct progress *progress)
{
    return (double)(clock_mono_ns() - progress->start_ns) / 1e9;
}

void
progress_show(struct progress *progress, uint64_t spans, const char *where)
{
    int64_t now_ns = clock_mono_ns();

    if (progress->is_quiet || now_ns < progress->next_ns)
        return;
    progress->next_ns = now_ns + STEP_NS;
    fprintf(stderr, "spoorctl: %llu spans (%.0f/s)%s%s\n",
        (unsigned long long)spans,
        (double)spans / progress_seconds(progress),
        where[0] != '\0' ? ", " : "", where);
}
