/* SPDX-License-Identifier: BSD-2-Clause */

/* Protobuf requests made by hand, from the inside out. */

#ifndef SPOOR_UNIT_OTLP_MAKE_H
#define SPOOR_UNIT_OTLP_MAKE_H

#include "core/base.h"
#include "core/sb.h"
#include "span/wire.h"

#define BODY_MAX (64 * MIB)

/* Puts what sb holds into a message of this field number. */
static UNUSED void
wrap(struct sb *sb, unsigned field)
{
    struct sb outer;

    sb_init(&outer, BODY_MAX);
    wire_put_bytes(&outer, field, sb_sv(sb));
    sb_release(sb);
    *sb = outer;
}

/* Makes a request of what sb holds of a span. */
static UNUSED void
wrap_span(struct sb *sb)
{
    wrap(sb, 2);
    wrap(sb, 2);
    wrap(sb, 1);
}

static UNUSED void
put_ids(struct sb *sb)
{
    wire_put_bytes(sb, 1, SV("0123456789abcdef"));
    wire_put_bytes(sb, 2, SV("01234567"));
}

#endif
