/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The reply: its head, which must be the answer to this request, and its body
 * with a length, in chunks or until the connection ends.
 */

#include "core/base.h"
#include "http/call_state.h"

#include "core/assert.h"
#include "core/num.h"

/* Interim replies before the real one. */
#define CALL_INTERIM_MAX 16u
/* A longer text of an error is not read to its end. */
#define CALL_DRAIN_MAX (64 * KIB)
/* Nobody waits longer because a server says so. */
#define CALL_RETRY_MAX_SEC 86400u

static int
bad_reply(const struct http_call *call, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s: malformed reply: %s",
        http_peer_name(call->peer), what);
}

/*
 * More bytes into the input buffer: CALL_GO with some; CALL_WAIT; -1; at the
 * end of the stream *is_end.
 */
static int
fill(struct http_call *call, bool *is_end, struct err *err)
{
    ssize_t n;

    *is_end = false;
    if (call->in_pos > 0) {
        call->in_len -= call->in_pos;
        memmove(call->in, call->in + call->in_pos, call->in_len);
        call->in_pos = 0;
    }
    check(call->in_len < CALL_IN_MAX);
    /* While all goes out, an answer is looked for at each step. */
    if (call->budget == 0 && call->phase != CALL_SEND) {
        call->is_hungry = true;
        return CALL_WAIT;
    }
    n = wire_recv(&call->conn.wire, call->in + call->in_len,
        CALL_IN_MAX - call->in_len, &call->events, err);
    if (n == -1)
        return CALL_WAIT;
    if (n < 0 && !call->is_kept && wire_is_refused(&call->conn.wire)) {
        call->was_sent = call->was_sent_before;
        return err_wrap(err, "TLS with %s: this side or its certificate is "
            "refused", http_peer_name(call->peer));
    }
    if (n < 0)
        return err_wrap(err, "cannot read from %s",
            http_peer_name(call->peer));
    *is_end = n == 0;
    call->has_heard = call->has_heard || n > 0;
    call->in_len += (size_t)n;
    call->all_received += (size_t)n;
    call->budget -= MIN((size_t)n, call->budget);
    return CALL_GO;
}

/* --- the head --- */

static int
no_answer(const struct http_call *call, struct err *err)
{
    return err_set(err, ERR_SYSTEM,
        call->status > 0 || call->in_len > 0
            ? "%s closed the connection: the answer ends early"
            : "%s closed the connection without an answer",
        http_peer_name(call->peer));
}

static void
read_fields(struct http_call *call)
{
    const char *buf = call->in + call->in_pos;
    uint64_t seconds;

    for (uint32_t i = 0; i < call->head.nfields; i++) {
        struct sv name = h1_span_sv(call->head.fields[i].name, buf);
        struct sv value = h1_span_sv(call->head.fields[i].value, buf);

        if (sv_eq(name, SV("retry-after")) && num_parse_u64(value, &seconds))
            call->retry_after_sec = (int64_t)MIN(seconds, CALL_RETRY_MAX_SEC);
    }
}

static bool
has_no_body(const struct http_call *call)
{
    return call->head.status == 204 || call->head.status == 304 ||
        strcmp(call->conf.method, "HEAD") == 0;
}

/* The head is whole, and not an interim one. */
static int
take_head(struct http_call *call, struct err *err)
{
    bool is_early = call->sent < call_request_len(call);

    /* It cannot have done what it does not know. */
    if (is_early && call->head.status < 300)
        return bad_reply(call, "it came before the end of the request", err);
    call->status = call->head.status;
    read_fields(call);
    if (call->on_head != NULL)
        call->on_head(call->conf.arg, &call->head, call->in + call->in_pos);
    call->in_pos += call->head.bytes;
    h1_chunked_init(&call->chunked);
    call->left = call->head.has_length ? call->head.length : UINT64_MAX;
    if (has_no_body(call)) {
        call->head.is_chunked = false;
        call->head.has_length = true;
        call->left = 0;
    }
    if (is_early)
        call->head.wants_close = true;
    call_enter(call, CALL_BODY);
    return CALL_GO;
}

/* The head of an interim reply is whole: 100, 102, 103. */
static int
skip_interim(struct http_call *call, struct err *err)
{
    if (call->head.status == 101)
        return bad_reply(call, "no other protocol was asked for", err);
    if (++call->interim > CALL_INTERIM_MAX)
        return bad_reply(call, "too many interim replies", err);
    call->in_pos += call->head.bytes;
    h1_head_init(&call->head, true);
    return CALL_GO;
}

