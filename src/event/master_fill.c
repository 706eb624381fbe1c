/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Who should run, by the state of the master:
 *
 *   RECOVER          the recovery at boot, nothing else
 *   START RUN        workers, merge, retention, recoveries of slots; of a
 *                    front only workers
 *   RELOAD           successors of workers; the other seats as before
 *   HANDOVER         as RUN, with the new configuration
 *   UPGRADE DELAY    as RUN
 *   YIELD QUIT ...   nobody new
 *
 * master_fill() compares this with who does run.  It is called after every
 * change and needs no memory of its own, so no order of events can make it
 * forget a seat.
 */

#include "core/base.h"
#include "event/master_state.h"

#include "core/assert.h"
#include "core/conf_budget.h"
#include "core/conf_storage.h"
#include "core/log.h"
#include "core/metrics.h"
#include "event/loop.h"
#include "event/master.h"
#include "event/proc.h"

#define MASTER_SINGLES 2

unsigned
master_workers(const struct conf *conf)
{
    return MIN(conf_budget(conf)->workers, MASTER_WORKERS_MAX);
}

unsigned
master_slot_capacity(const struct conf *conf)
{
    unsigned workers = master_workers(conf);

    return MAX(3 * workers, workers + 8);
}

unsigned
master_worker_seats(const struct master *master, const struct conf *conf)
{
    unsigned most = MAX(master->slots / 3, master_workers(master->boot_conf));

    return MIN(master_workers(conf), most);
}

struct seat *
master_single_seat(struct master *master, unsigned n)
{
    struct seat *const seats[MASTER_SINGLES] = {
        &master->merge, &master->retention,
    };

    /* A front has nothing to merge or to drop. */
    if (n >= MASTER_SINGLES || conf_is_front(master->boot_conf))
        return NULL;
    return seats[n];
}

void
master_init_seats(struct master *master)
{
    for (unsigned i = 0; i < MASTER_WORKERS_MAX; i++)
        master->workers[i] = (struct seat){.role = ROLE_WORKER, .index = i,
            .slot = SLOT_NONE};
    for (unsigned i = 0; i < LISTEN_SLOTS_MAX; i++)
        master->recover[i] = (struct seat){.role = ROLE_RECOVER, .slot = i};
    master->merge = (struct seat){.role = ROLE_MERGE, .slot = SLOT_NONE};
    master->retention = (struct seat){.role = ROLE_RETENTION,
        .slot = SLOT_NONE};
    master->boot = (struct seat){.role = ROLE_RECOVER, .slot = SLOT_NONE,
        .is_wanted = !conf_is_front(master->boot_conf)};
}

/* Filling. */

/* False when it has to wait for a slot or a process. */
static bool
seat_spawn(struct master *master, struct seat *seat, struct proc **into,
    const struct conf *conf)
{
    struct process model = {
        .role = seat->role,
        .index = seat->index,
        .slot = seat->slot,
        .generation = master->generation,
        .conf = conf,
        .leaves_ns = master->leaves_ns,
    };
    const struct proc_end failure = {.is_exit = true};
    int64_t now_ns = loop_now_ns(master->loop);
    struct err err = ERR_INIT;
    char name[PROC_NAME_MAX];

    if (seat->role == ROLE_WORKER && !slot_take(&model.slot)) {
        log_warn("no slot is free for worker %u: it waits for a recovery or "
            "for an old worker to end", seat->index);
        return false;
    }
    *into = proc_spawn(&model, &master->jail, &err);
    if (*into == NULL) {
        if (seat->role == ROLE_WORKER)
            slot_release(model.slot);
        log_error("cannot start %s: %s, trying again in %lld ms",
            role_name(seat->role), err.text,
            (long long)(seat_lost(seat, &failure, false, now_ns) /
                NS_PER_MS));
        return false;
    }
    log_info("%s started", proc_name(*into, name));
    return true;
}

/* Fills one seat if it is time; earliest is brought forward if it is not. */
static void
seat_fill(struct master *master, struct seat *seat, bool is_successor,
    int64_t *earliest_ns)
{
    struct proc **into = is_successor ? &seat->next : &seat->proc;
    const struct conf *conf = is_successor ? master->next_conf : master->conf;

    if (*into != NULL)
        return;
    if (seat->due_ns <= loop_now_ns(master->loop) &&
        seat_spawn(master, seat, into, conf))
        return;
    /* Lacking a slot, due_ns has passed: the end of a process wakes us. */
    if (seat->due_ns > loop_now_ns(master->loop))
        *earliest_ns = MIN(*earliest_ns, seat->due_ns);
}

static void
master_fill_running(struct master *master, int64_t *earliest_ns)
{
    bool is_reload = master->state == MASTER_RELOAD;
    const struct conf *conf = is_reload ? master->next_conf : master->conf;
    unsigned workers = master_worker_seats(master, conf);
    struct seat *seat;

    /* Recovery first: it gives slots back. */
    for (unsigned i = 0; i < master->slots; i++)
        if (master->recover[i].is_wanted)
            seat_fill(master, &master->recover[i], false, earliest_ns);
    if (master->are_workers_wanted || is_reload)
        for (unsigned i = 0; i < workers; i++)
            seat_fill(master, &master->workers[i], is_reload, earliest_ns);
    for (unsigned i = 0; (seat = master_single_seat(master, i)) != NULL; i++)
        seat_fill(master, seat, false, earliest_ns);
}

