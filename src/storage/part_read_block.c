/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Block directories (part_format.h): read, verified and parsed on the first
 * touch of a block.  After that every chunk and page is known to lie within
 * the block and every vector to have the chunks that its count needs.
 */

#include "core/base.h"
#include "storage/part_read.h"

#include "core/enc.h"
#include "core/file.h"
#include "core/mem.h"

/* A vector takes at least its id, count, encoding and one byte more. */
#define VECTOR_BYTES_MIN 4u
#define CHECKSUM_BYTES 8u

struct parser {
    struct reading *r;
    struct part_directory *dir;
    struct enc_reader in;
};

static void
directory_free(struct data *data)
{
    struct part_directory *dir = (struct part_directory *)data;

    xfree(dir->raw);
    xfree(dir->vectors);
    xfree(dir->column_vector);
    xfree(dir->chunks);
    xfree(dir->pages);
    xfree(dir);
}

static size_t
bytes_left(const struct parser *p)
{
    return (size_t)(p->in.end - p->in.ptr);
}

static int
wrong(const struct parser *p, const char *what, uint64_t where)
{
    return reading_corrupt(p->r, "directory: %s %llu", what,
        (unsigned long long)where);
}

/* [off, off + len) lies before the directory. */
static bool
is_inside(const struct parser *p, uint64_t off, uint64_t len)
{
    uint64_t end = p->r->block->dir_off;

    return off <= end && len <= end - off;
}

/* --- chunks of a vector --- */

static int
reserve_chunks(struct parser *p, uint32_t n)
{
    struct part_directory *dir = p->dir;
    size_t count = (size_t)dir->nchunks + n;
    size_t cap = MAX(MAX(count, 2 * (size_t)dir->chunks_cap), 64u);
    void *chunks;

    if (count <= dir->chunks_cap)
        return 0;
    chunks = mem_try_realloc(dir->chunks, cap * sizeof(*dir->chunks));
    if (chunks == NULL)
        return reading_no_memory(p->r);
    dir->chunks = chunks;
    dir->chunks_cap = (uint32_t)cap;
    return 0;
}

static int
parse_inline(struct parser *p, struct part_vector *vector)
{
    uint64_t len = enc_read_varint(&p->in);
    const uint8_t *start = p->in.ptr;

    (void)enc_read_bytes(&p->in, len > bytes_left(p) ? SIZE_MAX : len);
    if (p->in.failed || len == 0 || vector->count > COL_CHUNK)
        return wrong(p, "inline vector", vector->id);
    vector->per_chunk = COL_CHUNK;
    vector->nchunks = 1;
    if (reserve_chunks(p, 1) != 0)
        return -1;
    p->dir->chunks[p->dir->nchunks++] = (struct part_chunk){
        (uint64_t)(start - p->dir->raw), 0, (uint32_t)len};
    return 0;
}

/* Lengths (or one length for all) and checksums of the vector's chunks. */
static int
parse_chunks(struct parser *p, struct part_vector *vector)
{
    uint64_t off = enc_read_varint(&p->in);
    uint32_t left = vector->count;

    vector->nchunks = (left + vector->per_chunk - 1) / vector->per_chunk;
    if (p->in.failed || vector->nchunks > bytes_left(p) / CHECKSUM_BYTES)
        return wrong(p, "vector", vector->id);
    if (reserve_chunks(p, vector->nchunks) != 0)
        return -1;
    for (uint32_t i = 0; i < vector->nchunks; i++) {
        uint32_t n = MIN(left, vector->per_chunk);
        uint64_t len = vector->encoding == PART_PACKED ?
            enc_read_varint(&p->in) : (uint64_t)n * vector->width;
        uint64_t xxh3 = enc_read64(&p->in);

        if (p->in.failed || len == 0 || len > COL_CHUNK_BYTES_MAX ||
            !is_inside(p, off, len))
            return wrong(p, "chunk of vector", vector->id);
        p->dir->chunks[p->dir->nchunks++] = (struct part_chunk){off, xxh3,
            (uint32_t)len};
        off += len;
        left -= n;
    }
    return 0;
}

