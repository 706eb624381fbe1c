/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part: dictionaries of string columns.  While columns are written
 * their distinct strings are only collected; at the end the dictionaries go
 * out smallest first, so that small ones share heap pages.
 */

#include "core/base.h"
#include "storage/part_write.h"

#include "core/assert.h"
#include "core/enc.h"

/* A shorter dictionary is better off in a page with others. */
#define FIXED_MIN_STRINGS 16u
#define UUID_LEN 36u
/* Shorter hex strings are words and numbers that only look like hex. */
#define HEX_MIN_LEN 8u

static uint64_t *
dict_map(struct part_writer *w)
{
    size_t bytes = (size_t)w->ntexts * sizeof(uint64_t);
    struct scratch *scratch = &w->scratch[SCRATCH_DICT_MAP];
    size_t before = scratch->cap;
    uint64_t *map = writer_alloc(w, SCRATCH_DICT_MAP, bytes);

    if (map == NULL)
        return NULL;
    if (scratch->cap != before || w->dict_stamp == UINT32_MAX) {
        memset(map, 0, scratch->cap);
        w->dict_stamp = 0;
    }
    w->dict_stamp++;
    return map;
}

static int
new_code(struct part_writer *w, struct write_dict *dict, uint32_t code)
{
    struct sv text = writer_text(w, code);

    if (text.ptr == NULL)
        return writer_damaged(w, "string", code);
    w->dict_codes[w->ndict_codes++] = code;
    dict->n++;
    dict->bytes += text.len;
    return 0;
}

int
writer_strings(struct part_writer *w, uint32_t column, uint32_t *codes,
    uint32_t n)
{
    struct write_dict dict = {.column = column, .first = w->ndict_codes};
    uint64_t *map = dict_map(w);
    uint64_t stamp = (uint64_t)w->dict_stamp << 32;

    if (n == 0)
        return 0;
    w->dicts = writer_grow(w, SCRATCH_DICTS,
        ((size_t)w->ndicts + 1) * sizeof(*w->dicts));
    w->dict_codes = writer_grow(w, SCRATCH_DICT_CODES,
        ((size_t)w->ndict_codes + n) * sizeof(*w->dict_codes));
    if (map == NULL || w->dicts == NULL || w->dict_codes == NULL)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t code = codes[i];

        if (UNLIKELY(code >= w->ntexts))
            return writer_damaged(w, "string", code);
        if (map[code] >> 32 != stamp >> 32) {
            map[code] = stamp | dict.n;
            if (new_code(w, &dict, code) != 0)
                return -1;
        }
        codes[i] = (uint32_t)map[code];
    }
    w->dicts[w->ndicts++] = dict;
    return vector_u32(w, vector_id(column, PART_ROLE_VALUES), codes, n,
        COL_TRY_DELTA);
}

/* --- fixed-width forms --- */

/* Two digits of text for each byte, eight digits at a time. */
static bool
parse_hex(const char *text, size_t n, uint8_t *dst)
{
    bool is_hex = true;
    uint32_t bytes;

    for (; n >= 4; n -= 4, text += 8, dst += 4) {
        is_hex &= enc_hex_bytes(enc_get64(text), &bytes);
        enc_put32(dst, bytes);
    }
    if (n > 0) {
        char last[8] = "00000000";

        memcpy(last, text, 2 * n);
        is_hex &= enc_hex_bytes(enc_get64(last), &bytes);
        memcpy(dst, &bytes, n);
    }
    return is_hex;
}

/* The digits without what stands between them. */
static bool
parse_uuid(const char *text, uint8_t dst[16])
{
    char digits[32];

    memcpy(digits, text, 8);
    memcpy(digits + 8, text + 9, 4);
    memcpy(digits + 12, text + 14, 4);
    memcpy(digits + 16, text + 19, 4);
    memcpy(digits + 20, text + 24, 12);
    return text[8] == '-' && text[13] == '-' && text[18] == '-' &&
        text[23] == '-' && parse_hex(digits, 16, dst);
}

/* The width of the bytes if all strings of the dictionary may be such. */
static uint32_t
fixed_width(const struct part_writer *w, const struct write_dict *dict,
    bool *is_uuid)
{
    struct sv text = writer_dict_string(w, dict, 0);
    size_t len = text.len;

    *is_uuid = len == UUID_LEN && text.ptr[8] == '-';
    if (dict->n < FIXED_MIN_STRINGS || dict->bytes != dict->n * len)
        return 0;
    if (*is_uuid)
        return 16;
    return len >= HEX_MIN_LEN && len <= PART_HEX_MAX && len % 2 == 0 ?
        (uint32_t)len / 2 : 0;
}

