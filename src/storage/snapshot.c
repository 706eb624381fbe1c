/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/snapshot.h"

#include "core/fault.h"
#include "core/file.h"
#include "core/json_out.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "storage/barrier.h"
#include "storage/catalog.h"
#include "storage/day_ops.h"
#include "storage/layout.h"
#include "storage/manifest.h"
#include "storage/shared.h"
#include "storage/trash.h"

#define FLUSH_TIMEOUT_NS (60 * NS_PER_SEC)
#define ID_LEN 23u
#define ID_BYTES 32u
/* "partitions/20261121/snapshots/20261121095045-0000001a" */
#define PATH_LEN (11u + 8u + 11u + ID_LEN)

/* --- names --- */

static bool
digits(const char *text, size_t n, unsigned *value)
{
    *value = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *value = *value * 10 + (unsigned)(text[i] - '0');
    }
    return true;
}

bool
snapshot_parse_id(const char *name, int64_t *made_ns)
{
    unsigned hour, minute, second;
    char text[16];
    uint32_t day;

    if (strlen(name) != ID_LEN || name[14] != '-' ||
        strspn(name + 15, "0123456789abcdef") != 8)
        return false;
    snprintf(text, sizeof(text), "%.8s", name);
    if (!layout_parse_day(text, &day) || !digits(name + 8, 2, &hour) ||
        !digits(name + 10, 2, &minute) || !digits(name + 12, 2, &second) ||
        hour > 23 || minute > 59 || second > 60)
        return false;
    *made_ns = time_day_start(day) +
        ((int64_t)hour * 3600 + minute * 60 + second) * NS_PER_SEC;
    return true;
}

static void
id_make(char id[ID_BYTES])
{
    int64_t now = clock_wall_ns();
    uint32_t day = time_day(now);
    unsigned seconds = (unsigned)((now - time_day_start(day)) / NS_PER_SEC);

    snprintf(id, ID_BYTES, "%08u%02u%02u%02u-%08x", day, seconds / 3600,
        seconds / 60 % 60, seconds % 60,
        (unsigned)atomic_fetch_add(&shared->next_snapshot, 1) + 1);
}

/* Of the day's snapshots, or of one of them. */
static void
path_make(char path[PATH_MAX], uint32_t day, const char *name)
{
    char tail[96];

    snprintf(tail, sizeof(tail), "partitions/%08u/snapshots%s%.40s", day,
        name[0] != '\0' ? "/" : "", name);
    layout_path(path, tail);
}

/* --- visiting --- */

typedef int (*snapshot_fn)(uint32_t day, const char *name, void *arg);

struct visit {
    uint32_t day;
    snapshot_fn fn;
    void *arg;
};

static int IMPL(file_name_fn)
visit_name(const char *name, void *arg)
{
    const struct visit *visit = arg;

    return strlen(name) > 40 ? 0 : visit->fn(visit->day, name, visit->arg);
}

/* Of all days with a directory, be they attached or not. */
static int
visit_all(snapshot_fn fn, void *arg, struct err *err)
{
    uint32_t *days = NULL;
    char path[PATH_MAX];
    size_t n = 0;
    int rc;

    rc = layout_days(&days, &n, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct visit visit = {days[i], fn, arg};
        struct err list_err = ERR_INIT;

        path_make(path, days[i], "");
        if (file_list(path, visit_name, &visit, &list_err) != 0 &&
            list_err.code != ERR_NOT_FOUND) {
            if (err != NULL)
                *err = list_err;
            rc = -1;
        }
    }
    xfree(days);
    return rc;
}

/* --- making --- */

static int
parts_link(const struct manifest *manifest, const char *dir, struct err *err)
{
    char from[PATH_MAX], to[PATH_MAX + 64];

    for (size_t i = 0; i < manifest->nparts; i++) {
        const struct part_info *info = &manifest->parts[i].info;

        if (manifest->parts[i].is_bad)
            continue;
        layout_part(from, info->day, info->id, info->level);
        snprintf(to, sizeof(to), "%s/%s", dir, strrchr(from, '/') + 1);
        if (sys.link(from, to) != 0)
            return err_sys(err, "link %s to %s", from, to);
        fault("snapshot.mid_links");
    }
    return 0;
}

static int
directory_fill(const struct manifest *manifest, const char *dir,
    struct err *err)
{
    char path[PATH_MAX + 64];

    if (file_mkdirs(dir, 0750, err) != 0 ||
        parts_link(manifest, dir, err) != 0)
        return -1;
    fault("snapshot.after_links");
    snprintf(path, sizeof(path), "%s/MANIFEST", dir);
    return manifest_write_copy(manifest, path, err);
}

