/* SPDX-License-Identifier: BSD-2-Clause */

/* Manifests: the bytes behind a valid header, as the file of a day. */

#include "core/base.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/file.h"
#include "storage/layout.h"
#include "storage/manifest.h"

#define DAY 20261121u

static char root[64];

static void
clean_up(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", root);
    (void)!system(command);
}

static void
read_bytes(const void *ptr, size_t len)
{
    struct manifest manifest;
    struct err err = ERR_INIT;
    char path[PATH_MAX];
    int fd;

    layout_manifest(path, DAY);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    check(fd >= 0 && write(fd, ptr, len) == (ssize_t)len);
    close(fd);
    if (manifest_read(&manifest, DAY, &err) == 0)
        manifest_release(&manifest);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;

    if (root[0] == '\0') {
        snprintf(root, sizeof(root), "/dev/shm/spoor-fuzz-manifest-%d",
            (int)getpid());
        layout_set(root);
        check(layout_create(&err) == 0 &&
            layout_create_partition(DAY, &err) == 0);
        atexit(clean_up);
    }
    read_bytes(data, size);
    return 0;
}
