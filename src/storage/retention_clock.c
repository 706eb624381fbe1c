/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/retention_clock.h"

#include "core/err.h"
#include "core/mem.h"
#include "core/sys.h"
#include "storage/layout.h"
#include "storage/wal.h"

int64_t
retention_clock_read(const struct retention_clock *clock, int64_t wall_ns,
    int64_t mono_ns)
{
    int64_t since = atomic_load(&clock->wall_ns);
    int64_t expected = since + (mono_ns - atomic_load(&clock->mono_ns));

    if (since == 0)
        return wall_ns;
    return MIN(wall_ns, expected + RETENTION_JUMP_NS);
}

static void
believe(struct retention_clock *clock, int64_t wall_ns, int64_t mono_ns)
{
    atomic_store(&clock->wall_ns, wall_ns);
    atomic_store(&clock->mono_ns, mono_ns);
    atomic_store(&clock->doubt_ns, 0);
}

int64_t
retention_clock_tick(struct retention_clock *clock, int64_t wall_ns,
    int64_t mono_ns)
{
    int64_t believed = retention_clock_read(clock, wall_ns, mono_ns);
    int64_t doubt = atomic_load(&clock->doubt_ns);

    if (believed == wall_ns) {
        believe(clock, wall_ns, mono_ns);
    } else if (doubt == 0) {
        atomic_store(&clock->doubt_ns, mono_ns);
    } else if (mono_ns - doubt >= RETENTION_DOUBT_NS) {
        believe(clock, wall_ns, mono_ns);
        believed = wall_ns;
    }
    return believed;
}

void
retention_clock_start(struct retention_clock *clock, int64_t newest_ns,
    int64_t wall_ns, int64_t mono_ns)
{
    believe(clock, MIN(newest_ns, wall_ns), mono_ns);
}

static void
look_at(const char *path, int64_t *newest)
{
    struct stat status;
    int64_t changed;

    if (sys.stat(path, &status) != 0)
        return;
    changed = (int64_t)status.st_mtim.tv_sec * NS_PER_SEC +
        status.st_mtim.tv_nsec;
    if (*newest == INT64_MAX || changed > *newest)
        *newest = changed;
}

int64_t
retention_clock_newest_on_disk(void)
{
    struct wal_file_name *names = NULL;
    struct err ignored = ERR_INIT;
    uint32_t *days = NULL;
    char dir[PATH_MAX], path[PATH_MAX];
    int64_t newest = INT64_MAX;
    size_t n = 0;

    layout_wal_dir(dir);
    if (wal_list(dir, &names, &n, &ignored) == 0) {
        for (size_t i = 0; i < n; i++) {
            wal_file_path(path, sizeof(path), dir, &names[i]);
            look_at(path, &newest);
        }
    }
    xfree(names);
    n = 0;
    if (layout_days(&days, &n, &ignored) == 0) {
        for (size_t i = 0; i < n; i++) {
            layout_manifest(path, days[i]);
            look_at(path, &newest);
        }
    }
    xfree(days);
    return newest;
}
