/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Any bytes as a file of OTLP requests: lines, lengths or bare protobuf.
 * Items are parts of the file, or were inflated from one, and reading ends.
 */

#include "core/base.h"

#include "cli/otlp_file.h"
#include "core/assert.h"
#include "otlp/otlp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct otlp_in in = {.number = 0};
    struct otlp_item item;
    struct err err = ERR_INIT;
    uint64_t items = 0;
    int got;

    sb_init(&in.inflated, INPUT_ITEM_MAX);
    input_init_memory(&in.in, sv_make((const char *)data, size));
    while ((got = otlp_in_next(&in, &item, &err)) == 1) {
        struct pool *pool = pool_new(16 * MIB);
        struct batch batch;
        char place[40];

        check(++items <= size);
        otlp_in_place(&in, place);
        batch_init(&batch, pool);
        if (item.bad == NULL &&
            otlp_decode(item.format, item.body, &batch, NULL) != 0)
            check(size > 0);
        pool_free(pool);
    }
    check(got == 0 || err.text[0] != '\0');
    otlp_in_release(&in);
    return 0;
}
