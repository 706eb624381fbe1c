/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part: the index sections (part_format.h).  STRINGS is written
 * last, since the others number the strings as they go.
 */

#include "core/base.h"
#include "storage/part_write.h"

#include <zstd.h>

#include "core/assert.h"
#include "core/enc.h"

/* Below this zstd's frame costs more than it saves. */
#define COMPRESS_MIN 128u

/* --- writing a section --- */

static void
put_u8(struct part_writer *w, uint8_t v)
{
    sb_add(&w->section, &v, 1);
}

/* The section as it should stand in the file: as it is, or compressed. */
static struct sv
pack_section(struct part_writer *w, bool compress, uint8_t *codec)
{
    size_t bound = ZSTD_compressBound(w->section.len);
    char *dst;
    size_t len;

    *codec = PART_CODEC_NONE;
    if (!compress || w->section.len < COMPRESS_MIN)
        return sb_sv(&w->section);
    sb_reset(&w->packed);
    dst = sb_reserve(&w->packed, bound);
    if (dst == NULL)
        return sb_sv(&w->section);
    len = ZSTD_compress2(w->zstd, dst, bound, w->section.ptr,
        w->section.len);
    if (ZSTD_isError(len) || len >= w->section.len)
        return sb_sv(&w->section);
    *codec = PART_CODEC_ZSTD;
    return sv_make(dst, len);
}

static int
end_section(struct part_writer *w, enum part_section_type type,
    bool compress)
{
    struct part_section *section;
    struct sv packed;
    uint8_t codec;

    if (writer_sb_ok(w, &w->section) != 0 ||
        writer_align(w, PART_SECTION_ALIGN) != 0)
        return -1;
    check(w->footer.nsections < PART_SECTIONS_MAX);
    section = &w->footer.sections[w->footer.nsections++];
    packed = pack_section(w, compress, &codec);
    *section = (struct part_section){.type = (uint16_t)type,
        .flags = type < PART_SECTION_VALUES ? PART_SECTION_CRITICAL : 0,
        .codec = codec, .off = writer_pos(w), .len = packed.len,
        .raw = w->section.len,
        .xxh3 = part_checksum(w->part_id, packed.ptr, packed.len)};
    sb_add_sv(&w->out, packed);
    sb_reset(&w->section);
    return writer_sb_ok(w, &w->out);
}

/* --- strings --- */

int
writer_put_string(struct part_writer *w, uint32_t code)
{
    if (code >= w->ntexts || writer_text(w, code).ptr == NULL)
        return writer_damaged(w, "string", code);
    if (w->string_map[code] == NO_ORDINAL) {
        w->strings = writer_grow(w, SCRATCH_STRINGS,
            ((size_t)w->nstrings + 1) * sizeof(*w->strings));
        if (w->strings == NULL)
            return -1;
        w->strings[w->nstrings] = code;
        w->string_map[code] = w->nstrings++;
    }
    section_varint(w, w->string_map[code]);
    return 0;
}

static int
write_strings(struct part_writer *w)
{
    section_varint(w, w->nstrings);
    for (uint32_t i = 0; i < w->nstrings; i++)
        section_varint(w, writer_text(w, w->strings[i]).len);
    for (uint32_t i = 0; i < w->nstrings; i++)
        sb_add_sv(&w->section, writer_text(w, w->strings[i]));
    return end_section(w, PART_SECTION_STRINGS, true);
}

/* --- lists: scopes and resources --- */

static int
put_value(struct part_writer *w, uint8_t type, const uint32_t *words)
{
    switch (type) {
    case VALUE_EMPTY:
        return 0;
    case VALUE_BOOL:
        put_u8(w, words[0] != 0);
        return 0;
    case VALUE_INT:
        section_varint(w, enc_zigzag((int64_t)memtable_word2(words)));
        return 0;
    case VALUE_DOUBLE:
        sb_add(&w->section, words, 8);
        return 0;
    default:
        return writer_put_string(w, words[0]);
    }
}

