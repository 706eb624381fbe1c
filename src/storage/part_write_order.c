/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part, first step: which tenants, streams and traces the rows
 * have, their ordinals, and the order of the rows.
 */

#include "core/base.h"
#include "storage/part_write.h"

#include "core/assert.h"
#include "core/enc.h"

/* Rows of one trace in one run are rarely more: insertion sort is fine. */
#define INSERTION_MAX 32u

static uint32_t
bits_for(uint32_t count)
{
    return count <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(count - 1);
}

/* A table of ordinals, all unknown. */
static uint32_t *
new_map(struct part_writer *w, enum scratch_id id, uint32_t n)
{
    uint32_t *map = writer_alloc(w, id, (size_t)n * sizeof(*map));

    if (map != NULL)
        memset(map, 0xff, (size_t)n * sizeof(*map));
    return map;
}

/* --- tenants and streams --- */

static int
compare_tenants(const void *a, const void *b, void *arg)
{
    const struct part_writer *w = arg;
    const struct tenant *x = &w->mt->tenants[*(const uint32_t *)a];
    const struct tenant *y = &w->mt->tenants[*(const uint32_t *)b];

    if (x->account != y->account)
        return x->account < y->account ? -1 : 1;
    if (x->project != y->project)
        return x->project < y->project ? -1 : 1;
    return 0;
}

static int
compare_strings(const struct part_writer *w, uint32_t a, uint32_t b)
{
    if (a == b)
        return 0;
    return sv_cmp(memtable_string(w->mt, a), memtable_string(w->mt, b));
}

static int
compare_streams(const void *a, const void *b, void *arg)
{
    const struct part_writer *w = arg;
    uint32_t i = *(const uint32_t *)a;
    uint32_t j = *(const uint32_t *)b;
    const struct memtable_stream *x = &w->mt->streams[i];
    const struct memtable_stream *y = &w->mt->streams[j];
    int order;

    if (x->tenant != y->tenant)
        return w->tenant_map[x->tenant] < w->tenant_map[y->tenant] ? -1 : 1;
    order = compare_strings(w, x->service, y->service);
    if (order == 0)
        order = compare_strings(w, x->name, y->name);
    if (order == 0 && x->kind != y->kind)
        order = x->kind < y->kind ? -1 : 1;
    if (order == 0)
        order = i < j ? -1 : i > j;
    return order;
}

/* Every code a stream holds is in its table. */
static bool
is_stream_sound(const struct part_writer *w, const struct memtable_stream *s)
{
    return s->tenant < MIN(w->mt->h.ntenants, MEMTABLE_TENANTS_MAX) &&
        s->scope < MIN(w->mt->h.nscopes, MEMTABLE_SCOPES_MAX) &&
        s->service < w->nstrings_mt && s->name < w->nstrings_mt &&
        memtable_string(w->mt, s->service).ptr != NULL &&
        memtable_string(w->mt, s->name).ptr != NULL;
}

static int
add_stream(struct part_writer *w, uint32_t code)
{
    const struct memtable_stream *stream = &w->mt->streams[code];

    if (!is_stream_sound(w, stream))
        return writer_damaged(w, "stream", code);
    w->stream_map[code] = 0;
    w->streams[w->nstreams++] = code;
    if (w->tenant_map[stream->tenant] == NO_ORDINAL) {
        w->tenant_map[stream->tenant] = 0;
        w->tenants[w->ntenants++] = stream->tenant;
    }
    return 0;
}

/* Also numbers the shapes of the rows. */
static int
collect_streams(struct part_writer *w)
{
    const struct memtable *mt = w->mt;
    uint32_t nstreams = MIN(mt->h.nstreams, MEMTABLE_STREAMS_MAX);
    uint32_t shape;

    w->stream_map = new_map(w, SCRATCH_STREAM_MAP, nstreams);
    w->tenant_map = new_map(w, SCRATCH_TENANT_MAP, MEMTABLE_TENANTS_MAX);
    w->scope_map = new_map(w, SCRATCH_SCOPE_MAP, MEMTABLE_SCOPES_MAX);
    w->streams = writer_alloc(w, SCRATCH_STREAMS, nstreams * sizeof(uint32_t));
    w->tenants = writer_alloc(w, SCRATCH_TENANTS,
        MEMTABLE_TENANTS_MAX * sizeof(uint32_t));
    w->scopes = writer_alloc(w, SCRATCH_SCOPES,
        MEMTABLE_SCOPES_MAX * sizeof(uint32_t));
    if (w->stream_map == NULL || w->tenant_map == NULL ||
        w->scope_map == NULL || w->streams == NULL || w->tenants == NULL ||
        w->scopes == NULL)
        return -1;
    for (uint32_t i = 0; i < w->nrows; i++) {
        uint32_t row = w->input[i];

        check(row < MEMTABLE_ROWS_MAX);
        if (mt->stream[row] >= nstreams)
            return writer_damaged(w, "stream of row", row);
        if (w->stream_map[mt->stream[row]] == NO_ORDINAL &&
            add_stream(w, mt->stream[row]) != 0)
            return -1;
        if (writer_shape(w, KEY_SPAN, mt->shape[row], &shape) != 0)
            return -1;
    }
    return 0;
}

