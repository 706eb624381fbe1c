/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The handler between a request that is made by hand and a sink that answers
 * as the test says, now or later.
 */

#include "core/base.h"
#include "otlp/otlp.h"

#include "core/mem.h"
#include "core/metrics.h"
#include "event/loop.h"
#include "event/task.h"
#include "http/stream.h"
#include "tap.h"

#define BODY_MAX (64 * MIB)

/* One span of the year 2006 with ids, as a request. */
#define GOOD_SPAN \
    "\x0a\x29\x12\x27\x12\x25" \
    "\x0a\x10" "0123456789abcdef" "\x12\x08" "01234567" \
    "\x41\x00\x00\x00\x00\x00\x00\x00\x10"
/* The same with a span id of seven bytes in a second span. */
#define BAD_SPAN \
    "\x0a\x1f\x12\x1d\x12\x1b" \
    "\x0a\x10" "0123456789abcdef" "\x12\x07" "0123456"

static const struct route route = {
    .pattern = "/v1/traces",
    .methods = HTTP_POST,
    .flags = ROUTE_BODY | ROUTE_INSERT,
    .handler = otlp_http_traces,
};

static struct conf conf = {.header_csp = "", .header_frame_options = "",
    .header_hsts = "", .path_prefix = ""};
static struct process process = {.conf = &conf};
static bool is_looping;

/* Until the request is answered. */
static void
wait_for_end(void)
{
    is_looping = true;
    loop_run(process.loop);
    is_looping = false;
}

/* --- the client's side: what was answered --- */

static struct {
    int status;
    char type[128];
    char retry_after[32];
    struct sb body;
    unsigned ended;
    bool is_broken;
} answer;

static void
on_head(UNUSED struct stream *stream, const struct reply_head *head)
{
    answer.status = head->status;
    for (unsigned i = 0; i < head->nfields; i++) {
        const struct http_header *field = &head->fields[i];

        if (sv_eq_nocase(field->name, SV("Content-Type")))
            snprintf(answer.type, sizeof(answer.type), "%.*s",
                SV_ARG(field->value));
        if (sv_eq_nocase(field->name, SV("Retry-After")))
            snprintf(answer.retry_after, sizeof(answer.retry_after), "%.*s",
                SV_ARG(field->value));
    }
}

static void
on_data(UNUSED struct stream *stream, const void *ptr, size_t len)
{
    sb_add(&answer.body, ptr, len);
}

static void
on_data_take(UNUSED struct stream *stream, char *ptr, size_t len)
{
    sb_add(&answer.body, ptr, len);
    xfree(ptr);
}

static void
on_end(struct stream *stream, bool is_broken)
{
    answer.ended++;
    answer.is_broken = is_broken;
    pool_free(stream->req.pool);
    stream->req.pool = NULL;
    if (is_looping)
        loop_stop(process.loop);
}

static size_t
on_queued(UNUSED const struct stream *stream)
{
    return 0;
}

static const struct stream_ops ops = {on_head, on_data, on_data_take, on_end,
    on_queued, NULL};

/* --- the store's side --- */

static struct {
    enum ingest_status status;
    bool is_duplicate;
    bool is_later;       /* keep the ingest, answer by hand */
    uint32_t retry_after_sec;
    unsigned calls;
    uint32_t nspans;
    uint8_t digest[16];
    struct tenant tenant;
    struct ingest *kept;
} sink;

static void
finish(struct ingest *ingest)
{
    ingest->status = sink.status;
    ingest->is_duplicate = sink.is_duplicate;
    ingest->rejected = sink.is_duplicate ? 5 : 0;
    ingest->reject_mask = 1 << REJECT_TOO_OLD;
    ingest->retry_after_sec = sink.retry_after_sec;
    ingest->done(ingest);
}

static void
take(struct ingest *ingest)
{
    sink.calls++;
    sink.nspans = ingest->batch->nspans;
    sink.tenant = ingest->tenant;
    memcpy(sink.digest, ingest->digest, 16);
    if (sink.is_later)
        sink.kept = ingest;
    else
        finish(ingest);
}

static void
no_limits(struct span_limits *limits)
{
    *limits = (struct span_limits){0, INT64_MAX, 1000};
}

/* --- requests --- */

static struct stream stream;
static struct http_header headers[8];

static void
begin(void)
{
    memset(&sink, 0, sizeof(sink));
    conf.max_request_size = 1 * MIB;
    conf.max_concurrent_inserts = 4;
}

static void
request_on(struct stream *on, const char *type, const char *encoding,
    struct sv body)
{
    uint32_t n = 0;

