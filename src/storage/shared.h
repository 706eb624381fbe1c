/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the processes of one server share in memory: worker slots with their
 * memtable buffers, the state of each partition, identity and counters.  One
 * region, made by the master before the first fork (core/shm.h), at the same
 * address in every process.  The catalogue and the request table are further
 * regions with files of their own.
 *
 * Nobody waits for a lock here except under the robust mutexes of
 * partitions, which an event loop never takes.
 */

#ifndef SPOOR_STORAGE_SHARED_H
#define SPOOR_STORAGE_SHARED_H

#include <pthread.h>

#include "core/base.h"
#include "core/err.h"
#include "storage/memtable.h"
#include "storage/new_days.h"
#include "storage/retention_clock.h"

#define SHARED_MAGIC 0x31646572616873ull /* "shared1" */
#define SHARED_LAYOUT 1u

/*
 * Memtables of a worker: one that fills, one or two that are being written
 * out and one that a slow reader still holds (design P5).
 */
#define SLOT_BUFFERS 4u
#define SLOTS_MAX 1024u
/* A worker opens a new log after each failure of one (design P15). */
#define SLOT_LOGS 8u

/* Days from 1970 to 2262, the range of int64 nanoseconds. */
#define PARTITIONS_MAX 106752u

enum slot_state {
    SLOT_FREE = 0,
    SLOT_LIVE,   /* its worker appends */
    SLOT_ORPHAN, /* its worker is dead, its log waits for recovery */
};

enum buffer_state {
    BUFFER_FREE = 0, /* may be used once no reader is older than dead_gen */
    BUFFER_ACTIVE,
    BUFFER_FROZEN,   /* waits for the flush */
};

struct buffer {
    _Atomic uint32_t state;
    uint32_t entry;            /* of the catalogue while not FREE */
    _Atomic uint64_t dead_gen; /* generation in which it left the catalogue */
};

struct slot {
    _Atomic uint32_t state;
    _Atomic int32_t pid;
    /* Logs with rows that may not be in parts yet; 0: none. */
    _Atomic uint64_t logs[SLOT_LOGS];
    _Atomic uint64_t flush_done; /* highest flush request that was served */
    struct buffer buffers[SLOT_BUFFERS];
    /* Recovery: what is being replayed, so that a crash names its cause. */
    _Atomic uint32_t recover_tries;
    _Atomic uint64_t recover_log_id;
    _Atomic uint64_t recover_lsn; /* of the record + 1; 0: none */
};

/*
 * What may be done with a day (design Q6, Q7).  Only the retention process
 * changes it, under the partition's lock.
 */
enum partition_state {
    PARTITION_OPEN = 0,
    PARTITION_DETACHING, /* new rows are refused, those accepted are flushed */
    PARTITION_DETACHED,  /* the directory belongs to the operator */
    PARTITION_DROPPING,  /* on its way to .trash */
};

struct partition {
    _Atomic uint32_t state;       /* enum partition_state */
    /*
     * Counts how often the day was detached or dropped: what was prepared
     * for an earlier one must not reach the directory that is there now.
     */
    _Atomic uint32_t incarnation;
    uint64_t manifest_end; /* where the next edit goes; 0: not read yet */
    uint64_t manifest_number;
    uint64_t rewrite_at;   /* manifest_end beyond which it is rewritten */
    /*
     * A write or sync failed: what the page cache holds may never reach the
     * disk, so nothing is appended to that file any more.
     */
    uint64_t must_rewrite;
};

/* Partitions share mutexes by day number modulo this. */
#define PARTITION_MUTEXES 64u

struct shared {
    uint64_t magic;
    uint32_t layout;
    uint32_t nslots;
    uint8_t node_id[16];
    _Atomic uint32_t boot;        /* 0 until boot recovery read NODE */
    _Atomic uint32_t next_log;    /* low half of log ids */
    _Atomic uint64_t next_part;   /* low 40 bits of part ids */
    _Atomic uint64_t flush_request;
    _Atomic uint32_t is_read_only; /* enum read_only */
    /* Days that are not OPEN; 0: nobody has to look at their states. */
    _Atomic uint32_t closed_days;
    /* Rows of days before this one are not stored any more; 0: not known. */
    _Atomic uint32_t keep_from;
    struct retention_clock clock;
    /*
     * Counts flush requests after which no log may hold a row that was
     * accepted before: workers end their logs with that flush.
     */
    _Atomic uint64_t log_ends;
    _Atomic uint32_t next_snapshot;
    struct new_days new_days;
    pthread_mutex_t mutexes[PARTITION_MUTEXES];
    struct partition partitions[PARTITIONS_MAX];
    struct slot slots[];
};

enum read_only { READ_ONLY_NO = 0, READ_ONLY_DISK };

/* The region of this server; NULL before shared_create(). */
extern struct shared *shared;

/* Master, once: makes slots, memtables and partitions. */
int shared_create(unsigned nslots, struct err *err) WARN_UNUSED;
/* Tests: gives everything back. */
void shared_destroy(void);

/* Place of a memtable buffer; MEMTABLE_BYTES long. */
void *shared_buffer(unsigned slot, unsigned buffer);

/* Wakes the ingest thread that owns the slot, from any process. */
void shared_wake(unsigned slot);
/* The descriptor it polls. */
int shared_wake_fd(unsigned slot);

/* A robust, process-shared mutex in a shared region. */
void shared_mutex_init(pthread_mutex_t *mutex);

/* Never used before in this data directory. */
uint64_t shared_new_log_id(void);
uint64_t shared_new_part_id(void);

/*
 * Locks a partition (day as 20261121).  A lock whose owner died is taken
 * over with manifest_end set to 0, so that the tail is read and cut again.
 */
struct partition *partition_lock(uint32_t day);
void partition_unlock(struct partition *partition);

/* State of a day now, without its lock: it may change the moment after. */
enum partition_state partition_state(uint32_t day);
/*
 * What an edit or a file is prepared for, taken before the first step and
 * given to manifest_append(), then compared once more between catalog_begin()
 * and catalog_commit(): if it has changed by then, the day was dropped or
 * detached behind the edit (which stays), and the catalogue must get nothing
 * of it.  Never 0.
 */
uint32_t partition_incarnation(uint32_t day);
/*
 * Under the lock.  DETACHED and DROPPING start a new incarnation and forget
 * what was known of the manifest.
 */
void partition_set_state(struct partition *partition,
    enum partition_state state);

#endif
