/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/retire.h"

#include <poll.h>

#include "core/assert.h"
#include "core/log.h"
#include "core/shm.h"
#include "core/timefmt.h"
#include "storage/catalog.h"
#include "storage/layout.h"

#define DRAIN_POLL_MS 10

struct retired {
    uint64_t gen;
    char name[RETIRE_NAME_MAX];
};

/*
 * A ring: places first ... end - 1, each modulo RETIRE_MAX.  A place is
 * filled before `end` counts it and removed from disk before `first` leaves
 * it, so a kill at any point repeats a removal at most.
 */
struct queue {
    _Atomic uint64_t first;
    _Atomic uint64_t end;
    struct retired places[RETIRE_MAX];
};

static struct queue *queues;

int
retire_create(struct err *err)
{
    void *region;

    check(queues == NULL);
    if (shm_new(&region, "spoor-retire", RETIRE_QUEUES * sizeof(*queues),
        err) != 0)
        return -1;
    queues = region;
    return 0;
}

void
retire_destroy(void)
{
    if (queues != NULL)
        shm_free(queues, RETIRE_QUEUES * sizeof(*queues));
    queues = NULL;
}

uint32_t
retire_waiting(enum retire_queue id)
{
    const struct queue *queue = &queues[id];

    return (uint32_t)(atomic_load(&queue->end) - atomic_load(&queue->first));
}

bool
retire_has_room(enum retire_queue id, size_t n)
{
    return n <= RETIRE_MAX - retire_waiting(id);
}

void
retire_add(enum retire_queue id, uint64_t gen, const char *name)
{
    struct queue *queue = &queues[id];
    uint64_t end = atomic_load(&queue->end);
    struct retired *place = &queue->places[end % RETIRE_MAX];

    check(strlen(name) < sizeof(place->name));
    if (!retire_has_room(id, 1)) {
        log_warn("too many files wait for queries to end; %s stays until "
            "the next start", name);
        return;
    }
    place->gen = gen;
    snprintf(place->name, sizeof(place->name), "%s", name);
    atomic_store(&queue->end, end + 1);
}

unsigned
retire_poll(enum retire_queue id, retire_fn remove, unsigned max)
{
    struct queue *queue = &queues[id];
    uint64_t first = atomic_load(&queue->first);
    uint64_t end = atomic_load(&queue->end), oldest;
    char path[PATH_MAX];
    unsigned n = 0;

    if (first == end)
        return 0;
    oldest = catalog_oldest_reader();
    for (; first != end && n < max; n++) {
        const struct retired *place = &queue->places[first % RETIRE_MAX];
        struct err err = ERR_INIT;

        /* Generations rise along the queue. */
        if (place->gen > oldest)
            break;
        layout_path(path, place->name);
        if (remove(path, &err) != 0)
            log_warn("not removed, stays until the next start: %s",
                err.text);
        atomic_store(&queue->first, ++first);
    }
    return n;
}

/* A place is looked at before its number is compared: see struct queue. */
bool
retire_waits_for(enum retire_queue id, const char *prefix)
{
    const struct queue *queue = &queues[id];
    uint64_t first = atomic_load(&queue->first);
    uint64_t end = atomic_load(&queue->end);

    for (; first != end; first++) {
        const struct retired *place = &queue->places[first % RETIRE_MAX];

        if (strncmp(place->name, prefix, strlen(prefix)) == 0 &&
            atomic_load(&queue->first) <= first)
            return true;
    }
    return false;
}

bool
retire_drain(enum retire_queue id, retire_fn remove, int64_t timeout_ns)
{
    int64_t until = clock_mono_ns() + timeout_ns;

    for (;;) {
        (void)retire_poll(id, remove, RETIRE_MAX);
        if (retire_waiting(id) == 0)
            return true;
        if (clock_mono_ns() >= until)
            return false;
        (void)poll(NULL, 0, DRAIN_POLL_MS);
    }
}
