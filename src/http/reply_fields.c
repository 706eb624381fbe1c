/* SPDX-License-Identifier: BSD-2-Clause */

/* The fields that every reply carries. */

#include "core/base.h"
#include "http/stream.h"

#include <time.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/timefmt.h"

/*
 * For pages; one that needs more says so itself.  What they load and where
 * they send forms is of this server, and nobody shows them in a frame.
 */
#define CONTENT_POLICY \
    "default-src 'none'; script-src 'self'; style-src 'self'; " \
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; " \
    "frame-ancestors 'none'; base-uri 'none'"

static struct {
    char host[256];
    char date[32]; /* "Sat, 21 Nov 2026 09:50:45 GMT" */
    int64_t date_sec;
} common = {.date_sec = -1};

void
reply_init(void)
{
    if (gethostname(common.host, sizeof(common.host) - 1) != 0)
        common.host[0] = '\0';
    for (char *c = common.host; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~')
            *c = '?';
    }
}

/* IMF-fixdate (RFC 9110, 5.6.7), made once a second. */
static struct sv
date_now(void)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = (time_t)(clock_wall_ns() / NS_PER_SEC);
    struct tm tm;

    if (now != common.date_sec && gmtime_r(&now, &tm) != NULL) {
        snprintf(common.date, sizeof(common.date),
            "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
            tm.tm_mday % 100, months + 3 * tm.tm_mon,
            (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min, tm.tm_sec);
        common.date_sec = now;
    }
    return sv_from(common.date);
}

static void
field_add(struct reply_head *head, struct sv name, struct sv value)
{
    check(head->nfields < REPLY_FIELDS_MAX);
    head->fields[head->nfields++] = (struct http_header){name, value};
}

bool
reply_has_extra(const struct stream *stream, struct sv name)
{
    for (unsigned i = 0; i < stream->nextra; i++) {
        if (sv_eq_nocase(stream->extra[i].name, name))
            return true;
    }
    return false;
}

static void
add_value(struct reply_head *head, const char *name, const char *value)
{
    if (value[0] != '\0')
        field_add(head, sv_from(name), sv_from(value));
}

/* For browsers. */
static void
add_policies(const struct stream *stream, struct reply_head *head,
    bool is_page)
{
    const struct conf *conf = stream->req.process->conf;
    bool has_policy = reply_has_extra(stream, SV("Content-Security-Policy"));

    field_add(head, SV("X-Content-Type-Options"), SV("nosniff"));
    if (!has_policy && conf->header_csp[0] == '\0' && is_page)
        field_add(head, SV("Content-Security-Policy"), SV(CONTENT_POLICY));
    else if (!has_policy)
        add_value(head, "Content-Security-Policy", conf->header_csp);
    add_value(head, "X-Frame-Options", conf->header_frame_options);
    add_value(head, "Strict-Transport-Security", conf->header_hsts);
    if (!is_page)
        return;
    field_add(head, SV("Referrer-Policy"), SV("no-referrer"));
    field_add(head, SV("Cross-Origin-Opener-Policy"), SV("same-origin"));
}

static void
add_extra(const struct stream *stream, struct reply_head *head)
{
    for (unsigned i = 0; i < stream->nextra; i++)
        field_add(head, stream->extra[i].name, stream->extra[i].value);
}

void
reply_fields(const struct stream *stream, struct reply_head *head,
    const char *content_type)
{
    const struct route *route = stream->req.route;
    const struct conf *conf = stream->req.process->conf;
    bool is_page = content_type != NULL &&
        strncmp(content_type, "text/html", 9) == 0;

    field_add(head, SV("Server"), SV("spoor"));
    field_add(head, SV("Date"), date_now());
    if (stream->is_grpc) {
        field_add(head, SV("Content-Type"), sv_from(content_type));
        add_extra(stream, head);
        return;
    }
    if (!conf->header_no_hostname)
        add_value(head, "X-Server-Hostname", common.host);
    if (content_type != NULL && head->status != 204)
        field_add(head, SV("Content-Type"), sv_from(content_type));
    if (!reply_has_extra(stream, SV("Cache-Control")))
        field_add(head, SV("Cache-Control"), SV("no-store"));
    if (route != NULL && (route->flags & ROUTE_CORS) != 0 &&
        !conf->disable_cors &&
        !reply_has_extra(stream, SV("Access-Control-Allow-Origin")))
        field_add(head, SV("Access-Control-Allow-Origin"), SV("*"));
    add_policies(stream, head, is_page);
    add_extra(stream, head);
}
