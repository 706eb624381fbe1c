/* SPDX-License-Identifier: BSD-2-Clause */

/* Connections over a socket pair or TCP: reading, writing, time, the end. */

#include "core/base.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "core/conf_listener.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/conn.h"
#include "event/loop.h"

#include "tap.h"

#define BIG (8 * MIB)

static struct loop *loop;

struct side {
    struct conn *conn;
    int peer; /* the other end, driven by hand */
    int readable;
    int drained;
    int closed;
    enum conn_close why;
    int64_t closed_ns;
};

static void
on_readable(UNUSED struct conn *conn, void *arg)
{
    struct side *side = arg;

    side->readable++;
    conn_want_read(side->conn, false);
    loop_stop(loop);
}

static void
on_drained(UNUSED struct conn *conn, void *arg)
{
    struct side *side = arg;

    side->drained++;
}

static void
on_closed(UNUSED struct conn *conn, enum conn_close why, void *arg)
{
    struct side *side = arg;

    side->closed++;
    side->why = why;
    side->closed_ns = loop_now_ns(loop);
    conn_free(side->conn);
    side->conn = NULL;
    loop_stop(loop);
}

static const struct conn_ops ops = {on_readable, on_drained, on_closed};

static void
side_open(struct side *side)
{
    int fds[2];

    memset(side, 0, sizeof(*side));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
            fds) != 0)
        abort();
    side->conn = conn_new(loop, fds[0], &ops, side);
    side->peer = fds[1];
}

static void
side_close(struct side *side)
{
    conn_free(side->conn);
    if (side->peer >= 0)
        close(side->peer);
}

static void
stop_later(UNUSED void *arg)
{
    loop_stop(loop);
}

static void
run_for(int64_t ns)
{
    struct loop_timer *timer = loop_timer_new(loop, stop_later, NULL);

    loop_timer_set(timer, ns);
    loop_run(loop);
    loop_timer_free(timer);
}

static void
test_read(void)
{
    struct side side;
    char buf[8];

    side_open(&side);
    is_str(conn_peer(side.conn), "unix:", "peer");
    ok(write(side.peer, "hello", 5) == 5, "peer sends");
    run_for(20 * NS_PER_MS);
    is_int(side.readable, 0, "not reading until it is wanted");
    conn_want_read(side.conn, true);
    loop_run(loop);
    is_int(side.readable, 1, "readable");
    is_int(conn_read(side.conn, buf, 3), 3, "a part");
    is_int(conn_read(side.conn, buf, 8), 2, "the rest");
    is_int(conn_read(side.conn, buf, 8), -1, "nothing now");
    shutdown(side.peer, SHUT_WR);
    conn_want_read(side.conn, true);
    loop_run(loop);
    is_int(side.readable, 2, "the end is readable");
    is_int(conn_read(side.conn, buf, 8), 0, "end of stream");
    side_close(&side);
}

/* Reads on the peer's side until len bytes came, running the loop. */
static char *
peer_read(struct side *side, size_t len)
{
    char *got = xmalloc(len + 1);
    size_t have = 0;
    ssize_t n;

    while (have < len) {
        n = read(side->peer, got + have, len - have);
        if (n > 0)
            have += (size_t)n;
        else if (n == 0)
            break;
        else
            run_for(NS_PER_MS);
    }
    got[have] = '\0';
    return got;
}

static void
test_small_writes(void)
{
    struct side side;
    char buf[64];
    ssize_t n;

    side_open(&side);
    conn_write(side.conn, "a", 1);
    conn_write(side.conn, "b", 1);
    conn_write_take(side.conn, xstrdup("cd"), 2);
    conn_write(side.conn, "e", 1);
    conn_write(side.conn, "", 0);
    conn_write_take(side.conn, xstrdup(""), 0);
    is_int(conn_queued(side.conn), 5, "queued");
    ok(read(side.peer, buf, sizeof(buf)) < 0, "nothing sent inline");
    run_for(5 * NS_PER_MS);
    n = read(side.peer, buf, sizeof(buf));
    ok(n == 5 && memcmp(buf, "abcde", 5) == 0, "sent in order");
    is_int(conn_queued(side.conn), 0, "queue is empty");
    is_int(side.drained, 0, "no on_drained: never above the mark");
    side_close(&side);
}

