/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part, first step: which tenants, streams and traces the rows
 * have, their ordinals, and the order of the rows.
 */

#include "core/base.h"
#include "storage/part_write.h"

#include "core/assert.h"

/* Rows of one trace in one run are rarely more: insertion sort is fine. */
#define INSERTION_MAX 32u

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
        s->service < w->ntexts && s->name < w->ntexts &&
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
    w->stream_codes[w->nstreams++] = code;
    if (w->tenant_map[stream->tenant] == NO_ORDINAL) {
        w->tenant_map[stream->tenant] = 0;
        w->tenant_codes[w->ntenants++] = stream->tenant;
    }
    return 0;
}

static int
alloc_codes(struct part_writer *w, uint32_t nstreams)
{
    w->stream_map = writer_map(w, SCRATCH_STREAM_MAP, nstreams);
    w->tenant_map = writer_map(w, SCRATCH_TENANT_MAP, MEMTABLE_TENANTS_MAX);
    w->stream_codes = writer_alloc(w, SCRATCH_STREAM_CODES,
        nstreams * sizeof(uint32_t));
    w->tenant_codes = writer_alloc(w, SCRATCH_TENANT_CODES,
        MEMTABLE_TENANTS_MAX * sizeof(uint32_t));
    return w->stream_map == NULL || w->tenant_map == NULL ||
        w->stream_codes == NULL || w->tenant_codes == NULL ? -1 : 0;
}

/* Also numbers the shapes of the rows. */
static int
collect_streams(struct part_writer *w)
{
    const struct memtable *mt = w->mt;
    uint32_t nstreams = MIN(mt->h.nstreams, MEMTABLE_STREAMS_MAX);
    uint32_t shape;

    if (alloc_codes(w, nstreams) != 0)
        return -1;
    for (uint32_t i = 0; i < w->nrows; i++) {
        uint32_t row = w->input[i];

        check(row < MEMTABLE_ROWS_MAX);
        if (mt->stream[row] >= nstreams)
            return writer_damaged(w, "stream of row", row);
        if (w->stream_map[mt->stream[row]] == NO_ORDINAL &&
            add_stream(w, mt->stream[row]) != 0)
            return -1;
        if (writer_shape_again(w, KEY_SPAN, mt->shape[row], &shape) != 0)
            return -1;
    }
    return 0;
}

static int
number_tenants(struct part_writer *w)
{
    qsort_r(w->tenant_codes, w->ntenants, sizeof(*w->tenant_codes),
        compare_tenants, w);
    w->tenants = writer_alloc(w, SCRATCH_TENANTS,
        w->ntenants * sizeof(*w->tenants));
    if (w->tenants == NULL)
        return -1;
    for (uint32_t i = 0; i < w->ntenants; i++) {
        w->tenant_map[w->tenant_codes[i]] = i;
        w->tenants[i] = w->mt->tenants[w->tenant_codes[i]];
    }
    return 0;
}

/* The list of a scope or resource of the memtable. */
static int
make_list(struct part_writer *w, enum key_scope scope, uint32_t code,
    uint32_t values, struct write_list *list)
{
    uint32_t words;

    if (writer_shape(w, scope, code, &list->shape) != 0)
        return -1;
    words = w->shapes[list->shape].words;
    if (words > MEMTABLE_HEAP_WORDS || values > MEMTABLE_HEAP_WORDS - words)
        return writer_damaged(w, "values at word", values);
    list->words = w->mt->heap + values;
    return 0;
}

/* Ordinal of a scope, which is added when it is new. */
static int
number_scope(struct part_writer *w, uint32_t code, uint32_t *ordinal)
{
    struct memtable_scope scope = w->mt->scopes[code];

    if (w->scope_map[code] == NO_ORDINAL) {
        if (make_list(w, KEY_SCOPE, scope.shape, scope.values,
                &w->scopes[w->nscopes]) != 0)
            return -1;
        w->scope_map[code] = w->nscopes++;
    }
    *ordinal = w->scope_map[code];
    return 0;
}

