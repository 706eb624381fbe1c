/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to the files of a connection: conn.c is its life, time and input,
 * conn_out.c what is sent, conn_tls.c what is between both and the socket.
 */

#ifndef SPOOR_EVENT_CONN_STATE_H
#define SPOOR_EVENT_CONN_STATE_H

#include <sys/queue.h>

#include "core/base.h"
#include "event/addr.h"
#include "event/conn.h"
#include "event/loop.h"

#define CONN_MAGIC 0xc0220001u

struct conn_tls;
struct proxy_header;

struct conn_buf {
    struct conn_buf *next;
    char *ptr;
    size_t len;
    size_t sent;
    size_t cap; /* 0: ptr was taken, nothing may be added to it */
};

enum conn_state {
    CONN_OPEN,
    CONN_FINISHING, /* the owner is gone, output is being sent */
    CONN_LINGERING, /* output is sent, waiting for the peer to close */
    CONN_FAILED,    /* on_closed was called, the owner has to free */
};

/* What has to happen before the owner's bytes, in this order. */
enum conn_stage {
    CONN_STAGE_PROXY,     /* a header says who the client is */
    CONN_STAGE_HELLO,     /* TLS: the first byte tells whether it is */
    CONN_STAGE_HANDSHAKE,
    CONN_STAGE_DATA,
};

struct conn {
    uint32_t magic;
    enum conn_state state;
    int fd;
    struct loop *loop;
    struct loop_fd *lfd;
    struct loop_timer *timer; /* made when first needed */
    const struct conn_ops *ops;
    void *arg;

    TAILQ_ENTRY(conn) left; /* FINISHING and LINGERING: on conns_left */

    struct conn_buf *out;
    struct conn_buf **out_end;
    size_t queued;
    bool was_above; /* CONN_LOW_WATER was passed, on_drained is due */
    bool wants_read;
    bool is_blocked; /* the socket took not all: waiting for LOOP_WRITE */
    bool must_linger; /* conn_free() leaves time to see what was sent */
    uint8_t stage;    /* enum conn_stage */
    struct loop_later flush;

    int64_t deadline_ns;      /* 0: none */
    int64_t send_timeout_ns;  /* 0: none */
    int64_t send_progress_ns; /* the peer took a byte, or the queue began */

    struct conn_tls *tls; /* NULL: none, and on the way to it */
    struct proxy_header *proxy; /* in CONN_STAGE_PROXY */
    const struct conf_listener *listener; /* NULL: not accepted */
    char peer[ADDR_TEXT_MAX]; /* "" until asked for */
};

/* conn.c */
void conn_watch(struct conn *conn);
void conn_schedule(struct conn *conn);
/* The connection is of no use any more: the owner, if any, is told. */
void conn_fail(struct conn *conn, enum conn_close why);
/* Output is sent: waits for the peer to close. */
void conn_linger(struct conn *conn);
/* All stages are over: what the owner wants may happen. */
void conn_begin(struct conn *conn);
/* Of the socket; as conn_read(). */
ssize_t conn_receive(struct conn *conn, void *ptr, size_t len);

/* conn_out.c */
/* Sends what the socket takes; conn may be gone afterwards. */
void conn_flush(void *arg);
void conn_drop_output(struct conn *conn);

/* conn_tls.c */
/* The stages up to DATA; conn->listener has TLS. */
void conn_tls_start(struct conn *conn);
/* The socket is ready, and so is the next stage perhaps. */
void conn_tls_advance(struct conn *conn);
/* What to wait for, of LOOP_READ and LOOP_WRITE. */
int conn_tls_events(const struct conn *conn);
/* What sending waits for. */
int conn_tls_send_event(const struct conn *conn);
/* The owner, who did not want to read, does: what came before is not lost. */
void conn_tls_read_again(struct conn *conn);
ssize_t conn_tls_read(struct conn *conn, void *ptr, size_t len);
/* Bytes of the queue that were sent; 0: none now; -1: broken, errno says. */
ssize_t conn_tls_send(struct conn *conn);
/* The orderly end of what we send. */
void conn_tls_end(struct conn *conn);
/* The owner gave up while a stage was awaited. */
void conn_tls_late(struct conn *conn);
/* The owner leaves: so in order, if the peer did. */
void conn_tls_leave(struct conn *conn);
void conn_tls_free(struct conn *conn);

#endif