static void
test_big_write(void)
{
    struct side side;
    char *sent = xmalloc(BIG), *got;

    for (size_t i = 0; i < BIG; i++)
        sent[i] = (char)(i * 31 + i / 251);
    side_open(&side);
    conn_write(side.conn, sent, BIG / 2);
    conn_write_take(side.conn, xmemdup0(sent + BIG / 2, BIG / 2), BIG / 2);
    run_for(5 * NS_PER_MS);
    ok(conn_queued(side.conn) > CONN_LOW_WATER, "the socket took a part");
    got = peer_read(&side, BIG);
    ok(memcmp(got, sent, BIG) == 0, "all bytes in order");
    is_int(side.drained, 1, "on_drained once");
    xfree(got);
    xfree(sent);
    side_close(&side);
}

static void
test_deadline(void)
{
    struct side side;
    int64_t start_ns = clock_mono_ns();

    side_open(&side);
    conn_set_deadline(side.conn, 10 * NS_PER_MS);
    conn_set_deadline(side.conn, 50 * NS_PER_MS);
    loop_run(loop);
    ok(side.closed == 1 && side.why == CONN_CLOSE_TIMEOUT, "deadline");
    ok(side.closed_ns - start_ns >= 50 * NS_PER_MS, "not early");
    side_close(&side);

    side_open(&side);
    conn_set_deadline(side.conn, 10 * NS_PER_MS);
    conn_set_deadline(side.conn, 0);
    run_for(40 * NS_PER_MS);
    is_int(side.closed, 0, "no deadline");
    side_close(&side);
}

static void
test_send_timeout(void)
{
    struct side side;
    char buf[4096];
    ssize_t n = 0;

    side_open(&side);
    conn_set_send_timeout(side.conn, 60 * NS_PER_MS);
    run_for(100 * NS_PER_MS);
    is_int(side.closed, 0, "no timeout without output");
    conn_write_take(side.conn, xcalloc(1, BIG), BIG);
    for (int i = 0; i < 8 && side.closed == 0; i++) {
        /* Enough for a unix socket to have room again. */
        for (int j = 0; j < 64; j++)
            n += read(side.peer, buf, sizeof(buf));
        run_for(20 * NS_PER_MS);
    }
    ok(side.closed == 0 && n > 0, "a slow reader is not a dead one");
    loop_run(loop);
    ok(side.closed == 1 && side.why == CONN_CLOSE_TIMEOUT,
        "a dead reader is");
    side_close(&side);
}

static void
test_peer_gone(void)
{
    struct side side;

    side_open(&side);
    close(side.peer);
    side.peer = -1;
    conn_write(side.conn, "x", 1);
    is_int(side.closed, 0, "not called from within conn_write");
    loop_run(loop);
    ok(side.closed == 1 && side.why == CONN_CLOSE_PEER, "the peer is gone");
    side_close(&side);
}

static void
test_finish(void)
{
    struct side side;
    char *got, buf[16];
    ssize_t n = -1;

    side_open(&side);
    conn_write_take(side.conn, xcalloc(1, BIG), BIG);
    conn_finish(side.conn);
    is_int(conn_finishing(), 1, "one is finishing");
    ok(write(side.peer, "late", 4) == 4, "the peer still sends");
    got = peer_read(&side, BIG);
    xfree(got);
    run_for(5 * NS_PER_MS);
    is_int(conn_finishing(), 0, "all is sent");
    n = read(side.peer, buf, sizeof(buf));
    is_int(n, 0, "then the end of the stream");
    close(side.peer);
    run_for(20 * NS_PER_MS);
    is_int(side.closed, 0, "the owner hears nothing any more");

    /* A peer that never closes is let go after two seconds. */
    side_open(&side);
    conn_finish(side.conn);
    run_for(100 * NS_PER_MS);
    ok(write(side.peer, "x", 1) == 1, "lingers");
    run_for(2500 * NS_PER_MS);
    ok(send(side.peer, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE,
        "but not for ever");
    close(side.peer);

    /* One that reads nothing: the send timeout holds. */
    side_open(&side);
    conn_set_send_timeout(side.conn, 50 * NS_PER_MS);
    conn_write_take(side.conn, xcalloc(1, BIG), BIG);
    conn_finish(side.conn);
    run_for(300 * NS_PER_MS);
    is_int(conn_finishing(), 0, "given up");
    close(side.peer);
}

static void
test_tcp(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct linger reset = {1, 0};
    socklen_t len = sizeof(addr);
    struct side side = {.peer = client};
    char want[32], buf[8];

    if (bind(listener, (struct sockaddr *)&addr, len) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&addr, &len) != 0 ||
        connect(client, (struct sockaddr *)&addr, len) != 0)
        abort();
    len = sizeof(addr);
    getsockname(client, (struct sockaddr *)&addr, &len);
    side.conn = conn_new(loop, accept4(listener, NULL, NULL,
        SOCK_NONBLOCK | SOCK_CLOEXEC), &ops, &side);
    snprintf(want, sizeof(want), "127.0.0.1:%u", ntohs(addr.sin_port));
    is_str(conn_peer(side.conn), want, "peer");
    setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(client);
    conn_want_read(side.conn, true);
    loop_run(loop);
    is_int(conn_read(side.conn, buf, 8), -2, "reset by the peer");
    side.peer = -1;
    side_close(&side);
    close(listener);
}

