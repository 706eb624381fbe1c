/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The bytes of a part file.  All integers are little endian.
 *
 *   block*        each at a multiple of PART_BLOCK_ALIGN
 *   section*      the index, each at a multiple of PART_SECTION_ALIGN
 *   footer        the last PART_FOOTER_BYTES of the file
 *
 * Gaps are zero.  A file never changes after it got its name.
 *
 * VERSIONS.  A reader refuses another major version (1 was never released),
 * a critical section of a type it does not know and an encoding it does not
 * know: "written by a newer spoor".  It ignores other sections, columns of a
 * core number it does not know, and the minor version.  So what older readers
 * may ignore is a new section or column; what they must not ignore is a new
 * major version or a critical section.
 *
 * CHECKSUMS are XXH3-64 seeded with the part id (so that bytes of another
 * part never pass): of each index section as stored, of each block directory,
 * and through that of each chunk and heap page.  The footer's own, unseeded,
 * is its last 8 bytes.  Every byte but the gaps is covered, and whatever is
 * read is verified before it is used.
 *
 * BLOCK: at most PART_BLOCK_ROWS rows, whole traces where possible, sorted by
 * (stream, shape, trace ordinal, start).  It holds three tables of rows: the
 * spans, their events, their links.  The rows of a table are cut into runs
 * of one shape (spans: and one stream); a shape says which attributes a row
 * has, so a key needs no presence bits: the values of one key stand dense in
 * row order, and those of a run follow those of the runs before it.
 *
 * All data are vectors of unsigned 64-bit numbers or of fixed-width bytes,
 * cut into chunks; the strings of dictionaries are in a heap that is cut into
 * pages.  Chunks, then pages, then the block directory:
 *
 *   varint nvectors, then per vector, ids strictly ascending:
 *     varint id - previous id    (first: id)
 *     varint count               values, at least 1
 *     u8     encoding            enum part_encoding
 *     CONST:  varint value
 *     INLINE: varint len, then one packed chunk of that length
 *     PACKED: varint off, then per chunk of COL_CHUNK values
 *             varint len, u64 checksum
 *     RAW, UUID, HEX: varint width, varint off, then per chunk of
 *             part_raw_chunk(width) values u64 checksum
 *   varint heap_bytes, varint heap_off, u8 log2 of the bytes of a page, then
 *             per page: varint len (0: stored as it is), u64 checksum
 *
 * off counts from the start of the block; the chunks of a vector follow one
 * another, and so do the pages.  A packed chunk is described in col.h, a page
 * is one zstd frame.
 *
 * A vector's id is column * 16 + role.  The core columns are below; column
 * PART_COLUMNS_CORE + k belongs to entry k of the KEYS section.  Roles:
 *
 *   0 VALUES  numbers (INT two's complement, DOUBLE its bits, BOOL 0 or 1)
 *             or, for strings, codes into the column's dictionary, numbered
 *             in the order of first appearance
 *   1 LENGTH  of each dictionary string
 *   2 MARK    heap offset of every PART_MARK-th dictionary string, when they
 *             follow one another; or of every one, when some of them stand in
 *             the heap already, and of templates (as many marks as strings)
 *   3 FIXED   instead of 1 and 2: RAW the strings themselves, UUID the 16
 *             bytes of lower-case 36-character uuids, HEX the bytes of
 *             lower-case hex strings of one length
 *   4 TEMPLATE, 5 TEMPLATE_MARK, 6 to 13 LANE: see below
 *
 * A column of type EMPTY has no vector.
 *
 * TEMPLATES.  Strings that differ in numbers only are kept as templates and
 * numbers: TEMPLATE is the template of each string, and 1 and 2 are of the
 * templates' texts.  In these a byte from 0xf8 on, which no string of such a
 * dictionary has, begins a variable:
 *
 *   f8 lane    decimal number without leading zeros
 *   f9 lane n  decimal number of n digits
 *   fa lane n  lower-case hex number of n digits
 *   fb lane n  number of n digits or lower-case letters, base 36
 *   fc lane    lower-case uuid of 36 characters: two numbers, its halves
 *
 * A lane has the numbers of all strings that belong there, in the order of
 * the strings and of their variables; numbers of one magnitude share a lane,
 * so that they pack well.  TEMPLATE_MARK has, lane by lane of those that
 * exist, how many numbers are before every PART_MARK-th string.  A string has
 * PART_TEMPLATE_NUMBERS numbers at most.
 *
 * PARENTS.  The rows of a trace in row order are numbered from 0.  A row's
 * PARENT is 0 (none), 1 (the raw id is the next value of PARENT_RAW; the
 * PARENT_MARK of a mini-block is the number of raw ids before it) or 2 + the
 * number of the parent row.  A parent that is not in the block, or whose span
 * id is not unique in the trace, or that is the row itself, is raw.
 *
 * LINKS.  Most links are to a span of the same trace, or of another one in the
 * block.  LINK_TRACE_CODE is 0 (the trace of the link's row), 1 + 2 * a trace
 * ordinal, or 2 + 2 * the number of a value of LINK_TRACE.  LINK_SPAN_CODE is
 * 0 (the parent id of the link's row), 1 + 2 * the number of a row of the
 * trace that LINK_TRACE_CODE says, or 2 + 2 * the number of a value of
 * LINK_SPAN.  Without these vectors link i has values i.
 *
 * TIMES.  TRACE_START is the smallest start of the trace's rows in the block,
 * ROW_START = start - TRACE_START, ROW_DURATION = zigzag(end - start),
 * EVENT_TIME = zigzag(time - start of its row), all modulo 2^64.
 *
 * FILTER.  A text that is in few blocks or in none is searched for without
 * reading their dictionaries: a block has a Bloom filter of the texts of its
 * columns of strings and integers that have more than PART_FILTER_MIN
 * distinct ones.  FILTER_KEYS are the entries of KEYS that are in it, with
 * all their values, ascending.  FILTER_BITS is the filter, n rows of
 * PART_FILTER_ROW bytes, lowest bit of a byte first; all bits of a text are
 * in one row, so that one small read answers:
 *
 *   k = XXH3-64 of the key (its first byte in KEYS, its name or the name of
 *       its field), with the seed of TRACES
 *   h = XXH3-64 of the string ("-" for an empty one, as in span/flat.h) or
 *       of the eight bytes of the integer, with k as the seed
 *   row (h >> 32) * n >> 32
 *   bits g >> (19 + 9 * i) & 511 of it for i = 0 .. 4, where
 *       g = (h & 0xffffffff) * 0x9e3779b97f4a7c15 mod 2^64
 *
 * Tenants share the filter of a block: a yes only means that the block is
 * read.  No block and no column needs a filter.
 *
 * SECTIONS of the index; those that grow with the data may be zstd frames.
 * "string" is a varint number into STRINGS.
 *
 *   BLOCKS     struct part_block each
 *   LINEAGE    u8 node id[16], u32 ninputs, u32 nranges, u64 input part
 *              ids[], struct part_lineage ranges[]
 *   STRINGS    varint n, n varint lengths, the bytes
 *   TENANTS    struct tenant each, ascending
 *   KEYS       varint n, each: u8 scope (enum key_scope but KEY_FIELD) | 0x80
 *              for a field, u8 type (enum value_type), varint occurrence,
 *              string name (field: varint enum field_key).  The second time a
 *              key has the same type in one list is another column,
 *              occurrence 1, and so on
 *   SHAPES     varint n, each: u8 scope, varint nkeys, varint keys in the
 *              order of the list, fields behind the attributes
 *   SCOPES     varint n, each a list (its fields STREAM_FIELDS and
 *              EXTRA_FIELDS hold what the request said: span/span.h)
 *   RESOURCES  varint n, each: string service, a list
 *   STREAMS    varint n, each: varint tenant, string service, varint scope,
 *              string name, varint zigzag(kind); sorted by tenant, service,
 *              name, kind
 *   TRACES     struct part_traces and its arrays: where a trace id is
 *   VALUES     for each tenant: varint rows, varint nlists, the lists
 *   CELLS      for each block: u32 nbytes (0: it has no cells), the cells
 *   EDGES      for each block: u32 nbytes (0: it has no edges), varint n + 1,
 *              n edges
 *   FIELDS     for each tenant: varint n + 1 (0: it is not told), n fields
 *
 * VALUES tells which values the attributes of a tenant's spans have, so that
 * they can be listed with their numbers of rows, and blocks without a value
 * left alone.  It is there in merged parts, if at all.  A list is that of an
 * entry of KEYS of scope KEY_SPAN that is no field, or (the last one, with the
 * number of entries of KEYS) that of the resources.  All that rows have are
 * there, ascending:
 *
 *     varint key, varint n (0: there are more than are kept), then n times,
 *     ascending: the value (STRING varint len, bytes; INT, BOOL and resources
 *     zigzag varint), varint rows, varint nbytes and so many bytes with a bit
 *     for each block that has it, lowest first (0: all blocks have it)
 *
 * Each value of a row counts, so a row in which two keys have one name counts
 * twice.
 *
 * CELLS sums up the rows of a block by stream and status, so that counts, sums,
 * least and greatest durations need no rows.  A block with a status above 2,
 * or with so many streams that it would not pay, has no cells.  The rows of a
 * cell are also counted by slots of the end time, whose number counts from
 * 1970:
 *
 *     varint seconds of a slot (0: none), varint zigzag(first slot), varint
 *     nslots, varint ncells, then ascending by (stream, status):
 *       varint stream - previous stream (first: stream)
 *       varint status | PART_CELL_US: durations below are in microseconds
 *       varint rows
 *       varint zigzag(least duration)
 *       varint greatest - least duration       if rows > 1
 *       varint sum of (duration - least)       if rows > 2
 *       varint rows of each slot but the last
 *
 * A duration is end - start modulo 2^64, with a sign.
 *
 * EDGES has the calls between services that are seen in a block: of spans whose
 * PARENT is a row of another service.  An edge is: varint tenant, string
 * parent's service, string child's service, varint calls, varint calls that
 * failed (status code 2), varint zigzag(sum of the children's durations).
 *
 * FIELDS has each field of the flat view (span/flat.h, _stream and _stream_id)
 * that a row of the tenant has, so that names need no rows.  A tenant with a
 * name of more than PART_FIELD_NAME_MAX bytes, or with very many events in a
 * row, is not told.
 * A field is, the names ascending:
 *
 *     varint bytes shared with the name before, varint n, the n bytes behind
 *     them, varint rows that have the field
 *
 * Elsewhere a list is: varint shape, then per key STRING BYTES ARRAY KVLIST
 * string, BOOL u8, INT zigzag varint, DOUBLE u64, EMPTY nothing.
 */

#ifndef SPOOR_STORAGE_PART_FORMAT_H
#define SPOOR_STORAGE_PART_FORMAT_H

#include "core/base.h"
#include "span/span.h"

#define PART_MAGIC UINT64_C(0x315450524f4f5053) /* "SPOORPT1" */
#define PART_MAJOR 2
#define PART_MINOR 0

#define PART_FOOTER_BYTES 4096u
#define PART_BLOCK_ALIGN 4096u
#define PART_SECTION_ALIGN 64u
#define PART_SECTIONS_MAX 64u

#define PART_BLOCK_ROWS 65536u  /* a row number of a block fits 16 bits */
#define PART_BLOCKS_MAX 4096u   /* 268 M rows: no merge makes more */
#define PART_PAGE_LOG2_MIN 10u  /* heap pages: the unit of decompression */
#define PART_PAGE_LOG2_MAX 20u
#define PART_MARK 128u          /* lengths to add up for one string */
#define PART_INLINE_MAX 48u     /* a checksum and a read cost more */
#define PART_RAW_CHUNK (2 * KIB) /* rows of a trace are far apart */
#define PART_RAW_WIDTH_MAX 64u
#define PART_HEX_MAX (2 * PART_RAW_WIDTH_MAX)
#define PART_VALUES_PER_KEY 1000u /* more are not listed in VALUES */
#define PART_TEMPLATE_NUMBERS 8u
#define PART_TEMPLATE_LANES 8u
#define PART_CELL_STATUSES 3u
#define PART_CELL_US 4u
#define PART_FILTER_MIN 32u  /* so few are found in their dictionary */
#define PART_FILTER_ROW 64u  /* bytes of one value of FILTER_BITS */
#define PART_FILTER_PROBES 5u

/*
 * Limits of what a reader accepts, so that a forged file cannot make it
 * allocate without bound.  A memtable (16 MiB) stays far below them.
 */
#define PART_HEAP_MAX (64 * MIB)      /* string bytes of a block */
#define PART_SUBS_MAX (4u << 20)      /* events, or links, of a block */
#define PART_VALUES_MAX (16u << 20)   /* of all runs' shapes together */
#define PART_DIRECTORY_MAX (32 * MIB) /* of a block */
#define PART_SECTION_MAX (64 * MIB)   /* decompressed */
#define PART_KEYS_MAX (1u << 20)
#define PART_FILE_MAX (UINT64_C(1) << 40)
/* Of FIELDS: names of all tenants of a part, one name, all names. */
#define PART_FIELDS_MAX 16384u
#define PART_FIELD_NAME_MAX 512u
#define PART_FIELDS_BYTES_MAX (4 * MIB)

enum part_encoding {
    PART_CONST = 0,
    PART_RAW = 7,
    PART_UUID = 10,
    PART_HEX = 11,
    PART_PACKED = 32,
    PART_INLINE = 33,
};

/* Values of one chunk of fixed-width bytes. */
static inline uint32_t
part_raw_chunk(uint32_t width)
{
    return (uint32_t)PART_RAW_CHUNK / width;
}

enum part_role {
    PART_ROLE_VALUES = 0,
    PART_ROLE_LENGTH = 1,
    PART_ROLE_MARK = 2,
    PART_ROLE_FIXED = 3,
    PART_ROLE_TEMPLATE = 4,
    PART_ROLE_TEMPLATE_MARK = 5,
    PART_ROLE_LANE = 6, /* the first of PART_TEMPLATE_LANES */
    PART_ROLES = 16,
};

/* Core columns; a number is never used again. */
enum part_column {
    PART_RUN_STREAM = 0,
    PART_RUN_SHAPE = 1,
    PART_RUN_ROWS = 2,
    /* one value a trace, in the order of (tenant, start) */
    PART_TRACE_TENANT = 4,
    PART_TRACE_HI = 5, /* RAW 8: first and last half of the id */
    PART_TRACE_LO = 6,
    PART_TRACE_START = 7,
    /* one value a span */
    PART_ROW_TRACE = 8,
    PART_ROW_PARENT = 9,
    PART_PARENT_MARK = 10,
    PART_PARENT_RAW = 11, /* RAW 8 */
    PART_ROW_ID = 12,     /* RAW 8 */
    PART_ROW_START = 13,
    PART_ROW_DURATION = 14,
    PART_ROW_RESOURCE = 15,
    PART_ROW_STATUS = 16, /* 0..2; 3: the STATUS_CODE field has it */
    /* one value an event; rows ascend, then the sender's order */
    PART_EVENT_RUN_SHAPE = 24,
    PART_EVENT_RUN_ROWS = 25,
    PART_EVENT_ROW = 26,
    PART_EVENT_TIME = 27,
    PART_EVENT_NAME = 28, /* string */
    /* one value a link, but 35 and 36: only those that are looked up */
    PART_LINK_RUN_SHAPE = 32,
    PART_LINK_RUN_ROWS = 33,
    PART_LINK_ROW = 34,
    PART_LINK_TRACE = 35, /* RAW 16 */
    PART_LINK_SPAN = 36,  /* RAW 8 */
    PART_LINK_TRACE_CODE = 37,
    PART_LINK_SPAN_CODE = 38,
    /* of the block */
    PART_FILTER_BITS = 40, /* RAW PART_FILTER_ROW */
    PART_FILTER_KEYS = 41,
    PART_COLUMNS_CORE = 64,
};

/* LINK_TRACE_CODE and LINK_SPAN_CODE; the last two plus twice a number. */
#define PART_LINK_OWN 0u
#define PART_LINK_KNOWN 1u
#define PART_LINK_RAW 2u

enum part_section_type {
    PART_SECTION_BLOCKS = 1,
    PART_SECTION_LINEAGE = 2,
    PART_SECTION_STRINGS = 3,
    PART_SECTION_TENANTS = 4,
    PART_SECTION_KEYS = 5,
    PART_SECTION_SHAPES = 6,
    PART_SECTION_SCOPES = 7,
    PART_SECTION_RESOURCES = 8,
    PART_SECTION_STREAMS = 9,
    PART_SECTION_TRACES = 10,
    /* From here on a part may be without, and a reader may ignore them. */
    PART_SECTION_VALUES = 11,
    PART_SECTION_CELLS = 12,
    PART_SECTION_EDGES = 13,
    PART_SECTION_FIELDS = 14,
    PART_SECTION_TYPES,
};

#define PART_SECTION_CRITICAL 1u /* flag: must be understood */

enum part_codec {
    PART_CODEC_NONE = 0,
    PART_CODEC_ZSTD = 1,
};

struct part_section {
    uint16_t type;
    uint16_t flags;
    uint8_t codec;
    uint8_t reserved[3];
    uint64_t off;
    uint64_t len;  /* in the file */
    uint64_t raw;  /* decompressed */
    uint64_t xxh3; /* of the bytes in the file */
};
_Static_assert(sizeof(struct part_section) == 40, "on disk");

struct part_footer {
    uint64_t magic;
    uint8_t major;
    uint8_t minor;
    uint8_t level;
    uint8_t flags; /* 0 */
    uint16_t nsections;
    uint16_t reserved;
    uint64_t part_id;
    uint32_t day; /* 20261121 */
    uint32_t nblocks;
    uint64_t rows;
    uint64_t traces; /* a trace in two blocks counts twice */
    int64_t min_start_ns;
    int64_t max_start_ns;
    int64_t min_end_ns;
    int64_t max_end_ns;
    uint64_t file_bytes;
    uint8_t node_id[16];
    struct part_section sections[PART_SECTIONS_MAX];
    uint8_t unused[PART_FOOTER_BYTES - 104 - 40 * PART_SECTIONS_MAX - 8];
    uint64_t xxh3; /* of the bytes before it */
};
_Static_assert(sizeof(struct part_footer) == PART_FOOTER_BYTES, "on disk");

/* Rows by sixteenths of [min_end, max_end], for newest-first searches. */
#define PART_END_BINS 16u

struct part_block {
    uint64_t off;
    uint64_t len; /* chunks, pages and directory */
    uint32_t rows;
    uint32_t traces;
    uint32_t runs;
    uint32_t flags;   /* 0 */
    uint64_t dir_off; /* from the start of the block */
    uint64_t dir_len;
    uint64_t dir_xxh3;
    int64_t min_start_ns;
    int64_t max_start_ns;
    int64_t min_end_ns;
    int64_t max_end_ns;
    uint32_t error_rows; /* status code 2 */
    uint32_t reserved;
    uint32_t end_bins[PART_END_BINS];
};
_Static_assert(sizeof(struct part_block) == 160, "on disk");

static inline uint64_t
part_end_bin_width(int64_t min, int64_t max)
{
    return ((uint64_t)max - (uint64_t)min) / PART_END_BINS + 1;
}

/* Bin of an end; min <= end <= max. */
static inline uint32_t
part_end_bin(int64_t min, int64_t max, int64_t end)
{
    return (uint32_t)(((uint64_t)end - (uint64_t)min) /
        part_end_bin_width(min, max));
}

/*
 * TRACES.  h = XXH3-64 with the seed of (account u32, project u32, trace id).
 * The bucket is the top `log2_buckets` bits of h, the tag the 16 bits below.
 * After the struct, each array padded to 8 bytes:
 *
 *   u32 bucket_off[(1 << log2_buckets) + 1]
 *   u16 tag[n]         ascending within a bucket
 *   u16 ordinal[n]     of the trace in its block
 *   u16 block[n]       only if the part has more than one block
 *
 * n counts (trace, block) pairs.  The seed follows from the node id, which is
 * random and not told to clients, so nobody can choose ids that fall into one
 * bucket; and all parts that a node writes have the same one, so their indexes
 * can be compared (trace_union.h).  A reader takes the seed from the section.
 */
struct part_traces {
    uint64_t seed;
    uint32_t n;
    uint8_t log2_buckets;
    uint8_t has_blocks;
    uint8_t reserved[2];
};
_Static_assert(sizeof(struct part_traces) == 16, "on disk");

/*
 * What a writer aims at.  Few traces are put into more buckets than they need,
 * so that their index holds about as many bits of a hash as that of a large
 * part: then few are alike by chance (trace_union.h).
 */
#define PART_TRACES_PER_BUCKET 32u
#define PART_TRACES_PER_BUCKET_FEW 8u
#define PART_TRACES_LOG2_FEW 11u
#define PART_TRACES_LOG2_MAX 24u
#define PART_TRACES_TAG_BITS 16u

uint64_t part_trace_seed(const uint8_t node_id[16]);
uint64_t part_trace_hash(uint64_t seed, const struct tenant *tenant,
    const struct trace_id *id);

/* The k and h of the filter; head is the key's first byte in KEYS. */
uint64_t part_filter_key(uint64_t seed, uint8_t head, struct sv name);
uint64_t part_filter_hash(uint64_t key, struct sv text);
uint64_t part_filter_int_hash(uint64_t key, uint64_t v);

/* The row of a hash in a filter of n rows, and its bits in that row. */
static inline uint32_t
part_filter_row(uint64_t hash, uint32_t n)
{
    return (uint32_t)((hash >> 32) * n >> 32);
}

static inline uint32_t
part_filter_bit(uint64_t hash, uint32_t i)
{
    uint64_t mixed = (uint32_t)hash * UINT64_C(0x9e3779b97f4a7c15);

    return mixed >> (19 + 9 * i) & (8 * PART_FILTER_ROW - 1);
}

/* The checksum of len bytes of a part. */
uint64_t part_checksum(uint64_t part_id, const void *ptr, size_t len);
/* The footer's own. */
uint64_t part_footer_checksum(const struct part_footer *footer);

/* Decompresses a section or page; false unless exactly raw bytes come out. */
bool part_unpack(void *dst, size_t raw, const void *packed, size_t len);

#endif
