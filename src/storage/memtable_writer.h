/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the writing thread keeps besides the shared region: positions, hash
 * tables over what the region holds, and predictions.  Private to
 * memtable_write.c and memtable_intern.c.
 *
 * Prediction: spans of one stream mostly carry the same attribute keys in
 * the same order with the same values as before.  A trie per stream (and one
 * each for events, links, resources and scopes) has a node per list position;
 * a node knows the key expected next and the string last seen there.  Both
 * are compared as bytes, and only a miss is hashed.  A trie that is full
 * only costs speed: lists then go through the hash tables alone.
 *
 * When the region or a table is full, is_full is set and stays set until the
 * next attach; what was being written is then not reachable from any row.
 */

#ifndef SPOOR_STORAGE_MEMTABLE_WRITER_H
#define SPOOR_STORAGE_MEMTABLE_WRITER_H

#include "core/base.h"
#include "storage/memtable_format.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/*
 * Open addressing, linear probing.  A slot is 0 when empty, else some bits of
 * the hash << SLOT_CODE_BITS | code + 1.  Slots are small, since looking at a
 * cold one is what interning a new string costs; clearing them all for the
 * next memtable is about 1 ns a row.
 */
#define SLOT_CODE_BITS 18
#define SLOT_CODE_MASK ((1u << SLOT_CODE_BITS) - 1)
_Static_assert(MEMTABLE_STRINGS_MAX < SLOT_CODE_MASK,
    "a string code fits a slot");

struct intern_table {
    uint32_t *slots;
    uint32_t mask;
};

/* Slots: more than the entries a memtable can hold, a power of two. */
#define STRING_SLOTS (1u << 18)
#define KEY_SLOTS (1u << 16)
#define SHAPE_SLOTS (1u << 15)
#define STREAM_SLOTS (1u << 16)
#define RESOURCE_SLOTS (1u << 15)
#define SCOPE_SLOTS (1u << 13)
_Static_assert(STRING_SLOTS > MEMTABLE_STRINGS_MAX &&
    KEY_SLOTS > MEMTABLE_KEYS_MAX && SHAPE_SLOTS > MEMTABLE_SHAPES_MAX &&
    STREAM_SLOTS > MEMTABLE_STREAMS_MAX &&
    RESOURCE_SLOTS > MEMTABLE_RESOURCES_MAX &&
    SCOPE_SLOTS > MEMTABLE_SCOPES_MAX, "probing ends at an empty slot");

/* A few thousand streams with a dozen attributes each. */
#define TRIE_NODES_MAX 32768u
/* Children that are compared with an attribute before it is hashed. */
#define TRIE_GUESSES 4
/* Children of one node; a list that would add more leaves the trie. */
#define TRIE_CHILDREN_MAX 64

/* Node 0 is "none". */
struct trie_node {
    uint32_t elem;
    uint32_t child;   /* most recently used first */
    uint32_t sibling;
    uint32_t shape;   /* of the list that ends here, 0: not known yet */
    uint32_t key_off; /* in the region */
    uint32_t last_off; /* string last seen here */
    uint32_t last_code;
    uint16_t key_len;
    uint16_t last_len;
};

enum { ROOT_RESOURCE = 1, ROOT_SCOPE, ROOT_EVENT, ROOT_LINK, ROOTS_END };

/* Direct-mapped memory of streams found. */
#define STREAM_MEMOS 1024u

struct stream_memo {
    uint32_t resource;
    uint32_t scope;
    uint32_t tenant;
    int32_t kind;
    uint32_t name_off;
    uint32_t name_len;
    uint32_t stream; /* + 1, 0: nothing here */
};

/* Direct-mapped: index in the batch -> ordinal in the memtable. */
#define BATCH_MEMOS 256u

struct batch_memo {
    uint64_t call; /* of memtable_append() that made it */
    uint32_t index;
    uint32_t ordinal;
};

/*
 * A string that is not the one last seen: its slot is on the way to the
 * cache while the rest of the list is written.
 */
#define PENDING_MAX 16u

struct pending {
    uint32_t *code; /* where to put it */
    uint32_t node;
    struct sv text;
    uint64_t hash;
};

struct memtable_writer {
    uint32_t magic;
    bool is_full;
    struct memtable *mt;

