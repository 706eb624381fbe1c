/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The bytes of a memtable.  The whole region is one struct: every array has
 * a fixed place, so an offset is a compile-time constant and no pointer is
 * ever stored.  memtable*.c and part_encode() include this file; everybody
 * else goes through memtable.h.
 *
 * The heap has two ends: the words (u32) of values, events and links grow up
 * from its start; the bytes of strings and the elements of shapes (aligned to
 * words) grow down from its end.  Word index 0 is never used, so that 0 can
 * mean "none".
 *
 * String 0 is the empty string.  Keys 0 .. FIELD_KEYS - 1 are the KEY_FIELD
 * keys: the key id is the enum field_key.  Shape 0 is the empty list.
 *
 * A list (the attributes of a row, event, link, resource or scope) is a
 * shape and its values.  The elements of a shape are words key << 8 | type
 * (enum value_type): first the attributes in the order they were sent (equal
 * keys may repeat), then the KEY_FIELD elements in the order of enum
 * field_key, present only when the field is not zero or empty.  The values
 * stand in the order of the elements:
 *
 *   STRING BYTES ARRAY KVLIST   1 word: string code
 *   BOOL                        1 word: 0 or 1
 *   INT DOUBLE                  2 words, low one first
 *   EMPTY                       none
 *
 * Fields that are text are STRING, the others (flags, dropped counts, status
 * code) are INT.  Which list has which field:
 *
 *   row        TRACE_STATE STATUS_MESSAGE FLAGS DROPPED_ATTRS
 *              DROPPED_EVENTS DROPPED_LINKS STATUS_CODE
 *   resource   DROPPED_ATTRS SCHEMA_URL
 *   scope      DROPPED_ATTRS SCHEMA_URL NAME VERSION STREAM_FIELDS
 *              EXTRA_FIELDS
 *   event      DROPPED_ATTRS
 *   link       TRACE_STATE FLAGS DROPPED_ATTRS
 *
 * Events and links of a row, from word subs[row] on (0: it has neither):
 *
 *   number of events, number of links,
 *   per event: time_ns (2 words), string code of the name, shape, values
 *   per link:  trace id (4 words), span id (2 words), shape, values
 *
 * The service code of a resource or stream is that of the text of
 * service.name when it is a string, else 0.
 *
 * Strings of at most MEMTABLE_INTERN_MAX bytes have one code: equal codes
 * mean equal bytes and the reverse.  So have keys, names of spans and scopes,
 * services and the values of resources of any length.  Other long strings
 * get a new code at every occurrence.
 */

#ifndef SPOOR_STORAGE_MEMTABLE_FORMAT_H
#define SPOOR_STORAGE_MEMTABLE_FORMAT_H

#include "core/base.h"
#include "span/span.h"
#include "storage/memtable.h"

#define MEMTABLE_MAGIC UINT64_C(0x31454c4241544d53) /* "SMTABLE1" */

/*
 * Capacities.  Whichever is used up first makes the memtable full.  They are
 * sized so that ordinary spans run out of rows first.
 */
#define MEMTABLE_STRINGS_MAX 196608u /* three new strings a row */
#define MEMTABLE_KEYS_MAX 32768u
#define MEMTABLE_SHAPES_MAX 16384u
#define MEMTABLE_STREAMS_MAX 32768u
#define MEMTABLE_RESOURCES_MAX 16384u
#define MEMTABLE_SCOPES_MAX 4096u
#define MEMTABLE_TENANTS_MAX 4096u
#define MEMTABLE_BUCKETS 65536u
#define MEMTABLE_LIST_MAX 65535u /* elements of one shape */

#define MEMTABLE_INTERN_MAX (4 * KIB)

/* Row summaries: smallest and largest end of each full run of ZONE_ROWS. */
#define MEMTABLE_ZONE_ROWS 1024u
#define MEMTABLE_ZONES (MEMTABLE_ROWS_MAX / MEMTABLE_ZONE_ROWS)

struct memtable_string {
    uint32_t off; /* bytes from the start of the region */
    uint32_t len;
};

struct memtable_key {
    uint32_t text; /* string code */
    uint32_t scope; /* enum key_scope */
};

struct memtable_shape {
    uint32_t n;     /* elements */
    uint32_t elems; /* word index of the first */
    uint32_t words; /* that the values of this shape take */
};

/* (shape, values) of a scope or, with its service, of a resource. */
struct memtable_scope {
    uint32_t shape;
    uint32_t values;
};

struct memtable_resource {
    uint32_t service; /* string code */
    uint32_t shape;
    uint32_t values;
};

struct memtable_stream {
    uint32_t tenant;    /* ordinal */
    uint32_t service;   /* string code */
    uint32_t scope;     /* ordinal */
    uint32_t name;      /* string code */
    int32_t kind;
    uint32_t first_row; /* the stream counts when this row is committed */
};

struct memtable_header {
    uint64_t magic;
    uint32_t layout;
    uint32_t bytes;      /* MEMTABLE_BYTES */
    uint64_t log_id;
    uint64_t first_lsn;
    uint64_t trace_seed; /* of the hash behind the buckets */
    uint64_t reserved[3];

    /* Published by the writer at the end of each append (release). */
    _Atomic uint64_t next_lsn;
    _Atomic uint32_t rows;
    _Atomic uint32_t nstrings;
    _Atomic uint32_t nkeys;
    _Atomic uint32_t nshapes;
    _Atomic uint32_t nstreams;
    _Atomic uint32_t nscopes;
    _Atomic uint32_t nresources;
    _Atomic uint32_t ntenants;
    _Atomic uint32_t ndays;
    _Atomic uint32_t words_used; /* of the heap, from its start */
    _Atomic uint32_t bytes_used; /* of the heap, from its end */

