/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Appending spans to a memtable (memtable_format.h has the layout,
 * memtable_writer.h the private side).
 */

#include "core/base.h"
#include "storage/memtable.h"
#include "storage/memtable_list.h"
#include "storage/memtable_writer.h"
#include "storage/streams.h"

#include "core/assert.h"
#include "core/mem.h"
#include "core/sys.h"
#include "core/timefmt.h"


#define WRITER_MAGIC 0x5752544du /* "MTRW" */

static struct intern_table
table_new(uint32_t slots)
{
    return (struct intern_table){
        xcalloc(slots, sizeof(uint32_t)), slots - 1};
}

static void
table_clear(struct intern_table *table)
{
    memset(table->slots, 0, ((size_t)table->mask + 1) * sizeof(uint32_t));
}

struct memtable_writer *
memtable_writer_new(void)
{
    struct memtable_writer *w = xcalloc(1, sizeof(*w));

    w->magic = WRITER_MAGIC;
    w->strings = table_new(STRING_SLOTS);
    w->keys = table_new(KEY_SLOTS);
    w->shapes = table_new(SHAPE_SLOTS);
    w->streams = table_new(STREAM_SLOTS);
    w->resources = table_new(RESOURCE_SLOTS);
    w->scopes = table_new(SCOPE_SLOTS);
    w->nodes = xcalloc(TRIE_NODES_MAX, sizeof(*w->nodes));
    w->stream_roots = xcalloc(MEMTABLE_STREAMS_MAX, sizeof(uint32_t));
    w->stream_memos = xcalloc(STREAM_MEMOS, sizeof(*w->stream_memos));
    w->elems = xcalloc(MEMTABLE_LIST_MAX, sizeof(uint32_t));
    check(sys.random(&w->seed, sizeof(w->seed)) == 0);
    XXH3_generateSecret_fromSeed(w->secret, w->seed);
    return w;
}

void
memtable_writer_free(struct memtable_writer *w)
{
    if (w == NULL)
        return;
    OBJ_CHECK(w, WRITER_MAGIC);
    w->magic = 0;
    xfree(w->strings.slots);
    xfree(w->keys.slots);
    xfree(w->shapes.slots);
    xfree(w->streams.slots);
    xfree(w->resources.slots);
    xfree(w->scopes.slots);
    xfree(w->nodes);
    xfree(w->stream_roots);
    xfree(w->stream_memos);
    xfree(w->elems);
    xfree(w);
}

static void
forget_all(struct memtable_writer *w)
{
    table_clear(&w->strings);
    table_clear(&w->keys);
    table_clear(&w->shapes);
    table_clear(&w->streams);
    table_clear(&w->resources);
    table_clear(&w->scopes);
    memset(w->stream_memos, 0, STREAM_MEMOS * sizeof(*w->stream_memos));
    memset(w->nodes, 0, ROOTS_END * sizeof(*w->nodes));
    w->nnodes = ROOTS_END;
}

void
memtable_writer_attach(struct memtable_writer *w, struct memtable *mt)
{
    struct memtable_header *h = &mt->h;

    OBJ_CHECK(w, WRITER_MAGIC);
    check(h->magic == MEMTABLE_MAGIC && h->layout == MEMTABLE_LAYOUT);
    check(atomic_load_explicit(&h->rows, memory_order_relaxed) == 0);
    forget_all(w);
    w->mt = mt;
    w->is_full = false;
    w->next_lsn = h->first_lsn;
    w->rows = 0;
    w->nstrings = h->nstrings;
    w->nkeys = h->nkeys;
    w->nshapes = h->nshapes;
    w->nstreams = w->nscopes = w->nresources = 0;
    w->ntenants = w->ndays = 0;
    w->word_top = h->words_used;
    w->byte_top = (uint32_t)MEMTABLE_HEAP_BYTES - h->bytes_used;
    w->zone_min_end = INT64_MAX;
    w->zone_max_end = INT64_MIN;
    w->day_from_ns = w->day_to_ns = 0;
    intern_adopt(w);
}

/* --- resources, scopes, tenants, streams --- */

static uint32_t
add_resource(struct memtable_writer *w, const struct resource *resource)
{
    struct memtable_resource entry;
    struct list list;

    entry.service = intern_exact(w, resource->service);
    entry.values = w->word_top;
    if (!list_begin(w, &list, KEY_RESOURCE, ROOT_RESOURCE, resource->attrs.n))
        return 0;
    list_attrs(w, &list, resource->attrs);
    list_int_field(w, &list, FIELD_DROPPED_ATTRS, resource->dropped_attrs);
    list_text_field(w, &list, FIELD_SCHEMA_URL, resource->schema_url);
    entry.shape = list_end(w, &list);
    return intern_resource(w, &entry);
}

