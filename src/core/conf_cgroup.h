/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The control groups of this process, for conf_cpus() and conf_memory().
 * /proc/self/cgroup has a line for each hierarchy, "ID:CONTROLLERS:PATH";
 * version 2 has ID 0 and no controllers.  A parent's limit binds, too, so
 * every level up to the root of the mount is read; inside a container only
 * that root exists.
 */

#ifndef SPOOR_CORE_CONF_CGROUP_H
#define SPOOR_CORE_CONF_CGROUP_H

#include "core/base.h"
#include "core/sb.h"
#include "core/sv.h"

struct cgroup_level {
    const char *root;
    const char *mount;
    struct sv path;
    bool is_v2;
};

/* The limit of one level, 0: none; sb is for its use. */
typedef uint64_t (*cgroup_limit_fn)(const struct cgroup_level *level,
    struct sb *sb);

/*
 * The least limit over all levels of the hierarchy that has the controller
 * ("cpu", "memory"); 0: none.  root is put before "/proc" and "/sys" ("" but
 * in tests).
 */
uint64_t cgroup_least(const char *root, const char *controller,
    cgroup_limit_fn limit);

/* The first line of a file of this level, in sb; false if there is none. */
bool cgroup_read(const struct cgroup_level *level, const char *name,
    struct sb *sb, struct sv *line);

/* 0 stands for no limit. */
static inline uint64_t
cgroup_lower(uint64_t a, uint64_t b)
{
    return a == 0 ? b : b == 0 ? a : MIN(a, b);
}

#endif
