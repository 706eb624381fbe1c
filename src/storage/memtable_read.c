/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows of a memtable as spans (memtable_format.h has the layout).
 *
 * The region may be damaged: its writer may have died with it scribbled
 * over.  So every code is compared with its table and every word index with
 * the heap, and whatever was checked is used from a copy.
 */

#include "core/base.h"
#include "storage/memtable.h"
#include "storage/memtable_format.h"

#include "core/err.h"
#include "core/pool.h"

/* Resources and scopes already copied: as many as one trace usually has. */
#define MEMOS 64u

struct memo {
    uint32_t ordinal; /* + 1 */
    uint32_t index;   /* in the batch */
};

struct reader {
    const struct memtable *mt;
    struct batch *out;
    struct err *err;
    struct memo resources[MEMOS];
    struct memo scopes[MEMOS];
};

static int
damaged(struct reader *r, const char *what, uint64_t where)
{
    return err_set(r->err, ERR_CORRUPT, "memtable: %s %llu is damaged", what,
        (unsigned long long)where);
}

static int
no_memory(struct reader *r)
{
    return err_set(r->err, ERR_LIMIT, "the answer is larger than its limit");
}

static int
read_string(struct reader *r, uint32_t code, struct sv *out)
{
    struct sv text = memtable_string(r->mt, code);

    if (UNLIKELY(text.ptr == NULL))
        return damaged(r, "string", code);
    if (text.len == 0) {
        *out = SV_EMPTY;
        return 0;
    }
    out->ptr = pool_dup(r->out->pool, text.ptr, text.len);
    out->len = text.len;
    return out->ptr == NULL ? no_memory(r) : 0;
}

/* --- words --- */

/* A run of words of the heap, read one after the other. */
struct words {
    uint32_t at;
    uint32_t end;
};

/* Moves over n words: their index, or 0 when they are not in the heap. */
static uint32_t
words_take(struct words *words, uint32_t n)
{
    uint32_t at = words->at;

    if (UNLIKELY(at == 0 || at > words->end || n > words->end - at))
        return 0;
    words->at += n;
    return at;
}

static struct words
words_from(uint32_t at)
{
    return (struct words){at, MEMTABLE_HEAP_WORDS};
}

/* --- lists --- */

/* The fields of all kinds of lists; each caller takes what it knows. */
struct fields {
    struct sv texts[FIELD_KEYS];
    int64_t numbers[FIELD_KEYS];
};

static int
read_value(struct reader *r, uint32_t type, uint32_t at, struct value *out)
{
    const uint32_t *words = &r->mt->heap[at];
    uint64_t bits;

    memset(out, 0, sizeof(*out));
    out->type = (uint8_t)type;
    switch (type) {
    case VALUE_EMPTY:
        return 0;
    case VALUE_BOOL:
        out->b = words[0] != 0;
        return 0;
    case VALUE_INT:
        out->i = (int64_t)memtable_word2(words);
        return 0;
    case VALUE_DOUBLE:
        bits = memtable_word2(words);
        memcpy(&out->d, &bits, sizeof(bits));
        return 0;
    default:
        return read_string(r, words[0], &out->str);
    }
}

static int
read_shape(struct reader *r, uint32_t code, struct memtable_shape *shape)
{
    if (UNLIKELY(code >= MEMTABLE_SHAPES_MAX))
        return damaged(r, "shape", code);
    *shape = r->mt->shapes[code];
    if (UNLIKELY(shape->n > MEMTABLE_LIST_MAX ||
        shape->elems > MEMTABLE_HEAP_WORDS - shape->n))
        return damaged(r, "shape", code);
    return 0;
}

/* One element: an attribute at attrs[*n], or a field. */
static int
read_elem(struct reader *r, uint32_t elem, uint32_t at, struct attr *attr,
    struct fields *fields)
{
    struct memtable_key key;
    uint32_t id = memtable_elem_key(elem);

    if (read_value(r, memtable_elem_type(elem), at, &attr->value) != 0)
        return -1;
    if (id < FIELD_KEYS) {
        if (attr->value.type == VALUE_STRING)
            fields->texts[id] = attr->value.str;
        else if (attr->value.type == VALUE_INT)
            fields->numbers[id] = attr->value.i;
        else
            return damaged(r, "type of field", id);
        return 0;
    }
    if (UNLIKELY(id >= MEMTABLE_KEYS_MAX))
        return damaged(r, "key", id);
    key = r->mt->keys[id];
    return read_string(r, key.text, &attr->key);
}

