/* SPDX-License-Identifier: BSD-2-Clause */

/* Private to the clients: the head of a request. */

#ifndef SPOOR_HTTP_CLIENT_REQUEST_H
#define SPOOR_HTTP_CLIENT_REQUEST_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"

struct client_request {
    const char *method;
    const char *authority;     /* Host */
    const char *prefix;        /* of the target; "": none */
    const char *target;        /* begins with '/' */
    const char *agent;         /* User-Agent */
    const char *content_type;  /* NULL: none; so are those below */
    const char *content_encoding;
    const char *authorization; /* unless headers have one */
    const char *const *headers; /* "Name: value" ..., NULL */
    size_t body_len;
};

/*
 * Replaces what is in out.  ERR_INVALID: something in it could end a line
 * early.
 */
int client_request_make(struct sb *out, const struct client_request *req,
    struct err *err) WARN_UNUSED;

#endif
