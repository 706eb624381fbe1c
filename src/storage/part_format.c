/* SPDX-License-Identifier: BSD-2-Clause */

/* The hashes of part files, for those who write and those who read them. */

#include "core/base.h"
#include "storage/part_format.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t
part_trace_hash(uint64_t seed, const struct tenant *tenant,
    const struct trace_id *id)
{
    struct {
        uint32_t account;
        uint32_t project;
        struct trace_id id;
    } key = {tenant->account, tenant->project, *id};
    _Static_assert(sizeof(key) == 24, "nothing but the three fields");

    return XXH3_64bits_withSeed(&key, sizeof(key), seed);
}

uint64_t
part_checksum(uint64_t part_id, const void *ptr, size_t len)
{
    return XXH3_64bits_withSeed(ptr, len, part_id);
}

uint64_t
part_footer_checksum(const struct part_footer *footer)
{
    return XXH3_64bits(footer, offsetof(struct part_footer, xxh3));
}
