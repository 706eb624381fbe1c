/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * HTTP requests and replies, whatever the protocol version beneath.  All
 * calls are made on the loop's thread.  A handler is called when the whole
 * body is there (ROUTE_BODY) or when the head is there (no body allowed).
 * It may answer at once or keep the request and answer later; it must answer
 * exactly once.  The request, its pool and body live until the reply is
 * ended and sent, or until on_abort was called and the handler called
 * http_abandon().
 */

#ifndef SPOOR_HTTP_HTTP_H
#define SPOOR_HTTP_HTTP_H

#include "core/base.h"
#include "core/conf_listener.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sb.h"
#include "core/sv.h"
#include "event/module.h"

enum http_method {
    HTTP_GET = 1,
    HTTP_HEAD = 2,
    HTTP_POST = 4,
    HTTP_OPTIONS = 8,
    HTTP_OTHER = 16,
};

enum http_version { HTTP_1_0, HTTP_1_1, HTTP_2 };

struct http_header {
    struct sv name; /* lower case */
    struct sv value;
};

#define HTTP_HEADERS_MAX 100
#define HTTP_HEAD_BYTES_MAX (32 * KIB)
#define HTTP_LINE_BYTES_MAX (8 * KIB)

struct http_req;
typedef void (*http_abort_fn)(struct http_req *req, void *arg);
typedef void (*http_drain_fn)(struct http_req *req, void *arg);

struct http_req {
    uint32_t magic;
    enum http_version version;
    enum http_method method;
    struct sv method_name;
    struct sv path;  /* decoded, "//" collapsed, dot segments refused */
    struct sv raw_path; /* as sent, without the query */
    struct sv query; /* raw, without '?' */
    const struct http_header *headers;
    uint32_t nheaders;
    struct sv body;    /* as received (still content-encoded) */
    struct sv path_arg; /* what "*" of the route's pattern matched (raw_path,
                           so that an escaped '/' can be told) */
    struct pool *pool; /* region of this request */
    const struct route *route;
    struct process *process;
    const char *peer;
    const struct conf_listener *listener; /* where it came in */
    const char *user; /* whose credentials it has; NULL: none were asked */
    const char *tls_name; /* of the client's certificate; NULL: none */
    int64_t start_ns;  /* monotonic */
    int64_t ready_ns;  /* when a query had its whole answer; 0: no query */
    bool has_lost_arg; /* one looked absent because the pool was full */
    /* private to http/ */
    void *stream;
};

/* First value of the header (lower-case name), or a view with ptr NULL. */
struct sv http_header_get(const struct http_req *req, const char *name);

/*
 * First value of a query-string or form argument, percent-decoded into the
 * request's pool; ptr NULL when absent, or when the pool is full, which sets
 * has_lost_arg: who must not miss an argument looks at that, too.
 */
struct sv http_arg(struct http_req *req, const char *name);
/* The Nth (from 0) of a repeated argument. */
struct sv http_arg_n(struct http_req *req, const char *name, unsigned nth);
/* The body is of a type that arguments are read from. */
bool http_has_form(const struct http_req *req);

/* Percent-decoding of a path segment or argument; plus_is_space for args. */
struct sv http_unescape(struct pool *pool, struct sv text, bool plus_is_space,
    bool *ok);

/*
 * Tenant of the request from AccountID / ProjectID headers.  -1 with err for
 * anything but unsigned 32-bit decimals.  (0, 0) when absent.
 */
struct tenant;
int http_tenant(const struct http_req *req, uint32_t *account,
    uint32_t *project, struct err *err) WARN_UNUSED;

/* --- replies --- */

/* A whole reply; content_type NULL = none.  Body is copied. */
void http_reply(struct http_req *req, int status, const char *content_type,
    struct sv body);
/* Takes sb's buffer (sb is empty afterwards). */
void http_reply_sb(struct http_req *req, int status, const char *content_type,
    struct sb *sb);
