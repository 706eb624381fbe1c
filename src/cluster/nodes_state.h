/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What all workers of a front know of a node together.  A node has a place in
 * shared memory by its name; a worker that finds it in its list says so
 * (node_state_touch()), and a place that nobody touched for long may get
 * another name.
 */

#ifndef SPOOR_CLUSTER_NODES_STATE_H
#define SPOOR_CLUSTER_NODES_STATE_H

#include "core/base.h"

#include <pthread.h>
#include <sys/socket.h>

#include "cluster/nodes.h"
#include "core/metrics_summary.h"
#include "http/peer.h"

/* A list and, while it changes, another one with other names. */
#define NODE_STATES_MAX (2u * NODES_MAX)
/* Nobody has it in a list, or uses a list that had it. */
#define NODE_STATE_KEEP_NS (10 * 60 * NS_PER_SEC)
#define NODE_WHY_MAX 200u
/* Workers, with those of earlier configurations that finish. */
#define NODE_PROCESSES_MAX 128u

enum node_health {
    NODE_UNHEARD = 0, /* taken for up; is probed at once */
    NODE_UP,
    NODE_DOWN,
};

enum node_kind { NODE_SELECT = 0, NODE_INSERT, NODE_KINDS };

/* Atomics of their own; a process counts what waits in its queue. */
struct node_counters {
    _Atomic uint64_t requests;
    _Atomic uint64_t failed; /* of those, what node_count() was told */
    _Atomic uint64_t outcomes[NODE_OUTCOMES];
    _Atomic uint64_t rows;
    _Atomic uint64_t sent;
    _Atomic uint64_t received;
    struct metric_summary latency;
};

struct node_waiting {
    _Atomic int64_t parcels;
    _Atomic int64_t bytes;
};

struct node_state {
    char name[NODE_NAME_MAX];

    /* Read without the lock. */
    _Atomic uint32_t health;       /* enum node_health */
    _Atomic uint32_t trips;        /* openings with no good call between */
    _Atomic uint32_t insert_trips;
    _Atomic int64_t heard_ns;      /* monotonic; of the last answer */
    _Atomic int64_t probe_ns;      /* monotonic; the next one, not before */
    _Atomic int64_t inserts_ns;    /* monotonic; none before; 0: any time */

    /* Under the lock. */
    int64_t since_ns;              /* wall clock; 0: ever since */
    int64_t opened_ns;             /* monotonic */
    int64_t inserts_since_ns;      /* wall clock; while there are none */
    int64_t inserts_logged_ns;     /* monotonic */
    uint32_t inserts_outcome;      /* enum node_outcome */
    bool inserts_told;             /* in the log: there are none */
    _Atomic bool refuses_queries;  /* the log says so; written under it */
    char why[NODE_WHY_MAX];
    char inserts_why[NODE_WHY_MAX];
    /*
     * Where it was found last, and by which item of storage_nodes (0: none),
     * for workers that start without a resolver.
     */
    uint64_t source;
    struct sockaddr_storage addresses[PEER_ADDRESSES_MAX];
    uint32_t naddresses;

    struct node_counters counters[NODE_KINDS];
    struct node_waiting waiting[NODE_PROCESSES_MAX];
};

/* The place of the name, made if it is new; NULL: there are too many. */
struct node_state *node_state_of(const char *name, uint64_t seed);
/* It is in a list. */
void node_state_touch(struct node_state *state, int64_t now_ns);

/* The lock of all states; recovers from an owner that died. */
void node_states_lock(void);
void node_states_unlock(void);

/* --- what lookups found, for other workers --- */

/* source 0: it is not there any more.  true: it had another source before. */
bool node_states_remember(uint64_t source, const char *name,
    const struct sockaddr_storage *addresses, unsigned n);
/* Under the lock, for each node of the source. */
typedef void (*node_recall_fn)(void *arg, const char *name,
    const struct sockaddr_storage *addresses, unsigned n);
void node_states_recall(uint64_t source, node_recall_fn fn, void *arg);
/* A lookup failed, or did not; true: it is the first of all workers' so. */
bool node_source_fails(uint64_t source);
bool node_source_works(uint64_t source);

/* --- breakers --- */

/* Counts each time that a node or its inserts came back. */
uint64_t node_states_returns(void);
void node_states_count_return(void);

/*
 * A node nobody talks to is probed, too, so that its fall is known before a
 * query: after so many intervals of probes.
 */
#define NODE_QUIET_INTERVALS 10

/*
 * A probe is due and nobody else makes it: then it is this process' for
 * claim_ns.  Ends with node_probe_end().
 */
bool node_probe_claim(const struct node *node, int64_t now_ns,
    int64_t claim_ns, int64_t interval_ns);
/* outcome: OK (it answered), or UNREACHABLE, SLOW. */
void node_probe_end(const struct node *node, enum node_outcome outcome,
    const char *why, int64_t interval_ns);
/* When a probe may be due; INT64_MAX: nothing is known to come. */
int64_t node_probe_time(const struct node *node, int64_t interval_ns);

/* This process' place in `waiting`; NODE_PROCESSES_MAX: it has none. */
unsigned node_process(void);
/* Before the first call of a worker. */
void node_process_enter(void);

/* Called when a node of this process went down, to have it probed. */
extern void (*_Atomic node_went_down)(void);

/* Tests: a new master. */
void nodes_destroy(void);

/* Copies a text, cut to NODE_WHY_MAX. */
void node_why_set(char *dst, const char *why);
/* "unreachable", "slow" ...; for labels. */
const char *node_outcome_name(enum node_outcome outcome);

#endif