/* The list at the words, which move behind it. */
static int
read_list(struct reader *r, uint32_t shape_code, struct words *words,
    struct attrs *attrs, struct fields *fields)
{
    struct memtable_shape shape = {0, 0, 0};
    struct attr *v;
    uint32_t n = 0;

    memset(fields, 0, sizeof(*fields));
    *attrs = (struct attrs){NULL, 0};
    if (read_shape(r, shape_code, &shape) != 0)
        return -1;
    if (shape.n == 0)
        return 0;
    v = pool_alloc(r->out->pool, shape.n * sizeof(*v));
    if (v == NULL)
        return no_memory(r);
    for (uint32_t i = 0; i < shape.n; i++) {
        uint32_t elem = r->mt->heap[shape.elems + i];
        uint32_t type = memtable_elem_type(elem);
        uint32_t at = words_take(words, memtable_type_words(type));

        if (UNLIKELY(at == 0 || type >= VALUE_TYPES))
            return damaged(r, "values of shape", shape_code);
        if (read_elem(r, elem, at, &v[n], fields) != 0)
            return -1;
        n += memtable_elem_key(elem) >= FIELD_KEYS;
    }
    *attrs = (struct attrs){v, n};
    return 0;
}

/* --- resources and scopes --- */

static int
read_resource(struct reader *r, uint32_t ordinal, uint32_t *index)
{
    struct memo *memo = &r->resources[ordinal % MEMOS];
    struct memtable_resource entry;
    struct resource resource;
    struct resource *added;
    struct words words;
    struct fields fields;

    if (ordinal >= MEMTABLE_RESOURCES_MAX)
        return damaged(r, "resource", ordinal);
    if (memo->ordinal == ordinal + 1) {
        *index = memo->index;
        return 0;
    }
    entry = r->mt->resources[ordinal];
    words = words_from(entry.values);
    if (read_list(r, entry.shape, &words, &resource.attrs, &fields) != 0 ||
        read_string(r, entry.service, &resource.service) != 0)
        return -1;
    resource.schema_url = fields.texts[FIELD_SCHEMA_URL];
    resource.dropped_attrs = (uint32_t)fields.numbers[FIELD_DROPPED_ATTRS];
    added = batch_add_resource(r->out, index);
    if (added == NULL)
        return no_memory(r);
    *added = resource;
    *memo = (struct memo){ordinal + 1, *index};
    return 0;
}

static int
read_scope(struct reader *r, uint32_t ordinal, uint32_t *index)
{
    struct memo *memo = &r->scopes[ordinal % MEMOS];
    struct memtable_scope entry;
    struct scope scope;
    struct scope *added;
    struct words words;
    struct fields fields;

    if (ordinal >= MEMTABLE_SCOPES_MAX)
        return damaged(r, "scope", ordinal);
    if (memo->ordinal == ordinal + 1) {
        *index = memo->index;
        return 0;
    }
    entry = r->mt->scopes[ordinal];
    words = words_from(entry.values);
    if (read_list(r, entry.shape, &words, &scope.attrs, &fields) != 0)
        return -1;
    scope.name = fields.texts[FIELD_NAME];
    scope.version = fields.texts[FIELD_VERSION];
    scope.schema_url = fields.texts[FIELD_SCHEMA_URL];
    scope.stream_fields = fields.texts[FIELD_STREAM_FIELDS];
    scope.extra_fields = fields.texts[FIELD_EXTRA_FIELDS];
    scope.dropped_attrs = (uint32_t)fields.numbers[FIELD_DROPPED_ATTRS];
    added = batch_add_scope(r->out, index);
    if (added == NULL)
        return no_memory(r);
    *added = scope;
    *memo = (struct memo){ordinal + 1, *index};
    return 0;
}

/* --- events and links --- */

static int
read_event(struct reader *r, struct words *words, struct span_event *event)
{
    uint32_t at = words_take(words, 4);
    struct fields fields;

    if (at == 0)
        return damaged(r, "event at word", words->at);
    event->time_ns = memtable_word2(&r->mt->heap[at]);
    if (read_string(r, r->mt->heap[at + 2], &event->name) != 0 ||
        read_list(r, r->mt->heap[at + 3], words, &event->attrs, &fields) != 0)
        return -1;
    event->dropped_attrs = (uint32_t)fields.numbers[FIELD_DROPPED_ATTRS];
    return 0;
}

