/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Requests to /internal/insert and what they come to.  For each shipment of a
 * call that is one of
 *
 *   stored     the node says so
 *   refused    it will never be stored; nobody else is asked
 *   not sent   surely not stored: another node gets it
 *   unknown    perhaps stored: only this node is asked again
 *
 * A shipment that was unknown before stays so until its node says stored or
 * refused: that the node does not take it now says nothing of then.
 */

#include "core/base.h"
#include "cluster/sender_state.h"

#include <poll.h>

#include "core/assert.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"

#define TARGET "/internal/insert?version=" INSERT_PROTOCOL
#define REPLY_BYTES_MAX (sizeof(INSERT_REPLY) + \
    CALL_PARCELS_MAX * PARCEL_ANSWER_BYTES)
/* Clients are not sent away for longer. */
#define RETRY_AFTER_MAX_SEC 60

enum fate {
    FATE_ANSWERS,   /* reply has one for each */
    FATE_NOT_SENT,
    FATE_UNKNOWN,
    FATE_TOO_LARGE, /* the request; nothing of it is stored */
};

/* --- what is the outcome --- */

static int IMPL(http_call_data_fn)
take_reply(void *arg, struct sv data, struct err *err)
{
    struct call *call = arg;

    sb_add_sv(&call->reply, data);
    return sb_failed(&call->reply) ? err_set(err, ERR_INVALID,
        "%s: the answer is longer than it can be", call->lane->name) : 0;
}

/* Whether the peer understood the request as such, and answered it all. */
static enum fate
fate_of_reply(const struct call *call, enum node_outcome *outcome,
    struct err *err)
{
    struct sv reply = sb_sv(&call->reply);

    if (!sv_starts_with(reply, SV(INSERT_REPLY))) {
        err_set(err, ERR_INVALID, "%s: is no storage node of this version: "
            "its answer to " TARGET " does not begin with " INSERT_PROTOCOL,
            call->lane->name);
        *outcome = NODE_REFUSED;
        return FATE_NOT_SENT;
    }
    if (reply.len == strlen(INSERT_REPLY) + call->n * PARCEL_ANSWER_BYTES) {
        *outcome = NODE_OK;
        return FATE_ANSWERS;
    }
    err_set(err, ERR_INVALID, "%s: the answer has another length",
        call->lane->name);
    *outcome = NODE_UNREACHABLE;
    return FATE_UNKNOWN;
}

/*
 * By a status that is not 200.  Nodes act on no request that they answer so,
 * proxies in between may have passed it on when they answer 5xx, but for 503:
 * that they say when they did not.
 */
static enum fate
fate_of_status(int status, enum node_outcome *outcome)
{
    switch (status) {
    case 429:
    case 503:
        *outcome = NODE_BUSY;
        return FATE_NOT_SENT;
    case 413:
        *outcome = NODE_OK;
        return FATE_TOO_LARGE;
    default:
        break;
    }
    if (status >= 300 && status < 500) {
        *outcome = NODE_REFUSED;
        return FATE_NOT_SENT;
    }
    *outcome = NODE_UNREACHABLE;
    return FATE_UNKNOWN;
}

static void
explain(const struct call *call, const struct http_call_result *result,
    struct err *err)
{
    char why[CALL_LINE_MAX + 1];

    http_call_line(result, why);
    err_set(err, ERR_INVALID, "%s: %d to " TARGET "%s%s%s",
        call->lane->name, result->status, why[0] != '\0' ? ": " : "", why,
        result->status == 404 ? " (is it spoor, of this "
        "version, with internal_insert.disable not set?)" : "");
}

static enum fate
fate_of(const struct call *call, int rc,
    const struct http_call_result *result, enum node_outcome *outcome,
    struct err *err)
{
    if (rc < 0) {
        *outcome = err->code == ERR_TIMEOUT ? NODE_SLOW : NODE_UNREACHABLE;
        return result->fate == CALL_NOT_SENT ? FATE_NOT_SENT : FATE_UNKNOWN;
    }
    if (result->status == 200)
        return fate_of_reply(call, outcome, err);
    explain(call, result, err);
    return fate_of_status(result->status, outcome);
}

/* --- what becomes of shipments --- */

static void
not_sent(struct sender *sender, struct shipment *shipment)
{
    if (shipment->item == NULL) {
        shipment_reroute(sender, shipment);
        return;
    }
    /* The backlog moves on when the lane takes none. */
    shipment_wait(sender, shipment);
}

