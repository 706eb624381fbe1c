/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The way of one insert, whatever it came by:
 *
 *   insert_run      a place among the running inserts is waited for
 *   insert_begin    and taken
 *   insert_decode   inflate, decode, digest, limits: without side effects,
 *                   on a thread when it is more than a small plain body
 *   insert_decoded  refused, or handed to the sink
 *   ingest_done     stored: the answer
 *
 * A client that goes away does not stop the way: the request is kept until
 * the step under way has come back.  A body that was not handed to the sink
 * by then is dropped; nobody was told that it was stored.
 */

#include "core/base.h"
#include "otlp/insert.h"

#include "core/assert.h"
#include "core/conf_budget.h"
#include "core/enc.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/sb.h"
#include "core/timefmt.h"
#include "event/loop.h"
#include "event/task.h"
#include "http/grpc.h"
#include "otlp/insert_queue.h"
#include "otlp/otlp.h"
#include "otlp/otlp_params.h"
#include "otlp/otlp_reply.h"

/* A plain body up to this is decoded in 25 us as protobuf: not worth a hop. */
#define INLINE_BYTES_MAX (64 * KIB)

/* Spans take up to four times their bytes; the pool bounds hostile ones. */
#define DECODE_FACTOR 5

/* What insert.max_concurrent: 0 means. */
#define INSERTS_PER_CPU 16

/* Of an answer; partial successes are short. */
#define ANSWER_BYTES_MAX (8 * KIB)

/* Without limits set: insert.max_fields_per_span of the directive table. */
#define FIELDS_DEFAULT 1000

#define INSERT_MAGIC 0x52534e49u /* "INSR" */

struct insert {
    uint32_t magic;
    bool is_aborted;        /* the client is gone */
    bool is_malformed;
    bool is_debug;          /* logged, not stored */
    struct http_req *req;
    const char *answer_type;
    struct ingest ingest;
    struct span_limits limits;
    size_t bytes_max;       /* of the inflated body */
    size_t decode_max;      /* of all bodies that are decoded */
    size_t claimed;         /* of it, by this one */
    struct sb inflated;
    struct sv body;         /* inflated, or as received */
    struct pool *pool;
    struct batch batch;
    int64_t decoded_ns;     /* monotonic */
    int status;             /* HTTP status of a failed decode, or 0 */
    struct err err;
};

static otlp_sink_fn sink_fn;
static otlp_limits_fn limits_fn;
static unsigned running; /* inserts of this process */
/* Bytes that inflated bodies and their spans hold, or may soon. */
static _Atomic size_t decoding;

void
otlp_set_sink(otlp_sink_fn sink)
{
    sink_fn = sink;
    http_set_error_body(ROUTE_INSERT, otlp_put_error);
}

void
otlp_set_limits(otlp_limits_fn limits)
{
    limits_fn = limits;
}

unsigned
otlp_concurrent_max(const struct conf *conf)
{
    if (conf->max_concurrent_inserts > 0)
        return (unsigned)conf->max_concurrent_inserts;
    return conf_budget(conf)->cpus * INSERTS_PER_CPU;
}

