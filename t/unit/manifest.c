/* SPDX-License-Identifier: BSD-2-Clause */

/* Manifests: edits survive, torn tails do not count, damage is seen. */

#include "core/base.h"

#include <fcntl.h>

#include "core/fault.h"
#include "storage/manifest.h"
#include "storage/shared.h"
#include "store_dir.h"
#include "tap.h"

#define DAY 20261121u

static void
add(uint64_t id, uint64_t lsn)
{
    struct manifest_part part = {.info = {.id = id, .day = DAY, .level = 1,
        .rows = 10 * id, .min_end_ns = (int64_t)id, .max_end_ns =
        (int64_t)id + 5}, .lineage = {77, lsn - 1, lsn}};
    struct manifest_flushed flushed = {77, lsn};
    struct manifest_edit edit = {.add = &part, .nadd = 1,
        .flushed = &flushed, .nflushed = 1};
    struct err err = ERR_INIT;

    ok(manifest_append(DAY, &edit, true, &err) == 0, "part %d is added%s",
        (int)id, err.text);
}

static void
path_of(char path[PATH_MAX])
{
    layout_manifest(path, DAY);
}

static void
flip(uint64_t offset)
{
    char path[PATH_MAX];
    uint8_t byte;
    int fd;

    path_of(path);
    fd = open(path, O_RDWR);
    check(pread(fd, &byte, 1, (off_t)offset) == 1);
    byte ^= 1;
    check(pwrite(fd, &byte, 1, (off_t)offset) == 1);
    close(fd);
}

static void
test_edits(void)
{
    struct manifest manifest;
    struct err err = ERR_INIT;
    uint64_t drop = 2;
    struct manifest_edit edit = {.drop = &drop, .ndrop = 1};

    is_int(manifest_read(&manifest, DAY, &err), 0, "no manifest yet");
    is_int(manifest.end, 0, "is an empty one");
    manifest_release(&manifest);
    for (uint64_t id = 1; id <= 3; id++)
        add(id, 100 * id);
    ok(manifest_append(DAY, &edit, true, &err) == 0, "a part is dropped");
    add(3, 300);
    edit = (struct manifest_edit){.bad = (uint64_t[]){9, 3}, .nbad = 2};
    ok(manifest_append(DAY, &edit, true, &err) == 0, "damage is noted");
    is_int(manifest_read(&manifest, DAY, &err), 0, "read back");
    is_int(manifest.nparts, 2, "two parts; the same id twice is one");
    ok(!manifest.parts[0].is_bad && manifest.parts[1].is_bad,
        "one of them is bad");
    is_int(manifest_flushed_lsn(&manifest, 77), 300, "flushed position");
    is_int(manifest_flushed_lsn(&manifest, 78), 0, "of another log: none");
    is_int(manifest.parts[0].info.rows, 10, "what a part says of itself");
    manifest_release(&manifest);
}

static void
test_damage(void)
{
    struct manifest manifest;
    struct err err = ERR_INIT;
    uint64_t end, number;

    check(manifest_read(&manifest, DAY, &err) == 0);
    end = manifest.end;
    number = manifest.number;
    manifest_release(&manifest);

    flip(end - 10);
    is_int(manifest_read(&manifest, DAY, &err), 0, "a torn last edit");
    ok(!manifest.is_damaged, "is no damage");
    ok(manifest.end < end, "and does not count");
    manifest_release(&manifest);
    flip(end - 10);

    flip(100);
    is_int(manifest_read(&manifest, DAY, &err), 0, "a bad edit before others");
    ok(manifest.is_damaged, "is damage");
    manifest_release(&manifest);
    flip(100);

    flip(3);
    is_int(manifest_read(&manifest, DAY, &err), 0, "a bad header");
    ok(manifest.is_damaged, "is damage");
    manifest_release(&manifest);
    flip(3);

    check(manifest_read(&manifest, DAY, &err) == 0);
    is_int(manifest_rewrite(&manifest, false, &err), 0, "checkpoint");
    manifest_release(&manifest);
    check(manifest_read(&manifest, DAY, &err) == 0);
    is_int(manifest.number, number + 1, "has the next number");
    is_int(manifest.nparts, 2, "keeps the parts");
    is_int(manifest.nflushed, 0, "drops the positions");
    manifest_release(&manifest);
}