    uint64_t next_lsn;
    uint32_t rows;
    uint32_t nstrings;
    uint32_t nkeys;
    uint32_t nshapes;
    uint32_t nstreams;
    uint32_t nscopes;
    uint32_t nresources;
    uint32_t ntenants;
    uint32_t ndays;
    uint32_t word_top; /* first free word of the heap */
    uint32_t byte_top; /* lowest used byte of the heap's upper end */

    int64_t zone_min_end; /* of the zone being filled */
    int64_t zone_max_end;
    int64_t day_from_ns;  /* the day last seen: [from, to) */
    int64_t day_to_ns;

    uint64_t seed;
    uint8_t secret[XXH_SECRET_DEFAULT_SIZE];
    struct intern_table strings;
    struct intern_table keys;
    struct intern_table shapes;
    struct intern_table streams;
    struct intern_table resources;
    struct intern_table scopes;

    uint32_t nnodes;
    struct trie_node *nodes;
    uint32_t *stream_roots; /* by stream */
    struct stream_memo *stream_memos;

    uint64_t call;
    uint32_t tenant; /* ordinal, of this call */
    struct batch_memo resource_memos[BATCH_MEMOS];
    struct batch_memo scope_memos[BATCH_MEMOS];

    /* Of the list being written. */
    uint32_t *elems;
    uint32_t npending;
    struct pending pending[PENDING_MAX];
};

/* --- memtable_intern.c: each returns a code; 0 when it set is_full --- */

/* Strings over MEMTABLE_INTERN_MAX are just copied: they hardly repeat. */
uint32_t intern_string(struct memtable_writer *w, struct sv text);
/* One code for equal strings of any length: for what identity rests on. */
uint32_t intern_exact(struct memtable_writer *w, struct sv text);
uint32_t intern_key(struct memtable_writer *w, enum key_scope scope,
    struct sv text);
/* In two steps: starts to fetch what the second needs; texts of any length. */
uint64_t intern_prefetch(const struct memtable_writer *w, struct sv text);
uint32_t intern_hashed(struct memtable_writer *w, struct sv text,
    uint64_t hash);
/* The shape of w->elems[0 .. n). */
uint32_t intern_shape(struct memtable_writer *w, uint32_t n);
/* The resource or scope whose values end at word_top. */
uint32_t intern_resource(struct memtable_writer *w,
    const struct memtable_resource *resource);
uint32_t intern_scope(struct memtable_writer *w,
    const struct memtable_scope *scope);
/* first_row of the argument is used when the stream is new. */
uint32_t intern_stream(struct memtable_writer *w,
    const struct memtable_stream *stream);

/* Makes the strings and keys that the memtable has already known. */
void intern_adopt(struct memtable_writer *w);

/* --- inline: what every attribute goes through --- */

/* n bytes are equal; short ones without a call. */
static inline bool
bytes_equal(const void *a, const void *b, size_t n)
{
    const char *x = a, *y = b;
    uint64_t u, v, s, t;

    if (n > 64)
        return memcmp(x, y, n) == 0;
    if (n >= 8) {
        for (size_t i = 0; i < n - 8; i += 8) {
            memcpy(&u, x + i, 8);
            memcpy(&v, y + i, 8);
            if (u != v)
                return false;
        }
        memcpy(&u, x + n - 8, 8);
        memcpy(&v, y + n - 8, 8);
        return u == v;
    }
    if (n >= 4) {
        uint32_t c, d, e, f;

        memcpy(&c, x, 4);
        memcpy(&d, y, 4);
        memcpy(&e, x + n - 4, 4);
        memcpy(&f, y + n - 4, 4);
        return ((c ^ d) | (e ^ f)) == 0;
    }
    s = t = 0;
    for (size_t i = 0; i < n; i++) {
        s = s << 8 | (uint8_t)x[i];
        t = t << 8 | (uint8_t)y[i];
    }
    return s == t;
}

/* Room for so many words at word_top, else the memtable is full. */
static inline bool
has_words(struct memtable_writer *w, uint64_t words)
{
    if (LIKELY(((uint64_t)w->word_top + words) * 4 <= w->byte_top))
        return true;
    w->is_full = true;
    return false;
}

#endif
