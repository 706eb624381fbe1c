/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/admin.h"

#include "api/front.h"
#include "cluster/cluster.h"
#include "core/conf_storage.h"
#include "core/metrics.h"
#include "core/mem.h"
#include "core/timefmt.h"
#include "storage/compact.h"
#include "storage/store.h"

#define METRICS_BYTES_MAX (4 * MIB)
#define TEXT "text/plain; charset=utf-8"

void IMPL(route_fn)
admin_home(struct http_req *req)
{
    static const char page[] =
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
        "<title>spoor</title>\n<h1>spoor</h1>\n"
        "<p>A database for distributed traces.</p>\n<ul>\n"
        "<li>send spans (OTLP over HTTP): <code>POST v1/traces</code></li>\n"
        "<li><a href=\"select/jaeger/api/services\">services</a> "
        "(Jaeger API under <code>select/jaeger/api/</code>)</li>\n"
        "<li><a href=\"metrics\">metrics</a></li>\n"
        "<li><a href=\"flags\">flags</a></li>\n"
        "<li><a href=\"health\">health</a></li>\n</ul>\n";

    http_reply(req, 200, "text/html; charset=utf-8", sv_from(page));
}

/* True when it was answered: the server will stop, clients go elsewhere. */
static bool
health_is_leaving(struct http_req *req)
{
    int64_t leaves_ns = req->process->leaves_ns, left_ns;

    if (leaves_ns == 0)
        return false;
    left_ns = MAX(leaves_ns - clock_mono_ns(), 0);
    http_reply_error(req, 503, "the server stops in %lld s",
        (long long)((left_ns + NS_PER_SEC - 1) / NS_PER_SEC));
    return true;
}

void IMPL(route_fn)
admin_health(struct http_req *req)
{
    if (health_is_leaving(req))
        return;
    http_reply(req, 200, TEXT, SV("OK"));
}

void IMPL(route_fn)
admin_healthy(struct http_req *req)
{
    http_reply(req, 200, TEXT, SV("spoor is healthy\n"));
}

void IMPL(route_fn)
admin_ready(struct http_req *req)
{
    const struct conf *conf = req->process->conf;
    const char *why;

    if (health_is_leaving(req))
        return;
    if (conf_is_front(conf) && !cluster_is_ready(conf, &why))
        http_reply_error(req, 503, "%s", why);
    else if (store_is_read_only(&why))
        http_reply_error(req, 503, "read-only: %s", why);
    else
        http_reply(req, 200, TEXT, SV("spoor is ready\n"));
}

void IMPL(route_fn)
admin_insert_ready(struct http_req *req)
{
    http_reply(req, 200, "application/json", SV("{\"status\":\"ok\"}"));
}

void IMPL(route_fn)
admin_metrics(struct http_req *req)
{
    struct sb sb;

    sb_init(&sb, METRICS_BYTES_MAX);
    metrics_print(&sb, req->process->conf->metrics_metadata);
    http_reply_sb(req, 200, "text/plain; version=0.0.4; charset=utf-8", &sb);
    sb_release(&sb);
}

void IMPL(route_fn)
admin_flags(struct http_req *req)
{
    struct sb sb;

    sb_init(&sb, METRICS_BYTES_MAX);
    conf_print_flags(req->process->conf, &sb);
    http_reply_sb(req, 200, TEXT, &sb);
    sb_release(&sb);
}

/* --- force flush --- */

struct flush_wait {
    struct http_req *req; /* NULL: the client went away */
};

static void
flush_done(bool ok, void *arg)
{
    struct flush_wait *wait = arg;

    if (wait->req != NULL && ok)
        http_reply(wait->req, 200, NULL, SV_EMPTY);
    else if (wait->req != NULL)
        http_reply_error(wait->req, 503,
            "not all rows could be written into parts in time");
    xfree(wait);
}

static void IMPL(http_abort_fn)
flush_aborted(struct http_req *req, void *arg)
{
    struct flush_wait *wait = arg;

    wait->req = NULL;
    http_abandon(req);
}

void IMPL(route_fn)
admin_force_flush(struct http_req *req)
{
    struct flush_wait *wait;

    if (front_refuses(req))
        return;
    wait = xcalloc(1, sizeof(*wait));
    wait->req = req;
    http_on_abort(req, flush_aborted, wait);
    store_force_flush(flush_done, wait);
}

/* --- force merge --- */

/* Answered at once; vt_active_force_merges tells how many are not done. */
void IMPL(route_fn)
admin_force_merge(struct http_req *req)
{
    struct sv prefix = http_arg(req, "partition_prefix");
    struct err err = ERR_INIT;

    if (front_refuses(req))
        return;
    if (req->has_lost_arg)
        http_reply_error(req, 400, "the arguments are too large");
    else if (compact_force(prefix, &err) == 0)
        http_reply(req, 200, NULL, SV_EMPTY);
    else
        http_reply_error(req, err.code == ERR_INVALID ? 400 : 503, "%s",
            err.text);
}
