/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to http/: a request with its reply, above the protocol version.
 * The protocol (h1.c) makes the stream, fills the request, asks
 * dispatch_head() whether to read a body and calls dispatch_run() when it is
 * complete.  The reply (reply.c) comes back through struct stream_ops.
 */

#ifndef SPOOR_HTTP_STREAM_H
#define SPOOR_HTTP_STREAM_H

#include "core/base.h"
#include "core/sv.h"
#include "http/http.h"

#define HTTP_REQ_MAGIC 0x52505448u /* "HTPR" */

/* Fields a handler may add to one reply, and their bytes. */
#define REPLY_EXTRA_MAX 16
#define REPLY_EXTRA_BYTES_MAX (8 * KIB)
/* Fields behind a body: grpc-status, its message and details. */
#define REPLY_TRAILERS_MAX 4
/* Those, and at most sixteen of our own. */
#define REPLY_FIELDS_MAX (REPLY_EXTRA_MAX + 16)

/*
 * Replies that wait to be taken, over all connections of a process: above
 * this, streamed replies queue little; above conf_budget.replies, queries are
 * answered with 503.  Slow readers thus cost memory within a bound.
 */
#define REPLIES_BYTES_SOFT (32 * MIB)

/*
 * What a request's region may hold: arguments, headers and the small objects
 * of handlers.  Decoded bodies have budgets of their own.
 */
#define STREAM_POOL_BYTES_MAX (128 * MIB)

struct reply_head {
    int status;
    bool has_body;   /* false: HEAD, 204, 304; no byte follows */
    int64_t length;  /* of the body, or -1: known at the end */
    unsigned nfields;
    struct http_header fields[REPLY_FIELDS_MAX];
};

struct stream;

/* No call but end() after the stream was aborted, none after end(). */
struct stream_ops {
    void (*head)(struct stream *stream, const struct reply_head *head);
    void (*data)(struct stream *stream, const void *ptr, size_t len);
    /* Takes memory of xmalloc(). */
    void (*data_take)(struct stream *stream, char *ptr, size_t len);
    /*
     * The handler is done with the stream: trailers follow where the protocol
     * has them.  is_broken: the reply is not complete.
     */
    void (*end)(struct stream *stream, bool is_broken);
    size_t (*queued)(const struct stream *stream);
    /* What DISPATCH_ASKS waited for is there: call dispatch_asked(). */
    void (*asked)(struct stream *stream);
};

enum stream_state {
    STREAM_OPEN,    /* no reply yet */
    STREAM_WHOLE,   /* a whole reply is being made */
    STREAM_WRITING, /* between http_reply_begin() and http_reply_end() */
    STREAM_ENDED,
};

struct auth_job;

struct stream {
    struct http_req req; /* req.stream is this */
    const struct stream_ops *ops;
    enum stream_state state;
    bool is_aborted;   /* the client is gone: nothing may be sent */
    bool is_refused;   /* the reply was made without the handler */
    bool has_body;     /* of the reply */
    bool is_above;     /* http_reply_write() said to wait */
    int status;
    bool is_grpc;      /* errors are trailers, see grpc.h */
    uint32_t grpc_status;
    int64_t deadline_ns; /* monotonic, of the client; 0: none */
    uint64_t sent_bytes;
    http_abort_fn on_abort;
    void *abort_arg;
    http_drain_fn on_drain;
    void *drain_arg;
    struct sv plain;      /* the path that routes are compared with */
    bool is_bare_prefix;  /* http.path_prefix without the '/' behind it */
    bool wants_key;       /* authKey may be in the body */
    struct auth_job *ask; /* whose end is waited for; auth.c */
    struct stream *ask_next;
    const struct user *ask_user; /* what it said; NULL: wrong */
    unsigned nextra;
    size_t extra_bytes;
    unsigned ntrailers;
    struct http_header trailers[REPLY_TRAILERS_MAX];
    struct http_header extra[REPLY_EXTRA_MAX];
};

/* req.pool, req.process and all of the head have to be set afterwards. */
void stream_init(struct stream *stream, const struct stream_ops *ops);
struct stream *stream_of(const struct http_req *req);
enum http_method stream_method(struct sv name);
/*
 * What may be shown of a target that was not understood: its path, since a
 * query or the name of a server may have secrets in it.
 */
struct sv stream_shown_path(struct sv target);

/* The client is gone; the handler is told, or its reply goes nowhere. */
void stream_abort(struct stream *stream);
/* The output queue went below the low water. */
void stream_drained(struct stream *stream);

/*
 * Whether nobody would notice that the client, which sends no more, does not
 * read either: a writer notices by writing, if it writes all the time.
 */
static inline bool
stream_is_blind(const struct stream *stream)
{
    const struct route *route = stream->req.route;

    return stream->state != STREAM_WRITING ||
        (route != NULL && (route->flags & ROUTE_LIVE) != 0);
}

enum dispatch {
    DISPATCH_ANSWERED, /* the reply is made */
    DISPATCH_GOES_ON,  /* a body of up to *body_max bytes may be read */
    DISPATCH_ASKS,     /* a password is checked: read no body, wait for
                          stream_ops.asked(); auth_cancel() if the stream
                          ends before */
};

/* Finds the route, and whether the client may go there. */
enum dispatch dispatch_head(struct stream *stream, uint64_t *body_max)
    WARN_UNUSED;
/* In stream_ops.asked(): never DISPATCH_ASKS. */
enum dispatch dispatch_asked(struct stream *stream, uint64_t *body_max)
    WARN_UNUSED;
/* The body is complete: calls the handler. */
void dispatch_run(struct stream *stream);

/* An answer to a request that HTTP itself refuses. */
void stream_refuse(struct stream *stream, int status, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* The same, without a line in the log: who calls it has one of its own. */
void stream_refuse_quietly(struct stream *stream, int status,
    const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Log line (access.c) and counters (count.c) of a reply that ended. */
void access_ended(const struct stream *stream, bool is_broken);

/* Replies of this process that wait to be taken. */
size_t replies_queued_total(void);
/* Of these, the memory of bodies that wait to be compressed. */
size_t replies_waiting_total(void);

/* "Not Found" */
const char *reply_reason(int status);
/* Host name and the date of now: fields of every reply. */
void reply_init(void);
/* Fields of a reply: those of every one, and what its handler added. */
void reply_fields(const struct stream *stream, struct reply_head *head,
    const char *content_type);
/* Whether the handler added a field of this name. */
bool reply_has_extra(const struct stream *stream, struct sv name);

/*
 * Appends text with everything but printable ASCII as "?": for replies that
 * name what the client sent.
 */
void reply_add_safe(struct sb *out, struct sv text, size_t bytes_max);

/* The name of a client's certificate, for as long as the request lives. */
struct conn;
void stream_set_tls_name(struct http_req *req, const struct conn *conn);
/* Whether the body is application/x-www-form-urlencoded. */
bool http_is_form(const struct http_req *req);
/* True if Accept-Encoding allows gzip. */
bool accepts_gzip(const struct http_req *req);

#endif
