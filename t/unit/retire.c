/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Files that left the catalogue: removed behind their last reader, not
 * before, also after the death of the process that was to remove them.
 */

#include "core/base.h"
#include "storage/retire.h"

#include <signal.h>
#include <sys/wait.h>

#include "core/file.h"
#include "core/pool.h"
#include "core/timefmt.h"
#include "storage/catalog.h"
#include "store_dir.h"
#include "tap.h"

static unsigned nremoved;
static char last[PATH_MAX];

static int
note_removal(const char *path, struct err *err)
{
    (void)err;
    nremoved++;
    snprintf(last, sizeof(last), "%s", path);
    return 0;
}

/* Generation in which a part was removed. */
static uint64_t
part_leaves(uint64_t id)
{
    struct part_info info = {.id = id};
    struct err err = ERR_INIT;
    uint32_t entry;

    catalog_begin();
    check(catalog_add_part(&info, &entry, &err) == 0);
    catalog_commit();
    catalog_begin();
    catalog_remove(entry);
    return catalog_commit();
}

static void
test_readers(void)
{
    struct pool *pool = pool_new(64 * MIB);
    struct catalog_snapshot old, new;
    struct err err = ERR_INIT;
    char path[PATH_MAX];

    check(catalog_snapshot_take(&old, pool, INT64_MIN, INT64_MAX,
        &err) == 0);
    retire_add(RETIRE_MERGE, part_leaves(1), "partitions/a");
    retire_add(RETIRE_MERGE, part_leaves(2), "partitions/b");
    check(catalog_snapshot_take(&new, pool, INT64_MIN, INT64_MAX,
        &err) == 0);
    retire_add(RETIRE_MERGE, part_leaves(3), "partitions/c");
    is_int(retire_waiting(RETIRE_MERGE), 3, "three wait");
    is_int(retire_waiting(RETIRE_RETENTION), 0, "queues are separate");
    is_int(retire_poll(RETIRE_MERGE, note_removal, 100), 0,
        "an old reader keeps all");
    catalog_snapshot_release(&old);
    is_int(retire_poll(RETIRE_MERGE, note_removal, 1), 1, "one at most");
    layout_path(path, "partitions/a");
    is_str(last, path, "the first one");
    is_int(retire_poll(RETIRE_MERGE, note_removal, 100), 1,
        "a newer reader keeps what left behind it");
    is_int(retire_waiting(RETIRE_MERGE), 1, "one waits");
    ok(!retire_drain(RETIRE_MERGE, note_removal, 30 * NS_PER_MS),
        "the end does not wait for ever");
    catalog_snapshot_release(&new);
    ok(retire_drain(RETIRE_MERGE, note_removal, NS_PER_SEC), "drained");
    is_int(nremoved, 3, "each once");
    pool_free(pool);
}

/* A query that was killed holds files until the master clears its cell. */
static void
test_dead_reader(void)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct pool *pool = pool_new(64 * MIB);
        struct catalog_snapshot snapshot;
        struct err err = ERR_INIT;

        check(catalog_snapshot_take(&snapshot, pool, INT64_MIN, INT64_MAX,
            &err) == 0);
        kill(getpid(), SIGKILL);
    }
    check(waitpid(pid, &status, 0) == pid);
    nremoved = 0;
    retire_add(RETIRE_MERGE, part_leaves(4), "partitions/d");
    (void)retire_poll(RETIRE_MERGE, note_removal, 100);
    is_int(nremoved, 0, "the cell of a dead reader counts");
    catalog_clear_readers(pid);
    (void)retire_poll(RETIRE_MERGE, note_removal, 100);
    is_int(nremoved, 1, "until it is cleared");
}

static void
test_bound(void)
{
    uint64_t gen = part_leaves(5);
    char name[RETIRE_NAME_MAX];

    ok(retire_has_room(RETIRE_RETENTION, RETIRE_MAX), "all free");
    for (unsigned i = 0; i < RETIRE_MAX; i++) {
        snprintf(name, sizeof(name), "partitions/%u", i);
        retire_add(RETIRE_RETENTION, gen, name);
    }
    ok(!retire_has_room(RETIRE_RETENTION, 1), "full");
    retire_add(RETIRE_RETENTION, gen, "partitions/too-many");
    is_int(retire_waiting(RETIRE_RETENTION), RETIRE_MAX,
        "one too many is left out");
    nremoved = 0;
    check(retire_poll(RETIRE_RETENTION, note_removal, 100) == 100);
    retire_add(RETIRE_RETENTION, gen, "partitions/again");
    ok(retire_drain(RETIRE_RETENTION, note_removal, NS_PER_SEC), "drained");
    is_int(nremoved, RETIRE_MAX + 1, "over the end of the ring");
}

static int
die_at_second(const char *path, struct err *err)
{
    if (++nremoved == 2)
        kill(getpid(), SIGKILL);
    return file_unlink(path, err);
}

static void
test_death(void)
{
    static const char *const names[] = {"partitions/x", "partitions/y",
        "partitions/z"};
    struct err err = ERR_INIT;
    char path[PATH_MAX];
    unsigned left = 0;
    int status;
    pid_t pid;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        layout_path(path, names[i]);
        check(file_replace(path, "x", 1, 0640, &err) == 0);
        retire_add(RETIRE_MERGE, part_leaves(10 + i), names[i]);
    }
    nremoved = 0;
    pid = fork();
    if (pid == 0) {
        (void)retire_poll(RETIRE_MERGE, die_at_second, 100);
        _exit(0);
    }
    check(waitpid(pid, &status, 0) == pid);
    ok(WIFSIGNALED(status), "killed between two");
    is_int(retire_waiting(RETIRE_MERGE), 2, "its successor knows the rest");
    ok(retire_drain(RETIRE_MERGE, file_unlink, NS_PER_SEC), "drained");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        layout_path(path, names[i]);
        left += access(path, F_OK) == 0;
    }
    is_int(left, 0, "no file is left");
}

int
main(void)
{
    struct err err = ERR_INIT;

    store_dir_make();
    check(catalog_create(&err) == 0);
    check(retire_create(&err) == 0);
    test_readers();
    test_dead_reader();
    test_bound();
    test_death();
    retire_destroy();
    catalog_destroy();
    return tap_done();
}
