/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Which handler a request goes to, and the answers for requests that go to
 * none: unknown paths, wrong methods, preflights of browsers.
 */

#include "core/base.h"
#include "http/path.h"

#include <string.h>

#include "core/assert.h"
#include "core/conf_budget.h"
#include "core/metrics.h"
#include "event/conn.h"
#include "http/gate.h"
#include "http/grpc.h"
#include "http/h1_parse.h"
#include "http/stream.h"

/* Header names of a preflight that are granted by name. */
#define PREFLIGHT_HEADERS_BYTES_MAX 1024
/* Seconds a browser may keep the answer: the most that Chromium takes. */
#define PREFLIGHT_MAX_AGE "7200"
/* Bytes of an unknown path that the answer repeats. */
#define PATH_SHOWN_MAX 256

const struct route *http_routes;

/* Whether plain matches; *arg is what '*' stands for (ptr NULL: no '*'). */
static bool
pattern_matches(const char *pattern, struct sv plain, struct sv *arg)
{
    struct sv text = sv_from(pattern);
    size_t star = sv_find_byte(text, '*');
    struct sv head = sv_sub(text, 0, star);
    struct sv tail = sv_sub(text, star + 1, text.len);

    *arg = sv_make(NULL, 0);
    if (star == text.len)
        return sv_eq(text, plain);
    if (plain.len <= head.len + tail.len || !sv_starts_with(plain, head) ||
        !sv_ends_with(plain, tail))
        return false;
    *arg = sv_sub(plain, head.len, plain.len - head.len - tail.len);
    return true;
}

static bool
route_takes(const struct route *route, enum http_method method)
{
    if (method == HTTP_HEAD)
        return (route->methods & (HTTP_GET | HTTP_HEAD)) != 0;
    return (route->methods & method) != 0;
}

/* The pattern that path belongs to, or NULL. */
static const char *
pattern_find(const struct route *table, struct sv plain)
{
    const char *first = NULL;

    for (const struct route *row = table; row->pattern != NULL; row++) {
        struct sv arg;

        if (!pattern_matches(row->pattern, plain, &arg))
            continue;
        if (arg.ptr == NULL)
            return row->pattern;
        if (first == NULL)
            first = row->pattern;
    }
    return first;
}

void
route_find(const struct route *table, struct sv plain,
    enum http_method method, struct route_match *match)
{
    const char *pattern = pattern_find(table, plain);

    *match = (struct route_match){.arg = {NULL, 0}};
    if (pattern == NULL)
        return;
    for (const struct route *row = table; row->pattern != NULL; row++) {
        if (strcmp(row->pattern, pattern) != 0)
            continue;
        match->methods |= row->methods;
        match->flags |= row->flags;
        if (match->route == NULL && route_takes(row, method)) {
            match->route = row;
            (void)pattern_matches(pattern, plain, &match->arg);
        }
    }
    if (match->methods & HTTP_GET)
        match->methods |= HTTP_HEAD;
}

/* "GET, HEAD, POST, OPTIONS" */
static void
reply_methods(struct http_req *req, const char *field, unsigned methods)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        {HTTP_GET, "GET"},
        {HTTP_HEAD, "HEAD"},
        {HTTP_POST, "POST"},
    };
    char text[64];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (methods & names[i].bit)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s, ",
                names[i].name);
    }
    snprintf(text + n, sizeof(text) - n, "OPTIONS");
    http_reply_header(req, field, text);
}

/* The requested header names, if they are a short list of tokens. */
static const char *
preflight_headers(struct http_req *req)
{
    struct sv list = http_header_get(req, "access-control-request-headers");
    struct sv rest = list, name;
    const char *copy;

    if (list.ptr == NULL || list.len > PREFLIGHT_HEADERS_BYTES_MAX)
        return "*";
    while (sv_split(&rest, ',', &name)) {
        if (!h1_is_token(sv_trim(name)))
            return "*";
    }
    copy = pool_dup(req->pool, list.ptr, list.len);
    return copy == NULL ? "*" : copy;
}

static void
reply_options(struct http_req *req, const struct route_match *match)
{
    reply_methods(req, "Allow", match->methods);
    if ((match->flags & ROUTE_CORS) != 0 &&
        !req->process->conf->disable_cors) {
        http_reply_header(req, "Access-Control-Allow-Origin", "*");
        reply_methods(req, "Access-Control-Allow-Methods", match->methods);
        http_reply_header(req, "Access-Control-Allow-Headers",
            preflight_headers(req));
        http_reply_header(req, "Access-Control-Max-Age", PREFLIGHT_MAX_AGE);
        http_reply_header(req, "Vary", "Access-Control-Request-Headers");
    }
    http_reply(req, 204, NULL, SV_EMPTY);
}

static void
refuse_path(struct stream *stream)
{
    struct sb shown;

    sb_init(&shown, 4 * PATH_SHOWN_MAX);
    reply_add_safe(&shown, stream->req.path, PATH_SHOWN_MAX);
    stream_refuse(stream, 404, "unknown path: %s", shown.ptr);
    sb_release(&shown);
}

/* A path prefix of one's own, without the slashes around it. */
static struct sv
prefix_of(const struct http_req *req)
{
    struct sv prefix = sv_from(req->process->conf->path_prefix);

    while (prefix.len > 0 && prefix.ptr[0] == '/')
        prefix = sv_sub(prefix, 1, prefix.len);
    while (prefix.len > 0 && prefix.ptr[prefix.len - 1] == '/')
        prefix.len--;
    return prefix;
}

/*
 * Takes http.path_prefix off.  It has no byte that is ever escaped, so it has
 * the same length in both forms of the path.  False: the path does not begin
 * with it.
 */
