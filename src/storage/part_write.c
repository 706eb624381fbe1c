/* SPDX-License-Identifier: BSD-2-Clause */

/* Encoding a part: the writer, its memory, and the frame of a file. */

#include "core/base.h"
#include "storage/part_write.h"

#include <zstd.h>

#include "core/assert.h"
#include "core/mem.h"
#include "core/sys.h"

#define WRITER_MAGIC UINT32_C(0x70617277)

/*
 * What a part may grow to.  Every value of a memtable takes a word of its
 * 16 MiB and at most PART_RAW_WIDTH_MAX bytes here, and the heap holds little
 * more than its strings, so this is never reached.
 */
#define FILE_BYTES_MAX (512 * MIB)

/* Fast, and pages are small: higher levels gain 2 % at twice the time. */
#define ZSTD_LEVEL 1
/*
 * Little is left to compress when parts are merged, so 3 finds nearly all:
 * level 6 saves 0.1 bytes a span more for 9 % of the merge's instructions.
 */
#define ZSTD_LEVEL_MERGED 3

struct part_writer *
part_writer_new(void)
{
    struct part_writer *w = xcalloc(1, sizeof(*w));
    ZSTD_CCtx *zstd = ZSTD_createCCtx();

    check(zstd != NULL);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 0);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_dictIDFlag, 0);
    w->magic = WRITER_MAGIC;
    w->zstd = zstd;
    check(sys.random(&w->seed, sizeof(w->seed)) == 0);
    sb_init(&w->out, FILE_BYTES_MAX);
    sb_init(&w->heap, PART_HEAP_MAX);
    sb_init(&w->templates, PART_HEAP_MAX);
    sb_init(&w->inlined, PART_DIRECTORY_MAX);
    sb_init(&w->section, PART_SECTION_MAX);
    sb_init(&w->packed, 2 * PART_SECTION_MAX);
    sb_init(&w->cells, PART_SECTION_MAX);
    sb_init(&w->edges, 4 * PART_SECTION_MAX);
    return w;
}

void
part_writer_free(struct part_writer *w)
{
    if (w == NULL)
        return;
    OBJ_CHECK(w, WRITER_MAGIC);
    for (unsigned i = 0; i < SCRATCH_COUNT; i++)
        xfree(w->scratch[i].ptr);
    ZSTD_freeCCtx(w->zstd);
    sb_release(&w->out);
    sb_release(&w->heap);
    sb_release(&w->templates);
    sb_release(&w->inlined);
    sb_release(&w->section);
    sb_release(&w->packed);
    sb_release(&w->cells);
    sb_release(&w->edges);
    intern_release(&w->value_table);
    intern_release(&w->field_table);
    w->magic = 0;
    xfree(w);
}

/* --- memory --- */

static int
no_memory(struct part_writer *w, size_t bytes)
{
    return err_set(w->err, ERR_LIMIT,
        "part %016llx: no memory for %zu bytes while encoding",
        (unsigned long long)w->part_id, bytes);
}

void *
writer_alloc(struct part_writer *w, enum scratch_id id, size_t bytes)
{
    struct scratch *scratch = &w->scratch[id];

    if (scratch->ptr != NULL && bytes <= scratch->cap)
        return scratch->ptr;
    xfree(scratch->ptr);
    bytes = MAX(bytes, 64u);
    scratch->ptr = mem_try_alloc(bytes);
    scratch->cap = scratch->ptr == NULL ? 0 : bytes;
    if (scratch->ptr == NULL)
        (void)no_memory(w, bytes);
    return scratch->ptr;
}

void *
writer_grow(struct part_writer *w, enum scratch_id id, size_t bytes)
{
    struct scratch *scratch = &w->scratch[id];
    size_t cap = MAX(MAX(bytes, 2 * scratch->cap), 1024u);
    void *ptr;

    if (scratch->ptr != NULL && bytes <= scratch->cap)
        return scratch->ptr;
    ptr = mem_try_realloc(scratch->ptr, cap);
    if (ptr == NULL) {
        (void)no_memory(w, cap);
        return NULL;
    }
    scratch->ptr = ptr;
    scratch->cap = cap;
    return ptr;
}

