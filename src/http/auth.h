/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to http/: who a client is.  The answer is known at once for plain
 * passwords, tokens and what was checked a short while ago; a hashed password
 * is checked by a thread, with bounds on how many wait for it.
 */

#ifndef SPOOR_HTTP_AUTH_H
#define SPOOR_HTTP_AUTH_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"
#include "event/module.h"
#include "http/group.h"
#include "http/stream.h"

/* Passwords that are or wait to be checked, in all and for one address. */
#define AUTH_JOBS_MAX 32
#define AUTH_PEER_JOBS_MAX 4
/* How long the outcome of a check is remembered. */
#define AUTH_RIGHT_NS (5 * 60 * NS_PER_SEC)
#define AUTH_WRONG_NS (10 * NS_PER_SEC)

enum auth_verdict {
    AUTH_PASSES,
    AUTH_REFUSED, /* and answered */
    AUTH_ASKS,    /* stream_ops.asked() will be called */
};

/* Master: reads the users; what was read before stays on an error. */
int auth_load(const struct conf *conf, struct err *err) WARN_UNUSED;
/* Worker. */
void auth_start(struct process *process);
void auth_stop(void);

/* Sets req->user.  group: NULL or the one of the endpoint. */
enum auth_verdict auth_check(struct stream *stream,
    const struct group *group) WARN_UNUSED;
/* What came out of AUTH_ASKS; never AUTH_ASKS again. */
enum auth_verdict auth_asked(struct stream *stream,
    const struct group *group) WARN_UNUSED;
/* The stream ends; harmless when it does not wait. */
void auth_cancel(struct stream *stream);

/* What "Authorization" says. */
enum auth_scheme { AUTH_NONE, AUTH_BASIC, AUTH_BEARER, AUTH_OTHER };
struct auth_header {
    enum auth_scheme scheme;
    struct sv name;     /* AUTH_BASIC; they lie in the buffer */
    struct sv password;
    struct sv token;    /* AUTH_BEARER; a view of the field */
};

/* Longest field that is looked at. */
#define AUTH_FIELD_BYTES_MAX 2048

/* buf of AUTH_FIELD_BYTES_MAX bytes.  AUTH_OTHER for all that is malformed. */
void auth_header_parse(struct sv field, uint8_t *buf,
    struct auth_header *out);

/*
 * Counts and answers a request without credentials, or with wrong ones;
 * logged once in a while.
 */
void auth_refuse_key(struct stream *stream, const char *flag);

#endif
