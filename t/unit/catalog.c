/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Catalogue and request table: generations, readers, a writer that dies
 * before its flip, digests.
 */

#include "core/base.h"

#include <pthread.h>
#include <sys/wait.h>

#include "core/pool.h"
#include "core/timefmt.h"
#include "storage/catalog.h"
#include "storage/requests.h"
#include "store_dir.h"
#include "tap.h"

static struct part_info
part(uint64_t id)
{
    return (struct part_info){.id = id, .min_end_ns = (int64_t)id * 100,
        .max_end_ns = (int64_t)id * 100 + 50};
}

static uint32_t
visible(int64_t min_end, int64_t max_end)
{
    struct pool *pool = pool_new(64 * MIB);
    struct catalog_snapshot snapshot;
    struct err err = ERR_INIT;
    uint32_t n;

    check(catalog_snapshot_take(&snapshot, pool, min_end, max_end,
        &err) == 0);
    n = snapshot.n;
    catalog_snapshot_release(&snapshot);
    pool_free(pool);
    return n;
}

static void
test_generations(void)
{
    struct pool *pool = pool_new(64 * MIB);
    struct catalog_snapshot snapshot;
    struct err err = ERR_INIT;
    struct part_info info = part(1);
    uint32_t a, b, m;
    uint64_t gen;

    catalog_begin();
    check(catalog_add_part(&info, &a, &err) == 0);
    check(catalog_add_memtable(0, 1, &m, &err) == 0);
    is_int(visible(INT64_MIN, INT64_MAX), 0, "nothing before the flip");
    catalog_commit();
    is_int(visible(INT64_MIN, INT64_MAX), 2, "both after it");
    is_int(visible(1000, 2000), 1, "out of the time range: the memtable");

    check(catalog_snapshot_take(&snapshot, pool, INT64_MIN, INT64_MAX,
        &err) == 0);
    is_int(snapshot.items[0].kind, CATALOG_MEMTABLE, "memtables come first");
    is_int(catalog_oldest_reader(), snapshot.gen, "the reader is known");
    info = part(2);
    catalog_begin();
    check(catalog_add_part(&info, &b, &err) == 0);
    catalog_remove(m);
    gen = catalog_commit();
    ok(catalog_oldest_reader() < gen, "the reader holds the old generation");
    is_int(visible(INT64_MIN, INT64_MAX), 2, "a swap is one step");
    catalog_snapshot_release(&snapshot);
    is_int(catalog_oldest_reader(), UINT64_MAX, "no reader");

    catalog_begin();
    catalog_remove(a);
    catalog_abort();
    is_int(visible(INT64_MIN, INT64_MAX), 2, "an aborted change is undone");
    ok(catalog_has_part(2) && !catalog_has_part(9), "parts by id");
    pool_free(pool);
}

/* A process that dies between begin and commit leaves nothing behind. */
static void
test_dead_writer(void)
{
    struct part_info info = part(3);
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        catalog_begin();
        (void)!catalog_add_part(&info, NULL, NULL);
        catalog_remove(0);
        _exit(0);
    }
    check(waitpid(pid, &status, 0) == pid);
    is_int(visible(INT64_MIN, INT64_MAX), 2, "a dead writer changes nothing");
    catalog_begin();
    catalog_commit();
    is_int(visible(INT64_MIN, INT64_MAX), 2, "nor when the next one commits");
    ok(!catalog_has_part(3), "its part is not there");
}

#define SWAPS 100000u
#define KEPT 40u

/* One part takes the place of the other, again and again. */
static void *
swap_parts(void *arg)
{
    uint32_t alive = *(uint32_t *)arg, next;

    for (uint32_t i = 0; i < SWAPS; i++) {
        struct part_info info = part(1000 + i);

        catalog_begin();
        catalog_remove(alive);
        check(catalog_add_part(&info, &next, NULL) == 0);
        catalog_commit();
        alive = next;
    }
    return NULL;
}

static _Atomic bool is_swapped;

/* Comes and goes, so that the oldest reader changes all the time. */
static void *
come_and_go(void *arg)
{
    struct pool *pool = pool_new(64 * MIB);
    uint64_t *wrong = arg;

    while (!atomic_load(&is_swapped)) {
        struct catalog_snapshot snapshot;
        struct err err = ERR_INIT;

        pool_reset(pool);
        check(catalog_snapshot_take(&snapshot, pool, INT64_MIN, INT64_MAX,
            &err) == 0);
        *wrong += snapshot.n != KEPT + 1;
        catalog_snapshot_release(&snapshot);
    }
    pool_free(pool);
    return NULL;
}

/* What nobody removed stays, whoever reads while places are given anew. */
static void
test_kept(void)
{
    pthread_t writer, reader;
    struct err err = ERR_INIT;
    struct part_info info;
    uint64_t wrong = 0;
    uint32_t entry, kept = 0;

    catalog_begin();
    catalog_remove_all();
    for (uint64_t id = 1; id <= KEPT + 1; id++) {
        info = part(id);
        check(catalog_add_part(&info, &entry, &err) == 0);
    }
    catalog_commit();
    check(pthread_create(&writer, NULL, swap_parts, &entry) == 0);
    check(pthread_create(&reader, NULL, come_and_go, &wrong) == 0);
    pthread_join(writer, NULL);
    atomic_store(&is_swapped, true);
    pthread_join(reader, NULL);
    for (uint64_t id = 1; id <= KEPT; id++)
        kept += catalog_has_part(id);
    is_int(kept, KEPT, "what was not removed is there");
    is_int(wrong, 0, "and every reader saw it");
}

