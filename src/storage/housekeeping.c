/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/housekeeping.h"

#include <sys/stat.h>

#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "storage/ballast.h"
#include "storage/layout.h"
#include "storage/requests.h"
#include "storage/shared.h"
#include "storage/wal.h"

/* Files are looked at once in this many calls. */
#define SWEEP_EVERY 30u

/*
 * Writable again only with a little more space than the threshold, and with
 * room for the ballast if that was given up, so that the switch does not
 * flap.
 */
static uint64_t
bytes_to_write(const struct conf *conf, bool has_ballast)
{
    uint64_t need = conf->min_free_disk, total;
    struct err ignored = ERR_INIT;

    need += need / 10;
    if (!has_ballast && file_total_bytes(layout_root(), &total,
        &ignored) == 0)
        need += 2 * ballast_size(conf, total);
    return need;
}

static void
watch_disk(const struct conf *conf)
{
    uint32_t was = atomic_load(&shared->is_read_only);
    uint64_t free_bytes, need = conf->min_free_disk;
    struct err err = ERR_INIT;
    bool has_ballast;

    if (file_free_bytes(layout_root(), &free_bytes, &err) != 0) {
        log_warn("%s", err.text);
        return;
    }
    has_ballast = ballast_tend(conf, free_bytes);
    if (was == READ_ONLY_NO && free_bytes < need) {
        atomic_store(&shared->is_read_only, READ_ONLY_DISK);
        log_error("%llu bytes are free on the disk of %s, less than "
            "storage.min_free_disk: inserts are refused until there is more",
            (unsigned long long)free_bytes, layout_root());
    } else if (was == READ_ONLY_DISK &&
        free_bytes >= bytes_to_write(conf, has_ballast)) {
        atomic_store(&shared->is_read_only, READ_ONLY_NO);
        log_info("enough disk space again, inserts are accepted");
    }
}

static void
remove_if_older(const char *path, int64_t keep_ns)
{
    struct err err = ERR_INIT;
    struct stat status;

    if (sys.stat(path, &status) != 0 ||
        clock_wall_ns() - (int64_t)status.st_mtime * NS_PER_SEC < keep_ns)
        return;
    if (file_unlink(path, &err) != 0)
        log_warn("%s", err.text);
}

static void
sweep_digests(void)
{
    struct wal_file_name *names = NULL;
    struct err err = ERR_INIT;
    char dir[PATH_MAX], path[PATH_MAX];
    size_t n = 0;

    layout_wal_dir(dir);
    if (wal_list(dir, &names, &n, &err) != 0)
        log_warn("%s", err.text);
    for (size_t i = 0; i < n; i++) {
        if (!names[i].is_digests)
            continue;
        wal_file_path(path, sizeof(path), dir, &names[i]);
        remove_if_older(path, REQUESTS_HORIZON_NS);
    }
    xfree(names);
}

static int IMPL(file_name_fn)
sweep_trash_file(const char *name, void *arg)
{
    char path[PATH_MAX + NAME_MAX + 2];

    snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
    remove_if_older(path, TRASH_KEEP_NS);
    return 0;
}

void
housekeeping_run(const struct conf *conf)
{
    static unsigned calls;
    struct err err = ERR_INIT;
    char path[PATH_MAX];

    watch_disk(conf);
    if (calls++ % SWEEP_EVERY != 0)
        return;
    sweep_digests();
    layout_path(path, ".trash");
    if (file_list(path, sweep_trash_file, path, &err) != 0)
        log_warn("%s", err.text);
}
