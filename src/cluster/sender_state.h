/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to the sender.  A delivery is an insert; its shares go their way as
 * shipments, each of which is at one place at a time:
 *
 *   live      waits in memory for a call to its lane (a lane is a node)
 *   adding    is about to be made durable, with all others of this turn
 *   backlog   durable; waits for a call to its lane, and may go elsewhere
 *   unknown   durable; its lane may have stored it, so it alone is asked
 *   call      is in a request
 *
 * A delivery is answered when each of its shipments is stored or durable.
 * All of it belongs to the sender's thread, except the inbox.
 */

#ifndef SPOOR_CLUSTER_SENDER_STATE_H
#define SPOOR_CLUSTER_SENDER_STATE_H

#include "core/base.h"

#include <pthread.h>
#include <sys/queue.h>

#include "cluster/nodes.h"
#include "cluster/queue.h"
#include "cluster/share.h"
#include "http/call.h"
#include "span/ingest.h"

/* Of one request: a node decodes it in some milliseconds. */
#define CALL_PARCELS_MAX 64u
#define CALL_BYTES_MAX (4 * MIB)
/* Where a node refuses requests for their size, they become smaller. */
#define CALL_BYTES_LEAST (64 * KIB)
/*
 * Nobody waits longer than this for one node: what is unsent goes to another,
 * what is sent becomes durable.
 */
#define STALL_NS NS_PER_SEC
/* After a call with shipments from the queue that did not help. */
#define BACKOFF_FIRST_NS (100 * NS_PER_MS)
#define BACKOFF_MAX_NS (5 * NS_PER_SEC)
/* Shipments that are durable are kept in memory, too, up to so much. */
#define KEPT_BYTES_MAX (32 * MIB)
/* Present nodes, and former ones that something waits for. */
#define LANES_MAX 512u

struct delivery {
    struct delivery *next;
    struct ingest *ingest;
    struct sender *sender;
    const struct nodes *nodes; /* that shares were made for */
    struct share *shares;
    size_t bytes;              /* counted as waiting */
    unsigned left;             /* shipments that are on their way */
    /* The outcome. */
    enum ingest_status status;
    uint32_t rejected, reject_mask; /* by nodes */
    bool is_duplicate;
    bool is_taken;             /* some of it is, or may be, stored */
    bool is_put_off;           /* by a node, for so long: */
    uint32_t retry_after_sec;  /* 0: not said */
};

struct lane;

struct shipment {
    TAILQ_ENTRY(shipment) link;
    struct delivery *delivery; /* NULL: answered */
    struct share *share;       /* NULL: only in the queue */
    struct queue_item *item;   /* NULL: not durable */
    struct lane *lane;         /* where it is, or will be */
    bool is_unknown;           /* its lane may have stored it */
    bool is_refused_by_queue;  /* do not try again */
    int64_t unknown_ns;        /* wall clock, of the first try there */
    int64_t waits_ns;          /* monotonic: live since */
    uint64_t *tried;           /* LANES_MAX bits; NULL: none */
};
TAILQ_HEAD(shipments, shipment);

struct call {
    TAILQ_ENTRY(call) link;
    struct http_call *http;
    struct lane *lane;
    const struct nodes *nodes;
    const struct node *node;
    struct shipment *shipments[CALL_PARCELS_MAX];
    unsigned n;
    uint64_t rows;             /* spans that were stored */
    int64_t retry_after_sec;   /* as the node said */
    bool is_backlog;
    bool is_stalled;
    int64_t start_ns;          /* monotonic */
    int64_t start_wall_ns;
    int64_t stall_ns;          /* looked at again then */
    int64_t wake_ns;
    unsigned poll_index;
    struct sb body;
    struct sb reply;
};
TAILQ_HEAD(calls, call);

struct lane {
    char name[NODE_NAME_MAX];
    unsigned number;           /* its bit in tried */
    bool is_listed;
    bool takes;                /* inserts, now */
    struct shipments live, backlog, unknown;
    unsigned nlive_calls;
    unsigned nstalled;         /* calls */
    bool has_backlog_call;
    bool is_turn_of_backlog;   /* not of unknown; see backlog_take() */
    int64_t backlog_ns;        /* not before */
    int64_t backoff_ns;
    size_t bytes_max;          /* of a request */
    int64_t nkept, kept_bytes; /* in backlog and unknown */
    int64_t nkept_told, kept_bytes_told; /* node_count_queue() */
};

