/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "span/ingest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

void
ingest_make_digest(uint8_t digest[16], const struct tenant *tenant,
    struct sv params, struct sv plain_body)
{
    const struct {
        uint32_t account;
        uint32_t project;
        uint64_t params_len;
    } head = {tenant->account, tenant->project, params.len};
    XXH128_canonical_t canonical;
    XXH3_state_t state;

    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, &head, sizeof(head));
    if (params.len > 0)
        XXH3_128bits_update(&state, params.ptr, params.len);
    if (plain_body.len > 0)
        XXH3_128bits_update(&state, plain_body.ptr, plain_body.len);
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
    memcpy(digest, canonical.digest, sizeof(canonical.digest));
}
