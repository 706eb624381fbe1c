/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/part_sweep.h"

#include "event/loop.h"
#include "event/task.h"
#include "storage/catalog.h"
#include "storage/part_cache.h"

#define SWEEP_NS NS_PER_SEC

static struct {
    struct process *process;
    struct loop_timer *timer;
    uint64_t gen;  /* of the last sweep that closed all */
    uint64_t next; /* of the one that runs */
    bool is_running;
    bool is_clean;
} self;

static void IMPL(task_fn)
sweep(void *arg)
{
    (void)arg;
    self.is_clean = part_cache_sweep();
}

static void IMPL(task_fn)
swept(void *arg)
{
    (void)arg;
    self.is_running = false;
    if (self.is_clean)
        self.gen = self.next;
}

static void IMPL(loop_timer_fn)
tick(void *arg)
{
    struct err ignored = ERR_INIT;

    (void)arg;
    if (!self.is_running && catalog_generation() != self.gen) {
        self.next = catalog_generation();
        self.is_running = task_post(self.process->tasks, sweep, swept, NULL,
            &ignored) == 0;
    }
    loop_timer_set(self.timer, SWEEP_NS);
}

void
part_sweep_start(struct process *process)
{
    memset(&self, 0, sizeof(self));
    self.process = process;
    self.timer = loop_timer_new(process->loop, tick, NULL);
    loop_timer_set(self.timer, SWEEP_NS);
}

void
part_sweep_stop(void)
{
    loop_timer_free(self.timer);
    self.timer = NULL;
}
