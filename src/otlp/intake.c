/* SPDX-License-Identifier: BSD-2-Clause */

/*
 *   intake_start    decode: inflate, decode, digest, limits: without side
 *                   effects, on a thread when it is more than a small plain
 *                   body
 *   intake_decoded  refused, or handed to the sink
 *   ingest_done     stored, or not
 *   intake_end      the outcome is told
 */

#include "core/base.h"
#include "otlp/intake.h"

#include "core/assert.h"
#include "core/conf_budget.h"
#include "core/enc.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/loop.h"
#include "event/task.h"
#include "otlp/otlp.h"

/* A plain body up to this is decoded in 25 us as protobuf: not worth a hop. */
#define INLINE_BYTES_MAX (64 * KIB)

/* Spans take up to four times their bytes; the pool bounds hostile ones. */
#define DECODE_FACTOR 5

/* Without limits set: insert.max_fields_per_span of the directive table. */
#define FIELDS_DEFAULT 1000

static otlp_sink_fn sink_fn;
static otlp_limits_fn limits_fn;
/* Bytes that inflated bodies and their spans hold, or may soon. */
static _Atomic size_t decoding;

void
intake_set_sink(otlp_sink_fn sink)
{
    sink_fn = sink;
}

void
otlp_set_limits(otlp_limits_fn limits)
{
    limits_fn = limits;
}

/* --- counting --- */

/* Of a text in the log. */
#define SAMPLE_BYTES_MAX ((size_t)80)

/* With the first of them as a sample; texts of clients are cut. */
static void
log_rejects(const struct batch *batch, enum reject why, uint32_t n)
{
    const struct span *span = batch->spans;
    struct sv service = SV_EMPTY;
    char id[2 * sizeof(span->trace_id.b) + 1], end[32];

    while (span->reject != why)
        span++;
    if (span->resource < batch->nresources)
        service = batch->resources[span->resource].service;
    enc_hex(id, span->trace_id.b, sizeof(span->trace_id.b));
    id[sizeof(id) - 1] = '\0';
    end[time_print_rfc3339(end, span->end_ns, 3)] = '\0';
    log_warn("%u spans rejected: %s; one of them: trace %s, service "
        "\"%.*s\", name \"%.*s\", ended %s", n, reject_text(why), id,
        (int)MIN(service.len, SAMPLE_BYTES_MAX), service.ptr,
        (int)MIN(span->name.len, SAMPLE_BYTES_MAX), span->name.ptr, end);
}

static void
count_rejects(const struct batch *batch)
{
    static const enum metric_id ids[REJECT_KINDS] = {
        [REJECT_TRACE_ID] = METRIC_DROPPED_TRACE_ID,
        [REJECT_SPAN_ID] = METRIC_DROPPED_SPAN_ID,
        [REJECT_PARENT_ID] = METRIC_DROPPED_PARENT_ID,
        [REJECT_TOO_OLD] = METRIC_DROPPED_TOO_SMALL_TIMESTAMP,
        [REJECT_TOO_NEW] = METRIC_DROPPED_TOO_BIG_TIMESTAMP,
        [REJECT_TIME] = METRIC_DROPPED_TIME,
        [REJECT_MANY_FIELDS] = METRIC_DROPPED_TOO_MANY_FIELDS,
        [REJECT_LONG_NAME] = METRIC_DROPPED_LONG_FIELD_NAME,
        [REJECT_LARGE] = METRIC_DROPPED_TOO_LARGE,
        [REJECT_DETACHED] = METRIC_DROPPED_DETACHED,
    };
    uint32_t counts[REJECT_KINDS] = {0};

    if (batch->rejected == 0)
        return;
    for (uint32_t i = 0; i < batch->nspans; i++)
        counts[batch->spans[i].reject]++;
    for (unsigned why = REJECT_NONE + 1; why < REJECT_KINDS; why++) {
        if (counts[why] == 0)
            continue;
        metric_add(ids[why], counts[why]);
        log_rejects(batch, (enum reject)why, counts[why]);
    }
}

static void
count_stored(const struct intake *intake)
{
    static const struct {
        enum metric_id spans;
        enum metric_id bytes;
    } rows[INTAKE_FORMS] = {
        [INTAKE_PROTOBUF] = {METRIC_SPANS_PROTOBUF, METRIC_BYTES_PROTOBUF},
        [INTAKE_JSON] = {METRIC_SPANS_JSON, METRIC_BYTES_JSON},
        [INTAKE_GRPC] = {METRIC_SPANS_GRPC, METRIC_BYTES_GRPC},
        [INTAKE_PARCEL] = {METRIC_SPANS_PARCEL, METRIC_BYTES_PARCEL},
    };
    const struct batch *batch = &intake->batch;

    count_rejects(batch);
    metric_add(rows[intake->form].spans, batch->nspans - batch->rejected);
    metric_add(rows[intake->form].bytes, intake->body.len);
}

