/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One plan to several nodes: servers that answer as they should, too slowly,
 * with nonsense, without an end, or not at all.
 */

#include "core/base.h"
#include "cluster/fanout.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster/nodes_list.h"
#include "core/assert.h"
#include "core/enc.h"
#include "core/timefmt.h"

#include "tap.h"

#define SERVERS_MAX 3u
#define REQUEST_MAX (64 * KIB)

/* What a server does with a connection whose request it has read. */
struct server;
typedef void (*answer_fn)(struct server *server, int fd);

struct server {
    answer_fn answer;
    int fd;
    char port[8];
    char name[32];
    _Atomic unsigned nrequests;
    _Atomic bool is_closed_early; /* the front left before all was sent */
    pthread_t thread;
};

static struct server servers[SERVERS_MAX];
static unsigned nservers;

/* --- servers --- */

static bool
say(struct server *server, int fd, struct sv text)
{
    while (text.len > 0) {
        ssize_t n = send(fd, text.ptr, text.len, MSG_NOSIGNAL);

        if (n <= 0) {
            atomic_store(&server->is_closed_early, true);
            return false;
        }
        text = sv_sub(text, (size_t)n, text.len);
    }
    return true;
}

static bool
say_head(struct server *server, int fd)
{
    return say(server, fd, SV("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"));
}

static bool
say_frame(struct server *server, int fd, enum frame_type type,
    struct sv payload)
{
    struct sb sb;
    bool is_sent;

    sb_init(&sb, MIB);
    frame_put(&sb, type, payload, false);
    is_sent = say(server, fd, sb_sv(&sb));
    sb_release(&sb);
    return is_sent;
}

static void
say_end(struct server *server, int fd, unsigned flags)
{
    struct sb sb;

    sb_init(&sb, KIB);
    frame_put_end(&sb, flags);
    (void)say(server, fd, sb_sv(&sb));
    sb_release(&sb);
}

static bool
read_request(int fd)
{
    char buf[REQUEST_MAX + 1], *body, *at;
    size_t len = 0, want = SIZE_MAX;

    while (len < want && len < REQUEST_MAX) {
        ssize_t n = recv(fd, buf + len, REQUEST_MAX - len, 0);

        if (n <= 0)
            return false;
        len += (size_t)n;
        buf[len] = '\0';
        body = strstr(buf, "\r\n\r\n");
        at = strcasestr(buf, "content-length: ");
        if (body != NULL && at != NULL)
            want = (size_t)(body + 4 - buf) + strtoul(at + 16, NULL, 10);
    }
    return true;
}

static void *
server_run(void *arg)
{
    struct server *server = arg;

    for (;;) {
        int fd = accept(server->fd, NULL, NULL);

        if (fd < 0)
            return NULL;
        if (read_request(fd)) {
            atomic_fetch_add(&server->nrequests, 1);
            server->answer(server, fd);
        }
        (void)shutdown(fd, SHUT_WR);
        close(fd);
    }
}

