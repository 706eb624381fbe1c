/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Columns of a block of a part that are not made of values: times, status, and
 * what resources say (part_format.h).
 */

#include "core/base.h"
#include "storage/block_read.h"

#include "core/enc.h"
#include "core/kernel.h"

/* --- decoding --- */

/* *largest becomes at least that of the values. */
static int
decode_u32(struct reading *r, const struct part_vector *vector,
    uint32_t *dst, uint64_t *largest)
{
    uint64_t buf[COL_MINI], max = 0;

    for (uint32_t i = 0; i < vector->count; i += COL_MINI) {
        uint32_t count = MIN(COL_MINI, vector->count - i);

        if (vector_decode(r, vector, i, count, buf) != 0)
            return -1;
        for (uint32_t j = 0; j < count; j++) {
            max = MAX(max, buf[j]);
            dst[i + j] = (uint32_t)buf[j];
        }
    }
    *largest = max;
    return 0;
}

int
part_decode_u32(struct reading *r, uint32_t column, uint32_t n,
    uint64_t limit, uint32_t *dst)
{
    const struct part_vector *vector = NULL;
    uint64_t largest;

    if (vector_need(r, column, PART_ROLE_VALUES, n, &vector) != 0 ||
        decode_u32(r, vector, dst, &largest) != 0)
        return -1;
    if (UNLIKELY(largest >= limit))
        return reading_corrupt(r, "vector %u: value %llu", vector->id,
            (unsigned long long)largest);
    return 0;
}

static int
decode_u64(struct reading *r, uint32_t column, uint32_t n, uint64_t *dst)
{
    const struct part_vector *vector = NULL;

    if (vector_need(r, column, PART_ROLE_VALUES, n, &vector) != 0)
        return -1;
    return vector_decode(r, vector, 0, n, dst);
}

int
part_ordinals(struct block *block, const uint32_t **out)
{
    if (block->ordinals == NULL) {
        uint32_t *ordinals = block_alloc(block, block->info.rows,
            sizeof(*ordinals));

        if (ordinals == NULL || part_decode_u32(&block->reading,
                PART_ROW_TRACE, block->info.rows,
                block->reading.block->traces, ordinals) != 0)
            return -1;
        block->ordinals = ordinals;
    }
    *out = block->ordinals;
    return 0;
}

/* --- times --- */

/* A piece of rows on its way to starts, ends or durations. */
struct times {
    struct reading *r;
    enum block_what what;
    const uint64_t *traces;   /* start of each trace */
    const uint32_t *ordinals; /* trace of each row, when already known */
    const int64_t *durations; /* of each row, the same */
    const struct part_vector *ordinal;
    const struct part_vector *start;
    const struct part_vector *duration;
    struct kernel_range range; /* of ends */
};

static int
times_init(struct times *times, struct block *block, enum block_what what)
{
    struct reading *r = times->r = &block->reading;
    uint64_t *traces;

    times->what = what;
    times->range = (struct kernel_range){INT64_MAX, INT64_MIN};
    times->durations = block->durations;
    if (what != BLOCK_START && vector_need(r, PART_ROW_DURATION,
            PART_ROLE_VALUES, block->info.rows, &times->duration) != 0)
        return -1;
    if (what == BLOCK_DURATION)
        return 0;
    times->ordinals = block->ordinals;
    traces = block_alloc(block, r->block->traces, sizeof(*traces));
    times->traces = traces;
    if (traces == NULL ||
        vector_need(r, PART_ROW_TRACE, PART_ROLE_VALUES, block->info.rows,
            &times->ordinal) != 0 ||
        vector_need(r, PART_ROW_START, PART_ROLE_VALUES, block->info.rows,
            &times->start) != 0)
        return -1;
    return decode_u64(r, PART_TRACE_START, r->block->traces, traces);
}