static void
directory_remove(const char *dir)
{
    struct err ignored = ERR_INIT;
    unsigned budget = UINT_MAX;

    (void)!trash_remove_tree(dir, &budget, &ignored);
}

/* Under the day's lock: no edit comes between the links and the manifest. */
static int
directory_make(uint32_t day, const char *id, struct err *err)
{
    char dir[PATH_MAX], tmp[PATH_MAX], name[ID_BYTES + 8];
    struct manifest manifest;
    int rc;

    if (manifest_read(&manifest, day, err) != 0)
        return -1;
    snprintf(name, sizeof(name), "%s.tmp", id);
    path_make(tmp, day, name);
    path_make(dir, day, id);
    if (manifest.is_damaged)
        rc = err_set(err, ERR_CORRUPT, "the manifest of day %u is damaged",
            day);
    else
        rc = directory_fill(&manifest, tmp, err);
    manifest_release(&manifest);
    if (rc == 0)
        rc = file_rename(tmp, dir, err);
    if (rc != 0)
        directory_remove(tmp);
    fault("snapshot.after_rename");
    return rc;
}

/* The name of the snapshot, its directory and the day's. */
static int
directories_sync(uint32_t day, struct err *err)
{
    char path[PATH_MAX];

    path_make(path, day, "");
    if (file_sync_dir(path, err) != 0)
        return -1;
    layout_partition_dir(path, day);
    return file_sync_dir(path, err);
}

static int
day_snapshot(uint32_t day, const char *id, struct err *err)
{
    struct partition *partition = partition_lock(day);
    int rc;

    if (atomic_load(&partition->state) != PARTITION_OPEN)
        rc = err_set(err, ERR_NOT_FOUND, "day %u is not attached", day);
    else
        rc = directory_make(day, id, err);
    partition_unlock(partition);
    return rc != 0 ? rc : directories_sync(day, err);
}

static bool
has_prefix(uint32_t day, struct sv prefix)
{
    char name[16];

    snprintf(name, sizeof(name), "%08u", day);
    return sv_starts_with(sv_from(name), prefix);
}

static int
prefix_check(struct sv prefix, struct err *err)
{
    for (size_t i = 0; i < prefix.len; i++) {
        if (prefix.len > 8 || prefix.ptr[i] < '0' || prefix.ptr[i] > '9')
            return err_set(err, ERR_INVALID, "the prefix of days must be at "
                "most 8 digits (YYYYMMDD)");
    }
    return 0;
}

/* What was made before a failure goes again. */
static int
days_snapshot(const uint32_t *days, size_t n, const char *id,
    struct err *err)
{
    char path[PATH_MAX];

    for (size_t i = 0; i < n; i++) {
        if (day_snapshot(days[i], id, err) == 0)
            continue;
        for (size_t k = 0; k <= i; k++) {
            path_make(path, days[k], id);
            directory_remove(path);
        }
        return -1;
    }
    return 0;
}

static void
paths_print(struct sb *out, const uint32_t *days, size_t n, const char *id)
{
    struct json_out json;
    char path[PATH_MAX];

    json_out_init(&json, out);
    json_array(&json);
    for (size_t i = 0; i < n; i++) {
        path_make(path, days[i], id);
        json_string(&json, sv_from(path));
    }
    json_array_end(&json);
}

int
snapshot_create(struct sv prefix, struct sb *out, struct err *err)
{
    struct catalog_day *all = NULL;
    uint32_t *days;
    char id[ID_BYTES];
    size_t n, found = 0;
    int rc;

    if (prefix_check(prefix, err) != 0 ||
        barrier_wait(false, FLUSH_TIMEOUT_NS, err) != 0)
        return -1;
    n = catalog_sum_days(&all);
    days = xmalloc(MAX(n, 1u) * sizeof(*days));
    for (size_t i = 0; i < n; i++) {
        if (has_prefix(all[i].day, prefix))
            days[found++] = all[i].day;
    }
    id_make(id);
    if (found == 0 && prefix.len == 8)
        rc = err_set(err, ERR_NOT_FOUND, "there is no day %.8s", prefix.ptr);
    else
        rc = days_snapshot(days, found, id, err);
    if (rc == 0) {
        paths_print(out, days, found, id);
        log_info("snapshot %s of %zu days", id, found);
    }
    xfree(days);
    xfree(all);
    return rc;
}

/* --- listing --- */

