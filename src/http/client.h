/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Small blocking HTTP/1.1 client for spoorctl and tests: keep-alive, one
 * request at a time, timeouts, bounded replies.  The same calls (call.h) that
 * the peers of a cluster get, waited for.
 */

#ifndef SPOOR_HTTP_CLIENT_H
#define SPOOR_HTTP_CLIENT_H

#include "core/base.h"

#include <signal.h>

#include "core/err.h"
#include "core/sb.h"
#include "core/sv.h"
#include "event/tls_client.h"

struct http_client;

/*
 * url: http://host[:port][/prefix], or https.  Connects at the first request.
 * timeout_ns bounds each request as a whole, from connecting to the last byte
 * of its reply (but not the look-up of a host name).
 */
int http_client_new(struct http_client **out, const char *url,
    int64_t timeout_ns, struct err *err) WARN_UNUSED;
/* The same with rules of its own for https; tls is not kept. */
int http_client_new_tls(struct http_client **out, const char *url,
    int64_t timeout_ns, const struct tls_client_conf *tls, struct err *err)
    WARN_UNUSED;
/*
 * The rules of all others from now on, borrowed for the life of the process;
 * before, those of an empty struct.
 */
void http_client_set_tls(const struct tls_client_conf *tls);
void http_client_free(struct http_client *client);
/*
 * "Basic ..." or "Bearer ...", copied: goes with every request that has no
 * header Authorization of its own.
 */
void http_client_set_authorization(struct http_client *client,
    const char *value);

struct http_client_req {
    const char *method;        /* "GET" */
    const char *target;        /* "/health?x=1", after the URL's prefix */
    const char *content_type;  /* NULL: none */
    const char *content_encoding;
    const char *const *headers; /* "Name: value" ..., NULL; may be NULL */
    struct sv body;
};

/*
 * Takes some of a body with status 200, as it comes: 0, 1 to end the reply
 * there (the call then succeeds), -1 with err.
 */
typedef int (*http_client_data_fn)(void *arg, struct sv data,
    struct err *err);

struct http_client_reply {
    int status; /* 0: no head came; set when a body breaks off, too */
    int64_t retry_after_sec; /* -1: none */
    bool is_partial;         /* "Spoor-Partial: true" */
    struct sv content_type;  /* valid until the next call; may be empty */
    struct sb body;          /* init by the caller with its maximum */
    /*
     * Set by the caller, or NULL: the body goes there instead, however long
     * it is and takes, as long as something comes within the timeout.
     */
    http_client_data_fn on_data;
    void *arg;
    /* Set by a signal handler: ERR_CANCELLED.  NULL: nobody does. */
    const volatile sig_atomic_t *cancel;
    bool is_endless;         /* a body may be silent for any time */
};

/*
 * 0: there is a reply, whatever its status.  -1: ERR_TIMEOUT, ERR_CANCELLED,
 * ERR_SYSTEM (no connection, or it broke), ERR_NOT_FOUND (host name),
 * ERR_LIMIT (the reply passes the maximum of reply->body), ERR_INVALID
 * (malformed URL, request or reply).  GET and HEAD are sent once more when a
 * kept connection turns out to be closed; others only when that shows before
 * all of the request is sent.
 */
int http_client_do(struct http_client *client,
    const struct http_client_req *req, struct http_client_reply *reply,
    struct err *err) WARN_UNUSED;

#endif
