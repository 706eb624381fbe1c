/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * grpc.health.v1.Health/Check:
 *
 *   HealthCheckRequest    string service 1 ("": the server)
 *   HealthCheckResponse   status 1: SERVING 1, NOT_SERVING 2
 */

#include "core/base.h"
#include "api/admin.h"

#include "core/compress.h"
#include "http/grpc.h"
#include "span/wire.h"
#include "storage/store.h"

/* Of a request, inflated. */
#define REQUEST_BYTES_MAX 1024
#define ANSWER_BYTES_MAX 64

enum { SERVING = 1, NOT_SERVING = 2 };

/* False: there is no such service. */
static bool
status_of(struct sv service, unsigned *status)
{
    const char *why;

    *status = SERVING;
    if (service.len == 0)
        return true;
    if (!sv_eq(service,
            SV("opentelemetry.proto.collector.trace.v1.TraceService")))
        return false;
    if (store_is_read_only(&why))
        *status = NOT_SERVING;
    return true;
}

/* A message of one short string. */
static bool
read_service(struct sv message, struct sv *service)
{
    *service = SV_EMPTY;
    if (message.len == 0)
        return true;
    if (message.len < 2 || message.ptr[0] != '\x0a' ||
        (size_t)(uint8_t)message.ptr[1] != message.len - 2 ||
        message.len > 0x7f)
        return false;
    *service = sv_sub(message, 2, message.len);
    return true;
}

static void
answer(struct http_req *req, struct sv message)
{
    struct sv service;
    unsigned status;
    struct sb out;

    if (!read_service(message, &service)) {
        grpc_fail(req, GRPC_INVALID_ARGUMENT, "malformed request");
        return;
    }
    if (!status_of(service, &status)) {
        grpc_fail(req, GRPC_NOT_FOUND, "unknown service");
        return;
    }
    if (req->process->leaves_ns != 0 && status == SERVING)
        status = NOT_SERVING;
    sb_init(&out, ANSWER_BYTES_MAX);
    wire_put_tag_varint(&out, 1, status);
    grpc_reply(req, &out);
}

void
IMPL(route_fn) admin_grpc_health(struct http_req *req)
{
    struct sv message;
    enum encoding encoding;
    struct err err = ERR_INIT;
    struct sb inflated;

    if (!grpc_message(req, &message, &encoding))
        return;
    sb_init(&inflated, REQUEST_BYTES_MAX);
    if (encoding == ENCODING_IDENTITY)
        answer(req, message);
    else if (decompress(encoding, message, REQUEST_BYTES_MAX, &inflated,
        &err) == 0)
        answer(req, sb_sv(&inflated));
    else
        grpc_fail(req, GRPC_INTERNAL, "%s", err.text);
    sb_release(&inflated);
}
