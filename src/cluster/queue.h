/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The durable queue of a front: parcels that nobody could take, and those
 * whose fate at a node is not known.  Files below <storage.path>/queue/; each
 * has one writer, a process that holds a lock on it.  What a process leaves
 * behind, however it ended, is adopted by another one: the first that gets the
 * lock.  queue.c begins with the format.
 *
 * One thread of a process (the sender) calls these.
 */

#ifndef SPOOR_CLUSTER_QUEUE_H
#define SPOOR_CLUSTER_QUEUE_H

#include "core/base.h"
#include "cluster/parcel.h"
#include "core/err.h"

/*
 * Of a process, adopted ones aside: at 176 bytes, names of nodes aside, 44
 * MiB.  A file may be adopted as long as there are fewer; it has at most
 * 65,536 items.
 */
#define QUEUE_ITEMS_MAX 262144u
/* Files that a process holds; each is a descriptor. */
#define QUEUE_FILES_MAX 512u

struct queue;

/* A parcel that waits.  Owned by the queue until queue_done(). */
struct queue_item {
    struct parcel parcel;    /* body and params: queue_load() */
    /*
     * The node that may have stored it: only this one is asked until
     * unknown_ns (wall clock of the first try) is cluster.unknown_timeout
     * ago.  Empty: any node may have it, none has.
     */
    struct sv node;
    int64_t unknown_ns;
    uint64_t bytes;          /* of its record */
    void *arg;               /* of the sender */
    struct queue_item *next; /* of the sender */
};

/*
 * Makes the directory.  bytes_max: of all processes' files together, as they
 * are on the disk.  Files of others are looked up every second and after each
 * 1/64 of bytes_max that this process added, so there may be 1/64 more for
 * each process, and one call of queue_add().
 */
int queue_open(struct queue **out, const char *dir, uint64_t bytes_max,
    struct err *err) WARN_UNUSED;
/* Keeps what is left in the files. */
void queue_close(struct queue *queue); /* accepts NULL */

/*
 * Appends n parcels in one write and syncs: they are durable when it returns
 * 0, and items[i] are set.  ERR_LIMIT: the queue is full, nothing was added;
 * ERR_NO_SPACE: the disk is; ERR_SYSTEM: the disk (nothing counts of it,
 * another file is begun).
 */
struct queue_add {
    const struct parcel *parcel;
    struct sv node;     /* copied; empty: any */
    int64_t unknown_ns;
};
int queue_add(struct queue *queue, const struct queue_add *add, unsigned n,
    struct queue_item **items, struct err *err) WARN_UNUSED;
/* Reads body and params into memory of the item (checked); ERR_CORRUPT. */
int queue_load(struct queue *queue, struct queue_item *item,
    struct err *err) WARN_UNUSED;
void queue_unload(struct queue_item *item);
/*
 * Their node has become unknown, or another one: noted in the files, with one
 * sync for each.  After an error the items have the node nevertheless, but who
 * adopts them after a crash may not know.
 */
struct queue_note {
    struct sv node;
    int64_t unknown_ns;
};
int queue_set_nodes(struct queue *queue, struct queue_item *const *items,
    unsigned n, const struct queue_note *note, struct err *err) WARN_UNUSED;
static inline int WARN_UNUSED
queue_set_node(struct queue *queue, struct queue_item *item, struct sv node,
    int64_t unknown_ns, struct err *err)
{
    return queue_set_nodes(queue, &item, 1,
        &(struct queue_note){node, unknown_ns}, err);
}
/*
 * It is stored (or can never be): noted without a sync; a file whose items
 * are all done is unlinked.  item is freed.  It may come back after a loss of
 * power before the next queue_adopt(), which syncs; or, when the note could
 * not be written, after any crash before it could be.
 */
void queue_done(struct queue *queue, struct queue_item *item);

/*
 * Looks for files that nobody holds, and adopts at most one: a list of its
 * items that are not done.  Damaged records are skipped, counted and logged;
 * a file of a newer version is left alone and named in the log.  Call it at
 * the start and every second: it also syncs what is done, removes files that
 * are of no more use, and looks how full the queue is.
 */
struct queue_item *queue_adopt(struct queue *queue);

uint64_t queue_bytes(const struct queue *queue); /* of this process */
uint64_t queue_items(const struct queue *queue);

/* --- offline (spoorctl check) --- */

/*
 * Reads a queue that nobody writes to and prints findings to out.
 * ERR_CORRUPT: there is damage; ERR_NOT_FOUND: there is no such directory.
 */
int queue_check(const char *dir, struct sb *out, struct err *err) WARN_UNUSED;

#endif
