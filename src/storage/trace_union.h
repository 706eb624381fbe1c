/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How many different traces some parts have, told by their TRACES sections
 * side by side.  All parts of a data directory hash with one seed, so a trace
 * has the same hash in each of them.
 *
 * The hashes of all parts are cut into groups, by their highest bits.  In a
 * group, a hash that is there once (as far as all parts' indexes hold it) is
 * a trace of its own.  One that is there more often is a candidate: its id
 * has to be read, and ids are compared instead of hashes.  Ids that are known
 * from elsewhere (of memtables, say) take part with their hashes, and make
 * candidates of those that are like theirs.  So the answer is exact.
 */

#ifndef SPOOR_STORAGE_TRACE_UNION_H
#define SPOOR_STORAGE_TRACE_UNION_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "span/span.h"
#include "storage/part.h"

/* Each is open as long as a query runs. */
#define TRACE_UNION_PARTS_MAX 1024u

/* What the part can say of the traces of one tenant. */
enum trace_union_part {
    TRACE_UNION_NONE = 0, /* it has none */
    TRACE_UNION_ALL,      /* all are the tenant's */
    TRACE_UNION_MIXED,    /* the index does not tell */
};
enum trace_union_part trace_union_part(const struct part *part,
    const struct tenant *tenant);

struct trace_member {
    struct part *part; /* TRACE_UNION_ALL; open by the caller */
    uint32_t item;     /* of the caller */
};

struct trace_union {
    struct trace_member *members;
    uint32_t n;
    struct tenant tenant;
    /* private */
    uint64_t seed;
    uint32_t group_bits;
    uint32_t key_bits;
    uint32_t *others;       /* keys, by group */
    uint32_t *others_first; /* by group, one more at the end; NULL: none */
};

/*
 * Keeps those of n parts that can be walked together: of one seed, and none so
 * small that its index tells its hashes too roughly.  The others are moved
 * behind u->n.  The array lives as long as the union.
 */
void trace_union_init(struct trace_union *u, struct trace_member *members,
    uint32_t n, const struct tenant *tenant);

/* n ids that are known; in the pool.  Before the first walk; once. */
int trace_union_add_ids(struct trace_union *u, const struct trace_id *ids,
    uint32_t n, struct pool *pool, struct err *err) WARN_UNUSED;

struct trace_candidate {
    uint32_t member;
    uint16_t block;
    uint16_t ordinal;
};

/* Pieces of work, which may be walked by several threads. */
#define TRACE_UNION_PIECES_MAX 64u
uint32_t trace_union_pieces(const struct trace_union *u);
/*
 * *unique: traces of the piece that are no candidates; these are in the pool.
 * ERR_CORRUPT names the part, which is member `bad`.
 */
struct trace_walk {
    uint64_t unique;
    struct trace_candidate *candidates;
    uint32_t ncandidates;
    uint32_t bad;
};
int trace_union_walk(const struct trace_union *u, uint32_t piece,
    struct pool *pool, struct trace_walk *walk, struct err *err) WARN_UNUSED;

/* Ids of n candidates of one block. */
int trace_union_ids(const struct trace_union *u,
    const struct trace_candidate *candidates, uint32_t n,
    struct trace_id *ids, struct err *err) WARN_UNUSED;

#endif
