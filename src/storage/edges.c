/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/edges.h"

#include "core/enc.h"
#include "core/timefmt.h"
#include "storage/block_read.h"
#include "storage/memtable_format.h"
#include "storage/scan.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* --- the section --- */

int
part_parse_edges(struct part *part, struct sv raw, struct err *err)
{
    struct enc_reader r = enc_reader_make(raw.ptr, raw.len);
    struct sv *edges = pool_alloc(part->pool,
        part->footer.nblocks * sizeof(*edges));

    if (edges == NULL)
        return err_set(err, ERR_LIMIT, "%s: no memory for section EDGES",
            part->path);
    for (uint32_t i = 0; i < part->footer.nblocks; i++) {
        uint32_t len = enc_read32(&r);

        edges[i] = enc_read_bytes(&r, len);
    }
    if (r.failed || r.ptr != r.end)
        return part_corrupt(part, err, "section EDGES: length");
    part->edges = edges;
    return 0;
}

static bool
read_service(const struct part *part, struct enc_reader *r, struct sv *out)
{
    const struct part_strings *strings = &part->strings;
    uint64_t i = enc_read_varint(r);

    if (r->failed || i >= strings->n)
        return false;
    *out = sv_make(strings->bytes + strings->off[i],
        strings->off[i + 1] - strings->off[i]);
    return true;
}

int
part_visit_edges(struct part *part, uint32_t block,
    const struct tenant *tenant, const struct edge_visit *visit,
    struct err *err)
{
    uint32_t owner = part_find_tenant(part, tenant);
    struct enc_reader r;
    uint64_t n;

    if (part->edges == NULL || part->edges[block].len == 0)
        return 0;
    r = enc_reader_make(part->edges[block].ptr, part->edges[block].len);
    n = enc_read_varint(&r);
    for (uint64_t i = 1; i < n; i++) {
        uint64_t of = enc_read_varint(&r);
        struct edge edge;

        if (!read_service(part, &r, &edge.parent) ||
            !read_service(part, &r, &edge.child))
            return part_corrupt(part, err, "section EDGES: service");
        edge.calls = enc_read_varint(&r);
        edge.errors = enc_read_varint(&r);
        edge.duration_ns = enc_unzigzag(enc_read_varint(&r));
        if (r.failed)
            return part_corrupt(part, err, "section EDGES: length");
        if (of == owner && visit->fn(&edge, visit->arg, err) < 0)
            return -1;
    }
    return r.failed || r.ptr != r.end ?
        part_corrupt(part, err, "section EDGES: length") : 1;
}

/* --- rows --- */

struct rows {
    struct block *block;
    uint32_t n;
    const struct column *trace, *id, *parent, *duration, *status, *time;
    uint64_t *own;    /* rows of the tenant */
    struct sv *services;
    uint32_t *slots;  /* by trace and span id: row + 1 */
    uint32_t mask;
    uint64_t *several; /* rows that share their ids with others */
};

static int
load_services(struct rows *rows)
{
    struct block *block = rows->block;
    const struct part_runs *runs = NULL;
    struct block_stream stream;

    rows->services = block_alloc(block, rows->n, sizeof(*rows->services));
    if (rows->services == NULL)
        return -1;
    if (block->mt != NULL) {
        for (uint32_t row = 0; row < rows->n; row++) {
            if (memtable_stream_of(block, block->mt->stream[row],
                    &stream) != 0)
                return -1;
            rows->services[row] = stream.service;
        }
        return 0;
    }
    if (reading_runs(&block->reading, PART_TABLE_SPANS, &runs) != 0)
        return -1;
    for (uint32_t i = 0; i < runs->nruns; i++) {
        stream = part_stream_of(block->reading.part, runs->stream[i]);
        for (uint32_t row = runs->start[i]; row < runs->start[i + 1]; row++)
            rows->services[row] = stream.service;
    }
    return 0;
}

static int
load_columns(struct rows *rows, const struct tenant *tenant, uint32_t *count,
    struct err *err)
{
    struct {
        struct sv name;
        const struct column **column;
    } wanted[] = {
        {SV("trace_id"), &rows->trace}, {SV("span_id"), &rows->id},
        {SV("parent_span_id"), &rows->parent}, {SV("_time"), &rows->time},
        {SV("duration"), &rows->duration},
        {SV("status_code"), &rows->status},
    };

    rows->own = block_zalloc(rows->block, BITMAP_WORDS(rows->n) + 1,
        sizeof(*rows->own));
    rows->several = block_zalloc(rows->block, BITMAP_WORDS(rows->n) + 1,
        sizeof(*rows->several));
    if (rows->own == NULL || rows->several == NULL)
        return -1;
    if (block_select_tenant(rows->block, tenant, rows->own, count, err) != 0)
        return -1;
    if (*count == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        if (block_column(rows->block, wanted[i].name, NULL, wanted[i].column,
                err) != 0)
            return -1;
    }
    rows->block->err = err;
    return load_services(rows);
}

static uint32_t
slot_of(const struct rows *rows, const uint8_t *trace, const uint8_t *id)
{
    uint64_t hash;

    memcpy(&hash, id, 8);
    return (uint32_t)XXH3_64bits_withSeed(trace, 16, hash) & rows->mask;
}