void
master_fill(struct master *master)
{
    int64_t earliest_ns = INT64_MAX;

    switch (master->state) {
    case MASTER_RECOVER:
        seat_fill(master, &master->boot, false, &earliest_ns);
        break;
    case MASTER_START:
    case MASTER_RUN:
    case MASTER_RELOAD:
    case MASTER_HANDOVER:
    case MASTER_UPGRADE:
    case MASTER_DELAY:
        master_fill_running(master, &earliest_ns);
        break;
    default:
        break;
    }
    if (earliest_ns != INT64_MAX)
        loop_timer_set(master->fill_timer,
            MAX(earliest_ns - loop_now_ns(master->loop), 0));
    else
        loop_timer_cancel(master->fill_timer);
}

static bool
seat_is_ready(const struct seat *seat)
{
    return seat->proc != NULL && seat->proc->state == PROC_READY;
}

bool
master_is_full(struct master *master)
{
    unsigned workers = master_worker_seats(master, master->conf);
    const struct seat *seat;

    for (unsigned i = 0; i < workers; i++)
        if (!seat_is_ready(&master->workers[i]))
            return false;
    for (unsigned i = 0; (seat = master_single_seat(master, i)) != NULL; i++)
        if (!seat_is_ready(seat))
            return false;
    return true;
}

/* Ends. */

static struct seat *
master_seat_of(struct master *master, const struct proc *proc)
{
    const struct process *process = &proc->process;

    switch (process->role) {
    case ROLE_WORKER:
        return &master->workers[process->index];
    case ROLE_MERGE:
        return &master->merge;
    case ROLE_RETENTION:
        return &master->retention;
    default:
        return process->slot == SLOT_NONE ? &master->boot
                                          : &master->recover[process->slot];
    }
}

static bool
master_ask_modules(const struct proc *proc, const struct proc_end *end)
{
    const struct process *process = &proc->process;
    bool wants_recovery = false;

    for (const struct module *const *m = modules; *m != NULL; m++)
        if ((*m)->child_ended != NULL && (*m)->child_ended(process->role,
                process->slot, proc->pid, end->is_crash))
            wants_recovery = true;
    return wants_recovery;
}

/* The slot is free again, or its recovery is wanted. */
static void
master_return_slot(struct master *master, const struct proc *proc,
    bool wants_recovery)
{
    unsigned slot = proc->process.slot;

    listen_child_ended(slot);
    if (!wants_recovery) {
        slot_release(slot);
        return;
    }
    seat_clear(&master->recover[slot]);
    master->recover[slot].is_wanted = true;
}

static void
master_count_restart(enum role role)
{
    static const enum metric_id metrics[ROLE_COUNT] = {
        [ROLE_WORKER] = METRIC_RESTARTS_WORKER,
        [ROLE_MERGE] = METRIC_RESTARTS_MERGE,
        [ROLE_RETENTION] = METRIC_RESTARTS_RETENTION,
        [ROLE_RECOVER] = METRIC_RESTARTS_RECOVER,
    };

    metric_add(metrics[role], 1);
}

static bool
master_restarts(const struct master *master)
{
    return master->state < MASTER_YIELD;
}

/* An end that nobody asked for, of a process that has a seat. */
static void
master_seat_lost(struct master *master, struct seat *seat,
    const struct proc *proc, const struct proc_end *end)
{
    char name[PROC_NAME_MAX];
    int64_t delay_ns;

    proc_name(proc, name);
    if (!master_restarts(master)) {
        log_warn("%s %s", name, end->text);
        return;
    }
    delay_ns = seat_lost(seat, end, proc->was_ready,
        loop_now_ns(master->loop));
    master_count_restart(seat->role);
    log_error("%s %s, restarting in %lld ms", name, end->text,
        (long long)(delay_ns / NS_PER_MS));
}

static void
master_recover_ended(struct master *master, struct seat *seat,
    const struct proc *proc, const struct proc_end *end)
{
    char name[PROC_NAME_MAX];

    if (!end->is_good) {
        master_seat_lost(master, seat, proc, end);
        return;
    }
    log_info("%s is done", proc_name(proc, name));
    seat->is_wanted = false;
    if (seat->slot != SLOT_NONE)
        slot_release(seat->slot);
}

void
master_child_ended(struct master *master, struct proc *proc,
    const struct proc_end *end)
{
    struct seat *seat = master_seat_of(master, proc);
    bool is_successor = seat->next == proc;
    bool has_seat = seat->proc == proc || is_successor;
    bool wants_recovery = master_ask_modules(proc, end);
    char name[PROC_NAME_MAX];

    if (seat->proc == proc)
        seat->proc = NULL;
    if (is_successor)
        seat->next = NULL;
    if (proc->process.role == ROLE_WORKER)
        master_return_slot(master, proc, wants_recovery);

    if (proc->process.role == ROLE_RECOVER) {
        master_recover_ended(master, seat, proc, end);
    } else if (has_seat && !end->was_asked) {
        if (is_successor)
            master->reload_failures++;
        master_seat_lost(master, seat, proc, end);
    } else {
        if (end->is_good)
            log_info("%s ended", proc_name(proc, name));
        else
            log_warn("%s %s on its way out", proc_name(proc, name),
                end->text);
        if (has_seat)
            seat_clear(seat);
    }
}
