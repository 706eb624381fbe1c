/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the files of the part encoder share; private to part_write*.c.
 *
 * part_encode() runs these steps, each in its own file:
 *
 *   part_write_order.c   which streams, traces and runs there are; row order
 *   part_write_rows.c    core columns of the spans
 *   part_write_parents.c parents as row numbers
 *   part_write_subs.c    events and links: order and core columns
 *   part_write_keys.c    attribute columns of all three tables
 *   part_write_dict.c    dictionaries
 *   part_write_filter.c  the filter of texts
 *   part_write_block.c   vectors, heap pages and directory: the bytes
 *   part_write_index.c   index sections
 */

#ifndef SPOOR_STORAGE_PART_WRITE_H
#define SPOOR_STORAGE_PART_WRITE_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"
#include "storage/col.h"
#include "storage/memtable.h"
#include "storage/memtable_format.h"
#include "storage/part.h"
#include "storage/part_format.h"

/* Ordinal that a table of the memtable has not got in the part (yet). */
#define NO_ORDINAL UINT32_MAX

/* Named pieces of memory that stay allocated from part to part. */
enum scratch_id {
    SCRATCH_STREAM_MAP,   /* by memtable code: u32 ordinal in the part */
    SCRATCH_RESOURCE_MAP,
    SCRATCH_SCOPE_MAP,
    SCRATCH_TENANT_MAP,
    SCRATCH_STRING_MAP,
    SCRATCH_SHAPE_MAP,    /* by scope, then code */
    SCRATCH_KEY_MAP,      /* part_write_keys.c */
    SCRATCH_DICT_MAP,     /* by string code: stamp << 32 | dictionary code */
    SCRATCH_HEAP_MAP,     /* by string code: heap offset */
    SCRATCH_STREAMS,      /* by part ordinal: memtable codes */
    SCRATCH_RESOURCES,
    SCRATCH_SCOPES,
    SCRATCH_TENANTS,
    SCRATCH_STRINGS,
    SCRATCH_SHAPES,
    SCRATCH_SHAPE_KEYS,
    SCRATCH_KEYS,
    SCRATCH_TRACE_SLOTS,
    SCRATCH_TRACES,
    SCRATCH_ROW_TRACE,
    SCRATCH_SORT_A,
    SCRATCH_SORT_B,
    SCRATCH_ROWS,
    SCRATCH_ROW_ORDINAL,
    SCRATCH_TRACE_ORDER,
    SCRATCH_TRACE_FIRST,
    SCRATCH_TRACE_ROWS,
    SCRATCH_ID_SLOTS,
    SCRATCH_WIDE,
    SCRATCH_TABLE_VALUES, /* three each, in the order of enum write_table */
    SCRATCH_EVENT_VALUES,
    SCRATCH_LINK_VALUES,
    SCRATCH_TABLE_RUNS,
    SCRATCH_EVENT_RUNS,
    SCRATCH_LINK_RUNS,
    SCRATCH_EVENTS,
    SCRATCH_LINKS,
    SCRATCH_SINGLE,       /* values of one word by key */
    SCRATCH_DOUBLE,       /* values of two words by key */
    SCRATCH_DICTS,
    SCRATCH_DICT_CODES,
    SCRATCH_FIXED,
    SCRATCH_VECTORS,
    SCRATCH_CHUNKS,
    SCRATCH_FILTER_HASHES,
    SCRATCH_FILTER_KEYS,
    SCRATCH_FILTER_BITS,
    SCRATCH_COUNT,
};

struct scratch {
    void *ptr;
    size_t cap;
};

/* --- tables of rows --- */

enum write_table {
    TABLE_SPANS = 0,
    TABLE_EVENTS,
    TABLE_LINKS,
    TABLES,
};

struct write_run {
    uint32_t shape;  /* ordinal */
    uint32_t stream; /* ordinal; spans only */
    uint32_t rows;
};