static void
server_begin(answer_fn answer)
{
    struct server *server = &servers[nservers++];
    struct sockaddr_in address = {.sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    memset(server, 0, sizeof(*server));
    server->answer = answer;
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(bind(server->fd, (struct sockaddr *)&address, len) == 0);
    check(listen(server->fd, 10) == 0);
    check(getsockname(server->fd, (struct sockaddr *)&address, &len) == 0);
    snprintf(server->port, sizeof(server->port), "%u",
        ntohs(address.sin_port));
    snprintf(server->name, sizeof(server->name), "127.0.0.1:%u",
        ntohs(address.sin_port));
    if (answer == NULL)
        close(server->fd);
    else
        check(pthread_create(&server->thread, NULL, server_run, server) == 0);
}

static void
servers_end(void)
{
    for (unsigned i = 0; i < nservers; i++) {
        if (servers[i].answer == NULL)
            continue;
        (void)shutdown(servers[i].fd, SHUT_RDWR);
        (void)pthread_join(servers[i].thread, NULL);
        close(servers[i].fd);
    }
    nservers = 0;
    nodes_list_clear();
}

/* --- answers --- */

static void
good(struct server *server, int fd)
{
    (void)say_head(server, fd);
    (void)say_frame(server, fd, FRAME_ROWS, SV("one"));
    (void)say_frame(server, fd, FRAME_ALIVE, SV_EMPTY);
    (void)say_frame(server, fd, FRAME_ROWS, SV("two"));
    say_end(server, fd, 0);
}

static void
late(struct server *server, int fd)
{
    usleep(300000);
    good(server, fd);
}

static void
alive(struct server *server, int fd)
{
    (void)say_head(server, fd);
    while (say_frame(server, fd, FRAME_ALIVE, SV_EMPTY))
        usleep(10000);
}

static void
endless(struct server *server, int fd)
{
    (void)say_head(server, fd);
    while (say_frame(server, fd, FRAME_ROWS, SV("again")))
        ;
}

static void
garbage(struct server *server, int fd)
{
    (void)say_head(server, fd);
    (void)say(server, fd, SV("this is no frame at all, is it?"));
}

static void
damaged(struct server *server, int fd)
{
    struct sb sb;

    sb_init(&sb, KIB);
    frame_put(&sb, FRAME_ROWS, SV("some rows"), false);
    sb.ptr[sb.len - 1] ^= 1;
    (void)say_head(server, fd);
    (void)say(server, fd, sb_sv(&sb));
    sb_release(&sb);
    say_end(server, fd, 0);
}

/* A head that promises so many bytes, and some of them. */
static void
promise(struct server *server, int fd, uint32_t bytes)
{
    static char some[256 * KIB];
    struct sb sb;

    sb_init(&sb, KIB);
    frame_put(&sb, FRAME_ROWS, SV("x"), false);
    enc_put32(sb.ptr + 4, bytes);
    enc_put32(sb.ptr + 8, bytes);
    (void)say_head(server, fd);
    (void)say(server, fd, sb_sv(&sb));
    for (unsigned i = 0; i < 64; i++) {
        if (!say(server, fd, sv_make(some, sizeof(some))))
            break;
    }
    sb_release(&sb);
}

static void
huge(struct server *server, int fd)
{
    promise(server, fd, (uint32_t)FRAME_BYTES_MAX + 1);
}

static void
large(struct server *server, int fd)
{
    promise(server, fd, (uint32_t)FRAME_BYTES_MAX);
}

static void
no_end(struct server *server, int fd)
{
    (void)say_head(server, fd);
    (void)say_frame(server, fd, FRAME_ROWS, SV("one"));
}

static void
more_behind(struct server *server, int fd)
{
    good(server, fd);
    (void)say_frame(server, fd, FRAME_ROWS, SV("more"));
}

static void
silent(struct server *server, int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    (void)server;
    (void)poll(&pfd, 1, 20000);
}

static void
stalls(struct server *server, int fd)
{
    (void)say_head(server, fd);
    (void)say_frame(server, fd, FRAME_ROWS, SV("one"));
    silent(server, fd);
}

static void
failed(struct server *server, int fd)
{
    struct err err = ERR_INIT;
    struct sb sb;

    sb_init(&sb, KIB);
    (void)err_set(&err, ERR_LIMIT, "too many groups");
    frame_put_error(&sb, &err);
    (void)say_head(server, fd);
    (void)say(server, fd, sb_sv(&sb));
    sb_release(&sb);
}

static void
partial(struct server *server, int fd)
{
    (void)say_head(server, fd);
    say_end(server, fd, FRAME_IS_PARTIAL | FRAME_IS_TRUNCATED);
}

static void
busy(struct server *server, int fd)
{
    (void)say(server, fd, SV("HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n"
        "Connection: close\r\n\r\nlater"));
}

/* Promises to go on, and closes: the next request finds a dead connection. */
static void
closes(struct server *server, int fd)
{
    struct sb sb;
    char head[80];

    sb_init(&sb, KIB);
    frame_put_end(&sb, 0);
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu"
        "\r\n\r\n", sb.len);
    (void)say(server, fd, sv_from(head));
    (void)say(server, fd, sb_sv(&sb));
    sb_release(&sb);
    usleep(20000);
}