static void
stored(struct sender *sender, struct shipment *shipment,
    const struct parcel_answer *answer)
{
    shipment_taken(sender, shipment, answer);
    shipment_done(sender, shipment);
}

/* Nobody will take it.  Who sent it is told, if that was not said already. */
static void
refused(struct sender *sender, struct shipment *shipment,
    enum parcel_status status)
{
    const struct parcel *parcel = shipment_parcel(shipment);
    bool is_large = status == PARCEL_TOO_LARGE;

    metric_add(METRIC_CLUSTER_PARCELS_LOST, shipment->item != NULL);
    metric_add(METRIC_CLUSTER_PARCELS_REFUSED, 1);
    log_error("storage node %s refuses %u spans in %zu bytes as %s%s",
        shipment->lane->name, parcel->nspans, parcel->body.len,
        is_large ? "too large" : "malformed", shipment->delivery == NULL
        ? ": they are lost" : "");
    if (shipment->delivery == NULL) {
        shipment_done(sender, shipment);
        return;
    }
    shipment_failed(sender, shipment, is_large ? INGEST_TOO_LARGE
        : INGEST_REFUSED);
}

/*
 * Not for all the world, but for this parcel the node is busy, and others
 * would be: who sent it is told.
 */
static void
put_off(struct sender *sender, struct shipment *shipment,
    int64_t retry_after_sec)
{
    struct delivery *delivery = shipment->delivery;

    if (delivery == NULL) {
        shipment_wait(sender, shipment);
        return;
    }
    delivery->is_put_off = true;
    if (retry_after_sec > 0)
        delivery->retry_after_sec = (uint32_t)MIN(retry_after_sec,
            RETRY_AFTER_MAX_SEC);
    shipment_failed(sender, shipment, INGEST_BUSY);
}

/* A durable one knows again that it is not stored. */
static void
settle_sent(struct call *call, enum fate fate)
{
    if (fate != FATE_NOT_SENT && fate != FATE_TOO_LARGE)
        return;
    if (!call->is_stalled)
        return;
    /* They became unknown only because this call took its time. */
    for (unsigned i = 0; i < call->n; i++) {
        struct shipment *shipment = call->shipments[i];

        if (!call->is_backlog && shipment->is_unknown)
            shipment->is_unknown = false;
    }
}

static void
apply_answer(struct sender *sender, struct call *call,
    const struct parcel_answer *answer, unsigned i)
{
    struct shipment *shipment = call->shipments[i];

    switch (answer->status) {
    case PARCEL_STORED:
        stored(sender, shipment, answer);
        break;
    case PARCEL_MALFORMED:
    case PARCEL_TOO_LARGE:
        refused(sender, shipment, answer->status);
        break;
    case PARCEL_BUSY:
    case PARCEL_UNAVAILABLE:
        /* As in settle_sent(). */
        if (!call->is_backlog)
            shipment->is_unknown = false;
        not_sent(sender, shipment);
        break;
    case PARCEL_PUT_OFF:
        if (!call->is_backlog)
            shipment->is_unknown = false;
        put_off(sender, shipment, call->retry_after_sec);
        break;
    case PARCEL_UNSURE:
        shipment_unknown(sender, shipment, call->start_wall_ns);
        break;
    }
}

/*
 * How many were stored; *outcome: busy if one says so and none was stored.
 */
static unsigned
apply_answers(struct sender *sender, struct call *call,
    enum node_outcome *outcome)
{
    struct sv in = sv_sub(sb_sv(&call->reply), strlen(INSERT_REPLY),
        call->reply.len);
    struct parcel_answer answer;
    unsigned nstored = 0;
    bool is_busy = false;

    for (unsigned i = 0; i < call->n; i++) {
        struct err err = ERR_INIT;

        if (parcel_answer_take(&in, &answer, &err) != 1) {
            log_warn("storage node %s: %s", call->lane->name, err.text);
            in = sv_sub(in, PARCEL_ANSWER_BYTES, in.len);
            answer = (struct parcel_answer){.status = PARCEL_UNSURE};
        }
        is_busy |= answer.status == PARCEL_BUSY ||
            answer.status == PARCEL_UNAVAILABLE;
        if (answer.status == PARCEL_STORED) {
            nstored++;
            call->rows += shipment_parcel(call->shipments[i])->nspans;
        }
        apply_answer(sender, call, &answer, i);
    }
    if (is_busy && nstored == 0)
        *outcome = NODE_BUSY;
    return nstored;
}

