/* SPDX-License-Identifier: BSD-2-Clause */

/* The URL of a server, in parts: http[s]://host[:port][/prefix]. */

#ifndef SPOOR_HTTP_URL_H
#define SPOOR_HTTP_URL_H

#include "core/base.h"
#include "core/err.h"
#include "core/sv.h"

struct url {
    bool has_tls;
    char *host;      /* without brackets */
    char *port;      /* 80 or 443 unless given */
    char *authority; /* as given, for Host */
    char *prefix;    /* without a slash at its end; may be empty */
};

/* On an error out holds nothing. */
int url_split(struct url *out, struct sv text, struct err *err) WARN_UNUSED;
void url_release(struct url *url); /* accepts a zeroed one */

#endif
