/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to http/: one HTTP/2 connection (RFC 9113) over nghttp2, which
 * knows frames, HPACK, the states of streams and flow control.  h2.c is the
 * life of a connection and its clock, h2_session.c what nghttp2 calls,
 * h2_flood.c what a client may ask of a connection, h2_stream.c requests,
 * h2_body.c their bodies, h2_reply.c what goes back.
 */

#ifndef SPOOR_HTTP_H2_H
#define SPOOR_HTTP_H2_H

#include <sys/queue.h>

#include <nghttp2/nghttp2.h>

#include "core/base.h"
#include "core/sb.h"
#include "core/sv.h"
#include "event/conn.h"
#include "event/loop.h"
#include "http/body.h"
#include "http/server.h"
#include "http/stream.h"

#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_PREFACE_BYTES 24

/* One read of a connection: four whole frames.  One buffer serves all. */
#define H2_IN_BYTES (64 * KIB)
/* Streams a client may have open at a time; also what we say we take. */
#define H2_STREAMS_MAX 100
/*
 * Decoded fields of one request, each counted with 32 bytes as RFC 9113,
 * 6.5.2 does; more is answered 431.
 */
#define H2_FIELDS_BYTES_MAX (64 * KIB)
/* Beyond this (and four times HTTP_HEADERS_MAX) the connection ends. */
#define H2_FIELDS_BYTES_FLOOD (4 * H2_FIELDS_BYTES_MAX)
/* A header block on the wire, and the frames it may be cut into. */
#define H2_BLOCK_BYTES_MAX (32 * KIB)
#define H2_BLOCK_FRAMES_MAX 16
#define H2_BLOCK_EMPTY_MAX 4
/*
 * What a client may send before it hears from us: a stream, and all of a
 * connection.  With a round trip of 50 ms that is 20 MB/s a stream.
 */
#define H2_STREAM_WINDOW (1 * MIB)
#define H2_CONN_WINDOW (2 * MIB)
/*
 * Data that found the budget for bodies used up waits outside of it, over
 * all connections; it is not acknowledged, so the windows bound a client.
 */
#define H2_HELD_BYTES_MAX (16 * MIB)
/* Frames are made while less than this waits in the connection. */
#define H2_OUT_BYTES (256 * KIB)
/* What a stream's reply may queue while the others have used up theirs. */
#define H2_STREAM_OUT_BYTES CONN_LOW_WATER
/* Queries of a connection that does not take its replies are refused. */
#define H2_REPLIES_BYTES_MAX (16 * MIB)
/* Memory of nghttp2 for one connection; an honest one needs a tenth. */
#define H2_SESSION_BYTES_MAX (2 * MIB)
/* Frames that wait to be sent: answers to what a client does not read. */
#define H2_OUTBOUND_MAX 1000
/* Resets, by the client or by us for its sake: at once, and a second. */
#define H2_RESETS_BURST 200
#define H2_RESETS_RATE 50
/* Frames that carry nothing: at once, and a second. */
#define H2_CONTROL_BURST 1000
#define H2_CONTROL_RATE 100
/* Bytes of unknown frames, as of extensions, beyond one for each content. */
#define H2_UNKNOWN_BYTES_MAX (1 * MIB)
/* Requests kept for the next ones of the process. */
#define H2_KEPT_STREAMS 64

/* Tokens that come back with time. */
struct h2_bucket {
    int64_t tokens; /* in thousandths */
    int64_t at_ns;
};

enum h2_stream_state {
    H2_STREAM_HEAD,
    H2_STREAM_BODY,
    H2_STREAM_REPLY, /* a handler has it, or it is refused */
};

struct h2_out; /* a piece of a reply */

struct h2_stream {
    struct stream stream; /* first: stream_ops find the request by it */
    TAILQ_ENTRY(h2_stream) link;
    struct h2_conn *h2;
    int32_t id;
    uint8_t state;        /* enum h2_stream_state */
    bool is_complete;     /* the client has ended its side */
    bool is_closed;       /* nghttp2 has forgotten the stream */
    bool is_ended;        /* the handler is done with it */
    bool is_deferred;     /* nghttp2 waits for more of the reply */
    bool is_woken;        /* memory came back */
    bool is_asking;       /* a password is checked: data is held */
    bool has_head;        /* of the reply */
    bool has_trailers;    /* a header block behind the body was begun */
    struct sv method;
    struct sv target;
    struct sv authority;
    struct http_header *fields;
    uint32_t nfields;
    uint32_t cap_fields;
    uint32_t seen_fields; /* with those that were too many */
    size_t seen_bytes;
    uint64_t length;      /* Content-Length, or UINT64_MAX */
    uint64_t body_max;
    struct body body;
    struct sb held;       /* data that has no place in body yet */
    int64_t credit_ns;    /* when the body is too slow */
    int64_t wait_until_ns; /* for memory; 0: not waiting */
    struct h2_out *out;
    struct h2_out **out_end;
    size_t out_bytes;
    struct reader reader;
    char peer[64];        /* outlives the connection */
};

TAILQ_HEAD(h2_stream_list, h2_stream);

