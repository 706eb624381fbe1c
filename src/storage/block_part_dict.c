/* SPDX-License-Identifier: BSD-2-Clause */

/* All strings of a dictionary at once (part_format.h: roles). */

#include "core/base.h"
#include "storage/block_read.h"

#include "core/enc.h"

struct load {
    struct block *block;
    struct reading *r;
    uint32_t column;
    struct part_dict *out;
};

static int
start(struct load *load, uint32_t n)
{
    load->out->n = n;
    load->out->v = block_alloc(load->block, (size_t)n + 1,
        sizeof(*load->out->v));
    if (load->out->v == NULL)
        return -1;
    load->out->v[0] = SV_EMPTY;
    return 0;
}

/* --- fixed-width forms --- */

static int
load_fixed(struct load *load, const struct part_vector *vector)
{
    uint32_t len = fixed_text_len(vector), n = vector->count;
    const uint8_t *bytes = NULL;
    char *dst;

    dst = block_alloc(load->block, n, len);
    if (dst == NULL || start(load, n) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++, dst += len) {
        uint32_t at = i % part_raw_chunk(MAX(vector->width, 1u));

        if (at == 0 && vector_get_fixed(load->r, vector, i, vector->width,
                &bytes) != 0)
            return -1;
        fixed_put_text(dst, vector, bytes + (size_t)at * vector->width);
        load->out->v[i + 1] = sv_make(dst, len);
    }
    return 0;
}

/* --- strings in the heap --- */

struct heap_dict {
    uint32_t n;
    const uint64_t *lengths;
    const uint64_t *marks;
    uint32_t group; /* strings that follow one another */
    uint64_t bytes;
};

static int
decode(struct load *load, const struct part_vector *vector,
    const uint64_t **out)
{
    uint64_t *v = block_alloc(load->block, vector->count, sizeof(*v));

    *out = v;
    if (v == NULL)
        return -1;
    return vector_decode(load->r, vector, 0, vector->count, v);
}

static int
open_heap(struct load *load, struct heap_dict *dict)
{
    const struct part_directory *dir = load->r->dir;
    const struct part_vector *lengths = directory_find(dir, load->column,
        PART_ROLE_LENGTH);
    const struct part_vector *marks = directory_find(dir, load->column,
        PART_ROLE_MARK);

    if (lengths == NULL)
        return reading_corrupt(load->r, "column %u has no strings",
            load->column);
    dict->n = lengths->count;
    if (marks == NULL || (marks->count != dict->n &&
        marks->count != (dict->n + PART_MARK - 1) / PART_MARK))
        return reading_corrupt(load->r, "vector %u: marks",
            lengths->id + 1);
    dict->group = marks->count == dict->n ? 1 : PART_MARK;
    if (decode(load, lengths, &dict->lengths) != 0 ||
        decode(load, marks, &dict->marks) != 0)
        return -1;
    dict->bytes = 0;
    for (uint32_t i = 0; i < dict->n; i++) {
        if (dict->lengths[i] > dir->heap_bytes)
            return reading_corrupt(load->r, "vector %u: length",
                lengths->id);
        dict->bytes += dict->lengths[i];
    }
    return 0;
}

/* Copies what follows one another in the heap in one go. */
static int
copy_heap(struct load *load, const struct heap_dict *dict, char *dst)
{
    uint64_t off = 0, len = 0;

    for (uint32_t i = 0; i < dict->n; i += dict->group) {
        uint64_t mark = dict->marks[i / dict->group];
        uint64_t bytes = 0;

        for (uint32_t j = i; j < MIN(i + dict->group, dict->n); j++)
            bytes += dict->lengths[j];
        if (bytes == 0)
            continue;
        if (mark == off + len) {
            len += bytes;
            continue;
        }
        if (heap_read(load->r, off, len, dst) != 0)
            return -1;
        dst += len;
        off = mark;
        len = bytes;
    }
    return heap_read(load->r, off, len, dst);
}

static int
load_heap(struct load *load)
{
    struct heap_dict dict = {.group = 1};
    char *text;

    if (open_heap(load, &dict) != 0 || start(load, dict.n) != 0)
        return -1;
    text = block_alloc(load->block, dict.bytes, 1);
    if (text == NULL || copy_heap(load, &dict, text) != 0)
        return -1;
    for (uint32_t i = 0; i < dict.n; i++) {
        load->out->v[i + 1] = sv_make(text, dict.lengths[i]);
        text += dict.lengths[i];
    }
    return 0;
}

static int
load_templates(struct load *load)
{
    if (start(load, dictionary_count(load->r, load->column)) != 0)
        return -1;
    return template_all(load->r, load->column, load->block->pool,
        load->out->v + 1);
}

int
part_dict_load(struct block *block, uint32_t column, struct part_dict *out)
{
    struct load load = {block, &block->reading, column, out};
    const struct part_vector *vector = directory_find(block->reading.dir,
        column, PART_ROLE_FIXED);

    if (vector != NULL)
        return load_fixed(&load, vector);
    return dictionary_has_templates(&block->reading, column) ?
        load_templates(&load) : load_heap(&load);
}