struct sender {
    struct process *process;
    const struct conf *conf;
    pthread_t thread;
    int event_fd;
    uint64_t log_id;           /* of digests */

    pthread_mutex_t mutex;     /* of the next three */
    struct delivery *inbox, **inbox_tail;
    bool is_stopping;
    int64_t stop_ns;

    struct queue *queue;       /* NULL: nothing waits */
    const struct nodes *nodes;
    struct lane *lane_of[NODES_MAX]; /* by index of nodes */
    struct lane *lanes[LANES_MAX];   /* by number */
    struct calls calls;
    struct shipments adding;
    struct delivery *twins;    /* wait for another with their digest */
    struct delivery *answers;
    int64_t second_ns;         /* when to look after what seldom changes */
    int64_t now_ns;            /* of this turn, monotonic */
    unsigned nlive;            /* shipments of inserts that wait */
    size_t kept_bytes;         /* of shares that are durable as well */
};

/* --- sender_ended.c --- */

/*
 * What workers that ended had begun is nobody's.  Their clients' retries go
 * on when it is known what they made durable.
 */
void ended_settle(struct sender *sender);

/* --- sender.c --- */

/* It is stored or durable; the delivery goes on without it. */
void shipment_taken(struct sender *sender, struct shipment *shipment,
    const struct parcel_answer *answer);
/* It is neither, and will not be. */
void shipment_failed(struct sender *sender, struct shipment *shipment,
    enum ingest_status status);
void shipment_free(struct shipment *shipment);
uint64_t shipment_key(const struct shipment *shipment);
const struct parcel *shipment_parcel(const struct shipment *shipment);

/* --- sender_lane.c --- */

/* Once in each turn: who is there, and how they are. */
void lanes_refresh(struct sender *sender);
struct lane *lane_get(struct sender *sender, const char *name);
/* The best of those that take inserts and were not tried; NULL: none. */
struct lane *lane_choose(struct sender *sender,
    const struct shipment *shipment);
/* Waits for its lane, or another, or becomes durable. */
void shipment_place(struct sender *sender, struct shipment *shipment);
/* Surely not stored by its lane: the next one. */
void shipment_reroute(struct sender *sender, struct shipment *shipment);
/* Into and out of backlog and unknown. */
void lane_keep(struct lane *lane, struct shipment *shipment);
void lane_drop(struct lane *lane, struct shipments *list,
    struct shipment *shipment);
/* Tells nodes how much is kept for them. */
void lanes_tell(struct sender *sender);
/* What must not wait any longer. */
void lanes_unstall(struct sender *sender);
void lanes_free(struct sender *sender);

/* --- sender_call.c --- */

/* Calls for what waits; as many as each lane may have. */
void calls_start(struct sender *sender);
/* Goes on with those of pfds, which may be polled anew for. */
void calls_step(struct sender *sender, const struct pollfd *pfds);
/* Gives up all of them; what was in them is where it may be found. */
void calls_abandon(struct sender *sender);

/* --- sender_backlog.c --- */

/* Durable with the end of this turn, then in the backlog of its lane. */
void shipment_enqueue(struct sender *sender, struct shipment *shipment);
/* The same, as one whose fate at its lane is not known. */
void shipment_unknown(struct sender *sender, struct shipment *shipment,
    int64_t since_wall_ns);
/*
 * Those that are in a call, so that nobody waits for it any more.  False: the
 * queue takes none.
 */
bool call_enqueue(struct sender *sender, struct call *call);
/* All that is to be added. */
void backlog_flush(struct sender *sender);
/* Files of the dead, as many as there are. */
void backlog_open(struct sender *sender);
/* The same parcel is in the queue, or was, since its worker died. */
bool shipment_is_adopted(const struct shipment *shipment);
/* Each second: files of the dead, and what nobody answers for any more. */
void backlog_look(struct sender *sender);
/* Waits with the others of the lane. */
void shipment_wait(struct sender *sender, struct shipment *shipment);
/* Up to max shipments of the lane's backlog, their bytes in body. */
unsigned backlog_take(struct sender *sender, struct lane *lane,
    struct shipment **out, struct sb *body);
/* It is stored: forgotten. */
void shipment_done(struct sender *sender, struct shipment *shipment);

#endif
