/* SPDX-License-Identifier: BSD-2-Clause */

/* What the flat view says of the rows of a memtable or part: t/unit/block.c. */

#ifndef SPOOR_T_UNIT_BLOCK_WANT_H
#define SPOOR_T_UNIT_BLOCK_WANT_H

#include "core/base.h"
#include "core/assert.h"
#include "core/mem.h"
#include "span/flat.h"
#include "storage/memtable.h"
#include "storage/memtable_format.h"
#include "storage/part.h"

#define POOL_MAX (2 * GIB)

/* What the rows of a block must look like. */
struct wanted {
    struct pool *pool;
    uint32_t rows;
    struct flat *flat;
    struct tenant *tenant;
    struct sv *stream;
    struct sv *stream_id;
    struct flat_label **labels;
    uint32_t *nlabels;
};

/* --- reading rows --- */

static struct sv
copy(struct pool *pool, const char *ptr, size_t len)
{
    char *dup = pool_dup(pool, ptr, len);

    check(dup != NULL);
    return sv_make(dup, len);
}

static struct sv
flat_get(const struct flat *flat, struct sv name)
{
    for (uint32_t i = 0; i < flat->n; i++) {
        if (sv_eq(flat->fields[i].name, name))
            return flat->fields[i].text;
    }
    return SV_EMPTY;
}

static uint32_t
want_labels(const struct wanted *want, uint32_t row,
    const struct batch *batch, const struct span *span,
    struct flat_label *labels)
{
    struct sv names[FLAT_LABELS_MAX];
    uint32_t n = flat_label_names(
        batch->scopes[span->scope].stream_fields, names);

    for (uint32_t i = 0; i < n; i++) {
        labels[i].name = names[i];
        labels[i].text = sv_eq(names[i], FLAT_LABEL_SERVICE) ?
            batch->resources[span->resource].service :
            flat_get(&want->flat[row], names[i]);
    }
    return n;
}

static void
want_row(struct wanted *want, uint32_t row, const struct batch *batch,
    uint32_t span)
{
    const struct span *s = &batch->spans[span];
    struct flat_label labels[FLAT_LABELS_MAX];
    char id[FLAT_STREAM_ID_LEN];
    struct sb sb;

    check(flat_span(&want->flat[row], batch, s, want->pool));
    want->nlabels[row] = want_labels(want, row, batch, s, labels);
    want->labels[row] = pool_alloc(want->pool,
        want->nlabels[row] * sizeof(*labels));
    check(want->labels[row] != NULL);
    memcpy(want->labels[row], labels, want->nlabels[row] * sizeof(*labels));
    sb_init(&sb, 32 * MIB);
    flat_labels(&sb, labels, want->nlabels[row]);
    check(!sb_failed(&sb));
    want->stream[row] = copy(want->pool, sb.ptr, sb.len);
    flat_labels_id(id, &want->tenant[row], labels, want->nlabels[row]);
    want->stream_id[row] = copy(want->pool, id, sizeof(id));
    sb_release(&sb);
}

static void
want_init(struct wanted *want, uint32_t rows)
{
    want->pool = pool_new(POOL_MAX);
    want->rows = rows;
    want->flat = xcalloc(rows + 1, sizeof(*want->flat));
    want->tenant = xcalloc(rows + 1, sizeof(*want->tenant));
    want->stream = xcalloc(rows + 1, sizeof(*want->stream));
    want->stream_id = xcalloc(rows + 1, sizeof(*want->stream_id));
    want->labels = xcalloc(rows + 1, sizeof(*want->labels));
    want->nlabels = xcalloc(rows + 1, sizeof(*want->nlabels));
}

static void
want_free(struct wanted *want)
{
    pool_free(want->pool);
    xfree(want->flat);
    xfree(want->tenant);
    xfree(want->stream);
    xfree(want->stream_id);
    xfree(want->labels);
    xfree(want->nlabels);
}

static void
want_memtable(struct wanted *want, const struct memtable *mt, uint32_t rows)
{
    struct batch batch;
    struct err err = ERR_INIT;

    want_init(want, rows);
    batch_init(&batch, want->pool);
    for (uint32_t row = 0; row < rows; row++) {
        check(memtable_read_row(mt, row, &batch, &err) == 0);
        want->tenant[row] = mt->tenants[mt->streams[mt->stream[row]].tenant];
    }
    for (uint32_t row = 0; row < rows; row++)
        want_row(want, row, &batch, row);
}

static void
want_part(struct wanted *want, struct part *part)
{
    uint32_t rows = (uint32_t)part_get_info(part)->rows, got = 0;
    struct batch batch;
    struct err err = ERR_INIT;

    want_init(want, rows);
    batch_init(&batch, want->pool);
    check(part_read_rows(part, 0, rows, &batch, want->tenant, &got,
        &err) == 0 && got == rows);
    for (uint32_t row = 0; row < rows; row++)
        want_row(want, row, &batch, row);
}

static struct sv
want_text(const struct wanted *want, uint32_t row, struct sv name)
{
    if (sv_eq(name, SV("_stream")))
        return want->stream[row];
    if (sv_eq(name, SV("_stream_id")))
        return want->stream_id[row];
    return flat_get(&want->flat[row], name);
}

/* The service's label is that of the field, in blocks. */
static struct sv
want_label(const struct wanted *want, uint32_t row, struct sv name)
{
    if (sv_eq(name, FLAT_LABEL_SERVICE))
        return want_text(want, row, name);
    for (uint32_t i = 0; i < want->nlabels[row]; i++) {
        if (sv_eq(want->labels[row][i].name, name))
            return want->labels[row][i].text;
    }
    return SV_EMPTY;
}

#endif
