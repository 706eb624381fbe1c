/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The HTTP module alone, with handlers for tests, in one process:
 *
 *     http_server [NAME VALUE]...     flags of spoor
 *
 * Prints "port N" when it accepts.  TERM drains, then it ends; a second TERM
 * ends it at once.
 */

#include "core/base.h"

#include <signal.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/num.h"
#include "event/conn.h"
#include "event/listen.h"
#include "event/loop.h"
#include "event/module.h"
#include "event/task.h"
#include "http/body.h"
#include "http/http.h"

static struct process process;
static struct loop_timer *exit_timer;
static unsigned naborted, nhandled;

static uint64_t
number_arg(struct http_req *req, const char *name, uint64_t otherwise)
{
    struct sv text = http_arg(req, name);
    uint64_t n;

    return text.ptr != NULL && num_parse_u64(text, &n) ? n : otherwise;
}

static void
reply_text(struct http_req *req, struct sb *sb)
{
    nhandled++;
    http_reply_sb(req, 200, "text/plain", sb);
}

static void
handle_health(struct http_req *req)
{
    http_reply(req, 200, "text/plain", SV("OK"));
}

static void
handle_echo(struct http_req *req)
{
    nhandled++;
    http_reply(req, 200, "application/octet-stream", req->body);
}

/* Length and a checksum of the body. */
static void
handle_sink(struct http_req *req)
{
    uint32_t sum = 1;
    struct sb out;

    for (size_t i = 0; i < req->body.len && req->body.len <= 1 * MIB; i++)
        sum = sum * 31 + (uint8_t)req->body.ptr[i];
    sb_init(&out, 1 * KIB);
    sb_addf(&out, "%zu %u", req->body.len, sum);
    reply_text(req, &out);
}

/* What was understood of the request. */
static void
handle_show(struct http_req *req)
{
    static const char *const names[] = {"a", "b", "c d"};
    uint32_t account, project;
    struct err err = ERR_INIT;
    struct sb out;

    if (http_tenant(req, &account, &project, &err) != 0) {
        http_reply_error(req, 400, "%s", err.text);
        return;
    }
    sb_init(&out, 64 * KIB);
    sb_addf(&out, "method=%.*s\npath=%.*s\nraw=%.*s\nquery=%.*s\n",
        SV_ARG(req->method_name), SV_ARG(req->path), SV_ARG(req->raw_path),
        SV_ARG(req->query));
    sb_addf(&out, "route=%s\narg=%.*s\ntenant=%u:%u\nfields=%u\n",
        req->route->pattern, SV_ARG(req->path_arg), account, project,
        req->nheaders);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        for (unsigned n = 0; n < 3; n++) {
            struct sv value = http_arg_n(req, names[i], n);

            if (value.ptr != NULL)
                sb_addf(&out, "%s[%u]=%.*s\n", names[i], n, SV_ARG(value));
        }
    }
    reply_text(req, &out);
}

static void
handle_text(struct http_req *req)
{
    uint64_t bytes = number_arg(req, "bytes", 0);
    struct sb out;

    sb_init(&out, 256 * MIB);
    while (out.len < bytes)
        sb_addf(&out, "%zu little words of a text\n", out.len);
    out.len = MIN(out.len, bytes);
    reply_text(req, &out);
}

static void
handle_html(struct http_req *req)
{
    http_reply(req, 200, "text/html; charset=utf-8", SV("<p>hello"));
}

static void
handle_fail(struct http_req *req)
{
    http_reply_header(req, "X-Evil", "a\r\nX-Injected: b");
    http_reply_error(req, (int)number_arg(req, "status", 500),
        "it failed: %.*s", SV_ARG(http_arg(req, "why")));
}

/* A large reply, written as the client takes it. */
struct big {
    struct http_req *req;
    uint64_t left;
    uint64_t break_at;
};

static void big_write(struct http_req *req, void *arg);

static void
big_abort(struct http_req *req, UNUSED void *arg)
{
    naborted++;
    http_abandon(req);
}

static void
big_write(struct http_req *req, void *arg)
{
    static char block[64 * KIB];
    struct big *big = arg;

    while (big->left > 0) {
        size_t n = (size_t)MIN(big->left, sizeof(block));

        memset(block, 'x', n);
        big->left -= n;
        if (big->left < big->break_at) {
            http_reply_break(req);
            return;
        }
        if (!http_reply_write(req, block, n) && big->left > 0) {
            http_on_drain(req, big_write, big);
            return;
        }
    }
    http_reply_end(req);
}

static void
handle_big(struct http_req *req)
{
    struct big *big = pool_zalloc(req->pool, sizeof(*big));

    check(big != NULL);
    nhandled++;
    big->left = number_arg(req, "bytes", 1 * MIB);
    big->break_at = number_arg(req, "break", 0);
    if (number_arg(req, "abort", 1) == 1)
        http_on_abort(req, big_abort, big);
    http_reply_begin(req, 200, "application/octet-stream");
    big_write(req, big);
}

/* An answer that comes later. */
struct slow {
    struct http_req *req;
    struct loop_timer *timer;
};

static void
slow_done(void *arg)
{
    struct slow *slow = arg;

    loop_timer_free(slow->timer);
    nhandled++;
    http_reply(slow->req, 200, "text/plain", SV("slow"));
    xfree(slow);
}

static void
slow_abort(struct http_req *req, void *arg)
{
    struct slow *slow = arg;

    naborted++;
    loop_timer_free(slow->timer);
    xfree(slow);
    http_abandon(req);
}

