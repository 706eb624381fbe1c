/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part: vectors into chunks, the heap into pages, and the block
 * directory that lists them (part_format.h).
 */

#include "core/base.h"
#include "storage/part_write.h"

#include <zstd.h>

#include "core/assert.h"
#include "core/enc.h"
#include "core/kernel_pack.h"

/* --- vectors --- */

static struct write_vector *
new_vector(struct part_writer *w, uint32_t id, uint8_t encoding,
    uint32_t count)
{
    struct write_vector *vector;

    w->vectors = writer_grow(w, SCRATCH_VECTORS,
        ((size_t)w->nvectors + 1) * sizeof(*w->vectors));
    if (w->vectors == NULL)
        return NULL;
    vector = &w->vectors[w->nvectors++];
    *vector = (struct write_vector){.id = id, .count = count,
        .encoding = encoding, .first_chunk = w->nchunks,
        .off = writer_pos(w) - w->block.off};
    return vector;
}

/* Bytes of a chunk behind those before it. */
static int
put_chunk(struct part_writer *w, const void *ptr, size_t len)
{
    w->chunks = writer_grow(w, SCRATCH_CHUNKS,
        ((size_t)w->nchunks + 1) * sizeof(*w->chunks));
    if (w->chunks == NULL)
        return -1;
    w->chunks[w->nchunks++] = (struct write_chunk){(uint32_t)len,
        part_checksum(w->part_id, ptr, len)};
    sb_add(&w->out, ptr, len);
    return writer_sb_ok(w, &w->out);
}

/* A vector of one value, repeated. */
static int
put_const(struct part_writer *w, uint32_t id, uint64_t value, uint32_t n)
{
    struct write_vector *vector = new_vector(w, id, PART_CONST, n);

    if (vector == NULL)
        return -1;
    vector->value = value;
    return 0;
}

/* The first chunk decides between INLINE and PACKED. */
static int
put_packed(struct part_writer *w, struct write_vector *vector, size_t len)
{
    if (vector->count <= COL_CHUNK && len <= PART_INLINE_MAX) {
        vector->encoding = PART_INLINE;
        vector->value = (uint64_t)w->inlined.len << 8 | len;
        sb_add(&w->inlined, w->chunk, len);
        return writer_sb_ok(w, &w->inlined);
    }
    vector->nchunks++;
    return put_chunk(w, w->chunk, len);
}

int
vector_u64(struct part_writer *w, uint32_t id, const uint64_t *v, uint32_t n,
    unsigned hints)
{
    struct write_vector *vector;
    uint32_t same = 1;

    if (n == 0)
        return 0;
    while (same < n && v[same] == v[0])
        same++;
    if (same == n)
        return put_const(w, id, v[0], n);
    vector = new_vector(w, id, PART_PACKED, n);
    if (vector == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i += COL_CHUNK) {
        size_t len = col_encode(w->chunk, v + i, MIN(COL_CHUNK, n - i),
            hints);

        if (put_packed(w, vector, len) != 0)
            return -1;
    }
    return 0;
}

int
vector_u32(struct part_writer *w, uint32_t id, const uint32_t *v, uint32_t n,
    unsigned hints)
{
    struct write_vector *vector;
    uint32_t same = 1;

    if (n == 0)
        return 0;
    while (same < n && v[same] == v[0])
        same++;
    if (same == n)
        return put_const(w, id, v[0], n);
    vector = new_vector(w, id, PART_PACKED, n);
    if (vector == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i += COL_CHUNK) {
        uint32_t count = MIN(COL_CHUNK, n - i);

        pack_kernels()->widen(v + i, count, w->values);
        if (put_packed(w, vector,
                col_encode(w->chunk, w->values, count, hints)) != 0)
            return -1;
    }
    return 0;
}

int
vector_fixed(struct part_writer *w, uint32_t id, const struct fixed *fixed)
{
    const uint8_t *ptr = fixed->bytes;
    uint32_t width = fixed->width;
    uint32_t per_chunk = part_raw_chunk(width);
    struct write_vector *vector;

    check(width > 0 && width <= PART_RAW_WIDTH_MAX);
    if (fixed->n == 0)
        return 0;
    vector = new_vector(w, id, fixed->encoding, fixed->n);
    if (vector == NULL)
        return -1;
    vector->width = (uint8_t)width;
    for (uint32_t i = 0; i < fixed->n; i += per_chunk) {
        uint32_t count = MIN(per_chunk, fixed->n - i);

        vector->nchunks++;
        if (put_chunk(w, ptr + (size_t)i * width,
                (size_t)count * width) != 0)
            return -1;
    }
    return 0;
}

