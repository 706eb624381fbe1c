/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Values of a block: chunks and heap pages are read and verified on their
 * first touch, then stay in the cache; a reading pins what it touched until
 * it ends, so pointers into them are good that long.
 */

#include "core/base.h"
#include "storage/part_read.h"

#include "core/assert.h"
#include "core/file.h"
#include "core/mem.h"

/* A chunk's bytes, and its view when it is packed. */
struct chunk {
    struct data data;
    uint8_t *bytes;
    struct col col; /* last: its mini-blocks follow */
};

struct page {
    struct data data;
    char bytes[];
};

static void
plain_free(struct data *data)
{
    xfree(data);
}

/* --- chunks --- */

/* Values in chunk `number` of the vector. */
static uint32_t
chunk_count(const struct part_vector *vector, uint32_t number)
{
    return MIN(vector->per_chunk,
        vector->count - number * vector->per_chunk);
}

static int
chunk_bytes(struct reading *r, const struct part_vector *vector,
    const struct part_chunk *entry, uint8_t *dst)
{
    if (vector->encoding == PART_INLINE) {
        memcpy(dst, r->dir->raw + entry->off, entry->len);
        return 0;
    }
    if (file_pread(r->part->fd, dst, entry->len,
            r->block->off + entry->off, r->err) != 0)
        return -1;
    if (part_checksum(r->part->info.id, dst, entry->len) != entry->xxh3)
        return reading_corrupt(r,
            "vector %u: chunk at %llu: wrong checksum", vector->id,
            (unsigned long long)(r->block->off + entry->off));
    return 0;
}

static int
chunk_load(struct reading *r, const struct part_vector *vector,
    uint32_t number, struct data **out)
{
    const struct part_chunk *entry =
        &r->dir->chunks[vector->first_chunk + number];
    bool is_packed = vector->encoding == PART_PACKED ||
        vector->encoding == PART_INLINE;
    uint32_t n = chunk_count(vector, number);
    size_t head = offsetof(struct chunk, col) +
        (is_packed ? col_bytes(n) : 0);
    size_t bytes = head + entry->len + COL_PAD;
    struct chunk *chunk = mem_try_alloc(bytes);

    if (chunk == NULL)
        return reading_no_memory(r);
    chunk->data.free = plain_free;
    chunk->data.bytes = bytes;
    chunk->bytes = (uint8_t *)chunk + head;
    memset(chunk->bytes + entry->len, 0, COL_PAD);
    if (chunk_bytes(r, vector, entry, chunk->bytes) != 0)
        goto failed;
    if (is_packed && col_open(&chunk->col, chunk->bytes, entry->len, n) != 0) {
        (void)reading_corrupt(r, "vector %u: chunk %u is malformed",
            vector->id, number);
        goto failed;
    }
    *out = &chunk->data;
    return 0;
failed:
    xfree(chunk);
    return -1;
}

/* The chunk of a vector that has chunks, pinned by the reading. */
static int
chunk_get(struct reading *r, const struct part_vector *vector,
    uint32_t number, const struct chunk **out)
{
    struct data **slot = &r->chunks[vector->first_chunk + number];
    struct data_key key = {r->block_idx, DATA_CHUNK,
        vector->first_chunk + number};

    if (*slot == NULL)
        *slot = data_find(&r->part->data, &key);
    if (*slot == NULL) {
        struct data *data = NULL;

        if (chunk_load(r, vector, number, &data) != 0)
            return -1;
        data->key = key;
        *slot = data_add(&r->part->data, data);
    }
    *out = (const struct chunk *)*slot;
    return 0;
}

int
chunk_touch(struct reading *r, const struct part_vector *vector,
    uint32_t number)
{
    const struct chunk *chunk;

    return chunk_get(r, vector, number, &chunk);
}

/* --- vectors --- */

static bool
is_number(const struct part_vector *vector)
{
    return vector->encoding == PART_CONST ||
        vector->encoding == PART_INLINE || vector->encoding == PART_PACKED;
}

int
vector_need(struct reading *r, uint32_t column, enum part_role role,
    uint32_t count, const struct part_vector **out)
{
    const struct part_vector *vector = directory_find(r->dir, column, role);
    uint32_t id = column * PART_ROLES + (uint32_t)role;

    if (vector == NULL || vector->count != count)
        return reading_corrupt(r, "vector %u has %u values, not %u", id,
            vector == NULL ? 0 : vector->count, count);
    *out = vector;
    return 0;
}

int
vector_get(struct reading *r, const struct part_vector *vector, uint32_t i,
    uint64_t *out)
{
    const struct chunk *chunk;

    check(i < vector->count);
    if (vector->encoding == PART_CONST) {
        *out = vector->value;
        return 0;
    }
    if (UNLIKELY(!is_number(vector)))
        return reading_corrupt(r, "vector %u has no numbers", vector->id);
    if (chunk_get(r, vector, i / vector->per_chunk, &chunk) != 0)
        return -1;
    *out = col_get(&chunk->col, i % vector->per_chunk);
    return 0;
}

