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
/* 0 when the server answered with success; prints partial rejections. */
int post_send(struct post *post, struct sv body, bool json,
    enum encoding encoding, struct err *err) WARN_UNUSED;

#endif