static int
put_list(struct part_writer *w, const struct write_list *list)
{
    const struct write_shape *shape = &w->shapes[list->shape];
    const uint32_t *words = list->words;

    section_varint(w, list->shape);
    for (uint32_t i = 0; i < shape->n; i++) {
        uint8_t type = w->keys[w->shape_keys[shape->first + i]].type;

        if (put_value(w, type, words) != 0)
            return -1;
        words += memtable_type_words(type);
    }
    return 0;
}

static int
write_scopes(struct part_writer *w)
{
    section_varint(w, w->nscopes);
    for (uint32_t i = 0; i < w->nscopes; i++) {
        if (put_list(w, &w->scopes[i]) != 0)
            return -1;
    }
    return end_section(w, PART_SECTION_SCOPES, true);
}

static int
write_resources(struct part_writer *w)
{
    section_varint(w, w->nresources);
    for (uint32_t i = 0; i < w->nresources; i++) {
        if (writer_put_string(w, w->resources[i].service) != 0 ||
            put_list(w, &w->resources[i].list) != 0)
            return -1;
    }
    return end_section(w, PART_SECTION_RESOURCES, true);
}

/* --- streams, shapes, keys --- */

static int
write_streams(struct part_writer *w)
{
    section_varint(w, w->nstreams);
    for (uint32_t i = 0; i < w->nstreams; i++) {
        const struct write_stream *stream = &w->streams[i];

        section_varint(w, stream->tenant);
        if (writer_put_string(w, stream->service) != 0)
            return -1;
        section_varint(w, stream->scope);
        if (writer_put_string(w, stream->name) != 0)
            return -1;
        section_varint(w, enc_zigzag(stream->kind));
    }
    return end_section(w, PART_SECTION_STREAMS, true);
}

static int
write_shapes(struct part_writer *w)
{
    section_varint(w, w->nshapes);
    for (uint32_t i = 0; i < w->nshapes; i++) {
        const struct write_shape *shape = &w->shapes[i];

        put_u8(w, shape->scope);
        section_varint(w, shape->n);
        for (uint32_t j = 0; j < shape->n; j++)
            section_varint(w, w->shape_keys[shape->first + j]);
    }
    return end_section(w, PART_SECTION_SHAPES, true);
}

static int
write_key_names(struct part_writer *w)
{
    section_varint(w, w->nkeys);
    for (uint32_t i = 0; i < w->nkeys; i++) {
        const struct write_key *key = &w->keys[i];

        put_u8(w, (uint8_t)(key->scope | (key->is_field ? 0x80 : 0)));
        put_u8(w, key->type);
        section_varint(w, key->occurrence);
        if (key->is_field)
            section_varint(w, key->name);
        else if (writer_put_string(w, key->name) != 0)
            return -1;
    }
    return end_section(w, PART_SECTION_KEYS, true);
}

static int
write_tenants(struct part_writer *w)
{
    sb_add(&w->section, w->tenants, w->ntenants * sizeof(*w->tenants));
    return end_section(w, PART_SECTION_TENANTS, true);
}

/* --- where a trace id is --- */

static uint32_t
log2_buckets(uint32_t n)
{
    uint32_t log2 = 0;

    while (log2 < PART_TRACES_LOG2_MAX && (n >> log2) > (
        log2 < PART_TRACES_LOG2_FEW ? PART_TRACES_PER_BUCKET_FEW :
            PART_TRACES_PER_BUCKET))
        log2++;
    return log2;
}

static void
pad8(struct part_writer *w)
{
    uint64_t zero = 0;

    sb_add(&w->section, &zero, ALIGN_UP(w->section.len, 8) - w->section.len);
}

/* By their hash, as far as the index holds it. */
static struct sort_item *
sort_places(struct part_writer *w, uint32_t bits)
{
    uint32_t n = w->nplaces;
    struct sort_item *a = writer_alloc(w, SCRATCH_SORT_A, n * sizeof(*a));
    struct sort_item *b = writer_alloc(w, SCRATCH_SORT_B, n * sizeof(*b));

    if (a == NULL || b == NULL)
        return NULL;
    for (uint32_t i = 0; i < n; i++)
        a[i] = (struct sort_item){w->places[i].hash >> (64 - bits), i};
    return sort_items(a, b, n, bits);
}