static void
arm(const char *faults)
{
    setenv("SPOOR_FAULT", faults, 1);
    fault_init();
}

/*
 * What a failed sync leaves in the page cache reads well and may never reach
 * the disk: a new file takes its place.
 */
static void
test_failed_sync(void)
{
    struct manifest_part part = {.info = {.id = 7, .day = DAY}};
    struct manifest_edit edit = {.add = &part, .nadd = 1};
    struct manifest manifest;
    struct err err = ERR_INIT;
    struct partition *partition = partition_lock(DAY);
    uint64_t number;

    partition->manifest_end = 0; /* as day_checkpoint() does */
    partition_unlock(partition);
    add(6, 600);
    check(manifest_read(&manifest, DAY, &err) == 0);
    number = manifest.number;
    manifest_release(&manifest);
    arm("file.datasync:EIO");
    ok(manifest_append(DAY, &edit, true, &err) != 0, "a sync fails");
    ok(manifest_append(DAY, &edit, true, &err) != 0, "and again");
    arm("");
    ok(manifest_append(DAY, &edit, true, &err) == 0, "then it succeeds");
    check(manifest_read(&manifest, DAY, &err) == 0);
    ok(manifest.number > number, "into a new file");
    is_int(manifest.nparts, 4, "with each part once");
    ok(!manifest.is_damaged, "whole");
    manifest_release(&manifest);
}

/* Growth beyond the threshold rewrites; nothing is lost on the way. */
static void
test_growth(void)
{
    struct manifest manifest;
    struct err err = ERR_INIT;

    for (uint64_t i = 0; i < 12000; i++) {
        struct manifest_part part = {.info = {.id = 1000 + i % 50,
            .day = DAY}};
        struct manifest_edit edit = {.add = &part, .nadd = 1};

        if (manifest_append(DAY, &edit, false, &err) != 0) {
            ok(false, "append: %s", err.text);
            return;
        }
    }
    check(manifest_read(&manifest, DAY, &err) == 0);
    is_int(manifest.nparts, 54, "all parts after many edits");
    ok(manifest.end < 2 * MIB, "the file was rewritten on the way");
    manifest_release(&manifest);
}

static int
append(bool is_flush, uint32_t incarnation)
{
    struct manifest_part part = {.info = {.id = 9000, .day = DAY}};
    struct manifest_flushed flushed = {77, 99999};
    struct manifest_edit edit = {.add = &part, .nadd = 1,
        .flushed = &flushed, .nflushed = is_flush,
        .incarnation = incarnation};
    struct err err = ERR_INIT;

    return manifest_append(DAY, &edit, false, &err) == 0 ? 0 : (int)err.code;
}

static void
set_state(enum partition_state state)
{
    struct partition *partition = partition_lock(DAY);

    partition_set_state(partition, state);
    partition_unlock(partition);
}

/* Who may write in which state. */
static void
test_states(void)
{
    uint32_t before = partition_incarnation(DAY);

    is_int(append(false, before), 0, "an edit for the present incarnation");
    set_state(PARTITION_DETACHING);
    is_int(atomic_load(&shared->closed_days), 1, "one closed day");
    is_int(append(false, before), ERR_CANCELLED, "no merge while detaching");
    is_int(append(true, before), 0, "but a flush");
    set_state(PARTITION_DETACHED);
    is_int(append(true, 0), ERR_CANCELLED, "no flush when detached");
    set_state(PARTITION_OPEN);
    is_int(atomic_load(&shared->closed_days), 0, "no closed day");
    is_int(append(true, before), ERR_CANCELLED, "not for what was before");
    is_int(append(true, partition_incarnation(DAY)), 0, "for what is now");
    set_state(PARTITION_DROPPING);
    is_int(append(true, 0), ERR_CANCELLED, "not for a day being dropped");
    set_state(PARTITION_OPEN);
    is_int(append(true, 0), 0, "for any");
    is_int(partition_state(DAY), PARTITION_OPEN, "the state is read");
}

int
main(void)
{
    struct err err = ERR_INIT;

    store_dir_make();
    check(shared_create(2, &err) == 0);
    test_edits();
    test_damage();
    test_failed_sync();
    test_growth();
    test_states();
    shared_destroy();
    return tap_done();
}
