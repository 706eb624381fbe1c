/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The protobuf decoder with what it saw on the way, for the tests that
 * compare it with protobuf-c.  Everybody else calls otlp_decode_protobuf().
 */

#ifndef SPOOR_OTLP_OTLP_PB_H
#define SPOOR_OTLP_OTLP_PB_H

#include "core/base.h"
#include "core/err.h"
#include "core/sv.h"
#include "span/span.h"

/* *notes: enum wire_note of span/wire.h, also set on failure. */
int otlp_decode_protobuf_notes(struct sv body, struct batch *batch,
    unsigned *notes, struct err *err) WARN_UNUSED;

#endif