/* --- is it there? --- */

/* The bytes that the text is stored as; false when it never is. */
static bool
pack(const struct part_vector *vector, struct sv text,
    uint8_t bytes[PART_RAW_WIDTH_MAX])
{
    char back[2 * PART_RAW_WIDTH_MAX];
    uint32_t n = 0;

    if (vector->width == 0 || text.len != fixed_text_len(vector))
        return false;
    if (vector->encoding == PART_RAW) {
        memcpy(bytes, text.ptr, text.len);
        return true;
    }
    for (size_t i = 0; i < text.len && n < 2u * vector->width; i++) {
        char c = text.ptr[i];
        int digit = c >= '0' && c <= '9' ? c - '0' :
            c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (digit < 0)
            continue;
        bytes[n / 2] = (uint8_t)(n % 2 == 0 ? digit << 4 :
            bytes[n / 2] | digit);
        n++;
    }
    if (n != 2u * vector->width)
        return false;
    fixed_put_text(back, vector, bytes);
    return memcmp(back, text.ptr, text.len) == 0;
}

/* Is one of the n values the wanted one?  The first bytes mostly tell. */
static bool
find_fixed(const uint8_t *bytes, uint32_t n, const uint8_t *want,
    uint32_t width)
{
    uint64_t first;

    if (width < sizeof(first)) {
        for (uint32_t i = 0; i < n; i++, bytes += width) {
            if (memcmp(bytes, want, width) == 0)
                return true;
        }
        return false;
    }
    first = enc_get64(want);
    for (uint32_t i = 0; i < n; i++, bytes += width) {
        if (UNLIKELY(enc_get64(bytes) == first) &&
            memcmp(bytes, want, width) == 0)
            return true;
    }
    return false;
}

static bool
fixed_has(struct reading *r, const struct part_vector *vector,
    struct sv text)
{
    uint8_t want[PART_RAW_WIDTH_MAX];
    uint32_t width = vector->width, per_chunk;

    if (!pack(vector, text, want))
        return false;
    per_chunk = part_raw_chunk(width);
    for (uint32_t i = 0; i < vector->count; i += per_chunk) {
        const uint8_t *bytes;

        if (vector_get_fixed(r, vector, i, width, &bytes) != 0)
            return true;
        if (find_fixed(bytes, MIN(per_chunk, vector->count - i), want,
                width))
            return true;
    }
    return false;
}

/*
 * Compares with the bytes of the heap, mostly in one page.  Strings of one
 * key begin alike rather than end alike, so the end is looked at first.
 */
static bool
heap_equals(struct reading *r, uint64_t off, struct sv text)
{
    const char *ptr = NULL;

    if (heap_view(r, off, text.len, &ptr) != 0)
        return true;
    if (ptr != NULL)
        return (text.len < 8 || enc_get64(ptr + text.len - 8) ==
            enc_get64(text.ptr + text.len - 8)) &&
            memcmp(ptr, text.ptr, text.len) == 0;
    while (text.len > 0) {
        char piece[256];
        size_t n = MIN(text.len, sizeof(piece));

        if (heap_read(r, off, n, piece) != 0)
            return true;
        if (memcmp(piece, text.ptr, n) != 0)
            return false;
        off += n;
        text = sv_sub(text, n, text.len);
    }
    return true;
}

/* Lengths come first: only strings of the same length are looked at. */
static bool
heap_has(struct reading *r, const struct part_vector *lengths,
    const struct part_vector *marks, struct sv text)
{
    uint32_t group = marks->count == lengths->count ? 1 : PART_MARK;
    uint64_t length[PART_MARK], off = 0;

    for (uint32_t i = 0; i < lengths->count; i += PART_MARK) {
        uint32_t n = MIN(PART_MARK, lengths->count - i);

        if (vector_decode(r, lengths, i, n, length) != 0)
            return true;
        for (uint32_t j = 0; j < n; j++) {
            if ((group == 1 || j == 0) && (group > 1 ||
                length[j] == text.len) &&
                vector_get(r, marks, (i + j) / group, &off) != 0)
                return true;
            if (length[j] == text.len && heap_equals(r, off, text))
                return true;
            off += length[j];
        }
    }
    return false;
}

bool
part_dict_has(struct reading *r, uint32_t column, struct sv text)
{
    const struct part_vector *lengths, *marks;
    const struct part_vector *vector = directory_find(r->dir, column,
        PART_ROLE_FIXED);

    if (vector != NULL)
        return fixed_has(r, vector, text);
    if (dictionary_has_templates(r, column))
        return template_has(r, column, text);
    lengths = directory_find(r->dir, column, PART_ROLE_LENGTH);
    marks = directory_find(r->dir, column, PART_ROLE_MARK);
    if (lengths == NULL || marks == NULL || (marks->count != lengths->count &&
        marks->count != (lengths->count + PART_MARK - 1) / PART_MARK))
        return true;
    return heap_has(r, lengths, marks, text);
}
