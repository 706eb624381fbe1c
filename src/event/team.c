/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/team.h"

#include <pthread.h>

#include "core/assert.h"
#include "core/mem.h"

struct team {
    team_fn fn;
    void *arg;

    pthread_mutex_t mutex;
    pthread_cond_t is_idle;
    unsigned refs;   /* caller and helpers that were posted */
    unsigned active; /* helpers at work */
    unsigned given;  /* lanes given away */
    bool is_closed;  /* helpers that come now are too late */
};

static void
team_release(struct team *team)
{
    bool is_last;

    pthread_mutex_lock(&team->mutex);
    is_last = --team->refs == 0;
    pthread_mutex_unlock(&team->mutex);
    if (!is_last)
        return;
    pthread_mutex_destroy(&team->mutex);
    pthread_cond_destroy(&team->is_idle);
    xfree(team);
}

static void IMPL(task_fn)
helper_run(void *arg)
{
    struct team *team = arg;
    unsigned lane = 0;

    pthread_mutex_lock(&team->mutex);
    if (!team->is_closed) {
        lane = team->given++;
        team->active++;
    }
    pthread_mutex_unlock(&team->mutex);
    if (lane != 0) {
        team->fn(team->arg, lane);
        pthread_mutex_lock(&team->mutex);
        team->active--;
        pthread_cond_signal(&team->is_idle);
        pthread_mutex_unlock(&team->mutex);
    }
    team_release(team);
}

static void
helpers_post(struct team *team, struct task_pool *pool, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        pthread_mutex_lock(&team->mutex);
        team->refs++;
        pthread_mutex_unlock(&team->mutex);
        if (task_post(pool, helper_run, NULL, team, NULL) != 0) {
            team_release(team);
            return;
        }
    }
}

static void
helpers_wait(struct team *team)
{
    pthread_mutex_lock(&team->mutex);
    team->is_closed = true;
    while (team->active > 0)
        pthread_cond_wait(&team->is_idle, &team->mutex);
    pthread_mutex_unlock(&team->mutex);
}

void
team_run(struct task_pool *pool, unsigned nlanes, team_fn fn, void *arg)
{
    struct team *team;

    if (pool == NULL || nlanes < 2) {
        fn(arg, 0);
        return;
    }
    team = xcalloc(1, sizeof(*team));
    team->fn = fn;
    team->arg = arg;
    team->refs = 1;
    team->given = 1;
    check(pthread_mutex_init(&team->mutex, NULL) == 0);
    check(pthread_cond_init(&team->is_idle, NULL) == 0);
    helpers_post(team, pool, nlanes - 1);
    fn(arg, 0);
    helpers_wait(team);
    team_release(team);
}