static uint32_t
add_scope(struct memtable_writer *w, const struct scope *scope)
{
    struct memtable_scope entry;
    struct list list;

    entry.values = w->word_top;
    if (!list_begin(w, &list, KEY_SCOPE, ROOT_SCOPE, scope->attrs.n))
        return 0;
    list_attrs(w, &list, scope->attrs);
    list_int_field(w, &list, FIELD_DROPPED_ATTRS, scope->dropped_attrs);
    list_text_field(w, &list, FIELD_SCHEMA_URL, scope->schema_url);
    list_text_field(w, &list, FIELD_NAME, scope->name);
    list_text_field(w, &list, FIELD_VERSION, scope->version);
    list_text_field(w, &list, FIELD_STREAM_FIELDS, scope->stream_fields);
    list_text_field(w, &list, FIELD_EXTRA_FIELDS, scope->extra_fields);
    entry.shape = list_end(w, &list);
    return intern_scope(w, &entry);
}

static uint32_t
find_resource(struct memtable_writer *w, const struct batch *batch,
    uint32_t index)
{
    struct batch_memo *memo = &w->resource_memos[index % BATCH_MEMOS];

    if (LIKELY(memo->call == w->call && memo->index == index))
        return memo->ordinal;
    check(index < batch->nresources);
    memo->call = w->call;
    memo->index = index;
    memo->ordinal = add_resource(w, &batch->resources[index]);
    return memo->ordinal;
}

static uint32_t
find_scope(struct memtable_writer *w, const struct batch *batch,
    uint32_t index)
{
    struct batch_memo *memo = &w->scope_memos[index % BATCH_MEMOS];

    if (LIKELY(memo->call == w->call && memo->index == index))
        return memo->ordinal;
    check(index < batch->nscopes);
    memo->call = w->call;
    memo->index = index;
    memo->ordinal = add_scope(w, &batch->scopes[index]);
    return memo->ordinal;
}

static void
set_tenant(struct memtable_writer *w, const struct tenant *tenant)
{
    for (uint32_t i = w->ntenants; i > 0; i--) {
        const struct tenant *known = &w->mt->tenants[i - 1];

        if (known->account == tenant->account &&
            known->project == tenant->project) {
            w->tenant = i - 1;
            return;
        }
    }
    if (w->ntenants == MEMTABLE_TENANTS_MAX) {
        w->is_full = true;
        return;
    }
    w->tenant = w->ntenants++;
    w->mt->tenants[w->tenant] = *tenant;
}

static uint32_t
add_stream(struct memtable_writer *w, const struct memtable_stream *entry)
{
    uint32_t before = w->nstreams;
    uint32_t stream = intern_stream(w, entry);

    if (w->nstreams > before) {
        w->stream_roots[stream] = 0;
        if (w->nnodes < TRIE_NODES_MAX) {
            w->nodes[w->nnodes] = (struct trie_node){0};
            w->stream_roots[stream] = w->nnodes++;
        }
    }
    return stream;
}

/* Where a stream is remembered: both ends of the name tell names apart. */
static struct stream_memo *
stream_memo(struct memtable_writer *w, const struct span *span,
    uint32_t resource, uint32_t scope)
{
    uint64_t head = 0, tail = 0, h;

    if (span->name.len >= 8) {
        memcpy(&head, span->name.ptr, 8);
        memcpy(&tail, span->name.ptr + span->name.len - 8, 8);
    } else {
        for (size_t i = 0; i < span->name.len; i++)
            head = head << 8 | (uint8_t)span->name.ptr[i];
    }
    h = (head ^ (uint64_t)resource << 40 ^ (uint32_t)span->kind) *
        UINT64_C(0x9e3779b97f4a7c15);
    h ^= (tail ^ (uint64_t)scope << 48 ^ span->name.len) *
        UINT64_C(0xbf58476d1ce4e5b9);
    return &w->stream_memos[(h ^ h >> 29) >> 20 & (STREAM_MEMOS - 1)];
}

