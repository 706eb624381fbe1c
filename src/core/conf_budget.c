/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Memory limits of control groups are
 *
 *     version 2   memory.max              BYTES or "max"
 *     version 1   memory.limit_in_bytes   BYTES, or nearly 2^63
 *
 * The figures below were chosen so that a worker in 256 MiB, of which 60 %
 * are allowed, stays within them: 64 MiB are its memtables, some 20 MiB what
 * writes parts.  More memory makes the rest larger, up to the maxima.
 */

#include "core/base.h"
#include "core/conf_budget.h"

#include <unistd.h>

#include "core/conf_cgroup.h"
#include "core/num.h"

/* Of a worker: below it another one would only take memory from the first. */
#define WORKER_BYTES (160 * MIB)

/* An inflated body and its spans, with what hostile ones need of it. */
#define DECODE_PER_BODY 6

/*
 * Of the share, for what malloc keeps.  Every thread has a heap that does, and
 * half of it is the largest piece that is kept: in 256 MiB those of 1 MiB, of
 * which regions are made, go back.  Over 10 minutes bench/small held 198 MB
 * so, and 207 and 234 MB with 32.
 */
#define HEAP_PARTS 80

/* All columns of a block of 64 Ki rows, as texts. */
#define LANE_BYTES (48 * MIB)
#define QUERIES_LEAST (LANE_BYTES / 3 * 4)

static uint64_t
IMPL(cgroup_limit_fn) limit_of(const struct cgroup_level *level,
    struct sb *sb)
{
    struct sv line;
    uint64_t bytes;

    if (!cgroup_read(level, level->is_v2 ? "memory.max"
            : "memory.limit_in_bytes", sb, &line) ||
        !num_parse_u64(sv_trim(line), &bytes) || bytes >= INT64_MAX / 2)
        return 0;
    return bytes;
}

uint64_t
conf_memory_limit(const char *root)
{
    return cgroup_least(root, "memory", limit_of);
}

static uint64_t
memory_of_machine(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

    if (pages <= 0 || page <= 0)
        return 1 * GIB;
    return (uint64_t)pages * (uint64_t)page;
}

static uint64_t
clamp(uint64_t bytes, uint64_t least, uint64_t most)
{
    return MIN(MAX(bytes, least), most);
}

void
conf_budget_make(struct conf_budget *out, const struct conf *conf,
    unsigned cpus, uint64_t memory)
{
    uint64_t share;

    memset(out, 0, sizeof(*out));
    out->cpus = MAX(cpus, 1u);
    out->memory = memory;
    out->allowed = conf->memory_bytes > 0 ? conf->memory_bytes
        : memory / 100 * (conf->memory_percent > 0 ? conf->memory_percent
            : 60);
    out->workers = conf->workers > 0 ? (unsigned)conf->workers
        : (unsigned)clamp(out->allowed / WORKER_BYTES, 1, out->cpus);
    share = out->allowed / out->workers;
    out->decode = clamp(share / 4, 16 * MIB, 2 * GIB);
    out->body_max = MIN(conf->max_request_size,
        MAX(out->decode / DECODE_PER_BODY, 1 * MIB));
    out->parcels_max = MIN(conf->internal_insert_max,
        MAX(out->decode / DECODE_PER_BODY, 1 * MIB));
    out->bodies = MAX(clamp(share / 8, 8 * MIB, 1 * GIB),
        MAX(out->body_max, out->parcels_max));
    out->query = conf->query_memory > 0 ? conf->query_memory
        : clamp(share / 4, 16 * MIB, 256 * MIB);
    out->queries = MAX(clamp(share / 5 * 2, QUERIES_LEAST, 4 * GIB),
        out->query / 3 * 4);
    out->lanes = (unsigned)clamp(out->queries / (2 * LANE_BYTES), 1,
        conf->threads);
    out->replies = clamp(share / 8, 8 * MIB, 256 * MIB);
    out->conns = clamp(share / 8, 8 * MIB, 1 * GIB);
    out->cache = clamp(share / 16, 4 * MIB, 128 * MIB);
    out->heap_keep = clamp(share / HEAP_PARTS, 1 * MIB, 64 * MIB);
}

const struct conf_budget *
conf_budget(const struct conf *conf)
{
    static struct conf_budget budget;
    static const struct conf *made_for;
    uint64_t memory;

    if (made_for == conf)
        return &budget;
    memory = cgroup_lower(conf_memory_limit(""), memory_of_machine());
    conf_budget_make(&budget, conf, conf_cpus(), memory);
    made_for = conf;
    return &budget;
}

static void
put_mb(struct sb *out, const char *what, uint64_t bytes)
{
    sb_addf(out, ", %s %llu", what,
        (unsigned long long)((bytes + 500000) / 1000000));
}

void
conf_budget_print(const struct conf_budget *budget, struct sb *out)
{
    sb_addf(out, "%u worker%s for %u CPU%s, %llu MB allowed of %llu; MB of a "
        "worker: bodies %llu", budget->workers,
        budget->workers == 1 ? "" : "s", budget->cpus,
        budget->cpus == 1 ? "" : "s",
        (unsigned long long)(budget->allowed / 1000000),
        (unsigned long long)(budget->memory / 1000000),
        (unsigned long long)(budget->bodies / 1000000));
    put_mb(out, "decoding", budget->decode);
    put_mb(out, "largest body", budget->body_max);
    put_mb(out, "queries", budget->queries);
    put_mb(out, "one", budget->query);
    put_mb(out, "answers", budget->replies);
    put_mb(out, "cache", budget->cache);
}
