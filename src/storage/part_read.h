/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the files that read parts share; private to part.c, part_read*.c and
 * part_check.c.
 *
 *   part.c               open: footer and sections
 *   part_read_index.c    what the index sections say
 *   part_read_block.c    block directories
 *   part_read_vector.c   chunks, pages, single values
 *   part_read_dict.c     strings
 *   part_read_filter.c   what texts a block cannot have
 *   part_read_values.c   which values attributes have
 *   part_read_fields.c   which fields rows have
 *   part_read_cells.c    sums by stream
 *   edges.c              calls between services
 *   part_read_runs.c     runs, rows of a trace, events of a row
 *   part_read_rows.c     rows as spans
 *   part_read.c          the questions of part.h
 *   part_read_search.c   search
 *
 * Nothing of a file is trusted: what can be checked when something is loaded
 * is checked there, and what depends on values is checked where they are
 * used.  A wrong value that passed its checksum is ERR_CORRUPT too.
 */

#ifndef SPOOR_STORAGE_PART_READ_H
#define SPOOR_STORAGE_PART_READ_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "storage/col.h"
#include "storage/memtable.h"
#include "storage/part.h"
#include "storage/part_format.h"
#include "storage/part_read_cache.h"

#define PART_OBJECT_MAGIC UINT32_C(0x74726170)

/* What the index of one part may take in memory. */
#define PART_INDEX_MAX (512 * MIB)

/* --- the index --- */

struct part_key {
    struct sv name;     /* not of a field */
    uint32_t field;     /* enum field_key, of a field */
    uint32_t occurrence;
    uint8_t scope;
    uint8_t type;
    bool is_field;
};

struct part_shape {
    uint32_t first; /* in part->shape_keys */
    uint32_t n;
    uint32_t nattrs; /* without the fields */
    uint8_t scope;
};

struct part_stream {
    struct sv service;
    struct sv name;
    uint32_t tenant;
    uint32_t scope;
    int32_t kind;
};

struct part_strings {
    uint32_t n;
    const uint32_t *off; /* n + 1, into bytes */
    const char *bytes;
};

/* --- VALUES --- */

struct part_value {
    struct sv text;  /* of strings */
    int64_t number;  /* of others */
    uint64_t rows;
    const uint8_t *blocks; /* bits */
    uint32_t nbytes;       /* 0: all */
};

/* n == 0: the tenant's rows have values, which are not listed. */
struct part_value_list {
    uint32_t key; /* nkeys: resources */
    uint32_t n;
    const struct part_value *v;
};

/* Of one tenant; keys that its rows do not have are not there. */
struct part_values {
    uint64_t rows;
    uint32_t nlists;
    const struct part_value_list *lists; /* by key */
};

/* --- FIELDS --- */

struct part_field {
    struct sv name;
    uint64_t rows;
};

/* Of one tenant. */
struct part_fields {
    bool is_told;
    uint32_t n;
    const struct part_field *v; /* by name */
};

struct part_trace_index {
    struct part_traces head;
    const uint32_t *bucket_off;
    const uint16_t *tag;
    const uint16_t *ordinal;
    const uint16_t *block; /* NULL: all in block 0 */
};

struct part {
    uint32_t magic;
    int fd;
    char *path;
    struct part_info info;
    struct part_footer footer;
    const struct part_lineage *ranges; /* LINEAGE */
    const uint64_t *inputs;
    uint32_t nranges, ninputs;
    struct pool *pool; /* everything below */
    struct data_owner data;

    struct part_block *blocks;
    struct part_strings strings;
    struct tenant *tenants;
    uint32_t ntenants;
    struct part_key *keys;
    uint32_t nkeys;
    struct part_shape *shapes;
    uint32_t nshapes;
    uint32_t *shape_keys;
    uint32_t nshape_keys;
    struct scope *scopes;
    uint32_t *scope_shapes; /* of their lists */
    uint32_t nscopes;
    struct resource *resources;
    uint32_t *resource_shapes;
    uint32_t nresources;
    struct part_stream *streams;
    uint32_t nstreams;
    struct part_trace_index traces;
    struct part_values *values; /* by tenant; NULL: none */
    struct part_fields *fields; /* the same */
    const struct sv *cells;     /* by block: its bytes; NULL: none */
    _Atomic int64_t *max_durations; /* by block; INT64_MIN: not read yet */
    const struct sv *edges;     /* the same */
};

/* "PATH: text", ERR_CORRUPT; returns -1. */
int part_corrupt(const struct part *part, struct err *err, const char *fmt,
    ...) PRINTF_LIKE(3, 4);
int part_newer(const struct part *part, struct err *err, const char *what,
    unsigned number);

/* Fills everything but footer, blocks and lineage from the sections. */
int part_parse_index(struct part *part,
    const struct sv sections[PART_SECTION_TYPES], struct err *err)
    WARN_UNUSED;

/* The section VALUES (part_read_values.c), which has bytes. */
int part_parse_values(struct part *part, struct sv raw, struct err *err)
    WARN_UNUSED;
