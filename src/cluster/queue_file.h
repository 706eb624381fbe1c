/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One file of the durable queue: its records, as bytes and on the disk.
 * Private to queue*.c, and for what reads such files offline.
 */

#ifndef SPOOR_CLUSTER_QUEUE_FILE_H
#define SPOOR_CLUSTER_QUEUE_FILE_H

#include "core/base.h"
#include "cluster/queue_format.h"
#include "core/err.h"
#include "core/sb.h"

struct queue_name {
    uint64_t unique;
    uint32_t number;
};

void queue_path(char dst[PATH_MAX], const char *dir,
    const struct queue_name *name);
/* false: it is not the name of a file of a queue. */
bool queue_name_parse(const char *text, struct queue_name *name);

/* --- records as bytes --- */

struct queue_record {
    enum queue_record_kind kind;
    uint64_t offset; /* in the file */
    uint64_t bytes;  /* with all its parts */
    uint64_t item;
    int64_t unknown_ns;
    uint8_t id[PARCEL_ID_BYTES];
    struct sv node;
    struct sv payload;
};

/* A parcel may not be larger than cluster/parcel.h says; a name neither. */
#define QUEUE_NODE_LEN_MAX 1024u
#define QUEUE_RECORD_BYTES_MAX (PARCEL_BYTES_MAX + 4 * KIB)

/* Bytes of the record of a parcel. */
uint64_t queue_record_size(const struct parcel *parcel, struct sv node);
/*
 * Appends a record that will stand at record->offset; of a PARCEL the
 * payload is made of `parcel`, else parcel is NULL.
 */
void queue_record_put(struct sb *out, const struct queue_name *name,
    const struct queue_record *record, const struct parcel *parcel);
/*
 * The record that stands at `offset` of its file.  ERR_CORRUPT: there is no
 * valid header, *record is not set; or a wrong body: record->bytes is set and
 * node and payload are empty.
 */
int queue_record_get(struct sv bytes, const struct queue_name *name,
    uint64_t offset, struct queue_record *record, struct err *err)
    WARN_UNUSED;

/* --- a file as bytes --- */

struct queue_found {
    uint64_t records;
    uint64_t damaged; /* stretches of bytes that are not what was written */
    bool is_torn;     /* the last write was cut off */
    uint64_t end;     /* behind the last byte that is not zero */
};
/* fn is called for each valid record, in order. */
typedef void (*queue_record_fn)(void *arg, const struct queue_record *record);
struct queue_scan {
    struct sv bytes;
    const struct queue_name *name;
    queue_record_fn fn;
    void *arg;
};
/* ERR_UNSUPPORTED: of a newer version. */
int queue_scan_run(const struct queue_scan *scan, struct queue_found *found,
    struct err *err) WARN_UNUSED;

/* --- a file on the disk, which this process holds --- */

struct queue_waiting; /* queue_state.h */

struct queue_file {
    struct queue_name name;
    const char *dir;     /* borrowed */
    int fd;
    uint64_t end;        /* the next mark comes here */
    uint64_t allocated;  /* bytes of the file */
    bool is_dirty;       /* marks that are not synced */
    bool is_damaged;     /* kept for people when it is done */
    bool is_given_up;    /* gets no more parcels */
    uint64_t nitems;     /* that are not done */
    struct queue_waiting *items;   /* not done */
    struct queue_waiting *unnoted; /* done, but the mark failed */
    struct queue_file *next;
};

/* A new file, locked and durable, for dir/<unique>-<number>. */
struct queue_file *queue_file_create(const char *dir,
    const struct queue_name *name, struct err *err);
/*
 * Takes over a file that nobody holds.  ERR_BUSY: somebody does;
 * ERR_NOT_FOUND: it is gone.
 */
struct queue_file *queue_file_hold(const char *dir,
    const struct queue_name *name, struct err *err);
/* All of it into out; ERR_CORRUPT: some of it cannot be read. */
int queue_file_read(struct queue_file *file, struct sb *out, struct err *err)
    WARN_UNUSED;
/* Gives the lock back; items must be gone. */
void queue_file_close(struct queue_file *file); /* accepts NULL */

/*
 * Writes at file->end of what room was made for and moves it.  After an
 * error, or instead of a sync, queue_file_cut() takes it back.
 */
int queue_file_write(struct queue_file *file, struct sv bytes,
    struct err *err) WARN_UNUSED;
/* Makes sure that the file has so many bytes. */
int queue_file_grow(struct queue_file *file, uint64_t bytes, uint64_t step,
    struct err *err) WARN_UNUSED;
/* All that was written is durable; the next write begins a page. */
int queue_file_sync(struct queue_file *file, struct err *err) WARN_UNUSED;
void queue_file_cut(struct queue_file *file, uint64_t end);
/* Unlinks it, or, when it is damaged, puts it aside. */
int queue_file_remove(struct queue_file *file, struct err *err) WARN_UNUSED;

#endif
