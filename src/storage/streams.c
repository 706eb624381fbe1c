/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A set-associative table in shared memory: 48 bits of the hash and 16 of the
 * day in one word, eight words a set.  A full set forgets the stream of its
 * oldest day, which then counts again when it comes again: the counter errs
 * upwards only, and only with more than STREAMS_MAX streams.  The table
 * starts empty, so after a start every stream is new once.
 */

#include "core/base.h"
#include "storage/streams.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/assert.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/shm.h"
#include "core/sys.h"
#include "core/timefmt.h"

#define WAYS 8u
#define SETS (STREAMS_MAX / WAYS)
#define DAY_BITS 16
/* Of a name in the log. */
#define NAME_LOGGED_MAX ((size_t)256)

struct streams {
    uint64_t seed;
    _Atomic int64_t log_until_ns; /* monotonic */
    _Alignas(64) _Atomic uint64_t words[SETS][WAYS];
};

static struct streams *streams;
static bool is_logged;

int
streams_create(struct err *err)
{
    void *shared;

    if (shm_new(&shared, "spoor-streams", sizeof(*streams), err) != 0)
        return -1;
    if (shm_reserve(shared, sizeof(*streams), err) != 0) {
        shm_free(shared, sizeof(*streams));
        return -1;
    }
    streams = shared;
    check(sys.random(&streams->seed, sizeof(streams->seed)) == 0);
    return 0;
}

void
streams_destroy(void)
{
    if (streams != NULL)
        shm_free(streams, sizeof(*streams));
    streams = NULL;
}

void
streams_configure(const struct conf *conf)
{
    is_logged = conf->log_new_streams;
}

void
streams_log_for(unsigned sec)
{
    check(sec <= STREAMS_LOG_SEC_MAX);
    if (streams != NULL)
        atomic_store(&streams->log_until_ns, clock_mono_ns() +
            (int64_t)sec * NS_PER_SEC);
}

static uint64_t
hash_of(const struct tenant *tenant, struct sv service, struct sv name)
{
    uint64_t words[2] = {
        (uint64_t)tenant->account << 32 | tenant->project, service.len};
    uint64_t hash = XXH3_64bits_withSeed(words, sizeof(words),
        streams->seed);

    if (service.len > 0)
        hash = XXH3_64bits_withSeed(service.ptr, service.len, hash);
    return name.len == 0 ? hash
        : XXH3_64bits_withSeed(name.ptr, name.len, hash);
}

/* Days since 1970 modulo 2^16; 0 is left to empty words. */
static uint64_t
day_of(int64_t end_ns)
{
    uint64_t day = (uint64_t)MAX(end_ns, 0) / (uint64_t)NS_PER_DAY;

    return day % ((1u << DAY_BITS) - 1) + 1;
}

/* True when the word was not there; it is now. */
static bool
set_add(_Atomic uint64_t set[WAYS], uint64_t word)
{
    const uint64_t day_mask = (1u << DAY_BITS) - 1;
    unsigned oldest = (unsigned)(word >> DAY_BITS) % WAYS;

    for (unsigned i = 0; i < WAYS; i++) {
        uint64_t seen = 0;

        if (atomic_compare_exchange_strong(&set[i], &seen, word))
            return true;
        if (seen == word)
            return false;
        if ((seen & day_mask) < (atomic_load(&set[oldest]) & day_mask))
            oldest = i;
    }
    atomic_store(&set[oldest], word);
    return true;
}

static void
say(const struct tenant *tenant, struct sv service, struct sv name,
    int64_t end_ns)
{
    log_info("new stream of tenant %u:%u on %u: service.name \"%.*s\", "
        "name \"%.*s\"", tenant->account, tenant->project, time_day(end_ns),
        (int)MIN(service.len, NAME_LOGGED_MAX), service.ptr,
        (int)MIN(name.len, NAME_LOGGED_MAX), name.ptr);
}

void
streams_note(const struct tenant *tenant, struct sv service, struct sv name,
    int64_t end_ns)
{
    uint64_t hash;

    if (streams == NULL)
        return;
    hash = hash_of(tenant, service, name);
    if (!set_add(streams->words[hash % SETS],
        (hash / SETS) << DAY_BITS | day_of(end_ns)))
        return;
    metric_add(METRIC_STREAMS_CREATED, 1);
    if (is_logged || clock_mono_ns() < atomic_load_explicit(
        &streams->log_until_ns, memory_order_relaxed))
        say(tenant, service, name, end_ns);
}
