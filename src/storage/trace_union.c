/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/trace_union.h"

#include "core/assert.h"
#include "storage/part_read.h"

/*
 * A group's hashes are marked in two bitmaps of so many bits (2 x 8 KiB),
 * which stay in the processor's nearest cache.
 */
#define KEY_BITS_MAX 16u
/* So many bits more than the traces need: 1 of 16 is like another by chance. */
#define SPARE_BITS 4u

static const struct part_trace_index *
index_of(const struct trace_union *u, uint32_t member)
{
    return &u->members[member].part->traces;
}

enum trace_union_part
trace_union_part(const struct part *part, const struct tenant *tenant)
{
    if (part_find_tenant(part, tenant) == part->ntenants)
        return TRACE_UNION_NONE;
    return part->ntenants == 1 ? TRACE_UNION_ALL : TRACE_UNION_MIXED;
}

/* --- which parts --- */

static uint32_t
bits_of(uint64_t n)
{
    return n <= 1 ? 0 : 64 - (uint32_t)__builtin_clzll(n - 1);
}

/* Of one seed, and with enough bits for all their traces. */
static bool
is_walkable(const struct part *part, uint64_t seed, uint64_t ntraces)
{
    const struct part_traces *head = &part->traces.head;

    return head->seed == seed && head->log2_buckets + PART_TRACES_TAG_BITS >=
        bits_of(ntraces) + SPARE_BITS;
}

void
trace_union_init(struct trace_union *u, struct trace_member *members,
    uint32_t n, const struct tenant *tenant)
{
    uint64_t ntraces = 0;
    uint32_t kept = 0, bits = UINT32_MAX;

    *u = (struct trace_union){.members = members, .tenant = *tenant};
    if (n == 0)
        return;
    u->seed = members[0].part->traces.head.seed;
    for (uint32_t i = 0; i < n; i++) {
        if (members[i].part->traces.head.seed == u->seed)
            ntraces += members[i].part->traces.head.n;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct trace_member member = members[i];

        if (!is_walkable(member.part, u->seed, ntraces))
            continue;
        members[i] = members[kept];
        members[kept++] = member;
        bits = MIN(bits, member.part->traces.head.log2_buckets);
    }
    u->n = kept;
    if (kept == 0)
        return;
    bits += PART_TRACES_TAG_BITS;
    u->key_bits = MIN(bits, KEY_BITS_MAX);
    u->group_bits = bits - u->key_bits;
}

/* --- ids from elsewhere --- */

static uint32_t
hash_group(const struct trace_union *u, uint64_t hash)
{
    /* In two steps: there may be 0 bits. */
    return (uint32_t)(hash >> 32 >> (32 - u->group_bits));
}

static uint32_t
hash_key(const struct trace_union *u, uint64_t hash)
{
    return (uint32_t)(hash >> (64 - u->group_bits - u->key_bits)) &
        ((1u << u->key_bits) - 1);
}

int
trace_union_add_ids(struct trace_union *u, const struct trace_id *ids,
    uint32_t n, struct pool *pool, struct err *err)
{
    uint32_t ngroups = 1u << u->group_bits;
    uint64_t *hashes = pool_alloc(pool, (size_t)n * sizeof(*hashes) + 1);
    uint32_t *first = pool_zalloc(pool, ((size_t)ngroups + 2) *
        sizeof(*first));

    check(u->others == NULL);
    u->others = pool_alloc(pool, (size_t)n * sizeof(*u->others) + 1);
    if (hashes == NULL || first == NULL || u->others == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    /* Counted two places ahead, so that the filling moves them into place. */
    for (uint32_t i = 0; i < n; i++) {
        hashes[i] = part_trace_hash(u->seed, &u->tenant, &ids[i]);
        first[hash_group(u, hashes[i]) + 2]++;
    }
    for (uint32_t i = 2; i <= ngroups; i++)
        first[i] += first[i - 1];
    for (uint32_t i = 0; i < n; i++)
        u->others[first[hash_group(u, hashes[i]) + 1]++] =
            hash_key(u, hashes[i]);
    u->others_first = first;
    return 0;
}

/* --- walking --- */

uint32_t
trace_union_pieces(const struct trace_union *u)
{
    if (u->n == 0)
        return 0;
    return MIN(1u << u->group_bits, TRACE_UNION_PIECES_MAX);
}

/*
 * Entries of a group that are like another are compared once more, with as
 * many bits as both parts' indexes hold.  More are taken as they are: then
 * most of them are of traces that are in two parts.
 */
#define LIKES_MAX 255u
#define LIKE_HEADS 256u

struct likeness {
    uint32_t key;
    uint32_t member;
    uint32_t entry;
    uint8_t bits;  /* of the hash that are known */
    uint8_t next;  /* with the same end of the key, + 1 */
    uint64_t hash; /* its highest bits */
};

struct walker {
    const struct trace_union *u;
    uint64_t *seen;  /* bit by key */
    uint64_t *twice;
    bool has_twice;
    uint32_t *keys;  /* of the group's entries, part by part */
    uint32_t *hits;  /* of one part's: those that are there twice */
    uint32_t cap;
    struct likeness likes[LIKES_MAX];
    uint8_t heads[LIKE_HEADS]; /* by the end of the key: number + 1 */
    struct pool *pool;
    struct trace_walk *walk;
    uint32_t candidates_cap;
};

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_LIMIT, "query needs too much memory");
}

