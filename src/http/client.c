/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One connection, kept between requests.  A server may close it at any time
 * while it is idle, so it is looked at before a request is sent; if it turns
 * out to be gone only afterwards, a request without effects is sent once
 * more on a new connection.  A request with effects never is: whether the
 * server saw it cannot be known.
 */

#include "core/base.h"
#include "http/client.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/assert.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "http/client_request.h"
#include "http/h1_parse.h"
#include "http/url.h"
#include "http/wire.h"

#define CLIENT_MAGIC 0x544e4c43u /* "CLNT" */

/* Request heads are ours; only a target and a few fields come from outside. */
#define CLIENT_HEAD_MAX (64 * KIB)
/* Input buffer: a whole head and some of a body. */
#define CLIENT_IN_MAX (64 * KIB)
/* A signal between a look at `cancel` and poll() is seen after it. */
#define CLIENT_POLL_MS 500
/* Interim replies before the real one. */
#define CLIENT_INTERIM_MAX 16

_Static_assert(CLIENT_IN_MAX > HTTP_HEAD_BYTES_MAX, "a head fits");

struct http_client {
    uint32_t magic;
    struct wire wire;
    struct ssl_ctx_st *tls;  /* NULL: plain */
    char *server_name; /* in its certificate */
    struct url url;
    int64_t timeout_ns;
    int64_t deadline_ns; /* of the present request; INT64_MAX: none */
    const volatile sig_atomic_t *cancel; /* of it; NULL: none */
    struct sb out;
    struct h1_head head; /* of the reply */
    char content_type[256];
    char *authorization; /* NULL: none */
    size_t in_len;
    size_t in_pos;
    char in[CLIENT_IN_MAX];
};

void
http_client_set_authorization(struct http_client *client, const char *value)
{
    xfree(client->authorization);
    client->authorization = xstrdup(value);
}

/* --- making one --- */

static const struct tls_client_conf *tls_default;

void
http_client_set_tls(const struct tls_client_conf *tls)
{
    tls_default = tls;
}

int
http_client_new(struct http_client **out, const char *url, int64_t timeout_ns,
    struct err *err)
{
    static const struct tls_client_conf none;

    return http_client_new_tls(out, url, timeout_ns,
        tls_default != NULL ? tls_default : &none, err);
}

int
http_client_new_tls(struct http_client **out, const char *url,
    int64_t timeout_ns, const struct tls_client_conf *tls, struct err *err)
{
    struct http_client *client = xcalloc(1, sizeof(*client));

    check(timeout_ns > 0);
    client->magic = CLIENT_MAGIC;
    client->wire.fd = -1;
    client->timeout_ns = timeout_ns;
    sb_init(&client->out, CLIENT_HEAD_MAX);
    *out = NULL;
    if (url_split(&client->url, sv_from(url), err) != 0 ||
        (client->url.has_tls && tls_client_ctx_new(&client->tls, tls, err) != 0)) {
        http_client_free(client);
        return -1;
    }
    client->server_name = xstrdup(tls->server_name != NULL
            ? tls->server_name : client->url.host);
    *out = client;
    return 0;
}

static void
client_close(struct http_client *client)
{
    wire_close(&client->wire);
    client->in_len = client->in_pos = 0;
}

void
http_client_free(struct http_client *client)
{
    if (client == NULL)
        return;
    OBJ_CHECK(client, CLIENT_MAGIC);
    client_close(client);
    sb_release(&client->out);
    tls_client_ctx_free(client->tls);
    xfree(client->server_name);
    url_release(&client->url);
    xfree(client->authorization);
    client->magic = 0;
    xfree(client);
}

/* --- the socket --- */

static int
look_at_cancel(const struct http_client *client, struct err *err)
{
    return client->cancel == NULL || *client->cancel == 0 ? 0
        : err_set(err, ERR_CANCELLED, "interrupted");
}

/* Waits for events until the deadline; *ready gets what came. */
static int
wait_for(const struct http_client *client, short events, short *ready,
    struct err *err)
{
    struct pollfd pfd = {.fd = client->wire.fd, .events = events};
    int64_t left_ns;
    int n;