struct h2_conn {
    struct server_conn base; /* first: server_conn_ops find it by that */
    uint32_t magic;
    bool is_running;     /* h2_run() is on the stack */
    bool is_broken;      /* ends when h2_run() gets to it */
    bool is_over;        /* conn is gone; streams may still have handlers */
    bool is_deaf;        /* h2_terminate() was called: input is dropped */
    bool saw_eof;
    bool is_leaving;     /* the first of two GOAWAY was sent */
    bool has_left;       /* and the second */
    bool has_dead;       /* streams that can be freed */
    bool has_woken;      /* streams that waited for memory */
    bool had_request;
    struct conn *conn;
    nghttp2_session *session;
    size_t session_bytes;
    struct loop_timer *timer;
    int64_t timer_ns;    /* when it fires; 0: not set */
    struct loop_later later;
    int64_t born_ns;
    int64_t idle_ns;     /* since when there is no stream */
    int64_t leave_ns;    /* of the second GOAWAY */
    int64_t eof_ns;      /* when queries are given up */
    struct reader reader;
    struct h2_stream_list streams;
    unsigned nstreams;
    unsigned nhandled;   /* in state REPLY */
    size_t out_bytes;    /* of all streams, not yet framed */
    struct h2_bucket resets;
    struct h2_bucket control;
    int64_t unknown_bytes; /* read, less what is of known frames, and less
                              what may come for streams that we reset */
    /* The header block that is being read. */
    int64_t block_ns;    /* since when; 0: none */
    size_t block_bytes;
    unsigned block_frames;
    unsigned block_empty;
};

/*
 * The connection of old speaks HTTP/2: takes its socket, its place in the
 * server, and the bytes that were read.  (With ALPN there are none.)
 */
void h2_take(struct conn *conn, struct server_conn *old, struct sv input);
/* Frees what is kept for the next requests. */
void h2_clear(void);

/* --- between the files --- */

static inline const struct process *
h2_process(const struct h2_conn *h2)
{
    return h2->base.server->process;
}

static inline int64_t
h2_now(const struct h2_conn *h2)
{
    return loop_now_ns(h2_process(h2)->loop);
}

/* Looks at the connection when the present callback ends. */
void h2_wake(struct h2_conn *h2);
/* Ends the connection at the next look, without a word. */
void h2_break(struct h2_conn *h2);
/* Looks at all clocks at this time (monotonic) or earlier. */
void h2_schedule(struct h2_conn *h2, int64_t at_ns);
/* Takes no new streams soon, and ends when the present ones have. */
void h2_leave(struct h2_conn *h2);

/* False: no memory. */
bool h2_session_open(struct h2_conn *h2) WARN_UNUSED;
/* Says why and ends: an enum nghttp2_error_code. */
void h2_terminate(struct h2_conn *h2, uint32_t code, const char *why);

/* Takes a token; false: none is left, the connection is being ended. */
bool h2_take_reset(struct h2_conn *h2);
/* n bytes are about to be read; false: too many are of no known frame. */
bool h2_count_input(struct h2_conn *h2, size_t n) WARN_UNUSED;
/* Every frame that nghttp2 knows, as soon as its head was read.  False as above. */
bool h2_count_frame(struct h2_conn *h2, const nghttp2_frame_hd *head)
    WARN_UNUSED;
/* We reset a stream of which data may be on its way, which nghttp2 drops. */
void h2_expect_rest(struct h2_conn *h2);
/* n bytes of content were moved: a client may send frames for that. */
void h2_earn(struct h2_conn *h2, size_t n);

/* NULL: no memory. */
struct h2_stream *h2_stream_begin(struct h2_conn *h2, int32_t id);
/* One field of the head.  False: no memory. */
bool h2_stream_field(struct h2_stream *s, struct sv name, struct sv value)
    WARN_UNUSED;
/* The head is complete; is_last: so is the request. */
void h2_stream_head(struct h2_stream *s, bool is_last);
/* The client has sent all. */
void h2_stream_complete(struct h2_stream *s);
/* nghttp2 closed it. */
void h2_stream_closed(struct h2_stream *s);
/* The connection is gone. */
void h2_stream_abandon(struct h2_stream *s);
/* Frees the streams that nobody needs any more. */
void h2_streams_sweep(struct h2_conn *h2);
void h2_refuse(struct h2_stream *s, int status, const char *why);

void h2_asked(struct h2_stream *s);

/* A password is checked first: what comes meanwhile is held. */
void h2_body_ask(struct h2_stream *s);
void h2_body_begin(struct h2_stream *s);
void h2_body_data(struct h2_stream *s, struct sv data);
/* Memory came back: goes on with what was held. */
void h2_body_resume(struct h2_stream *s);
/* The deadline of its body passed? */
void h2_body_check(struct h2_stream *s, int64_t now_ns);
/* When to check, monotonic. */
int64_t h2_body_due_ns(const struct h2_stream *s);
void h2_body_release(struct h2_stream *s);

/* Frames to the connection as far as it takes them. */
void h2_pump(struct h2_conn *h2);
/* Writers below their water; true if one wrote. */
bool h2_drain_writers(struct h2_conn *h2);
/* Drops what is queued of the reply. */
void h2_reply_drop(struct h2_stream *s);
int h2_send_data(struct h2_stream *s, const uint8_t *head, size_t len);

extern const struct stream_ops h2_stream_ops;

#endif
