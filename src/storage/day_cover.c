/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/day_cover.h"

#include "core/log.h"
#include "core/mem.h"
#include "storage/layout.h"

static void
ranges_add(struct cover *cover, const struct part_lineage *ranges, size_t n)
{
    if (cover->nranges + n > cover->cap_ranges) {
        cover->cap_ranges = MAX(2 * cover->cap_ranges, cover->nranges + n);
        cover->ranges = xrealloc(cover->ranges,
            cover->cap_ranges * sizeof(*cover->ranges));
    }
    if (n > 0)
        memcpy(cover->ranges + cover->nranges, ranges, n * sizeof(*ranges));
    cover->nranges += n;
    cover->is_sorted = false;
}

static void
inputs_add(struct cover *cover, const uint64_t *inputs, size_t n)
{
    if (cover->ninputs + n > cover->cap_inputs) {
        cover->cap_inputs = MAX(2 * cover->cap_inputs, cover->ninputs + n);
        cover->inputs = xrealloc(cover->inputs,
            cover->cap_inputs * sizeof(*cover->inputs));
    }
    if (n > 0)
        memcpy(cover->inputs + cover->ninputs, inputs, n * sizeof(*inputs));
    cover->ninputs += n;
    cover->is_sorted = false;
}

void
cover_add(struct cover *cover, const struct part *part)
{
    size_t nranges, ninputs;
    const struct part_lineage *ranges = part_get_lineage(part, &nranges);
    const uint64_t *inputs = part_get_inputs(part, &ninputs);

    ranges_add(cover, ranges, nranges);
    inputs_add(cover, inputs, ninputs);
}

/* The manifest has the lineage of level 1; others' files are asked. */
void
cover_load(struct cover *cover, const struct manifest *manifest)
{
    memset(cover, 0, sizeof(*cover));
    for (size_t i = 0; i < manifest->nparts; i++) {
        const struct manifest_part *entry = &manifest->parts[i];
        struct err err = ERR_INIT;
        struct part *part = NULL;
        char path[PATH_MAX];

        if (entry->is_bad)
            continue;
        if (entry->lineage.log_id != 0) {
            ranges_add(cover, &entry->lineage, 1);
            continue;
        }
        layout_part(path, entry->info.day, entry->info.id,
            entry->info.level);
        if (part_open(&part, path, &err) == 0)
            cover_add(cover, part);
        else
            log_error("what it was merged from is not known: %s", err.text);
        part_close(part);
    }
}

void
cover_release(struct cover *cover)
{
    xfree(cover->ranges);
    xfree(cover->inputs);
    memset(cover, 0, sizeof(*cover));
}

/* --- asking --- */

static int
range_cmp(const void *left, const void *right)
{
    const struct part_lineage *a = left, *b = right;

    if (a->log_id != b->log_id)
        return a->log_id < b->log_id ? -1 : 1;
    return (a->first_lsn > b->first_lsn) - (a->first_lsn < b->first_lsn);
}

static int
id_cmp(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static void
cover_sort(struct cover *cover)
{
    size_t n = 0;

    if (cover->is_sorted)
        return;
    if (cover->nranges > 1)
        qsort(cover->ranges, cover->nranges, sizeof(*cover->ranges),
            range_cmp);
    for (size_t i = 0; i < cover->nranges; i++) {
        const struct part_lineage *range = &cover->ranges[i];
        struct part_lineage *last = n > 0 ? &cover->ranges[n - 1] : NULL;

        if (last != NULL && last->log_id == range->log_id &&
            range->first_lsn <= last->last_lsn)
            last->last_lsn = MAX(last->last_lsn, range->last_lsn);
        else
            cover->ranges[n++] = *range;
    }
    cover->nranges = n;
    if (cover->ninputs > 1)
        qsort(cover->inputs, cover->ninputs, sizeof(*cover->inputs), id_cmp);
    cover->is_sorted = true;
}

/* The last range of the log that begins at or before the given one. */
static const struct part_lineage *
range_before(const struct cover *cover, const struct part_lineage *range)
{
    size_t low = 0, high = cover->nranges;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (range_cmp(&cover->ranges[middle], range) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &cover->ranges[low - 1] : NULL;
}

bool
cover_has_ranges(struct cover *cover, const struct part_lineage *ranges,
    size_t n)
{
    cover_sort(cover);
    for (size_t i = 0; i < n; i++) {
        const struct part_lineage *held = range_before(cover, &ranges[i]);

        if (held == NULL || held->log_id != ranges[i].log_id ||
            held->last_lsn < ranges[i].last_lsn)
            return false;
    }
    return n > 0;
}

bool
cover_has_input(struct cover *cover, uint64_t part_id)
{
    cover_sort(cover);
    return cover->ninputs > 0 && bsearch(&part_id, cover->inputs,
        cover->ninputs, sizeof(part_id), id_cmp) != NULL;
}

bool
cover_has_log(const struct cover *cover, uint64_t log_id)
{
    for (size_t i = 0; i < cover->nranges; i++) {
        if (cover->ranges[i].log_id == log_id)
            return true;
    }
    return false;
}