    do {
        if (look_at_cancel(client, err) != 0)
            return -1;
        left_ns = client->deadline_ns - clock_mono_ns();
        n = poll(&pfd, 1, (int)MIN(MAX(left_ns, 0) / NS_PER_MS + 1,
            client->cancel != NULL ? CLIENT_POLL_MS : INT_MAX));
    } while ((n < 0 && errno == EINTR) ||
        (n == 0 && clock_mono_ns() < client->deadline_ns));
    if (n < 0)
        return err_sys(err, "poll");
    if (n == 0)
        return err_set(err, ERR_TIMEOUT, "%s: no answer in time",
            client->url.authority);
    *ready = pfd.revents;
    return 0;
}

static int
connect_to(struct http_client *client, const struct addrinfo *to,
    struct err *err)
{
    short ready;
    int rc = wire_connect(&client->wire, to->ai_addr, to->ai_addrlen);

    while (rc == 0 && (rc = wire_is_connected(&client->wire)) == 0)
        if (wait_for(client, POLLOUT, &ready, err) != 0)
            return -1;
    return rc == 1 ? 0
        : err_sys(err, "cannot connect to %s", client->url.authority);
}

/* The handshake, where there is TLS. */
static int
secure(struct http_client *client, struct err *err)
{
    short events = 0, ready;
    int rc;

    if (client->tls == NULL)
        return 0;
    if (wire_use_tls(&client->wire, client->tls, client->server_name,
            err) != 0)
        return -1;
    while ((rc = wire_handshake(&client->wire, &events, err)) == -1)
        if (wait_for(client, events, &ready, err) != 0)
            return -1;
    return rc == 1 ? 0 : err_wrap(err, "TLS with %s", client->url.authority);
}

static int
client_connect(struct http_client *client, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int status = getaddrinfo(client->url.host, client->url.port, &hints, &list);
    int rc = -1;

    if (status != 0)
        return err_set(err, ERR_NOT_FOUND, "%s: %s", client->url.host,
            gai_strerror(status));
    for (const struct addrinfo *to = list; to != NULL && rc != 0;
         to = to->ai_next) {
        err_reset(err);
        rc = connect_to(client, to, err);
        if (rc == 0)
            rc = secure(client, err);
        if (rc != 0)
            client_close(client);
    }
    freeaddrinfo(list);
    return rc;
}

/* --- sending --- */

/* Something of the reply came, or the end; with TLS not all bytes are data. */
static bool
has_answer(struct http_client *client)
{
    short events;
    ssize_t n;

    if (client->wire.tls == NULL || client->in_len > 0)
        return true;
    n = wire_recv(&client->wire, client->in, CLIENT_IN_MAX, &events, NULL);
    if (n > 0)
        client->in_len = (size_t)n;
    return n != -1;
}

/*
 * Sends until all is sent, or the server answers before: *sent then stays
 * below the whole.  -1: the connection is broken, or the time is over.
 */
static int
request_send(struct http_client *client, struct sv body, size_t *sent,
    struct err *err)
{
    size_t head_len = client->out.len, total = head_len + body.len;
    short ready;

    *sent = 0;
    while (*sent < total) {
        size_t from_body = *sent > head_len ? *sent - head_len : 0;
        struct iovec iov[2] = {
            {client->out.ptr + MIN(*sent, head_len),
                head_len - MIN(*sent, head_len)},
            {(void *)((uintptr_t)body.ptr + from_body), body.len - from_body},
        };
        short events = POLLOUT;
        ssize_t n = wire_send(&client->wire, iov, &events, err);

        if (n >= 0) {
            *sent += (size_t)n;
            continue;
        }
        if (n == -2)
            return err_wrap(err, "cannot send to %s", client->url.authority);
        if (wait_for(client, POLLIN | events, &ready, err) != 0)
            return -1;
        if ((ready & POLLIN) && has_answer(client))
            return 0;
    }
    return 0;
}

/* --- receiving --- */

/* More bytes into the input buffer; *n is 0 at the end of the stream. */
static int
reply_fill(struct http_client *client, size_t *n, struct err *err)
{
    short events = POLLIN, ready;
    ssize_t got;

    if (client->in_pos > 0) {
        client->in_len -= client->in_pos;
        memmove(client->in, client->in + client->in_pos, client->in_len);
        client->in_pos = 0;
    }
    check(client->in_len < CLIENT_IN_MAX);
    /* From a fast server there is always something to read. */
    if (look_at_cancel(client, err) != 0)
        return -1;
    for (;;) {
        got = wire_recv(&client->wire, client->in + client->in_len,
            CLIENT_IN_MAX - client->in_len, &events, err);
        if (got >= 0)
            break;
        if (got == -2)
            return err_wrap(err, "cannot read from %s", client->url.authority);
        if (wait_for(client, events, &ready, err) != 0)
            return -1;
    }
    client->in_len += (size_t)got;
    *n = (size_t)got;
    return 0;
}

