/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Opening a part: the footer, then the index sections, each verified before
 * it is parsed.  No size of the file is believed before it was compared with
 * the size of the file or a limit of part_format.h.
 */

#include "core/base.h"
#include "storage/part.h"
#include "storage/part_read.h"

#include <fcntl.h>

#include "core/assert.h"
#include "core/enc.h"
#include "core/file.h"
#include "core/mem.h"

int
part_corrupt(const struct part *part, struct err *err, const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return err_set(err, ERR_CORRUPT, "%s: %s", part->path, text);
}

int
part_newer(const struct part *part, struct err *err, const char *what,
    unsigned number)
{
    return err_set(err, ERR_UNSUPPORTED,
        "%s: %s %u is written by a newer spoor", part->path, what, number);
}

/* --- footer --- */

static int
check_section(const struct part *part, const struct part_section *section,
    struct err *err)
{
    uint64_t end = part->footer.file_bytes - PART_FOOTER_BYTES;

    if (section->type == 0 || section->off % PART_SECTION_ALIGN != 0 ||
        section->off > end || section->len > end - section->off ||
        section->raw > PART_SECTION_MAX || section->len > PART_SECTION_MAX)
        return part_corrupt(part, err, "footer: bounds of section %u",
            section->type);
    if (section->type >= PART_SECTION_TYPES) {
        if ((section->flags & PART_SECTION_CRITICAL) != 0)
            return part_newer(part, err, "section", section->type);
        return 0;
    }
    if (section->codec != PART_CODEC_NONE &&
        section->codec != PART_CODEC_ZSTD)
        return part_newer(part, err, "section codec", section->codec);
    return 0;
}

static int
check_footer(const struct part *part, uint64_t file_bytes, struct err *err)
{
    const struct part_footer *footer = &part->footer;

    if (footer->magic != PART_MAGIC)
        return part_corrupt(part, err, "not a part: no magic in the footer");
    if (footer->xxh3 != part_footer_checksum(footer))
        return part_corrupt(part, err, "footer: wrong checksum");
    if (footer->major > PART_MAJOR)
        return part_newer(part, err, "format", footer->major);
    if (footer->major < PART_MAJOR)
        return err_set(err, ERR_UNSUPPORTED,
            "%s: format %u is not read any more", part->path, footer->major);
    if (footer->file_bytes != file_bytes)
        return part_corrupt(part, err,
            "footer: the file has %llu bytes, not %llu",
            (unsigned long long)file_bytes,
            (unsigned long long)footer->file_bytes);
    if (footer->nsections > PART_SECTIONS_MAX ||
        footer->nblocks == 0 || footer->nblocks > PART_BLOCKS_MAX ||
        footer->rows == 0 || footer->traces == 0 ||
        footer->traces > footer->rows || footer->traces > UINT32_MAX)
        return part_corrupt(part, err, "footer: counts");
    for (unsigned i = 0; i < footer->nsections; i++) {
        if (check_section(part, &footer->sections[i], err) != 0)
            return -1;
    }
    return 0;
}

static int
read_footer(struct part *part, struct err *err)
{
    uint64_t bytes;

    if (file_size(part->fd, &bytes, err) != 0)
        return -1;
    if (bytes < PART_FOOTER_BYTES || bytes > PART_FILE_MAX)
        return part_corrupt(part, err, "not a part: %llu bytes long",
            (unsigned long long)bytes);
    if (file_pread(part->fd, &part->footer, sizeof(part->footer),
            bytes - PART_FOOTER_BYTES, err) != 0)
        return -1;
    return check_footer(part, bytes, err);
}

static void
fill_info(struct part *part)
{
    const struct part_footer *footer = &part->footer;

    part->info = (struct part_info){
        .id = footer->part_id,
        .day = footer->day,
        .level = footer->level,
        .rows = footer->rows,
        .bytes = footer->file_bytes,
        .nblocks = footer->nblocks,
        .ntraces = (uint32_t)footer->traces,
        .min_start_ns = footer->min_start_ns,
        .max_start_ns = footer->max_start_ns,
        .min_end_ns = footer->min_end_ns,
        .max_end_ns = footer->max_end_ns,
    };
}

/* --- sections --- */

static int
unpack_section(struct part *part, const struct part_section *section,
    const char *packed, struct sv *out, struct err *err)
{
    char *raw = pool_alloc(part->pool, section->raw + 8);

    if (raw == NULL)
        return err_set(err, ERR_LIMIT, "%s: no memory for section %u",
            part->path, section->type);
    if (!part_unpack(raw, section->raw, packed, section->len))
        return part_corrupt(part, err, "section %u does not decompress",
            section->type);
    *out = sv_make(raw, section->raw);
    return 0;
}

/* The section's bytes, verified and decompressed, in the part's pool. */
static int
read_section(struct part *part, const struct part_section *section,
    struct sv *out, struct err *err)
{
    bool is_packed = section->codec == PART_CODEC_ZSTD;
    char *buf = is_packed ? mem_try_alloc(section->len + 1) :
                            pool_alloc(part->pool, section->len + 8);
    int rc = -1;

    if (buf == NULL)
        return err_set(err, ERR_LIMIT, "%s: no memory for section %u",
            part->path, section->type);
    if (file_pread(part->fd, buf, section->len, section->off, err) != 0)
        goto out;
    if (part_checksum(part->info.id, buf, section->len) != section->xxh3) {
        rc = part_corrupt(part, err, "section %u at %llu: wrong checksum",
            section->type, (unsigned long long)section->off);
        goto out;
    }
    *out = sv_make(buf, section->len);
    if (is_packed)
        rc = unpack_section(part, section, buf, out, err);
    else if (section->raw != section->len)
        rc = part_corrupt(part, err, "section %u: length", section->type);
    else
        rc = 0;
out:
    if (is_packed)
        xfree(buf);
    return rc;
}

