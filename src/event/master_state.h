/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What master.c (life), master_fill.c (who should run) and master_reload.c
 * (generations) share.  Nobody else includes it.
 */

#ifndef SPOOR_EVENT_MASTER_STATE_H
#define SPOOR_EVENT_MASTER_STATE_H

#include "core/base.h"
#include "core/conf.h"
#include "core/sb.h"
#include "event/jail.h"
#include "event/listen.h"
#include "event/seat.h"

struct loop;
struct loop_timer;
struct proc;
struct proc_end;

#define MASTER_WORKERS_MAX 256
/* Generations of workers that may be on their way out at a time. */
#define MASTER_DRAINING_MAX 2
/* Boot recovery is tried once and this many times again. */
#define MASTER_RECOVER_RETRIES 3
/* At start: a process that refuses to start so often never will. */
#define MASTER_REFUSALS_MAX 5
/* A reload is undone when its processes failed to start so often. */
#define MASTER_RELOAD_FAILURES_MAX 3
/* Warnings and errors of a configuration. */
#define MASTER_MESSAGES_MAX (32 * KIB)

enum master_state {
    MASTER_BOOT,
    MASTER_RECOVER,
    MASTER_START,
    MASTER_RUN,
    MASTER_RELOAD,
    MASTER_HANDOVER,
    MASTER_QUIT,
    MASTER_STOP,
    MASTER_END,
};

struct master {
    enum master_state state;
    struct loop *loop;
    struct loop_timer *fill_timer;
    const struct conf_source *source;
    struct conf *conf;      /* of the present generation */
    struct conf *boot_conf; /* lends what only a restart changes */
    struct conf *next_conf; /* during MASTER_RELOAD */
    struct jail jail;
    uint32_t generation;
    unsigned slots;
    bool are_workers_wanted; /* false after WINCH */
    bool was_ready;
    unsigned stops;          /* stops asked for */
    int status;              /* exit status */

    bool is_reload_wanted;
    unsigned reload_failures;
    struct sb reload_notes;  /* warnings of the reload that runs */

    struct seat workers[MASTER_WORKERS_MAX];
    struct seat merge;
    struct seat retention;
    struct seat boot;                      /* recovery before all others */
    struct seat recover[LISTEN_SLOTS_MAX]; /* by slot */
};

/* master.c */
const char *master_state_name(enum master_state state);
void master_set_state(struct master *master, enum master_state state);
/* Does what has become due in the present state; call after any change. */
void master_step(struct master *master);
/* Log settings of conf; the children's user gets the file. */
int master_apply_log(struct master *master, const struct conf *conf,
    struct err *err) WARN_UNUSED;
/* "listening on A, B" of the sockets that are open. */
void master_print_addresses(struct sb *out);

/* master_fill.c */
/* Workers that conf gets: bounded by the slots there are. */
unsigned master_worker_seats(const struct master *master,
    const struct conf *conf);
void master_init_seats(struct master *master);
/* Starts what should run and does not, or sets the timer for it. */
void master_fill(struct master *master);
/* True when all that should run is READY. */
bool master_is_full(const struct master *master);
/* All seats of the roles that end before their successor starts. */
struct seat *master_single_seat(struct master *master, unsigned n);
void master_child_ended(struct master *master, struct proc *proc,
    const struct proc_end *end);

/* master_reload.c */
void master_reload_begin(struct master *master);
/* All of the new generation are READY: the old one may go. */
bool master_reload_is_ready(const struct master *master);
void master_reload_commit(struct master *master);
void master_reload_undo(struct master *master, const char *why);
bool master_handover_is_done(const struct master *master);
void master_reload_done(struct master *master);

#endif