int
writer_damaged(struct part_writer *w, const char *what, uint64_t where)
{
    return err_set(w->err, ERR_CORRUPT, "memtable: %s %llu is damaged", what,
        (unsigned long long)where);
}

int
writer_sb_ok(struct part_writer *w, const struct sb *sb)
{
    if (!sb_failed(sb))
        return 0;
    return err_set(w->err, ERR_LIMIT,
        "part %016llx: no memory or too large after %zu bytes",
        (unsigned long long)w->part_id, sb->len);
}

int
writer_align(struct part_writer *w, uint32_t align)
{
    static const char zeros[PART_BLOCK_ALIGN];
    uint64_t pos = writer_pos(w);

    sb_add(&w->out, zeros, ALIGN_UP(pos, align) - pos);
    return writer_sb_ok(w, &w->out);
}

uint32_t *
writer_map(struct part_writer *w, enum scratch_id id, uint32_t n)
{
    uint32_t *map = writer_alloc(w, id, (size_t)n * sizeof(*map));

    if (map != NULL)
        memset(map, 0xff, (size_t)n * sizeof(*map));
    return map;
}

/* --- the frame --- */

void
writer_start(struct part_writer *w, const struct write_name *name,
    struct err *err)
{
    size_t from = offsetof(struct part_writer, err);
    struct part_footer *footer = &w->footer;

    OBJ_CHECK(w, WRITER_MAGIC);
    memset((char *)w + from, 0, sizeof(*w) - from);
    sb_reset(&w->out);
    sb_reset(&w->section);
    sb_reset(&w->cells);
    sb_reset(&w->edges);
    w->err = err;
    w->part_id = name->part_id;
    ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel,
        name->level > 1 ? ZSTD_LEVEL_MERGED : ZSTD_LEVEL);
    w->trace_seed = part_trace_seed(name->node_id);
    footer->magic = PART_MAGIC;
    footer->major = PART_MAJOR;
    footer->minor = PART_MINOR;
    footer->level = (uint8_t)name->level;
    footer->part_id = name->part_id;
    footer->day = name->day;
    footer->min_start_ns = footer->min_end_ns = INT64_MAX;
    footer->max_start_ns = footer->max_end_ns = INT64_MIN;
    memcpy(footer->node_id, name->node_id, sizeof(footer->node_id));
    writer_start_values(w);
    writer_start_fields(w);
}

static int
alloc_rows(struct part_writer *w, uint32_t n)
{
    w->row_ordinal = writer_alloc(w, SCRATCH_ROW_ORDINAL, n * sizeof(uint32_t));
    w->ids = writer_alloc(w, SCRATCH_ROW_IDS, n * sizeof(uint64_t));
    w->parent_ids = writer_alloc(w, SCRATCH_ROW_PARENTS,
        n * sizeof(uint64_t));
    w->start_ns = writer_alloc(w, SCRATCH_ROW_STARTS, n * sizeof(int64_t));
    w->end_ns = writer_alloc(w, SCRATCH_ROW_ENDS, n * sizeof(int64_t));
    w->row_resource = writer_alloc(w, SCRATCH_ROW_RESOURCES,
        n * sizeof(uint32_t));
    w->status = writer_alloc(w, SCRATCH_ROW_STATUS, n);
    w->tables[TABLE_SPANS].runs = writer_alloc(w, SCRATCH_TABLE_RUNS,
        n * sizeof(struct write_run));
    w->tables[TABLE_SPANS].n = n;
    return w->row_ordinal == NULL || w->ids == NULL ||
        w->parent_ids == NULL || w->start_ns == NULL || w->end_ns == NULL ||
        w->row_resource == NULL || w->status == NULL ||
        w->tables[TABLE_SPANS].runs == NULL ? -1 : 0;
}

int
writer_start_block(struct part_writer *w, uint32_t nrows)
{
    size_t from = offsetof(struct part_writer, nrows);

    check(nrows > 0 && nrows <= PART_BLOCK_ROWS);
    memset((char *)w + from, 0, sizeof(*w) - from);
    sb_reset(&w->inlined);
    sb_reset(&w->heap);
    w->nrows = nrows;
    if (w->nblocks >= PART_BLOCKS_MAX)
        return err_set(w->err, ERR_LIMIT, "a part has at most %u blocks",
            PART_BLOCKS_MAX);
    w->blocks = writer_grow(w, SCRATCH_BLOCKS,
        ((size_t)w->nblocks + 1) * sizeof(*w->blocks));
    if (w->blocks == NULL || writer_align(w, PART_BLOCK_ALIGN) != 0)
        return -1;
    w->block.off = writer_pos(w);
    return alloc_rows(w, nrows);
}

