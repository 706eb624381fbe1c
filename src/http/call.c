/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A call goes through its phases as far as it can, then says what it waits
 * for.  An attempt that fails is the end of the call, but for a kept
 * connection that the server had closed: then there is one more.
 */

#include "core/base.h"
#include "http/call.h"

#include "core/assert.h"
#include "core/mem.h"
#include "core/timefmt.h"
#include "http/call_state.h"

#define CALL_MAGIC 0x4c4c4143u /* "CALL" */

/* Only a target and a few fields come from outside. */
#define CALL_REQUEST_MAX (64 * KIB)
/* One step moves no more, so that a fast peer does not starve the others. */
#define CALL_STEP_BYTES (1 * MIB)

struct http_call *
http_call_new(struct http_peer *peer, const struct http_call_conf *conf)
{
    /* Not zeroed: the input buffer. */
    struct http_call *call = xmalloc(sizeof(*call));

    memset(call, 0, offsetof(struct http_call, in));
    call->magic = CALL_MAGIC;
    call->phase = CALL_BEGIN;
    call->is_first = true;
    call->peer = http_peer_hold(peer);
    call->conf = *conf;
    call->limit_ns = INT64_MAX;
    call->is_hungry = true;
    call->conn.wire.fd = -1;
    call->retry_after_sec = -1;
    sb_init(&call->request, CALL_REQUEST_MAX);
    sb_init(&call->text, CALL_TEXT_MAX);
    return call;
}

void
http_call_free(struct http_call *call)
{
    if (call == NULL)
        return;
    OBJ_CHECK(call, CALL_MAGIC);
    wire_abort(&call->conn.wire);
    http_peer_release(call->peer);
    sb_release(&call->request);
    sb_release(&call->text);
    call->magic = 0;
    xfree(call);
}

/* --- times --- */

void
call_enter(struct http_call *call, enum call_phase phase)
{
    call->phase = (uint8_t)phase;
    /* Connecting and the handshake have one limit together. */
    if (phase != CALL_HANDSHAKE)
        call->has_moved = true;
}

static int64_t
limit_of_phase(const struct http_call *call)
{
    const struct http_call_conf *conf = &call->conf;

    switch ((enum call_phase)call->phase) {
    case CALL_CONNECT:
    case CALL_HANDSHAKE:
        return conf->connect_ns;
    case CALL_SEND:
        return conf->send_ns;
    case CALL_ANSWER:
        return conf->answer_ns;
    case CALL_BODY:
        return conf->idle_ns;
    default:
        return 0;
    }
}

static const char *
what_was_late(const struct http_call *call)
{
    switch ((enum call_phase)call->phase) {
    case CALL_CONNECT:
        return "no connection";
    case CALL_HANDSHAKE:
        return "no TLS handshake";
    case CALL_SEND:
        return "the request was not taken";
    case CALL_ANSWER:
        return "no answer";
    default:
        return "the answer did not go on";
    }
}

/* There is nothing to do but to wait: is there time to? */
static int
look_at_time(struct http_call *call, struct err *err)
{
    int64_t now_ns = clock_mono_ns(), after_ns = limit_of_phase(call);
    char text[32];

    if (call->conf.deadline_ns > 0 && now_ns >= call->conf.deadline_ns)
        return err_set(err, ERR_TIMEOUT, "%s: %s in the time that there was",
            http_peer_name(call->peer), what_was_late(call));
    if (call->has_moved)
        call->limit_ns = after_ns > 0 ? now_ns + after_ns : INT64_MAX;
    call->has_moved = false;
    if (call->is_hungry || now_ns < call->limit_ns)
        return CALL_WAIT;
    time_print_duration(text, after_ns);
    err_set(err, ERR_TIMEOUT, "%s: %s in %s", http_peer_name(call->peer),
        what_was_late(call), text);
    if (call->phase > CALL_HANDSHAKE)
        return -1;
    call->connect_err = *err;
    return call_connect_next(call, err);
}

