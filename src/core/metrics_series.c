/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Names of series: an open hash table that all processes share and that only
 * grows.  A place is FREE, then FILLING by the one who claimed it, then READY
 * for ever.  Whoever is killed while FILLING leaves a place that is never
 * used: others wait a moment for it and then do without their series, since
 * the same labels in another place would be a series twice.
 */

#include "core/base.h"
#include "core/metrics.h"

#include <sched.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/assert.h"
#include "core/metrics_table.h"

/* Times that the one who fills a place gets the CPU. */
#define SERIES_PATIENCE 1000

static bool
name_is(const struct metric_name *name, enum metric_id id, const char *labels)
{
    return name->id == (uint32_t)id && strcmp(name->labels, labels) == 0;
}

static void
name_fill(unsigned at, enum metric_id id, const char *labels)
{
    struct metric_name *name = &metrics->names[at];

    name->id = (uint32_t)id;
    name->summary = UINT32_MAX;
    if (metric_describe(id)->type == METRIC_TYPE_SUMMARY)
        name->summary = atomic_fetch_add(&metrics->nsummaries, 1);
    snprintf(name->labels, sizeof(name->labels), "%s", labels);
    atomic_store(&name->state, SERIES_READY);
    /* One place for each name, so there is room. */
    atomic_store(&metrics->order[atomic_fetch_add(&metrics->nnames, 1)],
        at + 1);
}

static bool
name_wait(const struct metric_name *name)
{
    for (unsigned i = 0; i < SERIES_PATIENCE; i++) {
        if (atomic_load(&name->state) == SERIES_READY)
            return true;
        sched_yield();
    }
    return false;
}

unsigned
metric_series(enum metric_id id, const char *labels)
{
    size_t len = strlen(labels);
    uint64_t hash = XXH3_64bits_withSeed(labels, len, (uint64_t)id);

    check(metric_describe(id)->is_series);
    if (len >= METRIC_LABELS_MAX)
        return METRIC_SERIES_NONE;
    for (unsigned i = 0; i < METRIC_SERIES_MAX; i++) {
        unsigned at = (unsigned)((hash + i) % METRIC_SERIES_MAX);
        struct metric_name *name = &metrics->names[at];
        uint32_t state = SERIES_FREE;

        if (atomic_compare_exchange_strong(&name->state, &state,
            SERIES_FILLING)) {
            name_fill(at, id, labels);
            return at;
        }
        if (state == SERIES_FILLING && !name_wait(name))
            return METRIC_SERIES_NONE;
        if (name_is(name, id, labels))
            return at;
    }
    return METRIC_SERIES_NONE;
}

void
metric_series_observe_ns(unsigned series, int64_t ns, int64_t now_ns)
{
    uint32_t summary;

    if (series >= METRIC_SERIES_MAX)
        return;
    summary = metrics->names[series].summary;
    if (summary < METRIC_SUMMARIES_MAX)
        summary_observe(&metrics->summaries[summary], ns, now_ns);
}

void
metric_add_label(struct sb *labels, const char *name, struct sv value)
{
    if (labels->len > 0)
        sb_add_char(labels, ',');
    sb_addf(labels, "%s=\"", name);
    for (size_t i = 0; i < value.len; i++) {
        char byte = value.ptr[i];

        if (byte == '\\' || byte == '"')
            sb_add_char(labels, '\\');
        if (byte == '\n')
            sb_add_str(labels, "\\n");
        else
            sb_add_char(labels, byte);
    }
    sb_add_char(labels, '"');
}
