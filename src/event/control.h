/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The control socket and the pid file: how spoor -s VERB asks a running
 * master, and gets an answer when the verb is done.
 */

#ifndef SPOOR_EVENT_CONTROL_H
#define SPOOR_EVENT_CONTROL_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"
#include "event/signal.h"

struct loop;

/* Called when somebody asks; answer later with control_answer(). */
typedef void (*control_fn)(const struct signal_row *row, void *arg);

/*
 * Master: listens on <pid file>.sock, which nobody but root and the master's
 * user can reach.  A socket left by a crash is replaced; one that answers is
 * an error.
 */
int control_open(struct loop *loop, const struct conf *conf, control_fn fn,
    void *arg, struct err *err) WARN_UNUSED;
int control_write_pid(struct err *err) WARN_UNUSED;
/*
 * Removes both files.  Who waits for work that has begun (the stop) is told
 * that it is done, others that it failed.
 */
void control_close(void);
/*
 * Another master takes the place: closes and removes the socket; the pid file
 * stays until the other one replaces it.  Who waits goes on waiting.
 */
void control_let_go(void);
/* In a child: closes its copies and leaves the files alone. */
void control_abandon(void);

/*
 * Work on act begins: who asked for it up to now gets the next answer.  Who
 * asks from now on waits for another round.
 */
void control_begin(enum signal_act act);
/* "VERB: text" to those for whom the work has begun. */
void control_answer(enum signal_act act, bool is_done, const char *text);
/* "VERB: failed: text" to those for whom no work has begun. */
void control_refuse(enum signal_act act, const char *text);

#endif
