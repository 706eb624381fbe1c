/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * OTLP inserts, over HTTP and gRPC: a place among the running ones is waited
 * for and taken, intake.c does the work, and its outcome is answered.
 *
 * A client that goes away does not stop the way: the request is kept until
 * the step under way has come back.  A body that was not handed to the sink
 * by then is dropped; nobody was told that it was stored.
 */

#include "core/base.h"
#include "otlp/insert.h"

#include "core/assert.h"
#include "core/conf_budget.h"
#include "core/metrics.h"
#include "core/sb.h"
#include "event/loop.h"
#include "http/grpc.h"
#include "otlp/intake.h"
#include "otlp/otlp.h"
#include "otlp/otlp_params.h"
#include "otlp/otlp_reply.h"
#include "otlp/places.h"

/* Of an answer; partial successes are short. */
#define ANSWER_BYTES_MAX (8 * KIB)

#define INSERT_MAGIC 0x52534e49u /* "INSR" */

/* In the request's region. */
struct insert {
    uint32_t magic;
    bool is_aborted;        /* the client is gone */
    struct http_req *req;
    struct insert_head head;
    struct intake intake;
};

void
otlp_set_sink(otlp_sink_fn sink)
{
    intake_set_sink(sink);
    http_set_error_body(ROUTE_INSERT, otlp_put_error);
}

/* --- the answer --- */

static void
answer_error(struct http_req *req, const struct intake *intake)
{
    char seconds[16];

    if (intake->status == 429 || intake->status == 503) {
        snprintf(seconds, sizeof(seconds), "%u",
            MAX(intake->retry_after_sec, 1));
        http_reply_header(req, "Retry-After", seconds);
    }
    http_reply_error(req, intake->status, "%s", intake->text);
}

static void
answer_success(struct insert *insert)
{
    const struct intake *intake = &insert->intake;
    struct sb answer;

    sb_init(&answer, ANSWER_BYTES_MAX);
    otlp_put_response(&answer, intake->ingest.format, intake->rejected,
        intake->reject_mask);
    if (grpc_is_call(insert->req))
        grpc_reply(insert->req, &answer);
    else
        http_reply_sb(insert->req, 200, insert->head.answer_type, &answer);
}

/* What is answered is in insert, which lives until it is. */
static void
insert_done(struct intake *intake)
{
    struct insert *insert = intake->arg;
    struct http_req *req = insert->req;

    OBJ_CHECK(insert, INSERT_MAGIC);
    insert->magic = 0;
    if (UNLIKELY(req->process->conf->log_ingested_rows) &&
        intake->status == 200 && !insert->head.is_debug &&
        !intake->ingest.is_duplicate)
        otlp_params_log(req, &intake->batch, "stored");
    intake_release(intake);
    place_leave(req->process);
    if (insert->is_aborted)
        http_abandon(req);
    else if (intake->status == 200)
        answer_success(insert);
    else
        answer_error(req, intake);
}

/* --- the start --- */

static bool
insert_accept(struct intake *intake)
{
    struct insert *insert = intake->arg;

    OBJ_CHECK(insert, INSERT_MAGIC);
    if (insert->is_aborted) {
        intake->status = 500;
        intake->text = "";
        return false;
    }
    if (grpc_is_late(insert->req)) {
        intake->status = 408;
        intake->text = "the deadline of the call passed";
        return false;
    }
    if (insert->head.is_debug) {
        intake_count_rejects(intake);
        otlp_params_debug(insert->req, &intake->batch);
        intake->status = 200;
        return false;
    }
    return true;
}

static void
IMPL(http_abort_fn) insert_aborted(struct http_req *req UNUSED, void *arg)
{
    struct insert *insert = arg;

    OBJ_CHECK(insert, INSERT_MAGIC);
    insert->is_aborted = true;
}

static void IMPL(place_fn)
insert_begin(struct http_req *req, void *arg)
{
    struct insert *insert = arg;
    struct intake *intake = &insert->intake;
    const struct insert_head *head = &insert->head;

    metric_observe_ns(METRIC_RECEIVE_SECONDS,
        loop_now_ns(req->process->loop) - req->start_ns);
    intake->process = req->process;
    intake->form = grpc_is_call(req) ? INTAKE_GRPC
        : head->format == OTLP_JSON ? INTAKE_JSON : INTAKE_PROTOBUF;
    intake->bytes_max = (size_t)conf_budget(req->process->conf)->body_max;
    intake->ingest.tenant = head->tenant;
    intake->ingest.format = head->format;
    intake->ingest.encoding = head->encoding;
    intake->ingest.wire = head->wire;
    intake->ingest.params = head->params;
    intake->accept = insert_accept;
    intake->done = insert_done;
    intake->arg = insert;
    http_on_abort(req, insert_aborted, insert);
    intake_start(intake);
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
insert_run(struct http_req *req, const struct insert_head *head)
{
    struct insert *insert = pool_zalloc(req->pool, sizeof(*insert));

    if (insert == NULL) {
        place_refuse(req, "no memory for the insert");
        return;
    }
    insert->magic = INSERT_MAGIC;
    insert->req = req;
    insert->head = *head;
    place_take(req, insert_begin, insert);
}