static int
read_sections(struct part *part, struct sv sections[PART_SECTION_TYPES],
    struct err *err)
{
    for (unsigned i = 0; i < part->footer.nsections; i++) {
        const struct part_section *section = &part->footer.sections[i];

        if (section->type >= PART_SECTION_TYPES)
            continue;
        if (sections[section->type].ptr != NULL)
            return part_corrupt(part, err, "section %u stands there twice",
                section->type);
        if (read_section(part, section, &sections[section->type], err) != 0)
            return -1;
    }
    for (unsigned type = 1; type < PART_SECTION_VALUES; type++) {
        if (sections[type].ptr == NULL)
            return part_corrupt(part, err, "no section %u", type);
    }
    return 0;
}

/* --- blocks and lineage --- */

static bool
is_block_sound(const struct part *part, const struct part_block *block)
{
    uint64_t end = part->footer.file_bytes - PART_FOOTER_BYTES;

    return block->off % PART_BLOCK_ALIGN == 0 && block->off <= end &&
        block->len <= end - block->off && block->dir_off <= block->len &&
        block->dir_len <= block->len - block->dir_off &&
        block->dir_len <= PART_DIRECTORY_MAX && block->rows > 0 &&
        block->rows <= PART_BLOCK_ROWS && block->traces > 0 &&
        block->traces <= block->rows && block->runs > 0 &&
        block->runs <= block->rows &&
        block->min_start_ns >= part->footer.min_start_ns &&
        block->max_start_ns <= part->footer.max_start_ns &&
        block->min_end_ns >= part->footer.min_end_ns &&
        block->max_end_ns <= part->footer.max_end_ns;
}

static int
parse_blocks(struct part *part, struct sv raw, struct err *err)
{
    uint64_t rows = 0, traces = 0;

    if (raw.len != part->footer.nblocks * sizeof(struct part_block))
        return part_corrupt(part, err, "section BLOCKS: length");
    part->blocks = (struct part_block *)(uintptr_t)raw.ptr;
    for (uint32_t i = 0; i < part->footer.nblocks; i++) {
        if (!is_block_sound(part, &part->blocks[i]))
            return part_corrupt(part, err, "section BLOCKS: block %u", i);
        rows += part->blocks[i].rows;
        traces += part->blocks[i].traces;
    }
    if (rows != part->footer.rows || traces != part->footer.traces)
        return part_corrupt(part, err, "section BLOCKS: sums");
    return 0;
}

static int
parse_lineage(struct part *part, struct sv raw, struct err *err)
{
    struct enc_reader r = enc_reader_make(raw.ptr, raw.len);
    struct sv node_id = enc_read_bytes(&r, 16);
    uint32_t ninputs = enc_read32(&r);
    uint32_t nranges = enc_read32(&r);

    if (r.failed || nranges == 0 ||
        raw.len != 24 + ninputs * UINT64_C(8) + nranges * UINT64_C(24) ||
        memcmp(node_id.ptr, part->footer.node_id, 16) != 0)
        return part_corrupt(part, err, "section LINEAGE");
    /* 24 bytes in and 8 each: both arrays are aligned as the section is. */
    part->ninputs = ninputs;
    part->nranges = nranges;
    part->inputs = (const uint64_t *)(const void *)
        enc_read_bytes(&r, ninputs * sizeof(uint64_t)).ptr;
    part->ranges = (const struct part_lineage *)(const void *)
        enc_read_bytes(&r, nranges * sizeof(struct part_lineage)).ptr;
    return 0;
}

/* --- open and close --- */

static int
load(struct part *part, struct err *err)
{
    struct sv sections[PART_SECTION_TYPES] = {{NULL, 0}};

    if (read_footer(part, err) != 0)
        return -1;
    fill_info(part);
    if (read_sections(part, sections, err) != 0 ||
        parse_blocks(part, sections[PART_SECTION_BLOCKS], err) != 0 ||
        parse_lineage(part, sections[PART_SECTION_LINEAGE], err) != 0)
        return -1;
    return part_parse_index(part, sections, err);
}

int
part_open(struct part **out, const char *path, struct err *err)
{
    struct part *part;
    int fd = file_open(path, O_RDONLY, 0, err);

    if (fd < 0)
        return -1;
    part = xcalloc(1, sizeof(*part));
    part->magic = PART_OBJECT_MAGIC;
    part->fd = fd;
    part->path = xstrdup(path);
    part->pool = pool_new(PART_INDEX_MAX);
    data_owner_init(&part->data);
    if (load(part, err) != 0) {
        part_close(part);
        return -1;
    }
    *out = part;
    return 0;
}

void
part_close(struct part *part)
{
    if (part == NULL)
        return;
    OBJ_CHECK(part, PART_OBJECT_MAGIC);
    data_owner_release(&part->data);
    file_close(part->fd);
    pool_free(part->pool);
    xfree(part->path);
    part->magic = 0;
    xfree(part);
}

const struct part_info *
part_get_info(const struct part *part)
{
    return &part->info;
}

const struct part_lineage *
part_get_lineage(const struct part *part, size_t *n)
{
    *n = part->nranges;
    return part->ranges;
}

const uint64_t *
part_get_inputs(const struct part *part, size_t *n)
{
    *n = part->ninputs;
    return part->inputs;
}

const uint8_t *
part_get_node_id(const struct part *part)
{
    return part->footer.node_id;
}