/* The section FIELDS (part_read_fields.c). */
int part_parse_fields(struct part *part, struct sv raw, struct err *err)
    WARN_UNUSED;
/* NULL: no row of the tenant has it.  Only if its fields are told. */
const struct part_field *part_find_field(const struct part_fields *fields,
    struct sv name);
/* The section EDGES (edges.c). */
int part_parse_edges(struct part *part, struct sv raw, struct err *err)
    WARN_UNUSED;
/* The section CELLS (part_read_cells.c). */
int part_parse_cells(struct part *part, struct sv raw, struct err *err)
    WARN_UNUSED;
/* NULL: no row of the tenant has the key.  Only if the part has VALUES. */
const struct part_value_list *part_find_values(const struct part *part,
    uint32_t tenant, uint32_t key);
/* The value of a list of strings, or of others; NULL: it is not there. */
const struct part_value *part_find_text(const struct part_value_list *list,
    struct sv text);
const struct part_value *part_find_number(const struct part_value_list *list,
    int64_t number);
static inline bool
part_value_is_in(const struct part_value *value, uint32_t block)
{
    return value->nbytes == 0 || (block / 8 < value->nbytes &&
        (value->blocks[block / 8] >> block % 8 & 1) != 0);
}

/* Ordinal of the tenant, or ntenants. */
uint32_t part_find_tenant(const struct part *part,
    const struct tenant *tenant);

/* --- a block directory --- */

struct part_vector {
    uint32_t id;
    uint32_t count;
    uint8_t encoding;
    uint8_t width;
    uint32_t first_chunk;
    uint32_t nchunks;
    uint32_t per_chunk;
    uint64_t value; /* CONST */
};

struct part_chunk {
    uint64_t off; /* from the block; INLINE: in the directory's bytes */
    uint64_t xxh3;
    uint32_t len;
};

struct part_directory {
    struct data data;
    uint8_t *raw;
    struct part_vector *vectors;
    uint32_t nvectors;
    uint32_t *column_vector; /* by column: first vector + 1, 0: none */
    uint32_t ncolumns;
    struct part_chunk *chunks;
    uint32_t nchunks;
    uint32_t chunks_cap;
    uint64_t heap_bytes;
    uint64_t heap_off; /* from the block */
    uint32_t page_bytes;
    struct part_chunk *pages; /* len 0: stored */
    uint32_t npages;
};

/* --- tables of rows --- */

enum part_table {
    PART_TABLE_SPANS = 0,
    PART_TABLE_EVENTS,
    PART_TABLE_LINKS,
    PART_TABLES,
};

struct part_runs {
    struct data data;
    uint32_t nrows;
    uint32_t nruns;
    uint32_t *start;  /* nruns + 1: first row */
    uint32_t *shape;
    uint32_t *stream; /* spans only */
    uint32_t *first;  /* in base, by run */
    /*
     * By run and key of its shape: number of the key's value of the run's
     * first row.
     */
    uint32_t *base;
};

/* Rows of each trace. */
struct part_families {
    struct data data;
    uint32_t *first; /* by trace ordinal, one more at the end */
    uint16_t *rows;
};

/* Row that each event or link belongs to, ascending. */
struct part_subs {
    struct data data;
    uint32_t n;
    uint32_t *rows;
};

/* --- reading: one call, one thread, one block --- */

struct reading {
    struct part *part;
    struct err *err;
    uint32_t block_idx;
    const struct part_block *block;
    const struct part_directory *dir;
    const struct part_runs *runs[PART_TABLES];
    const struct part_families *families;
    const struct part_subs *subs[PART_TABLES];
    struct data **chunks; /* pinned, by number; pages behind */
    struct data *pinned[3 + 2 * PART_TABLES];
    unsigned npinned;

    /* Used by part_read_rows.c: what is in the batch already. */
    struct batch *out;
    void *memos;             /* the memory of the four */
    uint32_t *resource_memo; /* index + 1, by ordinal */
    uint32_t *scope_memo;
    struct sv *key_memo;
    struct sv *name_memo;    /* by stream */
};

/* Release in any case, also after a failure. */
int reading_open(struct reading *r, struct part *part, uint32_t block,
    struct err *err) WARN_UNUSED;
void reading_release(struct reading *r);
/* Gives back chunks and pages; tables stay, views into the others do not. */
void reading_unpin_chunks(struct reading *r);

/* The part's description of a damaged spot of the block. */
int reading_corrupt(const struct reading *r, const char *fmt, ...)
    PRINTF_LIKE(2, 3);
int reading_no_memory(const struct reading *r);

/* --- directories (part_read_block.c) --- */

int directory_load(struct reading *r, struct data **out) WARN_UNUSED;

/* The vector, or NULL. */
const struct part_vector *directory_find(const struct part_directory *dir,
    uint32_t column, enum part_role role);

/* All of a column by role, NULL where it has none. */
void directory_roles(const struct part_directory *dir, uint32_t column,
    const struct part_vector *out[PART_ROLES]);

/* Bytes of a heap page, decompressed. */
uint32_t directory_page_bytes(const struct part_directory *dir,
    uint32_t page);

