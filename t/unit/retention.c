/* SPDX-License-Identifier: BSD-2-Clause */

/* Retention: which days go, by which clock, and how a day goes. */

#include "core/base.h"

#include <sys/stat.h>

#include "core/mem.h"
#include "core/metrics.h"
#include "storage/catalog.h"
#include "storage/manifest.h"
#include "storage/new_days.h"
#include "storage/publish.h"
#include "storage/retention.h"
#include "storage/retention_clock.h"
#include "storage/retire.h"
#include "storage/shared.h"
#include "storage/trash.h"
#include "store_dir.h"
#include "tap.h"

#define HOUR (3600 * NS_PER_SEC)

/* --- which --- */

static const struct catalog_day days[] = {
    {20261101, 1, 0, 10, 100}, {20261102, 1, 0, 10, 100},
    {20261103, 1, 0, 10, 100}, {20261104, 1, 0, 10, 100},
    {20261105, 1, 0, 10, 100},
};

static void
chosen(const struct retention_rules *rules, size_t n, size_t want,
    size_t want_by_age, const char *name)
{
    size_t by_age;

    is_int(retention_choose(rules, days, n, &by_age), want, "%s", name);
    is_int(by_age, want_by_age, "%s", name);
}

static void
test_choose(void)
{
    struct retention_rules rules = {.now_ns = time_day_start(20261105) +
        HOUR, .retention_ns = 100 * NS_PER_DAY};

    chosen(&rules, 5, 0, 0, "nothing is old");
    rules.retention_ns = 3 * NS_PER_DAY;
    chosen(&rules, 5, 1, 1, "one day is: whole days");
    rules.retention_ns = INT64_MAX;
    chosen(&rules, 5, 0, 0, "for ever");
    rules.now_ns = time_day_start(20270101);
    rules.retention_ns = NS_PER_DAY;
    chosen(&rules, 5, 5, 5, "all are old: by age no day is spared");
    rules.retention_ns = INT64_MAX;
    rules.bytes_max = 500;
    chosen(&rules, 5, 0, 0, "just enough place");
    rules.bytes_max = 499;
    chosen(&rules, 5, 1, 0, "one byte too many");
    rules.bytes_max = 1;
    chosen(&rules, 5, 3, 0, "the last two stay");
    chosen(&rules, 2, 0, 0, "if there are no others, too");
    chosen(&rules, 0, 0, 0, "no day");
    rules.bytes_max = 0;
    rules.bytes_over = 150;
    chosen(&rules, 5, 2, 0, "so many that it is free");
    rules.bytes_over = 1000000;
    chosen(&rules, 5, 3, 0, "but not the last two");
    rules.now_ns = time_day_start(20261105);
    rules.retention_ns = NS_PER_DAY;
    rules.bytes_over = 1;
    chosen(&rules, 5, 3, 3, "age and size");
}

/* --- new days --- */

static void
test_new_days(void)
{
    static struct new_days known;
    struct pool *pool = pool_new(MIB);
    struct tenant one = {1, 0}, two = {2, 0};
    struct batch batch;

    batch_init(&batch, pool);
    for (unsigned i = 0; i < 150; i++) {
        struct span *span = batch_add_span(&batch, NULL);

        span->end_ns = time_day_start(20260101) + i / 2 * NS_PER_DAY + i;
    }
    for (unsigned i = 0; i < 10; i++)
        batch_reject(&batch, i, REJECT_TRACE_ID);
    new_days_know(&known, time_day(batch.spans[149].end_ns));
    ok(!new_days_allow(&known, &one, &batch, 5), "69 new days are too many");
    ok(!new_days_allow(&known, &one, &batch, 6), "in this minute");
    ok(new_days_allow(&known, &two, &batch, 7), "5 more for another tenant");
    ok(new_days_allow(&known, &one, &batch, 8), "then all are known");
    new_days_forget(&known, 20260301);
    ok(!new_days_allow(&known, &one, &batch, 9), "one went");
    ok(new_days_allow(&known, &one, &batch, 61 * NS_PER_SEC), "the next "
        "minute");
    pool_free(pool);
}