/* Entries [*from, *end) of the part are the group's. */
static void
entries_of(const struct trace_union *u, uint32_t member, uint32_t group,
    uint32_t *from, uint32_t *end)
{
    const struct part_trace_index *index = index_of(u, member);
    uint32_t below = index->head.log2_buckets - u->group_bits;

    *from = index->bucket_off[group << below];
    *end = index->bucket_off[(group + 1) << below];
}

/*
 * Marks what was marked before as being there twice.  Without a branch: one of
 * 20 or so is, which no processor foresees.
 */
static inline uint64_t
mark_key(uint64_t *seen, uint64_t *twice, uint32_t key)
{
    uint64_t bit = UINT64_C(1) << key % 64, word = seen[key / 64];

    twice[key / 64] |= word & bit;
    seen[key / 64] = word | bit;
    return word & bit;
}

/*
 * The entries of a part: their keys are the hash's bits below the group's.
 * How many they are.
 */
static uint32_t
mark_part(struct walker *w, uint32_t member, uint32_t group, uint32_t *keys)
{
    const struct trace_union *u = w->u;
    const struct part_trace_index *index = index_of(u, member);
    uint32_t below = index->head.log2_buckets - u->group_bits;
    uint32_t drop = below + PART_TRACES_TAG_BITS - u->key_bits;
    const uint32_t *off = &index->bucket_off[group << below];
    const uint16_t *tag = index->tag;
    uint64_t *seen = w->seen, *twice = w->twice, any = 0;
    uint32_t n = 0;

    for (uint32_t bucket = 0; bucket < 1u << below; bucket++) {
        uint64_t high = (uint64_t)bucket << PART_TRACES_TAG_BITS;

        for (uint32_t i = off[bucket]; i < off[bucket + 1]; i++) {
            uint32_t key = (uint32_t)((high | tag[i]) >> drop);

            keys[n++] = key;
            any |= mark_key(seen, twice, key);
        }
    }
    w->has_twice |= any != 0;
    return n;
}

static void
mark_others(struct walker *w, uint32_t group)
{
    const struct trace_union *u = w->u;

    if (u->others_first == NULL)
        return;
    for (uint32_t i = u->others_first[group]; i < u->others_first[group + 1];
        i++) {
        uint64_t bit = UINT64_C(1) << u->others[i] % 64;

        w->seen[u->others[i] / 64] |= bit;
        w->twice[u->others[i] / 64] |= bit;
        w->has_twice = true;
    }
}

/* One by one when they are few. */
static void
clear_marks(struct walker *w, uint32_t group, uint32_t n)
{
    const struct trace_union *u = w->u;
    size_t words = MAX(1u, (1u << u->key_bits) / 64);
    bool has_others = u->others_first != NULL &&
        u->others_first[group] < u->others_first[group + 1];

    if (n > words / 4 || has_others) {
        memset(w->seen, 0, words * sizeof(*w->seen));
        memset(w->twice, 0, words * sizeof(*w->twice));
    } else {
        for (uint32_t i = 0; i < n; i++)
            w->seen[w->keys[i] / 64] = w->twice[w->keys[i] / 64] = 0;
    }
    w->has_twice = false;
}

/* --- candidates --- */

static int
add_candidate(struct walker *w, uint32_t member, uint32_t entry,
    struct err *err)
{
    const struct part *owner = w->u->members[member].part;
    const struct part_trace_index *index = &owner->traces;
    uint32_t block = index->block == NULL ? 0 : index->block[entry];
    struct trace_walk *walk = w->walk;

