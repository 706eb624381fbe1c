/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to http/: the outcome of checks of hashed passwords, for a while.
 * What is kept of a password is a keyed digest.  Of fixed size; a new entry
 * takes the place of the oldest of its set, and those of wrong passwords have
 * a table of their own, so that a flood of them forgets no right one.
 */

#ifndef SPOOR_HTTP_AUTH_CACHE_H
#define SPOOR_HTTP_AUTH_CACHE_H

#include "core/base.h"
#include "event/secret.h"

struct user;

/* Sets of four; the memory is touched when there are hashed passwords. */
#define AUTH_CACHE_RIGHT_SETS 1024
#define AUTH_CACHE_WRONG_SETS 256
#define AUTH_CACHE_WAYS 4

/* Monotonic times.  user NULL: the password is wrong. */
void auth_cache_put(const struct secret_digest *digest,
    const struct user *user, int64_t until_ns);
/* True: known; *user as above. */
bool auth_cache_get(const struct secret_digest *digest, int64_t now_ns,
    const struct user **user);
/* Whose password was right at any time since the start; NULL: not known. */
const struct user *auth_cache_get_old(const struct secret_digest *digest);
void auth_cache_clear(void);

#endif