/* text/plain, "message\n"; counted and logged as the status demands. */
void http_reply_error(struct http_req *req, int status, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Seconds of the Retry-After that was set for the reply; 0: none. */
uint32_t http_reply_retry_after(const struct http_req *req);

/* Extra header for the next reply of req; both are copied. */
void http_reply_header(struct http_req *req, const char *name,
    const char *value);

/* Streamed reply: begin, write any number of times, end. */
void http_reply_begin(struct http_req *req, int status,
    const char *content_type);
/*
 * Queues bytes.  False: the queue is above its high water; write no more
 * until on_drain is called.
 */
bool http_reply_write(struct http_req *req, const void *ptr, size_t len);
void http_reply_end(struct http_req *req);
/* Cuts the connection, so that the client notices a broken reply. */
void http_reply_break(struct http_req *req);
void http_on_drain(struct http_req *req, http_drain_fn fn, void *arg);

/*
 * Told when the client went away before the reply ended.  The handler then
 * stops its work and calls http_abandon(req) (in the callback or later); no
 * other call on req is allowed after that.
 */
void http_on_abort(struct http_req *req, http_abort_fn fn, void *arg);
void http_abandon(struct http_req *req);

/*
 * True when the process finishes what it has and takes nothing new: replies
 * without an end of their own should end now.
 */
bool http_is_draining(void);

/*
 * Whether the replies of this process that wait to be read leave memory for
 * another query's.  When they do not, the connection that makes most of them
 * wait is cut, if it had its time: nobody keeps others from asking by not
 * reading.  Loop's thread.
 */
bool http_has_reply_room(const struct process *process);

/* --- routes --- */

typedef void (*route_fn)(struct http_req *req);

enum route_flag {
    ROUTE_BODY = 1 << 0,    /* takes a body; handler runs when it is complete */
    ROUTE_CORS = 1 << 1,    /* Access-Control-Allow-Origin: * and preflight */
    ROUTE_HEALTH = 1 << 2,  /* answered while shedding load; in the access
                               log with errors only */
    ROUTE_INSERT = 1 << 3,  /* this and the next: groups that can be closed */
    ROUTE_SELECT = 1 << 4,
    ROUTE_ADMIN = 1 << 5,   /* changes or tells the server's state; POST is
                               refused to pages of other origins */
    ROUTE_GRPC = 1 << 6,    /* a gRPC method, see grpc.h */
    ROUTE_LIVE = 1 << 7,    /* the reply has no end of its own, and pauses: a
                               client that ends its side has left */
    ROUTE_OPEN = 1 << 8,    /* nobody is asked who he is */
    ROUTE_INTERNAL_INSERT = 1 << 9, /* groups, too */
    ROUTE_INTERNAL_SELECT = 1 << 10,
    ROUTE_DELETE = 1 << 11,
    ROUTE_INTERNAL_DELETE = 1 << 12,
};

struct route {
    const char *pattern; /* "/a/b", or with one "*" = one or more bytes */
    unsigned methods;    /* enum http_method; HEAD comes with GET */
    unsigned flags;      /* enum route_flag */
    route_fn handler;
    const char *metric;  /* value of the path label, or NULL = pattern */
    const char *doc;     /* one line, for docs/http-api.md */
};

/* Ends with a row whose pattern is NULL; set by main. */
extern const struct route *http_routes;

/*
 * Endpoints of ROUTE_ADMIN with a key of their own: where it is set, the
 * argument authKey must be the same and no user is asked for.
 */
struct route_key {
    const char *pattern; /* of routes; "a*": all that begin with "a" */
    size_t offset;       /* in struct conf, of a const char *; "": no key */
    const char *flag;
};

/* Ends with a row whose pattern is NULL; set by main, or NULL. */
extern const struct route_key *http_route_keys;

/* Largest body of a route that takes no spans (a form). */
#define HTTP_FORM_BYTES_MAX (1 * MIB)
/* What a front asks may have many values in its filter. */
#define HTTP_PLAN_BYTES_MAX (64 * MIB)

/*
 * Errors that HTTP itself answers for a known route (413 before the handler
 * runs, 408, 503, http_reply_error()) are plain text.  A layer whose clients
 * expect another form sets fn for its route flag (ROUTE_INSERT, say); fn
 * appends the body to out and returns its content type, or NULL for text.
 */
typedef const char *(*http_error_body_fn)(struct http_req *req, int status,
    const char *text, struct sb *out);
void http_set_error_body(enum route_flag flag, http_error_body_fn fn);

/*
 * -t: whether headers, the path prefix and the files of users of conf are
 * good.  Changes nothing.
 */
int http_check(const struct conf *conf, struct err *err) WARN_UNUSED;

/* The module row of http/: listeners are given to it by the worker. */
extern const struct module http_module;

#endif
