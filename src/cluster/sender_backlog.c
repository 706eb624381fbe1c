/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Shipments in the durable queue.  What its records say of a node:
 *
 *   node, unknown_ns > 0   sent there at that time, or about to be: only this
 *                          node is asked, by whoever has the file
 *   node, unknown_ns 0     never sent; the node is where it belongs
 *
 * So a note is synced before a shipment of the queue is sent to a node, and
 * one that a process knows to be not stored may go elsewhere only behind
 * another note.  In memory is_unknown says what is known better: an answer
 * was awaited and did not come.
 */

#include "core/base.h"
#include "cluster/sender_state.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "storage/requests.h"

/*
 * Files that are adopted before the first insert is taken; others follow, one
 * a second.
 */
#define ADOPT_FIRST_MAX 16u

/* --- adding --- */

void
shipment_enqueue(struct sender *sender, struct shipment *shipment)
{
    if (sender->queue == NULL || shipment->is_refused_by_queue) {
        shipment_failed(sender, shipment, INGEST_UNAVAILABLE);
        return;
    }
    TAILQ_INSERT_TAIL(&sender->adding, shipment, link);
}

void
shipment_unknown(struct sender *sender, struct shipment *shipment,
    int64_t since_wall_ns)
{
    struct err err = ERR_INIT;

    if (shipment->is_unknown) {
        shipment_wait(sender, shipment);
        return;
    }
    shipment->is_unknown = true;
    shipment->unknown_ns = since_wall_ns;
    metric_add(METRIC_CLUSTER_UNKNOWN, 1);
    if (shipment->item == NULL) {
        shipment_enqueue(sender, shipment);
        return;
    }
    /* The note stands since before it was sent; see backlog_take(). */
    if (shipment->item->unknown_ns == 0 &&
        queue_set_node(sender->queue, shipment->item,
            sv_from(shipment->lane->name), since_wall_ns, &err) != 0)
        log_error("%s", err.text);
    shipment_wait(sender, shipment);
}

static struct queue_add
add_of(const struct sender *sender, const struct shipment *shipment)
{
    struct queue_add add = {.parcel = &shipment->share->parcel,
        .node = SV_EMPTY};

    if (shipment->lane != NULL)
        add.node = sv_from(shipment->lane->name);
    if (shipment->is_unknown)
        add.unknown_ns = shipment->unknown_ns;
    else if (sender->conf->cluster_ack_queued && shipment->lane != NULL &&
        shipment->lane->takes)
        add.unknown_ns = clock_wall_ns(); /* is sent at once */
    return add;
}

/* Its bytes are in the queue, and are wanted in memory only for now. */
static void
share_keep(struct sender *sender, struct shipment *shipment)
{
    size_t bytes = shipment->share->frame.len;

    if (!shipment->is_unknown &&
        sender->kept_bytes + bytes <= KEPT_BYTES_MAX) {
        sender->kept_bytes += bytes;
        return;
    }
    share_free(shipment->share);
    shipment->share = NULL;
}

static void
share_drop(struct sender *sender, struct shipment *shipment)
{
    if (shipment->share == NULL)
        return;
    if (shipment->item != NULL)
        sender->kept_bytes -= shipment->share->frame.len;
    share_free(shipment->share);
    shipment->share = NULL;
}

/* All or none of at most CALL_PARCELS_MAX. */
static bool
add_all(struct sender *sender, struct shipment *const *v, unsigned n)
{
    struct queue_item *items[CALL_PARCELS_MAX];
    struct queue_add adds[CALL_PARCELS_MAX];
    struct err err = ERR_INIT;

    check(n > 0 && n <= CALL_PARCELS_MAX);
    for (unsigned i = 0; i < n; i++)
        adds[i] = add_of(sender, v[i]);
    if (queue_add(sender->queue, adds, n, items, &err) != 0) {
        log_warn("%u parcels find no place in the queue: %s", n, err.text);
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        v[i]->item = items[i];
        items[i]->arg = v[i];
        shipment_taken(sender, v[i], NULL);
    }
    return true;
}

bool
call_enqueue(struct sender *sender, struct call *call)
{
    struct shipment *v[CALL_PARCELS_MAX];
    unsigned n = 0;

    for (unsigned i = 0; i < call->n; i++) {
        struct shipment *shipment = call->shipments[i];

        if (shipment->item != NULL)
            continue;
        shipment->is_unknown = true;
        shipment->unknown_ns = call->start_wall_ns;
        v[n++] = shipment;
    }
    if (n == 0)
        return true;
    if (sender->queue != NULL && add_all(sender, v, n)) {
        metric_add(METRIC_CLUSTER_UNKNOWN, n);
        for (unsigned i = 0; i < n; i++) {
            share_free(v[i]->share);
            v[i]->share = NULL;
        }
        return true;
    }
    for (unsigned i = 0; i < n; i++)
        v[i]->is_unknown = false;
    return false;
}

