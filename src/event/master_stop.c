/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How a server ends: DELAY announces it, QUIT and STOP finish what was begun.
 */

#include "core/base.h"
#include "event/master_state.h"

#include <signal.h>

#include "core/log.h"
#include "core/timefmt.h"
#include "event/control.h"
#include "event/loop.h"
#include "event/proc.h"
#include "event/upgrade.h"

/* QUIT or STOP; a running reload is over. */
static void
master_leave(struct master *self, enum master_state state)
{
    control_begin(SIGNAL_RELOAD);
    control_answer(SIGNAL_RELOAD, false, "failed: the server is stopping");
    self->is_reload_wanted = false;
    master_upgrade_cancel(self);
    loop_timer_cancel(self->delay_timer);
    /* Or the kernel would go on taking connections that nobody serves. */
    listen_close_all();
    master_set_state(self, state);
}

/* True when the end is put off: health checks announce it first. */
static bool
master_delay(struct master *self, enum master_state to)
{
    int64_t delay_ns = self->conf->shutdown_delay;

    if (delay_ns == 0 || !self->was_ready || self->state >= MASTER_DELAY)
        return false;
    log_info("health checks answer 503 for %lld s, then %s",
        (long long)((delay_ns + NS_PER_SEC - 1) / NS_PER_SEC),
        to == MASTER_QUIT ? "all requests are finished" : "stopping");
    control_begin(SIGNAL_RELOAD);
    control_answer(SIGNAL_RELOAD, false, "failed: the server is stopping");
    master_upgrade_cancel(self);
    self->leaves_ns = clock_mono_ns() + delay_ns;
    self->leaves_to = to;
    for (struct proc *proc = proc_next(NULL); proc != NULL;
         proc = proc_next(proc))
        proc_say_leaving(proc, self->leaves_ns);
    loop_timer_set(self->delay_timer, delay_ns);
    master_set_state(self, MASTER_DELAY);
    return true;
}

static void
master_quit_now(struct master *self)
{
    log_info("finishing all requests, then stopping");
    master_leave(self, MASTER_QUIT);
    for (struct proc *proc = proc_next(NULL); proc != NULL;
         proc = proc_next(proc))
        proc_drain(proc);
}

void
master_quit(struct master *self)
{
    if (self->state == MASTER_DELAY || self->state >= MASTER_QUIT ||
        master_upgrade_pass_on(self, SIGQUIT))
        return;
    if (!master_delay(self, MASTER_QUIT))
        master_quit_now(self);
}

static void
master_stop_now(struct master *self)
{
    int64_t bound_ns = self->conf->shutdown_timeout;

    if (self->stops > 1) {
        log_info("stopping at once");
        bound_ns = 0;
    } else {
        log_info("stopping");
    }
    master_leave(self, MASTER_STOP);
    for (struct proc *proc = proc_next(NULL); proc != NULL;
         proc = proc_next(proc))
        proc_stop(proc, bound_ns);
}

void
master_stop(struct master *self)
{
    if (self->state == MASTER_END || master_upgrade_pass_on(self, SIGTERM))
        return;
    self->stops++;
    if (!master_delay(self, MASTER_STOP))
        master_stop_now(self);
}

void
master_on_delay_timer(void *arg)
{
    struct master *self = arg;

    if (self->leaves_to == MASTER_QUIT)
        master_quit_now(self);
    else
        master_stop_now(self);
    master_step(self);
}

/* It makes no sense to go on; what runs is stopped. */
void
master_give_up(struct master *self)
{
    self->status = 1;
    upgrade_say_failed("it did not come up, its log says why");
    self->stops++;
    master_stop_now(self);
}
