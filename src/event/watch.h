/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Files that the configuration names and that may change by themselves:
 * certificates, keys, users, tokens.  The master looks at them twice a second
 * and reloads when one has changed and is the same in two looks, so that a
 * file is not read while it is written.
 *
 * A module names its files each time it reads them (init_master,
 * reload_master); the master forgets all of them before it calls the modules.
 * Master only, one list in the process.
 */

#ifndef SPOOR_EVENT_WATCH_H
#define SPOOR_EVENT_WATCH_H

#include "core/base.h"

struct loop;

/* Files of a configuration; what is beyond is not watched, with a warning. */
#define WATCH_FILES_MAX 1024

/* Forgets all files. */
void watch_clear(void);
/*
 * Call it before the file is read: its state from now on is what later ones
 * are compared to.  A file that is missing is watched, too; one that is named
 * twice is watched once.
 */
void watch_add(const char *path);

/* path is one that changed; it is told once for each change. */
typedef void (*watch_fn)(const char *path, void *arg);
void watch_start(struct loop *loop, watch_fn fn, void *arg);
/* Also in children; harmless when not started. */
void watch_stop(void);

#endif