/* A reader sees one of them, whole, while entries are used again. */
static void
test_reuse(void)
{
    struct pool *pool = pool_new(64 * MIB);
    struct part_info info = part(999);
    uint64_t reads = 0, wrong = 0, last = 0;
    struct err err = ERR_INIT;
    pthread_t writer;
    uint32_t entry;

    catalog_begin();
    catalog_remove_all();
    check(catalog_add_part(&info, &entry, &err) == 0);
    catalog_commit();
    check(pthread_create(&writer, NULL, swap_parts, &entry) == 0);
    while (last < 999 + SWAPS) {
        struct catalog_snapshot snapshot;
        const struct part_info *seen;

        pool_reset(pool);
        check(catalog_snapshot_take(&snapshot, pool, INT64_MIN, INT64_MAX,
            &err) == 0);
        seen = &snapshot.items[0].part;
        wrong += snapshot.n != 1 || seen->min_end_ns !=
            (int64_t)seen->id * 100 || seen->id < last;
        last = snapshot.n == 1 ? seen->id : last;
        catalog_snapshot_release(&snapshot);
        reads++;
    }
    pthread_join(writer, NULL);
    ok(reads > 100, "%d snapshots", (int)reads);
    is_int(wrong, 0, "each sees one part, whole");
    pool_free(pool);
}

static void
test_requests(void)
{
    struct request_outcome outcome = {5, 2}, got = {0, 0};
    uint8_t digest[16] = {9};

    is_int(requests_claim(digest, 1, &got), REQUEST_NEW, "new");
    is_int(requests_claim(digest, 2, &got), REQUEST_IN_FLIGHT, "in flight");
    requests_settle(digest, 1, false, &outcome);
    is_int(requests_claim(digest, 2, &got), REQUEST_NEW, "failed: new again");
    requests_settle(digest, 1, true, &outcome);
    is_int(requests_claim(digest, 3, &got), REQUEST_IN_FLIGHT,
        "only the owner settles");
    requests_settle(digest, 2, true, &outcome);
    is_int(requests_claim(digest, 3, &got), REQUEST_STORED, "stored");
    is_int(got.rejected, 5, "with the first answer");

    digest[0] = 10;
    is_int(requests_claim(digest, 4, &got), REQUEST_NEW, "another");
    requests_recovered(4);
    is_int(requests_claim(digest, 5, &got), REQUEST_NEW,
        "a dead log's claims are forgotten");
    requests_settle(digest, 5, true, &outcome);
    is_int(requests_replay(digest, 6, clock_wall_ns(), &outcome),
        REQUEST_STORED, "a copy in another log is not replayed");
    is_int(requests_replay(digest, 5, clock_wall_ns(), &outcome),
        REQUEST_NEW, "the owner's is");
    is_int(requests_claim(digest, 7, &got), REQUEST_STORED,
        "and stays stored");

    digest[0] = 11;
    is_int(requests_claim(digest, 5, &got), REQUEST_NEW, "a third");
    is_int(requests_replay(digest, 6, clock_wall_ns(), &outcome),
        REQUEST_NEW, "what a dead worker had in flight is taken over");
    requests_settle(digest, 5, true, &outcome);
    is_int(requests_claim(digest, 7, &got), REQUEST_IN_FLIGHT,
        "not stored before its recovery ended");
    is_int(requests_replay(digest, 5, clock_wall_ns(), &outcome),
        REQUEST_STORED, "nor taken back");
    requests_recovered(6);
    is_int(requests_claim(digest, 7, &got), REQUEST_STORED, "then stored");

    digest[0] = 12;
    is_int(requests_replay(digest, 8, clock_wall_ns() - 2 *
        REQUESTS_HORIZON_NS, &outcome), REQUEST_NEW, "an old one is replayed");
    requests_recovered(0);
    is_int(requests_claim(digest, 9, &got), REQUEST_NEW,
        "but is beyond the horizon");
}

#define SET_DIGESTS 40u
#define SET_WAYS 16u

/* Recovery reads digests in any order: the newest of a set must be known. */
static void
test_full_set(void)
{
    struct request_outcome outcome = {7, 1u << REJECT_TRACE_ID}, got;
    uint8_t digests[SET_DIGESTS][16];
    uint64_t first = 1u << 30;
    int64_t now = clock_wall_ns();
    uint32_t known = 0;

    memset(digests, 0, sizeof(digests));
    for (uint32_t i = 0; i < SET_DIGESTS; i++) {
        uint64_t low = first + (uint64_t)i * REQUESTS_MAX;
        uint32_t age = i * 7 % SET_DIGESTS;

        memcpy(digests[age], &low, 8);
        digests[age][15] = 1;
    }
    for (uint32_t i = 0; i < SET_DIGESTS; i++) {
        uint32_t age = i * 11 % SET_DIGESTS;

        (void)requests_replay(digests[age], 20, now - age * NS_PER_SEC,
            &outcome);
    }
    requests_recovered(0);
    for (uint32_t age = 0; age < SET_WAYS; age++)
        known += requests_claim(digests[age], 21, &got) == REQUEST_STORED &&
            got.rejected == 7 && got.reject_mask == outcome.reject_mask;
    is_int(known, SET_WAYS, "a full set knows the newest");
}

int
main(void)
{
    struct err err = ERR_INIT;

    check(catalog_create(&err) == 0 && requests_create(&err) == 0);
    test_generations();
    test_dead_writer();
    test_reuse();
    test_kept();
    test_requests();
    test_full_set();
    catalog_destroy();
    requests_destroy();
    return tap_done();
}
