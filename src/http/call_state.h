/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to call*.c: the state of a call.  call.c has its life, its times
 * and how it ends; call_send.c connects and sends; call_reply.c reads.
 */

#ifndef SPOOR_HTTP_CALL_STATE_H
#define SPOOR_HTTP_CALL_STATE_H

#include "core/base.h"
#include "core/sb.h"
#include "http/call.h"
#include "http/client_request.h"
#include "http/h1_parse.h"
#include "http/peer_conn.h"

/* A whole head of a reply, or some of its body. */
#define CALL_IN_MAX (64 * KIB)
_Static_assert(CALL_IN_MAX > HTTP_HEAD_BYTES_MAX, "a head fits");

enum call_phase {
    CALL_BEGIN,
    CALL_CONNECT,
    CALL_HANDSHAKE,
    CALL_SEND,   /* an answer may come before its end */
    CALL_ANSWER, /* its head is awaited */
    CALL_BODY,
    CALL_DONE,
    CALL_FAILED,
};

/* What a piece of work came to; and -1: the attempt failed. */
enum { CALL_WAIT, CALL_GO };

/* The head of the reply, in buf. */
typedef void (*call_head_fn)(void *arg, const struct h1_head *head,
    const char *buf);

struct http_call {
    uint32_t magic;
    uint8_t phase;
    bool is_first;    /* attempt, the only one on a kept connection */
    bool is_kept;     /* the connection had another request before */
    bool was_sent;    /* whole, in any attempt */
    bool was_sent_before; /* in the first of two */
    bool has_moved;   /* the limit of the present phase begins anew */
    bool is_hungry;   /* stopped for fairness only, not to wait */
    bool has_heard;   /* bytes came on this connection */
    bool has_enough;  /* the reader wants no more */
    bool reader_failed;
    short events;     /* to wait for */
    struct http_peer *peer;
    struct http_call_conf conf;
    /* Those of client.c; its reader gets all bodies, not only those of 200. */
    const struct client_request *request_of;
    call_head_fn on_head;
    int64_t limit_ns; /* of the present phase; INT64_MAX: none */
    size_t budget;    /* bytes that this step may still move */

    struct peer_conn conn;
    struct sockaddr_storage addresses[PEER_ADDRESSES_MAX];
    unsigned naddresses;
    unsigned next;    /* to be tried */
    struct err connect_err; /* why the last one failed */

    struct sb request;  /* its head */
    size_t sent;        /* of head and body, on this connection */
    uint64_t all_sent;
    uint64_t all_received;

    struct h1_head head; /* of the reply */
    struct h1_chunked chunked;
    uint64_t left;       /* of a body with a length */
    unsigned interim;
    int status;          /* 0: none yet */
    int64_t retry_after_sec;
    struct sb text;
    size_t in_len;
    size_t in_pos;
    char in[CALL_IN_MAX];
};

static inline size_t
call_request_len(const struct http_call *call)
{
    return call->request.len + call->conf.body.len;
}

/* The next phase, with the limit of its own. */
void call_enter(struct http_call *call, enum call_phase phase);

/* CALL_BEGIN: takes a kept connection, or begins to connect. */
int call_begin(struct http_call *call, struct err *err);
/* The next address, or -1 with why the last one failed. */
int call_connect_next(struct http_call *call, struct err *err);
int call_connect(struct http_call *call, struct err *err);
int call_handshake(struct http_call *call, struct err *err);
int call_send(struct http_call *call, struct err *err);

/* CALL_GO: the head of the reply is there, the phase is CALL_BODY. */
int call_answer(struct http_call *call, struct err *err);
int call_body(struct http_call *call, struct err *err);
/* The end of the reply was seen and nothing came behind it. */
bool call_is_clean(const struct http_call *call);

#endif
