/* SPDX-License-Identifier: BSD-2-Clause */

/* The hashes of part files, and the one place that decompresses them. */

#include "core/base.h"
#include "storage/part_format.h"

#include <pthread.h>
#include <zstd.h>

#include "core/assert.h"

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
part_trace_seed(const uint8_t node_id[16])
{
    static const char purpose[] = "spoor: seed of TRACES, 1";
    uint8_t bytes[16 + sizeof(purpose)];

    memcpy(bytes, node_id, 16);
    memcpy(bytes + 16, purpose, sizeof(purpose));
    return XXH3_64bits(bytes, sizeof(bytes));
}

uint64_t
part_filter_key(uint64_t seed, uint8_t head, struct sv name)
{
    uint64_t first = XXH3_64bits_withSeed(&head, sizeof(head), seed);

    return XXH3_64bits_withSeed(name.ptr, name.len, first);
}

uint64_t
part_filter_hash(uint64_t key, struct sv text)
{
    if (text.len == 0)
        text = SV("-");
    return XXH3_64bits_withSeed(text.ptr, text.len, key);
}

uint64_t
part_filter_int_hash(uint64_t key, uint64_t v)
{
    return XXH3_64bits_withSeed(&v, sizeof(v), key);
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

/* --- one context per thread, freed with it --- */

static pthread_once_t context_once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key;

static void
context_free(void *context)
{
    ZSTD_freeDCtx(context);
}

static void
context_key_new(void)
{
    check(pthread_key_create(&context_key, context_free) == 0);
}

static ZSTD_DCtx *
context_get(void)
{
    ZSTD_DCtx *context;

    pthread_once(&context_once, context_key_new);
    context = pthread_getspecific(context_key);
    if (context == NULL) {
        context = ZSTD_createDCtx();
        if (context != NULL && pthread_setspecific(context_key, context) != 0) {
            ZSTD_freeDCtx(context);
            return NULL;
        }
    }
    return context;
}

bool
part_unpack(void *dst, size_t raw, const void *packed, size_t len)
{
    ZSTD_DCtx *context = context_get();
    size_t n;

    if (context == NULL)
        return false;
    n = ZSTD_decompressDCtx(context, dst, raw, packed, len);
    return !ZSTD_isError(n) && n == raw;
}
