/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The module: workers accept connections, keep their number within the
 * limit, and let go of them when the process has to end.
 */

#include "core/base.h"
#include "http/http.h"

#include "core/assert.h"
#include "core/conf_budget.h"
#include "core/log.h"
#include "core/metrics.h"
#include "event/conn.h"
#include "event/listen.h"
#include "event/loop.h"
#include "http/access_log.h"
#include "http/auth.h"
#include "http/body.h"
#include "http/count.h"
#include "http/h1.h"
#include "http/h1_parse.h"
#include "http/h2.h"
#include "http/server.h"
#include "http/stream.h"
#include "http/users.h"

static struct server server = {
    .conns = TAILQ_HEAD_INITIALIZER(server.conns),
    .waiting = TAILQ_HEAD_INITIALIZER(server.waiting),
};
static struct loop_timer *drain_timer;
static struct loop_timer *reader_timer;
static void cut_reader(void *arg);
/* Whoever asks for room may be what is cut, so it is cut afterwards. */
static struct loop_later cut_later = {.fn = cut_reader};

/* How often slow readers are looked for. */
#define READER_CHECK_NS (5 * NS_PER_SEC)
/*
 * When replies fill their memory: time that a reader has in any case, and
 * between two that are cut.
 */
#define READER_GRACE_NS (10 * NS_PER_SEC)
#define READER_CUT_NS (50 * NS_PER_MS)

/*
 * An idle connection, as bench/conns measures it with some reserve, and what
 * nghttp2 adds to one of HTTP/2, OpenSSL to one of TLS.
 */
#define CONN_BYTES (2 * KIB)
#define CONN_H2_BYTES (20 * KIB)
#define CONN_TLS_BYTES (16 * KIB)
/* Of a configuration; all of them fit into a head. */
#define HEADER_VALUE_BYTES_MAX 2048
/* Connections that are let go for one that comes: more than it can cost. */
#define MAKE_ROOM_MAX 8

static void
drop_oldest(void)
{
    struct server_conn *oldest = TAILQ_FIRST(&server.waiting);

    metric_add(METRIC_HTTP_REFUSED_TOO_MANY_CONNECTIONS, 1);
    oldest->ops->kill(oldest);
}

/* Where memory is short, fewer connections fit than are allowed. */
static void
make_memory(void)
{
    uint64_t most = conf_budget(server.process->conf)->conns;

    for (int i = 0; i < MAKE_ROOM_MAX && !TAILQ_EMPTY(&server.waiting) &&
        server.nconns * CONN_BYTES + server.nh2 * CONN_H2_BYTES +
        conn_tls_count() * CONN_TLS_BYTES > most; i++)
        drop_oldest();
}

/*
 * Nearly full: connections that only end make room, then who has waited
 * longest without a whole request, so that idle or slow clients never keep
 * out others.
 */
static void
make_room(void)
{
    uint64_t most = server.process->conf->connections;
    uint64_t spare = MAX(most / 16, 1);

    make_memory();
    if (server.nconns + conn_left() < most - spare)
        return;
    if (conn_left() > spare) {
        conn_drop_left((unsigned)spare);
        return;
    }
    if (server.nconns >= most - spare && !TAILQ_EMPTY(&server.waiting))
        drop_oldest();
}

static void
IMPL(listen_accept_fn) http_accept(int fd,
    const struct conf_listener *listener, UNUSED void *arg)
{
    make_room();
    h1_open(&server, fd, listener);
}

/*
 * A client that takes its replies, but too slowly, is noticed by no deadline
 * of its connection.
 */
static void
IMPL(loop_timer_fn) http_check_readers(UNUSED void *arg)
{
    struct server_conn *conn, *next;

    for (conn = TAILQ_FIRST(&server.conns); conn != NULL; conn = next) {
        next = TAILQ_NEXT(conn, link);
        conn->ops->check_reader(conn);
    }
    loop_timer_set(reader_timer,
        MIN(server.process->conf->send_timeout, READER_CHECK_NS));
}

/* Whose replies are the largest of those that wait for long. */
static void
IMPL(loop_post_fn) cut_reader(UNUSED void *arg)
{
    int64_t now_ns = loop_now_ns(server.process->loop);
    struct server_conn *conn, *worst = NULL;
    size_t most = CONN_LOW_WATER;

    TAILQ_FOREACH(conn, &server.conns, link) {
        int64_t since_ns;
        size_t unread = conn->ops->unread(conn, &since_ns);

        if (unread <= most || since_ns == 0 ||
            now_ns - since_ns < READER_GRACE_NS)
            continue;
        most = unread;
        worst = conn;
    }
    if (worst == NULL)
        return;
    metric_add(METRIC_HTTP_REFUSED_SLOW_READER, 1);
    log_warn("a reply of which %zu bytes wait to be read is cut: it keeps "
        "queries from running", most);
    worst->ops->kill(worst);
}

