/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * /internal/insert between requests that are made by hand and a sink that
 * answers as the test says: each parcel is stored or not by itself, and what
 * is not understood stores nothing.
 */

#include "core/base.h"
#include "api/internal_insert.h"

#include "cluster/parcel.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "event/loop.h"
#include "event/task.h"
#include "http/stream.h"
#include "otlp/otlp.h"
#include "tap.h"

#define BODY_MAX (64 * MIB)

/* One span of the year 2006 with ids; NUMBER makes the trace. */
#define SPAN(NUMBER) \
    "\x0a\x29\x12\x27\x12\x25" \
    "\x0a\x10" "0123456789abcde" NUMBER "\x12\x08" "01234567" \
    "\x41\x00\x00\x00\x00\x00\x00\x00\x10"
/* A span id of seven bytes. */
#define BAD_SPAN \
    "\x0a\x1f\x12\x1d\x12\x1b" \
    "\x0a\x10" "0123456789abcdef" "\x12\x07" "0123456"

static const struct route route = {
    .pattern = "/internal/insert",
    .methods = HTTP_POST,
    .flags = ROUTE_BODY | ROUTE_INTERNAL_INSERT,
    .handler = internal_insert,
};

static struct conf conf = {.header_csp = "", .header_frame_options = "",
    .header_hsts = "", .path_prefix = "", .max_request_size = 1 * MIB,
    .internal_insert_max = 1 * MIB, .max_concurrent_inserts = 4};
static struct process process = {.conf = &conf};

/* --- the front's side --- */

static struct {
    int status;
    char retry_after[32];
    struct sb body;
    unsigned ended;
} reply;

static void
on_head(UNUSED struct stream *stream, const struct reply_head *head)
{
    reply.status = head->status;
    for (unsigned i = 0; i < head->nfields; i++) {
        const struct http_header *field = &head->fields[i];

        if (sv_eq_nocase(field->name, SV("Retry-After")))
            snprintf(reply.retry_after, sizeof(reply.retry_after), "%.*s",
                SV_ARG(field->value));
    }
}

static void
on_data(UNUSED struct stream *stream, const void *ptr, size_t len)
{
    sb_add(&reply.body, ptr, len);
}

static void
on_data_take(UNUSED struct stream *stream, char *ptr, size_t len)
{
    sb_add(&reply.body, ptr, len);
    xfree(ptr);
}

