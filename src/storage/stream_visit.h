/* SPDX-License-Identifier: BSD-2-Clause */

/* Looking at the streams of memtables and parts. */

#ifndef SPOOR_STORAGE_STREAM_VISIT_H
#define SPOOR_STORAGE_STREAM_VISIT_H

#include "core/base.h"
#include "core/sv.h"

/* Visits every distinct (service, span name) of a tenant, perhaps twice. */
struct stream_visit {
    /* name, kind and service are borrowed for the call; -1 stops. */
    int (*fn)(struct sv service, struct sv name, int32_t kind, void *arg);
    void *arg;
    int64_t start_ns; /* parts that end before are skipped; INT64_MIN: all */
    int64_t end_ns;
};

#endif
