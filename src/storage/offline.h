/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * All spans of a data directory that no server uses: what the parts of its
 * days hold and what its logs hold beyond them.  Reads, changes nothing.
 */

#ifndef SPOOR_STORAGE_OFFLINE_H
#define SPOOR_STORAGE_OFFLINE_H

#include "core/base.h"
#include "core/err.h"
#include "span/span.h"
#include "storage/store.h"

/*
 * Takes the directory of layout_set() for this process, so that no server
 * starts on it meanwhile: *fd is to be closed, -1 when nobody ever used it.
 * ERR_BUSY: a server runs.
 */
int offline_lock(int *fd, struct err *err) WARN_UNUSED;

/*
 * Spans of one tenant, never empty; good during the call.  -1 with err ends
 * the reading.
 */
typedef int (*offline_fn)(const struct batch *batch, void *arg,
    struct err *err);

struct offline_query {
    struct tenant tenant;
    int64_t start_ns; /* spans that end at or after it */
    int64_t end_ns;   /* and before it */
    store_decode_fn decode;
    offline_fn fn;
    void *arg;
};

struct offline_report {
    uint64_t spans;         /* given to the visitor */
    uint64_t other_tenants; /* left out */
    uint64_t days, parts;
    uint64_t log_spans;     /* of the spans: those that were in no part yet */
    /* What could not be read, and the text of the first that could not. */
    uint64_t damaged;
    struct err damage;
};

/*
 * Day by day, then the logs; copies that a sender or a crash has made are not
 * looked for.  Damaged parts and log records are left out and counted.
 */
int offline_read(const char *path, const struct offline_query *query,
    struct offline_report *report, struct err *err) WARN_UNUSED;

#endif
