/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The messages (https://opentelemetry.io/docs/specs/otlp/, OTLP/HTTP):
 *
 *   ExportTraceServiceResponse  partial_success 1
 *   ExportTracePartialSuccess   int64 rejected_spans 1, string error_message 2
 *   google.rpc.Status           int32 code 1, string message 2, Any details 3
 *   google.rpc.RetryInfo        Duration retry_delay 1
 */

#include "core/base.h"
#include "otlp/otlp_reply.h"

#include "core/json_out.h"
#include "core/num.h"
#include "http/grpc.h"
#include "span/wire.h"

/* All reasons together; the specification caps answers at 4 MiB. */
#define MESSAGE_BYTES_MAX 2048

bool
otlp_format_of(struct sv content_type, enum otlp_format *format,
    const char **answer_type)
{
    static const struct {
        const char *type;
        enum otlp_format format;
    } types[] = {
        {"application/x-protobuf", OTLP_PROTOBUF},
        {"application/json", OTLP_JSON},
        {"application/protobuf", OTLP_PROTOBUF},
    };
    struct sv type = sv_sub(content_type, 0,
        sv_find_byte(content_type, ';'));

    type = sv_trim(type);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (sv_eq_nocase(type, sv_from(types[i].type))) {
            *format = types[i].format;
            *answer_type = types[i].type;
            return true;
        }
    }
    return false;
}

/* "3 spans rejected: trace_id is ...; the span ended ..." */
static void
put_message(struct sb *out, uint32_t rejected, uint32_t reject_mask)
{
    const char *before = ": ";

    sb_addf(out, "%u span%s rejected", rejected, rejected == 1 ? "" : "s");
    for (unsigned why = REJECT_NONE + 1; why < REJECT_KINDS; why++) {
        if ((reject_mask >> why & 1) == 0)
            continue;
        sb_add_str(out, before);
        sb_add_str(out, reject_text((enum reject)why));
        before = "; ";
    }
}

void
otlp_put_response(struct sb *out, enum otlp_format format, uint32_t rejected,
    uint32_t reject_mask)
{
    char number[24];
    struct json_out json;
    struct sb message;

    sb_init(&message, MESSAGE_BYTES_MAX);
    if (rejected > 0)
        put_message(&message, rejected, reject_mask);
    if (format == OTLP_PROTOBUF && rejected > 0) {
        wire_put_head(out, 1, 1 + wire_varint_size(rejected) +
            wire_bytes_size(message.len));
        wire_put_tag_varint(out, 1, rejected);
        wire_put_bytes(out, 2, sb_sv(&message));
    } else if (format == OTLP_JSON) {
        json_out_init(&json, out);
        json_object(&json);
        if (rejected > 0) {
            json_key(&json, "partialSuccess");
            json_object(&json);
            json_key(&json, "rejectedSpans");
            json_string(&json,
                sv_make(number, num_print_u64(number, rejected)));
            json_key(&json, "errorMessage");
            json_string(&json, sb_sv(&message));
            json_object_end(&json);
        }
        json_object_end(&json);
    }
    sb_release(&message);
}

/*
 * RetryInfo as an Any, field 3 of Status.  A client sends a request again
 * that met RESOURCE_EXHAUSTED only if it is there.
 */
static void
put_retry_info(struct sb *out, uint32_t seconds)
{
    static const char type[] = "type.googleapis.com/google.rpc.RetryInfo";
    struct sv type_url = sv_make(type, sizeof(type) - 1);
    size_t duration = 1 + wire_varint_size(seconds);
    size_t info = wire_bytes_size(duration);

    wire_put_head(out, 3, wire_bytes_size(type_url.len) +
        wire_bytes_size(info));
    wire_put_bytes(out, 1, type_url);
    wire_put_head(out, 2, info);
    wire_put_head(out, 1, duration); /* retry_delay */
    wire_put_tag_varint(out, 1, seconds);
}

const char *
IMPL(http_error_body_fn) otlp_put_error(struct http_req *req, int status,
    const char *text, struct sb *out)
{
    enum otlp_format format;
    const char *answer_type;
    uint32_t retry_sec = http_reply_retry_after(req);
    struct json_out json;

    if (grpc_is_call(req)) {
        format = OTLP_PROTOBUF;
        answer_type = "application/grpc";
    } else if (!otlp_format_of(http_header_get(req, "content-type"), &format,
            &answer_type)) {
        return NULL;
    }
    if (format == OTLP_PROTOBUF) {
        wire_put_tag_varint(out, 1, (uint64_t)grpc_code_of(status));
        wire_put_bytes(out, 2, sv_sub(sv_from(text), 0,
            GRPC_TEXT_BYTES_MAX));
        if (retry_sec > 0)
            put_retry_info(out, retry_sec);
        return answer_type;
    }
    json_out_init(&json, out);
    json_object(&json);
    json_key(&json, "code");
    json_u64(&json, (uint64_t)grpc_code_of(status));
    json_key(&json, "message");
    json_string(&json, sv_from(text));
    json_object_end(&json);
    return answer_type;
}
