/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Questions that the sections VALUES and FIELDS of a part answer without its
 * rows (part_format.h).
 */

#ifndef SPOOR_STORAGE_PART_VALUES_H
#define SPOOR_STORAGE_PART_VALUES_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "span/span.h"
#include "storage/part.h"

/* Texts of a field, not each once, and in how many rows they are. */
struct part_counts {
    struct pool *pool; /* of the caller; the rest is in it or in the part */
    struct sv *texts;
    uint64_t *rows;
    uint32_t n;
    uint32_t cap;
};

/*
 * What the tenant's rows have in this field, "" for those without.  1: all
 * rows are counted; 0: the index does not tell; -1: ERR_LIMIT.
 */
int part_count_values(struct part *part, const struct tenant *tenant,
    struct sv field, struct part_counts *counts, struct err *err) WARN_UNUSED;

/*
 * The fields that the tenant's rows have, each once, and in how many rows
 * (section FIELDS).  1: these are all; 0: the index does not tell; -1:
 * ERR_LIMIT.
 */
int part_count_fields(struct part *part, const struct tenant *tenant,
    struct part_counts *counts, struct err *err) WARN_UNUSED;

/* --- for block_part_have.c: a true may be wrong --- */

/* Tenants of a part for which its lists are searched. */
#define PART_VALUES_TENANTS 16u

/* May a row of the block have this text in this entry of KEYS (KEY_SPAN)? */
bool part_values_may_have(const struct part *part, uint32_t key,
    struct sv text, uint32_t block);
/* May a row of the block be of the resource? */
bool part_resource_may_be(const struct part *part, uint32_t resource,
    uint32_t block);

#endif
