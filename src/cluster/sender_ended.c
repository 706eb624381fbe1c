/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Workers that ended with inserts under way.  The digests of these are in
 * flight, and retries wait for them: until a worker, this one's successor or
 * another, has adopted what the dead one left in the queue.
 */

#include "core/base.h"
#include "cluster/sender.h"

#include "cluster/sender_state.h"
#include "core/shm.h"
#include "storage/requests.h"

/* Looked at every second. */
#define ENDED_MAX 64u

/* Shared by master and workers; 0: free. */
struct ended {
    _Atomic uint64_t pids[ENDED_MAX];
};

static struct ended *ended;

int
sender_create(struct err *err)
{
    void *region;

    if (ended != NULL)
        return 0;
    if (shm_new(&region, "spoor-ended", sizeof(struct ended), err) != 0)
        return -1;
    ended = region;
    return 0;
}

void
sender_process_ended(pid_t pid)
{
    if (ended == NULL)
        return;
    for (unsigned i = 0; i < ENDED_MAX; i++) {
        uint64_t none = 0;

        if (atomic_compare_exchange_strong(&ended->pids[i], &none,
            (uint64_t)pid))
            return;
    }
    requests_recovered((uint64_t)pid);
}

void
ended_settle(struct sender *sender)
{
    bool has_adopted = false;

    for (unsigned i = 0; ended != NULL && i < ENDED_MAX; i++) {
        uint64_t pid = atomic_load(&ended->pids[i]);

        if (pid == 0)
            continue;
        if (!has_adopted)
            backlog_open(sender);
        has_adopted = true;
        requests_recovered(pid);
        /* Two may have done it; the place may be another's by now. */
        atomic_compare_exchange_strong(&ended->pids[i], &pid, 0);
    }
}
