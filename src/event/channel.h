/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Typed messages between the master and one child, over a pair of
 * AF_UNIX SOCK_SEQPACKET sockets, so message borders are the kernel's work.
 * The end of the stream tells either side that the other is gone.
 */

#ifndef SPOOR_EVENT_CHANNEL_H
#define SPOOR_EVENT_CHANNEL_H

#include "core/base.h"
#include "core/err.h"

struct loop;

struct channel_ready {
    uint32_t generation;
};

struct channel_stop {
    int64_t bound_ns; /* the time there is for an orderly end */
};

struct channel_leaving {
    int64_t at_ns; /* monotonic */
};

struct channel_none {
    uint32_t unused;
};

/* THE table of messages: id, word, who sends it (M or C), body. */
#define CHANNEL_MESSAGES(X) \
    X(READY, "ready", 'C', struct channel_ready) \
    X(DRAIN, "drain", 'M', struct channel_none) \
    X(STOP, "stop", 'M', struct channel_stop) \
    X(REOPEN, "reopen", 'M', struct channel_none) \
    X(LEAVING, "leaving", 'M', struct channel_leaving) \
    X(PING, "ping", 'M', struct channel_none) \
    X(PONG, "pong", 'C', struct channel_none)

enum channel_type {
#define CHANNEL_TYPE(id, word, sender, body) CHANNEL_##id,
    CHANNEL_MESSAGES(CHANNEL_TYPE)
#undef CHANNEL_TYPE
    CHANNEL_TYPES,
};

struct channel;

struct channel_ops {
    /* body is what the table says; valid during the call. */
    void (*on_message)(struct channel *channel, enum channel_type type,
        const void *body, void *arg);
    /*
     * Nothing comes any more: the other side is gone, or (is_broken) sent
     * what is no message.  The owner frees the channel, then or later.
     */
    void (*on_closed)(struct channel *channel, bool is_broken, void *arg);
};

/* Non-blocking, close-on-exec; [0] for the master, [1] for the child. */
int channel_pair(int fds[2], struct err *err) WARN_UNUSED;

/* Takes fd; reads at once.  is_master says which side this is. */
struct channel *channel_new(struct loop *loop, int fd, bool is_master,
    const struct channel_ops *ops, void *arg);
void channel_free(struct channel *channel); /* accepts NULL */

/* body may be NULL for struct channel_none.  ERR_BUSY: the child hangs. */
int channel_send(struct channel *channel, enum channel_type type,
    const void *body, struct err *err) WARN_UNUSED;

#endif
