/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Which fields of a block may have a text that is looked for: by the kind of
 * the field, and in parts by what the index and the dictionaries say of each
 * key, so that the values of the others are not read.
 */

#include "core/base.h"
#include "storage/block_read.h"

#include "storage/block_part_lists.h"
#include "storage/part_values.h"

/* Streams, or resources, of a part that are asked for each block. */
#define SHARED_MAX 1024u

int
block_ask_text(struct block *block, const struct block_ask *ask,
    struct sv text, bool *may)
{
    int got;

    if (ask->exact != NULL) {
        *may = sv_eq(text, *ask->exact);
        return 0;
    }
    got = ask->text(ask->arg, text, block->err);
    *may = got > 0;
    return got < 0 ? -1 : 0;
}

/* --- keys of parts --- */

static int
ask_dictionary(struct block *block, const struct block_ask *ask,
    uint32_t column, bool is_attr, bool *may)
{
    struct part_dict dict;

    *may = true;
    if (ask->exact != NULL) {
        bool is_dash = is_attr && sv_eq(*ask->exact, SV("-"));

        *may = part_dict_has(&block->reading, column, *ask->exact) ||
            (is_dash && part_dict_has(&block->reading, column, SV_EMPTY));
        return 0;
    }
    if (part_dict_load(block, column, &dict) != 0)
        return -1;
    *may = false;
    for (uint32_t i = 1; i <= dict.n && !*may; i++) {
        struct sv text = dict.v[i];

        if (block_ask_text(block, ask, text.len == 0 && is_attr ? SV("-") :
                text, may) != 0)
            return -1;
    }
    return 0;
}

/* Does an attribute of the scope have a name that begins with the prefix? */
static bool
is_of_prefix(struct sv prefix, enum key_scope scope)
{
    static const struct sv names[] = {
        [KEY_SPAN] = {"span_attr:", 10},
        [KEY_RESOURCE] = {"resource_attr:", 14},
        [KEY_SCOPE] = {"scope_attr:", 11},
        [KEY_EVENT] = {"event:", 6},
        [KEY_LINK] = {"link:", 5},
    };
    size_t len;

    if (scope >= ARRAY_LEN(names))
        return true;
    len = MIN(prefix.len, names[scope].len);
    return sv_starts_with(names[scope], sv_sub(prefix, 0, len));
}

int
block_ask_key(struct block *block, const struct block_ask *ask,
    uint32_t ordinal, bool *may)
{
    struct reading *r = &block->reading;
    const struct part_key *key = &r->part->keys[ordinal];
    int got = 1;

    *may = key->type != VALUE_EMPTY && (key->is_field ||
        is_of_prefix(ask->prefix, key->scope));
    if (!*may)
        return 0;
    switch (key->type) {
    case VALUE_INT:
        *may = (ask->forms & BLOCK_FORM_INT) != 0;
        return 0;
    case VALUE_DOUBLE:
        *may = (ask->forms & BLOCK_FORM_DOUBLE) != 0;
        return 0;
    case VALUE_BOOL:
        if (block_ask_text(block, ask, SV("true"), may) != 0)
            return -1;
        return *may ? 0 : block_ask_text(block, ask, SV("false"), may);
    case VALUE_STRING:
        break;
    default:
        return 0;
    }
    if (ask->exact != NULL && !filter_may_have(r, ordinal, *ask->exact)) {
        *may = false;
        return 0;
    }
    if (key->scope == KEY_SPAN && !key->is_field)
        got = part_values_ask(block, ordinal, ask, may);
    if (got <= 0)
        return got;
    return ask_dictionary(block, ask, PART_COLUMNS_CORE + ordinal,
        !key->is_field, may);
}

/* A text that rows, events or links have beside their attributes. */
static int
ask_text_field(struct block *block, const struct block_ask *ask,
    const struct block_field *field, bool *may)
{
    const struct reading *r = &block->reading;

    *may = false;
    for (uint32_t i = 0; i < r->part->nkeys && !*may; i++) {
        if (part_key_is_source(field, &r->part->keys[i]) &&
            directory_find(r->dir, PART_COLUMNS_CORE + i,
                PART_ROLE_VALUES) != NULL &&
            block_ask_key(block, ask, i, may) != 0)
            return -1;
    }
    return 0;
}