static int
write_fixed(struct part_writer *w, const struct write_dict *dict,
    struct write_filter *filter, bool *is_done)
{
    bool is_uuid;
    uint32_t width = fixed_width(w, dict, &is_uuid);
    size_t len = is_uuid ? UUID_LEN : 2 * (size_t)width;
    struct fixed fixed;
    uint8_t *bytes;

    *is_done = false;
    if (width == 0)
        return 0;
    bytes = writer_alloc(w, SCRATCH_FIXED, (size_t)dict->n * width);
    if (bytes == NULL)
        return -1;
    for (uint32_t i = 0; i < dict->n; i++) {
        struct sv text = writer_dict_string(w, dict, i);
        uint8_t *dst = bytes + (size_t)i * width;

        writer_dict_prefetch(w, dict, i);
        if (text.len != len)
            return 0;
        filter_put(filter, i, text);
        if (!(is_uuid ? parse_uuid(text.ptr, dst) :
                        parse_hex(text.ptr, width, dst)))
            return 0;
    }
    *is_done = true;
    fixed = (struct fixed){is_uuid ? PART_UUID : PART_HEX, width, bytes,
        dict->n};
    return vector_fixed(w, vector_id(dict->column, PART_ROLE_FIXED), &fixed);
}

/* --- text --- */

/* What a heap offset costs in a dictionary that is not in one piece. */
#define OFFSET_BYTES 4u

/*
 * Strings that several keys share are worth one place in the heap.  This also
 * bounds the heap: whatever a client repeats under many keys, it holds little
 * more than the memtable's strings.
 */
static bool
is_shared(const struct part_writer *w, const struct write_dict *dict)
{
    uint64_t known = 0;

    for (uint32_t i = 0; i < dict->n; i++) {
        if (w->heap_map[w->dict_codes[dict->first + i]] != NO_ORDINAL)
            known += writer_dict_string(w, dict, i).len;
    }
    return known > (uint64_t)dict->n * OFFSET_BYTES;
}

static uint64_t
add_to_heap(struct part_writer *w, uint32_t code)
{
    uint64_t offset = w->heap.len;

    if (w->heap_map[code] == NO_ORDINAL)
        w->heap_map[code] = (uint32_t)offset;
    sb_add_sv(&w->heap, writer_text(w, code));
    return offset;
}

static int
write_text(struct part_writer *w, const struct write_dict *dict,
    struct write_filter *filter)
{
    uint64_t *lengths = writer_alloc(w, SCRATCH_WIDE,
        2 * (size_t)dict->n * sizeof(*lengths));
    bool shared = is_shared(w, dict);
    uint64_t *marks;
    uint32_t nmarks = 0;

    if (lengths == NULL)
        return -1;
    marks = lengths + dict->n;
    for (uint32_t i = 0; i < dict->n; i++) {
        uint32_t code = w->dict_codes[dict->first + i];
        struct sv text = writer_dict_string(w, dict, i);
        uint64_t offset;

        writer_dict_prefetch(w, dict, i);
        filter_put(filter, i, text);
        offset = shared && w->heap_map[code] != NO_ORDINAL ?
            w->heap_map[code] : add_to_heap(w, code);
        lengths[i] = text.len;
        if (shared || i % PART_MARK == 0)
            marks[nmarks++] = offset;
    }
    if (writer_sb_ok(w, &w->heap) != 0 ||
        vector_u64(w, vector_id(dict->column, PART_ROLE_LENGTH), lengths,
            dict->n, 0) != 0)
        return -1;
    return vector_u64(w, vector_id(dict->column, PART_ROLE_MARK), marks,
        nmarks, 0);
}

static int
compare_dicts(const void *a, const void *b)
{
    const struct write_dict *x = a;
    const struct write_dict *y = b;

    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return x->column < y->column ? -1 : x->column > y->column;
}

int
write_dicts(struct part_writer *w)
{
    size_t bytes = (size_t)w->ntexts * sizeof(*w->heap_map);

    w->heap_map = writer_alloc(w, SCRATCH_HEAP_MAP, bytes);
    if (w->heap_map == NULL)
        return -1;
    memset(w->heap_map, 0xff, bytes);
    sb_reset(&w->heap);
    if (w->ndicts > 1)
        qsort(w->dicts, w->ndicts, sizeof(*w->dicts), compare_dicts);
    for (uint32_t i = 0; i < w->ndicts; i++) {
        struct write_filter filter;
        bool is_done;

        if (writer_filter(w, &w->dicts[i], &filter) != 0 ||
            write_fixed(w, &w->dicts[i], &filter, &is_done) != 0)
            return -1;
        if (!is_done &&
            write_templates(w, &w->dicts[i], &filter, &is_done) != 0)
            return -1;
        if (!is_done && write_text(w, &w->dicts[i], &filter) != 0)
            return -1;
    }
    return 0;
}
