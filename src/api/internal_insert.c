/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * POST /internal/insert?version=...: parcels (cluster/parcel.h), each of
 * which is stored or not by itself.  All go their way at the same time; the
 * reply, with an answer for each, is sent when the last has come back.
 *
 * A request that is not understood as a whole is refused as a whole: nothing
 * of it is stored.
 */

#include "core/base.h"
#include "api/internal_insert.h"

#include "cluster/nodes.h"
#include "cluster/parcel.h"
#include "core/assert.h"
#include "core/conf_budget.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "otlp/intake.h"
#include "otlp/places.h"

#define ARRIVAL_MAGIC 0x56495241u /* "ARIV" */
#define REPLY_BYTES_MAX (sizeof(INSERT_REPLY) + \
    PARCELS_PER_REQUEST_MAX * PARCEL_ANSWER_BYTES)

/* One parcel on its way. */
struct entry {
    struct arrival *arrival;
    struct parcel parcel;
    struct parcel_answer answer;
    struct intake intake;
};

/* One request; in its region. */
struct arrival {
    uint32_t magic;
    bool is_aborted;
    unsigned n;
    unsigned left;            /* not answered yet */
    uint32_t retry_after_sec; /* 0: none */
    struct http_req *req;
    struct entry *entries;
};

/* --- the answer --- */

static enum parcel_status
status_of(const struct intake *intake)
{
    if (intake->status == 200)
        return PARCEL_STORED;
    if (intake->ingest.is_unsure)
        return PARCEL_UNSURE;
    switch (intake->status) {
    case 429:
        return intake->ingest.is_put_off ? PARCEL_PUT_OFF : PARCEL_BUSY;
    case 413:
        return PARCEL_TOO_LARGE;
    case 400:
        return PARCEL_MALFORMED;
    default:
        return intake->ingest.status == INGEST_REFUSED ? PARCEL_MALFORMED
            : PARCEL_UNAVAILABLE;
    }
}

static void
arrival_end(struct arrival *arrival)
{
    struct http_req *req = arrival->req;
    char seconds[16];
    struct sb reply;

    arrival->magic = 0;
    place_leave(req->process);
    if (arrival->is_aborted) {
        xfree(arrival->entries);
        http_abandon(req);
        return;
    }
    sb_init(&reply, REPLY_BYTES_MAX);
    sb_add_str(&reply, INSERT_REPLY);
    for (unsigned i = 0; i < arrival->n; i++)
        parcel_answer_put(&reply, &arrival->entries[i].answer);
    if (arrival->retry_after_sec > 0) {
        snprintf(seconds, sizeof(seconds), "%u", arrival->retry_after_sec);
        http_reply_header(req, "Retry-After", seconds);
    }
    xfree(arrival->entries);
    http_reply_sb(req, 200, "application/octet-stream", &reply);
}

static void
arrival_step(struct arrival *arrival)
{
    OBJ_CHECK(arrival, ARRIVAL_MAGIC);
    check(arrival->left > 0);
    if (--arrival->left == 0)
        arrival_end(arrival);
}

static void
entry_done(struct intake *intake)
{
    struct entry *entry = intake->arg;
    struct arrival *arrival = entry->arrival;
    struct parcel_answer *answer = &entry->answer;

    answer->status = status_of(intake);
    switch (answer->status) {
    case PARCEL_STORED:
        answer->rejected = intake->rejected;
        answer->reject_mask = intake->reject_mask;
        break;
    case PARCEL_BUSY:
    case PARCEL_UNAVAILABLE:
    case PARCEL_PUT_OFF:
        arrival->retry_after_sec = MAX(arrival->retry_after_sec,
            MAX(intake->retry_after_sec, 1));
        break;
    case PARCEL_MALFORMED:
    case PARCEL_TOO_LARGE:
        log_warn("%s: a parcel of %u spans is refused: %s",
            arrival->req->peer, entry->parcel.nspans, intake->text);
        break;
    case PARCEL_UNSURE:
        break;
    }
    intake_release(intake);
    arrival_step(arrival);
}

/* --- the start --- */

/* Nobody will read the answer: what has no answer may be sent again. */
static bool
entry_accept(struct intake *intake)
{
    const struct entry *entry = intake->arg;

    OBJ_CHECK(entry->arrival, ARRIVAL_MAGIC);
    if (!entry->arrival->is_aborted)
        return true;
    intake->status = 503;
    intake->text = "the front is gone";
    return false;
}