static bool
prefix_strip(struct stream *stream)
{
    struct sv prefix = prefix_of(&stream->req);
    struct sv *plain = &stream->plain, *path = &stream->req.path;

    if (prefix.len == 0)
        return true;
    if (!sv_starts_with(sv_sub(*plain, 1, plain->len), prefix))
        return false;
    if (plain->len == prefix.len + 1) {
        stream->is_bare_prefix = true;
        *plain = *path = SV("/");
        return true;
    }
    if (plain->ptr[prefix.len + 1] != '/')
        return false;
    *plain = sv_sub(*plain, prefix.len + 1, plain->len);
    *path = sv_sub(*path, prefix.len + 1, path->len);
    return true;
}

/*
 * Clients of gRPC know no prefixes, so methods are found without it.
 */
static void
find(struct stream *stream, struct route_match *match)
{
    struct http_req *req = &stream->req;
    bool has_prefix = prefix_strip(stream);

    check(http_routes != NULL);
    route_find(http_routes, stream->plain, req->method, match);
    if (!has_prefix && (match->flags & ROUTE_GRPC) == 0) {
        stream->plain = SV_EMPTY; /* what is no path has no route, ever */
        *match = (struct route_match){.arg = {NULL, 0}};
    }
    req->route = match->route;
    req->path_arg = match->arg;
}

/* "/traces" of "/traces/": relative links would miss it. */
static void
redirect_to_prefix(struct stream *stream)
{
    struct sv prefix = prefix_of(&stream->req);
    struct sb location;

    sb_init(&location, HTTP_LINE_BYTES_MAX);
    sb_addf(&location, "/%.*s/", SV_ARG(prefix));
    http_reply_header(&stream->req, "Location", location.ptr);
    sb_release(&location);
    http_reply(&stream->req, 302, NULL, SV_EMPTY);
}

static uint64_t
route_body_max(const struct http_req *req)
{
    const struct conf_budget *budget = conf_budget(req->process->conf);

    if (req->route->flags & ROUTE_INSERT)
        return budget->body_max;
    if (req->route->flags & ROUTE_INTERNAL_INSERT)
        return budget->parcels_max;
    if (req->route->flags & ROUTE_INTERNAL_SELECT)
        return MIN(budget->body_max, HTTP_PLAN_BYTES_MAX);
    return HTTP_FORM_BYTES_MAX;
}

/* The client may go there: is there anything? */
static enum dispatch
dispatch_rest(struct stream *stream, const struct route_match *match,
    uint64_t *body_max)
{
    struct http_req *req = &stream->req;

    if (!grpc_begin(stream))
        return DISPATCH_ANSWERED;
    if (match->methods == 0) {
        refuse_path(stream);
        return DISPATCH_ANSWERED;
    }
    if (req->route == NULL && req->method == HTTP_OPTIONS) {
        reply_options(req, match);
        return DISPATCH_ANSWERED;
    }
    if (req->route == NULL) {
        reply_methods(req, "Allow", match->methods);
        stream_refuse(stream, 405, "this path does not take this method");
        return DISPATCH_ANSWERED;
    }
    if (stream->is_bare_prefix) {
        redirect_to_prefix(stream);
        return DISPATCH_ANSWERED;
    }
    if ((req->route->flags & (ROUTE_SELECT | ROUTE_INTERNAL_SELECT)) != 0 &&
        !http_has_reply_room(req->process)) {
        metric_add(METRIC_HTTP_REFUSED_NO_MEMORY, 1);
        http_reply_header(req, "Retry-After", "1");
        stream_refuse(stream, 503, "too many replies wait to be read");
        return DISPATCH_ANSWERED;
    }
    if (req->route->flags & ROUTE_BODY)
        *body_max = route_body_max(req);
    if (stream->is_grpc)
        *body_max += GRPC_PREFIX_BYTES;
    return DISPATCH_GOES_ON;
}

/* A browser asks without credentials whether it may ask. */
static bool
is_preflight(const struct stream *stream, const struct route_match *match)
{
    return stream->req.route == NULL && (match->flags & ROUTE_CORS) != 0 &&
        stream->req.method == HTTP_OPTIONS;
}

enum dispatch
dispatch_head(struct stream *stream, uint64_t *body_max)
{
    struct http_req *req = &stream->req;
    struct route_match match = {.methods = HTTP_GET | HTTP_POST | HTTP_HEAD};
    enum auth_verdict verdict = AUTH_PASSES;
    const char *problem;

    *body_max = 0;
    if (sv_eq(req->raw_path, SV("*"))) {
        reply_options(req, &match);
        return DISPATCH_ANSWERED;
    }
    problem = path_normalise(req->pool, req->raw_path, &stream->plain,
        &req->path);
    if (problem != NULL) {
        req->path = req->raw_path;
        stream_refuse(stream, 400, "%s", problem);
        return DISPATCH_ANSWERED;
    }
    find(stream, &match);
    grpc_mark(stream);
    if (!is_preflight(stream, &match))
        verdict = gate_enter(stream, &match);
    if (verdict == AUTH_ASKS)
        return DISPATCH_ASKS;
    return verdict == AUTH_PASSES ? dispatch_rest(stream, &match, body_max)
                                  : DISPATCH_ANSWERED;
}

enum dispatch
dispatch_asked(struct stream *stream, uint64_t *body_max)
{
    struct route_match match;

    *body_max = 0;
    route_find(http_routes, stream->plain, stream->req.method, &match);
    if (gate_asked(stream, &match) != AUTH_PASSES)
        return DISPATCH_ANSWERED;
    return dispatch_rest(stream, &match, body_max);
}

void
dispatch_run(struct stream *stream)
{
    if (gate_check_body(stream))
        stream->req.route->handler(&stream->req);
}