/* --- fields that are no attributes --- */

int
block_ask_core(struct block *block, const struct block_ask *ask,
    struct sv name, bool *may)
{
    struct block_field field = block_field_parse(name);
    unsigned form = 0;

    *may = true;
    switch (field.what) {
    case BLOCK_MSG:
        return block_ask_text(block, ask, SV("-"), may);
    case BLOCK_TIME:
        form = BLOCK_FORM_TIME;
        break;
    case BLOCK_START:
    case BLOCK_END:
    case BLOCK_DURATION:
    case BLOCK_STATUS:
    case BLOCK_KIND:
    case BLOCK_NUMBER:
    case BLOCK_EVENT_TIME:
        form = BLOCK_FORM_INT;
        break;
    case BLOCK_TRACE_ID:
    case BLOCK_SPAN_ID:
    case BLOCK_PARENT_ID:
    case BLOCK_LINK_TRACE:
    case BLOCK_LINK_SPAN:
        form = BLOCK_FORM_ID;
        break;
    case BLOCK_TEXT:
        return block->mt != NULL ? 0 :
            ask_text_field(block, ask, &field, may);
    case BLOCK_EVENT_NAME:
        if (block->mt != NULL)
            return 0;
        *may = directory_find(block->reading.dir, PART_EVENT_NAME,
            PART_ROLE_VALUES) != NULL;
        return *may ? ask_dictionary(block, ask, PART_EVENT_NAME, false,
            may) : 0;
    default:
        return 0;
    }
    *may = (ask->forms & form) != 0;
    return 0;
}

/* --- blocks without a text in one field --- */

static bool
streams_pass(struct block *block, const struct block_field *field,
    const struct block_ask *ask)
{
    const struct part *part = block->reading.part;
    bool may = part->nstreams > SHARED_MAX;

    for (uint32_t i = 0; i < part->nstreams && !may; i++) {
        struct block_stream stream = part_stream_of(part, i);
        struct sv text;

        if (block_stream_text(block, field, &stream, &text) != 0 ||
            block_ask_text(block, ask, text, &may) != 0)
            return true;
    }
    return may;
}

static bool
resources_pass(struct block *block, const struct block_field *field,
    const struct block_ask *ask)
{
    const struct part *part = block->reading.part;
    bool may = part->nresources > SHARED_MAX;

    for (uint32_t i = 0; i < part->nresources && !may; i++) {
        struct sv text;

        if (block_attrs_text(block, &part->resources[i].attrs, field->key,
                &text) != 0 || block_ask_text(block, ask, text, &may) != 0)
            return true;
        may = may && part_resource_may_be(part, i,
            block->reading.block_idx);
    }
    return may;
}

static bool
values_pass(struct block *block, const struct block_field *field,
    const struct block_ask *ask)
{
    struct part_lists lists;

    if (part_lists_sources(&lists, block, field, true) != 0)
        return true;
    for (uint32_t i = 0; i < lists.nsources; i++) {
        const struct part_source *source = &lists.sources[i];
        bool may = true;

        if ((source->type != VALUE_STRING && source->type != VALUE_INT &&
            source->type != VALUE_BOOL) ||
            part_values_ask(block, source->key, ask, &may) != 0 || may)
            return true;
    }
    return false;
}

bool
block_may_pass(struct block *block, struct sv name,
    const struct block_ask *ask)
{
    struct block_field field = block_field_parse(name);
    struct err err = ERR_INIT;
    bool may = true;

    if (block->mt != NULL || field.what == BLOCK_STREAM ||
        field.what == BLOCK_STREAM_ID || block->info.rows == 0)
        return true;
    block->err = block->reading.err = &err;
    if (block_is_of_stream(&field))
        may = streams_pass(block, &field, ask);
    else if (field.what == BLOCK_ATTR && field.scope == KEY_RESOURCE)
        may = resources_pass(block, &field, ask);
    else if (field.what == BLOCK_ATTR && field.scope == KEY_SPAN)
        may = values_pass(block, &field, ask);
    block->err = block->reading.err = NULL;
    return may;
}
