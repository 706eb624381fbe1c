/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the files behind block.h share; private to block*.c.
 *
 *   block.c                open, close, tenants, columns once computed
 *   block_field.c          what the name of a field means
 *   block_values.c         distinct texts and their codes, kinds of columns
 *   block_memtable.c       columns of a memtable
 *   block_memtable_lists.c what the shapes have of one field
 *   block_memtable_attrs.c ... from the attributes of its rows
 *   block_memtable_subs.c  ... from its events and links
 *   block_memtable_have.c  what a memtable cannot have
 *   block_part.c           columns of a block of a part: times, resources
 *   block_part_stream.c    ... what is the same for all rows of a stream
 *   block_part_ids.c       ... trace, span and parent ids
 *   block_part_lists.c     what the runs have of one field
 *   block_part_attrs.c     ... from the attributes of its rows
 *   block_part_subs.c      ... from its events and links
 *   block_part_dict.c      all strings of a dictionary at once
 *   block_part_have.c      what a block of a part cannot have
 *   block_scopes.c         extra fields and labels that scopes have at all
 *   block_labels.c         labels that requests declare, _stream with them
 *   block_few.c            all fields of few rows of a memtable
 *   block_names.c          names of all fields
 *   block_ask.c            ... that may have a text
 *   block_spans.c          rows as spans
 */

#ifndef SPOOR_STORAGE_BLOCK_READ_H
#define SPOOR_STORAGE_BLOCK_READ_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "span/span.h"
#include "storage/block.h"
#include "storage/memtable.h"
#include "storage/part_read.h"

#define BLOCK_MAGIC UINT32_C(0x6b6c6f62)

/* --- fields (block_field.c) --- */

enum block_what {
    BLOCK_NOTHING = 0,
    BLOCK_MSG,
    BLOCK_TIME,
    BLOCK_START,
    BLOCK_END,
    BLOCK_DURATION,
    BLOCK_TRACE_ID,
    BLOCK_SPAN_ID,
    BLOCK_PARENT_ID,
    BLOCK_STATUS,
    /* the same for all rows of a stream */
    BLOCK_NAME,
    BLOCK_KIND,
    BLOCK_SCOPE_NAME,
    BLOCK_SCOPE_VERSION,
    BLOCK_EXTRA,     /* what the request gave all its spans: `key` */
    /* these two only where no scope declares labels of its own */
    BLOCK_STREAM,
    BLOCK_STREAM_ID,
    /* of a span, event or link: `scope` says which */
    BLOCK_TEXT,   /* KEY_FIELD that is a text */
    BLOCK_NUMBER, /* KEY_FIELD that is a number, "0" when absent */
    BLOCK_ATTR,   /* of a resource or scope, too */
    BLOCK_EVENT_TIME,
    BLOCK_EVENT_NAME,
    BLOCK_LINK_TRACE,
    BLOCK_LINK_SPAN,
};

struct block_field {
    enum block_what what;
    enum key_scope scope;
    enum field_key field; /* TEXT, NUMBER */
    struct sv key;        /* ATTR, EXTRA */
    uint32_t item;        /* which event or link */
};

struct block_field block_field_parse(struct sv name);

/* The name of each field that a span, event or link always may have. */
struct sv block_core_name(unsigned i); /* ptr NULL: no more */
struct sv block_part_name(bool is_link, unsigned i);

/* --- a block --- */

/* Columns kept for the case that they are asked for again. */
#define BLOCK_MEMO 32u

/* Few rows out of many: columns fetch single values. */
struct block_rows {
    const uint32_t *v;
    uint32_t n;
};

struct part_uses;

struct block {
    uint32_t magic;
    struct pool *pool;
    struct err *err; /* of the current call */
    struct block_info info;
    const struct column *memo[BLOCK_MEMO];
    unsigned nmemo;

    const struct memtable *mt; /* or NULL: a part */
    struct batch lists;        /* its resources and scopes, read so far */
    uint32_t *resource_memo;   /* index in lists + 1, by ordinal */
    uint32_t *scope_memo;
    struct block_scopes *scopes; /* block_scopes.c */

    struct block_few *few_of_memtable; /* block_few.c; or NULL */

