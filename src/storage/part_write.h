/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the files of the part encoder share; private to part_write*.c and
 * merge*.c.
 *
 * Rows come from a memtable (part_encode()) or from other parts
 * (merge_parts()).  Their part of the work is to say which tables the index
 * has and, for each block, which rows in which order with which values:
 *
 *   part_write_order.c   memtable: streams, traces and runs, row order
 *   part_write_gather.c  memtable: the values of these rows
 *   part_write_shapes.c  memtable: keys and shapes
 *   merge_*.c            the same from parts
 *
 * The rest is the same for both:
 *
 *   part_write_traces.c  traces of a block and their order
 *   part_write_rows.c    core columns of the spans
 *   part_write_parents.c parents as row numbers
 *   part_write_subs.c    events and links: core columns
 *   part_write_keys.c    attribute columns of all three tables
 *   part_write_dict.c    dictionaries
 *   part_write_template.c ... of strings that differ in numbers only
 *   part_write_filter.c  the filter of texts
 *   part_write_edges.c   calls between services
 *   part_write_cells.c   sums of durations by stream
 *   part_write_values.c  which values the attributes have (merges only)
 *   part_write_fields.c  which fields the rows have
 *   part_write_items.c   ... of their events and links
 *   part_write_block.c   vectors, heap pages and directory: the bytes
 *   part_write_index.c   index sections
 */

#ifndef SPOOR_STORAGE_PART_WRITE_H
#define SPOOR_STORAGE_PART_WRITE_H

#include "core/base.h"
#include "core/enc.h"
#include "core/err.h"
#include "core/intern.h"
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
    SCRATCH_SHAPE_MAP,    /* by scope, then code */
    SCRATCH_KEY_MAP,      /* part_write_shapes.c */
    SCRATCH_STREAM_CODES, /* by part ordinal: memtable codes */
    SCRATCH_TENANT_CODES,
    SCRATCH_STRING_MAP,   /* by text: number in STRINGS */
    SCRATCH_DICT_MAP,     /* by text: stamp << 32 | dictionary code */
    SCRATCH_HEAP_MAP,     /* by text: heap offset */
    SCRATCH_STREAMS,
    SCRATCH_RESOURCES,
    SCRATCH_SCOPES,
    SCRATCH_TENANTS,
    SCRATCH_STRINGS,
    SCRATCH_SHAPES,
    SCRATCH_SHAPE_KEYS,
    SCRATCH_KEYS,
    SCRATCH_BLOCKS,
    SCRATCH_PLACES,
    SCRATCH_TRACE_SLOTS,
    SCRATCH_TRACES,
    SCRATCH_ROW_TRACE,
    SCRATCH_SORT_A,
    SCRATCH_SORT_B,
    SCRATCH_ROWS,
    SCRATCH_ROW_ORDINAL,
    SCRATCH_ROW_IDS,
    SCRATCH_ROW_PARENTS,
    SCRATCH_ROW_STARTS,
    SCRATCH_ROW_ENDS,
    SCRATCH_ROW_RESOURCES,
    SCRATCH_ROW_STATUS,
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
    SCRATCH_FORMS,
    SCRATCH_FORM_SLOTS,
    SCRATCH_TEMPLATES,
    SCRATCH_NUMBERS,
    SCRATCH_LANES,
    SCRATCH_VECTORS,
    SCRATCH_CHUNKS,
    SCRATCH_FILTER_HASHES,
    SCRATCH_FILTER_KEYS,
    SCRATCH_FILTER_BITS,
    SCRATCH_VALUE_KEYS,   /* part_write_values.c */
    SCRATCH_VALUE_ROWS,
    SCRATCH_VALUE_AT,
    SCRATCH_VALUE_MARKS,
    SCRATCH_VALUE_RESOURCES,
    SCRATCH_VALUE_PLACES,
    SCRATCH_VALUE_SUMS,
    SCRATCH_BLOCK_VALUES,
    SCRATCH_FIELDS,       /* part_write_fields.c */
    SCRATCH_FIELD_TENANTS,
    SCRATCH_FIELD_SHAPES,
    SCRATCH_FIELD_COUNTS,
    SCRATCH_FIELD_ITEMS,
    SCRATCH_BLOCK_EDGES,  /* part_write_edges.c */
    SCRATCH_EDGE_STREAMS,
    SCRATCH_EDGE_SLOTS,
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
    uint32_t *values; /* memtable: by row, word index in its heap */
    struct write_run *runs;
};

