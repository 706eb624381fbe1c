/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Span batches as OTLP requests: what spoorctl gen and export send and what
 * tests compare the decoders with.
 */

#ifndef SPOOR_OTLP_OTLP_ENCODE_H
#define SPOOR_OTLP_OTLP_ENCODE_H

#include "core/base.h"
#include "core/sb.h"
#include "span/span.h"

/*
 * Append an ExportTraceServiceRequest with every span of the batch, in order;
 * runs of spans with one resource (and one scope) share a message.  Fields
 * with default values are left out.  Test sb_failed() afterwards.
 */
void otlp_encode_protobuf(const struct batch *batch, struct sb *out);
void otlp_encode_json(const struct batch *batch, struct sb *out);

/*
 * Puts the spans of one resource and scope next to each other, so that an
 * encoder writes these once; spans of one are in the order of their ends.
 */
void otlp_group_spans(struct batch *batch);

/* Bytes of the message Span. */
size_t otlp_span_size(const struct span *span);

#endif
