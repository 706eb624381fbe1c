/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Extra fields and labels of the form that requests can ask for, in place of
 * the random bytes that span_gen_wild() puts there.
 */

#ifndef SPOOR_T_UNIT_SPAN_GEN_FIELDS_H
#define SPOOR_T_UNIT_SPAN_GEN_FIELDS_H

#include "core/base.h"
#include "span_gen.h"

/* Some of the names, which ascend; with their values, or without. */
static UNUSED struct sv
gen_text_list(struct span_gen *gen, struct batch *batch,
    const char *const *names, bool has_values)
{
    struct sv list;
    struct sb sb;

    sb_init(&sb, 4 * MIB);
    for (; *names != NULL; names++) {
        struct sv text = gen_one_in(gen, 2) ? SV("prod")
            : gen_text(gen, batch);

        if (gen_one_in(gen, 2))
            continue;
        text_list_put(&sb, sv_from(*names));
        if (has_values)
            text_list_put(&sb, text.len == 0 ? SV("-") : text);
    }
    check(!sb_failed(&sb));
    list = sb.len == 0 ? SV_EMPTY
        : sv_make(pool_dup(batch->pool, sb.ptr, sb.len), sb.len);
    sb_release(&sb);
    return list;
}

/* Of all scopes of the batch; some have none. */
static UNUSED void
span_gen_fields(struct span_gen *gen, struct batch *batch)
{
    static const char *const extra[] = {"a \"b\"=", "env", "trace", "zone",
        NULL};
    static const char *const stream[] = {"_msg", "_stream", "_stream_id",
        "_time", "a \"b\"=", "duration", "env", "event:0:event_name", "kind",
        "never", "resource_attr:key.1", "scope_attr:key.2", "scope_name",
        "span_attr:key.1", "span_attr:key.2", "status_code", "trace_id",
        "zone", NULL};

    for (uint32_t i = 0; i < batch->nscopes; i++) {
        struct scope *scope = &batch->scopes[i];

        scope->stream_fields = scope->extra_fields = SV_EMPTY;
        if (gen_one_in(gen, 2))
            scope->stream_fields = gen_text_list(gen, batch, stream, false);
        if (gen_one_in(gen, 2))
            scope->extra_fields = gen_text_list(gen, batch, extra, true);
    }
}

#endif
