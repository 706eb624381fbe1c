/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Reads a forged part in every way: no read leaves its memory, none hangs.
 * The input is a list of bytes to overwrite: u8 area, u16 byte in the area
 * (modulo its length), u8 the new value.  An area is the block's chunks and
 * pages, its directory, or one index section, decompressed.  All checksums
 * are then made to fit, so that what the parsers check is what is tested.
 */

#include "core/base.h"

#include <sys/mman.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/file.h"
#include "storage/block.h"
#include "storage/merge.h"
#include "storage/part_read.h"
#include "storage/stream_visit.h"

#include "../t/unit/part_gen.h"
#include "../t/unit/span_gen.h"
#include "use_column.h"

#define ROWS 60
#define REAL_ROWS 110 /* enough texts for a filter and for templates */
#define DAMAGES_MAX 64
#define DAMAGE_BYTES 4
#define AREA_DATA 0
#define AREA_DIRECTORY 1
#define AREA_SECTIONS 2 /* + place in the section table */
#define AREAS_MAX (AREA_SECTIONS + PART_SECTION_TYPES)

static const struct tenant tenant0 = {1, 2};

struct area {
    uint8_t *pristine;
    uint8_t *bytes;
    size_t len;
};

static struct area areas[AREAS_MAX];
static unsigned nareas = AREA_SECTIONS;
static struct part_footer footer;
static struct trace_id trace_ids[ROWS];

/* Where the directory has the checksum of a stretch of the data. */
struct seal {
    size_t place;
    size_t off;
    size_t len;
};

static struct seal seals[1024];
static unsigned nseals;

static int file_fd;
static char path[64];

static void
add_area(unsigned i, const void *ptr, size_t len)
{
    areas[i].pristine = (uint8_t *)xmemdup0(ptr, len);
    areas[i].bytes = (uint8_t *)xmemdup0(ptr, len);
    areas[i].len = len;
}

/* The directory holds the checksum as it is: look for its eight bytes. */
static void
add_seal(const struct part_chunk *chunk, size_t len)
{
    const struct area *dir = &areas[AREA_DIRECTORY];
    uint8_t *place = memmem(dir->pristine, dir->len, &chunk->xxh3,
        sizeof(chunk->xxh3));

    check(place != NULL && nseals < ARRAY_LEN(seals));
    seals[nseals++] = (struct seal){(size_t)(place - dir->pristine),
        chunk->off, len};
}

static void
find_seals(struct part *part)
{
    struct reading r;
    struct err err = ERR_INIT;
    uint32_t ntemplates = 0;

    check(reading_open(&r, part, 0, &err) == 0);
    check(directory_find(r.dir, PART_FILTER_BITS, PART_ROLE_VALUES) != NULL);
    for (uint32_t i = 0; i < r.dir->nvectors; i++)
        ntemplates += r.dir->vectors[i].id % PART_ROLES ==
            PART_ROLE_TEMPLATE;
    check(ntemplates > 0);
    for (uint32_t i = 0; i < r.dir->nvectors; i++) {
        const struct part_vector *vector = &r.dir->vectors[i];

        for (uint32_t j = 0; j < vector->nchunks; j++) {
            const struct part_chunk *chunk =
                &r.dir->chunks[vector->first_chunk + j];

            if (vector->encoding != PART_INLINE)
                add_seal(chunk, chunk->len);
        }
    }
    for (uint32_t i = 0; i < r.dir->npages; i++) {
        size_t raw = directory_page_bytes(r.dir, i);

        add_seal(&r.dir->pages[i],
            r.dir->pages[i].len == 0 ? raw : r.dir->pages[i].len);
    }
    reading_release(&r);
}

