/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What OTLP answers, in the encoding of the request; private to otlp/.
 */

#ifndef SPOOR_OTLP_OTLP_REPLY_H
#define SPOOR_OTLP_OTLP_REPLY_H

#include "core/base.h"
#include "core/sb.h"
#include "http/http.h"
#include "span/ingest.h"

/*
 * The format that a Content-Type names (parameters are ignored), and the
 * content type of the answer.  False for any other.
 */
bool otlp_format_of(struct sv content_type, enum otlp_format *format,
    const char **answer_type);

/*
 * An ExportTraceServiceResponse: empty when nothing was rejected, else a
 * partial success that names every reason of the mask.
 */
void otlp_put_response(struct sb *out, enum otlp_format format,
    uint32_t rejected, uint32_t reject_mask);

/* A google.rpc.Status for an HTTP status; implements http_error_body_fn. */
const char *otlp_put_error(struct http_req *req, int status,
    const char *text, struct sb *out);

#endif
