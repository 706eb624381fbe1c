/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows of a block as spans: deep copies into the batch's pool.  Resources,
 * scopes, key names and span names are copied once per reading.
 */

#include "core/base.h"
#include "storage/part_read.h"

#include "core/assert.h"
#include "core/enc.h"
#include "core/mem.h"

/* The fields that a list of any kind may have. */
struct fields {
    struct sv texts[FIELD_KEYS];
    int64_t numbers[FIELD_KEYS];
};

/* --- copies --- */

static int
copy_text(struct reading *r, struct sv text, struct sv *out)
{
    if (text.len == 0) {
        *out = SV_EMPTY;
        return 0;
    }
    out->ptr = pool_dup(r->out->pool, text.ptr, text.len);
    out->len = text.len;
    return out->ptr == NULL ? reading_no_memory(r) : 0;
}

/* A copy that is made once; memo->ptr is NULL before. */
static int
copy_once(struct reading *r, struct sv text, struct sv *memo, struct sv *out)
{
    if (memo->ptr == NULL && copy_text(r, text, memo) != 0)
        return -1;
    *out = *memo;
    return 0;
}

static bool
has_bytes(uint8_t type)
{
    return type == VALUE_STRING || type == VALUE_BYTES ||
        type == VALUE_ARRAY || type == VALUE_KVLIST;
}

static int
copy_attrs(struct reading *r, const struct attrs *attrs, struct attrs *out)
{
    struct attr *v = pool_alloc(r->out->pool, attrs->n * sizeof(*v) + 1);

    if (v == NULL)
        return reading_no_memory(r);
    for (uint32_t i = 0; i < attrs->n; i++) {
        v[i] = attrs->v[i];
        if (copy_text(r, attrs->v[i].key, &v[i].key) != 0)
            return -1;
        if (has_bytes(v[i].value.type) &&
            copy_text(r, attrs->v[i].value.str, &v[i].value.str) != 0)
            return -1;
    }
    *out = (struct attrs){v, attrs->n};
    return 0;
}

/* --- resources and scopes --- */

static int
take_resource(struct reading *r, uint64_t ordinal, uint32_t *index)
{
    const struct part *part = r->part;
    const struct resource *src;
    struct resource copy;
    struct resource *added;

    if (ordinal >= part->nresources)
        return reading_corrupt(r, "resource %llu",
            (unsigned long long)ordinal);
    if (r->resource_memo[ordinal] != 0) {
        *index = r->resource_memo[ordinal] - 1;
        return 0;
    }
    src = &part->resources[ordinal];
    copy = *src;
    if (copy_attrs(r, &src->attrs, &copy.attrs) != 0 ||
        copy_text(r, src->service, &copy.service) != 0 ||
        copy_text(r, src->schema_url, &copy.schema_url) != 0)
        return -1;
    added = batch_add_resource(r->out, index);
    if (added == NULL)
        return reading_no_memory(r);
    *added = copy;
    r->resource_memo[ordinal] = *index + 1;
    return 0;
}

static int
take_scope(struct reading *r, uint32_t ordinal, uint32_t *index)
{
    const struct scope *src = &r->part->scopes[ordinal];
    struct scope copy = *src;
    struct scope *added;

    if (r->scope_memo[ordinal] != 0) {
        *index = r->scope_memo[ordinal] - 1;
        return 0;
    }
    if (copy_attrs(r, &src->attrs, &copy.attrs) != 0 ||
        copy_text(r, src->name, &copy.name) != 0 ||
        copy_text(r, src->version, &copy.version) != 0 ||
        copy_text(r, src->schema_url, &copy.schema_url) != 0 ||
        copy_text(r, src->stream_fields, &copy.stream_fields) != 0 ||
        copy_text(r, src->extra_fields, &copy.extra_fields) != 0)
        return -1;
    added = batch_add_scope(r->out, index);
    if (added == NULL)
        return reading_no_memory(r);
    *added = copy;
    r->scope_memo[ordinal] = *index + 1;
    return 0;
}

/* --- lists --- */

static int
read_value(struct reading *r, uint32_t key, uint32_t number,
    struct value *value)
{
    uint32_t column = PART_COLUMNS_CORE + key;
    uint8_t type = r->part->keys[key].type;
    const struct part_vector *vector;
    uint64_t v;

