/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the files of a merge share; private to merge*.c.
 *
 *   merge.c          the steps in order, the file
 *   merge_tables.c   one index from those of the inputs
 *   merge_plan.c     which rows go into which block
 *   merge_input.c    a block of an input, decoded
 *   merge_rows.c     rows of a block of the output, their order
 *   merge_values.c   their values
 *   merge_dedupe.c   spans that are there twice
 *
 * Ordinals and texts without a word are those of the output.
 */

#ifndef SPOOR_STORAGE_MERGE_STATE_H
#define SPOOR_STORAGE_MERGE_STATE_H

#include "core/base.h"
#include "core/err.h"
#include "core/intern.h"
#include "core/pool.h"
#include "storage/merge.h"
#include "storage/part_read.h"
#include "storage/part_write.h"

/*
 * Decoded blocks of inputs that are kept, 8 to 12 MB each for usual spans.
 * Two workers' parts of the same time and their successors make four; when a
 * block of the output takes rows from more, each is decoded three times.
 */
#define MERGE_BLOCKS_OPEN 4u

/* What a decoded block may take: an honest one has 16 MiB of memtable. */
#define MERGE_BLOCK_BYTES_MAX (256 * MIB)
/* Distinct strings of a block of the output, and of the index. */
#define MERGE_TEXTS_MAX (256 * MIB)

struct merge_input {
    struct part *part;
    uint32_t first_block; /* its block 0 among the blocks of all inputs */
    /* by the input's ordinal */
    uint32_t *tenants;
    uint32_t *streams;
    uint32_t *shapes;
    uint32_t *resources;
};

/* --- a block of an input --- */

struct merge_column {
    union {
        uint32_t *codes;   /* of strings, or booleans */
        uint64_t *numbers;
    };
    uint32_t n;
    struct sv *texts;      /* by code */
    uint64_t *map;         /* by code: stamp << 32 | text */
    uint32_t ntexts;
};

/* Events or links of the rows. */
struct merge_subs {
    uint32_t n;
    uint32_t *first; /* by row, one more at the end */
    uint32_t *run;   /* by event: its run */
};

/* Ids of traces of a block. */
struct merge_traces {
    uint32_t n;
    uint64_t *hi, *lo;
    uint32_t *tenant;
};

struct merge_block {
    uint32_t number;  /* among all; UINT32_MAX: none */
    uint64_t used;    /* when, for replacement */
    struct pool *pool;
    struct reading r;
    bool is_reading;
    const struct merge_input *input;
    const struct part_families *families;
    const struct part_runs *runs[PART_TABLES];
    uint32_t nrows;
    struct merge_traces traces;
    /* by row */
    uint64_t *ids;
    uint64_t *parent_ids;
    int64_t *start_ns;
    int64_t *end_ns;
    uint32_t *resource; /* the input's */
    uint32_t *status;
    uint32_t *run;
    uint32_t *trace;
    char *heap;
    struct merge_subs subs[PART_TABLES]; /* of events and links */
    int64_t *event_time;
    struct merge_column event_name;
    uint8_t *link_trace; /* 16 bytes each */
    uint64_t *link_span;
    struct merge_column *columns; /* by key of the input */
};

/* --- the plan --- */

/* The rows of one trace in one block of an input. */
struct merge_entry {
    int64_t slice;
    uint32_t block;   /* among all inputs' */
    uint32_t rows;
    uint16_t ordinal; /* of the trace in it */
    bool is_slice;    /* only the rows of this slice of ends */
};

/* A block of the output: entries by input block. */
struct merge_out {
    uint32_t first, end; /* entries */
};

/* --- a block of the output while it is made --- */

struct merge_row {
    int64_t start_ns;
    uint64_t id;
    uint32_t entry; /* counted from the block's first */
    uint32_t block; /* of the inputs' */
    uint32_t run;   /* of that block */
    uint32_t source;
    uint32_t stream;
    uint32_t shape;
    uint32_t nevents;
    uint32_t nlinks;
    uint16_t row;   /* of that block */
    bool is_dropped;
};

