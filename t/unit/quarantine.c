/* SPDX-License-Identifier: BSD-2-Clause */

/* Whose files may go to quarantine: what waits for readers is bounded. */

#include "core/base.h"
#include "storage/quarantine.h"

#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>

#include "core/file.h"
#include "store_dir.h"
#include "tap.h"

#define DAY 20000u
#define WAITING 64u

static struct catalog_item
item_of(uint64_t id)
{
    return (struct catalog_item){.kind = CATALOG_PART, .flags = CATALOG_BAD,
        .part = {.day = DAY, .id = id, .level = 1}};
}

static void
make_file(uint64_t id)
{
    struct timespec times[2] = {{1000, 0}, {1000, 0}};
    char path[PATH_MAX], dir[PATH_MAX];
    struct err err = ERR_INIT;
    int fd;

    layout_part(path, DAY, id, 1);
    snprintf(dir, sizeof(dir), "%s", path);
    check(file_mkdirs(dirname(dir), 0700, &err) == 0);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    check(fd >= 0 && futimens(fd, times) == 0);
    close(fd);
}

int
main(void)
{
    struct catalog_snapshot snapshot;
    struct pool *pool = pool_new(MIB);
    struct catalog_item item;
    struct err err = ERR_INIT;
    unsigned due = 0;
    char path[PATH_MAX];

    store_dir_make();
    check(catalog_create(&err) == 0);
    item = item_of(1);
    ok(!quarantine_is_due(&item), "no file, nothing to do");
    make_file(1);
    ok(quarantine_is_due(&item), "a file that nobody reads");
    check(catalog_snapshot_take(&snapshot, pool, INT64_MIN, INT64_MAX,
        &err) == 0);
    for (unsigned i = 0; i < WAITING; i++) {
        item = item_of(100 + i);
        make_file(100 + i);
        due += quarantine_is_due(&item);
    }
    is_int(due, 0, "files that somebody may read");
    item = item_of(1);
    ok(!quarantine_is_due(&item), "no more wait at a time");
    /* Their day is dropped: nobody asks for them again. */
    for (unsigned i = 0; i < WAITING; i++) {
        layout_part(path, DAY, 100 + i, 1);
        check(unlink(path) == 0);
    }
    catalog_snapshot_release(&snapshot);
    ok(quarantine_is_due(&item), "parts that have gone make room");
    catalog_destroy();
    pool_free(pool);
    return tap_done();
}
