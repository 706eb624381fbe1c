/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * gRPC over HTTP/2 (PROTOCOL-HTTP2.md of gRPC), unary calls only:
 *
 *   body     = flags (u8; 1: compressed) length (u32, big endian) message
 *   request  = :method POST, content-type application/grpc[+proto],
 *              [grpc-encoding], [grpc-timeout: 1-8 digits and H M S m u n]
 *   reply    = :status 200, content-type, body; trailers grpc-status,
 *              [grpc-message, percent-encoded],
 *              [grpc-status-details-bin, base64 of a google.rpc.Status]
 *   error    = the same without a body, all in the headers
 */

#include "core/base.h"
#include "http/grpc.h"

#include "core/assert.h"
#include "core/metrics.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "http/stream.h"

#define CONTENT_TYPE "application/grpc"
/* Of replies. */
#define ANSWER_TYPE CONTENT_TYPE "+proto"
#define ACCEPT_ENCODING "identity,gzip,deflate,zstd,snappy"
/* As good as none. */
#define TIMEOUT_NS_MAX (365 * NS_PER_DAY)
/* Digits of grpc-timeout. */
#define TIMEOUT_DIGITS_MAX 8

enum grpc_code
grpc_code_of(int status)
{
    switch (status) {
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
    case 405:
        return GRPC_UNIMPLEMENTED;
    case 408:
        return GRPC_DEADLINE_EXCEEDED;
    case 413:
    case 429:
    case 431:
        return GRPC_RESOURCE_EXHAUSTED;
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return status < 500 ? GRPC_INVALID_ARGUMENT : GRPC_INTERNAL;
    }
}

bool
grpc_is_content_type(struct sv content_type)
{
    size_t n = sizeof(CONTENT_TYPE) - 1;
    struct sv rest = sv_sub(content_type, n, content_type.len);

    return sv_eq_nocase(sv_sub(content_type, 0, n), SV(CONTENT_TYPE)) &&
        (rest.len == 0 || rest.ptr[0] == '+' || rest.ptr[0] == ';');
}

bool
grpc_is_call(const struct http_req *req)
{
    return stream_of(req)->is_grpc;
}

bool
grpc_is_late(const struct http_req *req)
{
    int64_t deadline_ns = stream_of(req)->deadline_ns;

    return deadline_ns != 0 && clock_mono_ns() >= deadline_ns;
}

/* --- replies --- */

static void
trailer_add(struct stream *stream, const char *name, const char *value)
{
    check(stream->ntrailers < REPLY_TRAILERS_MAX);
    stream->trailers[stream->ntrailers++] = (struct http_header){
        sv_from(name), sv_from(value)};
}

void
grpc_reply(struct http_req *req, struct sb *message)
{
    struct stream *stream = stream_of(req);
    uint32_t len = (uint32_t)message->len;
    const char prefix[GRPC_PREFIX_BYTES] = {0, (char)(len >> 24),
        (char)(len >> 16), (char)(len >> 8), (char)len};
    struct sb body;

    if (sb_failed(message) || message->len > UINT32_MAX) {
        sb_release(message);
        grpc_fail(req, GRPC_INTERNAL, "the reply is too large");
        return;
    }
    sb_init(&body, message->len + sizeof(prefix));
    sb_add(&body, prefix, sizeof(prefix));
    sb_add_sv(&body, sb_sv(message));
    sb_release(message);
    http_reply_header(req, "grpc-accept-encoding", ACCEPT_ENCODING);
    trailer_add(stream, "grpc-status", "0");
    http_reply_sb(req, 200, ANSWER_TYPE, &body);
}

/* Everything but printable ASCII, and '%', as %XX. */
static void
add_escaped(struct sb *out, struct sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] >= ' ' && text.ptr[i] <= '~' && text.ptr[i] != '%')
            sb_add_char(out, text.ptr[i]);
        else
            sb_addf(out, "%%%02X", (uint8_t)text.ptr[i]);
    }
}

void
grpc_reply_error(struct stream *stream, enum grpc_code code, struct sv text,
    struct sv details)
{
    struct http_req *req = &stream->req;
    char number[16];
    struct sb value;

    snprintf(number, sizeof(number), "%d", (int)code);
    stream->grpc_status = code;
    http_reply_header(req, "grpc-status", number);
    sb_init(&value, 4 * GRPC_TEXT_BYTES_MAX);
    add_escaped(&value, sv_sub(text, 0, GRPC_TEXT_BYTES_MAX));
    http_reply_header(req, "grpc-message", value.ptr);
    if (details.len > 0) {
        sb_reset(&value);
        sb_add_base64(&value, (const uint8_t *)details.ptr, details.len);
        while (value.len > 0 && value.ptr[value.len - 1] == '=')
            value.ptr[--value.len] = '\0';
        if (!sb_failed(&value))
            http_reply_header(req, "grpc-status-details-bin", value.ptr);
    }
    if (code == GRPC_UNIMPLEMENTED)
        http_reply_header(req, "grpc-accept-encoding", ACCEPT_ENCODING);
    sb_release(&value);
    http_reply(req, 200, ANSWER_TYPE, SV_EMPTY);
}

void
grpc_fail(struct http_req *req, enum grpc_code code, const char *fmt, ...)
{
    struct sb text;
    va_list args;

    sb_init(&text, GRPC_TEXT_BYTES_MAX);
    va_start(args, fmt);
    sb_vaddf(&text, fmt, args);
    va_end(args);
    grpc_reply_error(stream_of(req), code, sb_sv(&text), SV_EMPTY);
    sb_release(&text);
}

