/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How many CPUs to count on: those of the affinity mask, but no more than
 * the cgroup quota pays for.  /proc/self/cgroup has a line for each
 * hierarchy, "ID:CONTROLLERS:PATH"; version 2 has ID 0 and no controllers.
 *
 *     version 2   PATH/cpu.max             "QUOTA PERIOD" or "max PERIOD"
 *     version 1   PATH/cpu.cfs_quota_us    QUOTA, or -1
 *                 PATH/cpu.cfs_period_us   PERIOD
 *
 * A parent's quota binds, too, so every level up to the root of the mount is
 * read; inside a container only that root exists.
 */

#include "core/base.h"
#include "core/conf_cpus.h"

#include <sched.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/file.h"
#include "core/num.h"
#include "core/sv.h"

/* Files of /proc and /sys: far longer than any cgroup path. */
#define FILE_BYTES_MAX (64 * KIB)
/* Levels of cgroups that are looked at. */
#define DEPTH_MAX 64

struct level {
    const char *root;
    const char *mount;
    struct sv path;
};

/* The first line of a file of this level, in sb; false if there is none. */
static bool
read_level(const struct level *level, const char *name, struct sb *sb,
    struct sv *line)
{
    char path[PATH_MAX];
    struct sv rest;

    snprintf(path, sizeof(path), "%s%s%.*s/%s", level->root, level->mount,
        SV_ARG(level->path), name);
    sb_reset(sb);
    if (access(path, R_OK) != 0 || file_read_all(path, sb, NULL) != 0)
        return false;
    rest = sb_sv(sb);
    return sv_split(&rest, '\n', line);
}

static unsigned
cpus_of(struct sv quota, struct sv period)
{
    uint64_t q, p;

    if (!num_parse_u64(quota, &q) || !num_parse_u64(period, &p) || p == 0 ||
        q == 0)
        return 0; /* "max" or -1 */
    return (unsigned)MIN((q - 1) / p + 1, (uint64_t)UINT_MAX);
}

static unsigned
quota_v2(const struct level *level, struct sb *sb)
{
    struct sv line, quota, period;

    if (!read_level(level, "cpu.max", sb, &line) ||
        !sv_split(&line, ' ', &quota) || !sv_split(&line, ' ', &period))
        return 0;
    return cpus_of(quota, period);
}

static unsigned
quota_v1(const struct level *level, struct sb *sb)
{
    char copy[32];
    struct sv line, quota;

    if (!read_level(level, "cpu.cfs_quota_us", sb, &line) ||
        line.len >= sizeof(copy))
        return 0;
    memcpy(copy, line.ptr, line.len);
    quota = sv_make(copy, line.len);
    if (!read_level(level, "cpu.cfs_period_us", sb, &line))
        return 0;
    return cpus_of(quota, line);
}

static unsigned
least(unsigned a, unsigned b)
{
    return a == 0 ? b : b == 0 ? a : MIN(a, b);
}

static unsigned
quota_up(struct level level, bool is_v2)
{
    unsigned cpus = 0;
    struct sb sb;

    sb_init(&sb, FILE_BYTES_MAX);
    for (unsigned i = 0; i < DEPTH_MAX; i++) {
        cpus = least(cpus, is_v2 ? quota_v2(&level, &sb)
                                 : quota_v1(&level, &sb));
        if (level.path.len == 0)
            break;
        do {
            level.path.len--;
        } while (level.path.len > 0 && level.path.ptr[level.path.len] != '/');
    }
    sb_release(&sb);
    return cpus;
}

static bool
has_cpu(struct sv controllers)
{
    struct sv name;

    while (sv_split(&controllers, ',', &name)) {
        if (sv_eq(name, SV("cpu")))
            return true;
    }
    return false;
}

static unsigned
quota_of_line(const char *root, struct sv line)
{
    static const char *const v2_mounts[] = {
        "/sys/fs/cgroup", "/sys/fs/cgroup/unified",
    };
    static const char *const v1_mounts[] = {
        "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct",
        "/sys/fs/cgroup/cpuacct,cpu",
    };
    struct sv id, controllers;
    unsigned cpus = 0;

    if (!sv_split(&line, ':', &id) || !sv_split(&line, ':', &controllers))
        return 0;
    if (sv_eq(line, SV("/")))
        line.len = 0;
    if (controllers.len == 0) {
        for (size_t i = 0; i < ARRAY_LEN(v2_mounts); i++)
            cpus = least(cpus,
                quota_up((struct level){root, v2_mounts[i], line}, true));
    } else if (has_cpu(controllers)) {
        for (size_t i = 0; i < ARRAY_LEN(v1_mounts); i++)
            cpus = least(cpus,
                quota_up((struct level){root, v1_mounts[i], line}, false));
    }
    return cpus;
}

unsigned
conf_cpus_quota(const char *root)
{
    char path[PATH_MAX];
    unsigned cpus = 0;
    struct sv rest, line;
    struct sb sb;

    snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    sb_init(&sb, FILE_BYTES_MAX);
    if (access(path, R_OK) == 0 && file_read_all(path, &sb, NULL) == 0) {
        rest = sb_sv(&sb);
        while (sv_split(&rest, '\n', &line))
            cpus = least(cpus, quota_of_line(root, line));
    }
    sb_release(&sb);
    return cpus;
}

/* The mask is of any size the kernel was built for. */
static unsigned
cpus_of_affinity(void)
{
    for (int n = 1024; n <= 65536; n *= 4) {
        cpu_set_t *set = CPU_ALLOC(n);
        size_t size = CPU_ALLOC_SIZE(n);
        int count = 0;

        if (set == NULL)
            break;
        if (sched_getaffinity(0, size, set) == 0)
            count = CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (count > 0)
            return (unsigned)count;
    }
    return (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
}

unsigned
conf_cpus(void)
{
    return MAX(least(cpus_of_affinity(), conf_cpus_quota("")), 1u);
}
