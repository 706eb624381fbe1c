/* SPDX-License-Identifier: BSD-2-Clause */

/* What verbs say alike about requests: tenant, headers, times. */

#ifndef SPOOR_CLI_REQUEST_H
#define SPOOR_CLI_REQUEST_H

#include "core/base.h"
#include "core/sv.h"
#include "span/span.h"

#define REQUEST_HEADERS_MAX 16u

struct request_headers {
    const char *v[REQUEST_HEADERS_MAX + 1]; /* "Name: value" ..., NULL */
    unsigned n;
    struct tenant tenant;
    char account[32];
    char project[32];
};

/* "1:2" or "1": headers AccountID and ProjectID. */
bool request_headers_tenant(struct request_headers *headers,
    const char *text);
/* "Name: value", borrowed. */
bool request_headers_add(struct request_headers *headers, const char *text);

/*
 * A time on the command line: RFC3339 also in part, Unix time, "now-1h", or
 * a duration, which is so long ago.
 */
bool request_time(const char *text, int64_t *ns);

#endif
