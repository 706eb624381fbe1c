/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Modules: the parts of the server that live in every process, wired as one
 * table in core/main.c.  The process code (master, worker) knows them only
 * through this struct.  Any hook may be NULL.
 */

#ifndef SPOOR_EVENT_MODULE_H
#define SPOOR_EVENT_MODULE_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/sb.h"

struct loop;
struct task_pool;

/* Rows of core/roles.def: see there for what each may do. */
enum role {
#define ROLE(id, name, count, network, doc) ROLE_##id,
#include "core/roles.def"
#undef ROLE
    ROLE_COUNT,
};

/* A process without a place in shared memory. */
#define SLOT_NONE UINT_MAX

/* What a process knows of itself. */
struct process {
    enum role role;
    unsigned index;          /* 0..workers-1 within the role */
    /*
     * WORKER: its place in shared memory, below master_slot_capacity() and
     * unique among the living workers.  RECOVER: the place of the dead worker
     * to recover, SLOT_NONE at boot.  Others: SLOT_NONE.
     */
    unsigned slot;
    uint32_t generation;     /* counts HUPs */
    const struct conf *conf; /* valid for the life of the process */
    struct loop *loop;
    struct task_pool *tasks; /* NULL in processes without a pool */
    /*
     * The same for queries, so that what is ingested never waits for a thread
     * behind them; neither does an answer that is compressed.
     */
    struct task_pool *queries;
    struct task_pool *lookups; /* those that seldom take long */
    /*
     * The server will stop at this time (monotonic) and wants no new clients:
     * health checks say so.  0: it will not.
     */
    int64_t leaves_ns;
};

struct module {
    const char *name;

    /*
     * Master, once, before any fork: create shared memory and take locks.
     * May wait for another master to go (says so).  Runs with the rights the
     * master starts with; data directories are made and chowned here.
     */
    int (*init_master)(const struct conf *conf, struct err *err);
    /*
     * Master, after a good reload, before the new generation is forked; also
     * to go back, with the old configuration (conf->serial tells).  Files
     * that are read are named to watch_add(), here and in init_master.
     */
    int (*reload_master)(const struct conf *conf, struct err *err);

    /*
     * Master, when no child is left: another master takes over at once.  Lets
     * go of locks and of the memory for requests.  Nothing of the module is
     * called after it.
     */
    void (*yield_master)(void);
    /* Master, each few seconds: ", 31 GiB" for the line of status. */
    void (*status_master)(struct sb *out);

    /*
     * In each child, after rights are dropped, before READY is reported.  A
     * failure ends the process, which is started again with back-off.  A
     * RECOVER process does its work here, or begins it here and says in
     * is_drained() when it is done: it is drained as soon as it is ready.  It
     * may be killed at any point of its work (SIGTERM has no handler in it)
     * and is started again until it ended well.
     */
    int (*init_process)(struct process *process, struct err *err);
    /* A graceful end was asked for: finish, take nothing new. */
    void (*drain)(struct process *process);
    /* True when nothing is left to finish (asked after drain, repeatedly). */
    bool (*is_drained)(struct process *process);
    /* Master and children: USR1, files of logs are opened again. */
    int (*reopen)(struct err *err);
    /*
     * Last call in a process that ends in an orderly way, in reverse order of
     * the table.  The loop does not run any more; the pool still does.
     */
    void (*exit_process)(struct process *process);

    /*
     * Master: a child ended.  crashed is true for SEGV, BUS, ILL, ABRT, FPE.
     * Return true to have a recover process started for that slot; the slot
     * is not given out again until that process ended well.  Called for every
     * child; what it returns counts for workers only.
     */
    bool (*child_ended)(enum role role, unsigned slot, pid_t pid,
        bool crashed);
};

/* Ends with a NULL entry; set by main before the master runs. */
extern const struct module *const *modules;

/*
 * Places for workers in shared memory: enough for the living, the draining
 * and those whose slot waits for recovery.  Counted from the configuration
 * the master started with; a reload never makes it larger.
 */
unsigned master_slot_capacity(const struct conf *conf);
/* "worker", from core/roles.def. */
const char *role_name(enum role role);
/* Whether it keeps the listen sockets. */
bool role_has_network(enum role role);

#endif
