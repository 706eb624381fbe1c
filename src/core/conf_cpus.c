/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * How many CPUs to count on: those of the affinity mask, but no more than
 * the cgroup quota pays for.
 *
 *     version 2   cpu.max             "QUOTA PERIOD" or "max PERIOD"
 *     version 1   cpu.cfs_quota_us    QUOTA, or -1
 *                 cpu.cfs_period_us   PERIOD
 */

#include "core/base.h"
#include "core/conf_cpus.h"

#include <sched.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/conf_cgroup.h"
#include "core/num.h"

static uint64_t
cpus_of(struct sv quota, struct sv period)
{
    uint64_t q, p;

    if (!num_parse_u64(quota, &q) || !num_parse_u64(period, &p) || p == 0 ||
        q == 0)
        return 0; /* "max" or -1 */
    return MIN((q - 1) / p + 1, (uint64_t)UINT_MAX);
}

static uint64_t
quota_v1(const struct cgroup_level *level, struct sb *sb)
{
    char copy[32];
    struct sv line, quota;

    if (!cgroup_read(level, "cpu.cfs_quota_us", sb, &line) ||
        line.len >= sizeof(copy))
        return 0;
    memcpy(copy, line.ptr, line.len);
    quota = sv_make(copy, line.len);
    if (!cgroup_read(level, "cpu.cfs_period_us", sb, &line))
        return 0;
    return cpus_of(quota, line);
}

static uint64_t
IMPL(cgroup_limit_fn) quota_of(const struct cgroup_level *level,
    struct sb *sb)
{
    struct sv line, quota, period;

    if (!level->is_v2)
        return quota_v1(level, sb);
    if (!cgroup_read(level, "cpu.max", sb, &line) ||
        !sv_split(&line, ' ', &quota) || !sv_split(&line, ' ', &period))
        return 0;
    return cpus_of(quota, period);
}

unsigned
conf_cpus_quota(const char *root)
{
    return (unsigned)cgroup_least(root, "cpu", quota_of);
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
    return (unsigned)MAX(cgroup_lower(cpus_of_affinity(),
        conf_cpus_quota("")), 1u);
}
