/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The storage nodes of this front: who they are, found by configuration and
 * DNS, and how they are, known by all workers together (shared memory).
 */

#ifndef SPOOR_CLUSTER_NODES_H
#define SPOOR_CLUSTER_NODES_H

#include "core/base.h"
#include "core/conf.h"
#include "core/conf_storage.h"
#include "core/err.h"
#include "core/sb.h"
#include "http/peer.h"
#include "span/span.h"

#define NODES_MAX STORAGE_NODES_MAX
#define NODE_NAME_MAX 256u

struct node_state; /* in shared memory, by name; outlives lists */

struct node {
    /*
     * "host:port": routing, metrics, messages.  Small letters; IPv6 in
     * brackets.
     */
    const char *name;
    uint64_t seed;          /* hash of the name */
    struct http_peer *peer;
    struct node_state *state;
    /*
     * Why it cannot be asked though it may be well: its name was never found.
     * Then it is not up.  A name that stands for many nodes ("srv+...") and
     * was never found is one such node, so that answers without them are
     * never taken for whole.  NULL: it can be asked.
     */
    const char *problem;
};

/* One list at one time; never changes. */
struct nodes {
    unsigned n;
    const struct node *v;
};

/* The present one; any thread.  Release it soon: names change seldom. */
const struct nodes *nodes_hold(void);
void nodes_release(const struct nodes *nodes);
/* NULL: there is none of this name (any more). */
const struct node *nodes_find(const struct nodes *nodes, struct sv name);

/* --- routing: rendezvous hashing --- */

uint64_t node_seed(struct sv name);
/* The node with the highest score of those wanted has the trace. */
uint64_t node_score(const struct node *node, uint64_t key);
/* The key of a trace, equal in all processes and versions. */
uint64_t trace_key(const struct trace_id *id);
/*
 * Index of the best for the key among those with a bit in `among`
 * (NODES_MAX bits); nodes->n: none.
 */
unsigned nodes_choose(const struct nodes *nodes, uint64_t key,
    const uint64_t *among);

/* --- health, one breaker for what goes to a node and one for inserts --- */

enum node_outcome {
    NODE_OK,
    NODE_UNREACHABLE, /* no connection, it broke, malformed reply */
    NODE_SLOW,        /* a timeout */
    NODE_BUSY,        /* 429, 503: inserts only, for retry_after_sec */
    NODE_REFUSED,     /* 401, 403, 404, 400 ...: something is set up wrong */
    NODE_OUTCOMES,
};

/*
 * What a call came to.  UNREACHABLE and SLOW open the breaker of the node,
 * each of the others closes it: the node did answer.  BUSY and REFUSED of an
 * insert open the one for inserts: for retry_after_sec (-1: not said), or
 * longer each time; when the time is over, inserts go there again.  Logs each
 * change of a node's state once.  why: for people; may be NULL.
 */
void node_report(const struct node *node, bool is_insert,
    enum node_outcome outcome, int64_t retry_after_sec, const char *why);
/*
 * Reachable, as far as is known.  A node that is not is probed (GET /health,
 * by one worker, every cluster.probe_interval) and is up again when it
 * answers.
 */
bool node_is_up(const struct node *node);
/* And takes inserts now. */
bool node_takes_inserts(const struct node *node);
/* Why not, for messages; a text in `buf`. */
const char *node_why_down(const struct node *node, char *buf, size_t size);

/* --- counting --- */

struct node_traffic {
    uint64_t rows;
    uint64_t bytes_sent;
    uint64_t bytes_received;
    int64_t took_ns;
    bool has_failed;
};
void node_count(const struct node *node, bool is_insert,
    const struct node_traffic *traffic);
/* What waits for the node in the durable queues: differences. */
void node_count_queue(const struct node *node, int64_t parcels,
    int64_t bytes);
/* Master: a worker ended, what it counted as waiting waits no more. */
void nodes_process_ended(pid_t pid);
/* JSON of all nodes, for /internal/cluster and spoorctl cluster. */
void nodes_print(struct sb *out);

/* --- life --- */

/* Master, before any fork: the shared memory. */
int nodes_create(struct err *err) WARN_UNUSED;
/*
 * "Spoor-Front: ID" and NULL: what a front says in its requests to nodes.  A
 * front that meets its own id has reached itself, by a name or proxy that
 * leads back to it: true, then nothing of the request may be done.
 */
const char *const *nodes_headers(void);
bool nodes_is_own_id(struct sv id);
/*
 * Worker: the first list (files read, names not yet looked up), and a thread
 * that looks names up, probes and replaces the list.  wake() is called on
 * that thread when a node came back or the list changed; may be NULL.
 */
int nodes_start(const struct conf *conf, void (*wake)(void *arg), void *arg,
    struct err *err) WARN_UNUSED;
void nodes_stop(void);

#endif