    memset(value, 0, sizeof(*value));
    value->type = type;
    if (type == VALUE_EMPTY)
        return 0;
    /* The runs have checked that it is there and has value `number`. */
    vector = directory_find(r->dir, column, PART_ROLE_VALUES);
    check(vector != NULL);
    if (vector_get(r, vector, number, &v) != 0)
        return -1;
    switch (type) {
    case VALUE_BOOL:
        value->b = v != 0;
        return 0;
    case VALUE_INT:
        value->i = (int64_t)v;
        return 0;
    case VALUE_DOUBLE:
        memcpy(&value->d, &v, sizeof(v));
        return 0;
    default:
        return dictionary_get(r, column, v, r->out->pool, &value->str);
    }
}

/* The list of a row of a table. */
static int
read_list(struct reading *r, const struct part_runs *runs, uint32_t row,
    struct attrs *attrs, struct fields *fields)
{
    const struct part *part = r->part;
    uint32_t run = runs_find(runs, row);
    const struct part_shape *shape = &part->shapes[runs->shape[run]];
    const uint32_t *base = &runs->base[runs->first[run]];
    struct attr *v = pool_alloc(r->out->pool, shape->nattrs * sizeof(*v) + 1);
    uint32_t n = 0;

    memset(fields, 0, sizeof(*fields));
    if (v == NULL)
        return reading_no_memory(r);
    for (uint32_t i = 0; i < shape->n; i++) {
        uint32_t key = part->shape_keys[shape->first + i];
        struct value value;

        if (read_value(r, key, base[i] + row - runs->start[run],
                &value) != 0)
            return -1;
        if (part->keys[key].is_field) {
            fields->texts[part->keys[key].field] = value.type ==
                VALUE_STRING ? value.str : SV_EMPTY;
            fields->numbers[part->keys[key].field] = value.type ==
                VALUE_INT ? value.i : 0;
            continue;
        }
        if (copy_once(r, part->keys[key].name, &r->key_memo[key],
                &v[n].key) != 0)
            return -1;
        v[n++].value = value;
    }
    *attrs = (struct attrs){v, n};
    return 0;
}

/* --- events and links --- */

static int
read_event(struct reading *r, const struct part_runs *runs, uint32_t i,
    int64_t start_ns, struct span_event *event)
{
    uint64_t time, name;
    struct fields fields;

    if (column_get(r, PART_EVENT_TIME, runs->nrows, i, &time) != 0 ||
        column_get(r, PART_EVENT_NAME, runs->nrows, i, &name) != 0 ||
        dictionary_get(r, PART_EVENT_NAME, name, r->out->pool,
            &event->name) != 0 ||
        read_list(r, runs, i, &event->attrs, &fields) != 0)
        return -1;
    event->time_ns = (uint64_t)start_ns + (uint64_t)enc_unzigzag(time);
    event->dropped_attrs = (uint32_t)fields.numbers[FIELD_DROPPED_ATTRS];
    return 0;
}

static int
read_events(struct reading *r, uint32_t row, struct span *span)
{
    const struct part_runs *runs;
    struct span_event *events;
    uint32_t first, end;

    if (reading_runs(r, PART_TABLE_EVENTS, &runs) != 0)
        return -1;
    if (runs->nrows == 0)
        return 0;
    if (reading_subs(r, PART_TABLE_EVENTS, row, &first, &end) != 0)
        return -1;
    if (first == end)
        return 0;
    events = pool_zalloc(r->out->pool, (end - first) * sizeof(*events));
    if (events == NULL)
        return reading_no_memory(r);
    for (uint32_t i = first; i < end; i++) {
        if (read_event(r, runs, i, span->start_ns, &events[i - first]) != 0)
            return -1;
    }
    span->events = events;
    span->nevents = end - first;
    return 0;
}

static int
read_link(struct reading *r, const struct part_runs *runs, uint32_t i,
    uint32_t row, struct span_link *link)
{
    struct fields fields;

    if (reading_link_ids(r, runs->nrows, i, row, link) != 0 ||
        read_list(r, runs, i, &link->attrs, &fields) != 0)
        return -1;
    link->trace_state = fields.texts[FIELD_TRACE_STATE];
    link->flags = (uint32_t)fields.numbers[FIELD_FLAGS];
    link->dropped_attrs = (uint32_t)fields.numbers[FIELD_DROPPED_ATTRS];
    return 0;
}

