/* SPDX-License-Identifier: BSD-2-Clause */

/* Lanes: what waits for each node, and which node it waits for. */

#include "core/base.h"
#include "cluster/sender_state.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"

/* Shipments of a lane that takes none which move on in one turn. */
#define MOVES_MAX 256u

static bool
lane_is_empty(const struct lane *lane)
{
    return TAILQ_EMPTY(&lane->live) && TAILQ_EMPTY(&lane->backlog) &&
        TAILQ_EMPTY(&lane->unknown) && lane->nlive_calls == 0 &&
        !lane->has_backlog_call;
}

static struct lane *
lane_new(struct sender *sender, const char *name)
{
    struct lane *lane = xcalloc(1, sizeof(*lane));
    unsigned number = 0;

    while (number < LANES_MAX && sender->lanes[number] != NULL)
        number++;
    /* Names come from the list, which is half as long, and the queue. */
    if (number == LANES_MAX) {
        xfree(lane);
        return NULL;
    }
    snprintf(lane->name, sizeof(lane->name), "%s", name);
    lane->number = number;
    lane->bytes_max = CALL_BYTES_MAX;
    TAILQ_INIT(&lane->live);
    TAILQ_INIT(&lane->backlog);
    TAILQ_INIT(&lane->unknown);
    sender->lanes[number] = lane;
    return lane;
}

struct lane *
lane_get(struct sender *sender, const char *name)
{
    for (unsigned i = 0; i < LANES_MAX; i++) {
        if (sender->lanes[i] != NULL &&
            strcmp(sender->lanes[i]->name, name) == 0)
            return sender->lanes[i];
    }
    return lane_new(sender, name);
}

void
lanes_free(struct sender *sender)
{
    for (unsigned i = 0; i < LANES_MAX; i++) {
        struct lane *lane = sender->lanes[i];
        struct shipment *shipment;

        if (lane == NULL)
            continue;
        TAILQ_CONCAT(&lane->unknown, &lane->backlog, link);
        while ((shipment = TAILQ_FIRST(&lane->unknown)) != NULL) {
            TAILQ_REMOVE(&lane->unknown, shipment, link);
            shipment_free(shipment);
        }
        xfree(lane);
        sender->lanes[i] = NULL;
    }
    nodes_release(sender->nodes);
    sender->nodes = NULL;
}

/* --- who is there --- */

/* What was told of nodes that are in the list no more, is taken back. */
static void
untell(struct sender *sender, const struct nodes *nodes)
{
    for (unsigned i = 0; sender->nodes != NULL && i < sender->nodes->n; i++) {
        const struct node *node = &sender->nodes->v[i];
        struct lane *lane = sender->lane_of[i];

        if (lane == NULL || nodes_find(nodes, sv_from(node->name)) != NULL)
            continue;
        node_count_queue(node, -lane->nkept_told, -lane->kept_bytes_told);
        lane->nkept_told = 0;
        lane->kept_bytes_told = 0;
    }
}

static void
list_changed(struct sender *sender, const struct nodes *nodes)
{
    untell(sender, nodes);
    for (unsigned i = 0; i < LANES_MAX; i++) {
        struct lane *lane = sender->lanes[i];

        if (lane == NULL)
            continue;
        lane->is_listed = false;
        lane->takes = false;
        /*
         * Those that stay know what was told of them, and shipments that are
         * to be added since the turn before are in no list of their lane.
         */
        if (lane_is_empty(lane) && TAILQ_EMPTY(&sender->adding) &&
            nodes_find(nodes, sv_from(lane->name)) == NULL) {
            xfree(lane);
            sender->lanes[i] = NULL;
        }
    }
    for (unsigned i = 0; i < nodes->n; i++) {
        sender->lane_of[i] = lane_get(sender, nodes->v[i].name);
        if (sender->lane_of[i] != NULL)
            sender->lane_of[i]->is_listed = true;
    }
    if (sender->nodes != NULL)
        nodes_release(sender->nodes);
    sender->nodes = nodes;
}

void
lanes_refresh(struct sender *sender)
{
    const struct nodes *nodes = nodes_hold();

    if (nodes != sender->nodes)
        list_changed(sender, nodes);
    else
        nodes_release(nodes);
    for (unsigned i = 0; i < sender->nodes->n; i++) {
        struct lane *lane = sender->lane_of[i];

        if (lane != NULL)
            lane->takes = lane->nstalled == 0 &&
                node_takes_inserts(&sender->nodes->v[i]);
    }
}

/* --- what is durable --- */

void
lane_keep(struct lane *lane, struct shipment *shipment)
{
    shipment->lane = lane;
    TAILQ_INSERT_TAIL(shipment->is_unknown ? &lane->unknown
        : &lane->backlog, shipment, link);
    lane->nkept++;
    lane->kept_bytes += (int64_t)shipment->item->bytes;
}