static void
entry_start(struct entry *entry)
{
    struct process *process = entry->arrival->req->process;
    const struct parcel *parcel = &entry->parcel;
    struct intake *intake = &entry->intake;

    intake->process = process;
    intake->form = INTAKE_PARCEL;
    intake->bytes_max = (size_t)conf_budget(process->conf)->parcels_max;
    intake->ingest.tenant = parcel->tenant;
    intake->ingest.format = OTLP_PROTOBUF;
    intake->ingest.encoding = parcel->encoding;
    intake->ingest.params = parcel->params;
    intake->ingest.wire = parcel->body;
    intake->id = parcel->id;
    intake->accept = entry_accept;
    intake->done = entry_done;
    intake->arg = entry;
    intake_start(intake);
}

static void IMPL(http_abort_fn)
arrival_aborted(struct http_req *req UNUSED, void *arg)
{
    struct arrival *arrival = arg;

    OBJ_CHECK(arrival, ARRIVAL_MAGIC);
    arrival->is_aborted = true;
}

static void IMPL(place_fn)
arrival_begin(struct http_req *req, void *arg)
{
    struct arrival *arrival = arg;
    struct sv in = req->body;

    OBJ_CHECK(arrival, ARRIVAL_MAGIC);
    http_on_abort(req, arrival_aborted, arrival);
    arrival->entries = xcalloc(MAX(arrival->n, 1), sizeof(struct entry));
    for (unsigned i = 0; i < arrival->n; i++) {
        arrival->entries[i].arrival = arrival;
        check(parcel_take(&in, &arrival->entries[i].parcel, NULL) == 1);
    }
    /* One more, so that it does not end while parcels are begun. */
    arrival->left = arrival->n + 1;
    for (unsigned i = 0; i < arrival->n; i++)
        entry_start(&arrival->entries[i]);
    arrival_step(arrival);
}

/* Its spans are known here already, so they would be taken for stored. */
static bool
has_come_round(struct http_req *req)
{
    if (!nodes_is_own_id(http_header_get(req, "spoor-front")))
        return false;
    http_reply_error(req, 400, "this front has reached itself: one of its "
        "storage_nodes leads back to it");
    return true;
}

/* False: answered. */
static bool
is_our_version(struct http_req *req)
{
    struct sv version = http_arg(req, "version");

    if (sv_eq(version, SV(INSERT_PROTOCOL)))
        return true;
    if (version.ptr == NULL)
        http_reply_error(req, 400, "/internal/insert takes spans of fronts, "
            "which say version=" INSERT_PROTOCOL "; this request says none");
    else
        http_reply_error(req, 400, "this storage node speaks version "
            INSERT_PROTOCOL " of /internal/insert, the front speaks %.*s: "
            "both must be of the same", SV_ARG(sv_sub(version, 0, 40)));
    return false;
}

/* How many there are; -1: answered. */
static int
count_parcels(struct http_req *req)
{
    struct sv in = req->body;
    struct err err = ERR_INIT;
    struct parcel parcel;
    unsigned n = 0;
    int rc;

    while ((rc = parcel_take(&in, &parcel, &err)) == 1)
        n++;
    if (rc != 0) {
        http_reply_error(req, 400, "parcel %u at byte %zu: %s", n + 1,
            req->body.len - in.len, err.text);
        return -1;
    }
    if (n > PARCELS_PER_REQUEST_MAX) {
        http_reply_error(req, 413, "%u parcels in a request, at most %u are "
            "taken", n, PARCELS_PER_REQUEST_MAX);
        return -1;
    }
    return (int)n;
}

void
IMPL(route_fn) internal_insert(struct http_req *req)
{
    struct arrival *arrival;
    int n;

    if (has_come_round(req) || !is_our_version(req))
        return;
    n = count_parcels(req);
    if (n < 0)
        return;
    arrival = pool_zalloc(req->pool, sizeof(*arrival));
    if (arrival == NULL) {
        place_refuse(req, "no memory for the request");
        return;
    }
    arrival->magic = ARRIVAL_MAGIC;
    arrival->req = req;
    arrival->n = (unsigned)n;
    place_take(req, arrival_begin, arrival);
}
