/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The master's table of child processes: spawning, the READY handshake, what
 * they are told, reaping.  What to do about an end is decided elsewhere
 * (seat.h: restart; master.c: states).
 */

#ifndef SPOOR_EVENT_PROC_H
#define SPOOR_EVENT_PROC_H

#include "core/base.h"
#include "core/err.h"
#include "event/jail.h"
#include "event/module.h"

struct channel;
struct loop;
struct loop_timer;

/* A child must report READY within this time, RECOVER excepted. */
#define PROC_READY_TIMEOUT_NS (60 * NS_PER_SEC)
/* After the time a child was given has passed, until it is killed. */
#define PROC_KILL_GRACE_NS (2 * NS_PER_SEC)

/*
 *  FREE ── spawn ──> STARTING ── READY ──> READY ── proc_drain ──> DRAINING
 *                        │                   │                        │
 *                        └───── proc_stop ───┴────────────────────────┴──>
 *  STOPPING ── reaped (from any state) ──> ENDED ──> FREE
 */
enum proc_state {
    PROC_FREE,
    PROC_ENDED, /* on_ended runs */
    PROC_STARTING,
    PROC_READY,
    PROC_DRAINING,
    PROC_STOPPING,
};

struct proc {
    uint32_t magic;
    enum proc_state state;
    bool was_ready;
    struct process process; /* loop and tasks are set in the child */
    pid_t pid;
    int64_t started_ns;
    struct channel *channel;  /* NULL once closed */
    struct loop_timer *timer; /* READY in time; killed when it passes */
    const char *kill_reason;  /* why the timer will kill */
    int64_t asked_ns;         /* a ping that is not answered; 0: none */
    char *record;             /* PANIC_TEXT_MAX bytes, shared with the child */
};

struct proc_end {
    bool is_good;    /* exit status 0 */
    bool is_crash;   /* SEGV, BUS, ILL, ABRT, FPE */
    bool is_exit;    /* by itself, with whatever status */
    bool was_asked;  /* by proc_drain() or proc_stop() */
    int64_t life_ns;
    char text[80];   /* "ended on signal 9 (Killed)" */
};

struct proc_hooks {
    void (*on_ready)(struct proc *proc);
    /* proc counts as gone already and is freed after it. */
    void (*on_ended)(struct proc *proc, const struct proc_end *end);
    /* What ended is none of ours: a new master, or a check of one. */
    void (*on_stranger)(pid_t pid, int status);
    /* In a new child: close what only the master may hold. */
    void (*in_child)(enum role role);
};

/*
 * Once, before anything else here.  slots is the number of worker slots, and
 * bounds the table, too.
 */
int proc_init(struct loop *loop, unsigned slots,
    const struct proc_hooks *hooks, struct err *err) WARN_UNUSED;
void proc_release(void);

/* Spawns; what the child is comes from model (role ... conf). */
struct proc *proc_spawn(const struct process *model, const struct jail *jail,
    struct err *err) WARN_UNUSED;

/* "worker 1 (12345)"; dst of PROC_NAME_MAX bytes. */
#define PROC_NAME_MAX 48
const char *proc_name(const struct proc *proc, char *dst);

/* Finish and end, as long as it takes.  Harmless when repeated. */
void proc_drain(struct proc *proc);
/* Finish and end within bound_ns; killed PROC_KILL_GRACE_NS later. */
void proc_stop(struct proc *proc, int64_t bound_ns);
/* Open the log again. */
void proc_reopen(struct proc *proc);
/* The server will stop at this time and wants no new clients. */
void proc_say_leaving(struct proc *proc, int64_t at_ns);
void proc_kill(struct proc *proc, const char *reason);

/* Asks all workers that are READY whether their loops run. */
void proc_ping_workers(void);
/* A worker that has not answered for this long; NULL: there is none. */
const struct proc *proc_find_mute(int64_t patience_ns);

/* SIGCHLD: collects what ended and calls on_ended for each. */
void proc_reap(void);

/* All living: proc = proc_next(NULL), proc_next(proc) ... NULL. */
struct proc *proc_next(const struct proc *after);
unsigned proc_count(void);
/* Generations of workers that are on their way out, and the oldest. */
unsigned proc_draining_generations(uint32_t *oldest);

/* Worker slots.  False when none is free. */
bool slot_take(unsigned *slot);
void slot_release(unsigned slot);

#endif
