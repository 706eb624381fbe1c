/* SPDX-License-Identifier: BSD-2-Clause */

/* A scratch data directory for the unit tests of the store. */

#ifndef SPOOR_T_STORE_DIR_H
#define SPOOR_T_STORE_DIR_H

#include "core/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/timefmt.h"
#include "span/ingest.h"
#include "storage/layout.h"

static char store_dir[64];

static inline void
store_dir_remove(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", store_dir);
    if (system(command) != 0)
        fprintf(stderr, "# %s stays\n", store_dir);
}

static inline void
store_dir_make(void)
{
    struct err err = ERR_INIT;

    snprintf(store_dir, sizeof(store_dir), "/tmp/spoor-unit-XXXXXX");
    check(mkdtemp(store_dir) != NULL);
    layout_set(store_dir);
    check(layout_create(&err) == 0);
    atexit(store_dir_remove);
}

/* A request whose batch has n spans, the ones in `rejected` refused. */
static inline void
store_ingest_make(struct ingest *ingest, struct batch *batch, uint32_t n,
    struct sv body, uint8_t seed)
{
    memset(ingest, 0, sizeof(*ingest));
    check(batch->nspans == 0);
    for (uint32_t i = 0; i < n; i++) {
        struct span *span = batch_add_span(batch, NULL);

        check(span != NULL);
        span->trace_id.b[0] = 1;
        span->span_id.b[0] = (uint8_t)(i + 1);
    }
    ingest->batch = batch;
    ingest->wire = body;
    ingest->params = SV_EMPTY;
    ingest->recv_time_ns = clock_wall_ns();
    memset(ingest->digest, seed, sizeof(ingest->digest));
}

#endif
