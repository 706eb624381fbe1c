/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The life of an HTTP/1.x connection:
 *
 *     HEAD -> [ASK ->] [BODY ->] REPLY -> FLUSH -> HEAD ... REPLY -> LAST -> CLOSED
 *
 * One request at a time; what the client sends ahead waits in the input
 * buffer and in the socket.  h1_run() takes steps until one has to wait.
 * Handlers may answer at any time: the end of a reply only leaves a note and
 * h1_run() is called when the present callback ends, so a request is never
 * freed below its handler.
 */

#include "core/base.h"
#include "http/h1.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "http/h2.h"

#define H1_MAGIC 0x314e4f43u /* "CON1" */
/* What a client begins with that takes this for a port with TLS. */
#define H1_TLS_FIRST 0x16

static void h1_run(struct h1_conn *h1);

/* --- the end of a connection --- */

static void
h1_free(struct h1_conn *h1)
{
    check(h1->conn == NULL && h1->request == NULL && !h1->is_running);
    loop_later_remove(h1->server->process->loop, &h1->later);
    h1->magic = 0;
    xfree(h1);
}

/* Everything but the memory, and but a request that a handler has. */
static void
h1_let_go(struct h1_conn *h1)
{
    bool is_handled = h1->state == H1_REPLY && h1->request != NULL &&
        !h1->request->reply_ended;

    h1->state = H1_CLOSED;
    h1->conn = NULL;
    loop_timer_free(h1->timer);
    h1->timer = NULL;
    if (is_handled)
        return;
    if (h1->request != NULL)
        h1_request_end(h1);
    h1_in_release(h1);
    /* Freed by h1_run(), whose end may still be ahead. */
    loop_later_add(h1->server->process->loop, &h1->later);
}

static void
h1_detach(struct h1_conn *h1)
{
    server_conn_remove(&h1->base);
    h1_let_go(h1);
}

static struct h1_conn *
h1_of(struct server_conn *base)
{
    struct h1_conn *h1 = (struct h1_conn *)(void *)base;

    OBJ_CHECK(h1, H1_MAGIC);
    return h1;
}

static void
IMPL(server_conn_ops.reap) h1_reap(struct server_conn *base)
{
    check(h1_of(base)->state == H1_CLOSED);
    h1_run(h1_of(base));
}

void
h1_finish(struct h1_conn *h1)
{
    conn_finish(h1->conn);
    h1_detach(h1);
}

void
h1_kill(struct h1_conn *h1)
{
    struct h1_request *request = h1->request;

    conn_free(h1->conn);
    h1_detach(h1);
    if (h1->request != NULL)
        stream_abort(&request->stream);
}

static void
IMPL(server_conn_ops.kill) h1_kill_base(struct server_conn *base)
{
    h1_kill(h1_of(base));
}

static void
h1_slow_reader(struct h1_conn *h1)
{
    metric_add(METRIC_HTTP_REFUSED_SLOW_READER, 1);
    log_warn("%s: takes its reply too slowly", conn_peer(h1->conn));
    h1_kill(h1);
}

static void
IMPL(server_conn_ops.check_reader) h1_check_reader(struct server_conn *base)
{
    struct h1_conn *h1 = h1_of(base);

    if (reader_is_slow(&h1->reader, conn_queued(h1->conn),
            h1->server->process))
        h1_slow_reader(h1);
}

void
h1_end_of_stream(struct h1_conn *h1)
{
    if (conn_queued(h1->conn) > 0)
        h1_finish(h1);
    else
        h1_kill(h1);
}

static void
IMPL(on_closed) h1_on_closed(UNUSED struct conn *conn, enum conn_close why,
    void *arg)
{
    struct h1_conn *h1 = arg;

    OBJ_CHECK(h1, H1_MAGIC);
    if (why == CONN_CLOSE_TIMEOUT)
        h1_slow_reader(h1);
    else
        h1_kill(h1);
}

/* --- heads --- */

void
h1_set_deadline(struct h1_conn *h1, int64_t after_ns)
{
    struct loop *loop = h1->server->process->loop;

    if (after_ns == 0) {
        h1->deadline_ns = 0; /* the timer may fire in vain */
        return;
    }
    h1->deadline_ns = loop_now_ns(loop) + after_ns;
    loop_timer_set(h1->timer, after_ns);
}

