/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/trim.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/timefmt.h"
#include "event/loop.h"
#include "event/task.h"

/*
 * Less is not worth it: the next queries take it again, and zeroed pages cost
 * them more than keeping it costs the machine.  Less than that where queries
 * may have little in all.
 */
#define TRIM_BYTES (32 * MIB)
#define TRIM_PARTS 8
/* So seldom that what it costs (some 0.1 ms a MiB) cannot be seen. */
#define TRIM_DELAY_NS (1 * NS_PER_SEC)

/* Loop's thread only. */
static struct {
    const struct process *process;
    struct mem_share *queries;
    struct loop_timer *timer;
    bool is_set; /* the timer runs, or the task */
} self;

static void IMPL(task_fn)
trim_run(void *arg)
{
    int64_t began_ns = clock_mono_ns();

    (void)arg;
    mem_trim();
    log_debug("memory of queries given back in %lld us",
        (long long)((clock_mono_ns() - began_ns) / NS_PER_US));
}

static void IMPL(task_fn)
trim_done(void *arg)
{
    (void)arg;
    self.is_set = false;
    /* Others may have ended meanwhile. */
    trim_after(self.process, self.queries);
}

static void IMPL(loop_timer_fn)
trim_begin(void *arg)
{
    (void)arg;
    mem_share_forget_peak(self.queries);
    if (task_post(self.process->queries, trim_run, trim_done, NULL,
        NULL) != 0)
        loop_timer_set(self.timer, TRIM_DELAY_NS);
}

void
trim_after(const struct process *process, struct mem_share *queries)
{
    if (self.is_set || mem_share_peak(queries) <
        MIN(TRIM_BYTES, queries->max / TRIM_PARTS))
        return;
    self.process = process;
    self.queries = queries;
    if (self.timer == NULL)
        self.timer = loop_timer_new(process->loop, trim_begin, NULL);
    self.is_set = true;
    loop_timer_set(self.timer, TRIM_DELAY_NS);
}