static void
observe_stored(const struct intake *intake)
{
    static const char *const labels[INTAKE_FORMS] = {
        [INTAKE_PROTOBUF] = "type=\"opentelemetry_traces_otlphttp_protobuf\"",
        [INTAKE_JSON] = "type=\"opentelemetry_traces_otlphttp_json\"",
        [INTAKE_GRPC] = "type=\"opentelemetry_traces_otlpgrpc\"",
        [INTAKE_PARCEL] = "type=\"internalinsert\"",
    };
    static unsigned series[INTAKE_FORMS];
    int64_t now_ns = loop_now_ns(intake->process->loop);
    int64_t took_ns = now_ns - intake->decoded_ns;

    if (series[intake->form] == 0)
        series[intake->form] = metric_series(METRIC_INSERT_FLUSH,
            labels[intake->form]) + 1;
    metric_observe_ns(METRIC_LOG_WAIT_SECONDS, took_ns);
    metric_series_observe_ns(series[intake->form] - 1, took_ns, now_ns);
}

/* --- the end --- */

static void
intake_end(struct intake *intake, int status, const char *text)
{
    intake->status = status;
    intake->text = text;
    intake->done(intake);
}

void
intake_release(struct intake *intake)
{
    pool_free(intake->pool);
    intake->pool = NULL;
    sb_release(&intake->inflated);
    atomic_fetch_sub(&decoding, intake->claimed);
    intake->claimed = 0;
}

static void
end_stored(struct intake *intake)
{
    const struct ingest *ingest = &intake->ingest;

    if (ingest->is_duplicate) {
        intake->rejected = ingest->rejected;
        intake->reject_mask = ingest->reject_mask;
    } else {
        count_stored(intake);
        observe_stored(intake);
        intake->rejected = intake->batch.rejected;
        intake->reject_mask = intake->batch.reject_mask;
    }
    intake_end(intake, 200, "");
}

/* Called by the sink, perhaps before it returns. */
static void
ingest_done(struct ingest *ingest)
{
    struct intake *intake = ingest->arg;

    intake->retry_after_sec = ingest->retry_after_sec;
    switch (ingest->status) {
    case INGEST_OK:
        end_stored(intake);
        break;
    case INGEST_BUSY:
        intake_end(intake, 429,
            "the server is busy, send the request again");
        break;
    case INGEST_TOO_LARGE:
        intake_end(intake, 413, "the request has too many spans for this "
            "server, send fewer at a time");
        break;
    case INGEST_REFUSED:
        intake_end(intake, 500, "a storage node refuses the spans as "
            "malformed; the log says which");
        break;
    case INGEST_UNAVAILABLE:
        intake_end(intake, 503, ingest->why != NULL ? ingest->why
            : "the server cannot store spans now, send the request again");
    }
}

/* --- decoding --- */

/* A body that is not what its encoding says is the fault of gRPC's layer. */
static void
decode_failed(struct intake *intake, bool is_inflated)
{
    switch (intake->err.code) {
    case ERR_LIMIT:
        intake->status = 413;
        break;
    case ERR_INVALID:
    case ERR_CORRUPT: /* parameters that no server wrote */
        intake->status = !is_inflated && intake->form == INTAKE_GRPC ? 500
            : 400;
        intake->is_malformed = true;
        break;
    default:
        intake->status = 500;
    }
}

/*
 * Takes memory for the body and its spans: what the largest body needs when
 * it comes alone, else only what the others have left.
 */
static bool
claim_memory(struct intake *intake)
{
    size_t want = intake->inflated.len + DECODE_FACTOR * intake->body.len;
    size_t used = atomic_load(&decoding);

    do {
        if (used > 0 && used + want > intake->decode_max)
            return false;
    } while (!atomic_compare_exchange_weak(&decoding, &used, used + want));
    intake->claimed = want;
    return true;
}

/* What it took in the end is nearly always less. */
static void
settle_memory(struct intake *intake)
{
    size_t used = intake->inflated.len + pool_used(intake->pool);

    if (used >= intake->claimed)
        return;
    atomic_fetch_sub(&decoding, intake->claimed - used);
    intake->claimed = used;
}