static int
read_link(struct reader *r, struct words *words, struct span_link *link)
{
    uint32_t at = words_take(words, 7);
    struct fields fields;

    if (at == 0)
        return damaged(r, "link at word", words->at);
    memcpy(link->trace_id.b, &r->mt->heap[at], 16);
    memcpy(link->span_id.b, &r->mt->heap[at + 4], 8);
    if (read_list(r, r->mt->heap[at + 6], words, &link->attrs, &fields) != 0)
        return -1;
    link->trace_state = fields.texts[FIELD_TRACE_STATE];
    link->flags = (uint32_t)fields.numbers[FIELD_FLAGS];
    link->dropped_attrs = (uint32_t)fields.numbers[FIELD_DROPPED_ATTRS];
    return 0;
}

static int
read_subs(struct reader *r, uint32_t subs, struct span *span)
{
    struct words words = words_from(subs);
    uint32_t at = words_take(&words, 2);
    struct span_event *events;
    struct span_link *links;
    uint32_t nevents, nlinks;

    if (at == 0)
        return damaged(r, "events at word", subs);
    nevents = r->mt->heap[at];
    nlinks = r->mt->heap[at + 1];
    /* Each takes words: more than the heap has is damage. */
    if (nevents > (words.end - words.at) / 4 ||
        nlinks > (words.end - words.at) / 7)
        return damaged(r, "number of events at word", subs);
    events = pool_alloc(r->out->pool, nevents * sizeof(*events));
    links = pool_alloc(r->out->pool, nlinks * sizeof(*links));
    if (events == NULL || links == NULL)
        return no_memory(r);
    for (uint32_t i = 0; i < nevents; i++) {
        if (read_event(r, &words, &events[i]) != 0)
            return -1;
    }
    for (uint32_t i = 0; i < nlinks; i++) {
        if (read_link(r, &words, &links[i]) != 0)
            return -1;
    }
    span->events = events;
    span->links = links;
    span->nevents = nevents;
    span->nlinks = nlinks;
    return 0;
}

/* --- rows --- */

static int
read_attrs(struct reader *r, uint32_t row, struct span *span)
{
    const struct memtable *mt = r->mt;
    struct words words = words_from(mt->values[row]);
    struct fields fields;

    if (read_list(r, mt->shape[row], &words, &span->attrs, &fields) != 0)
        return -1;
    span->trace_state = fields.texts[FIELD_TRACE_STATE];
    span->status_message = fields.texts[FIELD_STATUS_MESSAGE];
    span->flags = (uint32_t)fields.numbers[FIELD_FLAGS];
    span->dropped_attrs = (uint32_t)fields.numbers[FIELD_DROPPED_ATTRS];
    span->dropped_events = (uint32_t)fields.numbers[FIELD_DROPPED_EVENTS];
    span->dropped_links = (uint32_t)fields.numbers[FIELD_DROPPED_LINKS];
    span->status_code = mt->status[row];
    if (span->status_code > 2)
        span->status_code = (int32_t)fields.numbers[FIELD_STATUS_CODE];
    return 0;
}

static int
read_stream(struct reader *r, uint32_t row, struct span *span)
{
    uint32_t code = r->mt->stream[row];
    struct memtable_stream stream;

    if (code >= MEMTABLE_STREAMS_MAX)
        return damaged(r, "stream", code);
    stream = r->mt->streams[code];
    span->kind = stream.kind;
    if (read_string(r, stream.name, &span->name) != 0)
        return -1;
    return read_scope(r, stream.scope, &span->scope);
}

static int
read_row(struct reader *r, uint32_t row)
{
    const struct memtable *mt = r->mt;
    struct span span;
    struct span *added;

    memset(&span, 0, sizeof(span));
    span.trace_id = mt->trace_id[row];
    span.span_id = mt->span_id[row];
    span.parent_id = mt->parent_id[row];
    span.start_ns = mt->start_ns[row];
    span.end_ns = mt->end_ns[row];
    if (read_stream(r, row, &span) != 0 ||
        read_attrs(r, row, &span) != 0 ||
        read_resource(r, mt->resource[row], &span.resource) != 0)
        return -1;
    if (mt->subs[row] != 0 && read_subs(r, mt->subs[row], &span) != 0)
        return -1;
    added = batch_add_span(r->out, NULL);
    if (added == NULL)
        return no_memory(r);
    *added = span;
    return 0;
}

