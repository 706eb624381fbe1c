/* SPDX-License-Identifier: BSD-2-Clause */

/* Route handlers of the Jaeger query API. */

#ifndef SPOOR_API_JAEGER_H
#define SPOOR_API_JAEGER_H

#include "core/base.h"
#include "http/http.h"

void jaeger_services(struct http_req *req);
void jaeger_operations(struct http_req *req);
/* Search by service and operation, or several traces by traceID. */
void jaeger_traces(struct http_req *req);
void jaeger_trace_by_id(struct http_req *req);

#endif