    if (block >= owner->footer.nblocks ||
        index->ordinal[entry] >= owner->blocks[block].traces) {
        walk->bad = member;
        return part_corrupt(owner, err, "the index names trace %u of block "
            "%u", index->ordinal[entry], block);
    }
    if (walk->ncandidates == w->candidates_cap) {
        uint32_t cap = MAX(2 * w->candidates_cap, 256u);
        struct trace_candidate *more = pool_alloc(w->pool,
            cap * sizeof(*more));

        if (more == NULL)
            return no_memory(err);
        if (walk->ncandidates > 0)
            memcpy(more, walk->candidates,
                walk->ncandidates * sizeof(*more));
        walk->candidates = more;
        w->candidates_cap = cap;
    }
    walk->candidates[walk->ncandidates++] = (struct trace_candidate){member,
        (uint16_t)block, index->ordinal[entry]};
    return 0;
}

static bool
is_like(const struct likeness *a, const struct likeness *b)
{
    uint32_t bits = MIN(a->bits, b->bits);

    return a->key == b->key && (a->hash ^ b->hash) >> (64 - bits) == 0;
}

static bool
is_other(const struct trace_union *u, uint32_t group, uint32_t key)
{
    if (u->others_first == NULL)
        return false;
    for (uint32_t i = u->others_first[group]; i < u->others_first[group + 1];
        i++) {
        if (u->others[i] == key)
            return true;
    }
    return false;
}

/* Those that are still like another are candidates. */
static int
add_likes(struct walker *w, uint32_t group, uint32_t n, struct err *err)
{
    memset(w->heads, 0, sizeof(w->heads));
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *head = &w->heads[w->likes[i].key % LIKE_HEADS];

        w->likes[i].next = *head;
        *head = (uint8_t)(i + 1);
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct likeness *like = &w->likes[i];
        bool is_candidate = is_other(w->u, group, like->key);

        for (uint32_t k = w->heads[like->key % LIKE_HEADS];
            k != 0 && !is_candidate; k = w->likes[k - 1].next)
            is_candidate = k - 1 != i && is_like(like, &w->likes[k - 1]);
        if (is_candidate &&
            add_candidate(w, like->member, like->entry, err) != 0)
            return -1;
    }
    return 0;
}

/* Entry of a part as far as its index holds it. */
static void
set_likeness(const struct trace_union *u, uint32_t member, uint32_t group,
    uint32_t entry, struct likeness *like)
{
    const struct part_trace_index *index = index_of(u, member);
    uint32_t log2 = index->head.log2_buckets;
    uint32_t below = log2 - u->group_bits;
    uint32_t bucket = group << below;

    while (index->bucket_off[bucket + 1] <= entry)
        bucket++;
    like->member = member;
    like->entry = entry;
    like->bits = (uint8_t)(log2 + PART_TRACES_TAG_BITS);
    like->hash = ((uint64_t)bucket << PART_TRACES_TAG_BITS |
        index->tag[entry]) << (64 - like->bits);
}

/* Which of these keys are there twice: their numbers go to w->hits. */
static uint32_t
find_twice(struct walker *w, uint32_t from, uint32_t total)
{
    const uint64_t *twice = w->twice;
    uint32_t n = 0;

    for (uint32_t i = 0; i < total; i++) {
        uint32_t key = w->keys[from + i];

        w->hits[n] = i;
        n += twice[key / 64] >> key % 64 & 1;
    }
    return n;
}

/* Entries that are there twice. */
static int
collect_twice(struct walker *w, uint32_t group, struct err *err)
{
    const struct trace_union *u = w->u;
    uint32_t at = 0, n = 0;

    for (uint32_t member = 0; w->has_twice && member < u->n; member++) {
        uint32_t from, end, nhits;

        entries_of(u, member, group, &from, &end);
        nhits = find_twice(w, at, end - from);
        for (uint32_t i = 0; i < nhits; i++) {
            uint32_t entry = from + w->hits[i];
            uint32_t key = w->keys[at + w->hits[i]];

            if (n < LIKES_MAX) {
                w->likes[n].key = key;
                set_likeness(u, member, group, entry, &w->likes[n]);
            } else if (add_candidate(w, member, entry, err) != 0) {
                return -1;
            }
            n++;
        }
        at += end - from;
    }
    if (n <= LIKES_MAX)
        return add_likes(w, group, n, err);
    for (uint32_t i = 0; i < LIKES_MAX; i++) {
        if (add_candidate(w, w->likes[i].member, w->likes[i].entry,
                err) != 0)
            return -1;
    }
    return 0;
}