static int IMPL(snapshot_fn)
list_one(uint32_t day, const char *name, void *arg)
{
    char path[PATH_MAX];
    int64_t made_ns;

    if (snapshot_parse_id(name, &made_ns)) {
        path_make(path, day, name);
        json_string(arg, sv_from(path));
    }
    return 0;
}

int
snapshot_list(struct sb *out, struct err *err)
{
    struct json_out json;

    json_out_init(&json, out);
    json_array(&json);
    if (visit_all(list_one, &json, err) != 0)
        return -1;
    json_array_end(&json);
    return 0;
}

/* --- removing --- */

/* Renamed first: a half removed one must not look like one that is whole. */
static int
remove_one(uint32_t day, const char *id, struct err *err)
{
    char path[PATH_MAX], old[PATH_MAX], name[ID_BYTES + 8];
    unsigned budget = UINT_MAX;

    snprintf(name, sizeof(name), "%s.old", id);
    path_make(path, day, id);
    path_make(old, day, name);
    if (file_rename(path, old, err) != 0)
        return -1;
    fault("snapshot.before_remove");
    if (trash_remove_tree(old, &budget, err) != 0)
        return -1;
    log_info("snapshot removed: %s", path);
    return 0;
}

int
snapshot_delete(struct sv path, struct err *err)
{
    struct sv rest = path, root = sv_from(layout_root());
    char day_name[16], id[ID_BYTES];
    struct err remove_err = ERR_INIT;
    int64_t made_ns;
    uint32_t day;

    if (sv_starts_with(rest, root) && rest.len > root.len &&
        rest.ptr[root.len] == '/')
        rest = sv_sub(rest, root.len + 1, rest.len);
    snprintf(day_name, sizeof(day_name), "%.*s", 8,
        rest.len == PATH_LEN ? rest.ptr + 11 : "");
    snprintf(id, sizeof(id), "%.*s", (int)ID_LEN,
        rest.len == PATH_LEN ? rest.ptr + PATH_LEN - ID_LEN : "");
    if (rest.len != PATH_LEN || !sv_starts_with(rest, SV("partitions/")) ||
        !sv_eq(sv_sub(rest, 19, 11), SV("/snapshots/")) ||
        !layout_parse_day(day_name, &day) ||
        !snapshot_parse_id(id, &made_ns))
        return err_set(err, ERR_INVALID, "\"%.*s\" is not the path of a "
            "snapshot", (int)MIN(path.len, (size_t)200),
            path.len > 0 ? path.ptr : "");
    if (remove_one(day, id, &remove_err) == 0)
        return 0;
    if (remove_err.code == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "there is no snapshot %s of day "
            "%u", id, day);
    if (err != NULL)
        *err = remove_err;
    return -1;
}

struct sweep {
    int64_t before_ns; /* older ones go */
    bool leftovers;    /* too */
    struct json_out *json; /* NULL: nobody asks */
};

static int IMPL(snapshot_fn)
sweep_one(uint32_t day, const char *name, void *arg)
{
    const struct sweep *sweep = arg;
    struct err err = ERR_INIT;
    char path[PATH_MAX];
    int64_t made_ns;

    path_make(path, day, name);
    if (!snapshot_parse_id(name, &made_ns)) {
        if (sweep->leftovers && (sv_ends_with(sv_from(name), SV(".tmp")) ||
            sv_ends_with(sv_from(name), SV(".old"))))
            directory_remove(path);
        return 0;
    }
    if (made_ns >= sweep->before_ns)
        return 0;
    if (remove_one(day, name, &err) != 0)
        log_warn("stale snapshot not removed: %s", err.text);
    else if (sweep->json != NULL)
        json_string(sweep->json, sv_from(path));
    return 0;
}

int
snapshot_delete_stale(struct sv age_ns, struct sb *out, struct err *err)
{
    struct sweep sweep = {0};
    struct json_out json;
    int64_t age;

    if (!num_parse_i64(age_ns, &age) || age < 0)
        return err_set(err, ERR_INVALID, "the age must be a duration");
    json_out_init(&json, out);
    json_array(&json);
    sweep.json = &json;
    sweep.before_ns = clock_wall_ns() - age;
    if (visit_all(sweep_one, &sweep, err) != 0)
        return -1;
    json_array_end(&json);
    return 0;
}

void
snapshot_sweep(int64_t max_age_ns)
{
    struct sweep sweep = {.leftovers = true, .before_ns = max_age_ns == 0 ?
        INT64_MIN : clock_wall_ns() - max_age_ns};
    struct err err = ERR_INIT;

    if (visit_all(sweep_one, &sweep, &err) != 0)
        log_warn("%s", err.text);
}