/* Answers what was understood of a request and closes. */
static void
head_refuse(struct h1_conn *h1, int status, const char *why)
{
    struct h1_request *request = h1->request;
    struct http_req *req = &request->stream.req;

    metric_add(status == 408 ? METRIC_HTTP_REFUSED_TIMEOUT
            : status == 414 || status == 431
            ? METRIC_HTTP_REFUSED_HEAD_TOO_LARGE
            : METRIC_HTTP_REFUSED_BAD_REQUEST, 1);
    if (req->pool == NULL)
        req->pool = pool_new(STREAM_POOL_BYTES_MAX);
    req->version = HTTP_1_1;
    req->method = HTTP_OTHER;
    req->method_name = h1_span_sv(request->head.method, h1->in);
    req->raw_path = stream_shown_path(
        h1_span_sv(request->head.target, h1->in));
    req->path = SV_EMPTY;
    req->query = SV_EMPTY;
    h1->state = H1_REPLY;
    h1->in_pos = h1->in_len;
    stream_refuse(&request->stream, status, "%s", why);
}

/* The route is known, and the client may go there. */
static void
head_routed(struct h1_conn *h1)
{
    struct h1_request *request = h1->request;
    struct h1_head *head = &request->head;

    if (request->is_complete) {
        dispatch_run(&request->stream);
    } else if (request->body_max == 0) {
        stream_refuse(&request->stream, 413, "this path takes no body");
    } else if (head->length > request->body_max) {
        metric_add(METRIC_HTTP_REFUSED_BODY_TOO_LARGE, 1);
        stream_refuse(&request->stream, 413,
            "the body is larger than %llu bytes",
            (unsigned long long)request->body_max);
    } else {
        h1->state = H1_BODY;
        server_wait(&h1->base);
        h1_body_begin(h1);
    }
}

void
h1_asked(struct h1_conn *h1)
{
    struct h1_request *request = h1->request;

    h1->state = H1_REPLY;
    h1->is_dry = false;
    conn_want_read(h1->conn, true);
    if (dispatch_asked(&request->stream, &request->body_max) ==
        DISPATCH_GOES_ON)
        head_routed(h1);
    h1_run(h1);
}

static void
head_complete(struct h1_conn *h1)
{
    struct h1_request *request = h1->request;
    struct h1_head *head = &request->head;

    if (h1->in_cap - h1->in_len < H1_IN_TAIL)
        h1_in_grow(h1);
    h1->in_pos = head->bytes;
    if (!h1_request_fill(h1)) {
        head_refuse(h1, 503, "out of memory");
        return;
    }
    h1_set_deadline(h1, 0);
    h1->state = H1_REPLY;
    request->is_complete = !head->is_chunked && head->length == 0;
    switch (dispatch_head(&request->stream, &request->body_max)) {
    case DISPATCH_ANSWERED:
        break;
    case DISPATCH_GOES_ON:
        head_routed(h1);
        break;
    case DISPATCH_ASKS:
        h1->state = H1_ASK;
        break;
    }
}

ssize_t
h1_fill(struct h1_conn *h1)
{
    size_t room;
    ssize_t n;

    if (h1->in_len == h1->in_cap)
        h1_in_grow(h1);
    room = h1->in_cap - h1->in_len;
    n = conn_read(h1->conn, h1->in + h1->in_len, room);
    h1->is_dry = n < (ssize_t)room;
    if (n > 0)
        h1->in_len += (size_t)n;
    if (n == 0)
        h1->saw_eof = true;
    return n;
}

/*
 * The first bytes of a connection say whether it is one of HTTP/2, where no
 * handshake did.  True: it is, or it may be and more bytes are needed.
 */
static bool
is_preface(struct h1_conn *h1)
{
    return !h1->had_request && h1->in_len > 0 && !h1->saw_eof &&
        conn_protocol(h1->conn) == CONN_PROTOCOL_ANY &&
        memcmp(h1->in, H2_PREFACE, MIN(h1->in_len, H2_PREFACE_BYTES)) == 0;
}

/* Gives the socket and what was read of it to h2.c. */
static void
become_h2(struct h1_conn *h1)
{
    h2_take(h1->conn, &h1->base, sv_make(h1->in, h1->in_len));
    h1->in_pos = h1->in_len;
    h1_let_go(h1);
}

