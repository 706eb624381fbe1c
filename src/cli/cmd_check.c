/* SPDX-License-Identifier: BSD-2-Clause */

/* spoorctl check: verifies a data directory offline. */

#include "core/base.h"
#include "cli/cli.h"

#include <getopt.h>

#include "storage/store.h"

#define REPORT_BYTES_MAX (16 * MIB)
/* Names of files are put behind it. */
#define DIRECTORY_BYTES_MAX (PATH_MAX - 256)

static const struct option options[] = {
    {"deep", no_argument, NULL, 'd'},
    {NULL, 0, NULL, 0},
};

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
    rc = store_check(argv[optind], deep, &out, &err);
    fwrite(out.ptr, 1, out.len, stdout);
    sb_release(&out);
    if (rc != 0 && err.code != ERR_CORRUPT)
        return cli_fail("%s", err.text);
    return rc == 0 ? CLI_OK : CLI_NOT_FOUND;
}