static void
handle_slow(struct http_req *req)
{
    struct slow *slow = xcalloc(1, sizeof(*slow));

    slow->req = req;
    slow->timer = loop_timer_new(process.loop, slow_done, slow);
    loop_timer_set(slow->timer,
        (int64_t)number_arg(req, "ms", 100) * NS_PER_MS);
    if (req->route->flags & ROUTE_SELECT)
        http_on_abort(req, slow_abort, slow);
}

static void
hold_run(void *arg)
{
    usleep((useconds_t)((uintptr_t)arg * 1000));
}

/* Keeps the thread for tasks, or that for queries, busy. */
static void
handle_hold(struct http_req *req)
{
    struct task_pool *pool = number_arg(req, "queries", 0) == 1
        ? process.queries : process.tasks;
    struct err err = ERR_INIT;

    check(task_post(pool, hold_run, NULL,
        (void *)(uintptr_t)number_arg(req, "ms", 1000), &err) == 0);
    http_reply(req, 200, NULL, SV_EMPTY);
}

static void
handle_stats(struct http_req *req)
{
    char line[256] = "";
    FILE *file = fopen("/proc/self/status", "re");
    struct sb out;

    sb_init(&out, 64 * KIB);
    sb_addf(&out, "aborted=%u\nhandled=%u\nbody_bytes=%zu\nqueued=%zu\n",
        naborted, nhandled, body_budget_used(), conn_queued_total());
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0)
            sb_addf(&out, "rss_kb=%lu\n", strtoul(line + 6, NULL, 10));
    }
    if (file != NULL)
        fclose(file);
    metrics_print(&out, false);
    http_reply_sb(req, 200, "text/plain", &out);
}

static void
handle_budget(struct http_req *req)
{
    body_budget_set((size_t)number_arg(req, "bytes", 64 * MIB));
    http_reply(req, 200, NULL, SV_EMPTY);
}

static const struct route routes[] = {
    {"/health", HTTP_GET, ROUTE_HEALTH, handle_health, NULL, ""},
    {"/echo", HTTP_POST, ROUTE_BODY | ROUTE_INSERT | ROUTE_CORS, handle_echo,
        NULL, ""},
    {"/sink", HTTP_POST, ROUTE_BODY | ROUTE_INSERT, handle_sink, NULL, ""},
    {"/form", HTTP_GET | HTTP_POST, ROUTE_BODY | ROUTE_SELECT | ROUTE_CORS,
        handle_show, NULL, ""},
    {"/arg/*", HTTP_GET, ROUTE_SELECT, handle_show, NULL, ""},
    {"/arg/*/tail", HTTP_GET, ROUTE_SELECT, handle_show, NULL, ""},
    {"/arg/exact", HTTP_GET, ROUTE_SELECT, handle_show, NULL, ""},
    {"/services/*/operations", HTTP_GET, ROUTE_SELECT | ROUTE_CORS,
        handle_show, NULL, ""},
    {"/text", HTTP_GET, ROUTE_SELECT, handle_text, NULL, ""},
    {"/html", HTTP_GET, 0, handle_html, NULL, ""},
    {"/fail", HTTP_GET, 0, handle_fail, NULL, ""},
    {"/big", HTTP_GET, ROUTE_SELECT, handle_big, NULL, ""},
    {"/slow", HTTP_GET, ROUTE_SELECT, handle_slow, NULL, ""},
    {"/slow_insert", HTTP_POST, ROUTE_INSERT | ROUTE_BODY, handle_slow, NULL,
        ""},
    {"/hold", HTTP_GET, 0, handle_hold, NULL, ""},
    {"/stats", HTTP_GET, 0, handle_stats, NULL, ""},
    {"/budget", HTTP_POST, ROUTE_ADMIN, handle_budget, NULL, ""},
    {NULL, 0, 0, NULL, NULL, NULL},
};

static void
on_exit_timer(UNUSED void *arg)
{
    if (http_module.is_drained(&process))
        loop_stop(process.loop);
    else
        loop_timer_set(exit_timer, 5 * NS_PER_MS);
}

static void
on_term(UNUSED int signo, UNUSED void *arg)
{
    if (exit_timer != NULL) {
        loop_stop(process.loop);
        return;
    }
    http_module.drain(&process);
    exit_timer = loop_timer_new(process.loop, on_exit_timer, NULL);
    loop_timer_set(exit_timer, 1);
}

static void
fail(const char *what)
{
    fprintf(stderr, "http_server: %s\n", what);
    exit(1);
}

int
main(UNUSED int argc, char **argv)
{
    struct conf_source source = {
        .flags = (const char *const *)(void *)(argv + 1)};
    struct err err = ERR_INIT;
    struct conf *conf;
    struct sb messages;

    signal(SIGPIPE, SIG_IGN);
    sb_init(&messages, 64 * KIB);
    if (conf_load(&conf, &source, &messages) != 0)
        fail(messages.ptr);
    sb_release(&messages);
    log_set_level((enum log_level)conf->log_level);
    http_routes = routes;
    if (listen_open(conf, &err) != 0)
        fail(err.text);
    process.role = ROLE_WORKER;
    process.conf = conf;
    process.loop = loop_new();
    process.tasks = task_pool_new(process.loop, "test", 1, 64);
    process.queries = task_pool_new(process.loop, "queries", 1, 64);
    if (http_module.init_process(&process, &err) != 0)
        fail(err.text);
    loop_signal(process.loop, SIGTERM, on_term, NULL);
    printf("port %s\n", strrchr(listen_address(0), ':') + 1);
    fflush(stdout);
    loop_run(process.loop);
    task_pool_free(process.tasks);
    task_pool_free(process.queries);
    http_module.exit_process(&process);
    listen_stop();
    listen_close_all();
    loop_timer_free(exit_timer);
    loop_free(process.loop);
    conf_free(conf);
    return 0;
}
