/* SPDX-License-Identifier: BSD-2-Clause */

/* Private to client.c: the head of a request. */

#ifndef SPOOR_HTTP_CLIENT_REQUEST_H
#define SPOOR_HTTP_CLIENT_REQUEST_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"
#include "http/client.h"
#include "http/url.h"

/*
 * Replaces what is in out.  authorization goes with it unless req has a
 * header of that name; NULL: none.  ERR_INVALID: something in it could end a
 * line early.
 */
int client_request_make(struct sb *out, const struct http_client_req *req,
    const struct url *url, const char *authorization, struct err *err)
    WARN_UNUSED;

#endif