    answer.status = 0;
    answer.type[0] = '\0';
    answer.retry_after[0] = '\0';
    answer.ended = 0;
    sb_reset(&answer.body);
    stream_init(on, &ops);
    if (type != NULL)
        headers[n++] = (struct http_header){SV("content-type"),
            sv_from(type)};
    if (encoding != NULL)
        headers[n++] = (struct http_header){SV("content-encoding"),
            sv_from(encoding)};
    if (sink.tenant.account != 0)
        headers[n++] = (struct http_header){SV("accountid"),
            sink.tenant.account == 1 ? SV("17") : SV("x")};
    on->req.method = HTTP_POST;
    on->req.method_name = SV("POST");
    on->req.path = on->req.raw_path = sv_from(route.pattern);
    on->req.headers = headers;
    on->req.nheaders = n;
    on->req.body = body;
    on->req.pool = pool_new(1 * MIB);
    on->req.route = &route;
    on->req.process = &process;
    on->req.peer = "test";
    otlp_http_traces(&on->req);
}

static void
request(const char *type, const char *encoding, struct sv body)
{
    request_on(&stream, type, encoding, body);
    if (process.tasks != NULL && answer.ended == 0 && !sink.is_later)
        wait_for_end();
}

#define PROTOBUF "application/x-protobuf"

static void
test_success(void)
{
    begin();
    request(PROTOBUF, NULL, SV(GOOD_SPAN));
    is_int(answer.status, 200, "stored");
    is_str(answer.type, PROTOBUF, "answered in protobuf");
    is_int(answer.body.len, 0, "with an empty message");
    is_int(sink.calls, 1, "the sink was called");
    is_int(sink.nspans, 1, "with a span");
    is_int(answer.ended, 1, "answered once");
    request("Application/Protobuf ; charset=x", NULL, SV(GOOD_SPAN));
    is_int(answer.status, 200, "application/protobuf with a parameter");
    is_str(answer.type, "application/protobuf", "is answered as such");
    request("application/json;charset=utf-8", NULL, SV("{\"resourceSpans\":"
        "[{\"scopeSpans\":[{\"spans\":[{\"traceId\":"
        "\"5b8efff798038103d269b633813fc60c\",\"spanId\":"
        "\"eee19b7ec3c1b174\"}]}]}]}"));
    is_int(answer.status, 200, "JSON");
    is_str(answer.type, "application/json", "answered in JSON");
    is_str(answer.body.ptr, "{}", "with an empty message");
    is_int(sink.calls, 3, "all stored");
    request(PROTOBUF, NULL, SV_EMPTY);
    is_int(answer.status, 200, "an empty body");
    request("application/json", "gzip", SV_EMPTY);
    is_int(answer.status, 200, "an empty body, said to be gzip");
    request("application/json", NULL, SV("{}"));
    is_int(answer.status, 200, "an empty request");
    is_int(sink.calls, 3, "there was nothing to store");
}

static void
test_partial(void)
{
    begin();
    uint64_t before = metric_get(METRIC_DROPPED_SPAN_ID);
    request(PROTOBUF, NULL, SV(GOOD_SPAN BAD_SPAN));
    is_int(answer.status, 200, "one good, one bad span");
    is_int(sink.nspans, 2, "the sink sees both");
    is_mem(answer.body.ptr, answer.body.len,
        "\x0a\x3a\x08\x01\x12\x36"
        "1 span rejected: span_id is not 8 bytes or is all zero", 60,
        "partial success");
    request(PROTOBUF, NULL, SV(BAD_SPAN));
    is_int(answer.status, 200, "only a bad one");
    is_int(sink.calls, 1, "is not stored");
    is_int(answer.body.len, 60, "partial success again");
    is_int(metric_get(METRIC_DROPPED_SPAN_ID) - before, 2, "both counted");
    request("application/json", NULL, SV("{\"resourceSpans\":"
        "[{\"scopeSpans\":[{\"spans\":[{},{\"traceId\":"
        "\"5b8efff798038103d269b633813fc60c\"}]}]}]}"));
    is_str(answer.body.ptr, "{\"partialSuccess\":{\"rejectedSpans\":\"2\","
        "\"errorMessage\":\"2 spans rejected: trace_id is not 16 bytes or "
        "is all zero; span_id is not 8 bytes or is all zero\"}}", "as JSON");
    sink.is_duplicate = true;
    request("application/json", NULL, SV("{\"resourceSpans\":"
        "[{\"scopeSpans\":[{\"spans\":[{\"traceId\":"
        "\"5b8efff798038103d269b633813fc60c\",\"spanId\":"
        "\"eee19b7ec3c1b174\"}]}]}]}"));
    is_str(answer.body.ptr, "{\"partialSuccess\":{\"rejectedSpans\":\"5\","
        "\"errorMessage\":\"5 spans rejected: the span ended before the "
        "retention window\"}}", "a duplicate is answered as the first time");
}