static int
parse_fixed(struct parser *p, struct part_vector *vector)
{
    uint64_t width = enc_read_varint(&p->in);

    if (p->in.failed || width == 0 || width > PART_RAW_WIDTH_MAX ||
        (vector->encoding == PART_UUID && width != 16))
        return wrong(p, "width of vector", vector->id);
    vector->width = (uint8_t)width;
    vector->per_chunk = part_raw_chunk((uint32_t)width);
    return parse_chunks(p, vector);
}

static int
parse_payload(struct parser *p, struct part_vector *vector)
{
    switch (vector->encoding) {
    case PART_CONST:
        vector->value = enc_read_varint(&p->in);
        return p->in.failed ? wrong(p, "vector", vector->id) : 0;
    case PART_INLINE:
        return parse_inline(p, vector);
    case PART_PACKED:
        vector->per_chunk = COL_CHUNK;
        return parse_chunks(p, vector);
    case PART_RAW:
    case PART_UUID:
    case PART_HEX:
        return parse_fixed(p, vector);
    default:
        return part_newer(p->r->part, p->r->err, "vector encoding",
            vector->encoding);
    }
}

/* --- vectors --- */

static int
parse_vector(struct parser *p, uint64_t *next_id)
{
    struct part_directory *dir = p->dir;
    struct part_vector *vector = &dir->vectors[dir->nvectors];
    uint64_t id = *next_id + enc_read_varint(&p->in);
    uint64_t count = enc_read_varint(&p->in);
    uint32_t column;

    vector->encoding = enc_read8(&p->in);
    if (p->in.failed || id >= (uint64_t)dir->ncolumns * PART_ROLES ||
        id < *next_id || (dir->nvectors > 0 && id == *next_id) ||
        count == 0 || count > PART_VALUES_MAX)
        return wrong(p, "vector", dir->nvectors);
    vector->id = (uint32_t)id;
    vector->count = (uint32_t)count;
    vector->first_chunk = dir->nchunks;
    column = vector->id / PART_ROLES;
    if (dir->column_vector[column] == 0)
        dir->column_vector[column] = dir->nvectors + 1;
    dir->nvectors++;
    *next_id = id;
    return parse_payload(p, vector);
}

static int
parse_vectors(struct parser *p)
{
    struct part_directory *dir = p->dir;
    uint64_t n = enc_read_varint(&p->in);
    uint64_t next_id = 0;

    if (p->in.failed || n > bytes_left(p) / VECTOR_BYTES_MIN)
        return wrong(p, "number of vectors", n);
    dir->ncolumns = PART_COLUMNS_CORE + p->r->part->nkeys;
    dir->vectors = mem_try_alloc(n * sizeof(*dir->vectors) + 1);
    dir->column_vector = mem_try_alloc(dir->ncolumns * sizeof(uint32_t));
    if (dir->vectors == NULL || dir->column_vector == NULL)
        return reading_no_memory(p->r);
    memset(dir->vectors, 0, n * sizeof(*dir->vectors));
    memset(dir->column_vector, 0, dir->ncolumns * sizeof(uint32_t));
    for (uint64_t i = 0; i < n; i++) {
        if (parse_vector(p, &next_id) != 0)
            return -1;
    }
    return 0;
}

/* --- heap --- */