    struct reading reading;
    uint32_t *ordinals;        /* trace of each row, once decoded */
    const int64_t *starts;     /* of each row, once computed */
    const int64_t *durations;  /* the same */
    struct part_uses *uses[PART_TABLES]; /* block_part_lists.c */
    uint64_t *few_bits;        /* the last few rows that were wanted */
    struct block_rows few;
};

/* Memory of the block's pool; NULL sets the error. */
void *block_alloc(struct block *block, size_t n, size_t size) WARN_UNUSED;
void *block_zalloc(struct block *block, size_t n, size_t size) WARN_UNUSED;
int block_no_memory(const struct block *block);

/* --- distinct texts (block_values.c) --- */

struct block_values {
    struct block *block;
    struct sv *v;
    uint32_t n;
    uint32_t cap;
    uint32_t *buckets; /* code + 1 */
    uint32_t nbuckets;
    uint32_t nhashed;  /* of the n, in buckets */
};

void block_values_init(struct block_values *values, struct block *block);
/* The code of a text; the text must live as long as the block. */
int block_values_add(struct block_values *values, struct sv text,
    uint32_t *code) WARN_UNUSED;
bool block_values_find(const struct block_values *values, struct sv text,
    uint32_t *code);
/* Of a text that is not there yet and is never added again. */
int block_values_append(struct block_values *values, struct sv text,
    uint32_t *code) WARN_UNUSED;

/* --- columns (block_values.c) --- */

void column_set_const(struct column *column, const struct sv *text);
int column_set_text(struct block *block, struct column *column,
    struct sv text) WARN_UNUSED;
/* codes of all rows; CONST or EMPTY when there is one value only. */
void column_set_codes(struct column *column,
    const struct block_values *values, const uint32_t *codes);
void column_set_ints(struct column *column, enum column_kind kind,
    const int64_t *ints, const uint64_t *present);
void column_set_ids(struct column *column, uint32_t width,
    const void *ids);

/* --- streams --- */

struct block_stream {
    struct tenant tenant;
    struct sv service;
    struct sv name;
    int32_t kind;
    const struct scope *scope;
};

int block_number_text(struct block *block, int64_t number,
    struct sv *text) WARN_UNUSED;

/* Is the field the same for all rows of a stream? */
bool block_is_of_stream(const struct block_field *field);
int block_stream_text(struct block *block, const struct block_field *field,
    const struct block_stream *stream, struct sv *text) WARN_UNUSED;
/* Text of the last attribute that makes the field, or "". */
int block_attrs_text(struct block *block, const struct attrs *attrs,
    struct sv key, struct sv *text) WARN_UNUSED;

/* --- what requests said of all their spans (block_scopes.c) --- */

/*
 * May a scope declare labels beside name and service, so that _stream is not
 * the same for all rows of a stream?  An error is a yes.
 */
bool block_declares_labels(struct block *block);
/* Can a scope have the extra field? */
bool block_has_extra(struct block *block, struct sv name);

/* --- labels (block_labels.c) --- */

/* _stream or _stream_id where scopes declare labels. */
int block_labels_column(struct block *block, enum block_what what,
    const uint64_t *wanted, struct column *column) WARN_UNUSED;

/* --- memtables --- */

int memtable_scope_of(struct block *block, uint32_t ordinal,
    const struct scope **out) WARN_UNUSED;
int memtable_column(struct block *block, const struct block_field *field,
    struct column *column) WARN_UNUSED;
/* Of the attributes and fields of the rows themselves. */
int memtable_row_column(struct block *block, const struct block_field *field,
    struct column *column) WARN_UNUSED;
/* Of their events and links. */
int memtable_sub_column(struct block *block, const struct block_field *field,
    struct column *column) WARN_UNUSED;
int memtable_select_tenant(struct block *block, const struct tenant *tenant,
    uint64_t *bits) WARN_UNUSED;
bool memtable_may_have(struct block *block, const struct block_field *field,
    struct sv text);
int memtable_damage(const struct block *block, const char *what,
    uint64_t where);
int memtable_stream_of(struct block *block, uint32_t code,
    struct block_stream *out) WARN_UNUSED;
int memtable_resource_of(struct block *block, uint32_t ordinal,
    const struct resource **out) WARN_UNUSED;

/* --- parts --- */