    /* Alone in its cache line: readers poll it. */
    _Alignas(64) _Atomic uint32_t committed;

    _Alignas(64) uint32_t days[MEMTABLE_DAYS_MAX]; /* time_day() */
    int64_t zone_min_end[MEMTABLE_ZONES];
    int64_t zone_max_end[MEMTABLE_ZONES];
};

#define MEMTABLE_HEADER_BYTES (4 * KIB)
_Static_assert(sizeof(struct memtable_header) <= MEMTABLE_HEADER_BYTES,
    "the header fits its page");

/* Everything of struct memtable below before the heap. */
#define MEMTABLE_FIXED_BYTES \
    (MEMTABLE_HEADER_BYTES + \
        MEMTABLE_ROWS_MAX * (16 + 8 + 8 + 8 + 8 + 6 * 4 + 1) + \
        MEMTABLE_BUCKETS * 4 + \
        MEMTABLE_STRINGS_MAX * sizeof(struct memtable_string) + \
        MEMTABLE_KEYS_MAX * sizeof(struct memtable_key) + \
        MEMTABLE_SHAPES_MAX * sizeof(struct memtable_shape) + \
        MEMTABLE_STREAMS_MAX * sizeof(struct memtable_stream) + \
        MEMTABLE_RESOURCES_MAX * sizeof(struct memtable_resource) + \
        MEMTABLE_SCOPES_MAX * sizeof(struct memtable_scope) + \
        MEMTABLE_TENANTS_MAX * sizeof(struct tenant))

#define MEMTABLE_HEAP_BYTES (MEMTABLE_BYTES - MEMTABLE_FIXED_BYTES)
#define MEMTABLE_HEAP_WORDS ((uint32_t)(MEMTABLE_HEAP_BYTES / 4))

struct memtable {
    union {
        struct memtable_header h;
        uint8_t header_page[MEMTABLE_HEADER_BYTES];
    };

    /* One entry a row. */
    struct trace_id trace_id[MEMTABLE_ROWS_MAX];
    struct span_id span_id[MEMTABLE_ROWS_MAX];
    struct span_id parent_id[MEMTABLE_ROWS_MAX];
    int64_t start_ns[MEMTABLE_ROWS_MAX];
    int64_t end_ns[MEMTABLE_ROWS_MAX];
    uint32_t stream[MEMTABLE_ROWS_MAX];
    uint32_t shape[MEMTABLE_ROWS_MAX];
    uint32_t resource[MEMTABLE_ROWS_MAX];
    uint32_t values[MEMTABLE_ROWS_MAX]; /* word index */
    uint32_t subs[MEMTABLE_ROWS_MAX];   /* word index, 0: none */
    uint32_t chain[MEMTABLE_ROWS_MAX];  /* next older row + 1, 0: last */
    uint8_t status[MEMTABLE_ROWS_MAX];  /* 0..2, 3: see FIELD_STATUS_CODE */

    /* Newest row + 1 by memtable_bucket(); may name uncommitted rows. */
    _Atomic uint32_t buckets[MEMTABLE_BUCKETS];

    struct memtable_string strings[MEMTABLE_STRINGS_MAX];
    struct memtable_key keys[MEMTABLE_KEYS_MAX];
    struct memtable_shape shapes[MEMTABLE_SHAPES_MAX];
    struct memtable_stream streams[MEMTABLE_STREAMS_MAX];
    struct memtable_resource resources[MEMTABLE_RESOURCES_MAX];
    struct memtable_scope scopes[MEMTABLE_SCOPES_MAX];
    struct tenant tenants[MEMTABLE_TENANTS_MAX];

    uint32_t heap[MEMTABLE_HEAP_BYTES / 4];
};

_Static_assert(sizeof(struct memtable) == MEMTABLE_BYTES,
    "the struct is the region");
_Static_assert(offsetof(struct memtable, heap) == MEMTABLE_FIXED_BYTES,
    "no padding between the arrays");

/* --- elements of a shape --- */

static inline uint32_t
memtable_elem(uint32_t key, uint32_t type)
{
    return key << 8 | type;
}

static inline uint32_t
memtable_elem_key(uint32_t elem)
{
    return elem >> 8;
}

static inline uint32_t
memtable_elem_type(uint32_t elem)
{
    return elem & 0xff;
}

/* Words of a value of the type (enum value_type); unknown types: 0. */
static inline uint32_t
memtable_type_words(uint32_t type)
{
    /* Two bits a type: EMPTY 0, STRING 1, BOOL 1, INT 2, DOUBLE 2, ... */
    return type < VALUE_TYPES ? 0x5694u >> 2 * type & 3 : 0;
}

static inline uint64_t
memtable_word2(const uint32_t *words)
{
    return words[0] | (uint64_t)words[1] << 32;
}

/*
 * The bytes of a string, or a view with ptr NULL when the code or its entry
 * is damaged.
 */
static inline struct sv
memtable_string(const struct memtable *mt, uint32_t code)
{
    struct memtable_string s;

    if (UNLIKELY(code >= MEMTABLE_STRINGS_MAX))
        return (struct sv){NULL, 0};
    s = mt->strings[code];
    if (UNLIKELY(s.off < MEMTABLE_FIXED_BYTES || s.off > MEMTABLE_BYTES ||
        s.len > MEMTABLE_BYTES - s.off))
        return (struct sv){NULL, 0};
    return (struct sv){(const char *)mt + s.off, s.len};
}

/* "trace_state", "flags" ...: the text of the KEY_FIELD keys. */
struct sv memtable_field_name(enum field_key field);

/* Bucket of a trace; seed is header.trace_seed. */
uint32_t memtable_bucket(uint64_t seed, uint32_t tenant,
    const struct trace_id *id);

#endif
