/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/import.h"

#include "cli/otlp_file.h"
#include "otlp/otlp.h"

static bool
is_blank(struct sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != ' ' && text.ptr[i] != '\t')
            return false;
    }
    return true;
}

static int
item_send(struct import *import, const char *path, const struct otlp_in *in,
    const struct otlp_item *item, struct err *err)
{
    struct pool *pool = pool_new(BATCH_POOL_BYTES(item->body.len));
    struct err bad = ERR_INIT;
    struct batch batch;
    char place[40];
    int rc = 0;

    otlp_in_place(in, place);
    batch_init(&batch, pool);
    if (item->bad != NULL)
        import_bad(import, path, place, item->bad);
    else if (otlp_decode(item->format, item->body, &batch, &bad) != 0)
        import_bad(import, path, place, bad.text);
    else
        rc = import_batch(import, &batch, path, err);
    pool_free(pool);
    return rc;
}

int
import_otlp(struct import *import, const char *path, struct err *err)
{
    struct otlp_item item;
    struct otlp_in in;
    int got = 0, rc = 0;

    if (otlp_in_open(&in, path, err) != 0)
        rc = -1;
    while (rc == 0 && (got = otlp_in_next(&in, &item, err)) == 1) {
        if (item.bad != NULL || !is_blank(item.body))
            rc = item_send(import, path, &in, &item, err);
    }
    otlp_in_release(&in);
    return rc != 0 || got < 0 ? -1 : 0;
}