/* Adds the starts of the traces of rows [from, from + n). */
static int
add_traces(const struct times *times, uint32_t from, uint32_t n,
    uint64_t *starts)
{
    uint64_t ordinals[COL_MINI];

    if (times->ordinals != NULL) {
        for (uint32_t i = 0; i < n; i++)
            starts[i] += times->traces[times->ordinals[from + i]];
        return 0;
    }
    if (vector_decode(times->r, times->ordinal, from, n, ordinals) != 0)
        return -1;
    if (!kernels()->add_from(starts, ordinals, n, times->traces,
            times->r->block->traces))
        return reading_corrupt(times->r, "rows from %u on: a trace that the "
            "block has not", from);
    return 0;
}

static int
durations_decode(const struct times *times, uint32_t from, uint32_t n,
    uint64_t *out)
{
    if (vector_decode(times->r, times->duration, from, n, out) != 0)
        return -1;
    kernels()->unzigzag(out, n);
    return 0;
}

static int
times_decode(struct times *times, uint32_t from, uint32_t n, uint64_t *out)
{
    uint64_t buf[COL_MINI];
    const int64_t *durations = (const int64_t *)buf;

    if (times->what == BLOCK_DURATION)
        return durations_decode(times, from, n, out);
    if (vector_decode(times->r, times->start, from, n, out) != 0 ||
        add_traces(times, from, n, out) != 0)
        return -1;
    if (times->what == BLOCK_START)
        return 0;
    if (times->durations != NULL)
        durations = times->durations + from;
    else if (durations_decode(times, from, n, buf) != 0)
        return -1;
    kernels()->add((int64_t *)out, durations, n, &times->range);
    return 0;
}

/* In pieces that stay in the nearest cache. */
static int
all_times(struct block *block, enum block_what what, const int64_t **out,
    struct kernel_range *range)
{
    uint32_t rows = block->info.rows;
    uint64_t *ints = block_alloc(block, rows, sizeof(*ints));
    struct times times = {.r = NULL};

    if (ints == NULL || times_init(&times, block, what) != 0)
        return -1;
    for (uint32_t row = 0; row < rows; row += COL_MINI) {
        if (times_decode(&times, row, MIN(COL_MINI, rows - row),
                ints + row) != 0)
            return -1;
    }
    *out = (int64_t *)ints;
    *range = times.range;
    return 0;
}

/* Starts or durations, which are kept. */
static int
kept_times(struct block *block, enum block_what what, const int64_t **kept,
    const int64_t **out)
{
    struct kernel_range ignored;

    if (*kept == NULL && all_times(block, what, kept, &ignored) != 0)
        return -1;
    *out = *kept;
    return 0;
}

int
part_starts(struct block *block, const int64_t **out)
{
    return kept_times(block, BLOCK_START, &block->starts, out);
}

int
part_ordinal_of(struct reading *r, uint32_t row, uint32_t *out)
{
    uint64_t ordinal;

    if (column_get(r, PART_ROW_TRACE, r->block->rows, row, &ordinal) != 0)
        return -1;
    if (ordinal >= r->block->traces)
        return reading_corrupt(r, "row %u: trace %llu", row,
            (unsigned long long)ordinal);
    *out = (uint32_t)ordinal;
    return 0;
}

/* Start, end or duration of one row. */
static int
time_of(struct reading *r, uint32_t row, enum block_what what, int64_t *out)
{
    uint64_t trace_start = 0, start = 0, duration = 0;
    uint32_t ordinal = 0;

    if (what != BLOCK_START &&
        column_get(r, PART_ROW_DURATION, r->block->rows, row,
            &duration) != 0)
        return -1;
    *out = enc_unzigzag(duration);
    if (what == BLOCK_DURATION)
        return 0;
    if (part_ordinal_of(r, row, &ordinal) != 0 ||
        column_get(r, PART_TRACE_START, r->block->traces, ordinal,
            &trace_start) != 0 ||
        column_get(r, PART_ROW_START, r->block->rows, row, &start) != 0)
        return -1;
    *out = (int64_t)(trace_start + start + (uint64_t)*out);
    return 0;
}

static int
few_times(struct block *block, const struct block_rows *few,
    enum block_what what, const int64_t **out)
{
    int64_t *ints = block_alloc(block, block->info.rows, sizeof(*ints));

