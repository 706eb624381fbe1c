/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Model of the storage protocol (docs/protocol.md): log, memtables, flush,
 * publication, snapshots, merges, drops, recovery, boot.  Each step of a
 * process that another one or a crash can tell from the one before is one
 * transition; between any two of them a process can be killed (KILLS times),
 * or all of them, with or without the power (CRASHES times).
 *
 *   ROWS     rows that clients send, of two days in turn
 *   WORKERS  1 or 2 slots
 *   MERGE    1: a merge process; DROP 1: the second day is dropped
 *   BUG      a mistake that the model must find; bugs.txt names them
 */

#ifndef ROWS
#define ROWS 2
#endif
#ifndef WORKERS
#define WORKERS 1
#endif
#ifndef MERGE
#define MERGE 0
#endif
#ifndef DROP
#define DROP 0
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef READS_AT_ONCE
#define READS_AT_ONCE 0     /* 1: a query is one step */
#endif
#ifndef BUG
#define BUG 0
#endif

#define LOGS 3
#define PARTS 6
#define BUFFERS 2           /* of a slot */
#define ALL_BUFFERS (WORKERS * BUFFERS)
#define EDITS 3             /* of a manifest, since its last sync */
#define NONE 255
#define FOREVER 255

/* Owners of locks, and indexes of alive[]. */
#define WORKER0 1
#define WORKER1 2
#define RECOVER0 3
#define RECOVER1 4
#define MERGER 5
#define DROPPER 6
#define BOOT 7
#define DEAD 8              /* an owner that died: EOWNERDEAD */

#define BIT(n) (1 << (n))
#define COUNT(m) (((m) & 1) + ((m) >> 1 & 1) + ((m) >> 2 & 1) + ((m) >> 3 & 1))
/* Rows are of two days in turn, or all of the first. */
#ifdef ONE_DAY
#define DAYS 1
#define DAY_OF(r) 0
#define DAY_ROWS(d) 15
#else
#define DAYS 2
#define DAY_OF(r) ((r) % 2)
#define DAY_ROWS(d) ((d) == 0 -> 5 : 10)
#endif
#define DROPPED_DAY (DAYS - 1)

bool alive[8];              /* [0]: the reader */
bool reader_is_on, flush_is_on[WORKERS]; /* have not noticed their death */
bool is_up;                 /* boot recovery has ended */
/* Scratch of d_steps, no part of the state. */
hidden byte i_, j_, k_, l_, r_, mask_;
byte kills = KILLS, crashes = CRASHES;

/* --- what clients know --- */

byte next_row;
byte acked;                 /* rows answered with success */
byte dropped;               /* rows whose day may be gone */

/* --- disk: what the page cache says, and what outlives a power loss --- */

byte nlogs;                 /* log ids are never used again */
byte log_rows[LOGS];        /* written */
byte log_synced[LOGS];
byte log_gone[LOGS];        /* their file was unlinked */
byte log_gone_synced[LOGS];
byte log_slot[LOGS];
byte row_log[4];
byte row_lsn[4];

#define FILE_NONE 0
#define FILE_NAMED 1
byte part_rows[PARTS];
byte part_day[PARTS];
byte part_log[PARTS];       /* NONE: merged */
byte part_file[PARTS];
bool part_data_synced[PARTS];
bool part_name_synced[PARTS];
bool part_unlinked[PARTS];  /* the name may be back after a power loss */

/* Versions of the manifest of a day, 0: the last that was synced. */
#define AT(d, k) ((d) * EDITS + (k))
#define LSN_AT(d, k, l) (((d) * EDITS + (k)) * LOGS + (l))
byte listed[DAYS * EDITS];  /* parts */
byte flushed[DAYS * EDITS * LOGS]; /* highest lsn by log */
byte version[DAYS];
#if DAYS > 1
#define LISTED_MORE (listed[3] | listed[4] | listed[5])
#else
#define LISTED_MORE 0
#endif

/* --- shared memory --- */

byte gen;
byte catalog_lock;
byte part_born[PARTS], part_dead[PARTS];

#define BUFFER_FREE 0
#define BUFFER_ACTIVE 1
#define BUFFER_FROZEN 2
byte buffer_state[ALL_BUFFERS];
byte buffer_committed[ALL_BUFFERS];
byte buffer_born[ALL_BUFFERS], buffer_dead[ALL_BUFFERS];
byte buffer_dead_gen[ALL_BUFFERS];
bool buffer_epoch[ALL_BUFFERS];
byte frozen_first[WORKERS]; /* flushed before the other; NONE: neither is */

#define SLOT_FREE 0
#define SLOT_LIVE 1
#define SLOT_ORPHAN 2
byte slot_state[WORKERS];
byte slot_log[WORKERS];

byte partition_lock[DAYS];
byte incarnation[DAYS];
bool dropping[DAYS];

#define INTENT_NONE 0
#define INTENT_SET 1
byte intent;
byte intent_inputs, intent_output;
byte retired, retired_gen;  /* parts that wait for readers */

/* A reader's cell; 0: not registered. */
byte reader_gen;
byte reader_parts, reader_buffers; /* of its snapshot, not read yet */

#define OLDEST_READER (reader_gen == 0 -> FOREVER : reader_gen)
#define VISIBLE(born, dead, g) (born != 0 && born <= (g) && dead > (g))

/* --- catalogue --- */

