/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Which rows the parts of a day hold, by the ranges of their lineage, and
 * which parts were merged into them: what is covered is a leftover.  Private
 * to day*.c.
 */

#ifndef SPOOR_STORAGE_DAY_COVER_H
#define SPOOR_STORAGE_DAY_COVER_H

#include "core/base.h"
#include "storage/manifest.h"

struct cover {
    struct part_lineage *ranges; /* sorted and united when is_sorted */
    size_t nranges, cap_ranges;
    uint64_t *inputs;            /* part ids, the same */
    size_t ninputs, cap_inputs;
    bool is_sorted;
};

/* The parts that a manifest lists, but for the bad ones. */
void cover_load(struct cover *cover, const struct manifest *manifest);
void cover_add(struct cover *cover, const struct part *part);
void cover_release(struct cover *cover);

bool cover_has_ranges(struct cover *cover, const struct part_lineage *ranges,
    size_t n);
bool cover_has_input(struct cover *cover, uint64_t part_id);
bool cover_has_log(const struct cover *cover, uint64_t log_id);

#endif