static bool
inflate(struct intake *intake)
{
    const struct ingest *ingest = &intake->ingest;

    intake->body = ingest->wire;
    if (ingest->encoding == ENCODING_IDENTITY || ingest->wire.len == 0)
        return true;
    if (decompress(ingest->encoding, ingest->wire, intake->bytes_max,
            &intake->inflated, &intake->err) != 0) {
        decode_failed(intake, false);
        return false;
    }
    intake->body = sb_sv(&intake->inflated);
    return true;
}

/* False: it has an id that is not its own. */
static bool
make_digest(struct intake *intake)
{
    struct ingest *ingest = &intake->ingest;

    ingest_make_digest(ingest->digest, &ingest->tenant, ingest->params,
        intake->body);
    if (intake->id == NULL ||
        memcmp(intake->id, ingest->digest, sizeof(ingest->digest)) == 0)
        return true;
    err_set(&intake->err, ERR_INVALID, "the id is not that of the content");
    decode_failed(intake, true);
    return false;
}

/* On a thread or on the loop's; touches nothing but the intake. */
static void
IMPL(task_fn) intake_decode(void *arg)
{
    struct intake *intake = arg;
    struct ingest *ingest = &intake->ingest;
    int64_t start = clock_mono_ns();

    if (!inflate(intake))
        return;
    if (!claim_memory(intake)) {
        intake->status = 429;
        return;
    }
    /* What parameters change is copied. */
    intake->pool = pool_new(BATCH_POOL_BYTES(intake->body.len) *
        (ingest->params.len > 0 ? 2 : 1));
    batch_init(&intake->batch, intake->pool);
    if (otlp_decode_request(ingest->format, ingest->params, intake->body,
            &intake->batch, &intake->err) != 0) {
        decode_failed(intake, true);
        return;
    }
    if (!make_digest(intake))
        return;
    batch_apply_limits(&intake->batch, &intake->limits);
    ingest->plain = intake->body;
    settle_memory(intake);
    intake->decoded_ns = clock_mono_ns();
    metric_observe_ns(METRIC_DECODE_SECONDS, intake->decoded_ns - start);
}

static void
IMPL(task_fn) intake_decoded(void *arg)
{
    struct intake *intake = arg;
    struct batch *batch = &intake->batch;

    if (intake->status == 429) {
        metric_add(METRIC_INGEST_REFUSED_BUSY, 1);
        intake_end(intake, 429,
            "the memory for inserts is taken, send the request again");
        return;
    }
    if (intake->status != 0) {
        if (intake->is_malformed)
            metric_add(METRIC_DROPPED_MALFORMED, 1);
        intake_end(intake, intake->status, intake->err.text);
        return;
    }
    intake->rejected = batch->rejected;
    intake->reject_mask = batch->reject_mask;
    if (intake->accept != NULL && !intake->accept(intake)) {
        intake->done(intake);
        return;
    }
    if (batch->rejected == batch->nspans) {
        count_rejects(batch);
        intake_end(intake, 200, "");
        return;
    }
    if (sink_fn == NULL)
        panic("otlp_set_sink() was not called");
    sink_fn(&intake->ingest);
}

void
intake_count_rejects(const struct intake *intake)
{
    count_rejects(&intake->batch);
}

void
intake_start(struct intake *intake)
{
    const struct ingest *ingest = &intake->ingest;
    struct task_pool *tasks = intake->process->tasks;

    intake->decode_max = (size_t)conf_budget(intake->process->conf)->decode;
    intake->ingest.batch = &intake->batch;
    intake->ingest.recv_time_ns = clock_wall_ns();
    intake->ingest.done = ingest_done;
    intake->ingest.arg = intake;
    intake->limits = (struct span_limits){INT64_MIN, INT64_MAX,
        FIELDS_DEFAULT};
    if (limits_fn != NULL)
        limits_fn(&intake->limits);
    sb_init(&intake->inflated, intake->bytes_max);
    if (tasks == NULL || (ingest->encoding == ENCODING_IDENTITY &&
        ingest->wire.len <= INLINE_BYTES_MAX)) {
        intake_decode(intake);
        intake_decoded(intake);
        return;
    }
    if (task_post(tasks, intake_decode, intake_decoded, intake, NULL) != 0) {
        metric_add(METRIC_INGEST_REFUSED_BUSY, 1);
        intake->retry_after_sec = 1;
        intake_end(intake, 429, "too many inserts wait for a thread");
    }
}