/* PROXY headers. */

static const struct conf_listener with_proxy = {.has_proxy_protocol = true};
static const char proxy_line[] = "PROXY TCP4 203.0.113.7 10.0.0.1 51234 443\r\n";

static void
side_open_proxy(struct side *side)
{
    int fds[2];

    memset(side, 0, sizeof(*side));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
            fds) != 0)
        abort();
    side->conn = conn_accept(loop, fds[0], &with_proxy, &ops, side);
    side->peer = fds[1];
    conn_want_read(side->conn, true);
}

static void
test_proxy(void)
{
    struct side side;
    char buf[16];

    side_open_proxy(&side);
    is_str(conn_peer(side.conn), "unix:", "the proxy's own address first");
    for (size_t i = 0; i < sizeof(proxy_line) - 2; i++) {
        ok(write(side.peer, proxy_line + i, 1) == 1, "a byte");
        run_for(NS_PER_MS);
    }
    is_int(side.readable, 0, "nothing to read in the header");
    is_int(conn_read(side.conn, buf, sizeof(buf)), -1, "nor is there by force");
    ok(write(side.peer, "\nhello", 6) == 6, "its end");
    loop_run(loop);
    is_int(side.readable, 1, "readable");
    is_int(conn_read(side.conn, buf, sizeof(buf)), 5, "what is behind it");
    is_str(conn_peer(side.conn), "203.0.113.7:51234", "the client's address");
    side_close(&side);

    side_open_proxy(&side);
    ok(write(side.peer, "PROXY UNKNOWN\r\nhi", 17) == 17, "unknown client");
    loop_run(loop);
    is_int(conn_read(side.conn, buf, sizeof(buf)), 2, "is served");
    is_str(conn_peer(side.conn), "unix:", "under the proxy's address");
    side_close(&side);
}

static void
test_proxy_refused(void)
{
    static const char *const wrong[] = {"GET / HTTP/1.1\r\n\r\n", "PROXY ",
        "\r\n\r\n", ""};
    static const uint64_t counts[] = {1, 1, 1, 0};
    struct side side;
    uint64_t before;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        size_t len = strlen(wrong[i]);

        before = metric_get(METRIC_HTTP_REFUSED_PROXY_HEADER);
        side_open_proxy(&side);
        ok(write(side.peer, wrong[i], len) == (ssize_t)len, "sent");
        if (i > 0)
            shutdown(side.peer, SHUT_WR);
        loop_run(loop);
        is_int(side.closed, 1, "closed");
        is_int(side.readable, 0, "never readable");
        is_int(metric_get(METRIC_HTTP_REFUSED_PROXY_HEADER) - before,
            counts[i], "counted unless nothing came");
        close(side.peer);
    }
    before = metric_get(METRIC_HTTP_REFUSED_PROXY_HEADER);
    side_open_proxy(&side);
    conn_finish(side.conn);
    is_int(read(side.peer, &before, 1), 0, "finish closes at once");
    is_int(conn_left(), 0, "nothing lingers");
    close(side.peer);
}

int
main(void)
{
    loop = loop_new();
    test_read();
    test_small_writes();
    test_big_write();
    test_deadline();
    test_send_timeout();
    test_peer_gone();
    test_finish();
    test_tcp();
    test_proxy();
    test_proxy_refused();
    conn_free(NULL);
    loop_free(loop);
    return tap_done();
}