int
call_answer(struct http_call *call, struct err *err)
{
    enum h1_result result = H1_MORE;
    bool is_end;
    int rc;

    /* The head of a new connection's first reply. */
    if (!call->head.is_response)
        h1_head_init(&call->head, true);
    for (;;) {
        if (call->in_len > call->in_pos)
            result = h1_head_feed(&call->head, call->in + call->in_pos,
                call->in_len - call->in_pos);
        if (result == H1_ERROR)
            return bad_reply(call, call->head.error, err);
        if (result == H1_DONE) {
            if (call->head.status >= 200)
                return take_head(call, err);
            if (skip_interim(call, err) < 0)
                return -1;
            result = H1_MORE;
            continue;
        }
        rc = fill(call, &is_end, err);
        if (rc != CALL_GO)
            return rc;
        if (is_end)
            return no_answer(call, err);
    }
}

/* --- the body --- */

static int
take_data(struct http_call *call, size_t len, struct err *err)
{
    struct sv data = sv_make(call->in + call->in_pos, len);
    int rc = 0;

    call->in_pos += len;
    call->has_moved = true;
    if (call->status != 200 && call->on_head == NULL) {
        data.len = MIN(len, CALL_TEXT_MAX - call->text.len);
        sb_add_sv(&call->text, data);
        call->has_enough = call->all_received > CALL_DRAIN_MAX;
        return 0;
    }
    if (call->conf.on_data != NULL && len > 0)
        rc = call->conf.on_data(call->conf.arg, data, err);
    call->has_enough = rc > 0;
    call->reader_failed = rc < 0;
    return MIN(rc, 0);
}

/* *is_done: the whole body was taken. */
static int
take_chunks(struct http_call *call, bool *is_done, struct err *err)
{
    enum h1_result result = H1_MORE;
    size_t used;

    while (result == H1_MORE && call->in_pos < call->in_len &&
        !call->has_enough) {
        struct sv input = sv_make(call->in + call->in_pos,
            call->in_len - call->in_pos);
        size_t len = (size_t)MIN(h1_chunked_expects(&call->chunked),
            input.len);

        if (len > 0) {
            h1_chunked_took(&call->chunked, len);
            if (take_data(call, len, err) != 0)
                return -1;
            continue;
        }
        result = h1_chunked_feed(&call->chunked, input, &used);
        if (result == H1_ERROR)
            return bad_reply(call, call->chunked.error, err);
        call->in_pos += used;
    }
    *is_done = result == H1_DONE;
    return 0;
}

static int
take_body(struct http_call *call, bool *is_done, struct err *err)
{
    size_t len = (size_t)MIN(call->left, call->in_len - call->in_pos);

    if (call->head.is_chunked)
        return take_chunks(call, is_done, err);
    if (len > 0 && take_data(call, len, err) != 0)
        return -1;
    if (call->head.has_length)
        call->left -= len;
    *is_done = call->left == 0;
    return 0;
}

int
call_body(struct http_call *call, struct err *err)
{
    bool is_done = false, is_end = false;
    int rc;

    for (;;) {
        if (take_body(call, &is_done, err) != 0)
            return -1;
        if (is_done || call->has_enough) {
            call->has_enough = call->has_enough && !is_done;
            call_enter(call, CALL_DONE);
            return CALL_GO;
        }
        rc = fill(call, &is_end, err);
        if (rc != CALL_GO)
            return rc;
        if (!is_end)
            continue;
        if (call->head.is_chunked || call->head.has_length)
            return no_answer(call, err);
        call->head.wants_close = true;
        call_enter(call, CALL_DONE);
        return CALL_GO;
    }
}

bool
call_is_clean(const struct http_call *call)
{
    return !call->has_enough && !call->head.wants_close &&
        call->in_pos == call->in_len;
}

void
http_call_line(const struct http_call_result *result,
    char dst[CALL_LINE_MAX + 1])
{
    struct sv text = result->text;
    const char *title = memmem(text.ptr, text.len, "<title>", 7);
    const char *end = title == NULL ? NULL
        : memmem(title, (size_t)(text.ptr + text.len - title), "</title>", 8);
    size_t len = 0;

    if (end != NULL)
        text = sv_make(title + 7, (size_t)(end - title) - 7);
    for (size_t i = 0; i < text.len && len < CALL_LINE_MAX; i++) {
        bool is_blank = (uint8_t)text.ptr[i] <= ' ';

        if (!is_blank)
            dst[len++] = text.ptr[i];
        else if (len > 0 && dst[len - 1] != ' ')
            dst[len++] = ' ';
    }
    while (len > 0 && dst[len - 1] == ' ')
        len--;
    dst[len] = '\0';
}
