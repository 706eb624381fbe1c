/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * opentelemetry.proto.collector.trace.v1.TraceService/Export: the message is
 * the body that OTLP/HTTP would send, so both are one insert.
 */

#include "core/base.h"
#include "otlp/otlp.h"

#include "http/grpc.h"
#include "otlp/insert.h"

void
IMPL(route_fn) otlp_grpc_traces(struct http_req *req)
{
    struct insert_head head = {.format = OTLP_PROTOBUF};

    if (grpc_message(req, &head.wire, &head.encoding) &&
        insert_read_head(req, &head))
        insert_run(req, &head);
}