struct write_rows {
    uint32_t n;
    uint32_t nruns;
    uint32_t *values; /* by row: word index in the memtable's heap */
    struct write_run *runs;
};

/* --- what the index describes --- */

struct write_trace {
    uint64_t hash;
    uint64_t hi, lo;
    int64_t start_ns; /* smallest */
    uint32_t tenant;  /* ordinal */
    uint32_t rows;
    uint32_t ordinal;
};

struct write_shape {
    uint32_t first; /* in shape_keys */
    uint32_t n;
    uint32_t words; /* that the values take in the memtable */
    uint8_t scope;
};

struct write_key {
    uint32_t name; /* string code, or enum field_key */
    uint32_t occurrence;
    uint32_t next;      /* key of the next occurrence + 1 */
    uint32_t cursor;    /* first occurrence: last key used by shape_stamp */
    uint32_t shape_stamp;
    uint32_t nvalues;
    uint32_t filled;
    size_t first;       /* in the single or double values */
    uint8_t scope;
    uint8_t type;
    bool is_field;
};

struct write_dict {
    uint32_t column;
    uint32_t first; /* in dict_codes */
    uint32_t n;
    uint64_t bytes;
};

/* --- the block being made --- */

struct write_vector {
    uint32_t id;
    uint32_t count;
    uint8_t encoding;
    uint8_t width;
    uint32_t nchunks;
    uint32_t first_chunk;
    uint64_t value; /* CONST; INLINE: offset in inlined << 8 | length */
    uint64_t off;
};

struct write_chunk {
    uint32_t len;
    uint64_t xxh3;
};

struct part_writer {
    uint32_t magic;
    struct scratch scratch[SCRATCH_COUNT];
    void *zstd; /* ZSTD_CCtx */
    uint64_t seed;       /* of hashes; secret */
    uint32_t *heap_map;
    uint32_t dict_stamp; /* last used in SCRATCH_DICT_MAP */
    struct sb out;       /* the file */
    struct sb heap;      /* dictionary strings of the block */
    struct sb inlined;   /* chunks that go into the directory */
    struct sb section;   /* one index section */
    struct sb packed;    /* the same compressed */
    uint64_t values[COL_CHUNK];
    uint8_t chunk[COL_CHUNK_BYTES_MAX + 8];

    /* of the part being written */
    const struct memtable *mt;
    struct err *err;
    uint64_t part_id;
    uint64_t trace_seed;
    uint32_t nstrings_mt;
    const uint32_t *input; /* row numbers as given */
    uint32_t nrows;
    uint32_t *rows;        /* memtable rows in the order of the part */
    uint32_t *row_ordinal; /* trace ordinal by position in rows */
    struct write_trace *traces; /* by order of appearance */
    uint32_t *trace_order;      /* ordinal -> index in traces */
    uint32_t ntraces;
    struct write_rows tables[TABLES];

    uint32_t *stream_map, *resource_map, *scope_map, *tenant_map;
    uint32_t *string_map;
    uint32_t *shape_map;
    uint32_t *streams, *resources, *scopes, *tenants, *strings;
    uint32_t nstreams, nresources, nscopes, ntenants, nstrings;
    struct write_shape *shapes;
    uint32_t nshapes;
    uint32_t *shape_keys;
    uint32_t nshape_keys;
    struct write_key *keys;
    uint32_t nkeys;
    uint32_t *key_map;
    uint32_t *single;
    uint64_t *twice;
    struct write_dict *dicts;
    uint32_t ndicts;
    uint32_t *dict_codes;
    uint32_t ndict_codes;
    uint64_t *filter_hashes;
    uint32_t nfilter_hashes;
    uint32_t filter_texts; /* distinct hashes, about */
    uint32_t *filter_keys; /* entries of KEYS */
    uint32_t nfilter_keys;
    struct write_vector *vectors;
    uint32_t nvectors;
    struct write_chunk *chunks;
    uint32_t nchunks;
    struct part_block block;
    struct part_footer footer;
};

