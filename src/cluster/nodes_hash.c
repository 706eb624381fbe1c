/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rendezvous hashing.  Every front computes a score of each node for a trace,
 * and the highest one wins, so all agree without a word, and a node that
 * comes or goes moves only its own share.
 *
 *     seed  = XXH3_64bits(name)
 *     key   = XXH3_64bits(trace id)
 *     score = XXH3_64bits(key, 8 bytes, little-endian; seed)
 *
 * This is part of what versions agree on: a change would not lose traces
 * (queries ask all nodes) but scatter those that are under way.
 */

#include "core/base.h"
#include "cluster/nodes.h"

#include <endian.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t
node_seed(struct sv name)
{
    return XXH3_64bits(name.ptr, name.len);
}

uint64_t
trace_key(const struct trace_id *id)
{
    return XXH3_64bits(id->b, sizeof(id->b));
}

uint64_t
node_score(const struct node *node, uint64_t key)
{
    uint64_t bytes = htole64(key);

    return XXH3_64bits_withSeed(&bytes, sizeof(bytes), node->seed);
}

unsigned
nodes_choose(const struct nodes *nodes, uint64_t key, const uint64_t *among)
{
    unsigned best = nodes->n;
    uint64_t best_score = 0;

    for (unsigned i = 0; i < nodes->n; i++) {
        uint64_t score;

        if ((among[i / 64] >> (i % 64) & 1) == 0)
            continue;
        score = node_score(&nodes->v[i], key);
        /* Lists may be in any order: the seed decides between equals. */
        if (best == nodes->n || score > best_score ||
            (score == best_score && nodes->v[i].seed > nodes->v[best].seed)) {
            best = i;
            best_score = score;
        }
    }
    return best;
}
