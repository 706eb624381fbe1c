/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * THE table of signals: what each does in the master and in a child, and the
 * word of -s that asks for the same.
 */

#ifndef SPOOR_EVENT_SIGNAL_H
#define SPOOR_EVENT_SIGNAL_H

#include <signal.h>

#include "core/base.h"

struct loop;

enum signal_act {
    SIGNAL_IGNORE,
    SIGNAL_STOP,          /* orderly, within shutdown_timeout */
    SIGNAL_QUIT,          /* orderly, as long as it takes */
    SIGNAL_RELOAD,
    SIGNAL_REOPEN,        /* the log */
    SIGNAL_UPGRADE,
    SIGNAL_DRAIN_WORKERS, /* until the next reload */
    SIGNAL_REAP,
};

struct signal_row {
    int signo;
    const char *name;
    const char *word; /* of -s; NULL: none */
    enum signal_act master;
    enum signal_act child;
    const char *doc;
};

/* Ends with signo 0. */
extern const struct signal_row signal_rows[];

const struct signal_row *signal_by_word(const char *word); /* or NULL */
/* "stop, quit, reload": for messages; a static string. */
const char *signal_words(void);

/* Calls fn for each signal of the table with an act; ignores the others. */
typedef void (*signal_fn)(const struct signal_row *row, void *arg);
void signal_watch_master(struct loop *loop, signal_fn fn, void *arg);
void signal_watch_child(struct loop *loop, signal_fn fn, void *arg);
/* A child without a loop to run: signals of the table do what they do. */
void signal_default_child(void);

/* Before another program is executed: no signal is ignored or caught. */
void signal_default_program(void);

/*
 * Those that do not end the master wait until signal_restore(): one that
 * comes while it starts would end it, as there is no handler yet.
 */
void signal_hold(sigset_t *before);
/* Around fork, so that no handler of the parent runs in the child. */
void signal_block(sigset_t *before);
void signal_restore(const sigset_t *before);

/* "9 (Killed)"; dst of SIGNAL_TEXT_MAX bytes. */
#define SIGNAL_TEXT_MAX 48
void signal_print(int signo, char *dst);

#endif
