/* SPDX-License-Identifier: BSD-2-Clause */

/* spoorctl check: verifies a data directory offline. */

#include "core/base.h"
#include "cli/cli.h"

#include <getopt.h>

#include "cluster/queue.h"
#include "core/sys.h"
#include "storage/store.h"

#define REPORT_BYTES_MAX (16 * MIB)
/* Names of files are put behind it. */
#define DIRECTORY_BYTES_MAX (PATH_MAX - 256)

static const struct option options[] = {
    {"deep", no_argument, NULL, 'd'},
    {NULL, 0, NULL, 0},
};

static bool
is_there(const char *dir, const char *name, char path[PATH_MAX])
{
    struct stat st;

    return snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX &&
        sys.stat(path, &st) == 0;
}

/* A front has a queue and nothing else; a store that was one has both. */
static int
check_directory(const char *dir, bool deep, struct sb *out, struct err *err)
{
    char path[PATH_MAX];
    bool has_days = is_there(dir, "partitions", path);
    bool has_queue = is_there(dir, "queue", path);
    int rc = 0;

    if (has_queue && queue_check(path, out, err) != 0)
        rc = -1;
    if (rc != 0 && err->code != ERR_CORRUPT)
        return rc;
    if ((has_days || !has_queue) && store_check(dir, deep, out, err) != 0)
        rc = -1;
    return rc;
}

int
cli_check(int argc, char **argv)
{
    struct err err = ERR_INIT;
    bool deep = false;
    struct sb out;
    int c, rc;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c != 'd')
            return cli_usage("check");
        deep = true;
    }
    if (optind + 1 != argc)
        return cli_usage("check");
    if (strlen(argv[optind]) > DIRECTORY_BYTES_MAX)
        return cli_fail("the name of the directory is too long");
    sb_init(&out, REPORT_BYTES_MAX);
    rc = check_directory(argv[optind], deep, &out, &err);
    fwrite(out.ptr, 1, out.len, stdout);
    sb_release(&out);
    if (rc != 0 && err.code != ERR_CORRUPT)
        return cli_fail("%s", err.text);
    return rc == 0 ? CLI_OK : CLI_NOT_FOUND;
}
