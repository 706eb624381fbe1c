/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Sending OTLP requests as an exporter does: retries what the specification
 * calls retryable, reports partial success.
 */

#ifndef SPOOR_CLI_POST_H
#define SPOOR_CLI_POST_H

#include "core/base.h"
#include "core/compress.h"
#include "core/err.h"
#include "core/sv.h"

/* Tries of one request on 429, 502, 503, 504 and lost connections. */
#define POST_TRIES 10u

struct post;

/* url: the server, without the path of the endpoint. */
int post_new(struct post **out, const char *url, struct err *err) WARN_UNUSED;
void post_free(struct post *post); /* accepts NULL */
/*
 * "Name: value" ..., NULL, sent with each request; borrowed.  tries: instead
 * of POST_TRIES.
 */
void post_set(struct post *post, const char *const *headers, unsigned tries);
/* 0 when the server answered with success; prints partial rejections. */
int post_send(struct post *post, struct sv body, bool json,
    enum encoding encoding, struct err *err) WARN_UNUSED;
/*
 * Spans that the server refused so far in answers of success, and the reason
 * it gave last (printable, empty: none).  Asking for it once, with a quiet
 * post, replaces what post_send() prints.
 */
uint64_t post_refused(const struct post *post, struct sv *why);
void post_set_quiet(struct post *post);

#endif
