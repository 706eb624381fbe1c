/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the merge process shares with others: back-pressure, requests of
 * people, bad names of parts.
 */

#include "core/base.h"
#include "storage/compact_state.h"

#include "core/assert.h"
#include "core/timefmt.h"
#include "tap.h"

static int64_t
delay(uint32_t pending, int64_t since_progress_ns)
{
    atomic_store(&compact_state->pending, pending);
    atomic_store(&compact_state->progress_ns,
        clock_mono_ns() - since_progress_ns);
    return compact_ingest_delay_ns();
}

static void
test_pressure(void)
{
    int64_t last = 0;
    bool grows = true;

    is_int(compact_ingest_delay_ns(), 0, "nothing waits");
    is_int(delay(COMPACT_SLOW_PARTS, 0), 0, "some wait");
    for (uint32_t n = COMPACT_SLOW_PARTS + 1; n <= COMPACT_WAIT_PARTS; n++) {
        grows &= delay(n, 0) > last;
        last = compact_ingest_delay_ns();
    }
    ok(grows && last <= COMPACT_DELAY_MAX_NS, "slower and slower");
    ok(delay(COMPACT_WAIT_PARTS + 1, 0) == INT64_MAX, "held up");
    is_int(delay(UINT32_MAX, COMPACT_STUCK_NS + NS_PER_SEC), 0,
        "but not by merges that do not move");
}

static int
force(const char *prefix)
{
    struct err err = ERR_INIT;

    return compact_force(sv_from(prefix), &err) == 0 ? 0 : (int)err.code;
}

static void
test_requests(void)
{
    unsigned n = 0;

    is_int(force("2026x"), ERR_INVALID, "no day begins so");
    is_int(force("202611211"), ERR_INVALID, "too long");
    is_int(compact_forced(), 0, "nothing was asked for");
    is_int(force("202611"), 0, "a month");
    is_str(compact_state->forces[0].prefix, "202611", "is noted");
    is_int(force(""), 0, "all");
    while (force("2026") == 0)
        n++;
    is_int(n + 2, FORCES_MAX, "places are bounded");
    is_int(force("2026"), ERR_BUSY, "who finds none comes again");
    is_int(compact_forced(), FORCES_MAX, "all are counted");
}

static void
test_blame(void)
{
    is_int(blame_points(7), 0, "a part without a bad name");
    is_int(blame_add(7, BLAME_CRASH), BLAME_SUSPECT, "one crash: suspect");
    is_int(blame_add(7, BLAME_CRASH), BLAME_UNMERGED, "two: left alone");
    for (uint64_t id = 100; id < 100 + BLAMES_MAX; id++)
        blame_add(id, 1);
    is_int(blame_points(7), 0, "the oldest is forgotten");
    is_int(blame_points(100 + BLAMES_MAX - 1), 1, "not the newest");
}

static void
test_busy(void)
{
    ok(!compact_day_is_busy(20261121), "no merge");
    atomic_store(&compact_state->intent.day, 20261121);
    atomic_store(&compact_state->intent.state, INTENT_MERGING);
    ok(compact_day_is_busy(20261121), "a merge of this day");
    ok(!compact_day_is_busy(20261122), "not of the next");
}

int
main(void)
{
    struct err err = ERR_INIT;

    ok(!compact_day_is_busy(20261121) && compact_ingest_delay_ns() == 0,
        "without a merge process");
    check(compact_create(&err) == 0);
    test_pressure();
    test_requests();
    test_blame();
    test_busy();
    compact_destroy();
    return tap_done();
}
