/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * From a peer to a request that it has: a kept connection, or its addresses
 * one after the other, then head and body.  was_sent is set with the last
 * byte that the kernel takes, and never before: what it decides is whether
 * the request may be given to another server.
 */

#include "core/base.h"
#include "http/call_state.h"

#include <errno.h>

#include "event/addr.h"

int
call_begin(struct http_call *call, struct err *err)
{
    const struct http_call_conf *conf = &call->conf;
    struct client_request request = {
        .method = conf->method,
        .authority = http_peer_name(call->peer),
        .prefix = "",
        .target = conf->target,
        .agent = "spoor",
        .content_type = conf->content_type,
        .authorization = peer_authorization(call->peer),
        .headers = conf->headers,
        .body_len = conf->body.len,
    };

    if (client_request_make(&call->request, call->request_of != NULL
            ? call->request_of : &request, err) != 0)
        return -1;
    call->sent = 0;
    if (call->is_first && peer_take(call->peer, &call->conn)) {
        call->is_first = false;
        call->is_kept = true;
        call_enter(call, CALL_SEND);
        return CALL_GO;
    }
    call->is_first = false;
    call->naddresses = peer_addresses(call->peer, call->addresses);
    call->next = 0;
    err_set(&call->connect_err, ERR_SYSTEM, "%s: its address is not known",
        http_peer_name(call->peer));
    return call_connect_next(call, err);
}

/* --- connecting --- */

/* Says to which of several addresses. */
static void
cannot_connect(struct http_call *call, int error)
{
    const char *name = http_peer_name(call->peer);
    char text[ADDR_TEXT_MAX];

    addr_print((const struct sockaddr *)&call->conn.address, text,
        sizeof(text));
    errno = error;
    if (strcmp(text, name) == 0)
        err_sys(&call->connect_err, "cannot connect to %s", name);
    else
        err_sys(&call->connect_err, "cannot connect to %s (%s)", name, text);
    /* No file is missing, nor is a disk full. */
    call->connect_err.code = ERR_SYSTEM;
}

int
call_connect_next(struct http_call *call, struct err *err)
{
    struct peer_conn *conn = &call->conn;

    wire_abort(&conn->wire);
    while (call->next < call->naddresses) {
        conn->address = call->addresses[call->next++];
        if (wire_connect(&conn->wire, (struct sockaddr *)&conn->address,
                peer_address_len(&conn->address)) == 0) {
            call_enter(call, CALL_CONNECT);
            return CALL_GO;
        }
        cannot_connect(call, errno);
        wire_abort(&conn->wire);
    }
    *err = call->connect_err;
    return -1;
}

static int
connected(struct http_call *call)
{
    peer_answers_at(call->peer, &call->conn.address);
    call_enter(call, CALL_SEND);
    return CALL_GO;
}

int
call_connect(struct http_call *call, struct err *err)
{
    struct ssl_ctx_st *tls = peer_tls(call->peer);
    int rc = wire_is_connected(&call->conn.wire);

    if (rc == 0) {
        call->events = POLLOUT;
        return CALL_WAIT;
    }
    if (rc < 0) {
        cannot_connect(call, errno);
        return call_connect_next(call, err);
    }
    if (tls == NULL)
        return connected(call);
    if (wire_use_tls(&call->conn.wire, tls, peer_server_name(call->peer),
            err) != 0)
        return -1;
    call_enter(call, CALL_HANDSHAKE);
    return CALL_GO;
}

int
call_handshake(struct http_call *call, struct err *err)
{
    int rc = wire_handshake(&call->conn.wire, &call->events,
        &call->connect_err);

    if (rc == -1)
        return CALL_WAIT;
    if (rc == 1)
        return connected(call);
    err_wrap(&call->connect_err, "TLS with %s", http_peer_name(call->peer));
    return call_connect_next(call, err);
}

/* --- sending --- */

/* 1: all is sent; the others are those of wire_send(). */
static ssize_t
send_some(struct http_call *call, struct err *err)
{
    size_t head_len = call->request.len, total = call_request_len(call);
    ssize_t n = 1;

    while (call->sent < total && call->budget > 0 && n > 0) {
        size_t from_head = MIN(call->sent, head_len);
        size_t from_body = call->sent - from_head;
        struct iovec iov[2] = {
            {call->request.ptr + from_head, head_len - from_head},
            {(void *)((uintptr_t)call->conf.body.ptr + from_body),
                call->conf.body.len - from_body},
        };

        n = wire_send(&call->conn.wire, iov, &call->events, err);
        if (n == 0) {
            err_set(err, ERR_SYSTEM, "the connection was closed");
            n = -2;
        }
        if (n < 0)
            break;
        call->sent += (size_t)n;
        call->all_sent += (size_t)n;
        call->budget -= MIN((size_t)n, call->budget);
        call->has_moved = true;
    }
    if (call->sent < total)
        return n > 0 ? 0 : n;
    call->was_sent = true;
    call_enter(call, CALL_ANSWER);
    return 1;
}

int
call_send(struct http_call *call, struct err *err)
{
    struct err send_err = ERR_INIT;
    ssize_t sent = send_some(call, &send_err);
    short events = call->events;
    int rc;

    if (sent == 1)
        return CALL_GO;
    /* Perhaps the server says why it takes no more. */
    rc = call_answer(call, err);
    if (sent == -2 && (rc == CALL_WAIT ||
        (rc < 0 && call->conn.wire.tls == NULL))) {
        *err = send_err;
        return err_wrap(err, "cannot send to %s",
            http_peer_name(call->peer));
    }
    if (rc != CALL_WAIT)
        return rc;
    call->events |= events | POLLIN;
    call->is_hungry = sent == 0;
    return CALL_WAIT;
}
