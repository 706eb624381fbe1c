/* SPDX-License-Identifier: BSD-2-Clause */

/* What targets do with a column of a block that may be damaged. */

#ifndef SPOOR_FUZZ_USE_COLUMN_H
#define SPOOR_FUZZ_USE_COLUMN_H

#include "core/base.h"

#include "core/assert.h"
#include "storage/block.h"

/* Every text of a column must stand in memory. */
static void
use_column(const struct column *column, uint32_t rows)
{
    char buf[COLUMN_TEXT_MAX];
    uint64_t sum = 0;

    for (uint32_t row = 0; row < rows; row++) {
        struct sv text = column_text(column, row, buf);

        for (size_t i = 0; i < text.len; i += 100)
            sum += (uint8_t)text.ptr[i];
        if (text.len > 0)
            sum += (uint8_t)text.ptr[text.len - 1];
    }
    check(sum != UINT64_MAX);
}

#endif