/* --- asking --- */

static struct asked {
    int rc;
    struct err err;
    struct store_answer answer;
    unsigned nframes;
    unsigned enough_at;
    unsigned fail_at;
    int64_t first_ns; /* the first frame came so late */
    int64_t took_ns;
    _Atomic bool cancel;
    struct mem_share *share;
} asked;

static int64_t start_ns;

static int
take(void *arg, unsigned node, enum frame_type type, struct sv payload,
    struct err *err)
{
    struct asked *a = arg;

    check(node < nservers && type == FRAME_ROWS && payload.len > 0);
    if (a->nframes++ == 0)
        a->first_ns = clock_mono_ns() - start_ns;
    if (a->nframes == a->fail_at)
        return err_set(err, ERR_LIMIT, "the taker has no memory");
    return a->nframes == a->enough_at;
}

static void
list_nodes(void)
{
    struct http_peer_conf confs[SERVERS_MAX] = {{.host = "127.0.0.1"}};
    struct nodes_entry entries[SERVERS_MAX] = {{.name = NULL}};
    struct sockaddr_storage addresses[SERVERS_MAX];
    struct err err = ERR_INIT;
    bool has_changed;

    memset(addresses, 0, sizeof(addresses));
    for (unsigned i = 0; i < nservers; i++) {
        struct sockaddr_in *in = (struct sockaddr_in *)&addresses[i];

        in->sin_family = AF_INET;
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        in->sin_port = htons((uint16_t)strtoul(servers[i].port,
            NULL, 10));
        confs[i] = (struct http_peer_conf){.host = "127.0.0.1",
            .port = servers[i].port};
        entries[i] = (struct nodes_entry){.name = servers[i].name,
            .conf = &confs[i], .addresses = &addresses[i],
            .naddresses = 1};
    }
    if (nodes_list_set(entries, nservers, &has_changed, &err) != 0)
        bail_out(err.text);
}

static void
ask(bool allow_missing, int64_t deadline_ms)
{
    const struct conf conf = {.cluster_connect_timeout = NS_PER_SEC,
        .cluster_idle_timeout = 400 * NS_PER_MS};
    const struct plan plan = {.kind = PLAN_NAMES};
    struct fanout fanout = {.plan = &plan, .conf = &conf,
        .cancel = &asked.cancel, .allow_missing = allow_missing,
        .share = asked.share, .fn = take, .arg = &asked,
        .answer = &asked.answer};

    list_nodes();
    start_ns = clock_mono_ns();
    if (deadline_ms > 0)
        fanout.deadline_ns = start_ns + deadline_ms * NS_PER_MS;
    asked.rc = fanout_run(&fanout, &asked.err);
    asked.took_ns = clock_mono_ns() - start_ns;
}

static void
forget(void)
{
    memset(&asked, 0, sizeof(asked));
}

static bool
names(unsigned server)
{
    char want[80];

    snprintf(want, sizeof(want), "storage node %s: ", servers[server].name);
    return strncmp(asked.err.text, want, strlen(want)) == 0;
}

static void
test_good(void)
{
    forget();
    server_begin(good);
    server_begin(late);
    ask(false, 0);
    is_int(asked.rc, 0, "two answers: %s", asked.err.text);
    is_int(asked.nframes, 4, "all frames");
    ok(asked.first_ns > 200 * NS_PER_MS, "none before both were heard of");
    ok(!asked.answer.is_partial, "nothing is missing");
    servers_end();

    forget();
    server_begin(partial);
    ask(false, 0);
    ok(asked.rc == 0 && asked.answer.is_partial && asked.answer.is_truncated,
        "what an END says");
    servers_end();

    forget();
    server_begin(closes);
    ask(false, 0);
    is_int(asked.rc, 0, "a connection that could be kept: %s",
        asked.err.text);
    usleep(60000);
    ask(false, 0);
    is_int(asked.rc, 0, "and was not: %s", asked.err.text);
    servers_end();
}

