/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A life of the durable queue for fault_queue.c: two processes' queues in
 * one directory, what they were asked and what they answered.  The ledger
 * stands in shared memory, so it outlives whoever dies.  All times are
 * positions: of the simulated disk, or 0 for "it happened".
 */

#ifndef SPOOR_T_FAULT_QUEUE_H
#define SPOOR_T_FAULT_QUEUE_H

#include "core/base.h"

#include "cluster/queue.h"
#include "fault_world.h"
#include "queue_make.h"

#define TALE_PARCELS 160u
#define TALE_NODES 3u /* set_node() of one parcel, at most */
#define TALE_LIMIT (32 * MIB)
#define TALE_NODE_SIZE 24u
#define NEVER UINT64_MAX

struct tale_fate {
    uint64_t add_begin, add_end; /* end: acknowledged */
    /* 0 is the node it was added with, if any. */
    uint64_t node_begin[TALE_NODES + 1], node_end[TALE_NODES + 1];
    unsigned nnodes;
    uint64_t done_begin, done_end, done_sure;
    bool is_refused; /* the add failed */
};

struct tale {
    struct tale_fate v[TALE_PARCELS];
    bool is_over;       /* the tale came to its end */
    unsigned failures;  /* calls that failed */
    unsigned odd;       /* parcels that came back wrong during it */
};

/* --- living --- */

struct tale_side {
    struct queue *queue;
    struct queue_item *items[TALE_PARCELS];
    bool is_unsure[TALE_PARCELS]; /* done, not yet synced */
};

static inline uint64_t
tale_now(void)
{
    return world_position != NULL ? world_position() : 0;
}

static inline void
tale_node(unsigned version, char node[TALE_NODE_SIZE])
{
    if (version == 0)
        node[0] = '\0';
    else
        snprintf(node, TALE_NODE_SIZE, "node%u:1", version);
}

/* Versions: 0 none, 1 as added, 2 and more by set_node(). */
static inline void
tale_add(struct tale *tale, struct tale_side *side, unsigned first,
    unsigned n)
{
    static char bodies[4][MAKE_BODY_MAX];
    struct queue_item *items[4];
    struct parcel parcels[4];
    struct queue_add add[4];
    int rc;

    for (unsigned i = 0; i < n; i++) {
        struct tale_fate *fate = &tale->v[first + i];
        bool has_node = (first + i) % 3 == 0;

        parcels[i] = make_parcel(first + i, bodies[i]);
        add[i] = (struct queue_add){&parcels[i], has_node ? SV("node1:1")
            : SV_EMPTY, has_node ? 1 : 0};
        fate->add_begin = tale_now();
    }
    rc = queue_add(side->queue, add, n, items, NULL);
    for (unsigned i = 0; i < n; i++) {
        tale->v[first + i].is_refused = rc != 0;
        if (rc == 0) {
            tale->v[first + i].add_end = tale_now();
            side->items[first + i] = items[i];
        }
    }
    tale->failures += rc != 0;
}

static inline void
tale_set_node(struct tale *tale, struct tale_side *side, unsigned number)
{
    struct tale_fate *fate = &tale->v[number];
    unsigned k = fate->nnodes;
    char node[TALE_NODE_SIZE];

    if (k == TALE_NODES)
        return;
    fate->nnodes++;
    fate->node_begin[k] = tale_now();
    tale_node(k + 2, node);
    if (queue_set_node(side->queue, side->items[number], sv_from(node), k + 2,
        NULL) == 0)
        fate->node_end[k] = tale_now();
    else
        tale->failures++;
}

static inline void
tale_done(struct tale *tale, struct tale_side *side, unsigned number)
{
    struct tale_fate *fate = &tale->v[number];

    fate->done_begin = tale_now();
    queue_done(side->queue, side->items[number]);
    fate->done_end = tale_now();
    side->items[number] = NULL;
    side->is_unsure[number] = true;
}

static inline void
tale_sure(struct tale *tale, struct tale_side *side)
{
    for (unsigned i = 0; i < TALE_PARCELS; i++) {
        if (side->is_unsure[i])
            tale->v[i].done_sure = tale_now();
        side->is_unsure[i] = false;
    }
}

/* What may be there at all, and is read as it was added. */
static inline void
tale_adopt(struct tale *tale, struct tale_side *side)
{
    struct queue_item *item = queue_adopt(side->queue);

    tale_sure(tale, side);
    for (; item != NULL; item = item->next) {
        uint64_t number = make_number(&item->parcel);

        if (number >= TALE_PARCELS || tale->v[number].add_begin == NEVER) {
            tale->odd++;
            continue;
        }
        if (queue_load(side->queue, item, NULL) != 0)
            tale->failures++;
        else
            tale->odd += !make_is_right(&item->parcel);
        queue_unload(item);
        side->items[number] = item;
    }
}

static inline void
tale_close(struct tale *tale, struct tale_side *side)
{
    queue_close(side->queue);
    side->queue = NULL;
    tale_sure(tale, side);
    memset(side->items, 0, sizeof(side->items));
}

static inline bool
tale_open(struct tale_side *side, const char *dir)
{
    struct err err = ERR_INIT;

    for (unsigned i = 0; i < 3 && side->queue == NULL; i++) {
        if (queue_open(&side->queue, dir, TALE_LIMIT, &err) != 0)
            side->queue = NULL;
    }
    return side->queue != NULL;
}