static void
put_bucket_offsets(struct part_writer *w, const struct sort_item *items,
    uint32_t nbuckets)
{
    for (uint32_t bucket = 0, i = 0; bucket <= nbuckets; bucket++) {
        while (i < w->nplaces &&
            items[i].key >> PART_TRACES_TAG_BITS < bucket)
            i++;
        sb_add(&w->section, &i, sizeof(i));
    }
    pad8(w);
}

static int
write_trace_index(struct part_writer *w)
{
    uint32_t n = w->nplaces;
    struct part_traces head = {.seed = w->trace_seed, .n = n,
        .log2_buckets = (uint8_t)log2_buckets(n),
        .has_blocks = w->nblocks > 1};
    struct sort_item *items = sort_places(w,
        head.log2_buckets + PART_TRACES_TAG_BITS);

    if (items == NULL)
        return -1;
    sb_add(&w->section, &head, sizeof(head));
    put_bucket_offsets(w, items, 1u << head.log2_buckets);
    for (uint32_t i = 0; i < n; i++) {
        uint16_t tag = (uint16_t)items[i].key;

        sb_add(&w->section, &tag, sizeof(tag));
    }
    pad8(w);
    for (uint32_t i = 0; i < n; i++)
        sb_add(&w->section, &w->places[items[i].index].ordinal,
            sizeof(uint16_t));
    pad8(w);
    for (uint32_t i = 0; i < n && head.has_blocks; i++)
        sb_add(&w->section, &w->places[items[i].index].block,
            sizeof(uint16_t));
    pad8(w);
    return end_section(w, PART_SECTION_TRACES, false);
}

/* --- all --- */

static int
write_lineage(struct part_writer *w, const struct write_lineage *lineage)
{
    sb_add(&w->section, w->footer.node_id, sizeof(w->footer.node_id));
    sb_add(&w->section, &lineage->ninputs, sizeof(lineage->ninputs));
    sb_add(&w->section, &lineage->nranges, sizeof(lineage->nranges));
    sb_add(&w->section, lineage->inputs,
        lineage->ninputs * sizeof(*lineage->inputs));
    sb_add(&w->section, lineage->ranges,
        lineage->nranges * sizeof(*lineage->ranges));
    return end_section(w, PART_SECTION_LINEAGE, false);
}

/* What a part may be without; an empty section is left out. */
static int
write_optional(struct part_writer *w)
{
    if (writer_put_values(w) != 0)
        return -1;
    if (w->section.len > 0 &&
        end_section(w, PART_SECTION_VALUES, true) != 0)
        return -1;
    if (writer_put_fields(w) != 0)
        return -1;
    if (w->section.len > 0 &&
        end_section(w, PART_SECTION_FIELDS, true) != 0)
        return -1;
    sb_add_sv(&w->section, sb_sv(&w->cells));
    return end_section(w, PART_SECTION_CELLS, true);
}

int
write_index(struct part_writer *w, const struct write_lineage *lineage)
{
    w->string_map = writer_map(w, SCRATCH_STRING_MAP, w->ntexts);
    w->strings = writer_alloc(w, SCRATCH_STRINGS, 64);
    if (w->string_map == NULL || w->strings == NULL)
        return -1;
    sb_reset(&w->section);
    sb_add(&w->section, w->blocks, w->nblocks * sizeof(*w->blocks));
    if (end_section(w, PART_SECTION_BLOCKS, false) != 0 ||
        write_lineage(w, lineage) != 0 || write_trace_index(w) != 0 ||
        write_tenants(w) != 0 || write_streams(w) != 0 ||
        write_scopes(w) != 0 || write_resources(w) != 0 ||
        write_shapes(w) != 0 || write_key_names(w) != 0 ||
        writer_put_edges(w) != 0 ||
        end_section(w, PART_SECTION_EDGES, true) != 0 ||
        write_strings(w) != 0)
        return -1;
    if (write_optional(w) != 0)
        return -1;
    return writer_align(w, PART_SECTION_ALIGN);
}
