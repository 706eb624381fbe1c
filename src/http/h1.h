/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to http/: one HTTP/1.x connection.  h1.c turns bytes into requests
 * one after the other, h1_request.c keeps their memory, h1_body.c reads
 * bodies, h1_reply.c writes.
 */

#ifndef SPOOR_HTTP_H1_H
#define SPOOR_HTTP_H1_H

#include <sys/queue.h>

#include "core/base.h"
#include "event/conn.h"
#include "event/loop.h"
#include "http/body.h"
#include "http/h1_parse.h"
#include "http/server.h"
#include "http/stream.h"

/* First buffer for heads; most fit, and little of a body lands in it. */
#define H1_IN_BYTES (4 * KIB)
/* Room behind a head, for the framing of chunks and the next request. */
#define H1_IN_TAIL (1 * KIB)
/* Requests that arrived together are answered in groups of this size. */
#define H1_TURN_REQUESTS 16
/* Kept for the next requests of the process. */
#define H1_KEPT_REQUESTS 64
#define H1_KEPT_BUFS 64

enum h1_state {
    H1_HEAD,   /* idle when there is no request, else reading its head */
    H1_ASK,    /* a password is checked: no body is read */
    H1_BODY,
    H1_REPLY,  /* the handler has the request */
    H1_FLUSH,  /* the reply waits to be taken before the next request */
    H1_LAST,   /* the reply waits to be taken before the end */
    H1_CLOSED, /* conn is gone; the request may still be the handler's */
};

struct h1_request {
    struct stream stream; /* first: stream_ops find the request by it */
    SLIST_ENTRY(h1_request) kept;
    struct h1_conn *h1;
    struct body body;
    uint64_t body_max;
    int64_t credit_ns;    /* when the body is too slow, unless bytes come */
    int64_t wait_until_ns; /* for memory; 0: not waiting */
    char peer[64];        /* outlives the connection */
    bool is_complete;     /* head and body were read */
    bool has_continued;   /* 100 was sent, or is not due */
    bool reply_chunked;
    bool reply_closes;
    bool reply_ended;
    bool reply_broken;
    struct h1_chunked chunked;
    struct h1_head head;
};

struct h1_conn {
    struct server_conn base; /* first: server_conn_ops find it by that */
    uint32_t magic;
    uint8_t state;       /* enum h1_state */
    bool is_running;     /* h1_run() is on the stack */
    bool is_dry;         /* the last read gave less than was asked for */
    bool saw_eof;
    bool had_request;
    bool head_timed;     /* the deadline is that of the present head */
    struct server *server;
    struct conn *conn;
    struct loop_timer *timer;
    int64_t deadline_ns; /* monotonic; 0: none */
    int64_t born_ns;
    struct loop_later later;
    struct reader reader;
    size_t turn_bytes;
    unsigned turn_requests;
    char *in;            /* NULL when there is nothing in it */
    size_t in_cap;
    size_t in_len;
    size_t in_pos;       /* consumed before this; 0 while reading a head */
    struct h1_request *request;
};

/* Takes the descriptor. */
void h1_open(struct server *server, int fd,
    const struct conf_listener *listener);
/* Closes at once; a request with a handler is aborted. */
void h1_kill(struct h1_conn *h1);
/* Sends what is queued and closes; the request must be over. */
void h1_finish(struct h1_conn *h1);
/* The client sends no more, and no request of its is at work. */
void h1_end_of_stream(struct h1_conn *h1);
/* Frees what is kept for the next requests. */
void h1_clear(void);

/* --- between the four files --- */

/* The outcome of H1_ASK. */
void h1_asked(struct h1_conn *h1);
/* The first byte of a request is there. */
void h1_request_begin(struct h1_conn *h1);
/*
 * The head is complete: the public part of the request gets views into the
 * input buffer, which stays where it is from now on.  False: no memory.
 */
bool h1_request_fill(struct h1_conn *h1) WARN_UNUSED;
/* The request is over; what came behind it moves to the front. */
void h1_request_end(struct h1_conn *h1);
/* More room for input: the first buffer, or twice as much. */
void h1_in_grow(struct h1_conn *h1);
void h1_in_release(struct h1_conn *h1);

/* Deadline in ns from now; 0: none. */
void h1_set_deadline(struct h1_conn *h1, int64_t after_ns);

/*
 * Reads into the input buffer.  > 0 bytes; -1 nothing now; 0 end of stream
 * or -2 error.
 */
ssize_t h1_fill(struct h1_conn *h1);

/* Copies. */
void h1_write(struct h1_conn *h1, const void *ptr, size_t len);

/* One step of reading a body; false: wait for bytes or memory. */
bool h1_body_step(struct h1_conn *h1);
/* The head is complete and a body follows. */
void h1_body_begin(struct h1_conn *h1);
/* The deadline passed while a body was read. */
void h1_body_timeout(struct h1_conn *h1);

extern const struct stream_ops h1_stream_ops;

#endif