/* The row of the ids; NO_ROW. */
#define NO_ROW UINT32_MAX
static uint32_t
find_row(const struct rows *rows, const uint8_t *trace, const uint8_t *id,
    uint32_t *slot)
{
    for (*slot = slot_of(rows, trace, id); rows->slots[*slot] != 0;
        *slot = (*slot + 1) & rows->mask) {
        uint32_t row = rows->slots[*slot] - 1;

        if (memcmp(column_id(rows->id, row), id, 8) == 0 &&
            memcmp(column_id(rows->trace, row), trace, 16) == 0)
            return row;
    }
    return NO_ROW;
}

static int
index_rows(struct rows *rows)
{
    uint32_t nslots = 16;

    while (nslots < 2 * rows->n)
        nslots *= 2;
    rows->mask = nslots - 1;
    rows->slots = block_zalloc(rows->block, nslots, sizeof(*rows->slots));
    if (rows->slots == NULL)
        return -1;
    for (uint32_t row = 0; row < rows->n; row++) {
        uint32_t slot, known;

        if (!bitmap_has(rows->own, row))
            continue;
        known = find_row(rows, column_id(rows->trace, row),
            column_id(rows->id, row), &slot);
        if (known == NO_ROW)
            rows->slots[slot] = row + 1;
        else
            bitmap_set(rows->several, known);
    }
    return 0;
}

static int
visit_row(const struct rows *rows, uint32_t row,
    const struct edge_visit *visit, struct err *err)
{
    const uint8_t *parent_id = column_id(rows->parent, row);
    static const uint8_t zero[8];
    char buf[COLUMN_TEXT_MAX];
    struct edge edge = {.calls = 1};
    uint32_t slot, parent;

    if (!bitmap_has(rows->own, row) || memcmp(parent_id, zero, 8) == 0 ||
        rows->time->ints[row] < visit->min_end_ns ||
        rows->time->ints[row] > visit->max_end_ns)
        return 0;
    parent = find_row(rows, column_id(rows->trace, row), parent_id, &slot);
    if (parent == NO_ROW || bitmap_has(rows->several, parent) ||
        sv_eq(rows->services[parent], rows->services[row]))
        return 0;
    edge.parent = rows->services[parent];
    edge.child = rows->services[row];
    edge.errors = sv_eq(column_text(rows->status, row, buf), SV("2"));
    edge.duration_ns = rows->duration->ints[row];
    return visit->fn(&edge, visit->arg, err);
}

int
block_visit_edges(struct block *block, const struct tenant *tenant,
    const struct edge_visit *visit, struct err *err)
{
    struct rows rows = {.block = block, .n = block_get_info(block)->rows};
    uint32_t count = 0;

    block->err = err;
    if (rows.n == 0)
        return 0;
    if (load_columns(&rows, tenant, &count, err) != 0)
        return -1;
    /* Without these columns no row has a parent. */
    if (count == 0 || rows.trace->kind != COLUMN_IDS ||
        rows.id->kind != COLUMN_IDS || rows.parent->kind != COLUMN_IDS ||
        rows.time->kind != COLUMN_TIMES || rows.duration->kind != COLUMN_INTS)
        return 0;
    if (index_rows(&rows) != 0)
        return -1;
    for (uint32_t row = 0; row < rows.n; row++) {
        if (visit_row(&rows, row, visit, err) < 0)
            return -1;
    }
    return 0;
}

/* --- the store --- */

static int
poll(const struct edge_visit *visit, struct err *err)
{
    if (visit->cancel != NULL && atomic_load(visit->cancel))
        return err_set(err, ERR_CANCELLED, "query was cancelled");
    if (visit->deadline_ns != 0 && clock_mono_ns() >= visit->deadline_ns)
        return err_set(err, ERR_TIMEOUT, "query took too long");
    return 0;
}

static int
visit_block(struct open_block *open, uint32_t index,
    const struct tenant *tenant, const struct edge_visit *visit,
    struct err *err)
{
    const struct block_info *info = block_get_info(open->block);
    int got = 0;

    if (info->rows == 0 || info->max_end_ns < visit->min_end_ns ||
        info->min_end_ns > visit->max_end_ns)
        return 0;
    if (open->part != NULL && !visit->by_rows &&
        info->min_end_ns >= visit->min_end_ns &&
        info->max_end_ns <= visit->max_end_ns)
        got = part_visit_edges(open->part, index, tenant, visit, err);
    if (got != 0)
        return got < 0 ? -1 : 0;
    return block_visit_edges(open->block, tenant, visit, err);
}

int
store_visit_edges(const struct tenant *tenant, const struct edge_visit *visit,
    struct store_answer *answer, struct err *err)
{
    struct pool *pool = pool_new(visit->bytes_max);
    struct scan scan;
    int rc = -1;

    memset(answer, 0, sizeof(*answer));
    if (scan_begin(&scan, visit->min_end_ns, visit->max_end_ns, err) != 0)
        goto out;
    rc = scan_blocks(&scan, err);
    for (uint32_t i = 0; rc == 0 && i < scan.nblocks; i++) {
        struct err block_err = ERR_INIT;
        struct open_block open;

        rc = poll(visit, err);
        if (rc == 0)
            rc = scan_open_block(&scan, i, pool, &open, err);
        if (rc == 0) {
            rc = visit_block(&open, scan.blocks[i].index, tenant, visit,
                &block_err);
            scan_close_block(&open);
            if (rc != 0)
                rc = scan_item_failed(&scan, scan.blocks[i].item, &block_err,
                    err);
        }
        rc = rc > 0 ? 0 : rc;
        pool_reset(pool);
    }
    scan_end(&scan, answer, METRIC_QUERY_SECONDS_SERVICES);
out:
    pool_free(pool);
    return rc;
}
