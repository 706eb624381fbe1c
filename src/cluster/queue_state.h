/* SPDX-License-Identifier: BSD-2-Clause */

/* The durable queue of a process in memory.  Private to queue*.c. */

#ifndef SPOOR_CLUSTER_QUEUE_STATE_H
#define SPOOR_CLUSTER_QUEUE_STATE_H

#include "core/base.h"
#include "cluster/queue.h"
#include "cluster/queue_file.h"

/* A name that items share. */
struct queue_node {
    uint64_t refs;
    struct queue_node *next;
    size_t len;
    char text[];
};

/* 168 bytes; all that is in memory of an item that is not loaded. */
struct queue_waiting {
    struct queue_item item; /* first: it is what callers have */
    struct queue_file *file;
    uint64_t offset;
    struct queue_node *node; /* NULL: any */
    char *loaded;
    struct queue_waiting *next, *prev; /* of its file */
};

/* Files that are left alone for a while. */
#define QUEUE_REFUSED_MAX 64u

struct queue_refused {
    struct queue_name name;
    int64_t until_ns; /* monotonic; 0: none */
    unsigned tries;
};

struct queue {
    uint32_t magic;
    char *dir;
    uint64_t bytes_max;
    uint64_t file_max;
    struct queue_name next_name;
    struct queue_file *files;
    struct queue_file *present; /* gets the next parcels; may be NULL */
    unsigned nfiles;
    int64_t used_ns;      /* when the present one got some */
    uint64_t nitems;
    uint64_t bytes;       /* of their records */
    struct queue_node *nodes;
    uint64_t other_bytes; /* of files that others hold, when looked at */
    uint64_t added_bytes; /* by this process since */
    int64_t looked_ns;
    bool is_dir_dirty;    /* a name was removed */
    struct queue_refused refused[QUEUE_REFUSED_MAX];
};

#define QUEUE_MAGIC 0x71756575u

/* --- queue.c --- */

void queue_waiting_set_node(struct queue *queue, struct queue_waiting *waiting,
    struct sv node);
void queue_waiting_free(struct queue *queue, struct queue_waiting *waiting);
/* Waits in this file from now on. */
void queue_waiting_link(struct queue *queue, struct queue_file *file,
    struct queue_waiting *waiting);
void queue_keep_file(struct queue *queue, struct queue_file *file);
/* Its items are all done: the file goes, now or when it can be removed. */
void queue_end_file(struct queue *queue, struct queue_file *file);
void queue_note_done(struct queue *queue, struct queue_file *file,
    struct queue_waiting *waiting);

/* --- queue_collect.c --- */

/* A file with one group that is larger than a file. */
#define QUEUE_FILE_READ_MAX (1 * GIB)

struct queue_collected {
    struct queue_waiting **v; /* not done; linked to no file */
    size_t n, cap;
    struct queue_found found;
};
/* *out is zeroed.  The queue keeps the names of nodes. */
int queue_collect(struct queue *queue, const struct queue_name *name,
    struct sv bytes, struct queue_collected *out, struct err *err)
    WARN_UNUSED;
void queue_collected_release(struct queue *queue,
    struct queue_collected *collected);

/* --- queue_adopt.c --- */

/* Names and bytes of files that this process does not hold. */
struct queue_others {
    struct queue_name *v; /* NULL: only bytes are wanted */
    size_t n, cap;
    uint64_t bytes;
};
int queue_look(struct queue *queue, struct queue_others *others,
    struct err *err) WARN_UNUSED;

#endif
