/* SPDX-License-Identifier: BSD-2-Clause */

/* Private to http/: paths of requests and the table of routes. */

#ifndef SPOOR_HTTP_PATH_H
#define SPOOR_HTTP_PATH_H

#include "core/base.h"
#include "core/pool.h"
#include "core/sv.h"
#include "http/http.h"

/*
 * plain: the path as sent with "//" collapsed and needless escapes (of
 * unreserved characters) removed: what routes are compared with, so that
 * "%2F" stays different from '/'.  decoded: all escapes removed.  Returns
 * NULL, or what is wrong: a malformed escape, a NUL, a segment "." or ".."
 * in either form, no memory.
 */
const char *path_normalise(struct pool *pool, struct sv raw,
    struct sv *plain, struct sv *decoded) WARN_UNUSED;

struct route_match {
    const struct route *route; /* NULL: none with this method */
    struct sv arg;             /* what '*' stands for */
    unsigned methods;          /* of all with its pattern; 0: unknown path */
    unsigned flags;            /* of all with its pattern */
};

/*
 * A path belongs to one pattern, and rows with others have no say: who may go
 * there must not depend on what else would fit.  Exact patterns win over those
 * with '*'; among these the first in the table.  '*' stands for one or more
 * bytes, slashes included.
 */
void route_find(const struct route *table, struct sv plain,
    enum http_method method, struct route_match *match);

#endif