    if (ints == NULL)
        return -1;
    for (uint32_t i = 0; i < few->n; i++) {
        if (time_of(&block->reading, few->v[i], what,
                &ints[few->v[i]]) != 0)
            return -1;
    }
    *out = ints;
    return 0;
}

static int
time_column(struct block *block, enum block_what what,
    const struct block_rows *few, struct column *column)
{
    const int64_t *ints = NULL;
    struct kernel_range range = {0, 0};
    int rc;

    if (few->v != NULL)
        rc = few_times(block, few, what, &ints);
    else if (what == BLOCK_START)
        rc = part_starts(block, &ints);
    else if (what == BLOCK_DURATION)
        rc = kept_times(block, what, &block->durations, &ints);
    else
        rc = all_times(block, what, &ints, &range);
    if (rc != 0)
        return -1;
    column_set_ints(column, what == BLOCK_TIME ? COLUMN_TIMES :
        COLUMN_INTS, ints, NULL);
    column->has_range = few->v == NULL && what == BLOCK_TIME;
    column->min = range.min;
    column->max = range.max;
    return 0;
}

/* --- streams and resources --- */

struct block_stream
part_stream_of(const struct part *part, uint32_t code)
{
    const struct part_stream *stream = &part->streams[code];

    return (struct block_stream){
        .tenant = part->tenants[stream->tenant],
        .service = stream->service,
        .name = stream->name,
        .kind = stream->kind,
        .scope = &part->scopes[stream->scope],
    };
}

int
part_select_tenant(struct block *block, const struct tenant *tenant,
    uint64_t *bits)
{
    const struct part *part = block->reading.part;
    uint32_t owner = part_find_tenant(part, tenant);
    const struct part_runs *runs = NULL;

    if (owner == part->ntenants)
        return 0;
    if (part->ntenants > 1 &&
        reading_runs(&block->reading, PART_TABLE_SPANS, &runs) != 0)
        return -1;
    if (runs == NULL) {
        memset(bits, 0xff, block->info.rows / 64 * sizeof(*bits));
        if (block->info.rows % 64 != 0)
            bits[block->info.rows / 64] =
                (UINT64_C(1) << block->info.rows % 64) - 1;
        return 0;
    }
    for (uint32_t run = 0; run < runs->nruns; run++) {
        if (part->streams[runs->stream[run]].tenant != owner)
            continue;
        for (uint32_t row = runs->start[run]; row < runs->start[run + 1];
            row++)
            bitmap_set(bits, row);
    }
    return 0;
}

static int
few_resources(struct block *block, const struct block_rows *few,
    const uint32_t *by_resource, uint32_t *codes)
{
    struct reading *r = &block->reading;

    for (uint32_t i = 0; i < few->n; i++) {
        uint64_t ordinal;

        if (column_get(r, PART_ROW_RESOURCE, block->info.rows, few->v[i],
                &ordinal) != 0)
            return -1;
        if (ordinal >= r->part->nresources)
            return reading_corrupt(r, "resource %llu",
                (unsigned long long)ordinal);
        codes[few->v[i]] = by_resource[ordinal];
    }
    return 0;
}

/* From a text by resource to codes by row. */
static int
gather_resources(struct block *block, const struct block_values *values,
    const uint32_t *by_resource, const struct block_rows *few,
    struct column *column)
{
    uint32_t rows = block->info.rows;
    uint32_t *codes = block_alloc(block, rows, sizeof(*codes));

    if (codes == NULL)
        return -1;
    if (few->v != NULL) {
        if (few_resources(block, few, by_resource, codes) != 0)
            return -1;
    } else {
        if (part_decode_u32(&block->reading, PART_ROW_RESOURCE, rows,
                block->reading.part->nresources, codes) != 0)
            return -1;
        for (uint32_t row = 0; row < rows; row++)
            codes[row] = by_resource[codes[row]];
    }
    column_set_codes(column, values, codes);
    return 0;
}

