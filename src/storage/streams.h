/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Streams that were seen: which (tenant, service.name, span name) is new on
 * its UTC day is counted, and logged if that is wanted.  Asked once for each
 * stream of a memtable, never per span.
 */

#ifndef SPOOR_STORAGE_STREAMS_H
#define SPOOR_STORAGE_STREAMS_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"
#include "span/span.h"

/* 1 MiB: streams of all days; beyond it old ones are forgotten. */
#define STREAMS_MAX 131072u
/* The most that /internal/log_new_streams takes. */
#define STREAMS_LOG_SEC_MAX 86400u

/* Master, once; and for tests. */
int streams_create(struct err *err) WARN_UNUSED;
void streams_destroy(void);

/* This process does as conf says (log.new_streams). */
void streams_configure(const struct conf *conf);
/* All processes log new streams for so many seconds from now; 0: no more. */
void streams_log_for(unsigned sec);

/* A span of this stream, which ended then, is about to be stored. */
void streams_note(const struct tenant *tenant, struct sv service,
    struct sv name, int64_t end_ns);

#endif
