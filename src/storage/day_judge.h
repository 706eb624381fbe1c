/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What becomes of part files that the manifest of their day does not list
 * (the table in day.h).  Private to day*.c.
 */

#ifndef SPOOR_STORAGE_DAY_JUDGE_H
#define SPOOR_STORAGE_DAY_JUDGE_H

#include "core/base.h"
#include "core/err.h"
#include "storage/manifest.h"
#include "storage/wal.h"

struct day_file {
    uint64_t id;
    uint32_t level;
};

struct day_case {
    struct manifest *manifest;
    struct day_file *files; /* all parts in the directory; will be sorted */
    size_t nfiles;
    const struct wal_file_name *logs; /* the files in wal/ */
    size_t nlogs;
    bool is_changed; /* set when the manifest is another one afterwards */
};

/* Flushed positions and logs of other servers have no meaning here. */
bool day_is_of_this_node(const uint8_t node_id[16]);

int day_judge(struct day_case *day, struct err *err) WARN_UNUSED;

#endif