struct write_event {
    int64_t time_ns;
    uint32_t row;
    uint32_t name; /* text */
};

struct write_link {
    uint8_t trace_id[16];
    uint64_t span_id;
    uint32_t row;
};

/* --- what the index describes; "text" is a code for writer_text() --- */

/* An attribute list: as in a memtable, a text or two words for each value. */
struct write_list {
    uint32_t shape; /* ordinal */
    const uint32_t *words;
};

struct write_resource {
    uint32_t service; /* text */
    struct write_list list;
};

struct write_stream {
    uint32_t tenant;  /* ordinal */
    uint32_t service; /* text */
    uint32_t scope;   /* ordinal */
    uint32_t name;    /* text */
    int32_t kind;
};

struct write_shape {
    uint32_t first; /* in shape_keys */
    uint32_t n;
    uint32_t words; /* that the values take in a list */
    uint8_t scope;
};

struct write_key {
    uint32_t name; /* text, or enum field_key */
    uint32_t occurrence;
    uint32_t next;      /* key of the next occurrence + 1 */
    uint32_t cursor;    /* first occurrence: last key used by shape_stamp */
    uint32_t shape_stamp;
    uint32_t nvalues;   /* in the block */
    uint32_t filled;
    size_t first;       /* in the single or double values */
    uint8_t scope;
    uint8_t type;
    bool is_field;
};

/* A trace of a block. */
struct write_trace {
    uint64_t hash;
    uint64_t hi, lo;
    int64_t start_ns; /* smallest */
    uint32_t tenant;  /* ordinal */
    uint32_t rows;
    uint32_t ordinal;
};

/* What TRACES says of it. */
struct write_place {
    uint64_t hash;
    uint16_t ordinal;
    uint16_t block;
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
    struct sb out;       /* the file, behind what fd has got already */
    struct sb heap;      /* dictionary strings of the block */
    struct sb templates; /* texts of those of a column */
    struct sb inlined;   /* chunks that go into the directory */
    struct sb section;   /* one index section */
    struct sb packed;    /* the same compressed */
    struct intern value_table; /* part_write_values.c */
    struct intern field_table; /* part_write_fields.c */
    struct sb cells;     /* the section CELLS as it grows */
    struct sb edges;     /* those of all blocks */
    uint32_t value_stamp;      /* last used in SCRATCH_VALUE_MARKS */
    uint64_t values[COL_CHUNK];
    uint8_t chunk[COL_CHUNK_BYTES_MAX + 8];

    /* --- of the part being written (writer_start() zeroes them) --- */
    struct err *err;
    uint64_t part_id;
    uint64_t trace_seed;
    const struct memtable *mt; /* NULL: rows come from parts */
    const struct sv *texts;    /* then: the strings */
    uint32_t ntexts;
    uint64_t flushed;          /* bytes of the file that left `out` */
    struct tenant *tenants;
    struct write_stream *streams;
    struct write_list *scopes;
    struct write_resource *resources;
    uint32_t ntenants, nstreams, nscopes, nresources;
    struct write_shape *shapes;
    uint32_t nshapes;
    uint32_t *shape_keys;
    uint32_t nshape_keys;
    struct write_key *keys;
    uint32_t nkeys;
    uint32_t *strings; /* of STRINGS: texts */
    uint32_t nstrings;
    uint32_t *string_map;
    struct part_block *blocks;
    uint32_t nblocks;
    struct write_place *places;
    uint32_t nplaces;
    uint32_t nvalues;       /* of attributes, in value_table */
    uint32_t nvalue_places; /* pairs of value and block */
    bool has_values;        /* they are counted */
    bool has_value_tables;
    uint32_t nfields;       /* names, in field_table */
    uint32_t field_serial;
    bool has_fields;        /* they are counted */
    bool has_field_tables;
    struct part_footer footer;

