/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/trash.h"

#include <errno.h>

#include "core/fault.h"
#include "core/file.h"
#include "core/log.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "storage/layout.h"

/* day/snapshots/id/file, and what a person may have put there. */
#define TREE_DEPTH_MAX 8u

int
trash_move(const char *path, uint32_t day, struct err *err)
{
    char target[PATH_MAX], name[64];
    struct err move_err = ERR_INIT;

    snprintf(name, sizeof(name), ".trash/" TRASH_DAY_PREFIX "%08u.%lld", day,
        (long long)clock_wall_ns());
    layout_path(target, name);
    if (file_rename(path, target, &move_err) != 0 &&
        move_err.code != ERR_NOT_FOUND) {
        if (err != NULL)
            *err = move_err;
        return -1;
    }
    return layout_sync_partitions(err);
}

struct tree {
    unsigned *budget;
    unsigned depth;
    const char *path;
    bool is_left;
    struct err *err;
    int rc;
};

static int tree_remove(const char *path, unsigned *budget, unsigned depth,
    struct err *err);

static int IMPL(file_name_fn)
tree_remove_name(const char *name, void *arg)
{
    struct tree *tree = arg;
    char path[PATH_MAX + NAME_MAX + 2];
    int rc = 0;

    snprintf(path, sizeof(path), "%s/%s", tree->path, name);
    if (*tree->budget == 0) {
        tree->is_left = true;
        return 1;
    }
    (*tree->budget)--;
    /* Links are not followed: only a directory itself is none of these. */
    if (sys.unlink(path) != 0 && errno != ENOENT) {
        if (errno == EISDIR)
            rc = tree_remove(path, tree->budget, tree->depth + 1, tree->err);
        else
            rc = err_sys(tree->err, "%s: unlink", path);
    }
    fault("retention.mid_unlink");
    if (rc > 0)
        tree->is_left = true;
    if (rc < 0)
        tree->rc = -1;
    return rc < 0 || tree->is_left;
}

static int
tree_remove(const char *path, unsigned *budget, unsigned depth,
    struct err *err)
{
    struct tree tree = {budget, depth, path, false, err, 0};

    if (strlen(path) >= PATH_MAX || depth > TREE_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "%s: too deep to be removed", path);
    if (file_list(path, tree_remove_name, &tree, err) != 0 || tree.rc != 0)
        return -1;
    if (tree.is_left)
        return 1;
    if (sys.rmdir(path) != 0 && errno != ENOENT)
        return err_sys(err, "%s: rmdir", path);
    return 0;
}

int
trash_remove_tree(const char *path, unsigned *budget, struct err *err)
{
    return tree_remove(path, budget, 0, err);
}

/* --- days --- */

struct sweep {
    unsigned budget;
    bool is_left;
    char root[PATH_MAX];
};

static bool
is_day(const char *name)
{
    return strncmp(name, TRASH_DAY_PREFIX, strlen(TRASH_DAY_PREFIX)) == 0;
}

static int IMPL(file_name_fn)
sweep_name(const char *name, void *arg)
{
    struct sweep *sweep = arg;
    char path[PATH_MAX + NAME_MAX + 2];
    struct err err = ERR_INIT;
    int rc;

    if (!is_day(name))
        return 0;
    snprintf(path, sizeof(path), "%s/%s", sweep->root, name);
    rc = tree_remove(path, &sweep->budget, 0, &err);
    if (rc < 0)
        log_warn("not removed: %s", err.text);
    sweep->is_left |= rc > 0;
    return rc > 0;
}

bool
trash_sweep(unsigned max)
{
    struct sweep sweep = {.budget = max};
    struct err err = ERR_INIT;

    layout_path(sweep.root, ".trash");
    if (file_list(sweep.root, sweep_name, &sweep, &err) != 0)
        log_warn("%s", err.text);
    return sweep.is_left;
}

static int IMPL(file_name_fn)
find_day(const char *name, void *arg)
{
    bool *found = arg;

    *found |= is_day(name);
    return *found;
}

bool
trash_has_days(void)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    bool found = false;

    layout_path(path, ".trash");
    if (file_list(path, find_day, &found, &ignored) != 0)
        return false;
    return found;
}