static int
read_links(struct reading *r, uint32_t row, struct span *span)
{
    const struct part_runs *runs;
    struct span_link *links;
    uint32_t first, end;

    if (reading_runs(r, PART_TABLE_LINKS, &runs) != 0)
        return -1;
    if (runs->nrows == 0)
        return 0;
    if (reading_subs(r, PART_TABLE_LINKS, row, &first, &end) != 0)
        return -1;
    if (first == end)
        return 0;
    links = pool_zalloc(r->out->pool, (end - first) * sizeof(*links));
    if (links == NULL)
        return reading_no_memory(r);
    for (uint32_t i = first; i < end; i++) {
        if (read_link(r, runs, i, row, &links[i - first]) != 0)
            return -1;
    }
    span->links = links;
    span->nlinks = end - first;
    return 0;
}

/* --- ids and times --- */

int
reading_span_id(struct reading *r, uint32_t row, struct span_id *id)
{
    const struct part_vector *vector = NULL;
    const uint8_t *bytes;

    if (vector_need(r, PART_ROW_ID, PART_ROLE_VALUES, r->block->rows,
            &vector) != 0 || vector_get_fixed(r, vector, row, 8, &bytes) != 0)
        return -1;
    memcpy(id->b, bytes, 8);
    return 0;
}