static int
resource_column(struct block *block, const struct block_field *field,
    const struct block_rows *few, struct column *column)
{
    const struct part *part = block->reading.part;
    uint32_t *codes = block_alloc(block, part->nresources, sizeof(*codes));
    struct block_values values;

    block_values_init(&values, block);
    if (codes == NULL)
        return -1;
    for (uint32_t i = 0; i < part->nresources; i++) {
        struct sv text;

        if (block_attrs_text(block, &part->resources[i].attrs, field->key,
                &text) != 0 ||
            block_values_add(&values, text, &codes[i]) != 0)
            return -1;
    }
    if (values.n <= 1) {
        column_set_codes(column, &values, NULL);
        return 0;
    }
    return gather_resources(block, &values, codes, few, column);
}

/* --- status --- */

/* Codes beyond 2 stand in for a status that is among the fields. */
static int
odd_status(struct block *block, struct block_values *values,
    const struct block_rows *few, uint32_t *codes)
{
    static const struct block_field field = {.what = BLOCK_NUMBER,
        .scope = KEY_SPAN, .field = FIELD_STATUS_CODE};
    const int64_t *numbers = NULL;
    uint32_t n = few->v != NULL ? few->n : block->info.rows;

    if (part_row_numbers(block, &field, &numbers) != 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = few->v != NULL ? few->v[i] : i;
        struct sv text;

        if (codes[row] <= 2)
            continue;
        if (block_number_text(block, numbers == NULL ? 0 :
                (int32_t)numbers[row], &text) != 0 ||
            block_values_add(values, text, &codes[row]) != 0)
            return -1;
    }
    return 0;
}

static int
few_status(struct reading *r, const struct part_vector *vector,
    const struct block_rows *few, uint32_t *codes, uint64_t *largest)
{
    *largest = 0;
    for (uint32_t i = 0; i < few->n; i++) {
        uint64_t status;

        if (vector_get(r, vector, few->v[i], &status) != 0)
            return -1;
        codes[few->v[i]] = (uint32_t)status;
        *largest = MAX(*largest, status);
    }
    return 0;
}

static int
status_column(struct block *block, const struct block_rows *few,
    struct column *column)
{
    static const struct sv texts[] = {{"0", 1}, {"1", 1}, {"2", 1}};
    struct reading *r = &block->reading;
    const struct part_vector *vector = NULL;
    struct block_values values;
    uint32_t rows = block->info.rows;
    uint32_t *codes;
    uint64_t largest = 0;

    if (vector_need(r, PART_ROW_STATUS, PART_ROLE_VALUES, rows,
            &vector) != 0)
        return -1;
    if (vector->encoding == PART_CONST && vector->value < ARRAY_LEN(texts)) {
        column_set_const(column, &texts[vector->value]);
        return 0;
    }
    codes = block_alloc(block, rows, sizeof(*codes));
    if (codes == NULL || (few->v != NULL ?
            few_status(r, vector, few, codes, &largest) :
            decode_u32(r, vector, codes, &largest)) != 0)
        return -1;
    block_values_init(&values, block);
    for (uint32_t i = 0; i < ARRAY_LEN(texts); i++) {
        uint32_t code;

        if (block_values_add(&values, texts[i], &code) != 0)
            return -1;
    }
    if (largest >= ARRAY_LEN(texts) && odd_status(block, &values, few,
            codes) != 0)
        return -1;
    column_set_codes(column, &values, codes);
    return 0;
}

int
part_column(struct block *block, const struct block_field *field,
    const struct block_rows *few, struct column *column)
{
    bool is_told = false;

    if (part_stream_tells(block, field, &is_told) != 0)
        return -1;
    if (is_told)
        return part_stream_column(block, field, few, column);
    if (field->scope == KEY_RESOURCE)
        return resource_column(block, field, few, column);
    if (field->scope != KEY_SPAN)
        return part_sub_column(block, field, few, column);
    switch (field->what) {
    case BLOCK_TIME:
    case BLOCK_START:
    case BLOCK_END:
    case BLOCK_DURATION:
        return time_column(block, field->what, few, column);
    case BLOCK_TRACE_ID:
    case BLOCK_SPAN_ID:
    case BLOCK_PARENT_ID:
        return part_id_column(block, field->what, few, column);
    case BLOCK_STATUS:
        return status_column(block, few, column);
    default:
        return part_row_column(block, field, few, column);
    }
}