/* --- the clock --- */

static void
test_clock(void)
{
    struct retention_clock clock = {0, 0, 0};
    int64_t base = time_day_start(20261105), year = 365 * NS_PER_DAY;

    is_int(retention_clock_read(&clock, base, 5), base, "no past: believed");
    retention_clock_start(&clock, base - HOUR / 2, base, 0);
    is_int(retention_clock_tick(&clock, base, 0), base, "half an hour off");
    is_int(retention_clock_tick(&clock, base + 10, 10), base + 10, "goes on");
    is_int(retention_clock_tick(&clock, base - HOUR, 20), base - HOUR,
        "set back: believed");
    is_int(retention_clock_tick(&clock, base, 30), base, "and forth an hour");
    is_int(retention_clock_tick(&clock, base + year, HOUR), base + 2 * HOUR -
        30, "a year ahead: not believed");
    is_int(retention_clock_tick(&clock, base + year, 2 * HOUR - 1),
        base + 3 * HOUR - 31, "nor a little later");
    is_int(retention_clock_tick(&clock, base + year, 2 * HOUR), base + year,
        "but after an hour");
    is_int(retention_clock_tick(&clock, base + year + 1, 2 * HOUR + 1),
        base + year + 1, "from then on");
    is_int(retention_clock_tick(&clock, base + 3 * year, 3 * HOUR),
        base + year + 2 * HOUR, "again");
    is_int(retention_clock_tick(&clock, base + year, 3 * HOUR + 1),
        base + year, "and mended");
    is_int(retention_clock_tick(&clock, base + 3 * year, 4 * HOUR + 2),
        base + year + 2 * HOUR + 1, "an hour counts from then");
    retention_clock_start(&clock, INT64_MAX, base, 7);
    is_int(retention_clock_tick(&clock, base, 7), base, "nothing on disk");
    retention_clock_start(&clock, base + year, base, 7);
    is_int(retention_clock_tick(&clock, base, 7), base, "data of the future");
    retention_clock_start(&clock, base - year, base, 0);
    is_int(retention_clock_tick(&clock, base, 0), base - year + HOUR,
        "a year off");
}

/* --- how --- */

static void
add_day(uint32_t day, uint64_t id)
{
    struct manifest_part part = {.info = {.id = id, .day = day, .level = 1,
        .rows = 10, .bytes = 5}};
    struct manifest_edit edit = {.add = &part, .nadd = 1};
    struct err err = ERR_INIT;

    check(manifest_append(day, &edit, false, &err) == 0);
    catalog_begin();
    check(catalog_add_part(&part.info, NULL, &err) == 0);
    catalog_commit();
}

static bool
day_exists(uint32_t day)
{
    char path[PATH_MAX];

    layout_partition_dir(path, day);
    return access(path, F_OK) == 0;
}

static void
test_drop(void)
{
    struct catalog_snapshot snapshot;
    struct catalog_day *list = NULL;
    struct err err = ERR_INIT;
    struct pool *pool = pool_new(MIB);
    struct manifest_edit edit = {.incarnation = 1};
    char path[PATH_MAX];

    add_day(20261101, 1);
    add_day(20261102, 2);
    add_day(20261101, 3);
    is_int(catalog_sum_days(&list), 2, "two days");
    is_int(list[0].parts, 2, "with two parts");
    is_int(list[0].rows, 20, "rows");
    is_int(list[1].bytes, 5, "and bytes");
    xfree(list);
    layout_path(path, "partitions/20261101/snapshots");
    check(mkdir(path, 0700) == 0);
    layout_path(path, "partitions/20261101/snapshots/link");
    check(symlink("/", path) == 0);

    check(catalog_snapshot_take(&snapshot, pool, INT64_MIN, INT64_MAX,
        &err) == 0);
    ok(retention_drop_day(20261101), "a day is dropped");
    is_int(partition_state(20261101), PARTITION_DROPPING, "its state");
    is_int(manifest_append(20261101, &edit, false, &err), -1, "no edit");
    is_int(catalog_sum_days(&list), 1, "it is not seen");
    xfree(list);
    is_int(retention_poll(), 1, "it waits for a reader");
    ok(day_exists(20261101), "so it is there");
    retention_resume();
    is_int(retention_poll(), 2, "a successor begins again");
    catalog_snapshot_release(&snapshot);
    is_int(retention_poll(), 0, "the reader is gone");
    ok(!day_exists(20261101), "so is the day");
    ok(day_exists(20261102), "the other is there");
    is_int(partition_state(20261101), PARTITION_OPEN, "a new one may come");
    is_int(atomic_load(&shared->closed_days), 0, "nothing is closed");
    is_int(manifest_append(20261101, &edit, false, &err), -1, "not by whom "
        "knows the old one");
    is_int(err.code, ERR_CANCELLED, "that is cancelled");

    ok(trash_has_days(), "it is in .trash");
    ok(trash_sweep(1), "a file is removed");
    ok(!trash_sweep(100), "and the others");
    ok(!trash_has_days(), "and the directory");
    ok(access("/", F_OK) == 0, "but not what a link points to");
    pool_free(pool);
}