bool
insert_has_place(const struct process *process)
{
    return running < otlp_concurrent_max(process->conf);
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
count_stored(const struct insert *insert)
{
    const struct batch *batch = &insert->batch;
    bool is_json = insert->ingest.format == OTLP_JSON;
    bool is_call = grpc_is_call(insert->req);

    count_rejects(batch);
    metric_add(is_call ? METRIC_SPANS_GRPC
            : is_json ? METRIC_SPANS_JSON : METRIC_SPANS_PROTOBUF,
        batch->nspans - batch->rejected);
    metric_add(is_call ? METRIC_BYTES_GRPC
            : is_json ? METRIC_BYTES_JSON : METRIC_BYTES_PROTOBUF,
        insert->body.len);
}

static void
observe_stored(const struct insert *insert)
{
    static const char *const labels[] = {
        "type=\"opentelemetry_traces_otlphttp_protobuf\"",
        "type=\"opentelemetry_traces_otlphttp_json\"",
        "type=\"opentelemetry_traces_otlpgrpc\"",
    };
    static unsigned series[ARRAY_LEN(labels)];
    unsigned form = grpc_is_call(insert->req) ? 2
        : insert->ingest.format == OTLP_JSON ? 1 : 0;
    int64_t now_ns = loop_now_ns(insert->req->process->loop);
    int64_t took_ns = now_ns - insert->decoded_ns;

    if (series[form] == 0)
        series[form] = metric_series(METRIC_INSERT_FLUSH, labels[form]) + 1;
    metric_observe_ns(METRIC_LOG_WAIT_SECONDS, took_ns);
    metric_series_observe_ns(series[form] - 1, took_ns, now_ns);
}

static void
log_stored(const struct insert *insert)
{
    if (UNLIKELY(insert->req->process->conf->log_ingested_rows))
        otlp_params_log(insert->req, &insert->batch, "stored");
}

/* --- the end of an insert --- */

/* Gives back everything but the request, whose region holds insert. */
static void
insert_release(struct insert *insert)
{
    OBJ_CHECK(insert, INSERT_MAGIC);
    insert->magic = 0;
    check(running > 0);
    running--;
    metric_gauge_add(METRIC_CONCURRENT_INSERT, -1);
    pool_free(insert->pool);
    sb_release(&insert->inflated);
    atomic_fetch_sub(&decoding, insert->claimed);
    insert->claimed = 0;
    insert_queue_wake(insert->req->process);
}

static void
answer_error(struct insert *insert, int status, const char *text)
{
    struct http_req *req = insert->req;
    bool is_aborted = insert->is_aborted;

    insert_release(insert);
    if (is_aborted)
        http_abandon(req);
    else
        http_reply_error(req, status, "%s", text);
}

static void
answer_later(struct insert *insert, int status, uint32_t after_sec,
    const char *text)
{
    char seconds[16];

    snprintf(seconds, sizeof(seconds), "%u", MAX(after_sec, 1));
    if (!insert->is_aborted)
        http_reply_header(insert->req, "Retry-After", seconds);
    answer_error(insert, status, text);
}

static void
answer_success(struct insert *insert, uint32_t rejected,
    uint32_t reject_mask)
{
    enum otlp_format format = insert->ingest.format;
    const char *answer_type = insert->answer_type;
    struct http_req *req = insert->req;
    bool is_aborted = insert->is_aborted;
    struct sb answer;

    insert_release(insert);
    if (is_aborted) {
        http_abandon(req);
        return;
    }
    sb_init(&answer, ANSWER_BYTES_MAX);
    otlp_put_response(&answer, format, rejected, reject_mask);
    if (grpc_is_call(req))
        grpc_reply(req, &answer);
    else
        http_reply_sb(req, 200, answer_type, &answer);
}

/* Called by the sink, perhaps before it returns. */
static void
ingest_done(struct ingest *ingest)
{
    struct insert *insert = ingest->arg;

    OBJ_CHECK(insert, INSERT_MAGIC);
    switch (ingest->status) {
    case INGEST_OK:
        if (ingest->is_duplicate) {
            answer_success(insert, ingest->rejected, ingest->reject_mask);
            break;
        }
        count_stored(insert);
        observe_stored(insert);
        log_stored(insert);
        answer_success(insert, insert->batch.rejected,
            insert->batch.reject_mask);
        break;
    case INGEST_BUSY:
        answer_later(insert, 429, ingest->retry_after_sec,
            "the server is busy, send the request again");
        break;
    case INGEST_TOO_LARGE:
        answer_error(insert, 413, "the request has too many spans for this "
            "server, send fewer at a time");
        break;
    default:
        answer_later(insert, 503, ingest->retry_after_sec,
            "the server cannot store spans now, send the request again");
    }
}

/* --- decoding --- */

static void
decode_failed(struct insert *insert)
{
    switch (insert->err.code) {
    case ERR_LIMIT:
        insert->status = 413;
        break;
    case ERR_INVALID:
        insert->status = 400;
        insert->is_malformed = true;
        break;
    default:
        insert->status = 500;
    }
}

/*
 * Takes memory for the body and its spans: what the largest body needs when
 * it comes alone, else only what the others have left.
 */
static bool
claim_memory(struct insert *insert)
{
    size_t want = insert->inflated.len + DECODE_FACTOR * insert->body.len;
    size_t used = atomic_load(&decoding);

    do {
        if (used > 0 && used + want > insert->decode_max)
            return false;
    } while (!atomic_compare_exchange_weak(&decoding, &used, used + want));
    insert->claimed = want;
    return true;
}

/* What it took in the end is nearly always less. */
static void
settle_memory(struct insert *insert)
{
    size_t used = insert->inflated.len + pool_used(insert->pool);

    if (used >= insert->claimed)
        return;
    atomic_fetch_sub(&decoding, insert->claimed - used);
    insert->claimed = used;
}

/* On a thread or on the loop's; touches nothing but insert. */
static void
IMPL(task_fn) insert_decode(void *arg)
{
    struct insert *insert = arg;
    struct ingest *ingest = &insert->ingest;
    int64_t start = clock_mono_ns();

    OBJ_CHECK(insert, INSERT_MAGIC);
    insert->body = ingest->wire;
    if (ingest->encoding != ENCODING_IDENTITY && ingest->wire.len > 0) {
        if (decompress(ingest->encoding, ingest->wire, insert->bytes_max,
                &insert->inflated, &insert->err) != 0) {
            decode_failed(insert);
            if (insert->is_malformed && grpc_is_call(insert->req))
                insert->status = 500; /* INTERNAL: the layer of gRPC */
            return;
        }
        insert->body = sb_sv(&insert->inflated);
    }
    if (!claim_memory(insert)) {
        insert->status = 429;
        return;
    }
    /* What parameters change is copied. */
    insert->pool = pool_new(BATCH_POOL_BYTES(insert->body.len) *
        (ingest->params.len > 0 ? 2 : 1));
    batch_init(&insert->batch, insert->pool);
    if (otlp_decode_request(ingest->format, ingest->params, insert->body,
            &insert->batch, &insert->err) != 0) {
        decode_failed(insert);
        return;
    }
    ingest_make_digest(ingest->digest, &ingest->tenant, ingest->params,
        insert->body);
    batch_apply_limits(&insert->batch, &insert->limits);
    settle_memory(insert);
    insert->decoded_ns = clock_mono_ns();
    metric_observe_ns(METRIC_DECODE_SECONDS, insert->decoded_ns - start);
}

static void
IMPL(task_fn) insert_decoded(void *arg)
{
    struct insert *insert = arg;

    OBJ_CHECK(insert, INSERT_MAGIC);
    if (insert->status == 429) {
        metric_add(METRIC_INGEST_REFUSED_BUSY, 1);
        answer_later(insert, 429, 1,
            "the memory for inserts is taken, send the request again");
        return;
    }
    if (insert->status != 0) {
        if (insert->is_malformed)
            metric_add(METRIC_DROPPED_MALFORMED, 1);
        answer_error(insert, insert->status, insert->err.text);
        return;
    }
    if (insert->is_aborted) {
        answer_error(insert, 500, "");
        return;
    }
    if (grpc_is_late(insert->req)) {
        answer_error(insert, 408, "the deadline of the call passed");
        return;
    }
    if (insert->batch.rejected == insert->batch.nspans) {
        count_rejects(&insert->batch);
        answer_success(insert, insert->batch.rejected,
            insert->batch.reject_mask);
        return;
    }
    if (insert->is_debug) {
        count_rejects(&insert->batch);
        otlp_params_debug(insert->req, &insert->batch);
        answer_success(insert, insert->batch.rejected,
            insert->batch.reject_mask);
        return;
    }
    if (sink_fn == NULL)
        panic("otlp_set_sink() was not called");
    sink_fn(&insert->ingest);
}

static void
IMPL(http_abort_fn) insert_aborted(struct http_req *req UNUSED, void *arg)
{
    struct insert *insert = arg;

    OBJ_CHECK(insert, INSERT_MAGIC);
    insert->is_aborted = true;
}

/* --- the start --- */

void
insert_refuse(struct http_req *req, const char *text)
{
    metric_add(METRIC_INGEST_REFUSED_BUSY, 1);
    http_reply_header(req, "Retry-After", "1");
    http_reply_error(req, 429, "%s", text);
}

static void
insert_start(struct http_req *req, struct insert *insert,
    const struct insert_head *head)
{
    const struct conf_budget *budget = conf_budget(req->process->conf);

    insert->magic = INSERT_MAGIC;
    insert->req = req;
    metric_observe_ns(METRIC_RECEIVE_SECONDS,
        loop_now_ns(req->process->loop) - req->start_ns);
    insert->bytes_max = (size_t)budget->body_max;
    insert->decode_max = (size_t)budget->decode;
    insert->answer_type = head->answer_type;
    insert->ingest.tenant = head->tenant;
    insert->ingest.format = head->format;
    insert->ingest.encoding = head->encoding;
    insert->ingest.wire = head->wire;
    insert->ingest.params = head->params;
    insert->is_debug = head->is_debug;
    insert->ingest.batch = &insert->batch;
    insert->ingest.recv_time_ns = clock_wall_ns();
    insert->ingest.done = ingest_done;
    insert->ingest.arg = insert;
    insert->limits = (struct span_limits){INT64_MIN, INT64_MAX,
        FIELDS_DEFAULT};
    if (limits_fn != NULL)
        limits_fn(&insert->limits);
    sb_init(&insert->inflated, insert->bytes_max);
    running++;
    metric_gauge_add(METRIC_CONCURRENT_INSERT, 1);
    http_on_abort(req, insert_aborted, insert);
}

bool
insert_read_head(struct http_req *req, struct insert_head *head)
{
    struct otlp_params params;
    struct err err = ERR_INIT;

    if (http_tenant(req, &head->tenant.account, &head->tenant.project,
            &err) != 0 ||
        otlp_params_read(req, &params, &err) != 0) {
        http_reply_error(req, 400, "%s", err.text);
        return false;
    }
    head->params = params.canonical;
    head->is_debug = params.is_debug;
    return true;
}

void
insert_begin(struct http_req *req, const struct insert_head *head)
{
    struct task_pool *tasks = req->process->tasks;
    struct insert *insert = pool_zalloc(req->pool, sizeof(*insert));

    if (insert == NULL) {
        insert_refuse(req, "no memory for the insert");
        return;
    }
    insert_start(req, insert, head);
    if (tasks == NULL || (head->encoding == ENCODING_IDENTITY &&
        head->wire.len <= INLINE_BYTES_MAX)) {
        insert_decode(insert);
        insert_decoded(insert);
        return;
    }
    if (task_post(tasks, insert_decode, insert_decoded, insert, NULL) != 0) {
        metric_add(METRIC_INGEST_REFUSED_BUSY, 1);
        answer_later(insert, 429, 1, "too many inserts wait for a thread");
    }
}

void
insert_run(struct http_req *req, const struct insert_head *head)
{
    if (!insert_queue_is_used() && insert_has_place(req->process))
        insert_begin(req, head);
    else
        insert_queue_add(req, head);
}
