/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rights of child processes: user, groups, resource limits, capabilities and
 * no_new_privs.  The rules for root are those of the architecture, section 7:
 * with "user" children run as that user; without it as the owner of the data
 * directory; if that is root, as root without capabilities.
 */

#ifndef SPOOR_EVENT_JAIL_H
#define SPOOR_EVENT_JAIL_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"
#include "event/module.h"

#define JAIL_USER_MAX 64

struct jail {
    bool switches;            /* false: the master's user is kept */
    bool is_root;             /* children keep uid 0, without capabilities */
    uid_t uid;
    gid_t gid;
    char user[JAIL_USER_MAX]; /* "" when the uid has no name */
};

/*
 * Who children will run as; the same answer in the master as long as the
 * data directory keeps its owner.  The data directory is created and given
 * to this user by who makes it.
 */
int jail_resolve(struct jail *out, const struct conf *conf, struct err *err)
    WARN_UNUSED;

/* In a child: for ever. */
int jail_enter(const struct jail *jail, enum role role,
    const struct conf *conf, struct err *err) WARN_UNUSED;

/*
 * In the master: gives a file that it made (the log) to the children's user.
 * Links are not followed; failure is of no consequence but for the log.
 */
void jail_give(const struct jail *jail, const char *path);

#endif