static void
on_end(struct stream *stream, UNUSED bool is_broken)
{
    reply.ended++;
    pool_free(stream->req.pool);
    stream->req.pool = NULL;
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

#define KEPT_MAX 8

static struct {
    enum ingest_status status[KEPT_MAX];
    bool is_unsure;
    bool is_put_off;
    unsigned n;
    struct ingest *kept[KEPT_MAX];
    unsigned kept_max; /* all are answered when there are so many */
} sink;

static void
take(struct ingest *ingest)
{
    sink.kept[sink.n++] = ingest;
    if (sink.n < sink.kept_max)
        return;
    /* The last one first. */
    for (unsigned i = sink.n; i-- > 0; ) {
        struct ingest *done = sink.kept[i];

        done->status = sink.status[i];
        done->is_unsure = sink.is_unsure;
        done->is_put_off = sink.is_put_off;
        done->retry_after_sec = i;
        done->done(done);
    }
}

/* --- requests --- */

static struct stream stream;
static struct sb body;

static void
put_with(const char *params, struct sv plain, enum encoding encoding)
{
    struct parcel parcel = {.tenant = {3, 4}, .nspans = 1,
        .encoding = encoding, .params = sv_from(params), .body = plain};
    struct sb packed;

    sb_init(&packed, BODY_MAX);
    parcel_make_id(&parcel, plain);
    if (encoding == ENCODING_ZSTD) {
        ok(compress_append(encoding, plain, 1, &packed, NULL) == 0,
            "packed");
        parcel.body = sb_sv(&packed);
    }
    parcel_put(&body, &parcel);
    sb_release(&packed);
}

static void
put(struct sv plain)
{
    put_with("", plain, ENCODING_IDENTITY);
}

static void
begin(unsigned kept_max)
{
    memset(&sink, 0, sizeof(sink));
    sink.kept_max = kept_max;
    sb_reset(&body);
}

static void
request(const char *query)
{
    reply.status = 0;
    reply.retry_after[0] = '\0';
    reply.ended = 0;
    sb_reset(&reply.body);
    stream_init(&stream, &ops);
    stream.req.method = HTTP_POST;
    stream.req.method_name = SV("POST");
    stream.req.path = stream.req.raw_path = sv_from(route.pattern);
    stream.req.query = sv_from(query);
    stream.req.body = sb_sv(&body);
    stream.req.pool = pool_new(1 * MIB);
    stream.req.route = &route;
    stream.req.process = &process;
    stream.req.peer = "test";
    internal_insert(&stream.req);
    if (reply.ended == 0)
        loop_run(process.loop);
    is_int(reply.ended, 1, "answered once");
}

#define RIGHT "version=" INSERT_PROTOCOL

static struct sv answers;

/* The next answer has this status and so many rejected spans. */
static void
is_answer(enum parcel_status status, uint32_t rejected, const char *name)
{
    struct err err = ERR_INIT;
    struct parcel_answer answer;

    ok(parcel_answer_take(&answers, &answer, &err) == 1, "%s: an answer",
        name);
    is_int(answer.status, status, "%s: status", name);
    is_int(answer.rejected, rejected, "%s: rejected", name);
}

static void
is_reply(unsigned n)
{
    is_int(reply.status, 200, "status");
    ok(sv_starts_with(sb_sv(&reply.body), SV(INSERT_REPLY)),
        "the version of the answer");
    is_int(reply.body.len, strlen(INSERT_REPLY) + n * PARCEL_ANSWER_BYTES,
        "%u answers", n);
    answers = sv_sub(sb_sv(&reply.body), strlen(INSERT_REPLY),
        reply.body.len);
}

static void
test_stored(void)
{
    uint64_t spans = metric_get(METRIC_SPANS_PARCEL);

    begin(3);
    put(SV(SPAN("1")));
    put_with("", SV(SPAN("2")), ENCODING_ZSTD);
    put(SV(SPAN("3") BAD_SPAN));
    request(RIGHT);
    is_reply(3);
    is_answer(PARCEL_STORED, 0, "plain");
    is_answer(PARCEL_STORED, 0, "zstd");
    is_answer(PARCEL_STORED, 1, "one span of two");
    is_int(sink.kept[0] != NULL, 1, "all three at the same time");
    is_int(metric_get(METRIC_SPANS_PARCEL) - spans, 3, "counted");
    begin(0);
    request(RIGHT);
    is_reply(0);
    put(SV(BAD_SPAN));
    request(RIGHT);
    is_reply(1);
    is_answer(PARCEL_STORED, 1, "nothing to store");
}

static void
test_statuses(void)
{
    begin(5);
    sink.status[1] = INGEST_BUSY;
    sink.status[2] = INGEST_UNAVAILABLE;
    sink.status[3] = INGEST_TOO_LARGE;
    sink.status[4] = INGEST_REFUSED;
    put(SV(SPAN("1")));
    put(SV(SPAN("2")));
    put(SV("\x0a\x7f"));
    put_with("", SV("not zstd"), ENCODING_IDENTITY);
    put(SV(SPAN("3")));
    put(SV(SPAN("4")));
    put(SV(SPAN("5")));
    request(RIGHT);
    is_reply(7);
    is_answer(PARCEL_STORED, 0, "the first");
    is_answer(PARCEL_BUSY, 0, "busy");
    is_answer(PARCEL_MALFORMED, 0, "no protobuf");
    is_answer(PARCEL_MALFORMED, 0, "nor this");
    is_answer(PARCEL_UNAVAILABLE, 0, "unavailable");
    is_answer(PARCEL_TOO_LARGE, 0, "too large");
    is_answer(PARCEL_MALFORMED, 0, "refused further down");
    is_str(reply.retry_after, "2", "the longest Retry-After");
    begin(1);
    sink.status[0] = INGEST_UNAVAILABLE;
    sink.is_unsure = true;
    put(SV(SPAN("1")));
    request(RIGHT);
    is_reply(1);
    is_answer(PARCEL_UNSURE, 0, "perhaps stored");
    begin(1);
    sink.status[0] = INGEST_BUSY;
    sink.is_put_off = true;
    put(SV(SPAN("1")));
    request(RIGHT);
    is_reply(1);
    is_answer(PARCEL_PUT_OFF, 0, "this one must wait");
}

/* The whole request is refused, and nothing of it is stored. */
static void
is_refused(int status, const char *text, const char *name)
{
    is_int(reply.status, status, "%s", name);
    ok(strstr(reply.body.ptr, text) != NULL, "says: %s", reply.body.ptr);
    is_int(sink.n, 0, "nothing stored");
}

static void
test_refused(void)
{
    begin(1);
    put(SV(SPAN("1")));
    request("");
    is_refused(400, "says none", "no version");
    request("version=spoor2");
    is_refused(400, "the front speaks spoor2", "a version that will come");
    sb_add_char(&body, 'x');
    request(RIGHT);
    is_refused(400, "parcel 2 at byte 107", "a byte behind");
    begin(1);
    put(SV(SPAN("1")));
    put(SV(SPAN("2")));
    body.ptr[body.len - 1] ^= 1;
    request(RIGHT);
    is_refused(400, "checksum", "a damaged one behind a good one");
}

/* Sealed by somebody who does not know what an id is. */
static void
test_wrong_id(void)
{
    struct parcel parcel = {.nspans = 1, .body = SV(SPAN("1")),
        .params = SV_EMPTY};

    begin(1);
    parcel_put(&body, &parcel);
    request(RIGHT);
    is_reply(1);
    is_answer(PARCEL_MALFORMED, 0, "an id that is not of the content");
    is_int(sink.n, 0, "nothing stored");
    begin(1);
    for (unsigned i = 0; i <= PARCELS_PER_REQUEST_MAX; i++)
        put(SV(SPAN("1")));
    request(RIGHT);
    is_refused(413, "at most", "too many parcels");
}

static void
test_params(void)
{
    begin(1);
    put_with("garbage", SV(SPAN("1")), ENCODING_IDENTITY);
    request(RIGHT);
    is_reply(1);
    is_answer(PARCEL_MALFORMED, 0, "parameters that are none");
    is_int(sink.n, 0, "nothing stored");
}

int
main(void)
{
    sb_init(&reply.body, BODY_MAX);
    sb_init(&body, BODY_MAX);
    process.loop = loop_new();
    process.tasks = task_pool_new(process.loop, "tasks", 2, 16);
    otlp_set_sink(take);
    test_stored();
    test_statuses();
    test_refused();
    test_wrong_id();
    test_params();
    task_pool_free(process.tasks);
    loop_free(process.loop);
    sb_release(&reply.body);
    sb_release(&body);
    return tap_done();
}