int
vector_raw8(struct part_writer *w, uint32_t id, const uint64_t *v, uint32_t n)
{
    struct fixed fixed = {PART_RAW, 8, v, n};

    return vector_fixed(w, id, &fixed);
}

/* --- heap pages --- */

/*
 * The strings of a trace are in many pages as long as paths and statements
 * are in the heap, so these are small.  In merged parts it is mostly stack
 * traces, of which zstd makes half as much in larger pages; the rest is in
 * the first pages, which stay in the cache.
 */
#define PAGE_LOG2 13u
#define PAGE_LOG2_MERGED 15u

static int
put_page(struct part_writer *w, struct sb *dir, const char *page, size_t len)
{
    uint8_t entry[ENC_VARINT_MAX + 8];
    size_t bound = ZSTD_compressBound(len);
    char *dst = sb_reserve(&w->out, bound);
    size_t packed, n;

    if (dst == NULL)
        return writer_sb_ok(w, &w->out);
    packed = ZSTD_compress2(w->zstd, dst, bound, page, len);
    if (ZSTD_isError(packed) || packed >= len) {
        memcpy(dst, page, len);
        packed = len;
        n = enc_put_varint(entry, 0);
    } else {
        n = enc_put_varint(entry, packed);
    }
    enc_put64(entry + n, part_checksum(w->part_id, dst, packed));
    sb_advance(&w->out, packed);
    sb_add(dir, entry, n + 8);
    return writer_sb_ok(w, dir);
}

static void
add_varint(struct sb *sb, uint64_t v)
{
    uint8_t bytes[ENC_VARINT_MAX];

    sb_add(sb, bytes, enc_put_varint(bytes, v));
}

static int
put_heap(struct part_writer *w, struct sb *dir)
{
    unsigned log2 = w->footer.level > 1 ? PAGE_LOG2_MERGED : PAGE_LOG2;
    size_t page = (size_t)1 << log2;

    add_varint(dir, w->heap.len);
    add_varint(dir, writer_pos(w) - w->block.off);
    sb_add_char(dir, (char)log2);
    for (size_t i = 0; i < w->heap.len; i += page) {
        if (put_page(w, dir, w->heap.ptr + i,
                MIN(page, w->heap.len - i)) != 0)
            return -1;
    }
    return writer_sb_ok(w, dir);
}

/* --- the directory --- */

static int
compare_vectors(const void *a, const void *b)
{
    const struct write_vector *x = a;
    const struct write_vector *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

static void
put_chunks(const struct part_writer *w, const struct write_vector *vector,
    struct sb *dir)
{
    for (uint32_t i = 0; i < vector->nchunks; i++) {
        const struct write_chunk *chunk = &w->chunks[vector->first_chunk + i];

        if (vector->encoding == PART_PACKED)
            add_varint(dir, chunk->len);
        sb_add(dir, &chunk->xxh3, sizeof(chunk->xxh3));
    }
}

static void
put_vector(const struct part_writer *w, const struct write_vector *vector,
    uint32_t previous, struct sb *dir)
{
    add_varint(dir, vector->id - previous);
    add_varint(dir, vector->count);
    sb_add_char(dir, (char)vector->encoding);
    switch (vector->encoding) {
    case PART_CONST:
        add_varint(dir, vector->value);
        break;
    case PART_INLINE:
        add_varint(dir, vector->value & 0xff);
        sb_add(dir, w->inlined.ptr + (vector->value >> 8),
            vector->value & 0xff);
        break;
    case PART_PACKED:
        add_varint(dir, vector->off);
        put_chunks(w, vector, dir);
        break;
    default:
        add_varint(dir, vector->width);
        add_varint(dir, vector->off);
        put_chunks(w, vector, dir);
        break;
    }
}

int
write_directory(struct part_writer *w)
{
    struct sb *dir = &w->section;
    uint32_t previous = 0;

    sb_reset(dir);
    qsort(w->vectors, w->nvectors, sizeof(*w->vectors), compare_vectors);
    add_varint(dir, w->nvectors);
    for (uint32_t i = 0; i < w->nvectors; i++) {
        put_vector(w, &w->vectors[i], previous, dir);
        previous = w->vectors[i].id;
    }
    if (put_heap(w, dir) != 0)
        return -1;
    w->block.dir_off = writer_pos(w) - w->block.off;
    w->block.dir_len = dir->len;
    w->block.dir_xxh3 = part_checksum(w->part_id, dir->ptr, dir->len);
    sb_add_sv(&w->out, sb_sv(dir));
    w->block.len = writer_pos(w) - w->block.off;
    return writer_sb_ok(w, &w->out);
}
