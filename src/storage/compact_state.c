/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/compact_state.h"

#include "core/assert.h"
#include "core/shm.h"
#include "core/timefmt.h"

struct compact_state *compact_state;

int
compact_create(struct err *err)
{
    void *region;

    check(compact_state == NULL);
    if (shm_new(&region, "spoor-merges", sizeof(*compact_state), err) != 0)
        return -1;
    compact_state = region;
    return 0;
}

void
compact_destroy(void)
{
    if (compact_state != NULL)
        shm_free(compact_state, sizeof(*compact_state));
    compact_state = NULL;
}

void
compact_ended(bool crashed)
{
    atomic_fetch_add(&compact_state->deaths, crashed ? BLAME_CRASH : 1);
}

bool
compact_day_is_busy(uint32_t day)
{
    const struct intent *intent;

    if (compact_state == NULL)
        return false;
    intent = &compact_state->intent;
    return atomic_load(&intent->state) != INTENT_NONE &&
        atomic_load(&intent->day) == day;
}

/* --- blame --- */

static struct blame *
blame_find(uint64_t part_id)
{
    for (unsigned i = 0; i < BLAMES_MAX; i++) {
        if (compact_state->blames[i].part_id == part_id)
            return &compact_state->blames[i];
    }
    return NULL;
}

uint32_t
blame_points(uint64_t part_id)
{
    const struct blame *blame = blame_find(part_id);

    return blame != NULL ? blame->points : 0;
}

uint32_t
blame_add(uint64_t part_id, uint32_t points)
{
    struct blame *blame = blame_find(part_id);

    if (blame == NULL) {
        blame = &compact_state->blames[compact_state->next_blame++ %
            BLAMES_MAX];
        blame->part_id = part_id;
        blame->points = 0;
    }
    blame->points += points;
    return blame->points;
}

void
retired_name(char dst[RETIRE_NAME_MAX], uint32_t day, uint64_t part_id,
    uint32_t level)
{
    int n = snprintf(dst, RETIRE_NAME_MAX, "partitions/%08u/%016llx.l%u", day,
        (unsigned long long)part_id, level);

    check(n > 0 && n < (int)RETIRE_NAME_MAX);
}

/* --- requests --- */

/* Digits of a date, or of its beginning. */
static bool
prefix_is_sound(struct sv prefix)
{
    if (prefix.len > FORCE_PREFIX_MAX)
        return false;
    for (size_t i = 0; i < prefix.len; i++) {
        if (prefix.ptr[i] < '0' || prefix.ptr[i] > '9')
            return false;
    }
    return true;
}

int
compact_force(struct sv prefix, struct err *err)
{
    if (!prefix_is_sound(prefix))
        return err_set(err, ERR_INVALID, "partition_prefix must be the "
            "beginning of a day, as in 202611");
    for (unsigned i = 0; i < FORCES_MAX; i++) {
        struct force *force = &compact_state->forces[i];
        uint32_t expected = FORCE_FREE;

        if (!atomic_compare_exchange_strong(&force->state, &expected,
            FORCE_FILLING))
            continue;
        if (prefix.len > 0)
            memcpy(force->prefix, prefix.ptr, prefix.len);
        force->prefix[prefix.len] = '\0';
        atomic_store(&force->state, FORCE_WAITS);
        return 0;
    }
    return err_set(err, ERR_BUSY, "%u forced merges are waiting", FORCES_MAX);
}

unsigned
compact_forced(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < FORCES_MAX; i++)
        n += atomic_load(&compact_state->forces[i].state) >= FORCE_WAITS;
    return n;
}

/* --- back-pressure --- */

int64_t
compact_ingest_delay_ns(void)
{
    uint32_t pending;

    if (compact_state == NULL)
        return 0;
    pending = atomic_load(&compact_state->pending);
    if (pending <= COMPACT_SLOW_PARTS || clock_mono_ns() -
        atomic_load(&compact_state->progress_ns) > COMPACT_STUCK_NS)
        return 0;
    if (pending > COMPACT_WAIT_PARTS)
        return INT64_MAX;
    return COMPACT_DELAY_MAX_NS / (COMPACT_WAIT_PARTS - COMPACT_SLOW_PARTS) *
        (pending - COMPACT_SLOW_PARTS);
}