static int
reply_bad(const struct http_client *client, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s: malformed reply: %s",
        client->url.authority, what);
}

/* The head of the next reply that is not an interim one. */
static int
reply_head(struct http_client *client, struct err *err)
{
    unsigned interim = 0;
    enum h1_result result;
    size_t n;

    h1_head_init(&client->head, true);
    for (;;) {
        result = h1_head_feed(&client->head, client->in + client->in_pos,
            client->in_len - client->in_pos);
        if (result == H1_ERROR)
            return reply_bad(client, client->head.error, err);
        if (result == H1_MORE) {
            if (reply_fill(client, &n, err) != 0)
                return -1;
            if (n == 0)
                return err_set(err, ERR_SYSTEM,
                    "%s closed the connection without an answer",
                    client->url.authority);
            continue;
        }
        if (client->head.status >= 200)
            return 0;
        if (++interim > CLIENT_INTERIM_MAX)
            return reply_bad(client, "too many interim replies", err);
        client->in_pos += client->head.bytes;
        h1_head_init(&client->head, true);
    }
}

/* What callers want of the head, before its buffer is used again. */
static void
reply_fields(struct http_client *client, struct http_client_reply *reply)
{
    const char *buf = client->in + client->in_pos;
    uint64_t seconds;

    reply->status = client->head.status;
    reply->retry_after_sec = -1;
    reply->is_partial = false;
    client->content_type[0] = '\0';
    for (uint32_t i = 0; i < client->head.nfields; i++) {
        struct sv name = h1_span_sv(client->head.fields[i].name, buf);
        struct sv value = h1_span_sv(client->head.fields[i].value, buf);

        if (sv_eq(name, SV("content-type")))
            snprintf(client->content_type, sizeof(client->content_type),
                "%.*s", SV_ARG(value));
        if (sv_eq(name, SV("spoor-partial")))
            reply->is_partial = sv_eq(value, SV("true"));
        if (sv_eq(name, SV("retry-after")) && num_parse_u64(value, &seconds))
            reply->retry_after_sec = (int64_t)MIN(seconds, 86400);
    }
    reply->content_type = sv_from(client->content_type);
    client->in_pos += client->head.bytes;
}

/* The reader of the body has enough. */
#define BODY_ENOUGH 1

/* Up to want bytes of data from the buffer to the body. */
static int
body_take(struct http_client *client, uint64_t want,
    struct http_client_reply *reply, size_t *took, struct err *err)
{
    size_t there = client->in_len - client->in_pos;
    struct sv data;

    *took = (size_t)MIN(want, there);
    data = sv_make(client->in + client->in_pos, *took);
    client->in_pos += *took;
    if (reply->on_data != NULL && reply->status == 200) {
        client->deadline_ns = reply->is_endless ? INT64_MAX :
            clock_mono_ns() + client->timeout_ns;
        return *took == 0 ? 0 : reply->on_data(reply->arg, data, err);
    }
    sb_add(&reply->body, data.ptr, data.len);
    if (sb_failed(&reply->body))
        return err_set(err, ERR_LIMIT, "%s: the reply is too large",
            client->url.authority);
    return 0;
}

/* One step of a chunked body; *is_done at its end. */
static int
body_chunk(struct http_client *client, struct h1_chunked *chunked,
    struct http_client_reply *reply, bool *is_done, struct err *err)
{
    uint64_t want = h1_chunked_expects(chunked);
    enum h1_result result;
    size_t used;

    if (want > 0) {
        int rc = body_take(client, want, reply, &used, err);

        h1_chunked_took(chunked, used);
        return rc;
    }
    result = h1_chunked_feed(chunked,
        sv_make(client->in + client->in_pos, client->in_len - client->in_pos),
        &used);
    if (result == H1_ERROR)
        return reply_bad(client, chunked->error, err);
    client->in_pos += used;
    *is_done = result == H1_DONE;
    return 0;
}