static void
number_streams(struct part_writer *w)
{
    qsort_r(w->tenants, w->ntenants, sizeof(*w->tenants), compare_tenants, w);
    for (uint32_t i = 0; i < w->ntenants; i++)
        w->tenant_map[w->tenants[i]] = i;
    qsort_r(w->streams, w->nstreams, sizeof(*w->streams), compare_streams, w);
    for (uint32_t i = 0; i < w->nstreams; i++) {
        uint32_t scope = w->mt->streams[w->streams[i]].scope;

        w->stream_map[w->streams[i]] = i;
        if (w->scope_map[scope] == NO_ORDINAL) {
            w->scope_map[scope] = w->nscopes;
            w->scopes[w->nscopes++] = scope;
        }
    }
}

/* --- traces --- */

static bool
is_trace(const struct write_trace *trace, uint32_t tenant, uint64_t hi,
    uint64_t lo)
{
    return trace->hi == hi && trace->lo == lo && trace->tenant == tenant;
}

/* Index of the trace of a row, added when it is new. */
static uint32_t
find_trace(struct part_writer *w, uint32_t *slots, uint32_t mask,
    uint32_t row)
{
    const struct memtable *mt = w->mt;
    const struct trace_id *id = &mt->trace_id[row];
    uint32_t code = mt->streams[mt->stream[row]].tenant;
    uint32_t tenant = w->tenant_map[code];
    uint64_t hi = enc_get64(id->b);
    uint64_t lo = enc_get64(id->b + 8);
    uint64_t hash;
    uint32_t slot;

    if (w->ntraces > 0 && is_trace(&w->traces[w->ntraces - 1], tenant, hi, lo))
        return w->ntraces - 1;
    hash = part_trace_hash(w->trace_seed, &mt->tenants[code], id);
    for (slot = (uint32_t)hash & mask; slots[slot] != 0;
        slot = (slot + 1) & mask) {
        struct write_trace *trace = &w->traces[slots[slot] - 1];

        if (trace->hash == hash && is_trace(trace, tenant, hi, lo))
            return slots[slot] - 1;
    }
    w->traces[w->ntraces] = (struct write_trace){.hash = hash, .hi = hi,
        .lo = lo, .tenant = tenant, .start_ns = mt->start_ns[row]};
    slots[slot] = ++w->ntraces;
    return w->ntraces - 1;
}

static int
collect_traces(struct part_writer *w, uint32_t *row_trace)
{
    uint32_t nslots = 2u << bits_for(w->nrows);
    uint32_t *slots = writer_alloc(w, SCRATCH_TRACE_SLOTS,
        nslots * sizeof(*slots));

    w->traces = writer_alloc(w, SCRATCH_TRACES,
        w->nrows * sizeof(*w->traces));
    if (slots == NULL || w->traces == NULL)
        return -1;
    memset(slots, 0, nslots * sizeof(*slots));
    for (uint32_t i = 0; i < w->nrows; i++) {
        uint32_t row = w->input[i];
        uint32_t index = find_trace(w, slots, nslots - 1, row);
        struct write_trace *trace = &w->traces[index];

        trace->start_ns = MIN(trace->start_ns, w->mt->start_ns[row]);
        trace->rows++;
        row_trace[i] = index;
    }
    return 0;
}

/* By tenant, then start. */
static void
number_traces(struct part_writer *w, struct sort_item *a, struct sort_item *b)
{
    int64_t min = INT64_MAX;
    struct sort_item *sorted, *other;

    for (uint32_t i = 0; i < w->ntraces; i++)
        min = MIN(min, w->traces[i].start_ns);
    for (uint32_t i = 0; i < w->ntraces; i++)
        a[i] = (struct sort_item){
            (uint64_t)w->traces[i].start_ns - (uint64_t)min, i};
    sorted = sort_items(a, b, w->ntraces, 64);
    if (w->ntenants > 1) {
        for (uint32_t i = 0; i < w->ntraces; i++)
            sorted[i].key = w->traces[sorted[i].index].tenant;
        other = sorted == a ? b : a;
        sorted = sort_items(sorted, other, w->ntraces, bits_for(w->ntenants));
    }
    for (uint32_t i = 0; i < w->ntraces; i++) {
        w->trace_order[i] = sorted[i].index;
        w->traces[sorted[i].index].ordinal = i;
    }
}

/* --- rows --- */

/* Rows of the same run and trace: by start. */
static void
sort_by_start(struct part_writer *w, struct sort_item *items, uint32_t n,
    struct sort_item *spare)
{
    const int64_t *start = w->mt->start_ns;
    struct sort_item *sorted;