int
vector_decode(struct reading *r, const struct part_vector *vector,
    uint32_t from, uint32_t n, uint64_t *out)
{
    check(from <= vector->count && n <= vector->count - from);
    if (!is_number(vector))
        return reading_corrupt(r, "vector %u has no numbers", vector->id);
    if (vector->encoding == PART_CONST) {
        for (uint32_t i = 0; i < n; i++)
            out[i] = vector->value;
        return 0;
    }
    while (n > 0) {
        uint32_t at = from % vector->per_chunk;
        uint32_t count = MIN(n, vector->per_chunk - at);
        const struct chunk *chunk;

        if (chunk_get(r, vector, from / vector->per_chunk, &chunk) != 0)
            return -1;
        col_decode(&chunk->col, at, count, out);
        from += count;
        n -= count;
        out += count;
    }
    return 0;
}

int
vector_get_fixed(struct reading *r, const struct part_vector *vector,
    uint32_t i, uint32_t width, const uint8_t **out)
{
    const struct chunk *chunk;

    check(i < vector->count);
    if (is_number(vector) || vector->width != width)
        return reading_corrupt(r, "vector %u has no %u-byte values",
            vector->id, width);
    if (chunk_get(r, vector, i / vector->per_chunk, &chunk) != 0)
        return -1;
    *out = chunk->bytes + (size_t)(i % vector->per_chunk) * width;
    return 0;
}

int
column_get(struct reading *r, uint32_t column, uint32_t count, uint32_t i,
    uint64_t *out)
{
    const struct part_vector *vector = NULL;

    if (vector_need(r, column, PART_ROLE_VALUES, count, &vector) != 0)
        return -1;
    return vector_get(r, vector, i, out);
}

/* --- heap pages --- */

static int
page_unpack(struct reading *r, uint32_t number, const uint8_t *packed,
    struct page *page)
{
    const struct part_chunk *entry = &r->dir->pages[number];
    size_t raw = directory_page_bytes(r->dir, number);
    size_t len = entry->len == 0 ? raw : entry->len;

    if (part_checksum(r->part->info.id, packed, len) != entry->xxh3)
        return reading_corrupt(r, "page %u at %llu: wrong checksum", number,
            (unsigned long long)(r->block->off + entry->off));
    if (entry->len == 0)
        memcpy(page->bytes, packed, raw);
    else if (!part_unpack(page->bytes, raw, packed, len))
        return reading_corrupt(r, "page %u does not decompress", number);
    return 0;
}

static int
page_load(struct reading *r, uint32_t number, struct data **out)
{
    const struct part_chunk *entry = &r->dir->pages[number];
    size_t raw = directory_page_bytes(r->dir, number);
    size_t len = entry->len == 0 ? raw : entry->len;
    /* The packed bytes stand behind the page while it is unpacked. */
    struct page *page = mem_try_alloc(sizeof(*page) + raw + len);
    struct page *smaller;
    uint8_t *packed;

    if (page == NULL)
        return reading_no_memory(r);
    packed = (uint8_t *)page->bytes + raw;
    if (file_pread(r->part->fd, packed, len, r->block->off + entry->off,
            r->err) != 0 || page_unpack(r, number, packed, page) != 0) {
        xfree(page);
        return -1;
    }
    smaller = mem_try_realloc(page, sizeof(*page) + raw);
    page = smaller == NULL ? page : smaller;
    page->data.free = plain_free;
    page->data.bytes = sizeof(*page) + raw;
    *out = &page->data;
    return 0;
}

static int
page_get(struct reading *r, uint32_t number, const char **out)
{
    struct data **slot = &r->chunks[r->dir->nchunks + number];
    struct data_key key = {r->block_idx, DATA_PAGE, number};

    if (*slot == NULL)
        *slot = data_find(&r->part->data, &key);
    if (*slot == NULL) {
        struct data *data = NULL;

        if (page_load(r, number, &data) != 0)
            return -1;
        data->key = key;
        *slot = data_add(&r->part->data, data);
    }
    *out = ((const struct page *)*slot)->bytes;
    return 0;
}

int
page_touch(struct reading *r, uint32_t page)
{
    const char *bytes;

    return page_get(r, page, &bytes);
}

int
heap_read(struct reading *r, uint64_t off, uint64_t len, char *dst)
{
    if (off > r->dir->heap_bytes || len > r->dir->heap_bytes - off)
        return reading_corrupt(r, "string of %llu bytes at %llu of the heap",
            (unsigned long long)len, (unsigned long long)off);
    while (len > 0) {
        size_t at = off % r->dir->page_bytes;
        size_t n = MIN(len, r->dir->page_bytes - at);
        const char *page;

        if (page_get(r, (uint32_t)(off / r->dir->page_bytes), &page) != 0)
            return -1;
        memcpy(dst, page + at, n);
        dst += n;
        off += n;
        len -= n;
    }
    return 0;
}

int
heap_view(struct reading *r, uint64_t off, uint64_t len, const char **out)
{
    uint64_t at = off % r->dir->page_bytes;
    const char *page;

    *out = NULL;
    if (off > r->dir->heap_bytes || len > r->dir->heap_bytes - off)
        return reading_corrupt(r, "string of %llu bytes at %llu of the heap",
            (unsigned long long)len, (unsigned long long)off);
    if (len == 0 || len > r->dir->page_bytes - at)
        return 0;
    if (page_get(r, (uint32_t)(off / r->dir->page_bytes), &page) != 0)
        return -1;
    *out = page + at;
    return 0;
}
