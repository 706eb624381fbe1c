/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Partial aggregates as bytes: what stats has of some rows, so that it can be
 * kept and merged later, by another thread, process or node.
 *
 *   state     version (1)  number of groups (varint)  groups  functions
 *   groups    of each, in order: its texts, one for each field of "by"
 *   functions in the order of the query; each what its save() writes of all
 *             groups in order
 *   text      length (varint)  bytes
 *
 * All numbers are little endian or varints (core/enc.h).
 */

#ifndef SPOOR_QUERY_STATE_H
#define SPOOR_QUERY_STATE_H

#include "core/base.h"
#include "core/enc.h"
#include "core/err.h"
#include "core/sb.h"

#define STATE_VERSION 1u

struct stage;

static inline void
state_put_varint(struct sb *out, uint64_t v)
{
    uint8_t bytes[ENC_VARINT_MAX];

    sb_add(out, bytes, enc_put_varint(bytes, v));
}

static inline void
state_put64(struct sb *out, uint64_t v)
{
    sb_add(out, &v, sizeof(v));
}

static inline void
state_put_text(struct sb *out, struct sv text)
{
    state_put_varint(out, text.len);
    sb_add_sv(out, text);
}

/* ERR_CORRUPT "a partial result is damaged" */
int state_bad(struct err *err);

/* --- of a stats stage (stats_state.c) --- */

/* Can all functions of this first stage be saved?  False: it is no stats. */
bool stats_can_save(const struct stage *stage);
/* A stage of the same pipe with no rows yet, for some of the rows. */
int stats_fork(struct stage **out, const struct stage *stage,
    struct err *err) WARN_UNUSED;
/*
 * Appends the state of all lanes of a fork; its groups must be at most
 * groups_max: 1 when there are more, then nothing was written.
 */
int stats_save(struct stage *fork, uint32_t groups_max, struct sb *out,
    struct err *err) WARN_UNUSED;
/* Adds what a fork has to the stage's lane. */
int stats_join(struct stage *stage, unsigned lane, struct stage *fork,
    struct err *err) WARN_UNUSED;
/* The same of saved bytes, which may be anything: ERR_CORRUPT. */
int stats_load(struct stage *stage, unsigned lane, struct sv state,
    struct err *err) WARN_UNUSED;

#endif
