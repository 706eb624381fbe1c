/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Where the bytes of the parts of a data directory go.
 *
 *   part_sizes [--least B] DIRECTORY|FILE...   B: bytes a span of the
 *                                              columns that are shown
 *
 * A directory is searched for parts; level by level, one table each.
 */

#include "core/base.h"

#include <fts.h>
#include <getopt.h>

#include "../bench/part_sizes.h"
#include "core/num.h"
#include "storage/layout.h"

#define LEVELS 10u

static struct sizes levels[LEVELS];

static int
add_file(const char *path)
{
    struct err err = ERR_INIT;
    struct part *part;

    if (part_open(&part, path, &err) != 0) {
        fprintf(stderr, "part_sizes: %s\n", err.text);
        return -1;
    }
    sizes_add(&levels[MIN(part->info.level, LEVELS - 1)], part);
    part_close(part);
    return 0;
}

static int
add_all(char **paths)
{
    FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;
    int rc = 0;

    check(fts != NULL);
    while ((entry = fts_read(fts)) != NULL) {
        uint64_t id;
        uint32_t level;

        if (entry->fts_info == FTS_F &&
            layout_parse_part(entry->fts_name, &id, &level) &&
            add_file(entry->fts_accpath) != 0)
            rc = 1;
    }
    fts_close(fts);
    return rc;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"least", required_argument, NULL, 'l'}, {NULL, 0, NULL, 0}};
    double least = 0.01;
    int c, rc;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == '?' || !num_parse_double(sv_from(optarg), &least))
            return 2;
    }
    if (optind == argc) {
        fprintf(stderr, "usage: part_sizes [--least B] DIRECTORY|FILE...\n");
        return 2;
    }
    rc = add_all(argv + optind);
    for (unsigned i = 0; i < LEVELS; i++) {
        if (levels[i].parts == 0)
            continue;
        printf("--- level %u: %llu spans\n", i,
            (unsigned long long)levels[i].rows);
        sizes_print_groups(&levels[i]);
        sizes_print_columns(&levels[i], least);
        sizes_release(&levels[i]);
    }
    return rc;
}
