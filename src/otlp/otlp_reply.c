/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The messages (https://opentelemetry.io/docs/specs/otlp/, OTLP/HTTP):
 *
 *   ExportTraceServiceResponse  partial_success 1
 *   ExportTracePartialSuccess   int64 rejected_spans 1, string error_message 2
 *   google.rpc.Status           int32 code 1, string message 2
 */

#include "core/base.h"
#include "otlp/otlp_reply.h"

#include "core/json_out.h"
#include "core/num.h"
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

/* google.rpc.Code */
static unsigned
rpc_code(int status)
{
    switch (status) {
    case 401:
        return 16; /* UNAUTHENTICATED */
    case 403:
        return 7; /* PERMISSION_DENIED */
    case 404:
    case 405:
        return 12; /* UNIMPLEMENTED */
    case 408:
        return 4; /* DEADLINE_EXCEEDED */
    case 413:
    case 429:
        return 8; /* RESOURCE_EXHAUSTED */
    case 502:
    case 503:
    case 504:
        return 14; /* UNAVAILABLE */
    default:
        return status < 500 ? 3 /* INVALID_ARGUMENT */ : 13 /* INTERNAL */;
    }
}

const char *
IMPL(http_error_body_fn) otlp_put_error(struct http_req *req, int status,
    const char *text, struct sb *out)
{
    enum otlp_format format;
    const char *answer_type;
    struct json_out json;

    if (!otlp_format_of(http_header_get(req, "content-type"), &format,
            &answer_type))
        return NULL;
    if (format == OTLP_PROTOBUF) {
        wire_put_tag_varint(out, 1, rpc_code(status));
        wire_put_bytes(out, 2, sv_from(text));
        return answer_type;
    }
    json_out_init(&json, out);
    json_object(&json);
    json_key(&json, "code");
    json_u64(&json, rpc_code(status));
    json_key(&json, "message");
    json_string(&json, sv_from(text));
    json_object_end(&json);
    return answer_type;
}
