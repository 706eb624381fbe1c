/* SPDX-License-Identifier: BSD-2-Clause */

/* Encoding a part: the traces of a block and their order. */

#include "core/base.h"
#include "storage/part_write.h"

#include "core/assert.h"
#include "core/enc.h"

static bool
is_trace(const struct write_trace *trace, uint32_t tenant, uint64_t hi,
    uint64_t lo)
{
    return trace->hi == hi && trace->lo == lo && trace->tenant == tenant;
}

int
writer_start_traces(struct part_writer *w, uint32_t n)
{
    uint32_t nslots = 2u << bits_for(n);

    w->trace_slots = writer_alloc(w, SCRATCH_TRACE_SLOTS,
        nslots * sizeof(*w->trace_slots));
    w->traces = writer_alloc(w, SCRATCH_TRACES, n * sizeof(*w->traces));
    w->trace_order = writer_alloc(w, SCRATCH_TRACE_ORDER,
        n * sizeof(*w->trace_order));
    if (w->trace_slots == NULL || w->traces == NULL || w->trace_order == NULL)
        return -1;
    memset(w->trace_slots, 0, nslots * sizeof(*w->trace_slots));
    w->trace_mask = nslots - 1;
    w->ntraces = 0;
    return 0;
}

/* Its slot, or the empty one where it belongs. */
static uint32_t
find_slot(const struct part_writer *w, uint64_t hash, uint32_t tenant,
    uint64_t hi, uint64_t lo)
{
    uint32_t slot = (uint32_t)hash & w->trace_mask;

    for (; w->trace_slots[slot] != 0; slot = (slot + 1) & w->trace_mask) {
        const struct write_trace *trace =
            &w->traces[w->trace_slots[slot] - 1];

        if (trace->hash == hash && is_trace(trace, tenant, hi, lo))
            break;
    }
    return slot;
}

static uint32_t
add_trace(struct part_writer *w, uint32_t tenant, const struct trace_id *id)
{
    uint64_t hi = enc_get64(id->b);
    uint64_t lo = enc_get64(id->b + 8);
    uint64_t hash;
    uint32_t slot;

    if (w->ntraces > 0 && is_trace(&w->traces[w->ntraces - 1], tenant, hi, lo))
        return w->ntraces - 1;
    hash = part_trace_hash(w->trace_seed, &w->tenants[tenant], id);
    slot = find_slot(w, hash, tenant, hi, lo);
    if (w->trace_slots[slot] != 0)
        return w->trace_slots[slot] - 1;
    w->traces[w->ntraces] = (struct write_trace){.hash = hash, .hi = hi,
        .lo = lo, .tenant = tenant, .start_ns = INT64_MAX};
    w->trace_slots[slot] = ++w->ntraces;
    return w->ntraces - 1;
}

const struct write_trace *
writer_find_trace(const struct part_writer *w, uint32_t tenant,
    const uint8_t id[16])
{
    struct trace_id key;
    uint32_t slot;

    memcpy(key.b, id, sizeof(key.b));
    slot = find_slot(w, part_trace_hash(w->trace_seed, &w->tenants[tenant],
        &key), tenant, enc_get64(id), enc_get64(id + 8));
    return w->trace_slots[slot] == 0 ? NULL :
        &w->traces[w->trace_slots[slot] - 1];
}

uint32_t
writer_trace(struct part_writer *w, uint32_t tenant,
    const struct trace_id *id, int64_t start_ns, uint32_t rows)
{
    uint32_t index = add_trace(w, tenant, id);
    struct write_trace *trace = &w->traces[index];

    trace->start_ns = MIN(trace->start_ns, start_ns);
    trace->rows += rows;
    return index;
}

void
writer_number_traces(struct part_writer *w, struct sort_item *a,
    struct sort_item *b)
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