int part_column(struct block *block, const struct block_field *field,
    const struct block_rows *few, struct column *column) WARN_UNUSED;
/* Of a field that is the same for all rows of a stream. */
int part_stream_tells(struct block *block, const struct block_field *field,
    bool *out) WARN_UNUSED;
int part_stream_column(struct block *block, const struct block_field *field,
    const struct block_rows *few, struct column *column) WARN_UNUSED;
int part_stream_runs(struct block *block, const struct block_field *field,
    struct block_runs *out) WARN_UNUSED;
int part_id_column(struct block *block, enum block_what what,
    const struct block_rows *few, struct column *column) WARN_UNUSED;
int part_row_column(struct block *block, const struct block_field *field,
    const struct block_rows *few, struct column *column) WARN_UNUSED;
/* block_count_filled(); UINT32_MAX: only the column tells. */
int part_count_filled(struct block *block, const struct block_field *field,
    uint32_t *n) WARN_UNUSED;
/* Of a number field, by row, 0 without; *out is NULL when no row has it. */
int part_row_numbers(struct block *block, const struct block_field *field,
    const int64_t **out) WARN_UNUSED;
int part_sub_column(struct block *block, const struct block_field *field,
    const struct block_rows *few, struct column *column) WARN_UNUSED;
int part_select_tenant(struct block *block, const struct tenant *tenant,
    uint64_t *bits) WARN_UNUSED;
bool part_block_may_have(struct block *block,
    const struct block_field *field, struct sv text);
/* Can the key give the field of rows, events or links a text? */
bool part_key_is_source(const struct block_field *field,
    const struct part_key *key);
struct block_stream part_stream_of(const struct part *part, uint32_t code);

/* The vector of a column decoded into 32 bits, each below the limit. */
int part_decode_u32(struct reading *r, uint32_t column, uint32_t n,
    uint64_t limit, uint32_t *dst) WARN_UNUSED;
/* Trace ordinal of one row. */
int part_ordinal_of(struct reading *r, uint32_t row, uint32_t *out)
    WARN_UNUSED;
/* Trace of each row; start of each row. */
int part_ordinals(struct block *block, const uint32_t **out) WARN_UNUSED;
int part_starts(struct block *block, const int64_t **out) WARN_UNUSED;

/* --- all strings of a dictionary (block_part_dict.c) --- */

struct part_dict {
    struct sv *v;
    uint32_t n;
};

/* Strings of the column, from v[1] on: v[0] is left free. */
int part_dict_load(struct block *block, uint32_t column,
    struct part_dict *out) WARN_UNUSED;
/* Is the text in it?  An error is a yes. */
bool part_dict_has(struct reading *r, uint32_t column, struct sv text);

/* --- all fields of few rows of a memtable (block_few.c) --- */

/* One wanted row in so many: single values cost about so much more. */
#define BLOCK_FEW_ROWS 32u

/* *n is 0 when the rows are not few, or those of a part. */
int block_few_names(struct block *block, const uint64_t *wanted,
    const struct sv **out, uint32_t *n) WARN_UNUSED;
/* Once the names of these rows were asked for; else *out is NULL. */
int block_few_column(struct block *block, struct sv field,
    const uint64_t *wanted, const struct column **out) WARN_UNUSED;

/* --- names (block_names.c) --- */

/* ask: NULL, or only those that may have its text. */
int block_names(struct block *block, const struct block_ask *ask,
    const struct sv **out, uint32_t *n) WARN_UNUSED;

/* --- may a field have a text? (block_ask.c) --- */

int block_ask_text(struct block *block, const struct block_ask *ask,
    struct sv text, bool *may) WARN_UNUSED;
/* The attributes of an entry of KEYS. */
int block_ask_key(struct block *block, const struct block_ask *ask,
    uint32_t key, bool *may) WARN_UNUSED;
/* A field that is no attribute, by its name. */
int block_ask_core(struct block *block, const struct block_ask *ask,
    struct sv name, bool *may) WARN_UNUSED;
/*
 * What VALUES says of an attribute (an entry of KEYS).  1: it does not tell;
 * -1 with an error (part_read_values.c).
 */
int part_values_ask(struct block *block, uint32_t key,
    const struct block_ask *ask, bool *may) WARN_UNUSED;

#endif
