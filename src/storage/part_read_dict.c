/* SPDX-License-Identifier: BSD-2-Clause */

/* Strings of a column's dictionary (part_format.h). */

#include "core/base.h"
#include "storage/part_read.h"

#include "core/enc.h"

#define UUID_TEXT 36u

/* --- fixed-width forms --- */

uint32_t
fixed_text_len(const struct part_vector *vector)
{
    return vector->encoding == PART_UUID ? UUID_TEXT :
        vector->encoding == PART_HEX ? 2u * vector->width : vector->width;
}

static void
put_uuid(char *dst, const uint8_t bytes[16])
{
    uint64_t middle = enc_hex_digits(enc_get32(bytes + 4));
    uint64_t last = enc_hex_digits(enc_get32(bytes + 8));

    enc_put64(dst, enc_hex_digits(enc_get32(bytes)));
    dst[8] = '-';
    enc_put32(dst + 9, (uint32_t)middle);
    dst[13] = '-';
    enc_put32(dst + 14, (uint32_t)(middle >> 32));
    dst[18] = '-';
    enc_put32(dst + 19, (uint32_t)last);
    dst[23] = '-';
    enc_put32(dst + 24, (uint32_t)(last >> 32));
    enc_put64(dst + 28, enc_hex_digits(enc_get32(bytes + 12)));
}

void
fixed_put_text(char *dst, const struct part_vector *vector,
    const uint8_t *bytes)
{
    if (vector->encoding == PART_UUID)
        put_uuid(dst, bytes);
    else if (vector->encoding == PART_HEX)
        enc_hex(dst, bytes, vector->width);
    else
        memcpy(dst, bytes, vector->width);
}

static int
fixed_string(struct reading *r, const struct part_vector *vector,
    uint64_t code, struct pool *pool, struct sv *out)
{
    const uint8_t *bytes;
    size_t len = fixed_text_len(vector);
    char *dst;

    if (code >= vector->count)
        return reading_corrupt(r, "vector %u has no string %llu", vector->id,
            (unsigned long long)code);
    if (vector_get_fixed(r, vector, (uint32_t)code, vector->width,
            &bytes) != 0)
        return -1;
    dst = pool_alloc(pool, len);
    if (dst == NULL)
        return reading_no_memory(r);
    fixed_put_text(dst, vector, bytes);
    *out = sv_make(dst, len);
    return 0;
}

/* --- strings in the heap --- */

/* Where a string stands. */
struct place {
    uint64_t off;
    uint64_t len;
};

/* Of a string that follows its neighbours from the mark before it. */
static int
marked_place(struct reading *r, const struct part_vector *lengths,
    const struct part_vector *marks, uint32_t code, struct place *place)
{
    uint64_t before[PART_MARK];
    uint32_t mark = code / PART_MARK;
    uint32_t n = code % PART_MARK + 1;

    if (vector_get(r, marks, mark, &place->off) != 0 ||
        vector_decode(r, lengths, mark * PART_MARK, n, before) != 0)
        return -1;
    for (uint32_t i = 0; i + 1 < n; i++) {
        if (before[i] > r->dir->heap_bytes)
            return reading_corrupt(r, "vector %u: length", lengths->id);
        place->off += before[i];
    }
    place->len = before[n - 1];
    return 0;
}

static int
heap_place(struct reading *r, const struct part_vector *lengths,
    uint32_t code, struct place *place)
{
    const struct part_vector *marks = directory_find(r->dir,
        lengths->id / PART_ROLES, PART_ROLE_MARK);

    if (marks == NULL || (marks->count != lengths->count &&
        marks->count != (lengths->count + PART_MARK - 1) / PART_MARK))
        return reading_corrupt(r, "vector %u: marks", lengths->id + 1);
    if (marks->count != lengths->count)
        return marked_place(r, lengths, marks, code, place);
    if (vector_get(r, marks, code, &place->off) != 0)
        return -1;
    return vector_get(r, lengths, code, &place->len);
}

int
dictionary_text(struct reading *r, uint32_t column, uint32_t code,
    struct pool *pool, struct sv *out)
{
    const struct part_vector *lengths = directory_find(r->dir, column,
        PART_ROLE_LENGTH);
    struct place place;
    char *dst;

    if (heap_place(r, lengths, code, &place) != 0)
        return -1;
    if (place.len == 0) {
        *out = SV_EMPTY;
        return 0;
    }
    if (place.len > r->dir->heap_bytes)
        return reading_corrupt(r, "vector %u: length", lengths->id);
    dst = pool_alloc(pool, place.len);
    if (dst == NULL)
        return reading_no_memory(r);
    *out = sv_make(dst, place.len);
    return heap_read(r, place.off, place.len, dst);
}

int
dictionary_get(struct reading *r, uint32_t column, uint64_t code,
    struct pool *pool, struct sv *out)
{
    const struct part_vector *vector = directory_find(r->dir, column,
        PART_ROLE_FIXED);

    if (vector != NULL)
        return fixed_string(r, vector, code, pool, out);
    if (dictionary_has_templates(r, column))
        return template_get(r, column, code, pool, out);
    vector = directory_find(r->dir, column, PART_ROLE_LENGTH);
    if (vector == NULL || code >= vector->count)
        return reading_corrupt(r, "column %u has no string %llu", column,
            (unsigned long long)code);
    return dictionary_text(r, column, (uint32_t)code, pool, out);
}

uint32_t
dictionary_count(const struct reading *r, uint32_t column)
{
    static const enum part_role roles[] = {PART_ROLE_FIXED,
        PART_ROLE_TEMPLATE, PART_ROLE_LENGTH};

    for (unsigned i = 0; i < ARRAY_LEN(roles); i++) {
        const struct part_vector *vector = directory_find(r->dir, column,
            roles[i]);

        if (vector != NULL)
            return vector->count;
    }
    return 0;
}
