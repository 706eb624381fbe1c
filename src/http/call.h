/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A request to a peer that never blocks: the caller's poll() drives it, and
 * any number of them.  HTTP/1.1 over a kept or new connection of the peer.
 * One thread at a time.  Redirects are not followed.
 */

#ifndef SPOOR_HTTP_CALL_H
#define SPOOR_HTTP_CALL_H

#include "core/base.h"

#include <poll.h>

#include "core/err.h"
#include "core/sv.h"
#include "http/peer.h"

/* Kept of a reply that is not 200: the text of an error. */
#define CALL_TEXT_MAX (4 * KIB)

struct http_call;

/*
 * Some of a body with status 200, as it comes.  0: go on; 1: enough, the rest
 * is not wanted (the call is done); -1: the call fails with err.
 */
typedef int (*http_call_data_fn)(void *arg, struct sv data, struct err *err);

/* All texts and the body are borrowed until the call is freed. */
struct http_call_conf {
    const char *method;
    const char *target;        /* "/internal/insert?version=..." */
    const char *content_type;  /* NULL: none */
    const char *const *headers; /* "Name: value" ..., NULL; may be NULL */
    struct sv body;
    http_call_data_fn on_data; /* NULL: bodies are read and dropped */
    void *arg;
    /* Each is a limit for one step; 0: none.  See also deadline_ns. */
    int64_t connect_ns;        /* an address, TLS handshake included */
    int64_t send_ns;           /* between two pieces that the peer takes */
    int64_t answer_ns;         /* from the end of the request to the head */
    int64_t idle_ns;           /* between two pieces of the body */
    int64_t deadline_ns;       /* monotonic, of all; 0: none */
};

/*
 * What the peer may know of the request when a call has failed: not all of
 * it, so that it cannot have done it, or all.  A server acts on a body only
 * when it has it whole (Content-Length is always sent).
 */
enum http_call_fate {
    CALL_NOT_SENT,
    CALL_MAYBE_DONE,
};

struct http_call_result {
    int status;              /* 0: there is none, the call failed */
    enum http_call_fate fate;
    int64_t retry_after_sec; /* -1: none */
    struct sv text;          /* begin of a body that is not 200's */
    uint64_t sent;           /* bytes of the request, head included */
    uint64_t received;       /* of the reply */
};

/* Connects or takes a kept connection with the first step; never fails. */
struct http_call *http_call_new(struct http_peer *peer,
    const struct http_call_conf *conf);
/*
 * Goes as far as it can without waiting.  0: poll for what http_call_wants()
 * says; 1: there is a whole reply, whatever its status (from 300 on, where
 * the text may be cut off: the status is enough); -1: ERR_SYSTEM (no
 * connection, or it broke), ERR_TIMEOUT, ERR_INVALID (malformed reply), or
 * what on_data failed with.  err->text names the peer.  A request on a kept
 * connection that turns out to be closed before any byte of a reply is sent
 * again on a new one only when fate would be CALL_NOT_SENT or the method is
 * GET.
 */
int http_call_step(struct http_call *call, struct err *err) WARN_UNUSED;
/* fd may be -1: then only the time counts (*wake_ns, monotonic). */
void http_call_wants(const struct http_call *call, struct pollfd *pfd,
    int64_t *wake_ns);
/*
 * The text of an error in one line for people, at most CALL_LINE_MAX bytes:
 * of a page in HTML, as proxies have them, its title.  "": there is none.
 */
#define CALL_LINE_MAX 200u
void http_call_line(const struct http_call_result *result,
    char dst[CALL_LINE_MAX + 1]);
/* After 1 or -1. */
void http_call_result(const struct http_call *call,
    struct http_call_result *out);
/* At any time: what is under way is given up, its connection closed. */
void http_call_free(struct http_call *call); /* accepts NULL */

#endif
