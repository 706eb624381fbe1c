/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Traces from all storage nodes.  A trace is on one of them, but for those
 * that came in while nodes were missing, so all are asked at once and what
 * they have is put together as the store does with its parts.
 */

#include "core/base.h"
#include "cluster/backend_nodes.h"

#include "cluster/answer_wire.h"
#include "cluster/fanout.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "otlp/otlp.h"
#include "storage/dedupe.h"

/* Asked for at a time: their spans are held until all nodes have answered. */
#define READ_TRACES_MAX 200u

struct piece {
    struct piece *next;
    struct wire_spans spans;
};

struct reading {
    const struct backend_ask *ask;
    const struct trace_id *ids;
    uint32_t n;
    uint32_t first;       /* index of ids[0] for the caller */
    const struct backend_trace_to *to;
    struct pool *pool;    /* of pieces */
    struct piece **pieces;
    uint64_t rows[NODES_MAX];
};

/* --- what comes --- */

static int
take_piece(void *arg, unsigned node, enum frame_type type,
    struct sv payload, struct err *err)
{
    struct reading *reading = arg;
    struct wire_spans spans;
    struct piece *piece;
    const char *copy;

    (void)node;
    if (type != FRAME_SPANS)
        return err_set(err, ERR_CORRUPT, "the answer of the node is "
            "malformed: a frame that was not asked for");
    piece = pool_alloc(reading->pool, sizeof(*piece));
    copy = pool_dup(reading->pool, payload.ptr, payload.len);
    if (piece == NULL || copy == NULL)
        return err_set(err, ERR_LIMIT, "traces need too much memory");
    if (wire_spans_take(sv_make(copy, payload.len), &spans, err) != 0)
        return -1;
    if (spans.index >= reading->n)
        return err_set(err, ERR_CORRUPT, "the answer of the node is "
            "malformed: a trace that was not asked for");
    *piece = (struct piece){reading->pieces[spans.index], spans};
    reading->pieces[spans.index] = piece;
    return 0;
}

/* --- one trace --- */

static int
add_piece(const struct reading *reading, uint32_t i,
    const struct wire_spans *spans, struct batch *batch, struct err *err)
{
    uint32_t nspans = batch->nspans, nscopes = batch->nscopes;

    if (otlp_decode_protobuf(spans->request, batch, err) != 0)
        return err->code == ERR_LIMIT ? -1
            : err_set(err, ERR_CORRUPT, "a storage node has sent spans that "
                "are malformed");
    for (uint32_t k = nscopes; k < batch->nscopes; k++) {
        batch->scopes[k].stream_fields = spans->stream_fields;
        batch->scopes[k].extra_fields = spans->extra_fields;
    }
    for (uint32_t k = nspans; k < batch->nspans; k++) {
        if (batch->spans[k].reject != REJECT_NONE ||
            memcmp(&batch->spans[k].trace_id, &reading->ids[i],
                sizeof(reading->ids[i])) != 0)
            return err_set(err, ERR_CORRUPT, "a storage node has sent spans "
                "that are not of the trace");
    }
    return 0;
}

static int
add_pieces(const struct reading *reading, uint32_t i, struct batch *batch,
    struct store_answer *answer, struct err *err)
{
    uint32_t max = (uint32_t)backend_nodes_conf()->trace_max_spans;

    for (const struct piece *piece = reading->pieces[i]; piece != NULL;
        piece = piece->next) {
        answer->is_partial = answer->is_partial || piece->spans.is_partial;
        answer->is_truncated = answer->is_truncated ||
            piece->spans.is_truncated;
        if (piece->spans.request.len > 0 &&
            add_piece(reading, i, &piece->spans, batch, err) != 0)
            return -1;
    }
    if (spans_dedupe(batch, err) != 0)
        return -1;
    spans_sort(batch);
    if (batch->nspans > max) {
        batch->nspans = max;
        answer->is_truncated = true;
    }
    return 0;
}

static int
give_trace(void *arg, uint32_t i, struct err *err)
{
    const struct reading *reading = arg;
    const struct backend_ask *ask = reading->ask;
    struct pool *pool = pool_new(ask->memory_max);
    struct store_answer answer;
    struct batch batch;
    int rc;

    memset(&answer, 0, sizeof(answer));
    memcpy(answer.missing, ask->answer->missing, sizeof(answer.missing));
    answer.is_partial = answer.missing[0] != '\0';
    pool_share(pool, ask->share);
    batch_init(&batch, pool);
    rc = add_pieces(reading, i, &batch, &answer, err);
    if (rc == 0)
        rc = reading->to->fn(reading->to->arg, reading->first + i, &batch,
            &answer, err);
    pool_free(pool);
    return rc;
}

/* --- some traces --- */

static int
ask_nodes(struct reading *reading, struct err *err)
{
    const struct backend_ask *ask = reading->ask;
    const struct conf *conf = backend_nodes_conf();
    const struct plan plan = {.kind = PLAN_TRACES, .tenant = ask->tenant,
        .timeout_ns = ask->deadline_ns == 0 ? 0
            : MAX(ask->deadline_ns - clock_mono_ns(), NS_PER_MS),
        .memory_max = ask->memory_max,
        .wants_plain = conf->select_no_compression,
        .allow_missing = ask->allow_missing,
        .ids = reading->ids, .nids = reading->n};
    const struct fanout fanout = {.plan = &plan, .conf = conf,
        .deadline_ns = ask->deadline_ns, .cancel = ask->cancel,
        .allow_missing = ask->allow_missing, .share = ask->share,
        .fn = take_piece, .arg = reading, .answer = ask->answer};

    return fanout_run(&fanout, err);
}

static int
read_some(struct reading *reading, struct err *err)
{
    const struct backend_work work = {give_trace, reading, reading->n};
    int rc = -1;

    reading->pool = pool_new(reading->ask->memory_max);
    pool_share(reading->pool, reading->ask->share);
    reading->pieces = pool_zalloc(reading->pool,
        reading->n * sizeof(*reading->pieces));
    if (reading->pieces == NULL)
        (void)err_set(err, ERR_LIMIT, "traces need too much memory");
    else if (ask_nodes(reading, err) == 0)
        rc = backend_each(reading->ask, &work, err);
    pool_free(reading->pool);
    return rc;
}

int
nodes_read_traces(const struct backend_ask *ask, const struct trace_id *ids,
    uint32_t n, const struct backend_trace_to *to, struct err *err)
{
    int64_t start_ns = clock_mono_ns();
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < n; i += READ_TRACES_MAX) {
        struct reading reading = {.ask = ask, .ids = ids + i,
            .n = MIN(n - i, READ_TRACES_MAX), .first = i, .to = to};

        rc = read_some(&reading, err);
    }
    metric_observe_ns(METRIC_QUERY_SECONDS_TRACE,
        clock_mono_ns() - start_ns);
    return rc;
}