static int
parse_heap(struct parser *p)
{
    struct part_directory *dir = p->dir;
    uint64_t off;
    uint8_t log2;

    dir->heap_bytes = enc_read_varint(&p->in);
    off = dir->heap_off = enc_read_varint(&p->in);
    log2 = enc_read8(&p->in);
    if (p->in.failed || dir->heap_bytes > PART_HEAP_MAX ||
        log2 < PART_PAGE_LOG2_MIN || log2 > PART_PAGE_LOG2_MAX)
        return wrong(p, "heap of bytes", dir->heap_bytes);
    dir->page_bytes = UINT32_C(1) << log2;
    dir->npages = (uint32_t)((dir->heap_bytes + dir->page_bytes - 1) >> log2);
    if (dir->npages > bytes_left(p) / CHECKSUM_BYTES)
        return wrong(p, "pages", dir->npages);
    dir->pages = mem_try_alloc(dir->npages * sizeof(*dir->pages) + 1);
    if (dir->pages == NULL)
        return reading_no_memory(p->r);
    for (uint32_t i = 0; i < dir->npages; i++) {
        uint64_t raw = directory_page_bytes(dir, i);
        uint64_t len = enc_read_varint(&p->in);
        uint64_t xxh3 = enc_read64(&p->in);
        uint64_t stored = len == 0 ? raw : len;

        if (p->in.failed || stored > raw || !is_inside(p, off, stored))
            return wrong(p, "page", i);
        dir->pages[i] = (struct part_chunk){off, xxh3, (uint32_t)len};
        off += stored;
    }
    return p->in.ptr == p->in.end ? 0 : wrong(p, "bytes left",
        bytes_left(p));
}

/* --- loading --- */

static int
read_raw(struct reading *r, struct part_directory *dir)
{
    const struct part_block *block = r->block;

    dir->raw = mem_try_alloc(block->dir_len + COL_PAD);
    if (dir->raw == NULL)
        return reading_no_memory(r);
    memset(dir->raw + block->dir_len, 0, COL_PAD);
    if (file_pread(r->part->fd, dir->raw, block->dir_len,
            block->off + block->dir_off, r->err) != 0)
        return -1;
    if (part_checksum(r->part->info.id, dir->raw, block->dir_len) !=
        block->dir_xxh3)
        return reading_corrupt(r, "directory at %llu: wrong checksum",
            (unsigned long long)(block->off + block->dir_off));
    return 0;
}

int
directory_load(struct reading *r, struct data **out)
{
    struct part_directory *dir = xcalloc(1, sizeof(*dir));
    struct parser p = {r, dir, {NULL, NULL, false}};

    dir->data.free = directory_free;
    if (read_raw(r, dir) != 0)
        goto failed;
    p.in = enc_reader_make(dir->raw, r->block->dir_len);
    if (parse_vectors(&p) != 0 || parse_heap(&p) != 0)
        goto failed;
    dir->data.bytes = sizeof(*dir) + r->block->dir_len +
        dir->nvectors * sizeof(*dir->vectors) +
        dir->ncolumns * sizeof(uint32_t) +
        ((size_t)dir->nchunks + dir->npages) * sizeof(*dir->chunks);
    *out = &dir->data;
    return 0;
failed:
    directory_free(&dir->data);
    return -1;
}

uint32_t
directory_page_bytes(const struct part_directory *dir, uint32_t page)
{
    uint64_t left = dir->heap_bytes - (uint64_t)page * dir->page_bytes;

    return (uint32_t)MIN(dir->page_bytes, left);
}

const struct part_vector *
directory_find(const struct part_directory *dir, uint32_t column,
    enum part_role role)
{
    uint32_t i = dir->column_vector[column];

    if (i == 0)
        return NULL;
    for (i--; i < dir->nvectors &&
        dir->vectors[i].id / PART_ROLES == column; i++) {
        if (dir->vectors[i].id % PART_ROLES == (uint32_t)role)
            return &dir->vectors[i];
    }
    return NULL;
}

void
directory_roles(const struct part_directory *dir, uint32_t column,
    const struct part_vector *out[PART_ROLES])
{
    uint32_t i = dir->column_vector[column];

    memset(out, 0, PART_ROLES * sizeof(*out));
    if (i == 0)
        return;
    for (i--; i < dir->nvectors &&
        dir->vectors[i].id / PART_ROLES == column; i++)
        out[dir->vectors[i].id % PART_ROLES] = &dir->vectors[i];
}
