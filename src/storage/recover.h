/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Recovery: the one way from a log back to parts, for a dead worker, a dead
 * master and a power loss alike.  Runs in a short-lived process without
 * network.  Workers never replay.
 */

#ifndef SPOOR_STORAGE_RECOVER_H
#define SPOOR_STORAGE_RECOVER_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"
#include "storage/store.h"

/*
 * At boot, before anything else runs: reads or makes NODE, takes a boot
 * number, loads every manifest into the catalogue, replays all logs, cleans
 * up leftovers.
 */
int recover_boot(const struct conf *conf, store_decode_fn decode,
    struct err *err) WARN_UNUSED;

/*
 * After the worker of a slot died: replays its logs, swaps its memtables for
 * the parts in one generation and frees the slot.
 */
int recover_slot(unsigned slot, const struct conf *conf,
    store_decode_fn decode, struct err *err) WARN_UNUSED;

#endif
