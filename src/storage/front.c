/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/front.h"

#include "core/file.h"
#include "core/log.h"
#include "storage/layout.h"

int
front_create(struct err *err)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    layout_path(path, FRONT_QUEUE);
    if (file_mkdirs(path, 0750, err) != 0)
        return -1;
    /* The name of the root itself, where reading its parent is allowed. */
    layout_path(path, "..");
    (void)!file_sync_dir(path, &ignored);
    return file_sync_dir(layout_root(), err);
}

static int IMPL(file_name_fn)
count_name(const char *name, void *arg)
{
    unsigned *n = arg;

    if (name[0] != '.')
        (*n)++;
    return 0;
}

static unsigned
names_in(const char *directory)
{
    struct err err = ERR_INIT;
    char path[PATH_MAX];
    unsigned n = 0;

    layout_path(path, directory);
    return file_list(path, count_name, &n, &err) == 0 ? n : 0;
}

void
front_warn_store(void)
{
    if (names_in("wal") + names_in("partitions") > 0)
        log_warn("%s has spans of a server without storage_nodes: they stay "
            "there, but this front does not serve them; start that server "
            "with the directory, and this one with another storage.path",
            layout_root());
}

void
front_warn_queue(void)
{
    if (names_in(FRONT_QUEUE) > 0)
        log_warn("%s/" FRONT_QUEUE " has spans of a front that no storage "
            "node has got yet: they wait until a server with storage_nodes "
            "is started with this directory", layout_root());
}