/* --- requests --- */

/* grpc-timeout in ns; false: malformed. */
static bool
parse_timeout(struct sv text, int64_t *out)
{
    static const struct {
        char unit;
        int64_t ns;
    } units[] = {
        {'H', 3600 * NS_PER_SEC}, {'M', 60 * NS_PER_SEC}, {'S', NS_PER_SEC},
        {'m', NS_PER_MS}, {'u', NS_PER_US}, {'n', 1},
    };
    uint64_t n;

    if (text.len < 2 || text.len > TIMEOUT_DIGITS_MAX + 1 ||
        !num_parse_u64(sv_sub(text, 0, text.len - 1), &n))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (text.ptr[text.len - 1] == units[i].unit) {
            n = MIN(n, (uint64_t)(TIMEOUT_NS_MAX / units[i].ns));
            *out = (int64_t)n * units[i].ns;
            return true;
        }
    }
    return false;
}

/* Only protobuf messages are understood. */
static bool
is_proto(struct sv content_type)
{
    struct sv type = sv_sub(content_type, 0,
        sv_find_byte(content_type, ';'));

    type = sv_trim(type);
    return sv_eq_nocase(type, SV(CONTENT_TYPE)) ||
        sv_eq_nocase(type, SV(CONTENT_TYPE "+proto"));
}

static bool
begin_call(struct stream *stream, struct sv type)
{
    struct http_req *req = &stream->req;
    struct sv timeout = http_header_get(req, "grpc-timeout");
    int64_t ns;

    stream->is_grpc = true;
    if (req->route == NULL || (req->route->flags & ROUTE_GRPC) == 0) {
        grpc_fail(req, GRPC_UNIMPLEMENTED, "unknown method %.*s",
            SV_ARG(sv_sub(req->raw_path, 0, 256)));
        return false;
    }
    if (!is_proto(type)) {
        grpc_fail(req, GRPC_UNIMPLEMENTED,
            "messages are understood as protobuf only");
        return false;
    }
    if (timeout.ptr == NULL)
        return true;
    if (!parse_timeout(timeout, &ns)) {
        grpc_fail(req, GRPC_INTERNAL, "malformed grpc-timeout");
        return false;
    }
    stream->deadline_ns = clock_mono_ns() + MAX(ns, 1);
    return true;
}

static bool
looks_like_call(const struct http_req *req)
{
    struct sv type = http_header_get(req, "content-type");

    return type.ptr != NULL && grpc_is_content_type(type) &&
        req->method == HTTP_POST;
}

void
grpc_mark(struct stream *stream)
{
    stream->is_grpc = stream->req.version == HTTP_2 &&
        looks_like_call(&stream->req);
}

bool
grpc_begin(struct stream *stream)
{
    struct http_req *req = &stream->req;
    bool is_method = req->route != NULL &&
        (req->route->flags & ROUTE_GRPC) != 0;
    bool is_call = looks_like_call(req);

    if ((is_call || is_method) && req->version != HTTP_2) {
        stream_refuse(stream, 505, "gRPC needs HTTP/2");
        return false;
    }
    if (is_call)
        return begin_call(stream, http_header_get(req, "content-type"));
    if (is_method)
        stream_refuse(stream, 415,
            "the content type of a gRPC call is application/grpc");
    return !is_method;
}

static uint32_t
prefix_len(struct sv start)
{
    const uint8_t *p = (const uint8_t *)start.ptr;

    return (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 |
        (uint32_t)p[3] << 8 | p[4];
}

uint64_t
grpc_promised(struct sv start)
{
    if (start.len < GRPC_PREFIX_BYTES)
        return UINT64_MAX;
    return (uint64_t)GRPC_PREFIX_BYTES + prefix_len(start);
}

const char *
grpc_prefix_problem(struct sv start, uint64_t bytes_max, int *status)
{
    if (start.len < GRPC_PREFIX_BYTES)
        return NULL;
    *status = 500;
    if ((uint8_t)start.ptr[0] > 1)
        return "unknown flags of a message";
    if (start.len > grpc_promised(start))
        return "more than one message in a unary call";
    *status = 413;
    if (prefix_len(start) > bytes_max)
        return "the message is too large";
    return NULL;
}

bool
grpc_message(struct http_req *req, struct sv *message,
    enum encoding *encoding)
{
    struct sv name = http_header_get(req, "grpc-encoding");
    const char *problem = NULL;
    struct sv body = req->body;
    int status;

    if (body.len == 0)
        problem = "the call has no message";
    else if (body.len < GRPC_PREFIX_BYTES || body.len < grpc_promised(body))
        problem = "the message is not complete";
    else
        problem = grpc_prefix_problem(body, UINT32_MAX, &status);
    if (problem != NULL) {
        grpc_fail(req, GRPC_INTERNAL, "%s", problem);
        return false;
    }
    *message = sv_sub(body, GRPC_PREFIX_BYTES, body.len);
    *encoding = ENCODING_IDENTITY;
    if (name.ptr != NULL && !encoding_from_name(name, encoding)) {
        grpc_fail(req, GRPC_UNIMPLEMENTED, "unknown grpc-encoding");
        return false;
    }
    if (body.ptr[0] == 0) {
        *encoding = ENCODING_IDENTITY;
        return true;
    }
    if (*encoding == ENCODING_IDENTITY) {
        grpc_fail(req, GRPC_INTERNAL,
            "a compressed message without grpc-encoding");
        return false;
    }
    return true;
}