static uint32_t
find_stream(struct memtable_writer *w, const struct span *span,
    uint32_t resource, uint32_t scope)
{
    struct stream_memo *memo = stream_memo(w, span, resource, scope);
    uint32_t before = w->nstreams;
    struct memtable_stream entry;
    struct memtable_string name;

    if (memo->stream != 0 && memo->resource == resource &&
        memo->scope == scope && memo->tenant == w->tenant &&
        memo->kind == span->kind && memo->name_len == span->name.len &&
        bytes_equal((const char *)w->mt + memo->name_off, span->name.ptr,
            span->name.len))
        return memo->stream - 1;
    entry = (struct memtable_stream){
        .tenant = w->tenant,
        .service = w->mt->resources[resource].service,
        .scope = scope,
        .name = intern_exact(w, span->name),
        .kind = span->kind,
        .first_row = w->rows,
    };
    name = w->mt->strings[entry.name];
    *memo = (struct stream_memo){
        .resource = resource,
        .scope = scope,
        .tenant = w->tenant,
        .kind = span->kind,
        .name_off = name.off,
        .name_len = name.len,
        .stream = add_stream(w, &entry) + 1,
    };
    if (w->nstreams > before)
        streams_note(&w->mt->tenants[w->tenant],
            memtable_string(w->mt, entry.service), span->name, span->end_ns);
    return memo->stream - 1;
}

/* --- rows --- */

static uint32_t
write_attrs(struct memtable_writer *w, const struct span *span,
    uint32_t stream, uint32_t *values)
{
    struct list list;

    *values = w->word_top;
    if (!list_begin(w, &list, KEY_SPAN, w->stream_roots[stream],
        span->attrs.n))
        return 0;
    list_attrs(w, &list, span->attrs);
    list_text_field(w, &list, FIELD_TRACE_STATE, span->trace_state);
    list_text_field(w, &list, FIELD_STATUS_MESSAGE, span->status_message);
    list_int_field(w, &list, FIELD_FLAGS, span->flags);
    list_int_field(w, &list, FIELD_DROPPED_ATTRS, span->dropped_attrs);
    list_int_field(w, &list, FIELD_DROPPED_EVENTS, span->dropped_events);
    list_int_field(w, &list, FIELD_DROPPED_LINKS, span->dropped_links);
    if (UNLIKELY((uint32_t)span->status_code > 2))
        list_int_field(w, &list, FIELD_STATUS_CODE, span->status_code);
    return list_end(w, &list);
}

static void
write_event(struct memtable_writer *w, const struct span_event *event)
{
    struct list list;
    uint32_t *head;

    if (!has_words(w, 4))
        return;
    head = &w->mt->heap[w->word_top];
    w->word_top += 4;
    if (!list_begin(w, &list, KEY_EVENT, ROOT_EVENT, event->attrs.n))
        return;
    head[0] = (uint32_t)event->time_ns;
    head[1] = (uint32_t)(event->time_ns >> 32);
    head[2] = intern_string(w, event->name);
    list_attrs(w, &list, event->attrs);
    list_int_field(w, &list, FIELD_DROPPED_ATTRS, event->dropped_attrs);
    head[3] = list_end(w, &list);
}

static void
write_link(struct memtable_writer *w, const struct span_link *link)
{
    struct list list;
    uint32_t *head;

    if (!has_words(w, 7))
        return;
    head = &w->mt->heap[w->word_top];
    w->word_top += 7;
    if (!list_begin(w, &list, KEY_LINK, ROOT_LINK, link->attrs.n))
        return;
    memcpy(&head[0], link->trace_id.b, 16);
    memcpy(&head[4], link->span_id.b, 8);
    list_attrs(w, &list, link->attrs);
    list_text_field(w, &list, FIELD_TRACE_STATE, link->trace_state);
    list_int_field(w, &list, FIELD_FLAGS, link->flags);
    list_int_field(w, &list, FIELD_DROPPED_ATTRS, link->dropped_attrs);
    head[6] = list_end(w, &list);
}

static uint32_t
write_subs(struct memtable_writer *w, const struct span *span)
{
    uint32_t subs = w->word_top;

    if (!has_words(w, 2))
        return 0;
    w->mt->heap[w->word_top++] = span->nevents;
    w->mt->heap[w->word_top++] = span->nlinks;
    for (uint32_t i = 0; i < span->nevents && !w->is_full; i++)
        write_event(w, &span->events[i]);
    for (uint32_t i = 0; i < span->nlinks && !w->is_full; i++)
        write_link(w, &span->links[i]);
    return subs;
}

/* Lists the day of an end; a 65th day: full. */
static void
add_day(struct memtable_writer *w, uint32_t day)
{
    for (uint32_t i = 0; i < w->ndays; i++) {
        if (w->mt->h.days[i] == day)
            return;
    }
    if (w->ndays == MEMTABLE_DAYS_MAX)
        w->is_full = true;
    else
        w->mt->h.days[w->ndays++] = day;
}

