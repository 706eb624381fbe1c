/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Shared memory between a master and its children: an anonymous memfd that
 * is mapped before the first fork, so it stands at the same address in every
 * process and nothing is left behind by a crash.
 */

#ifndef SPOOR_CORE_SHM_H
#define SPOOR_CORE_SHM_H

#include "core/base.h"
#include "core/err.h"

/* Zeroed, shared, page-aligned; lives until the last process ends. */
int shm_new(void **out, const char *name, size_t bytes, struct err *err)
    WARN_UNUSED;
void shm_free(void *ptr, size_t bytes); /* for tests */

/*
 * Makes sure the pages of [ptr, ptr + bytes) can be written (no SIGBUS for
 * lack of memory later).
 */
int shm_reserve(void *ptr, size_t bytes, struct err *err) WARN_UNUSED;
/* Gives the pages back; they read as zeros afterwards. */
void shm_release(void *ptr, size_t bytes);

#endif
