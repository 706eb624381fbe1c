/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/requests.h"

#include <errno.h>

#include "core/assert.h"
#include "core/enc.h"
#include "core/shm.h"
#include "core/timefmt.h"
#include "span/span.h"
#include "storage/shared.h"

/* Set-associative: a digest lives in one of WAYS places of its set. */
#define WAYS 16u
#define SETS (REQUESTS_MAX / WAYS)

/* REPLAYED: its rows are found, but not yet where a reader sees them. */
enum { FREE = 0, IN_FLIGHT, STORED, REPLAYED };

struct request {
    uint64_t digest[2];
    uint64_t log_id;
    uint32_t stored_sec; /* wall time; 0 while in flight */
    uint32_t status;     /* state 2 bits, reject_mask (but for its bit 0)
                            10, rejected 20 */
};
_Static_assert(sizeof(struct request) == 32, "sets share no cache line");
_Static_assert(REJECT_KINDS <= 11 && BATCH_SPANS_MAX < 1u << 20, "status");

static uint32_t
status_make(uint32_t state, const struct request_outcome *outcome)
{
    return state | outcome->reject_mask >> 1 << 2 | outcome->rejected << 12;
}

static uint32_t
request_state(const struct request *request)
{
    return request->status & 3;
}

static struct request_outcome
request_outcome(const struct request *request)
{
    return (struct request_outcome){request->status >> 12,
        (request->status >> 2 & 0x3ff) << 1};
}

static void
request_set_state(struct request *request, uint32_t state)
{
    request->status = (request->status & ~3u) | state;
}

/* A page of memory; most of the table is never touched. */
#define GROUP_SETS 8u

struct requests {
    pthread_mutex_t mutex;
    uint8_t is_used[SETS / GROUP_SETS]; /* set before the first of a group */
    struct request places[SETS][WAYS];
};

static struct requests *requests;

int
requests_create(struct err *err)
{
    void *region;

    check(requests == NULL);
    if (shm_new(&region, "spoor-requests", sizeof(struct requests), err) != 0)
        return -1;
    requests = region;
    shared_mutex_init(&requests->mutex);
    return 0;
}

void
requests_destroy(void)
{
    if (requests != NULL)
        shm_free(requests, sizeof(struct requests));
    requests = NULL;
}

static void
requests_lock(void)
{
    int rc = pthread_mutex_lock(&requests->mutex);

    /* An entry is written in an order that is harmless half-way. */
    if (rc == EOWNERDEAD) {
        pthread_mutex_consistent(&requests->mutex);
        rc = 0;
    }
    check(rc == 0);
}

static void
requests_unlock(void)
{
    check(pthread_mutex_unlock(&requests->mutex) == 0);
}

static uint32_t
now_sec(void)
{
    return (uint32_t)(clock_wall_ns() / NS_PER_SEC);
}

static bool
request_is_expired(const struct request *request, uint32_t now)
{
    /* A clock that went back keeps entries: too long is harmless. */
    return request_state(request) == STORED && now > request->stored_sec &&
        now - request->stored_sec > REQUESTS_HORIZON_NS / NS_PER_SEC;
}

static struct request *
request_find(const uint8_t digest[16], struct request **set)
{
    uint64_t low = enc_get64(digest), high = enc_get64(digest + 8);
    struct request *places = requests->places[low % SETS];

    *set = places;
    for (unsigned i = 0; i < WAYS; i++) {
        if (request_state(&places[i]) != FREE && places[i].digest[0] == low &&
            places[i].digest[1] == high)
            return &places[i];
    }
    return NULL;
}

/*
 * A place for a new digest: free, expired, else the oldest known one if that
 * is not younger.  NULL when there is none: what is in flight stays, and a
 * recovery that reads old digests last must not push out the newest.
 */
static struct request *
request_place(struct request *set, uint32_t now, uint32_t stored_sec)
{
    struct request *oldest = NULL;

    for (unsigned i = 0; i < WAYS; i++) {
        uint32_t state = request_state(&set[i]);

        if (state == FREE || request_is_expired(&set[i], now))
            return &set[i];
        if (state != IN_FLIGHT && set[i].stored_sec <= stored_sec &&
            (oldest == NULL || set[i].stored_sec < oldest->stored_sec))
            oldest = &set[i];
    }
    return oldest;
}