inline catalog_repair()
{
    for (i_ : 0 .. PARTS - 1) {
        if
        :: part_born[i_] > gen -> part_born[i_] = 0
        :: else
        fi;
        if
        :: part_dead[i_] != FOREVER && part_dead[i_] > gen ->
            part_dead[i_] = FOREVER
        :: else
        fi
    }
    for (i_ : 0 .. ALL_BUFFERS - 1) {
        if
        :: buffer_born[i_] > gen -> buffer_born[i_] = 0
        :: else
        fi;
        if
        :: buffer_dead[i_] != FOREVER && buffer_dead[i_] > gen ->
            buffer_dead[i_] = FOREVER
        :: else
        fi
    };
    skip
}

/* Inside a d_step that begins with CATALOG_IS_FREE. */
#define CATALOG_IS_FREE (catalog_lock == 0 || catalog_lock == DEAD)
inline catalog_begin(me)
{
    if
    :: catalog_lock == DEAD && BUG != 9 -> catalog_repair()
    :: else
    fi;
    catalog_lock = me
}

inline catalog_add(p)
{
    part_born[p] = gen + 1;
    part_dead[p] = FOREVER
}

inline catalog_commit()
{
    gen = gen + 1;
    catalog_lock = 0
}

/* --- manifests --- */

#define PARTITION_IS_FREE(d) (partition_lock[d] == 0 || \
    partition_lock[d] == DEAD)

/* A new version: the last one, to be changed by the caller. */
inline manifest_edit(d)
{
    assert(version[d] + 1 < EDITS);
    listed[AT(d, version[d] + 1)] = listed[AT(d, version[d])];
    for (l_ : 0 .. LOGS - 1) {
        flushed[LSN_AT(d, version[d] + 1, l_)] =
            flushed[LSN_AT(d, version[d], l_)]
    }
    version[d] = version[d] + 1
}

inline manifest_sync(d)
{
    listed[AT(d, 0)] = listed[AT(d, version[d])];
    for (l_ : 0 .. LOGS - 1) {
        flushed[LSN_AT(d, 0, l_)] = flushed[LSN_AT(d, version[d], l_)]
    }
    for (k_ : 1 .. EDITS - 1) {
        listed[AT(d, k_)] = 0;
        for (l_ : 0 .. LOGS - 1) {
            flushed[LSN_AT(d, k_, l_)] = 0
        };
        skip
    }
    version[d] = 0
}

#define LISTED(d) listed[AT(d, version[d])]
/* Bug 3: positions are kept by slot, not by log. */
#define KEY(l) (BUG == 3 -> log_slot[l] : l)
#define FLUSHED(d, l) flushed[LSN_AT(d, version[d], KEY(l))]

/* Rows of a log that are of this day and above what is flushed. */
inline rows_to_replay(d, l, out)
{
    out = 0;
    for (r_ : 0 .. ROWS - 1) {
        if
        :: (log_rows[l] & ~log_gone[l] & BIT(r_)) != 0 &&
            DAY_OF(r_) == d && row_lsn[r_] > FLUSHED(d, l) ->
            out = out | BIT(r_)
        :: else
        fi
    };
    skip
}

inline highest_lsn(rows, out)
{
    out = 0;
    for (j_ : 0 .. ROWS - 1) {
        if
        :: ((rows) & BIT(j_)) != 0 && row_lsn[j_] > out ->
            out = row_lsn[j_]
        :: else
        fi
    };
    skip
}

/* --- part files --- */

/* A number that nobody uses any more stands for a new one. */
inline part_make(p, rows, d, l)
{
    p = 0;
    do
    :: p < PARTS && (part_file[p] != FILE_NONE || part_unlinked[p] ||
        ((listed[0] | listed[1] | listed[2] | LISTED_MORE) & BIT(p)) != 0 ||
        (retired & BIT(p)) != 0 || (reader_parts & BIT(p)) != 0) ->
        p = p + 1
    :: else -> break
    od;
    assert(p < PARTS);
    part_born[p] = 0;
    part_dead[p] = 0;
    part_name_synced[p] = false;
    part_rows[p] = rows;
    part_day[p] = d;
    part_log[p] = l;
    part_data_synced[p] = (BUG != 12);
    part_file[p] = FILE_NAMED
}

/* What is gone for good leaves nothing behind. */
inline part_forget(p)
{
    if
    :: part_file[p] == FILE_NONE && !part_unlinked[p] ->
        part_rows[p] = 0;
        part_day[p] = 0;
        part_log[p] = 0;
        part_born[p] = 0;
        part_dead[p] = 0;
        part_data_synced[p] = false;
        part_name_synced[p] = false
    :: else
    fi
}

inline part_unlink(p)
{
    part_file[p] = FILE_NONE;
    part_unlinked[p] = part_name_synced[p];
    part_name_synced[p] = false;
    part_forget(p)
}

inline directory_sync(d)
{
    for (k_ : 0 .. PARTS - 1) {
        if
        :: part_day[k_] == (d) ->
            part_name_synced[k_] = (part_file[k_] == FILE_NAMED);
            part_unlinked[k_] = false;
            part_forget(k_)
        :: else
        fi
    }
}

/*
 * Written, synced and renamed; then the directory is synced.  What has no
 * name yet does not count, so that the first three are one step.
 */
inline day_write(p, rows, d, l)
{
    d_step {
        part_make(p, rows, d, l);
#if !CRASHES
        directory_sync(d);
#endif
        skip
    };
#if CRASHES
    d_step { directory_sync(d); skip }
#endif
}

#include "worker.pml"
#include "recover.pml"
#include "merge.pml"
#include "world.pml"
