/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Any bytes as a file of LogsQL lines, which import reads from servers that
 * are not ours.  Spans that come out are encoded as they would be sent, and
 * the decoder must take them.
 */

#include "core/base.h"

#include "cli/input.h"
#include "cli/vt_line.h"
#include "core/assert.h"
#include "otlp/otlp.h"
#include "otlp/otlp_encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_batch(struct batch *batch)
{
    struct pool *pool = pool_new(256 * MIB);
    struct batch again;
    struct sb body;

    otlp_group_spans(batch);
    sb_init(&body, 64 * MIB);
    otlp_encode_protobuf(batch, &body);
    check(!sb_failed(&body));
    batch_init(&again, pool);
    check(otlp_decode_protobuf(sb_sv(&body), &again, NULL) == 0);
    check(again.nspans == batch->nspans);
    sb_release(&body);
    pool_free(pool);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vt_batch vt;
    struct input in;
    struct sv line;
    bool is_long;

    vt_batch_init(&vt);
    input_init_memory(&in, sv_make((const char *)data, size));
    while (input_line(&in, &line, &is_long, NULL) == 1) {
        struct err err = ERR_INIT;
        enum vt_result result = vt_batch_add(&vt, line, &err);

        check(result != VT_BAD || err.text[0] != '\0');
        if (result == VT_OTHER) {
            vt_batch_reset(&vt);
            check(vt_batch_add(&vt, line, &err) != VT_OTHER);
        }
    }
    check_batch(&vt.batch);
    input_release(&in);
    vt_batch_release(&vt);
    return 0;
}
