/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "otlp/otlp_params.h"

#include "core/log.h"
#include "core/metrics.h"
#include "core/sb.h"
#include "otlp/otlp_encode.h"
#include "span/params.h"

/* Of one span in the log; the log cuts longer lines anyway. */
#define DEBUG_BYTES_MAX (64 * KIB)

/* The argument if it says something, else the header. */
static struct sv
get(struct http_req *req, const char *arg, const char *header)
{
    struct sv value = http_arg(req, arg);

    if (value.len == 0)
        value = http_header_get(req, header);
    return value.len == 0 ? SV_EMPTY : value;
}

static int
read_debug(struct http_req *req, bool *out, struct err *err)
{
    static const char *const words[] = {"0", "1", "f", "t", "false", "true",
        "no", "yes", "off", "on"};
    struct sv text = sv_trim(get(req, "debug", "vt-debug"));

    *out = false;
    if (text.len == 0)
        return 0;
    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        if (sv_eq_nocase(text, sv_from(words[i]))) {
            *out = i % 2 == 1;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "debug is neither true nor false");
}

int
otlp_params_read(struct http_req *req, struct otlp_params *out,
    struct err *err)
{
    static const struct {
        const char *arg;
        const char *header;
    } names[PARAMS_KINDS] = {
        [PARAMS_STREAM] = {"_stream_fields", "vt-stream-fields"},
        [PARAMS_IGNORE] = {"ignore_fields", "vt-ignore-fields"},
        [PARAMS_DECOLORIZE] = {"decolorize_fields", "vt-decolorize-fields"},
        [PARAMS_EXTRA] = {"extra_fields", "vt-extra-fields"},
    };
    struct params params = {0};

    out->canonical = SV_EMPTY;
    if (read_debug(req, &out->is_debug, err) != 0)
        return -1;
    for (unsigned kind = 0; kind < PARAMS_KINDS; kind++) {
        struct sv text = get(req, names[kind].arg, names[kind].header);

        if (text.len > 0 && params_set(&params, (enum params_kind)kind, text,
                req->pool, err) != 0)
            return -1;
    }
    return params_encode(&params, req->pool, &out->canonical, err);
}

/* --- debug --- */

static void
put_stream_fields(struct sb *out, const struct scope *scope)
{
    struct sv rest = scope->stream_fields, name, value;

    while (text_list_next(&rest, &name))
        sb_addf(out, ", stream field %.*s", SV_ARG(name));
    rest = scope->extra_fields;
    while (text_list_next(&rest, &name) && text_list_next(&rest, &value))
        sb_addf(out, ", extra field %.*s=%.*s", SV_ARG(name), SV_ARG(value));
}

static void
log_span(const struct http_req *req, const struct batch *batch,
    uint32_t index, const char *word)
{
    struct batch one = *batch;
    struct sb text;

    one.spans = &batch->spans[index];
    one.nspans = 1;
    sb_init(&text, DEBUG_BYTES_MAX);
    otlp_encode_json(&one, &text);
    put_stream_fields(&text, &batch->scopes[one.spans->scope]);
    log_info("%s: %s sent to %.*s: %s", word, req->peer, SV_ARG(req->path),
        text.ptr);
    sb_release(&text);
}

uint32_t
otlp_params_log(const struct http_req *req, const struct batch *batch,
    const char *word)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < batch->nspans; i++) {
        if (batch->spans[i].reject != REJECT_NONE)
            continue;
        if (n++ < OTLP_DEBUG_SPANS_MAX)
            log_span(req, batch, i, word);
    }
    return n;
}

void
otlp_params_debug(const struct http_req *req, const struct batch *batch)
{
    uint32_t n = otlp_params_log(req, batch, "debug");

    log_info("debug: %u spans of %s were not stored", n, req->peer);
    metric_add(METRIC_DROPPED_DEBUG, n);
}