/* A google.rpc.Status with this code, or a text. */
static void
is_error(int status, int code, const char *name)
{
    is_int(answer.status, status, "%s: status", name);
    is_int(answer.ended, 1, "%s: answered once", name);
    is_int(sink.calls, 0, "%s: nothing stored", name);
    if (strstr(answer.type, "json") != NULL) {
        char want[32];

        snprintf(want, sizeof(want), "{\"code\":%d,\"message\":\"", code);
        ok(strncmp(answer.body.ptr, want, strlen(want)) == 0, "%s: %s",
            name, answer.body.ptr);
    } else if (strstr(answer.type, "protobuf") != NULL) {
        ok(answer.body.len > 4 && answer.body.ptr[0] == 8 &&
            answer.body.ptr[1] == code && answer.body.ptr[2] == 0x12,
            "%s: %s", name, answer.body.ptr + 4);
    } else {
        ok(answer.body.len > 4, "%s: %s", name, answer.body.ptr);
    }
}

static void
test_errors(void)
{
    begin();
    uint64_t before = metric_get(METRIC_DROPPED_MALFORMED);
    request(PROTOBUF, NULL, SV("\x0a\x7f"));
    is_error(400, 3, "malformed protobuf");
    request("application/json", NULL, SV("{"));
    is_error(400, 3, "malformed JSON");
    is_int(metric_get(METRIC_DROPPED_MALFORMED) - before, 2, "counted");
    request("text/plain", NULL, SV(GOOD_SPAN));
    is_error(415, 0, "text");
    request(NULL, NULL, SV(GOOD_SPAN));
    is_error(415, 0, "no content type");
    request("application/jsonx", NULL, SV("{}"));
    is_error(415, 0, "not quite JSON");
    request(PROTOBUF, "br", SV(GOOD_SPAN));
    is_error(400, 3, "unknown encoding");
    request(PROTOBUF, "gzip", SV(GOOD_SPAN));
    is_error(400, 3, "not gzip at all");
    sink.tenant.account = 2;
    request("application/json", NULL, SV("{}"));
    is_error(400, 3, "a tenant that is no number");
    sink.tenant.account = 0;
}

static void
test_compressed(void)
{
    struct sb plain;
    struct sb packed;

    sb_init(&plain, BODY_MAX);
    sb_init(&packed, BODY_MAX);
    sb_add(&plain, GOOD_SPAN, sizeof(GOOD_SPAN) - 1);
    begin();
    request(PROTOBUF, NULL, sb_sv(&plain));
    uint8_t digest[16];
    memcpy(digest, sink.digest, 16);
    for (enum encoding e = ENCODING_GZIP; e < ENCODING_COUNT; e++) {
        sb_reset(&packed);
        memset(sink.digest, 0, 16);
        ok(compress_append(e, sb_sv(&plain), 3, &packed, NULL) == 0,
            "%s", encoding_name(e));
        request(PROTOBUF, encoding_name(e), sb_sv(&packed));
        is_int(answer.status, 200, "%s: stored", encoding_name(e));
        ok(memcmp(digest, sink.digest, 16) == 0,
            "the digest is that of the plain body");
    }
    sink.tenant.account = 1;
    request(PROTOBUF, NULL, sb_sv(&plain));
    is_int(sink.tenant.account, 17, "a tenant");
    ok(memcmp(digest, sink.digest, 16) != 0, "has digests of its own");

    /* An unknown field of more than a request may have. */
    begin();
    sb_reset(&plain);
    sb_add(&plain, "\x12\x80\x80\x80\x02", 5);
    memset(sb_reserve(&plain, 4 * MIB), 0, 4 * MIB);
    sb_advance(&plain, 4 * MIB);
    for (enum encoding e = ENCODING_GZIP; e < ENCODING_COUNT; e++) {
        sb_reset(&packed);
        ok(compress_append(e, sb_sv(&plain), 3, &packed, NULL) == 0,
            "%s bomb of %zu bytes", encoding_name(e), packed.len);
        request(PROTOBUF, encoding_name(e), sb_sv(&packed));
        is_error(413, 8, encoding_name(e));
    }
    sb_release(&plain);
    sb_release(&packed);
}

