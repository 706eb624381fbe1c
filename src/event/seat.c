/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/seat.h"

#include "event/proc.h"

int64_t
seat_lost(struct seat *seat, const struct proc_end *end, bool was_ready,
    int64_t now_ns)
{
    int64_t delay_ns = 0;

    if (end->life_ns >= SEAT_RESET_NS && was_ready)
        seat_clear(seat);
    if (seat->failures > 0) {
        delay_ns = SEAT_BACK_OFF_MIN_NS;
        for (unsigned i = 1; i < seat->failures &&
             delay_ns < SEAT_BACK_OFF_MAX_NS; i++)
            delay_ns *= 2;
        delay_ns = MIN(delay_ns, SEAT_BACK_OFF_MAX_NS);
    }
    seat->failures++;
    seat->refusals = end->is_exit && !was_ready ? seat->refusals + 1 : 0;
    seat->due_ns = now_ns + delay_ns;
    return delay_ns;
}

void
seat_clear(struct seat *seat)
{
    seat->failures = 0;
    seat->refusals = 0;
    seat->due_ns = 0;
}