/* Rows of days that went, and of one that is detached, at a flush. */
static void
test_flush(void)
{
    static const uint32_t ends[] = {20261110, 20261111, 20261112, 20261113};
    struct part_writer *part_writer = part_writer_new();
    struct memtable_writer *writer = memtable_writer_new();
    void *region = aligned_alloc(4096, MEMTABLE_BYTES);
    struct pool *pool = pool_new(MIB);
    struct memtable *mt = memtable_init(region, 77, 1);
    struct partition *partition;
    struct publish *publish;
    struct tenant tenant = {0, 0};
    struct err err = ERR_INIT;
    struct batch batch;
    struct ingest ingest;
    char path[PATH_MAX];
    size_t n;

    atomic_store(&shared->boot, 1);
    batch_init(&batch, pool);
    store_ingest_make(&ingest, &batch, 4, SV_EMPTY, 1);
    check(batch_add_resource(&batch, NULL) != NULL &&
        batch_add_scope(&batch, NULL) != NULL);
    for (unsigned i = 0; i < 4; i++)
        batch.spans[i].end_ns = time_day_start(ends[i]) + 5;
    memtable_writer_attach(writer, mt);
    check(memtable_append(writer, &tenant, &batch, 0) == 4);
    memtable_commit(mt, 4);

    atomic_store(&shared->keep_from, ends[1]);
    partition = partition_lock(ends[1]);
    partition_set_state(partition, PARTITION_DROPPING);
    partition_unlock(partition);
    partition = partition_lock(ends[2]);
    partition_set_state(partition, PARTITION_DETACHED);
    partition_unlock(partition);
    publish = publish_new(mt, 4, 1, 5);
    is_int(publish_write(publish, part_writer, false, &err), 0, "published%s",
        err.text);
    is_int(publish_parts(publish, &n)->info.day, ends[3], "one day");
    is_int(n, 1, "only");
    ok(publish_is_current(publish, 0), "of now");
    is_int(metric_get(METRIC_DROPPED_TOO_SMALL_TIMESTAMP), 2, "two rows went");
    ok(!day_exists(ends[0]) && !day_exists(ends[1]), "their days, too");
    ok(day_exists(ends[2]), "the part of the detached day waits there");
    layout_manifest(path, ends[2]);
    ok(access(path, F_OK) != 0, "without a manifest");
    partition = partition_lock(ends[3]);
    partition_set_state(partition, PARTITION_DETACHED);
    partition_unlock(partition);
    ok(!publish_is_current(publish, 0), "not when the day went since");
    publish_free(publish);
    memtable_writer_free(writer);
    part_writer_free(part_writer);
    free(region);
    pool_free(pool);
}

int
main(void)
{
    struct err err = ERR_INIT;

    test_choose();
    test_clock();
    test_new_days();
    store_dir_make();
    check(shared_create(2, &err) == 0 && catalog_create(&err) == 0 &&
        retire_create(&err) == 0);
    test_drop();
    test_flush();
    retire_destroy();
    catalog_destroy();
    shared_destroy();
    return tap_done();
}