void
lane_drop(struct lane *lane, struct shipments *list,
    struct shipment *shipment)
{
    TAILQ_REMOVE(list, shipment, link);
    lane->nkept--;
    lane->kept_bytes -= (int64_t)shipment->item->bytes;
}

void
lanes_tell(struct sender *sender)
{
    for (unsigned i = 0; i < sender->nodes->n; i++) {
        struct lane *lane = sender->lane_of[i];

        if (lane == NULL || (lane->nkept == lane->nkept_told &&
            lane->kept_bytes == lane->kept_bytes_told))
            continue;
        node_count_queue(&sender->nodes->v[i],
            lane->nkept - lane->nkept_told,
            lane->kept_bytes - lane->kept_bytes_told);
        lane->nkept_told = lane->nkept;
        lane->kept_bytes_told = lane->kept_bytes;
    }
}

/* --- the choice --- */

static bool
was_tried(const struct shipment *shipment, const struct lane *lane)
{
    return shipment->tried != NULL &&
        (shipment->tried[lane->number / 64] >> lane->number % 64 & 1) != 0;
}

static void
set_tried(struct shipment *shipment, const struct lane *lane)
{
    if (shipment->tried == NULL)
        shipment->tried = xcalloc(LANES_MAX / 64, sizeof(uint64_t));
    shipment->tried[lane->number / 64] |= UINT64_C(1) << lane->number % 64;
}

struct lane *
lane_choose(struct sender *sender, const struct shipment *shipment)
{
    uint64_t among[NODES_MAX / 64] = {0};
    unsigned best;

    for (unsigned i = 0; i < sender->nodes->n; i++) {
        const struct lane *lane = sender->lane_of[i];

        if (lane != NULL && lane->takes && !was_tried(shipment, lane))
            among[i / 64] |= UINT64_C(1) << i % 64;
    }
    best = nodes_choose(sender->nodes, shipment_key(shipment), among);
    return best < sender->nodes->n ? sender->lane_of[best] : NULL;
}

void
shipment_place(struct sender *sender, struct shipment *shipment)
{
    struct lane *lane = shipment->lane;

    if (lane == NULL || !lane->takes || was_tried(shipment, lane)) {
        lane = lane_choose(sender, shipment);
        if (lane != NULL)
            metric_add(METRIC_CLUSTER_REROUTED, 1);
    }
    if (lane == NULL) {
        shipment_enqueue(sender, shipment);
        return;
    }
    shipment->lane = lane;
    shipment->waits_ns = sender->now_ns;
    TAILQ_INSERT_TAIL(&lane->live, shipment, link);
    sender->nlive++;
}

void
shipment_reroute(struct sender *sender, struct shipment *shipment)
{
    if (shipment->lane != NULL)
        set_tried(shipment, shipment->lane);
    shipment_place(sender, shipment);
}

/* --- those that wait too long --- */

static void
lane_unstall(struct sender *sender, struct lane *lane)
{
    struct shipment *shipment;

    while ((shipment = TAILQ_FIRST(&lane->live)) != NULL) {
        if (lane->takes && sender->now_ns - shipment->waits_ns < STALL_NS)
            break; /* the first one is the oldest */
        TAILQ_REMOVE(&lane->live, shipment, link);
        sender->nlive--;
        shipment_reroute(sender, shipment);
    }
}

/* What is durable, and may be anywhere, does not wait for this lane. */
static void
lane_move_backlog(struct sender *sender, struct lane *lane)
{
    for (unsigned i = 0; i < MOVES_MAX; i++) {
        struct shipment *shipment = TAILQ_FIRST(&lane->backlog);
        struct lane *to;

        if (shipment == NULL)
            break;
        to = lane_choose(sender, shipment);
        if (to == NULL)
            break;
        lane_drop(lane, &lane->backlog, shipment);
        lane_keep(to, shipment);
        metric_add(METRIC_CLUSTER_REROUTED, 1);
    }
}

void
lanes_unstall(struct sender *sender)
{
    struct call *call;

    TAILQ_FOREACH(call, &sender->calls, link) {
        if (sender->now_ns < call->stall_ns)
            continue;
        if (!call->is_stalled) {
            call->is_stalled = true;
            call->lane->nstalled++;
            call->lane->takes = false;
        }
        /* Once it is all durable, nobody waits for it. */
        call->stall_ns = call_enqueue(sender, call) ? INT64_MAX
            : sender->now_ns + STALL_NS;
    }
    for (unsigned i = 0; i < LANES_MAX; i++) {
        struct lane *lane = sender->lanes[i];

        if (lane == NULL)
            continue;
        lane_unstall(sender, lane);
        if (!lane->takes)
            lane_move_backlog(sender, lane);
    }
}
