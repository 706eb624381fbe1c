/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "http/gate.h"

#include "core/metrics.h"
#include "event/secret.h"
#include "http/group.h"

const struct route_key *http_route_keys;

/* --- keys of endpoints --- */

static bool
key_is_for(const struct route_key *key, const char *pattern)
{
    struct sv wanted = sv_from(key->pattern), text = sv_from(pattern);

    if (sv_ends_with(wanted, SV("*")))
        return sv_starts_with(text, sv_sub(wanted, 0, wanted.len - 1));
    return sv_eq(wanted, text);
}

/* NULL: it has none. */
static const char *
key_of(const struct http_req *req, const char **flag)
{
    const char *value;

    if (http_route_keys == NULL || req->route == NULL ||
        (req->route->flags & ROUTE_ADMIN) == 0)
        return NULL;
    for (const struct route_key *key = http_route_keys; key->pattern != NULL;
        key++) {
        if (!key_is_for(key, req->route->pattern))
            continue;
        memcpy(&value, (const char *)req->process->conf + key->offset,
            sizeof(value));
        *flag = key->flag;
        return value[0] != '\0' ? value : NULL;
    }
    return NULL;
}

static bool
may_have_form(const struct http_req *req)
{
    return (req->route->flags & ROUTE_BODY) != 0 &&
        req->method == HTTP_POST && http_is_form(req);
}

static enum auth_verdict
check_key(struct stream *stream, const char *key, const char *flag)
{
    struct http_req *req = &stream->req;

    if (secret_is(http_arg(req, "authKey"), key))
        return AUTH_PASSES;
    if (may_have_form(req)) {
        stream->wants_key = true;
        return AUTH_PASSES;
    }
    auth_refuse_key(stream, flag);
    return AUTH_REFUSED;
}

bool
gate_check_body(struct stream *stream)
{
    struct http_req *req = &stream->req;
    const char *key, *flag = "";

    if (!stream->wants_key)
        return true;
    key = key_of(req, &flag);
    if (key != NULL && secret_is(http_arg(req, "authKey"), key))
        return true;
    auth_refuse_key(stream, flag);
    return false;
}

/* --- groups --- */

static bool
is_closed(struct stream *stream, const struct group *group)
{
    const char *why = group != NULL ? group_closed_by(group, &stream->req)
                                    : NULL;

    if (why == NULL)
        return false;
    metric_add(METRIC_HTTP_REFUSED_CLOSED, 1);
    stream_refuse(stream, 403, "this is closed here (%s: %s), by the "
        "directive %s", group->name, group->doc, why);
    return true;
}

/* --- other sites --- */

/* Whether Origin is the server that Host names. */
static bool
is_own_origin(const struct http_req *req, struct sv origin)
{
    struct sv host = http_header_get(req, "host");
    struct sv http = SV("http://"), https = SV("https://");

    if (sv_starts_with(origin, https))
        origin = sv_sub(origin, https.len, origin.len);
    else if (sv_starts_with(origin, http))
        origin = sv_sub(origin, http.len, origin.len);
    else
        return false;
    return host.len > 0 && sv_eq_nocase(origin, host);
}

/*
 * Sec-Fetch-Site is what a browser says and no page can change; it is there
 * where the connection is safe.  Elsewhere Origin is.  Programs that are no
 * browsers send neither.
 */
bool
gate_is_cross_site(const struct http_req *req)
{
    struct sv site = http_header_get(req, "sec-fetch-site");
    struct sv origin = http_header_get(req, "origin");

    if (site.ptr != NULL)
        return !sv_eq(site, SV("same-origin")) && !sv_eq(site, SV("none"));
    return origin.ptr != NULL && !is_own_origin(req, origin);
}

static enum auth_verdict
check_site(struct stream *stream)
{
    const struct route *route = stream->req.route;

    if (route == NULL || stream->req.method != HTTP_POST ||
        (route->flags & (ROUTE_ADMIN | ROUTE_DELETE)) == 0 ||
        !gate_is_cross_site(&stream->req))
        return AUTH_PASSES;
    metric_add(METRIC_HTTP_REFUSED_CROSS_SITE, 1);
    stream_refuse(stream, 403, "a page of another site may not ask for this");
    return AUTH_REFUSED;
}

/* --- all of it --- */

static const struct group *
match_group(const struct route_match *match)
{
    return group_of(match->flags);
}

enum auth_verdict
gate_enter(struct stream *stream, const struct route_match *match)
{
    const struct group *group = match_group(match);
    const char *key, *flag;
    enum auth_verdict verdict;

    if (is_closed(stream, group))
        return AUTH_REFUSED;
    if ((match->flags & ROUTE_OPEN) != 0)
        return AUTH_PASSES;
    key = key_of(&stream->req, &flag);
    verdict = key != NULL ? check_key(stream, key, flag)
                          : auth_check(stream, group);
    return verdict == AUTH_PASSES ? check_site(stream) : verdict;
}

enum auth_verdict
gate_asked(struct stream *stream, const struct route_match *match)
{
    enum auth_verdict verdict = auth_asked(stream, match_group(match));

    return verdict == AUTH_PASSES ? check_site(stream) : verdict;
}
