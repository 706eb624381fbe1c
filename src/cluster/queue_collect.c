/* SPDX-License-Identifier: BSD-2-Clause */

/* What waits in a file of the durable queue, from its bytes. */

#include "core/base.h"
#include "cluster/queue.h"

#include "cluster/queue_state.h"
#include "core/mem.h"

struct collect {
    struct queue *queue; /* has the names */
    struct queue_collected *to; /* by offset; bytes is 0 when it is done */
    uint64_t odd;        /* records that fit nothing */
};

static void
collect_parcel(struct collect *collect, const struct queue_record *record)
{
    struct queue_collected *to = collect->to;
    struct sv payload = record->payload;
    struct queue_waiting *waiting;
    struct parcel parcel;

    if (parcel_take(&payload, &parcel, NULL) != 1 || payload.len != 0 ||
        record->item != record->offset ||
        memcmp(parcel.id, record->id, sizeof(parcel.id)) != 0) {
        collect->odd++;
        return;
    }
    if (to->n == to->cap) {
        to->cap = MAX(64, 2 * to->cap);
        to->v = xrealloc(to->v, to->cap * sizeof(*to->v));
    }
    waiting = xcalloc(1, sizeof(*waiting));
    waiting->item.parcel = parcel;
    waiting->item.parcel.params = SV_EMPTY;
    waiting->item.parcel.body = SV_EMPTY;
    waiting->item.unknown_ns = record->unknown_ns;
    waiting->item.bytes = record->bytes;
    waiting->offset = record->offset;
    queue_waiting_set_node(collect->queue, waiting, record->node);
    to->v[to->n++] = waiting;
}

static int
offset_cmp(const void *key, const void *element)
{
    const uint64_t *offset = key;
    const struct queue_waiting *const *waiting = element;

    return (*offset > (*waiting)->offset) - (*offset < (*waiting)->offset);
}

static void IMPL(queue_record_fn)
collect_record(void *arg, const struct queue_record *record)
{
    struct collect *collect = arg;
    struct queue_waiting **found = NULL;

    if (record->kind == QUEUE_PARCEL) {
        collect_parcel(collect, record);
        return;
    }
    if (collect->to->n > 0)
        found = bsearch(&record->item, collect->to->v, collect->to->n,
            sizeof(*collect->to->v), offset_cmp);
    /* Its parcel was damaged, which is counted. */
    if (found == NULL)
        return;
    if (memcmp((*found)->item.parcel.id, record->id, PARCEL_ID_BYTES) != 0) {
        collect->odd++;
    } else if (record->kind == QUEUE_DONE) {
        (*found)->item.bytes = 0;
    } else {
        queue_waiting_set_node(collect->queue, *found, record->node);
        (*found)->item.unknown_ns = record->unknown_ns;
    }
}

static void
drop_done(struct queue *queue, struct queue_collected *to)
{
    size_t n = 0;

    for (size_t i = 0; i < to->n; i++) {
        if (to->v[i]->item.bytes > 0)
            to->v[n++] = to->v[i];
        else
            queue_waiting_free(queue, to->v[i]);
    }
    to->n = n;
}

int
queue_collect(struct queue *queue, const struct queue_name *name,
    struct sv bytes, struct queue_collected *out, struct err *err)
{
    struct collect collect = {queue, out, 0};
    struct queue_scan scan = {bytes, name, collect_record, &collect};

    if (queue_scan_run(&scan, &out->found, err) != 0)
        return -1;
    out->found.damaged += collect.odd;
    drop_done(queue, out);
    return 0;
}

void
queue_collected_release(struct queue *queue,
    struct queue_collected *collected)
{
    for (size_t i = 0; i < collected->n; i++)
        queue_waiting_free(queue, collected->v[i]);
    xfree(collected->v);
}
