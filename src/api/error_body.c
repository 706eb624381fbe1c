/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/error_body.h"

#include "api/jaeger_json.h"
#include "api/logsql.h"
#include "core/json_out.h"
#include "http/http.h"

void
error_body_prometheus(struct sb *out, int status, const char *text)
{
    char type[16];
    struct json_out json;

    snprintf(type, sizeof(type), "%d", status);
    json_out_init(&json, out);
    json_object(&json);
    json_key(&json, "status");
    json_string(&json, SV("error"));
    json_key(&json, "errorType");
    json_string(&json, sv_from(type));
    json_key(&json, "error");
    json_string(&json, sv_from(text));
    json_object_end(&json);
}

void
error_body_jaeger(struct sb *out, int status, const char *text)
{
    struct jaeger_error error = {status, sv_from(text), SV_EMPTY};
    struct json_out json;

    json_out_init(&json, out);
    jaeger_begin(&json);
    json_null(&json);
    jaeger_end(&json, 0, &error, 1);
}

static const char *
IMPL(http_error_body_fn) put_error(struct http_req *req, int status,
    const char *text, struct sb *out)
{
    const struct route *route = req->route;

    if (route->handler == logsql_stats_query ||
        route->handler == logsql_stats_query_range)
        error_body_prometheus(out, status, text);
    else if (sv_starts_with(sv_from(route->pattern), SV("/select/jaeger/")))
        error_body_jaeger(out, status, text);
    else
        return NULL;
    return sb_failed(out) ? NULL : "application/json";
}

void
error_body_install(void)
{
    http_set_error_body(ROUTE_SELECT, put_error);
}