/* --- memory (part_write.c): NULL and err set when there is none --- */

void *writer_alloc(struct part_writer *w, enum scratch_id id, size_t bytes)
    WARN_UNUSED;
/* At least bytes, the content so far kept; doubles. */
void *writer_grow(struct part_writer *w, enum scratch_id id, size_t bytes)
    WARN_UNUSED;
int writer_damaged(struct part_writer *w, const char *what, uint64_t where)
    WARN_UNUSED;
/* -1 and err set when an append failed. */
int writer_sb_ok(struct part_writer *w, const struct sb *sb) WARN_UNUSED;

/* --- sorting (part_write_sort.c) --- */

struct sort_item {
    uint64_t key;
    uint32_t index;
};

/*
 * Stable, by the lowest `bits` bits of key.  other has room for n items; the
 * result is in the array that is returned.
 */
struct sort_item *sort_items(struct sort_item *items, struct sort_item *other,
    uint32_t n, uint32_t bits) WARN_UNUSED;

/* --- steps --- */

int write_order(struct part_writer *w) WARN_UNUSED;
int write_rows(struct part_writer *w) WARN_UNUSED;
int write_parents(struct part_writer *w) WARN_UNUSED;
int write_subs(struct part_writer *w) WARN_UNUSED;
int write_all_runs(struct part_writer *w) WARN_UNUSED;
int write_keys(struct part_writer *w) WARN_UNUSED;
int write_dicts(struct part_writer *w) WARN_UNUSED;
int write_filter(struct part_writer *w) WARN_UNUSED;
int write_directory(struct part_writer *w) WARN_UNUSED;
int write_index(struct part_writer *w, const struct part_lineage *lineage)
    WARN_UNUSED;

/* --- shapes and keys (part_write_keys.c) --- */

/* Part ordinal of a memtable shape as used by lists of a scope. */
int writer_shape(struct part_writer *w, enum key_scope scope, uint32_t code,
    uint32_t *ordinal) WARN_UNUSED;

/* --- dictionaries (part_write_dict.c) --- */

/*
 * Replaces n string codes of the memtable by codes of a new dictionary of
 * the column, in place, and writes them as its VALUES.
 */
int writer_strings(struct part_writer *w, uint32_t column, uint32_t *codes,
    uint32_t n) WARN_UNUSED;

/* --- the filter (part_write_filter.c) --- */

/* Where the hashes of the strings of a dictionary go. */
struct write_filter {
    uint64_t key;
    uint64_t *hashes; /* NULL: they are not in the filter */
};

int writer_filter(struct part_writer *w, const struct write_dict *dict,
    struct write_filter *filter) WARN_UNUSED;

/* String i of the dictionary; once or more often. */
static inline void
filter_put(struct write_filter *filter, uint32_t i, struct sv text)
{
    if (filter->hashes != NULL)
        filter->hashes[i] = part_filter_hash(filter->key, text);
}

/* --- vectors (part_write_block.c); n == 0 writes nothing --- */

static inline uint32_t
vector_id(uint32_t column, enum part_role role)
{
    return column * PART_ROLES + role;
}

int vector_u64(struct part_writer *w, uint32_t id, const uint64_t *v,
    uint32_t n, unsigned hints) WARN_UNUSED;
int vector_u32(struct part_writer *w, uint32_t id, const uint32_t *v,
    uint32_t n, unsigned hints) WARN_UNUSED;

/* Values of one width: PART_RAW, PART_UUID or PART_HEX. */
struct fixed {
    uint8_t encoding;
    uint32_t width;
    const void *bytes;
    uint32_t n;
};
int vector_fixed(struct part_writer *w, uint32_t id,
    const struct fixed *fixed) WARN_UNUSED;
/* n raw values of 8 bytes. */
int vector_raw8(struct part_writer *w, uint32_t id, const uint64_t *v,
    uint32_t n) WARN_UNUSED;

#endif
