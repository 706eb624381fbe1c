/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to http/: whether a client may go to an endpoint, in this order:
 *
 *   1. a group that is closed here is closed for everybody (403)
 *   2. an endpoint with a key of its own asks for that and nothing else (401)
 *   3. a user or a token, who may have been given some groups only (401, 403)
 *   4. what changes state is not for pages of other sites (403)
 */

#ifndef SPOOR_HTTP_GATE_H
#define SPOOR_HTTP_GATE_H

#include "core/base.h"
#include "http/auth.h"
#include "http/path.h"
#include "http/stream.h"

/* match is of the path, whatever the method; nothing is read of the body. */
enum auth_verdict gate_enter(struct stream *stream,
    const struct route_match *match) WARN_UNUSED;
/* The rest of gate_enter() that said AUTH_ASKS. */
enum auth_verdict gate_asked(struct stream *stream,
    const struct route_match *match) WARN_UNUSED;
/* The body is there, and may have the key; false: refused. */
bool gate_check_body(struct stream *stream) WARN_UNUSED;

/* For tests: whether a browser says that a page of another site asks. */
bool gate_is_cross_site(const struct http_req *req);

#endif
