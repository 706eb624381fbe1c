/* SPDX-License-Identifier: BSD-2-Clause */

/* The list of detached days, and names of snapshots. */

#include "core/base.h"

#include "core/file.h"
#include "core/mem.h"
#include "storage/detached.h"
#include "storage/layout.h"
#include "storage/shared.h"
#include "storage/snapshot.h"
#include "store_dir.h"
#include "tap.h"

static void
set_state(uint32_t day, enum partition_state state)
{
    struct partition *partition = partition_lock(day);

    partition_set_state(partition, state);
    partition_unlock(partition);
}

static size_t
closed(uint32_t first)
{
    uint32_t *days;
    size_t n = detached_list(&days);

    ok(n == 0 || days[0] == first, "the first is %u", first);
    xfree(days);
    return n;
}

static void
open_all(void)
{
    uint32_t *days;
    size_t n = detached_list(&days);

    for (size_t i = 0; i < n; i++)
        set_state(days[i], PARTITION_OPEN);
    xfree(days);
}

static void
test_file(void)
{
    struct err err = ERR_INIT;

    is_int(detached_load(&err), 0, "no file");
    is_int(closed(0), 0, "no day");
    set_state(20261121, PARTITION_DETACHED);
    set_state(19700101, PARTITION_DETACHED);
    set_state(20261120, PARTITION_DROPPING);
    set_state(20261119, PARTITION_DETACHING);
    is_int(detached_save(0, &err), 0, "written");
    open_all();
    is_int(closed(0), 0, "forgotten");
    is_int(detached_load(&err), 0, "read");
    is_int(closed(19700101), 2, "only those that were detached");
    is_int(partition_state(20261121), PARTITION_DETACHING, "for replay");
    detached_settle();
    is_int(partition_state(20261121), PARTITION_DETACHED, "behind it");
    is_int(detached_save(19700101, &err), 0, "written but for one");
    open_all();
    is_int(detached_load(&err), 0, "read");
    is_int(closed(20261121), 1, "the other");
    open_all();
}

static void
test_damage(void)
{
    static const char *const texts[] = {"", "spoor-detached", "x\n",
        "spoor-detached 2\nday 20261121\n", "spoor-detached 1\nday 2026112\n",
        "spoor-detached 1\nday 20261131\n", "spoor-detached 1\n20261121\n",
        "spoor-detached 1\nday 20261121\n\n",
        "spoor-detached 1\nday 20261121x\n"};
    char path[PATH_MAX];

    layout_path(path, "DETACHED");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct err err = ERR_INIT;
        uint32_t *days;
        size_t n;

        check(file_replace(path, texts[i], strlen(texts[i]), 0600,
            &err) == 0);
        ok(detached_read(&days, &n, &err) != 0, "text %zu: damaged", i);
        is_int(err.code, ERR_CORRUPT, "text %zu: %s", i, err.text);
        is_int(detached_load(&err), 0, "text %zu: but a start goes on", i);
        ok(access(path, F_OK) != 0, "text %zu: it is in quarantine", i);
    }
    is_int(closed(0), 0, "no day is detached");
}

static void
test_ids(void)
{
    static const char *const bad[] = {"", "20261121095045",
        "20261121095045-0000001", "20261121095045-0000001A",
        "20261121095045-000000001", "20261121095045_00000001",
        "20261131095045-00000001", "20261121245045-00000001",
        "20261121096045-00000001", "20261121095045-00000001.tmp",
        "../../../../../../etc..", "2026112109504x-00000001"};
    int64_t ns = 0;

    ok(snapshot_parse_id("20261121095045-0000001a", &ns), "an id");
    is_int(ns, time_day_start(20261121) + (9 * 3600 + 50 * 60 + 45) *
        NS_PER_SEC, "its time");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ok(!snapshot_parse_id(bad[i], &ns), "no id: \"%s\"", bad[i]);
}

int
main(void)
{
    struct err err = ERR_INIT;

    store_dir_make();
    check(shared_create(1, &err) == 0);
    test_file();
    test_damage();
    test_ids();
    shared_destroy();
    return tap_done();
}
