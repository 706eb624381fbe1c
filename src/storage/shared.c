/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/shared.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/shm.h"
#include "core/timefmt.h"

struct shared *shared;

static char *buffers;
static size_t buffers_bytes;
static size_t shared_bytes;
static int wake_fds[SLOTS_MAX];

void
shared_mutex_init(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attr;

    check(pthread_mutexattr_init(&attr) == 0);
    check(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) == 0);
    check(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) == 0);
    check(pthread_mutex_init(mutex, &attr) == 0);
    pthread_mutexattr_destroy(&attr);
}

int
shared_create(unsigned nslots, struct err *err)
{
    void *region;

    check(shared == NULL);
    check(nslots > 0 && nslots <= SLOTS_MAX);
    shared_bytes = sizeof(struct shared) + nslots * sizeof(struct slot);
    if (shm_new(&region, "spoor-shared", shared_bytes, err) != 0)
        return -1;
    shared = region;
    buffers_bytes = (size_t)nslots * SLOT_BUFFERS * MEMTABLE_BYTES;
    if (shm_new(&region, "spoor-memtables", buffers_bytes, err) != 0)
        return -1;
    buffers = region;
    for (unsigned i = 0; i < nslots; i++) {
        wake_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (wake_fds[i] < 0)
            return err_sys(err, "eventfd");
    }
    for (unsigned i = 0; i < PARTITION_MUTEXES; i++)
        shared_mutex_init(&shared->mutexes[i]);
    shared->magic = SHARED_MAGIC;
    shared->layout = SHARED_LAYOUT;
    shared->nslots = nslots;
    return 0;
}

void
shared_destroy(void)
{
    if (shared == NULL)
        return;
    for (unsigned i = 0; i < shared->nslots; i++)
        close(wake_fds[i]);
    shm_free(buffers, buffers_bytes);
    shm_free(shared, shared_bytes);
    shared = NULL;
    buffers = NULL;
}

void *
shared_buffer(unsigned slot, unsigned buffer)
{
    check(slot < shared->nslots && buffer < SLOT_BUFFERS);
    return buffers + ((size_t)slot * SLOT_BUFFERS + buffer) * MEMTABLE_BYTES;
}

void
shared_wake(unsigned slot)
{
    uint64_t one = 1;
    ssize_t written;

    check(slot < shared->nslots);
    /* EAGAIN means the counter is full: it is awake anyway. */
    written = write(wake_fds[slot], &one, sizeof(one));
    (void)written;
}

int
shared_wake_fd(unsigned slot)
{
    check(slot < shared->nslots);
    return wake_fds[slot];
}

uint64_t
shared_new_log_id(void)
{
    uint32_t boot = atomic_load(&shared->boot);

    check(boot != 0);
    return (uint64_t)boot << 32 | atomic_fetch_add(&shared->next_log, 1);
}

uint64_t
shared_new_part_id(void)
{
    uint32_t boot = atomic_load(&shared->boot);

    check(boot != 0);
    return (uint64_t)boot << 40 | atomic_fetch_add(&shared->next_part, 1);
}

static size_t
partition_index(uint32_t day)
{
    int64_t index = time_day_start(day) / NS_PER_DAY;

    check(index >= 0 && index < (int64_t)PARTITIONS_MAX);
    return (size_t)index;
}

struct partition *
partition_lock(uint32_t day)
{
    size_t index = partition_index(day);
    pthread_mutex_t *mutex;
    int rc;

    mutex = &shared->mutexes[index % PARTITION_MUTEXES];
    rc = pthread_mutex_lock(mutex);
    if (rc == EOWNERDEAD) {
        /* The owner may have died in the middle of an edit of any of them. */
        for (size_t i = index % PARTITION_MUTEXES;
            i < PARTITIONS_MAX; i += PARTITION_MUTEXES) {
            if (shared->partitions[i].manifest_end != 0)
                shared->partitions[i].manifest_end = 0;
        }
        pthread_mutex_consistent(mutex);
        rc = 0;
    }
    check(rc == 0);
    return &shared->partitions[index];
}

void
partition_unlock(struct partition *partition)
{
    size_t index = (size_t)(partition - shared->partitions);

    check(index < PARTITIONS_MAX);
    check(pthread_mutex_unlock(
        &shared->mutexes[index % PARTITION_MUTEXES]) == 0);
}

enum partition_state
partition_state(uint32_t day)
{
    return (enum partition_state)atomic_load(
        &shared->partitions[partition_index(day)].state);
}

uint32_t
partition_incarnation(uint32_t day)
{
    return atomic_load(
        &shared->partitions[partition_index(day)].incarnation) + 1;
}

void
partition_set_state(struct partition *partition, enum partition_state state)
{
    enum partition_state was =
        (enum partition_state)atomic_load(&partition->state);

    if (was == PARTITION_OPEN && state != PARTITION_OPEN)
        atomic_fetch_add(&shared->closed_days, 1);
    if (was != state &&
        (state == PARTITION_DETACHED || state == PARTITION_DROPPING)) {
        atomic_fetch_add(&partition->incarnation, 1);
        partition->manifest_end = 0;
        partition->must_rewrite = 0;
    }
    atomic_store(&partition->state, state);
    if (was != PARTITION_OPEN && state == PARTITION_OPEN)
        atomic_fetch_sub(&shared->closed_days, 1);
}