static void
reader_init(struct reader *r, const struct memtable *mt, struct batch *out,
    struct err *err)
{
    memset(r, 0, sizeof(*r));
    r->mt = mt;
    r->out = out;
    r->err = err;
}

int
memtable_read_rows(const struct memtable *mt, const uint32_t *rows,
    uint32_t n, struct batch *out, struct err *err)
{
    struct reader r;

    reader_init(&r, mt, out, err);
    for (uint32_t i = 0; i < n; i++) {
        if (rows[i] >= MEMTABLE_ROWS_MAX)
            return damaged(&r, "row", rows[i]);
        if (read_row(&r, rows[i]) != 0)
            return -1;
    }
    return 0;
}

int
memtable_read_row(const struct memtable *mt, uint32_t row, struct batch *out,
    struct err *err)
{
    return memtable_read_rows(mt, &row, 1, out, err);
}

int
memtable_read_resource(const struct memtable *mt, uint32_t ordinal,
    struct batch *out, uint32_t *index, struct err *err)
{
    struct reader r;

    reader_init(&r, mt, out, err);
    return read_resource(&r, ordinal, index);
}

int
memtable_read_scope(const struct memtable *mt, uint32_t ordinal,
    struct batch *out, uint32_t *index, struct err *err)
{
    struct reader r;

    reader_init(&r, mt, out, err);
    return read_scope(&r, ordinal, index);
}

/* Ordinal of a tenant, or -1. */
static int64_t
find_tenant(const struct memtable *mt, const struct tenant *tenant)
{
    uint32_t n = atomic_load_explicit(&mt->h.ntenants, memory_order_acquire);

    for (uint32_t i = 0; i < MIN(n, MEMTABLE_TENANTS_MAX); i++) {
        if (mt->tenants[i].account == tenant->account &&
            mt->tenants[i].project == tenant->project)
            return i;
    }
    return -1;
}

static bool
row_is_of(const struct memtable *mt, uint32_t row, uint32_t tenant,
    const struct trace_id *id)
{
    uint32_t stream = mt->stream[row];

    return memcmp(&mt->trace_id[row], id, sizeof(*id)) == 0 &&
        stream < MEMTABLE_STREAMS_MAX && mt->streams[stream].tenant == tenant;
}

int
memtable_read_trace(const struct memtable *mt, uint32_t rows,
    const struct tenant *tenant, const struct trace_id *id,
    uint32_t spans_max, struct batch *out, bool *truncated, struct err *err)
{
    int64_t ordinal = find_tenant(mt, tenant);
    struct reader r;
    uint32_t bucket, next, row;

    if (ordinal < 0)
        return 0;
    reader_init(&r, mt, out, err);
    bucket = memtable_bucket(mt->h.trace_seed, (uint32_t)ordinal, id);
    next = atomic_load_explicit(&mt->buckets[bucket], memory_order_acquire);
    if (next > MEMTABLE_ROWS_MAX)
        return damaged(&r, "bucket", bucket);
    while (next != 0) {
        row = next - 1;
        next = mt->chain[row];
        /* Older rows only: a chain cannot run in a circle. */
        if (next > row)
            return damaged(&r, "chain of row", row);
        if (row >= rows || !row_is_of(mt, row, (uint32_t)ordinal, id))
            continue;
        if (out->nspans >= spans_max) {
            *truncated = true;
            return 0;
        }
        if (read_row(&r, row) != 0)
            return -1;
    }
    return 0;
}

/* Tenants for which the chains of a trace are looked at. */
#define LOOKUP_TENANTS_MAX 16u

bool
memtable_may_have_trace(const struct memtable *mt, uint32_t rows,
    const struct trace_id *id)
{
    uint32_t n = atomic_load_explicit(&mt->h.ntenants, memory_order_acquire);

    if (n > LOOKUP_TENANTS_MAX)
        return true;
    for (uint32_t tenant = 0; tenant < n; tenant++) {
        uint32_t bucket = memtable_bucket(mt->h.trace_seed, tenant, id);
        uint32_t next = atomic_load_explicit(&mt->buckets[bucket],
            memory_order_acquire);

        while (next != 0 && next <= MEMTABLE_ROWS_MAX) {
            uint32_t row = next - 1;

            if (row < rows && row_is_of(mt, row, tenant, id))
                return true;
            next = mt->chain[row];
            if (next > row)
                return true;
        }
    }
    return false;
}
