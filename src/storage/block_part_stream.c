/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Columns of a block of a part that are the same for all rows of a stream,
 * and so for all rows of a run (part_format.h).
 */

#include "core/base.h"
#include "storage/block_read.h"

static bool
is_service_name(const struct block_field *field)
{
    return field->scope == KEY_RESOURCE &&
        sv_eq(field->key, SV("service.name"));
}

/*
 * The service of a stream is that of its rows' resources; its text is the
 * attribute's unless that is no string or there are several.
 */
int
part_stream_tells(struct block *block, const struct block_field *field,
    bool *out)
{
    const struct part *part = block->reading.part;

    *out = block_is_of_stream(field);
    if (field->what == BLOCK_STREAM || field->what == BLOCK_STREAM_ID)
        *out = !block_declares_labels(block);
    if (*out || !is_service_name(field))
        return 0;
    for (uint32_t i = 0; i < part->nresources; i++) {
        struct sv text;

        if (block_attrs_text(block, &part->resources[i].attrs, field->key,
                &text) != 0)
            return -1;
        if (!sv_eq(text, part->resources[i].service))
            return 0;
    }
    *out = true;
    return 0;
}

static int
stream_text(struct block *block, const struct block_field *field,
    uint32_t stream, struct sv *text)
{
    struct block_stream found = part_stream_of(block->reading.part, stream);

    if (is_service_name(field)) {
        *text = found.service;
        return 0;
    }
    return block_stream_text(block, field, &found, text);
}

struct by_stream {
    struct block *block;
    const struct block_field *field;
    const struct part_runs *runs;
    struct block_values values;
    uint32_t *codes; /* + 1, by stream; 0: not known yet */
};

static int
code_of_run(struct by_stream *by, uint32_t run, uint32_t *code)
{
    uint32_t stream = by->runs->stream[run];
    struct sv text;

    if (by->codes[stream] == 0) {
        if (stream_text(by->block, by->field, stream, &text) != 0 ||
            block_values_add(&by->values, text, code) != 0)
            return -1;
        by->codes[stream] = *code + 1;
    }
    *code = by->codes[stream] - 1;
    return 0;
}

static int
few_by_stream(struct by_stream *by, const struct block_rows *few,
    uint32_t *codes)
{
    for (uint32_t i = 0; i < few->n; i++) {
        uint32_t row = few->v[i];

        if (code_of_run(by, runs_find(by->runs, row), &codes[row]) != 0)
            return -1;
    }
    return 0;
}

static int
all_by_stream(struct by_stream *by, uint32_t *codes)
{
    const struct part_runs *runs = by->runs;
    uint32_t code;

    for (uint32_t run = 0; run < runs->nruns; run++) {
        if (code_of_run(by, run, &code) != 0)
            return -1;
    }
    if (by->values.n == 1)
        return 0;
    for (uint32_t run = 0; run < runs->nruns; run++) {
        code = by->codes[runs->stream[run]] - 1;
        for (uint32_t row = runs->start[run]; row < runs->start[run + 1];
            row++)
            codes[row] = code;
    }
    return 0;
}

static int
by_stream_init(struct by_stream *by, struct block *block,
    const struct block_field *field)
{
    *by = (struct by_stream){.block = block, .field = field};
    block_values_init(&by->values, block);
    by->codes = block_zalloc(block, block->reading.part->nstreams,
        sizeof(*by->codes));
    if (by->codes == NULL)
        return -1;
    return reading_runs(&block->reading, PART_TABLE_SPANS, &by->runs);
}

int
part_stream_column(struct block *block, const struct block_field *field,
    const struct block_rows *few, struct column *column)
{
    uint32_t *codes = block_alloc(block, block->info.rows, sizeof(*codes));
    struct by_stream by;

    if (codes == NULL || by_stream_init(&by, block, field) != 0)
        return -1;
    if ((few->v != NULL ? few_by_stream(&by, few, codes) :
            all_by_stream(&by, codes)) != 0)
        return -1;
    column_set_codes(column, &by.values, codes);
    return 0;
}

int
part_stream_runs(struct block *block, const struct block_field *field,
    struct block_runs *out)
{
    struct by_stream by;
    uint32_t *codes;

    if (by_stream_init(&by, block, field) != 0)
        return -1;
    codes = block_alloc(block, by.runs->nruns, sizeof(*codes));
    if (codes == NULL)
        return -1;
    for (uint32_t run = 0; run < by.runs->nruns; run++) {
        if (code_of_run(&by, run, &codes[run]) != 0)
            return -1;
    }
    *out = (struct block_runs){by.runs->nruns, by.runs->start, codes,
        by.values.n, by.values.v};
    return 0;
}