    /* memtable only: by its code, the ordinal in the part */
    uint32_t *stream_map, *resource_map, *scope_map, *tenant_map;
    uint32_t *shape_map, *key_map;
    uint32_t *stream_codes, *tenant_codes;
    const uint32_t *input; /* row numbers as given */
    uint32_t *rows;        /* memtable rows in the order of the part */

    /* --- of the block being written (writer_start_block()) --- */
    uint32_t nrows;
    /* by row */
    uint32_t *row_ordinal; /* of its trace */
    uint64_t *ids;
    uint64_t *parent_ids;  /* 0: none */
    int64_t *start_ns;
    int64_t *end_ns;
    uint32_t *row_resource; /* ordinal */
    uint8_t *status;
    struct write_trace *traces; /* by order of appearance */
    uint32_t *trace_order;      /* ordinal -> index in traces */
    uint32_t *trace_slots;
    uint32_t trace_mask;
    uint32_t ntraces;
    /* rows of each trace in their order, from trace_first[ordinal] on */
    uint32_t *trace_first;
    uint32_t *trace_rows;
    struct write_rows tables[TABLES];
    struct write_event *events;
    struct write_link *links;
    uint32_t *single; /* values of one word by key, texts or booleans */
    uint64_t *twice;  /* of two words */
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
    uint32_t nblock_values;
    uint32_t nblock_edges;
    bool has_block_edges;
    struct part_block block;
};

/* Where the next byte of the file goes. */
static inline uint64_t
writer_pos(const struct part_writer *w)
{
    return w->flushed + w->out.len;
}

/* A string; without ptr when a memtable has not got it. */
static inline struct sv
writer_text(const struct part_writer *w, uint32_t code)
{
    return w->mt != NULL ? memtable_string(w->mt, code) : w->texts[code];
}

/* What a new part is called. */
struct write_name {
    uint64_t part_id;
    uint32_t day;
    uint32_t level;
    const uint8_t *node_id; /* 16 bytes */
};

/* What it was made of: the section LINEAGE. */
struct write_lineage {
    const uint64_t *inputs; /* part ids */
    uint32_t ninputs;
    const struct part_lineage *ranges;
    uint32_t nranges;
};

/* --- the frame (part_write.c) --- */

void writer_start(struct part_writer *w, const struct write_name *name,
    struct err *err);
/* Begins a block of n rows: arrays by row and by trace are there. */
int writer_start_block(struct part_writer *w, uint32_t nrows) WARN_UNUSED;
/* Writes all columns of the block from the arrays. */
int writer_end_block(struct part_writer *w) WARN_UNUSED;
/* Writes the index and the footer. */
int writer_end(struct part_writer *w, const struct write_lineage *lineage,
    struct part_info *info) WARN_UNUSED;

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
/* Zeros up to a multiple of align in the file. */
int writer_align(struct part_writer *w, uint32_t align) WARN_UNUSED;
/* A table of n ordinals, all unknown. */
uint32_t *writer_map(struct part_writer *w, enum scratch_id id, uint32_t n)
    WARN_UNUSED;

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

static inline uint32_t
bits_for(uint32_t count)
{
    return count <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(count - 1);
}

/* --- rows of a memtable --- */

/* Runs and row order of one block of all rows of the input. */
int write_order(struct part_writer *w) WARN_UNUSED;
int write_order_resources(struct part_writer *w) WARN_UNUSED;
/* Values of these rows. */
int write_gather(struct part_writer *w) WARN_UNUSED;
/* Part ordinal of a memtable shape as used by lists of a scope. */
int writer_shape(struct part_writer *w, enum key_scope scope, uint32_t code,
    uint32_t *ordinal) WARN_UNUSED;
/* As writer_shape(), for shapes that rows before had, too, mostly. */
static inline int
writer_shape_again(struct part_writer *w, enum key_scope scope, uint32_t code,
    uint32_t *ordinal)
{
    if (LIKELY(w->shape_map != NULL && code < MEMTABLE_SHAPES_MAX)) {
        *ordinal = w->shape_map[scope * MEMTABLE_SHAPES_MAX + code];
        if (LIKELY(*ordinal != NO_ORDINAL))
            return 0;
    }
    return writer_shape(w, scope, code, ordinal);
}

/* --- traces of a block (part_write_traces.c) --- */