/* The rows that come from one block of an input. */
struct merge_source {
    uint32_t block;
    uint32_t first, end; /* in picks */
};

/* A row of the output, and the row that it is of its source. */
struct merge_pick {
    uint32_t place;
    uint32_t run;
    uint16_t row;
};

/* Where the values of a table of the output stand. */
struct merge_table {
    uint32_t *first; /* events and links, by place: of the row, one more */
    uint32_t *shape; /* events and links, by number */
    uint32_t *run;   /* by number: its run */
    uint32_t *run_start;  /* by run, one more at the end */
    uint32_t *base_first; /* by run: in base */
    uint32_t *base;       /* by run and key: place of the first value */
};

/* Which trace an entry is of. */
struct merge_owner {
    struct trace_id id;
    uint32_t tenant;
    uint32_t trace; /* index in the writer's traces */
};

struct merge {
    const struct merge_task *task;
    struct err *err;
    struct part_writer *w;
    struct merge_input *inputs;
    uint32_t ninputs;
    uint32_t nblocks;        /* of all inputs */
    uint32_t reading_input;  /* where damage was, if there was */
    struct pool *pool;       /* tables and plan */
    struct intern texts;
    struct merge_counts counts;

    struct merge_entry *entries; /* in the order of the output */
    uint32_t nentries;
    struct merge_out *outs;
    uint32_t nouts;

    uint32_t *rows_left;     /* by input block: not written yet */
    struct merge_block blocks[MERGE_BLOCKS_OPEN];
    uint64_t clock;
    uint32_t stamp; /* of the texts of this block of the output */

    /* of the block being made, in `block_pool` */
    struct pool *block_pool;
    struct merge_row *rows;
    uint32_t nrows;
    struct merge_owner *owners;
    uint32_t nowners;
    uint32_t *order;    /* by place in the block: row */
    struct merge_pick *picks; /* by source, then rising */
    struct merge_source *sources;
    uint32_t nsources;
    struct merge_table tables[TABLES];
    bool has_twins; /* rows of equal ids and starts stand side by side */
};

int merge_no_memory(struct merge *m);
bool merge_is_cancelled(struct merge *m);
/* pool_alloc() of the merge or of the block; NULL and err set without. */
void *merge_alloc(struct merge *m, struct pool *pool, size_t bytes)
    WARN_UNUSED;

/* --- merge_tables.c: fills the maps of inputs and the writer's tables --- */
int merge_tables(struct merge *m) WARN_UNUSED;

/* --- merge_plan.c --- */

/* Ends of one slice never go into two blocks unless they fill one. */
#define MERGE_SLICE_NS (600 * NS_PER_SEC)
int merge_plan(struct merge *m) WARN_UNUSED;
/* Slice of an end. */
static inline int64_t
merge_slice(int64_t end_ns)
{
    return end_ns / MERGE_SLICE_NS;
}

/* --- merge_input.c --- */

/* Which traces the block has and when its rows end; all in the pool. */
struct merge_outline {
    const struct part_families *families;
    struct merge_traces traces;
    int64_t *end_ns; /* by row */
    uint32_t heap_bytes;
    uint32_t nrows;
};
/* The reading is to be released by the caller in any case. */
int merge_outline(struct merge *m, uint32_t number, struct reading *r,
    struct pool *pool, struct merge_outline *outline) WARN_UNUSED;

/* The block, decoded; good until MERGE_BLOCKS_OPEN others were asked for. */
int merge_open(struct merge *m, uint32_t number, struct merge_block **out)
    WARN_UNUSED;
void merge_close_all(struct merge *m);

/* --- merge_rows.c --- */

/* Collects rows and traces of a block of the output. */
int merge_collect(struct merge *m, const struct merge_out *out) WARN_UNUSED;
/* Orders those that are not dropped: rows, runs, traces of the writer. */
int merge_order(struct merge *m) WARN_UNUSED;

/* --- merge_values.c --- */
int merge_values(struct merge *m) WARN_UNUSED;

/* --- merge_dedupe.c: marks copies as dropped and says how many --- */
uint32_t merge_dedupe(struct merge *m);

#endif
