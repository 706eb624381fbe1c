/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encode and decode gives the same batch; panics when not.  Spans that were
 * rejected while decoding are left out: part of what they held is gone.
 */

#ifndef SPOOR_UNIT_OTLP_AGAIN_H
#define SPOOR_UNIT_OTLP_AGAIN_H

#include "core/assert.h"
#include "core/base.h"
#include "core/sb.h"
#include "otlp/otlp.h"
#include "otlp/otlp_encode.h"
#include "span/span.h"
#include "span/value.h"

static void
otlp_check_again(const struct batch *batch, enum otlp_format format)
{
    struct pool *pool = pool_new(256 * MIB);
    struct err err = ERR_INIT;
    struct batch again;
    struct sb body;

    sb_init(&body, 256 * MIB);
    if (format == OTLP_JSON)
        otlp_encode_json(batch, &body);
    else
        otlp_encode_protobuf(batch, &body);
    check(!sb_failed(&body));
    batch_init(&again, pool);
    if (otlp_decode(format, sb_sv(&body), &again, &err) != 0)
        panic("own encoding is refused: %s", err.text);
    check(again.nspans == batch->nspans);
    for (uint32_t i = 0; i < batch->nspans; i++) {
        uint8_t hash_a[16];
        uint8_t hash_b[16];

        if (batch->spans[i].reject != REJECT_NONE)
            continue;
        check(again.spans[i].reject == REJECT_NONE);
        check(span_equal(batch, &batch->spans[i], &again, &again.spans[i]));
        span_hash(batch, &batch->spans[i], hash_a);
        span_hash(&again, &again.spans[i], hash_b);
        check(memcmp(hash_a, hash_b, sizeof(hash_a)) == 0);
    }
    sb_release(&body);
    pool_free(pool);
}

#endif
