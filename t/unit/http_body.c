/* SPDX-License-Identifier: BSD-2-Clause */

/* Memory of bodies: steps, the budget, who waits and in which order. */

#include "core/base.h"

#include "core/mem.h"
#include "http/body.h"

#include "tap.h"

static int order[16], nwoken;

static void
on_wake(void *arg)
{
    order[nwoken++] = *(int *)arg;
}

/* As the connection does it: room, then bytes, until all are there. */
static enum body_room
fill(struct body *body, uint64_t total, size_t *cap_max)
{
    while (body->len < total) {
        enum body_room room = body_grow(body, total);

        if (room != BODY_ROOM)
            return room;
        if (cap_max != NULL)
            *cap_max = MAX(*cap_max, body->cap);
        body->len += MIN((size_t)10000, MIN(total - body->len,
            body->cap - body->len));
    }
    return BODY_ROOM;
}

static void
test_steps(void)
{
    static const uint64_t totals[] = {1, 100, BODY_STEP - 1, BODY_STEP,
        BODY_STEP + 1, 3 * BODY_STEP, 1000000, 5000000};
    struct body body;
    int number = 0;

    body_budget_set(64 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(totals); i++) {
        size_t cap = 0;

        body_cache_clear();
        body_init(&body, on_wake, &number);
        is_int(body_grow(&body, totals[i]), BODY_ROOM, "room");
        ok(body.cap <= BODY_STEP, "first step of %llu",
            (unsigned long long)totals[i]);
        is_int(fill(&body, totals[i], &cap), BODY_ROOM, "filled");
        ok(cap <= ALIGN_UP(totals[i], BODY_STEP), "no more than promised");
        is_int(body_budget_used(), body.cap, "accounted");
        body_release(&body);
        is_int(body_budget_used(), 0, "given back");
    }
    body_init(&body, on_wake, &number);
    is_int(fill(&body, 300000, NULL), BODY_ROOM, "half of a large promise");
    ok(body.cap <= 2 * 300000 + BODY_STEP, "holds twice at most");
    body_release(&body);
}

static void
test_cache(void)
{
    struct body body;
    char *ptr;
    int number = 0;

    body_cache_clear();
    body_init(&body, on_wake, &number);
    is_int(fill(&body, 1 * MIB, NULL), BODY_ROOM, "a body");
    ptr = body.ptr;
    body_release(&body);
    is_int(body_grow(&body, 900000), BODY_ROOM, "the next");
    ok(body.ptr == ptr, "gets the buffer of the last");
    is_int(body_budget_used(), body.cap, "and pays for all of it");
    body_release(&body);
    is_int(body_grow(&body, 100), BODY_ROOM, "a small one");
    ok(body.ptr != ptr && body.cap == 100, "does not");
    body_release(&body);
    body_cache_clear();
}

static void
test_budget(void)
{
    struct body bodies[4];
    int numbers[4] = {0, 1, 2, 3};

    body_cache_clear();
    body_budget_set(4 * BODY_STEP);
    for (int i = 0; i < 4; i++)
        body_init(&bodies[i], on_wake, &numbers[i]);
    is_int(fill(&bodies[0], 3 * BODY_STEP, NULL), BODY_ROOM, "most of it");
    is_int(fill(&bodies[1], BODY_STEP, NULL), BODY_ROOM, "the rest");
    is_int(body_grow(&bodies[2], 1), BODY_NO_BUDGET, "nothing is left");
    is_int(bodies[2].cap, 0, "nothing was taken");
    body_wait(&bodies[2]);
    is_int(body_grow(&bodies[3], 1), BODY_NO_BUDGET, "for nobody");
    body_wait(&bodies[3]);
    is_int(nwoken, 0, "both wait");
    body_release(&bodies[1]);
    is_int(nwoken, 2, "both are told");
    ok(order[0] == 2 && order[1] == 3, "in order");
    is_int(body_grow(&bodies[2], 1), BODY_ROOM, "room again");
    body_release(&bodies[2]);
    is_int(body_grow(&bodies[3], 2 * BODY_STEP), BODY_ROOM, "one step");
    bodies[3].len = bodies[3].cap;
    is_int(body_grow(&bodies[3], 2 * BODY_STEP), BODY_NO_BUDGET,
        "not the next");
    is_int(bodies[3].len, BODY_STEP, "what came is kept");
    body_wait(&bodies[3]);
    body_release(&bodies[3]);
    nwoken = 0;
    body_release(&bodies[0]);
    is_int(nwoken, 0, "who gave up is not told");
    is_int(body_budget_used(), 0, "all is back");
    mem_fail_at(1);
    is_int(body_grow(&bodies[0], 1), BODY_NO_MEMORY, "the system refuses");
    is_int(body_budget_used(), 0, "nothing is accounted");
    body_cache_clear();
    is_int(body_grow(&bodies[0], 10 * BODY_STEP), BODY_ROOM, "now it does not");
    bodies[0].len = bodies[0].cap;
    mem_fail_at(1);
    is_int(body_grow(&bodies[0], 10 * BODY_STEP), BODY_NO_MEMORY,
        "or while growing");
    is_int(body_budget_used(), BODY_STEP, "what is held is accounted");
    body_release(&bodies[0]);
    mem_fail_at(0);
    body_cache_clear();
}

int
main(void)
{
    test_steps();
    test_cache();
    test_budget();
    return tap_done();
}