/* Footer and TRACES get what they say of the block. */
static int
add_block(struct part_writer *w)
{
    const struct part_block *block = &w->block;
    struct part_footer *footer = &w->footer;

    w->places = writer_grow(w, SCRATCH_PLACES,
        ((size_t)w->nplaces + w->ntraces) * sizeof(*w->places));
    if (w->places == NULL || writer_add_cells(w) != 0 ||
        writer_add_edges(w) != 0)
        return -1;
    for (uint32_t i = 0; i < w->ntraces; i++)
        w->places[w->nplaces++] = (struct write_place){
            w->traces[w->trace_order[i]].hash, (uint16_t)i,
            (uint16_t)w->nblocks};
    writer_add_values(w);
    writer_add_fields(w);
    w->blocks[w->nblocks++] = *block;
    footer->rows += block->rows;
    footer->traces += block->traces;
    footer->min_start_ns = MIN(footer->min_start_ns, block->min_start_ns);
    footer->max_start_ns = MAX(footer->max_start_ns, block->max_start_ns);
    footer->min_end_ns = MIN(footer->min_end_ns, block->min_end_ns);
    footer->max_end_ns = MAX(footer->max_end_ns, block->max_end_ns);
    return 0;
}

int
writer_end_block(struct part_writer *w)
{
    if (write_rows(w) != 0 || write_subs(w) != 0 || write_all_runs(w) != 0 ||
        write_values(w) != 0 || write_fields(w) != 0 ||
        write_keys(w) != 0 || write_dicts(w) != 0 || write_filter(w) != 0 ||
        write_directory(w) != 0)
        return -1;
    return add_block(w);
}

static void
fill_info(const struct part_footer *footer, struct part_info *info)
{
    *info = (struct part_info){
        .id = footer->part_id,
        .day = footer->day,
        .level = footer->level,
        .rows = footer->rows,
        .bytes = footer->file_bytes,
        .nblocks = footer->nblocks,
        .ntraces = (uint32_t)MIN(footer->traces, UINT32_MAX),
        .min_start_ns = footer->min_start_ns,
        .max_start_ns = footer->max_start_ns,
        .min_end_ns = footer->min_end_ns,
        .max_end_ns = footer->max_end_ns,
    };
}

int
writer_end(struct part_writer *w, const struct write_lineage *lineage,
    struct part_info *info)
{
    struct part_footer *footer = &w->footer;

    if (write_index(w, lineage) != 0)
        return -1;
    footer->nblocks = w->nblocks;
    footer->file_bytes = writer_pos(w) + sizeof(*footer);
    footer->xxh3 = part_footer_checksum(footer);
    sb_add(&w->out, footer, sizeof(*footer));
    fill_info(footer, info);
    return writer_sb_ok(w, &w->out);
}

int
part_encode(struct part_writer *w, const struct memtable *mt,
    const uint32_t *rows, uint32_t nrows, uint64_t part_id, uint32_t day,
    const uint8_t node_id[16], const struct part_lineage *lineage,
    struct sv *file, struct part_info *info, struct err *err)
{
    struct write_name name = {part_id, day, 1, node_id};
    struct write_lineage made_of = {NULL, 0, lineage, 1};

    check(nrows > 0 && nrows <= MEMTABLE_ROWS_MAX);
    writer_start(w, &name, err);
    w->mt = mt;
    w->ntexts = MIN(mt->h.nstrings, MEMTABLE_STRINGS_MAX);
    w->input = rows;
    if (writer_start_block(w, nrows) != 0 || write_order(w) != 0 ||
        write_gather(w) != 0 || writer_end_block(w) != 0 ||
        writer_end(w, &made_of, info) != 0)
        return -1;
    *file = sb_sv(&w->out);
    return 0;
}
