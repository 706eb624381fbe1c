/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The master: opens, forks, reaps, reloads.  It never reads a client's byte
 * and never touches stored data.  master.c begins with its states.
 */

#ifndef SPOOR_EVENT_MASTER_H
#define SPOOR_EVENT_MASTER_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/sb.h"

/*
 * Runs until a stop is asked for; returns the exit status of the program.
 * Takes conf.  source is kept for reloads and must stay valid.
 */
int master_run(struct conf *conf, const struct conf_source *source)
    WARN_UNUSED;

/* workers, or the number of CPUs. */
unsigned master_workers(const struct conf *conf);

/*
 * spoor -s VERB: asks the running master over its control socket (beside the
 * pid file), waits until the verb is done and writes what happened to answer
 * ("reload: done, 2 workers"; "reload: failed" and the errors, no line end
 * behind the last line).  0 when it was done.  -1 when it was not: then answer
 * holds what the master said, or nothing and err says why.
 */
int master_command(const struct conf *conf, const char *verb,
    struct sb *answer, struct err *err) WARN_UNUSED;

#endif
