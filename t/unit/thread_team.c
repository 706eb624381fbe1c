/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/team.h"

#include <poll.h>

#include "event/loop.h"
#include "tap.h"

#define PIECES 2000u
#define TEAMS 50u

static struct loop *loop;
static struct task_pool *pool;

struct work {
    _Atomic uint32_t next;
    _Atomic uint32_t sum;
    _Atomic uint32_t lanes; /* a bit for each that came */
    _Atomic uint32_t inside;
    unsigned ms;
};

static void IMPL(team_fn)
take_pieces(void *arg, unsigned lane)
{
    struct work *work = arg;
    uint32_t piece;

    atomic_fetch_add(&work->inside, 1);
    atomic_fetch_or(&work->lanes, 1u << lane);
    while ((piece = atomic_fetch_add(&work->next, 1)) < PIECES)
        atomic_fetch_add(&work->sum, piece);
    (void)poll(NULL, 0, (int)work->ms);
    atomic_fetch_sub(&work->inside, 1);
}

static void
check_work(struct work *work, const char *name)
{
    is_int(atomic_load(&work->sum), PIECES * (PIECES - 1) / 2,
        "%s: each piece once", name);
    is_int(atomic_load(&work->inside), 0, "%s: all have returned", name);
}

/* A team whose caller is a thread of the pool that it takes helpers from. */
static void IMPL(task_fn)
team_on_thread(void *arg)
{
    team_run(pool, 3, take_pieces, arg);
}

static _Atomic unsigned done;

static void IMPL(task_fn)
count_done(void *arg)
{
    (void)arg;
    if (atomic_fetch_add(&done, 1) + 1 == TEAMS)
        loop_stop(loop);
}

int
main(void)
{
    static struct work many[TEAMS];
    struct work alone = {.next = 0}, none = {.next = 0}, three = {.ms = 50};
    struct err err = ERR_INIT;
    unsigned wrong = 0;

    loop = loop_new();
    pool = task_pool_new(loop, "team", 2, 4 * TEAMS);
    team_run(pool, 1, take_pieces, &alone);
    check_work(&alone, "one lane");
    is_int(atomic_load(&alone.lanes), 1, "one lane: the caller's");
    team_run(NULL, 4, take_pieces, &none);
    check_work(&none, "no pool");
    is_int(atomic_load(&none.lanes), 1, "no pool: the caller's");
    team_run(pool, 3, take_pieces, &three);
    check_work(&three, "three lanes");
    is_int(atomic_load(&three.lanes) & 1, 1, "three lanes: the caller's, too");
    for (unsigned i = 0; i < TEAMS; i++) {
        if (task_post(pool, team_on_thread, count_done, &many[i], &err) != 0)
            wrong++;
    }
    is_int(wrong, 0, "%u teams begin on two threads", TEAMS);
    loop_run(loop);
    for (unsigned i = 0; i < TEAMS; i++)
        wrong += atomic_load(&many[i].sum) != PIECES * (PIECES - 1) / 2;
    is_int(wrong, 0, "and none waits for another for ever");
    task_pool_free(pool);
    loop_free(loop);
    return tap_done();
}
