/* SPDX-License-Identifier: BSD-2-Clause */

/* Lists and clocks that connections of all protocols share. */

#include "core/base.h"
#include "http/server.h"

#include "core/assert.h"
#include "core/metrics.h"
#include "event/listen.h"
#include "event/loop.h"
#include "http/count.h"

void
server_wait_end(struct server_conn *conn)
{
    if (conn->is_waiting)
        TAILQ_REMOVE(&conn->server->waiting, conn, wait_link);
    conn->is_waiting = false;
}

/* Or moves to the end: something happened on the connection. */
void
server_wait(struct server_conn *conn)
{
    server_wait_end(conn);
    TAILQ_INSERT_TAIL(&conn->server->waiting, conn, wait_link);
    conn->is_waiting = true;
}

void
server_conn_add(struct server *server, struct server_conn *conn,
    const struct server_conn_ops *ops)
{
    conn->ops = ops;
    conn->server = server;
    conn->is_waiting = conn->is_h2 = false;
    TAILQ_INSERT_TAIL(&server->conns, conn, link);
    server->nconns++;
    metric_add(METRIC_HTTP_CONNECTIONS_TOTAL, 1);
    metric_gauge_add(METRIC_HTTP_CONNECTIONS, 1);
    count_accepted(conn->listener);
    server_wait(conn);
}

void
server_conn_remove(struct server_conn *conn)
{
    struct server *server = conn->server;

    server_wait_end(conn);
    TAILQ_REMOVE(&server->conns, conn, link);
    check(server->nconns > 0);
    server->nconns--;
    server->nh2 -= conn->is_h2;
    metric_gauge_add(METRIC_HTTP_CONNECTIONS, -1);
    count_closed(conn->listener);
    listen_conn_ended();
}

void
server_conn_replace(struct server_conn *old, struct server_conn *conn,
    const struct server_conn_ops *ops)
{
    conn->ops = ops;
    conn->server = old->server;
    conn->listener = old->listener;
    conn->is_waiting = false;
    conn->is_h2 = true;
    conn->server->nh2++;
    server_wait_end(old);
    TAILQ_INSERT_AFTER(&old->server->conns, old, conn, link);
    TAILQ_REMOVE(&old->server->conns, old, link);
    server_wait(conn);
}

bool
reader_is_slow(struct reader *reader, size_t queued,
    const struct process *process)
{
    const struct conf *conf = process->conf;
    int64_t now_ns = loop_now_ns(process->loop);
    uint64_t taken = reader->written - queued;
    uint64_t least = conf->body_rate *
        (uint64_t)(conf->send_timeout / NS_PER_MS) / 1000;

    if (queued == 0) {
        reader->mark_ns = reader->since_ns = 0;
        return false;
    }
    if (reader->since_ns == 0)
        reader->since_ns = now_ns;
    if (reader->mark_ns != 0 &&
        now_ns - reader->mark_ns < conf->send_timeout)
        return false;
    if (reader->mark_ns != 0 && taken - reader->mark_taken < MAX(least, 1))
        return true;
    reader->mark_ns = now_ns;
    reader->mark_taken = taken;
    return false;
}

int64_t
body_credit_ns(const struct process *process, int64_t credit_ns, size_t n)
{
    const struct conf *conf = process->conf;
    int64_t most_ns = loop_now_ns(process->loop) + conf->idle_timeout;

    if (conf->body_rate == 0)
        return most_ns;
    credit_ns += (int64_t)(n * (uint64_t)NS_PER_SEC / conf->body_rate);
    return MIN(credit_ns, most_ns);
}