/* One good node and one that is not. */
static void
test_bad(answer_fn answer, const char *what, enum err_code code,
    bool can_miss)
{
    forget();
    server_begin(good);
    server_begin(answer);
    ask(false, 0);
    ok(asked.rc == -1 && asked.err.code == code && names(1),
        "%s: %s (%d)", what, asked.err.text, (int)asked.err.code);
    ok(asked.took_ns < 5 * NS_PER_SEC, "%s: soon", what);
    /* As if it were not known yet. */
    servers_end();

    forget();
    server_begin(good);
    server_begin(answer);
    ask(true, 0);
    if (can_miss)
        ok(asked.rc == 0 && asked.answer.is_partial &&
            strstr(asked.answer.missing, servers[1].name) != NULL,
            "%s: left out: %s%s", what, asked.answer.missing,
            asked.err.text);
    else
        ok(asked.rc == -1 && asked.err.code == code && names(1),
            "%s: never left out", what);
    servers_end();
}

static void
test_ends(void)
{
    forget();
    asked.enough_at = 3;
    server_begin(endless);
    server_begin(endless);
    ask(false, 0);
    is_int(asked.rc, 0, "enough: %s", asked.err.text);
    is_int(asked.nframes, 3, "no frame too many");
    servers_end();
    ok(servers[0].is_closed_early && servers[1].is_closed_early,
        "all nodes are told");

    forget();
    asked.fail_at = 2;
    server_begin(endless);
    ask(false, 0);
    ok(asked.rc == -1 && asked.err.code == ERR_LIMIT &&
        strcmp(asked.err.text, "the taker has no memory") == 0,
        "what the taker fails with is not the node's: %s", asked.err.text);
    servers_end();

    forget();
    server_begin(alive);
    ask(false, 600);
    ok(asked.rc == -1 && asked.err.code == ERR_TIMEOUT,
        "deadline: %s", asked.err.text);
    ok(asked.took_ns > 500 * NS_PER_MS,
        "a node that says it is alive may take that long");
    servers_end();

    forget();
    asked.cancel = true;
    server_begin(alive);
    ask(false, 0);
    ok(asked.rc == -1 && asked.err.code == ERR_CANCELLED, "cancelled");
    servers_end();
}

static void
test_memory(void)
{
    struct mem_share share = {.max = 4 * MIB};

    forget();
    asked.share = &share;
    server_begin(large);
    ask(false, 0);
    ok(asked.rc == -1 && asked.err.code == ERR_LIMIT,
        "a frame that is more than there is memory for: %s", asked.err.text);
    is_int(share.used, 0, "all is given back");
    servers_end();
}

static void
test_all_missing(void)
{
    forget();
    server_begin(NULL);
    server_begin(NULL);
    ask(true, 0);
    ok(asked.rc == -1 && asked.err.code == ERR_UNREACHABLE && (names(0) ||
        names(1)), "all are missing: %s", asked.err.text);
    servers_end();
}

int
main(void)
{
    struct err err = ERR_INIT;

    signal(SIGPIPE, SIG_IGN);
    if (nodes_create(&err) != 0)
        bail_out(err.text);
    test_good();
    test_bad(NULL, "nobody there", ERR_UNREACHABLE, true);
    test_bad(no_end, "no END", ERR_UNREACHABLE, true);
    test_bad(silent, "silent", ERR_UNREACHABLE, true);
    test_bad(stalls, "stalls", ERR_UNREACHABLE, true);
    test_bad(large, "a frame that does not end", ERR_UNREACHABLE, true);
    test_bad(garbage, "garbage", ERR_UNREACHABLE, false);
    test_bad(damaged, "a damaged frame", ERR_UNREACHABLE, false);
    test_bad(huge, "a frame that is too large", ERR_UNREACHABLE, false);
    test_bad(more_behind, "more behind the END", ERR_UNREACHABLE, false);
    test_bad(failed, "an error", ERR_LIMIT, false);
    test_bad(busy, "busy", ERR_BUSY, false);
    test_ends();
    test_memory();
    test_all_missing();
    return tap_done();
}