void
http_call_wants(const struct http_call *call, struct pollfd *pfd,
    int64_t *wake_ns)
{
    OBJ_CHECK(call, CALL_MAGIC);
    *pfd = (struct pollfd){.fd = call->conn.wire.fd, .events = call->events};
    *wake_ns = call->is_hungry ? 0 : call->limit_ns;
    if (call->conf.deadline_ns > 0 && *wake_ns > call->conf.deadline_ns)
        *wake_ns = call->conf.deadline_ns;
    if (call->phase >= CALL_DONE) {
        pfd->fd = -1;
        *wake_ns = INT64_MAX;
    }
}

/* --- one attempt --- */

static int
work(struct http_call *call, struct err *err)
{
    switch ((enum call_phase)call->phase) {
    case CALL_BEGIN:
        return call_begin(call, err);
    case CALL_CONNECT:
        return call_connect(call, err);
    case CALL_HANDSHAKE:
        return call_handshake(call, err);
    case CALL_SEND:
        return call_send(call, err);
    case CALL_ANSWER:
        return call_answer(call, err);
    case CALL_BODY:
        return call_body(call, err);
    case CALL_DONE:
    case CALL_FAILED:
        break;
    }
    panic("call: no work in phase %d", call->phase);
}

/* 0: wait; 1: done; -1. */
static int
attempt(struct http_call *call, struct err *err)
{
    int rc = CALL_GO;

    while (rc == CALL_GO && call->phase < CALL_DONE) {
        rc = work(call, err);
        if (rc == CALL_WAIT)
            rc = look_at_time(call, err);
    }
    return rc < 0 ? -1 : call->phase == CALL_DONE;
}

static bool
is_safe(const struct http_call *call)
{
    return strcmp(call->conf.method, "GET") == 0 ||
        strcmp(call->conf.method, "HEAD") == 0;
}

/* The server had closed the kept connection before it saw the request. */
static bool
was_stale(const struct http_call *call, const struct err *err)
{
    return call->is_kept && !call->has_heard && err->code == ERR_SYSTEM &&
        (!call->was_sent || is_safe(call));
}

static void
begin_again(struct http_call *call)
{
    wire_abort(&call->conn.wire);
    call->is_kept = false;
    call->was_sent_before = call->was_sent;
    call->in_len = call->in_pos = 0;
    call_enter(call, CALL_BEGIN);
}

/* The text of an error may be cut; that there is an error was said. */
static bool
is_told(const struct http_call *call)
{
    return call->status >= 300 && !call->reader_failed;
}

static void
give_back(struct http_call *call)
{
    if (call_is_clean(call))
        peer_give(call->peer, &call->conn);
    else if (call->has_enough || call->sent < call_request_len(call))
        wire_abort(&call->conn.wire);
    else
        wire_close(&call->conn.wire);
}

int
http_call_step(struct http_call *call, struct err *err)
{
    struct err problem = ERR_INIT;
    int rc;

    OBJ_CHECK(call, CALL_MAGIC);
    check(call->phase < CALL_DONE);
    call->budget = CALL_STEP_BYTES;
    call->is_hungry = false;
    rc = attempt(call, &problem);
    if (rc < 0 && was_stale(call, &problem)) {
        err_reset(&problem);
        begin_again(call);
        rc = attempt(call, &problem);
    }
    if (rc == 0)
        return 0;
    if (rc > 0) {
        give_back(call);
        return 1;
    }
    wire_abort(&call->conn.wire);
    if (is_told(call)) {
        call_enter(call, CALL_DONE);
        return 1;
    }
    call_enter(call, CALL_FAILED);
    call->status = 0;
    if (err != NULL)
        *err = problem;
    return -1;
}

void
http_call_result(const struct http_call *call, struct http_call_result *out)
{
    OBJ_CHECK(call, CALL_MAGIC);
    *out = (struct http_call_result){
        .status = call->status,
        .fate = call->was_sent ? CALL_MAYBE_DONE : CALL_NOT_SENT,
        .retry_after_sec = call->retry_after_sec,
        .text = sb_sv(&call->text),
        .sent = call->all_sent,
        .received = call->all_received,
    };
}
