/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What master.c (life), master_fill.c (who should run), master_reload.c
 * (generations), master_upgrade.c (another binary), master_stop.c (the end)
 * and master_status.c (what a service manager hears) share.  Nobody else
 * includes it.
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
struct loop_fd;
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
    MASTER_UPGRADE,
    MASTER_DELAY,
    MASTER_YIELD,
    MASTER_QUIT,
    MASTER_STOP,
    MASTER_END,
};

enum upgrade_phase {
    UPGRADE_NONE,
    UPGRADE_CHECK,
    UPGRADE_PREPARE,
    UPGRADE_YIELD,
    UPGRADE_GONE,
};

struct master_upgrade {
    enum upgrade_phase phase;
    pid_t pid;                /* of the check or the new master; 0: ended */
    int fd;                   /* output of the check, channel of the other */
    struct loop_fd *lfd;
    struct loop_timer *timer;
    struct sb output;         /* of the check */
    char reason[512];         /* what the new master said */
    bool is_stopping;         /* it was told to stop */
    int64_t yield_ns;
};

struct master_status {
    struct loop_timer *timer;
    int64_t period_ns;
    int64_t sent_ns;     /* the last line of status */
    int64_t counted_ns;  /* when there were this many spans */
    uint64_t spans;
    bool has_reload_failed;
    bool is_mute;        /* a worker does not answer */
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

    /* Between a stop that was asked for and its begin (http.shutdown_delay). */
    int64_t leaves_ns;
    enum master_state leaves_to;
    struct loop_timer *delay_timer;

    bool is_upgrade_wanted;
    struct master_upgrade upgrade;
    struct loop_fd *predecessor; /* readable when the old master is gone */
    struct master_status status_line;

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
bool master_is_full(struct master *master);
/*
 * All seats of the roles that end before their successor starts; a front has
 * none.
 */
struct seat *master_single_seat(struct master *master, unsigned n);
void master_child_ended(struct master *master, struct proc *proc,
    const struct proc_end *end);

/* master_reload.c */
void master_reload_begin(struct master *master);
/* All of the new generation are READY: the old one may go. */
bool master_reload_is_ready(const struct master *master);
void master_reload_commit(struct master *master);
void master_reload_undo(struct master *master, const char *why);
bool master_handover_is_done(struct master *master);
void master_reload_done(struct master *master);

/* master_stop.c */
void master_quit(struct master *master);
void master_stop(struct master *master);
/* It makes no sense to go on: what runs is stopped, the status is 1. */
void master_give_up(struct master *master);
/* delay_timer: the time for the announcement is over. */
void master_on_delay_timer(void *master);

/* master_upgrade.c */
void master_upgrade_begin(struct master *master);
/* Does what has become due: all children are gone. */
void master_upgrade_step(struct master *master);
/* A process that is no child of proc.h has ended. */
void master_upgrade_ended(struct master *master, pid_t pid, int status);
/* In a child: closes its copies. */
void master_upgrade_drop(struct master *master);
/* The server stops: no upgrade any more. */
void master_upgrade_cancel(struct master *master);
/* False: the signal is ours, the new master has not had its turn. */
bool master_upgrade_pass_on(struct master *master, int signo);

/* master_status.c */
void master_status_start(struct master *master);
/* In a child, and at the end. */
void master_status_drop(struct master *master);
void master_status_changed(struct master *master);
void master_status_reloading(struct master *master);
void master_status_reloaded(struct master *master, bool has_failed);

#endif
