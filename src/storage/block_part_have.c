/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What a block of a part cannot have, told by the index, the streams of its
 * runs, its filter and its dictionaries.  Whatever goes wrong here is a "may
 * have": who reads the column then meets the damage.
 */

#include "core/base.h"
#include "storage/block_part_lists.h"

#include "core/enc.h"
#include "core/num.h"
#include "span/flat.h"
#include "storage/part_values.h"

/* Tenants of a part for which the index is asked. */
#define TENANTS_MAX 16u

/* --- streams and resources --- */

static bool
stream_has(struct block *block, const struct block_field *field,
    uint32_t code, struct sv text)
{
    struct block_stream stream = part_stream_of(block->reading.part, code);
    struct sv own;

    return block_stream_text(block, field, &stream, &own) != 0 ||
        sv_eq(own, text);
}

/* First whether the part has such a stream, which needs no reading. */
static bool
streams_have(struct block *block, const struct block_field *field,
    struct sv text)
{
    const struct part *part = block->reading.part;
    const struct part_runs *runs = NULL;
    uint64_t *found = block_zalloc(block, BITMAP_WORDS(part->nstreams),
        sizeof(*found));
    bool any = false;

    if (found == NULL)
        return true;
    for (uint32_t i = 0; i < part->nstreams; i++) {
        if (stream_has(block, field, i, text)) {
            bitmap_set(found, i);
            any = true;
        }
    }
    if (!any || part->info.nblocks == 1)
        return any;
    if (reading_runs(&block->reading, PART_TABLE_SPANS, &runs) != 0)
        return true;
    for (uint32_t run = 0; run < runs->nruns; run++) {
        if (bitmap_has(found, runs->stream[run]))
            return true;
    }
    return false;
}

static bool
resources_have(struct block *block, const struct block_field *field,
    struct sv text)
{
    const struct part *part = block->reading.part;

    for (uint32_t i = 0; i < part->nresources; i++) {
        struct sv own;

        if ((block_attrs_text(block, &part->resources[i].attrs, field->key,
                &own) != 0 || sv_eq(own, text)) &&
            part_resource_may_be(part, i, block->reading.block_idx))
            return true;
    }
    return false;
}

/* --- trace ids --- */

/* Does the index name the block for the trace? */
static bool
index_names(const struct block *block, const struct tenant *tenant,
    const struct trace_id *id)
{
    const struct part_trace_index *index =
        &block->reading.part->traces;
    uint64_t hash = part_trace_hash(index->head.seed, tenant, id);
    uint32_t bucket = (uint32_t)(hash >> 32 >>
        (32 - index->head.log2_buckets));
    uint16_t tag = (uint16_t)(hash >> (64 - PART_TRACES_TAG_BITS -
        index->head.log2_buckets));

    for (uint32_t i = index->bucket_off[bucket];
        i < index->bucket_off[bucket + 1] && index->tag[i] <= tag; i++) {
        if (index->tag[i] == tag && (index->block == NULL ||
            index->block[i] == block->reading.block_idx))
            return true;
    }
    return false;
}

static bool
traces_have(const struct block *block, struct sv text)
{
    const struct part *part = block->reading.part;
    struct trace_id id;

    if (part->ntenants > TENANTS_MAX || !enc_unhex(text, id.b, sizeof(id.b)))
        return true;
    for (uint32_t i = 0; i < part->ntenants; i++) {
        if (index_names(block, &part->tenants[i], &id))
            return true;
    }
    return false;
}

/* --- attributes --- */

static bool
source_has(struct reading *r, const struct part_source *source, bool is_attr,
    struct sv text)
{
    bool is_dash = is_attr && sv_eq(text, SV("-"));
    int64_t v;

    if (is_attr && r->part->keys[source->key].scope == KEY_SPAN &&
        (source->type == VALUE_STRING || source->type == VALUE_INT ||
        source->type == VALUE_BOOL) &&
        !part_values_may_have(r->part, source->key, text, r->block_idx))
        return false;
    if ((source->type == VALUE_STRING || source->type == VALUE_INT) &&
        !filter_may_have(r, source->key, text))
        return false;
    switch (source->type) {
    case VALUE_STRING:
        return part_dict_has(r, source->column, text) ||
            (is_dash && part_dict_has(r, source->column, SV_EMPTY));
    case VALUE_BOOL:
        return sv_eq(text, SV("true")) || sv_eq(text, SV("false"));
    case VALUE_INT:
        return num_parse_exact_i64(text, &v);
    default:
        return true;
    }
}

static bool
values_have(struct block *block, const struct block_field *field,
    struct sv text)
{
    struct part_lists lists;

    if (part_lists_sources(&lists, block, field, true) != 0)
        return true;
    for (uint32_t i = 0; i < lists.nsources; i++) {
        if (source_has(lists.r, &lists.sources[i],
                field->what == BLOCK_ATTR, text))
            return true;
    }
    return false;
}

bool
part_block_may_have(struct block *block, const struct block_field *field,
    struct sv text)
{
    if (block_is_of_stream(field))
        return streams_have(block, field, text);
    switch (field->what) {
    case BLOCK_TRACE_ID:
        return traces_have(block, text);
    case BLOCK_ATTR:
        return field->scope == KEY_RESOURCE ?
            resources_have(block, field, text) :
            values_have(block, field, text);
    case BLOCK_TEXT:
        return values_have(block, field, text);
    case BLOCK_EVENT_NAME:
        return directory_find(block->reading.dir, PART_EVENT_NAME,
            PART_ROLE_VALUES) != NULL &&
            part_dict_has(&block->reading, PART_EVENT_NAME, text);
    default:
        return true;
    }
}