static int
number_streams(struct part_writer *w)
{
    qsort_r(w->stream_codes, w->nstreams, sizeof(*w->stream_codes),
        compare_streams, w);
    w->streams = writer_alloc(w, SCRATCH_STREAMS,
        w->nstreams * sizeof(*w->streams));
    w->scope_map = writer_map(w, SCRATCH_SCOPE_MAP, MEMTABLE_SCOPES_MAX);
    w->scopes = writer_alloc(w, SCRATCH_SCOPES,
        MEMTABLE_SCOPES_MAX * sizeof(*w->scopes));
    if (w->streams == NULL || w->scope_map == NULL || w->scopes == NULL)
        return -1;
    for (uint32_t i = 0; i < w->nstreams; i++) {
        struct memtable_stream stream = w->mt->streams[w->stream_codes[i]];
        struct write_stream *out = &w->streams[i];

        *out = (struct write_stream){w->tenant_map[stream.tenant],
            stream.service, 0, stream.name, stream.kind};
        w->stream_map[w->stream_codes[i]] = i;
        if (number_scope(w, stream.scope, &out->scope) != 0)
            return -1;
    }
    return 0;
}

/* --- traces --- */

static int
collect_traces(struct part_writer *w, uint32_t *row_trace)
{
    const struct memtable *mt = w->mt;

    if (writer_start_traces(w, w->nrows) != 0)
        return -1;
    for (uint32_t i = 0; i < w->nrows; i++) {
        uint32_t row = w->input[i];
        uint32_t tenant = w->tenant_map[mt->streams[mt->stream[row]].tenant];

        row_trace[i] = writer_trace(w, tenant, &mt->trace_id[row],
            mt->start_ns[row], 1);
    }
    return 0;
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

        if (writer_shape_again(w, KEY_SPAN, mt->shape[row], &shape) != 0)
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

    w->rows = writer_alloc(w, SCRATCH_ROWS, n * sizeof(uint32_t));
    table->values = writer_alloc(w, SCRATCH_TABLE_VALUES,
        n * sizeof(uint32_t));
    if (row_trace == NULL || a == NULL || b == NULL || w->rows == NULL ||
        table->values == NULL || collect_streams(w) != 0 ||
        number_tenants(w) != 0 || number_streams(w) != 0 ||
        collect_traces(w, row_trace) != 0)
        return -1;
    writer_number_traces(w, a, b);
    return sort_rows(w, row_trace, a, b);
}

/* --- resources --- */

/* Resources are numbered in the order of their first row. */
int
write_order_resources(struct part_writer *w)
{
    uint32_t known = MIN(w->mt->h.nresources, MEMTABLE_RESOURCES_MAX);

    w->resource_map = writer_map(w, SCRATCH_RESOURCE_MAP,
        MEMTABLE_RESOURCES_MAX);
    w->resources = writer_alloc(w, SCRATCH_RESOURCES,
        MEMTABLE_RESOURCES_MAX * sizeof(*w->resources));
    if (w->resource_map == NULL || w->resources == NULL)
        return -1;
    for (uint32_t i = 0; i < w->nrows; i++) {
        uint32_t code = w->mt->resource[w->rows[i]];

        if (code >= known)
            return writer_damaged(w, "resource of row", w->rows[i]);
        if (w->resource_map[code] == NO_ORDINAL) {
            struct memtable_resource resource = w->mt->resources[code];
            struct write_resource *out = &w->resources[w->nresources];

            out->service = resource.service;
            if (make_list(w, KEY_RESOURCE, resource.shape, resource.values,
                    &out->list) != 0)
                return -1;
            w->resource_map[code] = w->nresources++;
        }
        w->row_resource[i] = w->resource_map[code];
    }
    return 0;
}