/*
 * The queue did not take it.  A fate that is not known remains so: the client
 * is asked to send it again, to the same node if all is well.
 */
static void
add_failed(struct sender *sender, struct shipment *shipment)
{
    shipment->is_refused_by_queue = true;
    if (shipment->is_unknown) {
        metric_add(METRIC_CLUSTER_UNKNOWN_LOST, 1);
        log_warn("storage node %s may have stored a parcel of %u spans that "
            "the queue has no place for: the client has it",
            shipment->lane->name, shipment->share->parcel.nspans);
        shipment_failed(sender, shipment, INGEST_UNAVAILABLE);
    } else {
        shipment_place(sender, shipment);
    }
}

void
backlog_flush(struct sender *sender)
{
    struct shipment *v[CALL_PARCELS_MAX];

    while (!TAILQ_EMPTY(&sender->adding)) {
        struct shipment *shipment;
        unsigned n = 0;
        bool is_added;

        while (n < CALL_PARCELS_MAX &&
            (shipment = TAILQ_FIRST(&sender->adding)) != NULL) {
            TAILQ_REMOVE(&sender->adding, shipment, link);
            v[n++] = shipment;
        }
        is_added = add_all(sender, v, n);
        for (unsigned i = 0; i < n; i++) {
            if (is_added) {
                share_keep(sender, v[i]);
                shipment_wait(sender, v[i]);
            } else {
                add_failed(sender, v[i]);
            }
        }
    }
}

/* --- waiting --- */

void
shipment_wait(struct sender *sender, struct shipment *shipment)
{
    struct lane *lane = shipment->lane;

    check(shipment->item != NULL);
    if (shipment->is_unknown)
        share_drop(sender, shipment);
    if (lane == NULL)
        lane = lane_choose(sender, shipment);
    /* Nobody is there: any node that is listed may come up. */
    if (lane == NULL && sender->nodes->n > 0)
        lane = sender->lane_of[shipment_key(shipment) % sender->nodes->n];
    if (lane == NULL)
        lane = lane_get(sender, "");
    check(lane != NULL);
    lane_keep(lane, shipment);
}

void
shipment_done(struct sender *sender, struct shipment *shipment)
{
    if (shipment->item != NULL) {
        share_drop(sender, shipment);
        queue_done(sender->queue, shipment->item);
        shipment->item = NULL;
    }
    shipment_free(shipment);
}

/* --- adopting --- */

/*
 * Ids of adopted parcels are among the digests of requests, as another one: a
 * front may have got a request whose digest is the id of its only parcel.
 */
static void
adopted_key(const struct parcel *parcel, uint8_t key[PARCEL_ID_BYTES])
{
    for (unsigned i = 0; i < PARCEL_ID_BYTES; i++)
        key[i] = parcel->id[i] ^ 0xa5;
}

/*
 * Who died may not have answered the insert.  Its client sends it again, when
 * other nodes are there, perhaps: then there would be two of it, for two
 * nodes.
 */
static void
note_adopted(struct sender *sender, const struct parcel *parcel)
{
    struct request_outcome outcome = {0, 0};
    uint8_t key[PARCEL_ID_BYTES];

    adopted_key(parcel, key);
    if (requests_claim(key, sender->log_id, &outcome) == REQUEST_NEW)
        requests_settle(key, sender->log_id, true,
            &(struct request_outcome){0, 0});
}

bool
shipment_is_adopted(const struct shipment *shipment)
{
    uint8_t key[PARCEL_ID_BYTES];

    adopted_key(shipment_parcel(shipment), key);
    return requests_is_stored(key);
}

/* False: there was nothing to adopt. */
static bool
adopt(struct sender *sender)
{
    struct queue_item *item = queue_adopt(sender->queue);
    bool has_any = item != NULL;

    while (item != NULL) {
        struct queue_item *next = item->next;
        struct shipment *shipment = xcalloc(1, sizeof(*shipment));
        char name[NODE_NAME_MAX];

        item->next = NULL;
        item->arg = shipment;
        shipment->item = item;
        if (item->node.len > 0 && item->node.len < sizeof(name)) {
            snprintf(name, sizeof(name), "%.*s", SV_ARG(item->node));
            shipment->lane = lane_get(sender, name);
        }
        /* Names are many more than nodes only where somebody made them up. */
        if (item->unknown_ns > 0 && shipment->lane == NULL)
            metric_add(METRIC_CLUSTER_DOUBLES, 1);
        shipment->is_unknown = shipment->lane != NULL &&
            item->unknown_ns > 0;
        shipment->unknown_ns = item->unknown_ns;
        note_adopted(sender, &item->parcel);
        shipment_wait(sender, shipment);
        item = next;
    }
    return has_any;
}

void
backlog_open(struct sender *sender)
{
    for (unsigned i = 0; i < ADOPT_FIRST_MAX && sender->queue != NULL; i++) {
        if (!adopt(sender))
            break;
    }
}