/* Parses what is there, else reads; false: wait. */
static bool
head_step(struct h1_conn *h1)
{
    const struct conf *conf = h1->server->process->conf;
    bool may_be_h2 = is_preface(h1);
    enum h1_result result = H1_MORE;
    ssize_t n;

    if ((may_be_h2 && h1->in_len >= H2_PREFACE_BYTES) ||
        conn_protocol(h1->conn) == CONN_PROTOCOL_HTTP2) {
        become_h2(h1);
        return false;
    }
    if (h1->in_len > 0) {
        if (h1->request == NULL) {
            h1_request_begin(h1);
            server_wait(&h1->base);
        }
        if (!may_be_h2)
            result = h1_head_feed(&h1->request->head, h1->in, h1->in_len);
        if (result == H1_DONE) {
            head_complete(h1);
            return true;
        }
        if (result == H1_ERROR) {
            if (h1->in[0] == H1_TLS_FIRST && !h1->had_request)
                metric_add(METRIC_TLS_ON_PLAIN, 1);
            head_refuse(h1, h1->request->head.error_status,
                h1->request->head.error);
            return true;
        }
        if (!h1->head_timed && h1->had_request)
            h1_set_deadline(h1, conf->header_timeout);
        h1->head_timed = true;
    }
    if (h1->saw_eof) {
        h1_end_of_stream(h1);
        return false;
    }
    if (h1->is_dry)
        return false;
    n = h1_fill(h1);
    if (n == -2)
        h1_kill(h1);
    if (n == -1 && h1->in_len == 0)
        h1_in_release(h1);
    return n >= 0;
}

/* --- between requests --- */

/* What arrives while a handler works: the next request, or the end. */
static void
watch_for_end(struct h1_conn *h1)
{
    const struct route *route = h1->request->stream.req.route;
    ssize_t n;

    if (h1->in_len == h1->in_cap || h1->saw_eof) {
        conn_want_read(h1->conn, false);
        return;
    }
    n = h1_fill(h1);
    if (n == -2) {
        h1_kill(h1);
    } else if (n == 0) {
        conn_want_read(h1->conn, false);
        if (route != NULL && (route->flags &
            (ROUTE_SELECT | ROUTE_INTERNAL_SELECT)) != 0)
            h1_set_deadline(h1, HTTP_EOF_GRACE_NS);
    }
}

/* The reply is queued: the next request, or the end. */
static bool
reply_step(struct h1_conn *h1)
{
    struct h1_request *request = h1->request;
    bool closes = request->reply_closes || !request->is_complete;

    server_wait_end(&h1->base);
    if (!request->reply_ended) {
        if (!h1->is_dry)
            watch_for_end(h1);
        return false;
    }
    if (request->reply_broken) {
        h1_kill(h1);
        return false;
    }
    h1_request_end(h1);
    h1->state = closes ? H1_LAST : H1_FLUSH;
    return true;
}

/* The last reply: its end is left to the connection, but not a lot of it. */
static bool
last_step(struct h1_conn *h1)
{
    if (conn_queued(h1->conn) <= CONN_LOW_WATER)
        h1_finish(h1);
    else
        conn_want_read(h1->conn, false);
    return false;
}

/* A client that does not take its replies gets no further ones. */
static bool
flush_step(struct h1_conn *h1)
{
    const struct process *process = h1->server->process;

    if (conn_queued(h1->conn) > CONN_LOW_WATER) {
        conn_want_read(h1->conn, false);
        return false;
    }
    h1->state = H1_HEAD;
    server_wait(&h1->base);
    conn_want_read(h1->conn, true);
    h1_set_deadline(h1, h1->server->is_draining
            ? DRAIN_IDLE_NS : process->conf->idle_timeout);
    return h1->in_len > 0 || h1->saw_eof;
}

static void
IMPL(loop_post_fn) h1_continue(void *arg)
{
    struct h1_conn *h1 = arg;

    OBJ_CHECK(h1, H1_MAGIC);
    h1->turn_requests = 0;
    h1_run(h1);
}

static bool
h1_step(struct h1_conn *h1)
{
    switch ((enum h1_state)h1->state) {
    case H1_HEAD:
        return head_step(h1);
    case H1_ASK:
        if (!h1->is_dry)
            watch_for_end(h1);
        return false;
    case H1_BODY:
        return h1_body_step(h1);
    case H1_REPLY:
        return reply_step(h1);
    case H1_FLUSH:
        if (++h1->turn_requests > H1_TURN_REQUESTS && h1->in_len > 0) {
            loop_post(h1->server->process->loop, h1_continue, h1);
            return false;
        }
        return flush_step(h1);
    case H1_LAST:
        return last_step(h1);
    case H1_CLOSED:
        break;
    }
    return false;
}

