/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the files of the ingest thread share: ingester.c runs the thread and
 * its groups, ingester_active.c the memtable and the log that it fills.
 */

#ifndef SPOOR_STORAGE_INGESTER_STATE_H
#define SPOOR_STORAGE_INGESTER_STATE_H

#include <pthread.h>

#include "core/base.h"
#include "event/module.h"
#include "span/ingest.h"
#include "storage/flusher.h"
#include "storage/memtable.h"
#include "storage/shared.h"
#include "storage/wal.h"

/* One group: what one write and one sync cover. */
#define GROUP_REQUESTS_MAX 256u

/* The memtable being filled. */
struct active {
    unsigned buffer; /* UINT_MAX: none */
    struct memtable *mt;
    uint32_t committed;
    uint64_t first_lsn;
    uint64_t committed_lsn;
    int64_t since_ns; /* first row; 0: empty */
};

struct group {
    struct ingest *requests[GROUP_REQUESTS_MAX];
    struct wal_record records[GROUP_REQUESTS_MAX];
    unsigned n;
    size_t bytes;
    uint64_t log_id; /* under which the digests are claimed */
    /* Memtables this group has filled to the end, to be committed with it. */
    struct active full[SLOT_BUFFERS];
    unsigned nfull;
};

struct ingester {
    struct process *process;
    unsigned slot;
    pthread_t thread;
    bool sync;                  /* before the answer */
    int64_t sync_interval_ns;   /* fsync: interval, else 0 */

    pthread_mutex_t mutex;
    struct ingest *head, **tail;
    unsigned queued;            /* with those in the making */
    bool is_stopping;

    /* Of the thread alone. */
    struct memtable_writer *writer;
    struct active active;
    struct wal *wal;            /* NULL: none, or given up */
    uint64_t next_lsn;
    int64_t log_retry_ns;       /* monotonic; 0: log is fine */
    int64_t last_sync_ns;
    int64_t log_ns;             /* time in the log, of this round */
    struct ingest *waiting;     /* their twins are in flight */
    uint64_t flush_seen;        /* shared->flush_request handed on */
    uint64_t log_ends_seen;     /* shared->log_ends */
    struct flusher *flusher;
    struct group group;
    struct ingest *answers, **answers_tail;
};

/*
 * Opens a memtable behind the present log; waits for a free buffer, but not
 * for ever: ERR_BUSY.
 */
int active_open(struct ingester *ingester, struct err *err) WARN_UNUSED;
/* Hands a memtable to the flush thread; its rows end at `committed`. */
void active_freeze(struct ingester *ingester, const struct active *active,
    bool wal_ends, uint64_t request);
/* Everything in memory goes to the flush thread, perhaps with its log. */
void active_end(struct ingester *ingester, bool wal_ends, uint64_t request);

/* ERR_BUSY: the last log failed a moment ago, or too many have. */
int log_open_new(struct ingester *ingester, struct err *err) WARN_UNUSED;
/* The log must not be used again: memory and log go to the flush thread. */
void log_failed(struct ingester *ingester, const struct err *err);

#endif