bool
http_has_reply_room(const struct process *process)
{
    int64_t now_ns = loop_now_ns(process->loop);

    if (replies_queued_total() <= conf_budget(process->conf)->replies)
        return true;
    if (now_ns - server.cut_ns >= READER_CUT_NS) {
        server.cut_ns = now_ns;
        loop_later_add(process->loop, &cut_later);
    }
    return false;
}

bool
http_is_draining(void)
{
    return server.is_draining;
}

/* What becomes part of heads as it is. */
static int
check_header(const char *yaml, const char *value, struct err *err)
{
    if (h1_is_field_value(sv_from(value)) &&
        strlen(value) <= HEADER_VALUE_BYTES_MAX)
        return 0;
    return err_set(err, ERR_INVALID, "%s: a value of a header has printable "
        "bytes, at most %d", yaml, HEADER_VALUE_BYTES_MAX);
}

/* Nothing that is ever escaped in a path. */
static int
check_prefix(const char *prefix, struct err *err)
{
    static const char wanted[] = "abcdefghijklmnopqrstuvwxyz"
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";

    if (strspn(prefix, wanted) == strlen(prefix) &&
        strstr(prefix, "//") == NULL && strstr(prefix, "..") == NULL &&
        strstr(prefix, "/./") == NULL &&
        strlen(prefix) <= HEADER_VALUE_BYTES_MAX)
        return 0;
    return err_set(err, ERR_INVALID, "http.path_prefix has letters, digits, "
        "'-', '.', '_', '~' and '/'");
}

/* What becomes part of every reply, or of every path. */
static int
check_texts(const struct conf *conf, struct err *err)
{
    if (check_header("http.headers.csp", conf->header_csp, err) != 0 ||
        check_header("http.headers.frame_options",
            conf->header_frame_options, err) != 0 ||
        check_header("http.headers.hsts", conf->header_hsts, err) != 0 ||
        check_prefix(conf->path_prefix, err) != 0)
        return -1;
    return 0;
}

int
http_check(const struct conf *conf, struct err *err)
{
    struct users *users;

    if (check_texts(conf, err) != 0 || users_load(&users, conf, err) != 0)
        return -1;
    users_free(users);
    return 0;
}

static int
http_load_master(const struct conf *conf, struct err *err)
{
    if (check_texts(conf, err) != 0 || access_log_open(conf, err) != 0)
        return -1;
    return auth_load(conf, err);
}

static int
http_init_process(struct process *process, UNUSED struct err *err)
{
    if (process->role != ROLE_WORKER)
        return 0;
    server.process = process;
    server.is_draining = false;
    reply_init();
    count_init(http_routes);
    access_log_start(process);
    auth_start(process);
    body_budget_set((size_t)conf_budget(process->conf)->bodies);
    reader_timer = loop_timer_new(process->loop, http_check_readers, NULL);
    http_check_readers(NULL);
    listen_start(process, http_accept, NULL);
    return 0;
}

/* The time for the rest is over. */
static void
IMPL(loop_timer_fn) http_force(UNUSED void *arg)
{
    struct server_conn *conn;

    while ((conn = TAILQ_FIRST(&server.conns)) != NULL)
        conn->ops->kill(conn);
}

static void
http_drain(struct process *process)
{
    struct server_conn *conn, *next;

    if (process->role != ROLE_WORKER || server.is_draining)
        return;
    server.is_draining = true;
    listen_stop();
    for (conn = TAILQ_FIRST(&server.conns); conn != NULL; conn = next) {
        next = TAILQ_NEXT(conn, link);
        conn->ops->drain(conn);
    }
    drain_timer = loop_timer_new(process->loop, http_force, NULL);
    loop_timer_set(drain_timer, MAX(process->conf->shutdown_timeout, 1));
}

static bool
http_is_drained(struct process *process)
{
    if (process->role != ROLE_WORKER)
        return true;
    return server.nconns == 0 && server.nrequests == 0 &&
        conn_finishing() == 0;
}

static void
http_exit_process(struct process *process)
{
    struct server_conn *conn;

    if (process->role != ROLE_WORKER)
        return;
    loop_timer_free(drain_timer);
    loop_timer_free(reader_timer);
    drain_timer = reader_timer = NULL;
    loop_later_remove(process->loop, &cut_later);
    while ((conn = TAILQ_FIRST(&server.conns)) != NULL) {
        conn->ops->kill(conn);
        conn->ops->reap(conn);
    }
    conn_drop_left(0);
    h1_clear();
    h2_clear();
    auth_stop();
    access_log_stop();
}

const struct module http_module = {
    .name = "http",
    .init_master = http_load_master,
    .reload_master = http_load_master,
    .init_process = http_init_process,
    .drain = http_drain,
    .reopen = access_log_reopen,
    .is_drained = http_is_drained,
    .exit_process = http_exit_process,
};