static void
h1_run(struct h1_conn *h1)
{
    if (h1->is_running)
        return;
    h1->is_running = true;
    while (h1_step(h1))
        continue;
    h1->is_running = false;
    if (h1->state != H1_CLOSED)
        return;
    if (h1->request != NULL && h1->request->reply_ended) {
        h1_request_end(h1);
        h1_in_release(h1);
    }
    if (h1->request == NULL) {
        loop_post_cancel(h1->server->process->loop, h1_continue, h1);
        h1_free(h1);
    }
}

/* --- callbacks --- */

static void
IMPL(on_readable) h1_on_readable(UNUSED struct conn *conn, void *arg)
{
    struct h1_conn *h1 = arg;

    OBJ_CHECK(h1, H1_MAGIC);
    h1->is_dry = false;
    h1->turn_bytes = 0;
    h1->turn_requests = 0;
    h1_run(h1);
}

static void
IMPL(on_drained) h1_on_drained(UNUSED struct conn *conn, void *arg)
{
    struct h1_conn *h1 = arg;

    OBJ_CHECK(h1, H1_MAGIC);
    if (h1->state == H1_REPLY)
        stream_drained(&h1->request->stream);
    h1_run(h1);
}

static void
IMPL(loop_post_fn) h1_on_later(void *arg)
{
    struct h1_conn *h1 = arg;

    OBJ_CHECK(h1, H1_MAGIC);
    h1_run(h1);
}

static void
IMPL(loop_timer_fn) h1_on_timer(void *arg)
{
    struct h1_conn *h1 = arg;
    int64_t now_ns = loop_now_ns(h1->server->process->loop);

    OBJ_CHECK(h1, H1_MAGIC);
    if (h1->deadline_ns == 0)
        return;
    if (now_ns < h1->deadline_ns) {
        loop_timer_set(h1->timer, h1->deadline_ns - now_ns);
        return;
    }
    h1->deadline_ns = 0;
    if (h1->state == H1_HEAD && h1->request != NULL)
        head_refuse(h1, 408, "the request head took too long");
    else if (h1->state == H1_HEAD)
        h1_finish(h1);
    else if (h1->state == H1_BODY)
        h1_body_timeout(h1);
    else if (h1->state == H1_REPLY && stream_is_blind(&h1->request->stream))
        h1_kill(h1);
    h1_run(h1);
}

static const struct conn_ops h1_conn_ops = {
    .on_readable = h1_on_readable,
    .on_drained = h1_on_drained,
    .on_closed = h1_on_closed,
};

static void
IMPL(server_conn_ops.drain) h1_drain(struct server_conn *base)
{
    struct h1_conn *h1 = h1_of(base);

    if (h1->state == H1_HEAD && h1->request == NULL)
        h1_set_deadline(h1, h1->had_request ? DRAIN_IDLE_NS
                                            : 4 * DRAIN_IDLE_NS);
}

static size_t
IMPL(server_conn_ops.unread) h1_unread(const struct server_conn *base,
    int64_t *since_ns)
{
    const struct h1_conn *h1 = (const struct h1_conn *)(const void *)base;

    OBJ_CHECK(h1, H1_MAGIC);
    *since_ns = h1->reader.since_ns;
    return conn_queued(h1->conn);
}

static const struct server_conn_ops h1_server_ops = {
    .drain = h1_drain,
    .kill = h1_kill_base,
    .reap = h1_reap,
    .check_reader = h1_check_reader,
    .unread = h1_unread,
};

void
h1_open(struct server *server, int fd, const struct conf_listener *listener)
{
    const struct process *process = server->process;
    struct h1_conn *h1 = xcalloc(1, sizeof(*h1));

    h1->magic = H1_MAGIC;
    h1->state = H1_HEAD;
    h1->server = server;
    h1->conn = conn_accept(process->loop, fd, listener, &h1_conn_ops, h1);
    h1->timer = loop_timer_new(process->loop, h1_on_timer, h1);
    h1->later.fn = h1_on_later;
    h1->later.arg = h1;
    h1->born_ns = loop_now_ns(process->loop);
    h1->base.listener = listener;
    server_conn_add(server, &h1->base, &h1_server_ops);
    conn_set_send_timeout(h1->conn, process->conf->send_timeout);
    conn_want_read(h1->conn, true);
    h1_set_deadline(h1, process->conf->header_timeout);
}
