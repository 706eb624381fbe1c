/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/versions.h"

#include "storage/layout.h"
#include "storage/manifest.h"
#include "storage/part.h"
#include "storage/shared.h"

/* Any other failure is for those who need the file. */
static int
only_newer(const struct err *found, struct err *err)
{
    if (found->code != ERR_UNSUPPORTED)
        return 0;
    if (err != NULL)
        *err = *found;
    return err_wrap(err, "nothing was changed");
}

static int
newest_part_check(const struct manifest *manifest, struct err *err)
{
    const struct part_info *newest = NULL;
    struct err found = ERR_INIT;
    struct part *part = NULL;
    char path[PATH_MAX];

    for (size_t i = 0; i < manifest->nparts; i++) {
        if (newest == NULL || manifest->parts[i].info.id > newest->id)
            newest = &manifest->parts[i].info;
    }
    if (newest == NULL)
        return 0;
    layout_part(path, newest->day, newest->id, newest->level);
    if (part_open(&part, path, &found) != 0)
        return only_newer(&found, err);
    part_close(part);
    return 0;
}

static int
day_check(uint32_t day, struct err *err)
{
    struct err found = ERR_INIT;
    struct manifest manifest;
    int rc;

    if (manifest_read(&manifest, day, &found) != 0)
        return only_newer(&found, err);
    rc = newest_part_check(&manifest, err);
    manifest_release(&manifest);
    return rc;
}

int
versions_check(const uint32_t *days, size_t ndays,
    const struct wal_file_name *logs, size_t nlogs, struct err *err)
{
    char dir[PATH_MAX], path[PATH_MAX];

    layout_wal_dir(dir);
    for (size_t i = 0; i < nlogs; i++) {
        struct err found = ERR_INIT;

        if (logs[i].is_digests)
            continue;
        wal_file_path(path, sizeof(path), dir, &logs[i]);
        if (wal_check_version(path, &found) != 0 &&
            only_newer(&found, err) != 0)
            return -1;
    }
    for (size_t i = 0; i < ndays; i++) {
        if (partition_state(days[i]) == PARTITION_OPEN &&
            day_check(days[i], err) != 0)
            return -1;
    }
    return 0;
}