static inline void
note_day(struct memtable_writer *w, int64_t end_ns)
{
    uint32_t day;

    if (LIKELY(end_ns >= w->day_from_ns && end_ns < w->day_to_ns))
        return;
    day = time_day(end_ns);
    add_day(w, day);
    w->day_from_ns = time_day_start(day);
    /* The last day of int64 is not remembered. */
    w->day_to_ns = w->day_from_ns <= INT64_MAX - NS_PER_DAY
        ? w->day_from_ns + NS_PER_DAY : w->day_from_ns;
}

static void
note_end(struct memtable_writer *w, int64_t end_ns)
{
    uint32_t zone = w->rows / MEMTABLE_ZONE_ROWS;

    w->zone_min_end = MIN(w->zone_min_end, end_ns);
    w->zone_max_end = MAX(w->zone_max_end, end_ns);
    if (w->rows % MEMTABLE_ZONE_ROWS < MEMTABLE_ZONE_ROWS - 1)
        return;
    w->mt->h.zone_min_end[zone] = w->zone_min_end;
    w->mt->h.zone_max_end[zone] = w->zone_max_end;
    w->zone_min_end = INT64_MAX;
    w->zone_max_end = INT64_MIN;
}

/* Puts the row into the chain of its trace: readers may meet it now. */
static void
link_row(struct memtable *mt, uint32_t row, uint32_t bucket)
{
    _Atomic uint32_t *head = &mt->buckets[bucket];

    mt->chain[row] = atomic_load_explicit(head, memory_order_relaxed);
    atomic_store_explicit(head, row + 1, memory_order_release);
}

/* False: full, nothing of the span can be reached. */
static bool
append_span(struct memtable_writer *w, const struct batch *batch,
    const struct span *span)
{
    struct memtable *mt = w->mt;
    uint32_t row = w->rows;
    uint32_t resource, scope, stream, shape, values, bucket, subs = 0;

    if (UNLIKELY(row == MEMTABLE_ROWS_MAX || w->is_full))
        return false;
    bucket = memtable_bucket(mt->h.trace_seed, w->tenant, &span->trace_id);
    __builtin_prefetch((const void *)&mt->buckets[bucket], 1);
    resource = find_resource(w, batch, span->resource);
    scope = find_scope(w, batch, span->scope);
    if (UNLIKELY(w->is_full))
        return false;
    stream = find_stream(w, span, resource, scope);
    shape = write_attrs(w, span, stream, &values);
    if (UNLIKELY(span->nevents + (uint64_t)span->nlinks > 0))
        subs = write_subs(w, span);
    note_day(w, span->end_ns);
    if (UNLIKELY(w->is_full))
        return false;
    mt->trace_id[row] = span->trace_id;
    mt->span_id[row] = span->span_id;
    mt->parent_id[row] = span->parent_id;
    mt->start_ns[row] = span->start_ns;
    mt->end_ns[row] = span->end_ns;
    mt->stream[row] = stream;
    mt->shape[row] = shape;
    mt->resource[row] = resource;
    mt->values[row] = values;
    mt->subs[row] = subs;
    mt->status[row] = (uint8_t)MIN((uint32_t)span->status_code, 3u);
    note_end(w, span->end_ns);
    link_row(mt, row, bucket);
    w->rows = row + 1;
    return true;
}

/* Lets readers and the worker see the writer's positions. */
static void
publish(struct memtable_writer *w)
{
    struct memtable_header *h = &w->mt->h;

#define PUBLISH(name, value) \
    atomic_store_explicit(&h->name, (value), memory_order_release)
    PUBLISH(nstrings, w->nstrings);
    PUBLISH(nkeys, w->nkeys);
    PUBLISH(nshapes, w->nshapes);
    PUBLISH(nscopes, w->nscopes);
    PUBLISH(nresources, w->nresources);
    PUBLISH(ntenants, w->ntenants);
    PUBLISH(nstreams, w->nstreams);
    PUBLISH(ndays, w->ndays);
    PUBLISH(words_used, w->word_top);
    PUBLISH(bytes_used, (uint32_t)MEMTABLE_HEAP_BYTES - w->byte_top);
    PUBLISH(next_lsn, w->next_lsn);
    PUBLISH(rows, w->rows);
#undef PUBLISH
}

uint32_t
memtable_append(struct memtable_writer *w, const struct tenant *tenant,
    const struct batch *batch, uint32_t from)
{
    uint32_t i;

    OBJ_CHECK(w, WRITER_MAGIC);
    check(w->mt != NULL);
    w->call++;
    set_tenant(w, tenant);
    for (i = from; i < batch->nspans; i++) {
        const struct span *span = &batch->spans[i];

        if (UNLIKELY(span->reject != REJECT_NONE)) {
            w->next_lsn++;
            continue;
        }
        if (!append_span(w, batch, span))
            break;
        w->next_lsn++;
    }
    publish(w);
    return i;
}