/* Makes room for n traces. */
int writer_start_traces(struct part_writer *w, uint32_t n) WARN_UNUSED;
/*
 * The trace of a row that starts at start_ns, added when it is new; for the
 * rows of one trace.  Index in traces.
 */
uint32_t writer_trace(struct part_writer *w, uint32_t tenant,
    const struct trace_id *id, int64_t start_ns, uint32_t rows);
/* The trace, or NULL when the block has not got it. */
const struct write_trace *writer_find_trace(const struct part_writer *w,
    uint32_t tenant, const uint8_t id[16]);
/* Gives them their ordinals: by tenant, then start.  a, b: scratch for all. */
void writer_number_traces(struct part_writer *w, struct sort_item *a,
    struct sort_item *b);

/* --- columns of a block --- */

int write_rows(struct part_writer *w) WARN_UNUSED;
int write_parents(struct part_writer *w) WARN_UNUSED;
int write_subs(struct part_writer *w) WARN_UNUSED;
int write_all_runs(struct part_writer *w) WARN_UNUSED;
/* Where each key's values stand in single or twice: from runs and shapes. */
int writer_place_values(struct part_writer *w) WARN_UNUSED;
int write_keys(struct part_writer *w) WARN_UNUSED;
int write_dicts(struct part_writer *w) WARN_UNUSED;
int write_filter(struct part_writer *w) WARN_UNUSED;
int write_directory(struct part_writer *w) WARN_UNUSED;

int write_index(struct part_writer *w, const struct write_lineage *lineage)
    WARN_UNUSED;

/* --- dictionaries (part_write_dict.c) --- */

/*
 * Replaces n texts by codes of a new dictionary of the column, in place, and
 * writes them as its VALUES.
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

/* --- values of attributes (part_write_values.c) --- */

/* When the part begins, before write_keys(), and when a block is written. */
void writer_start_values(struct part_writer *w);
int write_values(struct part_writer *w) WARN_UNUSED;
void writer_add_values(struct part_writer *w);
/* Fills w->section, or leaves it empty: there is none. */
int writer_put_values(struct part_writer *w) WARN_UNUSED;

/* --- fields (part_write_fields.c) --- */

/* As those of values. */
void writer_start_fields(struct part_writer *w);
int write_fields(struct part_writer *w) WARN_UNUSED;
void writer_add_fields(struct part_writer *w);
int writer_put_fields(struct part_writer *w) WARN_UNUSED;

/* --- sums (part_write_cells.c): when a block is written --- */

int writer_add_cells(struct part_writer *w) WARN_UNUSED;

/* --- calls between services (part_write_edges.c) --- */

/* From the PARENTs of the rows; when a block is written; the section. */
int write_edges(struct part_writer *w, const uint64_t *parents) WARN_UNUSED;
int writer_add_edges(struct part_writer *w) WARN_UNUSED;
int writer_put_edges(struct part_writer *w) WARN_UNUSED;

/* Number of a text in STRINGS, into the section (part_write_index.c). */
int writer_put_string(struct part_writer *w, uint32_t code) WARN_UNUSED;

static inline void
section_varint(struct part_writer *w, uint64_t v)
{
    uint8_t bytes[ENC_VARINT_MAX];

    sb_add(&w->section, bytes, enc_put_varint(bytes, v));
}

/* --- strings (part_write_template.c) --- */

/* String i of a dictionary, sound. */
static inline struct sv
writer_dict_string(const struct part_writer *w, const struct write_dict *dict,
    uint32_t i)
{
    return writer_text(w, w->dict_codes[dict->first + i]);
}

/*
 * The strings of a dictionary stand all over memory: without this for each of
 * them in turn, each is a cache miss.
 */
#define WRITER_PREFETCH_AHEAD 16u
static inline void
writer_dict_prefetch(const struct part_writer *w,
    const struct write_dict *dict, uint32_t i)
{
    if (i + WRITER_PREFETCH_AHEAD < dict->n)
        __builtin_prefetch(writer_dict_string(w, dict,
            i + WRITER_PREFETCH_AHEAD).ptr);
}

/* Writes the dictionary as templates if *is_done: where that is smaller. */
int write_templates(struct part_writer *w, const struct write_dict *dict,
    struct write_filter *filter, bool *is_done) WARN_UNUSED;

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
