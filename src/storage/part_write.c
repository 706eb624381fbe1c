/* SPDX-License-Identifier: BSD-2-Clause */

/* Encoding a part: the writer, its memory, and the steps in order. */

#include "core/base.h"
#include "storage/part_write.h"

#include <sys/random.h>
#include <zstd.h>

#include "core/assert.h"
#include "core/mem.h"

#define WRITER_MAGIC UINT32_C(0x70617277)

/*
 * What a part may grow to.  Every value of a memtable takes a word of its
 * 16 MiB and at most PART_RAW_WIDTH_MAX bytes here, and the heap holds little
 * more than its strings, so this is never reached.
 */
#define FILE_BYTES_MAX (512 * MIB)

/* Fast, and pages are small: higher levels gain 2 % at twice the time. */
#define ZSTD_LEVEL 1

struct part_writer *
part_writer_new(void)
{
    struct part_writer *w = xcalloc(1, sizeof(*w));
    ZSTD_CCtx *zstd = ZSTD_createCCtx();

    check(zstd != NULL);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 0);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_dictIDFlag, 0);
    w->magic = WRITER_MAGIC;
    w->zstd = zstd;
    check(getrandom(&w->seed, sizeof(w->seed), 0) == sizeof(w->seed));
    sb_init(&w->out, FILE_BYTES_MAX);
    sb_init(&w->heap, PART_HEAP_MAX);
    sb_init(&w->inlined, PART_DIRECTORY_MAX);
    sb_init(&w->section, PART_SECTION_MAX);
    sb_init(&w->packed, 2 * PART_SECTION_MAX);
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
    sb_release(&w->inlined);
    sb_release(&w->section);
    sb_release(&w->packed);
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

/* --- steps --- */

/* Zeroes everything that belongs to one part; memory and seed stay. */
static void
start_part(struct part_writer *w)
{
    size_t from = offsetof(struct part_writer, mt);

    memset((char *)w + from, 0, sizeof(*w) - from);
    sb_reset(&w->out);
    sb_reset(&w->inlined);
    sb_reset(&w->section);
}

static void
start_footer(struct part_writer *w, uint32_t day, const uint8_t node_id[16])
{
    struct part_footer *footer = &w->footer;

    footer->magic = PART_MAGIC;
    footer->major = PART_MAJOR;
    footer->minor = PART_MINOR;
    footer->level = 1;
    footer->part_id = w->part_id;
    footer->day = day;
    footer->nblocks = 1;
    memcpy(footer->node_id, node_id, sizeof(footer->node_id));
}

static int
end_footer(struct part_writer *w)
{
    struct part_footer *footer = &w->footer;

    footer->rows = w->block.rows;
    footer->traces = w->block.traces;
    footer->min_start_ns = w->block.min_start_ns;
    footer->max_start_ns = w->block.max_start_ns;
    footer->min_end_ns = w->block.min_end_ns;
    footer->max_end_ns = w->block.max_end_ns;
    footer->file_bytes = w->out.len + sizeof(*footer);
    footer->xxh3 = part_footer_checksum(footer);
    sb_add(&w->out, footer, sizeof(*footer));
    return writer_sb_ok(w, &w->out);
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
part_encode(struct part_writer *w, const struct memtable *mt,
    const uint32_t *rows, uint32_t nrows, uint64_t part_id, uint32_t day,
    const uint8_t node_id[16], const struct part_lineage *lineage,
    struct sv *file, struct part_info *info, struct err *err)
{
    OBJ_CHECK(w, WRITER_MAGIC);
    check(nrows > 0 && nrows <= MEMTABLE_ROWS_MAX);
    start_part(w);
    w->mt = mt;
    w->err = err;
    w->part_id = part_id;
    w->trace_seed = part_checksum(part_id, &w->seed, sizeof(w->seed));
    w->nstrings_mt = MIN(mt->h.nstrings, MEMTABLE_STRINGS_MAX);
    w->input = rows;
    w->nrows = nrows;
    start_footer(w, day, node_id);
    if (write_order(w) != 0 || write_rows(w) != 0 || write_subs(w) != 0 ||
        write_all_runs(w) != 0 || write_keys(w) != 0 ||
        write_dicts(w) != 0 || write_filter(w) != 0 ||
        write_directory(w) != 0 || write_index(w, lineage) != 0 ||
        end_footer(w) != 0)
        return -1;
    *file = sb_sv(&w->out);
    fill_info(&w->footer, info);
    return 0;
}
