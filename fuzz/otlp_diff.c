/* SPDX-License-Identifier: BSD-2-Clause */

/* The protobuf decoder and protobuf-c read the same: t/unit/otlp_diff.h. */

#include "core/base.h"

#include "otlp_diff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (otlp_diff(data, size) == DIFF_DIFFERENT)
        abort();
    return 0;
}
