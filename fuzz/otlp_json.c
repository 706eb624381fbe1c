/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Any bytes as a JSON request.  What was accepted is written as JSON and as
 * protobuf, read back from both, and must be the same.
 */

#include "core/base.h"

#include "core/err.h"
#include "core/pool.h"
#include "core/sb.h"
#include "otlp/otlp.h"
#include "otlp_again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pool *pool = pool_new(64 * MIB);
    struct batch batch;

    batch_init(&batch, pool);
    if (otlp_decode_json(sv_make((const char *)data, size), &batch,
            NULL) == 0) {
        otlp_check_again(&batch, OTLP_JSON);
        otlp_check_again(&batch, OTLP_PROTOBUF);
    }
    pool_free(pool);
    return 0;
}
