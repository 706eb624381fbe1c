/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * THE table of endpoint groups: what can be closed for a server or an address
 * and given to single users.
 */

#ifndef SPOOR_HTTP_GROUP_H
#define SPOOR_HTTP_GROUP_H

#include "core/base.h"
#include "core/conf.h"
#include "http/http.h"

struct group {
    const char *name;   /* in files of users, in http.listen.disable */
    unsigned bit;       /* CONF_GROUP_* */
    unsigned flag;      /* of routes */
    const char *switch_name; /* the directive that switches it off, or on */
    const char *doc;
};

#define GROUPS_ALL ((unsigned)(CONF_GROUP_INSERT | CONF_GROUP_SELECT | \
    CONF_GROUP_INTERNAL_INSERT | CONF_GROUP_INTERNAL_SELECT | \
    CONF_GROUP_DELETE | CONF_GROUP_INTERNAL_DELETE | CONF_GROUP_ADMIN))
#define ROUTE_GROUPS (ROUTE_INSERT | ROUTE_SELECT | ROUTE_INTERNAL_INSERT | \
    ROUTE_INTERNAL_SELECT | ROUTE_DELETE | ROUTE_INTERNAL_DELETE | \
    ROUTE_ADMIN)

/* Ends with a row without a name. */
extern const struct group groups[];

/* Of a route's flags; NULL: it belongs to none. */
const struct group *group_of(unsigned flags);

/* "insert,select" or "*"; false: a word is no group. */
bool groups_parse(struct sv text, unsigned *bits) WARN_UNUSED;

/* Why the group is closed; NULL: it is open. */
const char *group_closed_by(const struct group *group,
    const struct http_req *req);

#endif
