/* SPDX-License-Identifier: BSD-2-Clause */

/* Rows of a block as the spans they are, for those who need their types. */

#include "core/base.h"
#include "storage/block.h"

#include "core/assert.h"
#include "storage/block_read.h"

int
block_read_spans(struct block *block, const uint32_t *rows, uint32_t n,
    struct batch *out, struct err *err)
{
    struct reading reading;
    int rc;

    OBJ_CHECK(block, BLOCK_MAGIC);
    if (block->mt != NULL)
        return memtable_read_rows(block->mt, rows, n, out, err);
    /* One of its own: what it remembers of a batch is of this one. */
    rc = reading_open(&reading, block->reading.part,
        block->reading.block_idx, err);
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        rc = reading_row(&reading, rows[i], out);
    reading_release(&reading);
    return rc;
}
