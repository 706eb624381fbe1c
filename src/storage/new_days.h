/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How fast new days may come (design Q18).  With a long retention a client
 * that sends times at random would make a directory and a part for each of
 * 36,500 days; so each tenant may add NEW_DAYS_MAX days a minute.  Days that
 * are there, or were granted, cost nothing to look up: one bit each.
 */

#ifndef SPOOR_STORAGE_NEW_DAYS_H
#define SPOOR_STORAGE_NEW_DAYS_H

#include "core/base.h"
#include "span/span.h"

#define NEW_DAYS_MAX 64u
#define NEW_DAYS_NS (60 * NS_PER_SEC)
/* Tenants share one of so many counts. */
#define NEW_DAYS_TENANTS 256u
/* Days from 1970 to 2262, as in shared.h. */
#define NEW_DAYS_BITS 106752u

/* In shared memory; zeros to begin with. */
struct new_days {
    _Atomic uint64_t known[NEW_DAYS_BITS / 64 + 1];
    /* Minute (monotonic) in the upper half, days granted in it. */
    _Atomic uint64_t granted[NEW_DAYS_TENANTS];
};

/*
 * True when all days of the batch's spans (those that are not rejected) are
 * known or granted now.  False: some are granted all the same, so that the
 * same request gets through in the end.
 */
bool new_days_allow(struct new_days *days, const struct tenant *tenant,
    const struct batch *batch, int64_t mono_ns);

/* A day that has a partition, or none any more. */
void new_days_know(struct new_days *days, uint32_t day);
void new_days_forget(struct new_days *days, uint32_t day);

#endif