static void
test_too_many_spans(void)
{
    size_t n = 400000;
    struct sb body;

    begin();
    sb_init(&body, BODY_MAX);
    /* Lengths of four bytes, so that the body can be made in one go. */
    uint32_t inner = (uint32_t)(2 * n);
    uint32_t middle = inner + 5;
    uint8_t head[10] = {0x0a, (uint8_t)(middle | 0x80),
        (uint8_t)(middle >> 7 | 0x80), (uint8_t)(middle >> 14 | 0x80),
        (uint8_t)(middle >> 21), 0x12, (uint8_t)(inner | 0x80),
        (uint8_t)(inner >> 7 | 0x80), (uint8_t)(inner >> 14 | 0x80),
        (uint8_t)(inner >> 21)};
    sb_add(&body, head, sizeof(head));
    for (size_t i = 0; i < n; i++)
        sb_add(&body, "\x12\x00", 2);
    request(PROTOBUF, NULL, sb_sv(&body));
    is_error(413, 8, "400,000 empty spans");
    sb_release(&body);
}

static void
test_later(void)
{
    begin();
    sink.status = INGEST_BUSY;
    request(PROTOBUF, NULL, SV(GOOD_SPAN));
    is_int(answer.status, 429, "busy");
    is_str(answer.retry_after, "1", "with a Retry-After");
    is_int(answer.body.ptr[1], 8, "RESOURCE_EXHAUSTED");
    sink.status = INGEST_UNAVAILABLE;
    sink.retry_after_sec = 30;
    request("application/json", NULL, SV("{\"resourceSpans\":"
        "[{\"scopeSpans\":[{\"spans\":[{\"traceId\":"
        "\"5b8efff798038103d269b633813fc60c\",\"spanId\":"
        "\"eee19b7ec3c1b174\"}]}]}]}"));
    is_int(answer.status, 503, "unavailable");
    is_str(answer.retry_after, "30", "with the store's Retry-After");
    ok(strstr(answer.body.ptr, "\"code\":14") != NULL, "UNAVAILABLE");
}

/* As many as allowed wait for the store, the next is sent away. */
static void
test_concurrent(void)
{
    struct stream waiting[4];
    struct ingest *kept[4];

    begin();
    sink.is_later = true;
    for (unsigned i = 0; i < 4; i++) {
        request_on(&waiting[i], PROTOBUF, NULL, SV(GOOD_SPAN));
        kept[i] = sink.kept;
    }
    is_int(answer.ended, 0, "four inserts wait");
    request_on(&stream, PROTOBUF, NULL, SV(GOOD_SPAN));
    is_int(answer.status, 429, "the fifth is refused");
    is_str(answer.retry_after, "1", "with a Retry-After");
    is_int(sink.calls, 4, "before it is decoded");
    finish(kept[0]);
    is_int(answer.status, 200, "one is answered");
    request_on(&waiting[0], PROTOBUF, NULL, SV(GOOD_SPAN));
    kept[0] = sink.kept;
    is_int(sink.calls, 5, "so there is room for another");
    for (unsigned i = 0; i < 4; i++)
        finish(kept[i]);
    is_int(answer.status, 200, "all are answered");
}

/* The client goes away while the store works. */
static void
test_abort(void)
{
    struct stream gone;

    begin();
    sink.is_later = true;
    for (unsigned status = INGEST_OK; status <= INGEST_UNAVAILABLE;
         status++) {
        request_on(&gone, PROTOBUF, NULL, SV(GOOD_SPAN));
        stream_abort(&gone);
        is_int(answer.ended, 0, "the request is kept");
        sink.status = (enum ingest_status)status;
        finish(sink.kept);
        ok(answer.ended == 1 && answer.is_broken && answer.status == 0,
            "and given up when the store is done");
    }
}

/* The client goes away while a thread decodes. */
static void
test_abort_decoding(const char *type, struct sv body)
{
    struct stream gone;

    begin();
    request_on(&gone, type, "gzip", body);
    stream_abort(&gone);
    if (answer.ended == 0)
        wait_for_end();
    ok(answer.ended == 1 && answer.status == 0 && sink.calls == 0,
        "a client that left while decoding: nothing stored");
}

static void
test_threads(void)
{
    struct sb packed;

    process.tasks = task_pool_new(process.loop, "test", 2, 16);
    sb_init(&packed, BODY_MAX);
    test_compressed();
    test_too_many_spans();
    ok(compress_append(ENCODING_GZIP, SV(GOOD_SPAN), 3, &packed, NULL) == 0,
        "gzip");
    test_abort_decoding(PROTOBUF, sb_sv(&packed));
    test_abort_decoding("application/json", SV("broken"));
    sb_release(&packed);
    task_pool_free(process.tasks);
    process.tasks = NULL;
}

int
main(void)
{
    process.loop = loop_new();
    sb_init(&answer.body, BODY_MAX);
    otlp_set_sink(take);
    otlp_set_limits(no_limits);
    test_success();
    test_partial();
    test_errors();
    test_compressed();
    test_too_many_spans();
    test_later();
    test_concurrent();
    test_abort();
    test_threads();
    sb_release(&answer.body);
    loop_free(process.loop);
    return tap_done();
}