/* *is_whole: its end was known, so the connection may be used again. */
static int
reply_body(struct http_client *client, struct http_client_reply *reply,
    bool *is_whole, struct err *err)
{
    const struct h1_head *head = &client->head;
    uint64_t left = head->has_length ? head->length : UINT64_MAX;
    bool is_done = false;
    struct h1_chunked chunked;
    size_t n = 0;
    int rc;

    h1_chunked_init(&chunked);
    if (reply->on_data != NULL && reply->is_endless && reply->status == 200)
        client->deadline_ns = INT64_MAX;
    *is_whole = head->is_chunked || head->has_length;
    while (!is_done && left > 0) {
        if (client->in_pos == client->in_len) {
            if (reply_fill(client, &n, err) != 0)
                return -1;
            if (n == 0 && *is_whole)
                return reply_bad(client, "it ends early", err);
            if (n == 0)
                return 0;
        }
        rc = head->is_chunked
            ? body_chunk(client, &chunked, reply, &is_done, err)
            : body_take(client, left, reply, &n, err);
        if (rc == BODY_ENOUGH)
            *is_whole = false;
        if (rc != 0)
            return rc == BODY_ENOUGH ? 0 : -1;
        if (head->has_length)
            left -= n;
    }
    return 0;
}

static int
reply_read(struct http_client *client, const struct http_client_req *req,
    struct http_client_reply *reply, struct err *err)
{
    bool is_whole = true;

    reply_fields(client, reply);
    sb_reset(&reply->body);
    if (strcmp(req->method, "HEAD") != 0 && reply->status != 204 &&
        reply->status != 304 &&
        reply_body(client, reply, &is_whole, err) != 0)
        return -1;
    if (!is_whole || client->head.wants_close)
        client_close(client);
    return 0;
}

/* --- the exchange --- */

/*
 * *is_stale: the kept connection turned out to be closed and no byte of an
 * answer came.
 */
static int
exchange(struct http_client *client, const struct http_client_req *req,
    struct http_client_reply *reply, bool *is_stale, struct err *err)
{
    bool was_kept = client->wire.fd >= 0;
    struct err send_err = ERR_INIT;
    size_t sent = 0;
    int send_rc;

    *is_stale = false;
    if (!was_kept && client_connect(client, err) != 0)
        return -1;
    send_rc = request_send(client, req->body, &sent, &send_err);
    if (send_rc != 0 && send_err.code == ERR_TIMEOUT) {
        *err = send_err;
        return -1;
    }
    /* A server that refuses a body may answer, close and never read it. */
    if (reply_head(client, err) != 0) {
        *is_stale = was_kept && client->in_len == 0 &&
            err->code == ERR_SYSTEM;
        /* With TLS what came last may be an alert that says more. */
        if (send_rc != 0 && client->wire.tls == NULL)
            *err = send_err;
        return -1;
    }
    if (sent < client->out.len + req->body.len)
        client->head.wants_close = true;
    return reply_read(client, req, reply, err);
}

int
http_client_do(struct http_client *client, const struct http_client_req *req,
    struct http_client_reply *reply, struct err *err)
{
    struct client_request head = {req->method, client->url.authority,
        client->url.prefix, req->target, "spoorctl", req->content_type,
        req->content_encoding, client->authorization, req->headers,
        req->body.len};
    struct err problem = ERR_INIT;
    bool is_stale = false, is_safe;
    int rc;

    OBJ_CHECK(client, CLIENT_MAGIC);
    if (client_request_make(&client->out, &head, err) != 0)
        return -1;
    is_safe = strcmp(req->method, "GET") == 0 ||
        strcmp(req->method, "HEAD") == 0;
    client->deadline_ns = clock_mono_ns() + client->timeout_ns;
    client->cancel = reply->cancel;
    if (client->wire.fd >= 0 && !wire_is_quiet(&client->wire))
        client_close(client);
    rc = exchange(client, req, reply, &is_stale, &problem);
    if (rc != 0 && is_stale && is_safe) {
        client_close(client);
        err_reset(&problem);
        rc = exchange(client, req, reply, &is_stale, &problem);
    }
    if (rc != 0) {
        client_close(client);
        if (err != NULL)
            *err = problem;
    }
    return rc;
}