/* Adds, changes, ends; the second side takes over what the first leaves. */
static inline void
tale_run(struct tale *tale, const char *dir)
{
    struct tale_side sides[2] = {{0}, {0}};
    unsigned next = 0;

    for (unsigned round = 0; next + 8 <= TALE_PARCELS; round++) {
        struct tale_side *side = &sides[round % 2];

        if (side->queue == NULL && !tale_open(side, dir))
            return;
        for (unsigned i = 0; i < 3 && next + 4 <= TALE_PARCELS; i++) {
            unsigned n = 1 + (round + i) % 4;

            tale_add(tale, side, next, n);
            next += n;
        }
        tale_adopt(tale, side);
        for (unsigned i = 0; i < next; i++) {
            if (side->items[i] != NULL && (i + round) % 5 == 0)
                tale_set_node(tale, side, i);
            if (side->items[i] != NULL && (i * 7 + round) % 3 == 0)
                tale_done(tale, side, i);
        }
        if (round % 4 == 3)
            tale_close(tale, side);
    }
    for (unsigned s = 0; s < 2; s++) {
        if (sides[s].queue != NULL) {
            tale_adopt(tale, &sides[s]);
            if (s == 0)
                tale_close(tale, &sides[s]);
        }
    }
    tale->is_over = true;
}

static inline void
tale_reset(struct tale *tale)
{
    memset(tale, 0, sizeof(*tale));
    for (unsigned i = 0; i < TALE_PARCELS; i++) {
        struct tale_fate *fate = &tale->v[i];

        fate->add_begin = fate->add_end = fate->done_begin = NEVER;
        fate->done_end = fate->done_sure = NEVER;
        for (unsigned k = 0; k <= TALE_NODES; k++)
            fate->node_begin[k] = fate->node_end[k] = NEVER;
    }
}

/* --- judging --- */

struct tale_verdict {
    unsigned acked, found, lost, doubled, wrong, stale_node, back, refused;
    unsigned left, damaged;
    bool is_done;
};

static inline void
judge_node(const struct tale_fate *fate, uint64_t end, unsigned number,
    const struct queue_item *item, struct tale_verdict *verdict)
{
    unsigned least = number % 3 == 0 ? 1 : 0, most = least, version = 0;

    for (unsigned k = 0; k < fate->nnodes; k++) {
        if (fate->node_end[k] <= end && fate->node_end[k] != NEVER)
            least = k + 2;
        if (fate->node_begin[k] <= end)
            most = k + 2;
    }
    if (item->node.len > 4)
        version = (unsigned)(item->node.ptr[4] - '0');
    if (version < least || version > most ||
        item->unknown_ns != (int64_t)version)
        verdict->stale_node++;
}

/* From when on it is certain that what is done does not come back. */
enum tale_done { TALE_NEVER, TALE_RETURNED, TALE_SYNCED };

/* Reads all of it, as a new worker does. */
static inline void
tale_judge(const struct tale *tale, const char *dir, uint64_t end,
    enum tale_done done, struct tale_verdict *verdict)
{
    static unsigned seen[TALE_PARCELS];
    struct queue *queue = make_open(dir, TALE_LIMIT);
    struct queue_item *item, *next;
    uint64_t bytes;

    memset(seen, 0, sizeof(seen));
    memset(verdict, 0, sizeof(*verdict));
    while ((item = queue_adopt(queue)) != NULL) {
        for (; item != NULL; item = next) {
            uint64_t number = make_number(&item->parcel);

            next = item->next;
            if (number >= TALE_PARCELS || queue_load(queue, item, NULL) != 0
                || !make_is_right(&item->parcel))
                verdict->wrong++;
            else
                judge_node(&tale->v[number], end, (unsigned)number, item,
                    verdict);
            seen[number % TALE_PARCELS]++;
            queue_done(queue, item);
        }
    }
    queue_close(queue);
    for (unsigned i = 0; i < TALE_PARCELS; i++) {
        const struct tale_fate *fate = &tale->v[i];
        bool is_acked = fate->add_end != NEVER && fate->add_end <= end;
        uint64_t sure;

        verdict->acked += is_acked;
        verdict->found += seen[i] > 0;
        verdict->doubled += seen[i] > 1;
        verdict->lost += is_acked && seen[i] == 0 &&
            (fate->done_begin == NEVER || fate->done_begin > end);
        verdict->wrong += seen[i] > 0 && (fate->add_begin == NEVER ||
            fate->add_begin > end);
        verdict->refused += seen[i] > 0 && fate->is_refused;
        sure = done == TALE_NEVER ? NEVER : done == TALE_SYNCED
            ? fate->done_sure : fate->done_end;
        verdict->back += seen[i] > 0 && sure != NEVER && sure <= end;
    }
    verdict->left = make_count(dir, ".queue", &bytes);
    verdict->damaged = make_count(dir, ".damaged", &bytes);
    verdict->is_done = true;
}

static inline bool
tale_is_good(const struct tale_verdict *v)
{
    return v->is_done && v->lost == 0 && v->doubled == 0 && v->wrong == 0 &&
        v->stale_node == 0 && v->back == 0 && v->left == 0 &&
        v->damaged == 0;
}

#endif
