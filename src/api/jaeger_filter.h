/* SPDX-License-Identifier: BSD-2-Clause */

/* The arguments of Jaeger's search as a filter. */

#ifndef SPOOR_API_JAEGER_FILTER_H
#define SPOOR_API_JAEGER_FILTER_H

#include "core/base.h"
#include "core/err.h"
#include "http/http.h"
#include "query/ast.h"

/*
 * Sets query->filter from service, operation, tag, tags, minDuration and
 * maxDuration, and the query's times.  ERR_INVALID is for a 400.
 *
 * A tag's key is an attribute of the span or of its resource, or one of the
 * tags that Jaeger makes of other fields (error, span.kind, otel.*,
 * w3c.tracestate).  A value that begins with "~" is a regular expression; a
 * key that ends with "!" means that the tag is not so.
 */
int jaeger_filter(struct http_req *req, struct query *query,
    struct err *err) WARN_UNUSED;

#endif