/* --- values (part_read_vector.c) --- */

/* The vector with exactly count values; ERR_CORRUPT when it has not. */
int vector_need(struct reading *r, uint32_t column, enum part_role role,
    uint32_t count, const struct part_vector **out) WARN_UNUSED;

/* i < count of the vector, from + n <= count. */
int vector_get(struct reading *r, const struct part_vector *vector,
    uint32_t i, uint64_t *out) WARN_UNUSED;
int vector_decode(struct reading *r, const struct part_vector *vector,
    uint32_t from, uint32_t n, uint64_t *out) WARN_UNUSED;
/* Fixed-width value i; lives as long as the reading. */
int vector_get_fixed(struct reading *r, const struct part_vector *vector,
    uint32_t i, uint32_t width, const uint8_t **out) WARN_UNUSED;
/* vector_get() of value i of a column that has count values. */
int column_get(struct reading *r, uint32_t column, uint32_t count,
    uint32_t i, uint64_t *out) WARN_UNUSED;

/* Copies len bytes of the heap from off on. */
int heap_read(struct reading *r, uint64_t off, uint64_t len, char *dst)
    WARN_UNUSED;
/* The same bytes where they stand, or NULL when they are in two pages. */
int heap_view(struct reading *r, uint64_t off, uint64_t len,
    const char **out) WARN_UNUSED;
/* Loads a chunk or page, verified (part_check). */
int chunk_touch(struct reading *r, const struct part_vector *vector,
    uint32_t number) WARN_UNUSED;
int page_touch(struct reading *r, uint32_t page) WARN_UNUSED;

/* The text of a string of a FIXED vector: so many bytes. */
uint32_t fixed_text_len(const struct part_vector *vector);
void fixed_put_text(char *dst, const struct part_vector *vector,
    const uint8_t *bytes);

/* String `code` of the column's dictionary, copied into the pool. */
int dictionary_get(struct reading *r, uint32_t column, uint64_t code,
    struct pool *pool, struct sv *out) WARN_UNUSED;

/* Number of its strings, 0 without a dictionary. */
uint32_t dictionary_count(const struct reading *r, uint32_t column);
/* The same of the texts that LENGTH describes: strings, or templates. */
int dictionary_text(struct reading *r, uint32_t column, uint32_t code,
    struct pool *pool, struct sv *out) WARN_UNUSED;

/* --- templates (part_read_template.c): of columns that have them --- */

static inline bool
dictionary_has_templates(const struct reading *r, uint32_t column)
{
    return directory_find(r->dir, column, PART_ROLE_TEMPLATE) != NULL;
}

int template_get(struct reading *r, uint32_t column, uint64_t code,
    struct pool *pool, struct sv *out) WARN_UNUSED;
/* The texts of all dictionary_count() strings, in the pool. */
int template_all(struct reading *r, uint32_t column, struct pool *pool,
    struct sv *out) WARN_UNUSED;
/* Is it one of them?  True may be wrong if the part is damaged. */
bool template_has(struct reading *r, uint32_t column, struct sv text);
/* Are all marks right and no numbers left over? (part_check) */
int template_check(struct reading *r, uint32_t column) WARN_UNUSED;

/* --- rows (part_read_runs.c): each loads what it returns once --- */

int reading_runs(struct reading *r, enum part_table table,
    const struct part_runs **out) WARN_UNUSED;
int reading_families(struct reading *r, const struct part_families **out)
    WARN_UNUSED;
/* Rows [*first, *end) of the table of events or links belong to the row. */
int reading_subs(struct reading *r, enum part_table table, uint32_t row,
    uint32_t *first, uint32_t *end) WARN_UNUSED;
/* The run of a row. */
uint32_t runs_find(const struct part_runs *runs, uint32_t row);

/* --- the filter (part_read_filter.c) --- */

/*
 * False when no value of the entry of KEYS has this text ("-" stands for the
 * empty one).  True may be wrong; it is, whenever there is no filter.
 */
bool filter_may_have(struct reading *r, uint32_t key, struct sv text);
/* Are all texts of its keys in the filter? (part_check) */
int filter_check(struct reading *r) WARN_UNUSED;

/* --- spans (part_read_rows.c) --- */

/* Values of PART_ROW_PARENT. */
#define PARENT_NONE 0u
#define PARENT_RAW 1u
#define PARENT_FIRST 2u

/* Ids of a row of the block; *id stays as it is without a parent. */
int reading_span_id(struct reading *r, uint32_t row, struct span_id *id)
    WARN_UNUSED;
int reading_parent_id(struct reading *r, uint32_t row, uint32_t ordinal,
    struct span_id *id) WARN_UNUSED;

/* Ids of link i of n, which belongs to the row (part_read_links.c). */
int reading_link_ids(struct reading *r, uint32_t n, uint32_t i, uint32_t row,
    struct span_link *link) WARN_UNUSED;

/* Adds a row of the block to the batch. */
int reading_row(struct reading *r, uint32_t row, struct batch *out)
    WARN_UNUSED;

#endif