/* --- what its node does not answer for --- */

static void
log_double(const struct shipment *shipment)
{
    const struct parcel *parcel = &shipment->item->parcel;
    char since[32];

    since[time_print_rfc3339(since, shipment->unknown_ns, 3)] = '\0';
    log_warn("storage node %s got %u spans at %s and does not say whether it "
        "has them (cluster.unknown_timeout): another one gets them, they may "
        "be there twice", shipment->lane->name, parcel->nspans, since);
}

static void
lane_expire(struct lane *lane, int64_t before_ns)
{
    struct shipment *shipment, *next;

    for (shipment = TAILQ_FIRST(&lane->unknown); shipment != NULL;
        shipment = next) {
        next = TAILQ_NEXT(shipment, link);
        if (shipment->unknown_ns > before_ns)
            continue;
        metric_add(METRIC_CLUSTER_DOUBLES, 1);
        log_double(shipment);
        lane_drop(lane, &lane->unknown, shipment);
        shipment->is_unknown = false;
        lane_keep(lane, shipment);
    }
}

void
backlog_look(struct sender *sender)
{
    int64_t before_ns = clock_wall_ns() -
        sender->conf->cluster_unknown_timeout;

    if (sender->queue == NULL)
        return;
    (void)adopt(sender);
    for (unsigned i = 0; i < LANES_MAX; i++) {
        if (sender->lanes[i] != NULL)
            lane_expire(sender->lanes[i], before_ns);
    }
}

/* --- to a call --- */

/* Its bytes behind those of others; -1: err->code says whether for ever. */
static int
put_bytes(struct sender *sender, struct shipment *shipment, struct sb *body,
    struct err *err)
{
    if (shipment->share != NULL) {
        sb_add_sv(body, sb_sv(&shipment->share->frame));
        return 0;
    }
    if (queue_load(sender->queue, shipment->item, err) != 0)
        return -1;
    parcel_put(body, &shipment->item->parcel);
    queue_unload(shipment->item);
    return 0;
}

static void
shipment_lost(struct sender *sender, struct shipment *shipment,
    const struct err *err)
{
    metric_add(METRIC_CLUSTER_PARCELS_LOST, 1);
    log_error("%u spans in the queue are lost: %s",
        shipment->item->parcel.nspans, err->text);
    shipment_done(sender, shipment);
}

/* No memory, or the disk does not read now: what is stored there stays. */
static void
load_later(struct sender *sender, struct shipment *shipment,
    const struct err *err)
{
    struct lane *lane = shipment->lane;

    log_warn("%u spans in the queue cannot be read now, they wait: %s",
        shipment->item->parcel.nspans, err->text);
    lane->backlog_ns = sender->now_ns + BACKOFF_MAX_NS;
    lane_keep(lane, shipment);
}

static unsigned
take_from(struct sender *sender, struct lane *lane, struct shipments *list,
    struct shipment **out, struct sb *body)
{
    unsigned n = 0;

    while (n < CALL_PARCELS_MAX) {
        struct shipment *shipment = TAILQ_FIRST(list);
        struct err err = ERR_INIT;

        if (shipment == NULL || (n > 0 && body->len +
            shipment->item->bytes > lane->bytes_max))
            break;
        lane_drop(lane, list, shipment);
        if (put_bytes(sender, shipment, body, &err) == 0) {
            out[n++] = shipment;
        } else if (err.code == ERR_CORRUPT) {
            shipment_lost(sender, shipment, &err);
        } else {
            load_later(sender, shipment, &err);
            break;
        }
    }
    return n;
}

/* Notes for those that have none of this lane, before it gets them. */
static void
note_lane(struct sender *sender, struct lane *lane,
    struct shipment *const *v, unsigned n)
{
    struct queue_item *items[CALL_PARCELS_MAX];
    struct queue_note note = {sv_from(lane->name), clock_wall_ns()};
    struct err err = ERR_INIT;
    unsigned nitems = 0;

    for (unsigned i = 0; i < n; i++) {
        struct queue_item *item = v[i]->item;

        if (item->unknown_ns == 0 || !sv_eq(item->node, note.node))
            items[nitems++] = item;
    }
    if (nitems > 0 && queue_set_nodes(sender->queue, items, nitems, &note,
            &err) != 0)
        log_error("%s", err.text);
}

unsigned
backlog_take(struct sender *sender, struct lane *lane, struct shipment **out,
    struct sb *body)
{
    unsigned n = 0;

    /*
     * In turns: those that the node puts off again and again do not hold up
     * the others.
     */
    lane->is_turn_of_backlog = !lane->is_turn_of_backlog;
    if (!lane->is_turn_of_backlog || TAILQ_EMPTY(&lane->backlog))
        n = take_from(sender, lane, &lane->unknown, out, body);
    if (n > 0)
        return n;
    n = take_from(sender, lane, &lane->backlog, out, body);
    note_lane(sender, lane, out, n);
    return n;
}
