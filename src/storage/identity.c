/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/identity.h"

#include "core/log.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "storage/day.h"
#include "storage/shared.h"

static int
node_load(struct layout_node *node, struct err *err)
{
    struct err read_err = ERR_INIT;
    char path[PATH_MAX];

    if (layout_read_node(node, &read_err) == 0)
        return 0;
    if (read_err.code == ERR_CORRUPT) {
        /* What it holds can be made anew from the names of all files. */
        log_error("kept in quarantine, made anew: %s", read_err.text);
        layout_path(path, "NODE");
        if (layout_discard(path, "quarantine", err) != 0)
            return -1;
    } else if (read_err.code != ERR_NOT_FOUND) {
        if (err != NULL)
            *err = read_err;
        return -1;
    }
    memset(node, 0, sizeof(*node));
    node->version = LAYOUT_VERSION;
    node->created_ns = clock_wall_ns();
    if (sys.random(node->id, sizeof(node->id)) != 0)
        return err_sys(err, "random bytes");
    return 0;
}

/*
 * Flushed positions count for the logs of the same server only.  Logs never
 * come from elsewhere: when NODE was lost or changed, they say who this is.
 */
static void
node_identify(struct layout_node *node, const struct wal_file_name *logs,
    size_t nlogs)
{
    char dir[PATH_MAX], path[PATH_MAX];
    uint8_t id[16];

    layout_wal_dir(dir);
    for (size_t i = 0; i < nlogs; i++) {
        wal_file_path(path, sizeof(path), dir, &logs[i]);
        if (logs[i].is_digests || !wal_read_node_id(path, id))
            continue;
        if (memcmp(id, node->id, sizeof(id)) != 0) {
            log_warn("NODE names another server than the logs: theirs is "
                "taken");
            memcpy(node->id, id, sizeof(id));
        }
        return;
    }
}

int
identity_load(struct layout_node *node, const struct wal_file_name *logs,
    size_t nlogs, struct err *err)
{
    if (node_load(node, err) != 0)
        return -1;
    node_identify(node, logs, nlogs);
    for (size_t i = 0; i < nlogs; i++)
        node->boot = MAX(node->boot, (uint32_t)(logs[i].log_id >> 32));
    return 0;
}

int
identity_advance(struct layout_node *node, const uint32_t *days,
    size_t ndays, struct err *err)
{
    uint32_t boot = node->boot;

    for (size_t i = 0; i < ndays; i++) {
        uint32_t highest;

        if (day_highest_boot(days[i], &highest, err) != 0) {
            /* What is in a detached directory keeps no server down. */
            if (partition_state(days[i]) != PARTITION_OPEN)
                continue;
            return -1;
        }
        boot = MAX(boot, highest);
    }
    node->boot = boot + 1;
    if (layout_write_node(node, err) != 0)
        return -1;
    memcpy(shared->node_id, node->id, sizeof(shared->node_id));
    atomic_store(&shared->boot, node->boot);
    atomic_store(&shared->next_log, 1);
    atomic_store(&shared->next_part, 1);
    return 0;
}