    if (n > INSERTION_MAX) {
        uint64_t key = items[0].key;

        for (uint32_t i = 0; i < n; i++)
            items[i].key = (uint64_t)start[items[i].index] ^
                (UINT64_C(1) << 63);
        sorted = sort_items(items, spare, n, 64);
        if (sorted != items)
            memcpy(items, sorted, n * sizeof(*items));
        for (uint32_t i = 0; i < n; i++)
            items[i].key = key;
        return;
    }
    for (uint32_t i = 1; i < n; i++) {
        struct sort_item item = items[i];
        uint32_t j = i;

        for (; j > 0 && start[items[j - 1].index] > start[item.index]; j--)
            items[j] = items[j - 1];
        items[j] = item;
    }
}

static int
add_run(struct part_writer *w, uint32_t row, uint32_t rows)
{
    struct write_rows *table = &w->tables[TABLE_SPANS];
    struct write_run *run = &table->runs[table->nruns++];

    run->stream = w->stream_map[w->mt->stream[row]];
    run->rows = rows;
    return writer_shape(w, KEY_SPAN, w->mt->shape[row], &run->shape);
}

/* From sorted items to rows, their trace ordinals and the runs. */
static int
take_order(struct part_writer *w, struct sort_item *items,
    struct sort_item *spare, uint32_t trace_bits)
{
    uint64_t trace_mask = (UINT64_C(1) << trace_bits) - 1;
    uint32_t run_start = 0, group = 0;

    for (uint32_t i = 1; i <= w->nrows; i++) {
        if (i < w->nrows && items[i].key == items[i - 1].key)
            continue;
        if (i - group > 1)
            sort_by_start(w, items + group, i - group, spare);
        group = i;
        if (i < w->nrows && items[i].key >> trace_bits ==
            items[i - 1].key >> trace_bits)
            continue;
        if (add_run(w, items[run_start].index, i - run_start) != 0)
            return -1;
        run_start = i;
    }
    for (uint32_t i = 0; i < w->nrows; i++) {
        w->rows[i] = items[i].index;
        w->row_ordinal[i] = (uint32_t)(items[i].key & trace_mask);
        w->tables[TABLE_SPANS].values[i] = w->mt->values[w->rows[i]];
    }
    return 0;
}

static int
sort_rows(struct part_writer *w, const uint32_t *row_trace,
    struct sort_item *a, struct sort_item *b)
{
    const struct memtable *mt = w->mt;
    uint32_t trace_bits = bits_for(w->ntraces);
    uint32_t shape_bits = bits_for(w->nshapes);
    uint32_t shape;
    struct sort_item *sorted;

    for (uint32_t i = 0; i < w->nrows; i++) {
        uint32_t row = w->input[i];
        uint64_t stream = w->stream_map[mt->stream[row]];

        if (writer_shape(w, KEY_SPAN, mt->shape[row], &shape) != 0)
            return -1;
        a[i].key = (stream << shape_bits | shape) << trace_bits |
            w->traces[row_trace[i]].ordinal;
        a[i].index = row;
    }
    sorted = sort_items(a, b, w->nrows,
        bits_for(w->nstreams) + shape_bits + trace_bits);
    return take_order(w, sorted, sorted == a ? b : a, trace_bits);
}

int
write_order(struct part_writer *w)
{
    struct write_rows *table = &w->tables[TABLE_SPANS];
    uint32_t n = w->nrows;
    uint32_t *row_trace = writer_alloc(w, SCRATCH_ROW_TRACE,
        n * sizeof(uint32_t));
    struct sort_item *a = writer_alloc(w, SCRATCH_SORT_A, n * sizeof(*a));
    struct sort_item *b = writer_alloc(w, SCRATCH_SORT_B, n * sizeof(*b));

    w->trace_order = writer_alloc(w, SCRATCH_TRACE_ORDER,
        n * sizeof(uint32_t));
    w->rows = writer_alloc(w, SCRATCH_ROWS, n * sizeof(uint32_t));
    w->row_ordinal = writer_alloc(w, SCRATCH_ROW_ORDINAL,
        n * sizeof(uint32_t));
    table->n = n;
    table->values = writer_alloc(w, SCRATCH_TABLE_VALUES,
        n * sizeof(uint32_t));
    table->runs = writer_alloc(w, SCRATCH_TABLE_RUNS,
        n * sizeof(struct write_run));
    if (row_trace == NULL || a == NULL || b == NULL ||
        w->trace_order == NULL || w->rows == NULL ||
        w->row_ordinal == NULL || table->values == NULL ||
        table->runs == NULL || collect_streams(w) != 0)
        return -1;
    number_streams(w);
    if (collect_traces(w, row_trace) != 0)
        return -1;
    number_traces(w, a, b);
    return sort_rows(w, row_trace, a, b);
}
