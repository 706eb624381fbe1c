/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "http/body.h"

#include "core/assert.h"
#include "core/mem.h"
#include "core/metrics.h"

struct cached {
    char *ptr;
    size_t cap;
};

static struct {
    size_t bytes_max;
    size_t used;
    TAILQ_HEAD(, body) waiting;
    struct cached cache[BODY_CACHE_BUFS];
    unsigned ncached;
} budget = {
    .bytes_max = BODY_BUDGET_DEFAULT,
    .waiting = TAILQ_HEAD_INITIALIZER(budget.waiting),
};

void
body_budget_set(size_t bytes)
{
    budget.bytes_max = bytes;
}

size_t
body_budget_used(void)
{
    return budget.used;
}

void
body_init(struct body *body, body_wake_fn wake, void *arg)
{
    memset(body, 0, sizeof(*body));
    body->wake = wake;
    body->arg = arg;
}

static bool
budget_take(size_t bytes)
{
    if (bytes > budget.bytes_max - MIN(budget.used, budget.bytes_max))
        return false;
    budget.used += bytes;
    metric_gauge_add(METRIC_HTTP_BODY_BYTES, (int64_t)bytes);
    return true;
}

static void
budget_untake(size_t bytes)
{
    check(bytes <= budget.used);
    budget.used -= bytes;
    metric_gauge_add(METRIC_HTTP_BODY_BYTES, -(int64_t)bytes);
}

/*
 * The first of those who wait may try again.  Who finds too little waits
 * again behind the others, so one large body cannot hold up small ones.
 */
#define WAKE_MAX 8

static void
budget_give(size_t bytes)
{
    struct body *body;

    budget_untake(bytes);
    for (int i = 0; i < WAKE_MAX; i++) {
        body = TAILQ_FIRST(&budget.waiting);
        if (body == NULL)
            break;
        TAILQ_REMOVE(&budget.waiting, body, link);
        body->is_waiting = false;
        body->wake(body->arg);
    }
}

/* The smallest kept buffer that holds total, else the largest. */
static bool
cache_take(uint64_t total, struct cached *out)
{
    unsigned best = 0;

    if (budget.ncached == 0)
        return false;
    for (unsigned i = 1; i < budget.ncached; i++) {
        size_t cap = budget.cache[i].cap, best_cap = budget.cache[best].cap;

        if (best_cap < total ? cap > best_cap : cap >= total && cap < best_cap)
            best = i;
    }
    *out = budget.cache[best];
    budget.cache[best] = budget.cache[--budget.ncached];
    return true;
}

static bool
cache_put(char *ptr, size_t cap)
{
    if (cap < BODY_STEP || cap > BODY_CACHE_BYTES_MAX ||
        budget.ncached == BODY_CACHE_BUFS)
        return false;
    budget.cache[budget.ncached++] = (struct cached){ptr, cap};
    return true;
}

void
body_cache_clear(void)
{
    while (budget.ncached > 0)
        xfree(budget.cache[--budget.ncached].ptr);
}

/* First buffer: a kept one, or one step. */
static enum body_room
body_start(struct body *body, uint64_t total)
{
    struct cached kept;

    if (total >= BODY_STEP && cache_take(total, &kept)) {
        if (budget_take(kept.cap)) {
            body->ptr = kept.ptr;
            body->cap = kept.cap;
            return BODY_ROOM;
        }
        check(cache_put(kept.ptr, kept.cap));
    }
    body->cap = (size_t)MIN(MAX(total, 1), BODY_STEP);
    if (!budget_take(body->cap)) {
        body->cap = 0;
        return BODY_NO_BUDGET;
    }
    body->ptr = mem_try_alloc(body->cap);
    if (body->ptr == NULL) {
        budget_untake(body->cap);
        body->cap = 0;
        return BODY_NO_MEMORY;
    }
    return BODY_ROOM;
}

enum body_room
body_grow(struct body *body, uint64_t total)
{
    size_t cap;
    char *ptr;

    check(!body->is_waiting && body->len < total);
    if (body->len < body->cap)
        return BODY_ROOM;
    if (body->cap == 0)
        return body_start(body, total);
    cap = (size_t)MIN(ALIGN_UP(total, BODY_STEP),
        MAX(BODY_STEP, (uint64_t)body->cap * 2));
    if (!budget_take(cap - body->cap))
        return BODY_NO_BUDGET;
    ptr = mem_try_realloc(body->ptr, cap);
    if (ptr == NULL) {
        budget_untake(cap - body->cap);
        return BODY_NO_MEMORY;
    }
    body->ptr = ptr;
    body->cap = cap;
    return BODY_ROOM;
}

void
body_wait(struct body *body)
{
    check(!body->is_waiting);
    TAILQ_INSERT_TAIL(&budget.waiting, body, link);
    body->is_waiting = true;
}

void
body_release(struct body *body)
{
    size_t cap = body->cap;

    if (body->is_waiting)
        TAILQ_REMOVE(&budget.waiting, body, link);
    body->is_waiting = false;
    if (body->ptr != NULL && !cache_put(body->ptr, cap))
        xfree(body->ptr);
    body->ptr = NULL;
    body->len = body->cap = 0;
    if (cap > 0)
        budget_give(cap);
}
