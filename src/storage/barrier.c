/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/barrier.h"

#include <poll.h>

#include "core/timefmt.h"
#include "storage/catalog.h"
#include "storage/operator.h"
#include "storage/shared.h"

#define POLL_MS 2

uint64_t
barrier_begin(bool end_logs)
{
    uint64_t request;

    /* Before the request: who sees that sees this. */
    if (end_logs)
        atomic_fetch_add(&shared->log_ends, 1);
    request = atomic_fetch_add(&shared->flush_request, 1) + 1;
    for (unsigned i = 0; i < shared->nslots; i++) {
        if (atomic_load(&shared->slots[i].state) == SLOT_LIVE)
            shared_wake(i);
    }
    return request;
}

bool
barrier_is_reached(uint64_t request)
{
    for (unsigned i = 0; i < shared->nslots; i++) {
        const struct slot *slot = &shared->slots[i];
        uint32_t state = atomic_load(&slot->state);

        if (state == SLOT_ORPHAN || (state == SLOT_LIVE &&
            atomic_load(&slot->flush_done) < request))
            return false;
    }
    return true;
}

/* One turn of waiting; -1 when there is no more time. */
static int
wait_turn(int64_t until_ns, const char *what, struct err *err)
{
    if (operator_is_stopping())
        return err_set(err, ERR_CANCELLED, "the server reloads or stops");
    if (clock_mono_ns() >= until_ns)
        return err_set(err, ERR_TIMEOUT, "%s", what);
    (void)poll(NULL, 0, POLL_MS);
    return 0;
}

int
barrier_wait(bool end_logs, int64_t timeout_ns, struct err *err)
{
    int64_t until_ns = clock_mono_ns() + timeout_ns;
    uint64_t request = barrier_begin(end_logs);

    while (!barrier_is_reached(request)) {
        if (wait_turn(until_ns, "not all rows could be written into parts "
            "in time", err) != 0)
            return -1;
    }
    return 0;
}

int
barrier_wait_readers(uint64_t gen, int64_t timeout_ns, struct err *err)
{
    int64_t until_ns = clock_mono_ns() + timeout_ns;

    while (catalog_oldest_reader() < gen) {
        if (wait_turn(until_ns, "queries still read the day", err) != 0)
            return -1;
    }
    return 0;
}