/* Which of the raw parents is that of the row: those before it, counted. */
static int
raw_parent(struct reading *r, const struct part_vector *parents,
    uint32_t row, struct span_id *id)
{
    const struct part_vector *vector = NULL;
    uint32_t mini = row / COL_MINI;
    uint32_t n = row % COL_MINI;
    uint64_t before[COL_MINI], number;
    const uint8_t *bytes;

    if (column_get(r, PART_PARENT_MARK,
            (r->block->rows + COL_MINI - 1) / COL_MINI, mini, &number) != 0 ||
        vector_decode(r, parents, mini * COL_MINI, n, before) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        number += before[i] == PARENT_RAW;
    vector = directory_find(r->dir, PART_PARENT_RAW, PART_ROLE_VALUES);
    if (vector == NULL || number >= vector->count)
        return reading_corrupt(r, "row %u: raw parent %llu", row,
            (unsigned long long)number);
    if (vector_get_fixed(r, vector, (uint32_t)number, 8, &bytes) != 0)
        return -1;
    memcpy(id->b, bytes, 8);
    return 0;
}

int
reading_parent_id(struct reading *r, uint32_t row, uint32_t ordinal,
    struct span_id *id)
{
    const struct part_vector *vector = NULL;
    const struct part_families *families;
    uint64_t code;
    uint32_t first;

    if (vector_need(r, PART_ROW_PARENT, PART_ROLE_VALUES, r->block->rows,
            &vector) != 0 || vector_get(r, vector, row, &code) != 0)
        return -1;
    if (code == PARENT_NONE)
        return 0;
    if (code == PARENT_RAW)
        return raw_parent(r, vector, row, id);
    if (reading_families(r, &families) != 0)
        return -1;
    first = families->first[ordinal];
    if (code - PARENT_FIRST >= families->first[ordinal + 1] - first)
        return reading_corrupt(r, "row %u: parent %llu", row,
            (unsigned long long)code);
    return reading_span_id(r, families->rows[first + code - PARENT_FIRST], id);
}

static int
read_ids(struct reading *r, uint32_t row, uint32_t ordinal,
    struct span *span)
{
    const struct part_vector *vector = NULL;
    uint32_t ntraces = r->block->traces;
    const uint8_t *bytes;

    if (vector_need(r, PART_TRACE_HI, PART_ROLE_VALUES, ntraces,
            &vector) != 0 ||
        vector_get_fixed(r, vector, ordinal, 8, &bytes) != 0)
        return -1;
    memcpy(span->trace_id.b, bytes, 8);
    if (vector_need(r, PART_TRACE_LO, PART_ROLE_VALUES, ntraces,
            &vector) != 0 ||
        vector_get_fixed(r, vector, ordinal, 8, &bytes) != 0)
        return -1;
    memcpy(span->trace_id.b + 8, bytes, 8);
    if (reading_span_id(r, row, &span->span_id) != 0)
        return -1;
    return reading_parent_id(r, row, ordinal, &span->parent_id);
}

static int
read_times(struct reading *r, uint32_t row, uint32_t ordinal,
    struct span *span)
{
    uint64_t trace_start, start, duration;

    if (column_get(r, PART_TRACE_START, r->block->traces, ordinal,
            &trace_start) != 0 ||
        column_get(r, PART_ROW_START, r->block->rows, row, &start) != 0 ||
        column_get(r, PART_ROW_DURATION, r->block->rows, row,
            &duration) != 0)
        return -1;
    start += trace_start;
    span->start_ns = (int64_t)start;
    span->end_ns = (int64_t)(start + (uint64_t)enc_unzigzag(duration));
    return 0;
}

/* --- a row --- */

static int
read_stream(struct reading *r, const struct part_runs *runs, uint32_t row,
    struct span *span)
{
    uint32_t code = runs->stream[runs_find(runs, row)];
    const struct part_stream *stream = &r->part->streams[code];

    span->kind = stream->kind;
    if (copy_once(r, stream->name, &r->name_memo[code], &span->name) != 0)
        return -1;
    return take_scope(r, stream->scope, &span->scope);
}

static int
read_fields(struct reading *r, const struct part_runs *runs, uint32_t row,
    struct span *span)
{
    struct fields fields;
    uint64_t status;

    if (read_list(r, runs, row, &span->attrs, &fields) != 0 ||
        column_get(r, PART_ROW_STATUS, r->block->rows, row, &status) != 0)
        return -1;
    span->trace_state = fields.texts[FIELD_TRACE_STATE];
    span->status_message = fields.texts[FIELD_STATUS_MESSAGE];
    span->flags = (uint32_t)fields.numbers[FIELD_FLAGS];
    span->dropped_attrs = (uint32_t)fields.numbers[FIELD_DROPPED_ATTRS];
    span->dropped_events = (uint32_t)fields.numbers[FIELD_DROPPED_EVENTS];
    span->dropped_links = (uint32_t)fields.numbers[FIELD_DROPPED_LINKS];
    span->status_code = status <= 2 ? (int32_t)status :
        (int32_t)fields.numbers[FIELD_STATUS_CODE];
    return 0;
}

static int
read_row(struct reading *r, uint32_t row, struct span *span)
{
    const struct part_runs *runs;
    uint64_t ordinal, resource;

    if (reading_runs(r, PART_TABLE_SPANS, &runs) != 0 ||
        column_get(r, PART_ROW_TRACE, r->block->rows, row, &ordinal) != 0)
        return -1;
    if (ordinal >= r->block->traces)
        return reading_corrupt(r, "row %u: trace %llu", row,
            (unsigned long long)ordinal);
    if (read_ids(r, row, (uint32_t)ordinal, span) != 0 ||
        read_times(r, row, (uint32_t)ordinal, span) != 0 ||
        read_stream(r, runs, row, span) != 0 ||
        read_fields(r, runs, row, span) != 0 ||
        column_get(r, PART_ROW_RESOURCE, r->block->rows, row,
            &resource) != 0 ||
        take_resource(r, resource, &span->resource) != 0 ||
        read_events(r, row, span) != 0)
        return -1;
    return read_links(r, row, span);
}

/* One piece of memory for the four memos; freed by reading_release(). */
static int
start_memos(struct reading *r, struct batch *out)
{
    const struct part *part = r->part;
    size_t texts = (size_t)part->nkeys + part->nstreams;
    size_t numbers = (size_t)part->nresources + part->nscopes;
    size_t bytes = texts * sizeof(struct sv) + numbers * sizeof(uint32_t);
    char *memory = mem_try_alloc(bytes + 1);

    if (memory == NULL)
        return reading_no_memory(r);
    memset(memory, 0, bytes);
    r->out = out;
    r->memos = memory;
    r->key_memo = (struct sv *)(void *)memory;
    r->name_memo = r->key_memo + part->nkeys;
    r->resource_memo = (uint32_t *)(void *)(r->name_memo + part->nstreams);
    r->scope_memo = r->resource_memo + part->nresources;
    return 0;
}

int
reading_row(struct reading *r, uint32_t row, struct batch *out)
{
    struct span span;
    struct span *added;

    check(row < r->block->rows);
    if (r->out == NULL && start_memos(r, out) != 0)
        return -1;
    check(r->out == out);
    memset(&span, 0, sizeof(span));
    if (read_row(r, row, &span) != 0)
        return -1;
    added = batch_add_span(out, NULL);
    if (added == NULL)
        return reading_no_memory(r);
    *added = span;
    return 0;
}