static int
walk_group(struct walker *w, uint32_t group, struct err *err)
{
    const struct trace_union *u = w->u;
    uint32_t total = 0, n = 0, before = w->walk->ncandidates;
    int rc;

    for (uint32_t member = 0; member < u->n; member++) {
        uint32_t from, end;

        entries_of(u, member, group, &from, &end);
        total += end - from;
    }
    if (total > w->cap) {
        w->cap = MAX(2 * w->cap, total);
        w->keys = pool_alloc(w->pool, (size_t)w->cap * sizeof(*w->keys));
        w->hits = pool_alloc(w->pool, (size_t)w->cap * sizeof(*w->hits));
        if (w->keys == NULL || w->hits == NULL) {
            w->cap = 0;
            return no_memory(err);
        }
    }
    mark_others(w, group);
    for (uint32_t member = 0; member < u->n; member++) {
        n += mark_part(w, member, group, w->keys + n);
    }
    rc = collect_twice(w, group, err);
    w->walk->unique += n - (w->walk->ncandidates - before);
    clear_marks(w, group, n);
    return rc;
}

/* Is any tag of [from, end) that of its neighbour?  Both have one. */
static bool
has_neighbours(const uint16_t *tag, uint32_t from, uint32_t end)
{
    uint16_t any = 0;

    for (uint32_t i = from; i < end; i++)
        any |= (uint16_t)(tag[i - 1] == tag[i]) |
            (uint16_t)(tag[i] == tag[i + 1]);
    return any != 0;
}

/*
 * One part alone: its tags rise in each bucket, so what is there twice stands
 * side by side.  The last tag of a bucket and the first of the next may be
 * equal, too; then two ids too many are read.
 */
static int
walk_alone(struct walker *w, uint32_t from, uint32_t end, struct err *err)
{
    const struct part_trace_index *index = index_of(w->u, 0);
    const uint16_t *tag = index->tag;
    uint32_t n = index->head.n;

    for (uint32_t at = from, next; at < end; at = next) {
        next = MIN(at + 64, end);
        if (at > 0 && next < n && LIKELY(!has_neighbours(tag, at, next)))
            continue;
        for (uint32_t i = at; i < next; i++) {
            bool is_twice = (i > 0 && tag[i] == tag[i - 1]) ||
                (i + 1 < n && tag[i] == tag[i + 1]);

            if (is_twice && add_candidate(w, 0, i, err) != 0)
                return -1;
        }
    }
    w->walk->unique += end - from - w->walk->ncandidates;
    return 0;
}

int
trace_union_walk(const struct trace_union *u, uint32_t piece,
    struct pool *pool, struct trace_walk *walk, struct err *err)
{
    size_t bytes = MAX(8u, (1u << u->key_bits) / 8);
    struct walker w = {.u = u, .pool = pool, .walk = walk};
    uint32_t ngroups = 1u << u->group_bits, npieces = trace_union_pieces(u);
    uint32_t first = (uint32_t)((uint64_t)ngroups * piece / npieces);
    uint32_t end = (uint32_t)((uint64_t)ngroups * (piece + 1) / npieces);

    *walk = (struct trace_walk){.bad = UINT32_MAX};
    if (u->n == 1 && u->others_first == NULL) {
        uint32_t from, last, ignored;

        entries_of(u, 0, first, &from, &ignored);
        entries_of(u, 0, end - 1, &ignored, &last);
        return walk_alone(&w, from, last, err);
    }
    w.seen = pool_zalloc(pool, bytes);
    w.twice = pool_zalloc(pool, bytes);
    if (w.seen == NULL || w.twice == NULL)
        return no_memory(err);
    for (uint32_t group = first; group < end; group++) {
        if (walk_group(&w, group, err) != 0)
            return -1;
    }
    return 0;
}

/* --- ids --- */

/* First or last half of the ids. */
static int
read_halves(struct reading *r, bool is_last,
    const struct trace_candidate *candidates, uint32_t n,
    struct trace_id *ids)
{
    const struct part_vector *vector = NULL;

    if (vector_need(r, is_last ? PART_TRACE_LO : PART_TRACE_HI,
            PART_ROLE_VALUES, r->block->traces, &vector) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *bytes;

        if (vector_get_fixed(r, vector, candidates[i].ordinal, 8,
                &bytes) != 0)
            return -1;
        memcpy(ids[i].b + (is_last ? 8 : 0), bytes, 8);
    }
    return 0;
}

int
trace_union_ids(const struct trace_union *u,
    const struct trace_candidate *candidates, uint32_t n,
    struct trace_id *ids, struct err *err)
{
    struct reading r;
    int rc = reading_open(&r, u->members[candidates[0].member].part,
        candidates[0].block, err);

    if (rc == 0)
        rc = read_halves(&r, false, candidates, n, ids);
    if (rc == 0)
        rc = read_halves(&r, true, candidates, n, ids);
    reading_release(&r);
    return rc;
}