static void
request_fill(struct request *request, const uint8_t digest[16],
    uint64_t log_id, uint32_t status, uint32_t stored_sec)
{
    size_t place = (size_t)(request - &requests->places[0][0]);

    requests->is_used[place / (WAYS * GROUP_SETS)] = 1;
    __atomic_store_n(&request->status, FREE, __ATOMIC_RELEASE);
    request->digest[0] = enc_get64(digest);
    request->digest[1] = enc_get64(digest + 8);
    request->log_id = log_id;
    request->stored_sec = stored_sec;
    __atomic_store_n(&request->status, status, __ATOMIC_RELEASE);
}

enum request_state
requests_claim(const uint8_t digest[16], uint64_t log_id,
    struct request_outcome *outcome)
{
    enum request_state result = REQUEST_NEW;
    struct request *set, *request;
    uint32_t now = now_sec();

    requests_lock();
    request = request_find(digest, &set);
    if (request != NULL && !request_is_expired(request, now)) {
        result = request_state(request) == STORED ? REQUEST_STORED
            : REQUEST_IN_FLIGHT;
        *outcome = request_outcome(request);
    } else {
        if (request == NULL)
            request = request_place(set, now, UINT32_MAX);
        /* All ways in flight: goes unprotected rather than unserved. */
        if (request != NULL)
            request_fill(request, digest, log_id, IN_FLIGHT, 0);
    }
    requests_unlock();
    return result;
}

bool
requests_is_stored(const uint8_t digest[16])
{
    struct request *set, *request;
    bool is_stored;

    requests_lock();
    request = request_find(digest, &set);
    is_stored = request != NULL && request_state(request) == STORED &&
        !request_is_expired(request, now_sec());
    requests_unlock();
    return is_stored;
}

void
requests_settle(const uint8_t digest[16], uint64_t log_id, bool stored,
    const struct request_outcome *outcome)
{
    struct request *set, *request;

    requests_lock();
    request = request_find(digest, &set);
    if (request != NULL && request_state(request) == IN_FLIGHT &&
        request->log_id == log_id) {
        request->stored_sec = now_sec();
        request->status = status_make(stored ? STORED : FREE, outcome);
    }
    requests_unlock();
}

/* Its worker will settle what it has claimed. */
static bool
log_is_live(uint64_t log_id)
{
    for (unsigned i = 0; shared != NULL && i < shared->nslots; i++) {
        const struct slot *slot = &shared->slots[i];

        for (unsigned k = 0; k < SLOT_LOGS; k++) {
            if (atomic_load(&slot->logs[k]) == log_id)
                return atomic_load(&slot->state) == SLOT_LIVE;
        }
    }
    return false;
}

enum request_state
requests_replay(const uint8_t digest[16], uint64_t log_id, int64_t stored_ns,
    const struct request_outcome *outcome)
{
    enum request_state result = REQUEST_NEW;
    uint32_t stored_sec = (uint32_t)(stored_ns / NS_PER_SEC);
    struct request *set, *request;

    requests_lock();
    request = request_find(digest, &set);
    if (request != NULL && request->log_id != log_id) {
        if (request_state(request) != IN_FLIGHT)
            result = REQUEST_STORED;
        else if (log_is_live(request->log_id))
            result = REQUEST_IN_FLIGHT;
    }
    /* What was settled before the crash stays so for its twins. */
    if (result == REQUEST_NEW &&
        (request == NULL || request_state(request) != STORED)) {
        if (request == NULL)
            request = request_place(set, now_sec(), stored_sec);
        if (request != NULL)
            request_fill(request, digest, log_id,
                status_make(REPLAYED, outcome), stored_sec);
    }
    requests_unlock();
    return result;
}

void
requests_recovered(uint64_t log_id)
{
    requests_lock();
    for (uint32_t s = 0; s < SETS; s++) {
        if (!requests->is_used[s / GROUP_SETS])
            continue;
        for (unsigned i = 0; i < WAYS; i++) {
            struct request *request = &requests->places[s][i];

            if (log_id != 0 && request->log_id != log_id)
                continue;
            if (request_state(request) == REPLAYED)
                request_set_state(request, STORED);
            else if (request_state(request) == IN_FLIGHT)
                request_set_state(request, FREE);
        }
    }
    requests_unlock();
}
