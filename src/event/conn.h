/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One stream connection on the loop, plain or TLS by its listener.  on_readable
 * is called for the first time when the handshake is over, perhaps with
 * nothing to read yet.
 * Reading is by pull, so that a large body goes from the socket straight to
 * its buffer: on_readable tells that conn_read() will give something.
 * Writing is queued; conn_write() never blocks.  libevent's bufferevents are
 * not used: 2.1 reads at most 4 KiB a call, measured as a third of the cost
 * of receiving a span.
 */

#ifndef SPOOR_EVENT_CONN_H
#define SPOOR_EVENT_CONN_H

#include "core/base.h"
#include "core/err.h"
#include "core/sv.h"

struct conf_listener;
struct conn;
struct loop;

enum conn_close {
    CONN_CLOSE_PEER,    /* the peer is gone: our output has no reader */
    CONN_CLOSE_ERROR,   /* reset or another socket error */
    CONN_CLOSE_TIMEOUT, /* conn_set_deadline() passed */
};

struct conn_ops {
    /* Bytes, or the end of the stream, can be read. */
    void (*on_readable)(struct conn *conn, void *arg);
    /* The output queue fell below CONN_LOW_WATER after it had been above. */
    void (*on_drained)(struct conn *conn, void *arg);
    /*
     * The connection failed or timed out; call conn_free() in it or later.
     * Not called after conn_free() or for the owner's own close.
     */
    void (*on_closed)(struct conn *conn, enum conn_close why, void *arg);
};

#define CONN_LOW_WATER (64 * KIB)
#define CONN_HIGH_WATER (1 * MIB) /* stop producing above this */

/* Takes the non-blocking fd.  Not reading until conn_want_read(true). */
struct conn *conn_new(struct loop *loop, int fd, const struct conn_ops *ops,
    void *arg);
/*
 * The same for one that was accepted; listener must outlive it.  With
 * has_proxy_protocol nothing is readable before a PROXY header came; a
 * connection whose first bytes are none fails, and conn_finish() before then
 * closes it at once; both are counted.
 */
struct conn *conn_accept(struct loop *loop, int fd,
    const struct conf_listener *listener, const struct conn_ops *ops,
    void *arg);
/* NULL for others. */
const struct conf_listener *conn_listener(const struct conn *conn);
/* Callbacks go to another owner from now on: the protocol became known. */
void conn_set_owner(struct conn *conn, const struct conn_ops *ops, void *arg);
/* Closes at once; what is queued is dropped. */
void conn_free(struct conn *conn);
/*
 * Sends what is queued (for at most a minute), shuts the sending side, reads
 * and drops for at most two seconds (so that the peer sees the answer and no
 * reset), then frees itself.  The owner forgets conn; no callback comes any
 * more.
 */
void conn_finish(struct conn *conn);
/*
 * Connections given to conn_finish() of which output is still unsent: a
 * process that leaves now would cut their answers.
 */
unsigned conn_finishing(void);
/* All that conn_finish() was called for and that still hold a descriptor. */
unsigned conn_left(void);
/* Closes the oldest of them until at most this many are left. */
void conn_drop_left(unsigned most);

/* Of the addresses with TLS, in this process, handshakes included. */
unsigned conn_tls_count(void);
/* What the handshake has agreed on; ANY without TLS or ALPN. */
enum conn_protocol { CONN_PROTOCOL_ANY, CONN_PROTOCOL_HTTP1,
    CONN_PROTOCOL_HTTP2 };
enum conn_protocol conn_protocol(const struct conn *conn);
/*
 * The accepted name in the verified certificate of the client; "" without
 * one.  Valid as long as conn.
 */
const char *conn_tls_peer_name(const struct conn *conn);

void conn_want_read(struct conn *conn, bool want);
/* > 0 bytes; 0 end of stream; -1 nothing now; -2 error. */
ssize_t conn_read(struct conn *conn, void *ptr, size_t len);

/*
 * Nothing is sent before the running callback ends, so the small writes of
 * one callback leave in one system call, and no callback is called from
 * within conn_write().
 */
/* Copies. */
void conn_write(struct conn *conn, const void *ptr, size_t len);
/* Takes a buffer made by xmalloc (sb_detach) and frees it when sent. */
void conn_write_take(struct conn *conn, char *ptr, size_t len);
size_t conn_queued(const struct conn *conn);
/* Of all connections of this process. */
size_t conn_queued_total(void);

/*
 * on_closed(TIMEOUT) when this many ns pass; 0 = no deadline.  Absolute per
 * call: it is not extended by bytes arriving.
 */
void conn_set_deadline(struct conn *conn, int64_t after_ns);
/* While output is queued and the peer takes no byte for this long: TIMEOUT. */
void conn_set_send_timeout(struct conn *conn, int64_t ns);

/*
 * "127.0.0.1:51234" or "unix:", the client's that a PROXY header told;
 * borrowed, valid as long as conn, and the same after the first byte was read.
 */
const char *conn_peer(const struct conn *conn);

#endif