/*
 * One alone is too large for this node; of several each gets another chance
 * in a smaller request.
 */
static void
apply_too_large(struct sender *sender, struct call *call)
{
    struct lane *lane = call->lane;

    if (call->n == 1) {
        refused(sender, call->shipments[0], PARCEL_TOO_LARGE);
        return;
    }
    lane->bytes_max = MAX(lane->bytes_max / 2, CALL_BYTES_LEAST);
    if (call->body.len <= lane->bytes_max)
        lane->bytes_max = 0; /* each alone */
    for (unsigned i = 0; i < call->n; i++) {
        struct shipment *shipment = call->shipments[i];

        if (shipment->item != NULL)
            shipment_wait(sender, shipment);
        else
            shipment_place(sender, shipment);
    }
}

static void
apply_fate(struct sender *sender, struct call *call, enum fate fate)
{
    for (unsigned i = 0; i < call->n; i++) {
        if (fate == FATE_NOT_SENT)
            not_sent(sender, call->shipments[i]);
        else
            shipment_unknown(sender, call->shipments[i],
                call->start_wall_ns);
    }
}

/* --- the end of a call --- */

static void
count_call(const struct sender *sender, const struct call *call,
    const struct http_call_result *result, bool has_failed)
{
    struct node_traffic traffic = {
        .rows = call->rows,
        .bytes_sent = result->sent,
        .bytes_received = result->received,
        .took_ns = sender->now_ns - call->start_ns,
        .has_failed = has_failed,
    };

    node_count(call->node, true, &traffic);
}

static void
call_free(struct sender *sender, struct call *call)
{
    struct lane *lane = call->lane;

    TAILQ_REMOVE(&sender->calls, call, link);
    if (call->is_backlog)
        lane->has_backlog_call = false;
    else
        lane->nlive_calls--;
    if (call->is_stalled)
        lane->nstalled--;
    http_call_free(call->http);
    nodes_release(call->nodes);
    sb_release(&call->body);
    sb_release(&call->reply);
    xfree(call);
}

static void
set_backoff(const struct sender *sender, struct lane *lane, bool is_good)
{
    lane->backoff_ns = is_good ? 0
        : MIN(MAX(lane->backoff_ns * 2, BACKOFF_FIRST_NS), BACKOFF_MAX_NS);
    lane->backlog_ns = sender->now_ns + lane->backoff_ns;
}

static void
call_end(struct sender *sender, struct call *call, int rc, struct err *err)
{
    enum node_outcome outcome;
    struct http_call_result result;
    unsigned nstored = 0;
    enum fate fate;

    http_call_result(call->http, &result);
    call->retry_after_sec = result.retry_after_sec;
    fault("sender.after_answer");
    fate = fate_of(call, rc, &result, &outcome, err);
    /* The lane must not be chosen again for what it did not take. */
    call->lane->takes &= outcome == NODE_OK;
    settle_sent(call, fate);
    if (fate == FATE_ANSWERS)
        nstored = apply_answers(sender, call, &outcome);
    else if (fate == FATE_TOO_LARGE)
        apply_too_large(sender, call);
    else
        apply_fate(sender, call, fate);
    count_call(sender, call, &result, fate != FATE_ANSWERS);
    node_report(call->node, true, outcome, result.retry_after_sec,
        outcome == NODE_OK ? NULL : fate == FATE_ANSWERS
        ? "it does not take spans now" : err->text);
    if (fate == FATE_UNKNOWN)
        log_warn("%s; it may have stored %u parcels, and is asked again",
            err->text, call->n);
    if (call->is_backlog)
        set_backoff(sender, call->lane, nstored == call->n);
    call_free(sender, call);
}

/* --- going on --- */

static void
call_step(struct sender *sender, struct call *call)
{
    struct err err = ERR_INIT;
    int rc = http_call_step(call->http, &err);

    if (rc != 0)
        call_end(sender, call, rc, &err);
}

/* Calls that were begun since pfds was made have poll_index 0. */
void
calls_step(struct sender *sender, const struct pollfd *pfds)
{
    struct call *call = TAILQ_FIRST(&sender->calls);

    while (call != NULL) {
        struct call *next = TAILQ_NEXT(call, link);

        if (call->poll_index > 0 && (pfds[call->poll_index].revents != 0 ||
            sender->now_ns >= call->wake_ns))
            call_step(sender, call);
        call = next;
    }
}

