/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What an ingest request says about its spans in VT-* headers and query
 * arguments (an argument wins over its header; gRPC metadata are headers):
 *
 *   _stream_fields     VT-Stream-Fields      more stream labels
 *   ignore_fields      VT-Ignore-Fields      fields that are not stored
 *   decolorize_fields  VT-Decolorize-Fields  escape sequences taken out
 *   extra_fields       VT-Extra-Fields       name=value for every span
 *   debug              VT-Debug              log the spans, store nothing
 *   _time_field        VT-Time-Field         taken, without effect
 *   _msg_field         VT-Msg-Field          taken, without effect
 *
 * span/params.h says what they do; private to otlp/.
 */

#ifndef SPOOR_OTLP_OTLP_PARAMS_H
#define SPOOR_OTLP_OTLP_PARAMS_H

#include "core/base.h"
#include "core/err.h"
#include "http/http.h"
#include "span/span.h"

struct otlp_params {
    struct sv canonical; /* of the request's pool: for ingest->params */
    bool is_debug;
};

/* ERR_INVALID: 400; the text says what is wrong. */
int otlp_params_read(struct http_req *req, struct otlp_params *out,
    struct err *err) WARN_UNUSED;

/*
 * What a request with debug set gets instead of being stored: its spans in
 * the log (the first ones: OTLP_DEBUG_SPANS_MAX) and a count.
 */
#define OTLP_DEBUG_SPANS_MAX 10u
/* The log alone, as "WORD: PEER sent ..."; how many spans were not rejected. */
uint32_t otlp_params_log(const struct http_req *req,
    const struct batch *batch, const char *word);
void otlp_params_debug(const struct http_req *req,
    const struct batch *batch);

#endif
