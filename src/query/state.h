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
#include "query/pipe.h"

#define STATE_VERSION 1u

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

/* --- of any stage that has a state --- */

/*
 * Bytes of one state.  Stages end one when it has more than STATE_PIECE; what
 * cannot be divided, as the values of one group, may be STATE_BYTES_MAX.
 */
#define STATE_PIECE (1 * MIB)
#define STATE_BYTES_MAX (512 * MIB)

/* Takes one state; load() of the other side takes it as it is. */
typedef int (*state_fn)(void *arg, struct sv state, struct err *err);

struct state_ops {
    /*
     * Instead of flush(): what the stage has of its rows, as none or more
     * states that are independent of each other.
     */
    int (*save)(struct stage *stage, state_fn fn, void *arg, struct err *err);
    /*
     * Instead of write(), in any lane: adds a state, which may be anything
     * (ERR_CORRUPT).  0, 1 (no more are needed), -1.
     */
    int (*load)(struct stage *stage, unsigned lane, struct sv state,
        struct err *err);
};

/* Bytes of a state that is long enough. */
size_t state_piece(const struct query_run *run);

/* A state in the making; what it has is charged to the query. */
struct state_out {
    struct sb sb;
    size_t piece; /* bytes of one that is full */
    struct query_budget *budget;
    size_t taken;
    state_fn fn;
    void *arg;
};
void state_out_init(struct state_out *out, const struct stage *stage,
    state_fn fn, void *arg);
/* Accepts a zeroed one. */
void state_out_release(struct state_out *out);
/*
 * Charges what the state has grown to; ERR_LIMIT when it is too long.  Call it
 * now and then.
 */
int state_out_check(struct state_out *out, struct err *err) WARN_UNUSED;
/* Gives the state away and begins an empty one. */
int state_out_give(struct state_out *out, struct err *err) WARN_UNUSED;
/* Begins one: its version. */
void state_out_begin(struct state_out *out);
static inline bool
state_out_is_full(const struct state_out *out)
{
    return out->sb.len >= out->piece;
}
/* The version in front of a state; false: it is another. */
bool state_in_begin(struct enc_reader *in, struct sv state);

/* ERR_CORRUPT "a partial result is damaged" */
int state_bad(struct err *err);

/* --- of a stats stage (stats_state.c) --- */

struct stats_spec;

/* Can all functions be saved, and the fields of "by"? */
bool stats_spec_can_save(const struct stats_spec *spec);
/* The same of this first stage?  False: it is no stats. */
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