void
calls_abandon(struct sender *sender)
{
    struct call *call;

    while ((call = TAILQ_FIRST(&sender->calls)) != NULL) {
        for (unsigned i = 0; i < call->n; i++)
            shipment_unknown(sender, call->shipments[i],
                call->start_wall_ns);
        call_free(sender, call);
    }
}

/* --- the start of a call --- */

static unsigned
take_live(struct sender *sender, struct lane *lane, struct shipment **out,
    struct sb *body)
{
    unsigned n = 0;

    while (n < CALL_PARCELS_MAX) {
        struct shipment *shipment = TAILQ_FIRST(&lane->live);

        if (shipment == NULL || (n > 0 && body->len +
            shipment->share->frame.len > lane->bytes_max))
            break;
        TAILQ_REMOVE(&lane->live, shipment, link);
        sender->nlive--;
        sb_add_sv(body, sb_sv(&shipment->share->frame));
        out[n++] = shipment;
    }
    return n;
}

/* The node is gone from the list: what was taken goes elsewhere. */
static void
call_undo(struct sender *sender, struct call *call)
{
    if (call->n > 0)
        call->lane->takes = false;
    for (unsigned i = 0; i < call->n; i++)
        not_sent(sender, call->shipments[i]);
    if (call->nodes != NULL)
        nodes_release(call->nodes);
    sb_release(&call->body);
    sb_release(&call->reply);
    xfree(call);
}

static void
call_begin(struct sender *sender, struct call *call)
{
    const struct conf *conf = sender->conf;
    struct http_call_conf http = {
        .method = "POST",
        .target = TARGET,
        .content_type = "application/octet-stream",
        .headers = nodes_headers(),
        .body = sb_sv(&call->body),
        .on_data = take_reply,
        .arg = call,
        .connect_ns = conf->cluster_connect_timeout,
        .send_ns = conf->cluster_insert_timeout,
        .answer_ns = conf->cluster_insert_timeout,
        .idle_ns = conf->cluster_insert_timeout,
    };

    call->start_ns = sender->now_ns;
    call->start_wall_ns = clock_wall_ns();
    call->stall_ns = call->is_backlog ? INT64_MAX
        : sender->now_ns + STALL_NS;
    if (call->is_backlog)
        call->lane->has_backlog_call = true;
    else
        call->lane->nlive_calls++;
    TAILQ_INSERT_TAIL(&sender->calls, call, link);
    metric_observe(METRIC_CLUSTER_CALL_PARCELS, call->n);
    fault("sender.before_send");
    call->http = http_call_new(call->node->peer, &http);
    call_step(sender, call);
}

/* False: nothing waits. */
static bool
call_start(struct sender *sender, struct lane *lane, bool is_backlog)
{
    struct call *call = xcalloc(1, sizeof(*call));

    call->lane = lane;
    call->is_backlog = is_backlog;
    sb_init(&call->body, PARCEL_BYTES_MAX + CALL_BYTES_MAX);
    sb_init(&call->reply, REPLY_BYTES_MAX);
    call->n = is_backlog
        ? backlog_take(sender, lane, call->shipments, &call->body)
        : take_live(sender, lane, call->shipments, &call->body);
    if (call->n == 0 || sb_failed(&call->body)) {
        call_undo(sender, call);
        return false;
    }
    call->nodes = nodes_hold();
    call->node = nodes_find(call->nodes, sv_from(lane->name));
    if (call->node == NULL) {
        call_undo(sender, call);
        return false;
    }
    call_begin(sender, call);
    return true;
}

void
calls_start(struct sender *sender)
{
    for (unsigned i = 0; i < sender->nodes->n; i++) {
        struct lane *lane = sender->lane_of[i];

        if (lane == NULL)
            continue;
        while (lane->takes && !TAILQ_EMPTY(&lane->live) &&
            lane->nlive_calls < sender->conf->insert_concurrency &&
            call_start(sender, lane, false))
            continue;
        if (lane->takes && !lane->has_backlog_call &&
            sender->now_ns >= lane->backlog_ns &&
            (!TAILQ_EMPTY(&lane->unknown) || !TAILQ_EMPTY(&lane->backlog)))
            (void)call_start(sender, lane, true);
    }
}
