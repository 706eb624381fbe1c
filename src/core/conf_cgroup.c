/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/conf_cgroup.h"

#include <stdio.h>
#include <unistd.h>

#include "core/file.h"
#include "core/sys.h"

/* Files of /proc and /sys: far longer than any cgroup path. */
#define FILE_BYTES_MAX (64 * KIB)
/* Levels of cgroups that are looked at. */
#define DEPTH_MAX 64
/* "/sys/fs/cgroup/cpuacct,cpu" */
#define MOUNT_BYTES_MAX 64

bool
cgroup_read(const struct cgroup_level *level, const char *name,
    struct sb *sb, struct sv *line)
{
    char path[PATH_MAX];
    struct sv rest;

    snprintf(path, sizeof(path), "%s%s%.*s/%s", level->root, level->mount,
        SV_ARG(level->path), name);
    sb_reset(sb);
    if (sys.access(path, R_OK) != 0 || file_read_all(path, sb, NULL) != 0)
        return false;
    rest = sb_sv(sb);
    return sv_split(&rest, '\n', line);
}

static uint64_t
least_upwards(struct cgroup_level level, cgroup_limit_fn limit)
{
    uint64_t least = 0;
    struct sb sb;

    sb_init(&sb, FILE_BYTES_MAX);
    for (unsigned i = 0; i < DEPTH_MAX; i++) {
        least = cgroup_lower(least, limit(&level, &sb));
        if (level.path.len == 0)
            break;
        do {
            level.path.len--;
        } while (level.path.len > 0 && level.path.ptr[level.path.len] != '/');
    }
    sb_release(&sb);
    return least;
}

static bool
has_controller(struct sv controllers, const char *controller)
{
    struct sv name;

    while (sv_split(&controllers, ',', &name)) {
        if (sv_eq(name, sv_from(controller)))
            return true;
    }
    return false;
}

static uint64_t
least_of_line(const char *root, struct sv line, const char *controller,
    cgroup_limit_fn limit)
{
    /* Before and behind the controller's name. */
    static const char *const v2[][2] = {{"", ""}, {"/unified", ""}};
    static const char *const v1[][2] = {
        {"/", ""}, {"/", ",cpuacct"}, {"/cpuacct,", ""},
    };
    char mount[MOUNT_BYTES_MAX];
    struct sv id, controllers;
    uint64_t least = 0;
    bool is_v2;

    if (!sv_split(&line, ':', &id) || !sv_split(&line, ':', &controllers))
        return 0;
    if (sv_eq(line, SV("/")))
        line.len = 0;
    is_v2 = controllers.len == 0;
    if (!is_v2 && !has_controller(controllers, controller))
        return 0;
    for (size_t i = 0; i < (is_v2 ? ARRAY_LEN(v2) : ARRAY_LEN(v1)); i++) {
        const char *const *around = is_v2 ? v2[i] : v1[i];

        snprintf(mount, sizeof(mount), "/sys/fs/cgroup%s%s%s", around[0],
            is_v2 ? "" : controller, around[1]);
        least = cgroup_lower(least, least_upwards(
            (struct cgroup_level){root, mount, line, is_v2}, limit));
    }
    return least;
}

uint64_t
cgroup_least(const char *root, const char *controller, cgroup_limit_fn limit)
{
    char path[PATH_MAX];
    uint64_t least = 0;
    struct sv rest, line;
    struct sb sb;

    snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    sb_init(&sb, FILE_BYTES_MAX);
    if (sys.access(path, R_OK) == 0 && file_read_all(path, &sb, NULL) == 0) {
        rest = sb_sv(&sb);
        while (sv_split(&rest, '\n', &line))
            least = cgroup_lower(least,
                least_of_line(root, line, controller, limit));
    }
    sb_release(&sb);
    return least;
}
