/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Unary gRPC calls over HTTP/2.  A route with ROUTE_GRPC is a method; its
 * handler takes the one message out of the body with grpc_message() and
 * answers with grpc_reply(), grpc_fail() or http_reply_error(), whose status
 * is translated.
 */

#ifndef SPOOR_HTTP_GRPC_H
#define SPOOR_HTTP_GRPC_H

#include "core/base.h"
#include "core/compress.h"
#include "core/sb.h"
#include "core/sv.h"
#include "http/http.h"

/* Flags and length before each message. */
#define GRPC_PREFIX_BYTES 5
/* "grpc-message" and what details repeat of it, before escaping. */
#define GRPC_TEXT_BYTES_MAX 1024

/* google.rpc.Code */
enum grpc_code {
    GRPC_OK = 0,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};

/* The code for an HTTP status of 400 or more. */
enum grpc_code grpc_code_of(int status);

/* "application/grpc", "application/grpc+proto" ... */
bool grpc_is_content_type(struct sv content_type);

/* The request is a gRPC call (of HTTP/2). */
bool grpc_is_call(const struct http_req *req);
/* The client does not wait any more, by its own grpc-timeout. */
bool grpc_is_late(const struct http_req *req);

/*
 * The single message of the call, still encoded; a view into the body.
 * False: answered, because there is none, or more than one, or its framing
 * or encoding is wrong.
 */
bool grpc_message(struct http_req *req, struct sv *message,
    enum encoding *encoding) WARN_UNUSED;

/* OK with one message of at most UINT32_MAX bytes, whose buffer is taken. */
void grpc_reply(struct http_req *req, struct sb *message);
void grpc_fail(struct http_req *req, enum grpc_code code, const char *fmt,
    ...) PRINTF_LIKE(3, 4);

/* --- private to http/ --- */

struct stream;

/* Errors are answered as to a call from now on, if it is one. */
void grpc_mark(struct stream *stream);

/*
 * The head is there; route is NULL for unknown methods.  False: the call
 * was answered.
 */
bool grpc_begin(struct stream *stream) WARN_UNUSED;

/* An error as headers; details is a google.rpc.Status, or empty. */
void grpc_reply_error(struct stream *stream, enum grpc_code code,
    struct sv text, struct sv details);

/* Bytes of a body that begins like this; UINT64_MAX: not known yet. */
uint64_t grpc_promised(struct sv start);
/* NULL, or why a body that begins like this is refused with *status. */
const char *grpc_prefix_problem(struct sv start, uint64_t bytes_max,
    int *status);

#endif