/* The sections of the pristine file, decompressed. */
static void
find_sections(const uint8_t *file)
{
    for (unsigned i = 0; i < footer.nsections; i++) {
        struct part_section *section = &footer.sections[i];
        const uint8_t *packed = file + section->off;
        uint8_t *raw = xmalloc(section->raw + 1);

        if (section->codec == PART_CODEC_NONE)
            memcpy(raw, packed, section->raw);
        else
            check(part_unpack(raw, section->raw, packed, section->len));
        section->codec = PART_CODEC_NONE;
        section->len = section->raw;
        add_area(nareas++, raw, section->raw);
        xfree(raw);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Strings that differ in numbers of all kinds. */
static void
add_templates(struct span_gen *spans, struct batch *batch)
{
    for (uint32_t i = 0; i < batch->nspans; i++) {
        struct attrs *attrs = &batch->spans[i].attrs;
        struct attr *v = gen_alloc(batch, (attrs->n + 1) * sizeof(*v));
        struct sv uuid = gen_uuid(spans, batch);

        memcpy(v, attrs->v, attrs->n * sizeof(*v));
        gen_attr_str(&v[attrs->n], "template", i % 2 == 0 ?
            gen_printf(batch, "/item/%u/%03u/state/%u",
                gen_below(spans, 10000), i, gen_below(spans, 300)) :
            i % 8 != 1 ? gen_printf(batch, "/order/%.*s", SV_ARG(uuid)) :
            gen_printf(batch, "%04x9a7b/x%.*s", i, 12, uuid.ptr + 24));
        *attrs = (struct attrs){v, attrs->n + 1};
    }
}

/* Of level 2, which has all encodings; in gen's file. */
static void
make_pristine(struct part_gen *gen)
{
    struct pool *pool = pool_new(64 * MIB);
    struct span_gen spans;
    struct err err = ERR_INIT;
    struct batch batch;

    span_gen_init(&spans, 1);
    spans.now_ns += 12 * 3600 * NS_PER_SEC;
    spans.huge_every = 200;
    spans.shapes = 20;
    batch_init(&batch, pool);
    span_gen_wild(&spans, &batch, ROWS);
    check(part_gen_add(gen, tenant0, &batch));
    for (uint32_t i = 0; i < ROWS; i++)
        trace_ids[i] = batch.spans[i].trace_id;
    batch_init(&batch, pool);
    span_gen_real(&spans, &batch, 3, REAL_ROWS);
    add_templates(&spans, &batch);
    check(part_gen_add(gen, tenant0, &batch));
    check(part_gen_encode(gen, &err) == 0);
    part_gen_write(gen, gen->file.ptr, gen->file.len);
    part_gen_merge(gen, gen->path);
    pool_free(pool);
}

int
LLVMFuzzerInitialize(UNUSED int *argc, UNUSED char ***argv)
{
    struct part_gen gen;
    struct err err = ERR_INIT;
    struct part *part = NULL;
    uint8_t *file;

    part_gen_init(&gen);
    make_pristine(&gen);
    file_fd = memfd_create("part", MFD_CLOEXEC);
    check(file_fd >= 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file_fd);
    check(part_open(&part, gen.path, &err) == 0);
    footer = part->footer;
    file = xmalloc(footer.file_bytes);
    check(file_pread(part->fd, file, footer.file_bytes, 0, &err) == 0);
    check(part->blocks[0].off == 0);
    add_area(AREA_DATA, file, part->blocks[0].dir_off);
    add_area(AREA_DIRECTORY, file + part->blocks[0].dir_off,
        part->blocks[0].dir_len);
    find_seals(part);
    find_sections(file);
    part_close(part);
    xfree(file);
    part_gen_free(&gen);
    return 0;
}

/* --- putting the file together --- */

static size_t
put(const void *ptr, size_t len, size_t off)
{
    check(pwrite(file_fd, ptr, len, (off_t)off) == (ssize_t)len);
    return off + len;
}

static void
seal_data(void)
{
    for (unsigned i = 0; i < nseals; i++) {
        uint64_t sum = part_checksum(footer.part_id,
            areas[AREA_DATA].bytes + seals[i].off, seals[i].len);

        memcpy(areas[AREA_DIRECTORY].bytes + seals[i].place, &sum,
            sizeof(sum));
    }
}

static void
seal_directory(void)
{
    struct part_block block;
    uint8_t *place = areas[AREA_SECTIONS].bytes; /* BLOCKS is first */

    memcpy(&block, place, sizeof(block));
    block.dir_xxh3 = part_checksum(footer.part_id,
        areas[AREA_DIRECTORY].bytes, areas[AREA_DIRECTORY].len);
    memcpy(place, &block, sizeof(block));
}

static void
write_file(bool seals_data)
{
    size_t off;

    check(ftruncate(file_fd, 0) == 0);
    if (seals_data)
        seal_data();
    seal_directory();
    off = put(areas[AREA_DATA].bytes, areas[AREA_DATA].len, 0);
    off = put(areas[AREA_DIRECTORY].bytes, areas[AREA_DIRECTORY].len, off);
    for (unsigned i = 0; i < footer.nsections; i++) {
        const struct area *area = &areas[AREA_SECTIONS + i];

        off = ALIGN_UP(off, PART_SECTION_ALIGN);
        footer.sections[i].off = off;
        footer.sections[i].xxh3 = part_checksum(footer.part_id, area->bytes,
            area->len);
        off = put(area->bytes, area->len, off);
    }
    off = ALIGN_UP(off, PART_SECTION_ALIGN);
    footer.file_bytes = off + sizeof(footer);
    footer.xxh3 = part_footer_checksum(&footer);
    put(&footer, sizeof(footer), off);
}

/* --- asking --- */

static void
is_expected(const struct err *err)
{
    check(err->code == ERR_CORRUPT || err->code == ERR_LIMIT ||
        err->code == ERR_UNSUPPORTED);
}

static int
visit(struct sv service, struct sv name, UNUSED int32_t kind, void *arg)
{
    uint64_t *sum = arg;

    for (size_t i = 0; i < service.len; i += 100)
        *sum += (uint8_t)service.ptr[i];
    for (size_t i = 0; i < name.len; i += 100)
        *sum += (uint8_t)name.ptr[i];
    return 0;
}

/* What was read must stand in memory of its own. */
static void
use_batch(const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->nspans; i++)
        check(span_equal(batch, &batch->spans[i], batch, &batch->spans[i]));
}

static void
ask(struct part *part)
{
    struct pool *pool = pool_new(4 * MIB);
    struct err err = ERR_INIT;
    uint64_t sum = 0;
    struct stream_visit streams = {visit, &sum, INT64_MIN, INT64_MAX};
    struct batch batch;
    bool truncated = false;
    uint32_t got;

    check(part_visit_streams(part, &tenant0, &streams, &err) == 0);
    for (uint32_t i = 0; i < ROWS; i += 3) {
        batch_init(&batch, pool);
        if (part_read_trace(part, &tenant0, &trace_ids[i], 1000, &batch,
                &truncated, &err) != 0)
            is_expected(&err);
        use_batch(&batch);
        pool_reset(pool);
    }
    for (uint32_t i = 0; i < ROWS; i++) {
        batch_init(&batch, pool);
        if (part_read_rows(part, i, 1, &batch, NULL, &got, &err) != 0)
            is_expected(&err);
        use_batch(&batch);
        pool_reset(pool);
    }
    pool_free(pool);
}

/* Every STEP-th field from `first` on: inputs that grow ask them all. */
#define STEP 8u

/* Columns of a block, of all rows or of one. */
static void
ask_columns(struct part *part, uint32_t index, const uint64_t *wanted,
    uint32_t first)
{
    struct pool *pool = pool_new(16 * MIB);
    struct err err = ERR_INIT;
    struct block *block = NULL;
    const struct sv *names = NULL;
    uint64_t bits[BITMAP_WORDS(BLOCK_ROWS_MAX)];
    uint32_t rows, count, n = 0;

    if (block_open_part(&block, part, index, pool, &err) != 0) {
        is_expected(&err);
        pool_free(pool);
        return;
    }
    rows = block_get_info(block)->rows;
    if (block_select_tenant(block, &tenant0, bits, &count, &err) != 0)
        is_expected(&err);
    if (block_fields(block, &names, &n, &err) != 0)
        is_expected(&err);
    for (uint32_t i = first % STEP; i < n; i += STEP) {
        const struct column *column = NULL;

        (void)block_may_have(block, names[i], SV("value-7"));
        (void)block_may_have(block, names[i], SV("4711"));
        if (block_column(block, names[i], wanted, &column, &err) != 0)
            is_expected(&err);
        else if (wanted == NULL)
            use_column(column, rows);
    }
    block_close(block);
    pool_free(pool);
}

static void
ask_blocks(struct part *part, uint32_t first)
{
    static uint64_t one[BITMAP_WORDS(BLOCK_ROWS_MAX)];

    one[0] = 2;
    for (uint32_t i = 0; i < MIN(part_get_info(part)->nblocks, 2u); i++) {
        ask_columns(part, i, NULL, first);
        if (part->blocks[i].rows > 1)
            ask_columns(part, i, one, first);
    }
}

/* Whatever the input was, what is made of it is a part. */
static void
ask_merge(struct part *part)
{
    struct part *twice[] = {part, part};
    char output[64];
    struct merge_task task = {twice, 1 + part_get_info(part)->rows % 2, 4711,
        part_gen_node, output, false, NULL};
    struct merge_counts counts;
    struct part_info info;
    struct err err = ERR_INIT;

    snprintf(output, sizeof(output), "/dev/shm/spoor-fuzz-merge-%d",
        (int)getpid());
    if (merge_parts(&task, &info, &counts, NULL, &err) != 0) {
        is_expected(&err);
        return;
    }
    check(part_check(output, &err) == 0);
    unlink(output);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct part *part = NULL;
    bool seals_data = true;
    uint32_t first = (uint32_t)size;

    for (unsigned i = 0; i < nareas; i++)
        memcpy(areas[i].bytes, areas[i].pristine, areas[i].len);
    for (unsigned n = 0; n < DAMAGES_MAX && size >= DAMAGE_BYTES; n++) {
        unsigned i = data[0] % nareas;
        uint16_t at;

        memcpy(&at, data + 1, sizeof(at));
        areas[i].bytes[at % areas[i].len] = data[3];
        /* A directory of another shape has its checksums elsewhere. */
        seals_data = seals_data && i != AREA_DIRECTORY;
        data += DAMAGE_BYTES;
        size -= DAMAGE_BYTES;
    }
    write_file(seals_data);
    if (part_open(&part, path, &err) == 0) {
        ask(part);
        ask_blocks(part, first);
        if (first % 4 == 0)
            ask_merge(part);
    } else {
        is_expected(&err);
    }
    part_close(part);
    if (part_check(path, &err) != 0)
        is_expected(&err);
    return 0;
}
