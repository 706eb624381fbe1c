/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to http/: what the connections of one process share, whatever
 * their protocol.  http.c owns the server; h1.c and h2.c tell it what their
 * connections do.
 */

#ifndef SPOOR_HTTP_SERVER_H
#define SPOOR_HTTP_SERVER_H

#include <sys/queue.h>

#include "core/base.h"
#include "event/module.h"

/* After a drain began: how long idle connections may still send a request. */
#define DRAIN_IDLE_NS (250 * NS_PER_MS)
/* A connection reads at most this much before others have their turn. */
#define HTTP_TURN_BYTES (256 * KIB)
/* A body waits this long for memory before it is answered with 503. */
#define HTTP_BODY_WAIT_NS (1 * NS_PER_SEC)
/*
 * The client closed its side while a query runs: it has left, or it only
 * has nothing more to send.  An answer that is quick reaches the latter.
 */
#define HTTP_EOF_GRACE_NS (50 * NS_PER_MS)

struct conf_listener;
struct server_conn;

struct server_conn_ops {
    /* The process drains: no further request but one on its way. */
    void (*drain)(struct server_conn *conn);
    /* Closes at once; requests with a handler are aborted. */
    void (*kill)(struct server_conn *conn);
    /* After kill(), when the loop will not run again: frees it. */
    void (*reap)(struct server_conn *conn);
    /* Closes if the client takes its replies too slowly. */
    void (*check_reader)(struct server_conn *conn);
    /* Bytes of replies it has not taken, and since when there are any. */
    size_t (*unread)(const struct server_conn *conn, int64_t *since_ns);
};

struct server_conn {
    const struct server_conn_ops *ops;
    struct server *server;
    const struct conf_listener *listener; /* that accepted it */
    bool is_waiting; /* on server->waiting: no whole request yet */
    bool is_h2;
    TAILQ_ENTRY(server_conn) link;
    TAILQ_ENTRY(server_conn) wait_link;
};

TAILQ_HEAD(server_list, server_conn);

struct server {
    struct process *process;
    struct server_list conns;   /* all */
    struct server_list waiting; /* for a whole request, longest first */
    unsigned nconns;
    unsigned nh2;               /* of these */
    unsigned nrequests;         /* with a handler, or their reply unsent */
    int64_t cut_ns;             /* when a reader was last cut to make room */
    bool is_draining;
};

/* A connection was accepted (by conn->listener); it waits for a request. */
void server_conn_add(struct server *server, struct server_conn *conn,
    const struct server_conn_ops *ops);
/* Its descriptor is gone. */
void server_conn_remove(struct server_conn *conn);
/* One connection turned out to speak HTTP/2: takes its place. */
void server_conn_replace(struct server_conn *old, struct server_conn *conn,
    const struct server_conn_ops *ops);

/* Waiting for a whole request, from now: it may be let go to make room. */
void server_wait(struct server_conn *conn);
void server_wait_end(struct server_conn *conn);

/* Who takes output, and how fast. */
struct reader {
    uint64_t written;    /* bytes given to it */
    uint64_t mark_taken; /* what it had taken of them ... */
    int64_t mark_ns;     /* ... at this time; 0: it has all */
    int64_t since_ns;    /* it was first seen not to have all; 0: it has */
};

/*
 * Asked now and then with what is still queued: true if in the last
 * send_timeout less was taken than bodies have to come.
 */
bool reader_is_slow(struct reader *reader, size_t queued,
    const struct process *process);

/*
 * Bodies have to come at conf->body_rate: each byte that arrives buys time,
 * and unspent time is kept up to idle_timeout, so nobody can send much and
 * then hold it for hours.  Returns until when the rest may be awaited.
 */
int64_t body_credit_ns(const struct process *process, int64_t credit_ns,
    size_t n);

#endif
