/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The thread that keeps the list of nodes: names from a resolver of this
 * test, probes of servers of this test, and what others are told.
 */

#include "core/base.h"
#include "cluster/nodes_state.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/timefmt.h"

#include "tap.h"

#define PATIENCE_NS (20 * NS_PER_SEC)

static _Atomic unsigned woken;
static _Atomic bool is_over;

static void
wake(void *arg)
{
    ok(arg == &woken, "wake() gets its argument");
    atomic_fetch_add(&woken, 1);
}

/* --- a server for probes --- */

enum mode { ANSWER_200, ANSWER_404, ANSWER_503, HANG };
static _Atomic int mode;
static int http_fd, http_port;

static int
bind_local(int type, int *port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    addr.sin_port = htons((uint16_t)*port);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&addr, len) != 0 ||
        (type == SOCK_STREAM && listen(fd, 64) != 0) ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        bail_out("no socket");
    *port = ntohs(addr.sin_port);
    return fd;
}

static void
answer_one(int fd)
{
    static const char *const texts[] = {
        [ANSWER_200] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
        [ANSWER_404] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        [ANSWER_503] = ("HTTP/1.1 503 Service Unavailable\r\n"
            "Content-Length: 8\r\n\r\nstopping"),
    };
    char head[4096];

    if (recv(fd, head, sizeof(head), 0) <= 0)
        return;
    if (atomic_load(&mode) != HANG)
        (void)send(fd, texts[atomic_load(&mode)],
            strlen(texts[atomic_load(&mode)]), MSG_NOSIGNAL);
}

/* One request a connection; those of HANG stay open until the end. */
static void *
http_run(void *arg)
{
    int hanging[256];
    unsigned n = 0;

    while (!atomic_load(&is_over)) {
        struct pollfd pfd = {.fd = http_fd, .events = POLLIN};
        int fd;

        if (poll(&pfd, 1, 50) <= 0)
            continue;
        fd = accept(http_fd, NULL, NULL);
        if (fd < 0)
            continue;
        if (atomic_load(&mode) == HANG && n < ARRAY_LEN(hanging)) {
            hanging[n++] = fd;
            continue;
        }
        answer_one(fd);
        close(fd);
    }
    while (n > 0)
        close(hanging[--n]);
    return arg;
}

/* --- a resolver --- */

enum { T_A = 1, T_AAAA = 28, T_SRV = 33 };

/* srv.test has a record for each of the first `nsrv` hosts h0.test ...,
 * dns.test an address for each of the first `ndns`: 127.0.0.1, .2 ... */
static _Atomic unsigned nsrv = 2, ndns = 2;
static _Atomic bool is_dns_dead;
static int dns_fd, dns_port;

struct packet {
    uint8_t bytes[4096];
    size_t len;
};

static void
put16(struct packet *packet, unsigned v)
{
    packet->bytes[packet->len++] = (uint8_t)(v >> 8);
    packet->bytes[packet->len++] = (uint8_t)v;
}

static void
put_head(struct packet *packet, unsigned type, unsigned len)
{
    put16(packet, 0xc00c); /* the name of the question */
    put16(packet, type);
    put16(packet, 1);
    put16(packet, 0);
    put16(packet, 0);
    put16(packet, len);
}

static void
put_a(struct packet *packet, unsigned last)
{
    put_head(packet, T_A, 4);
    put16(packet, 127 << 8);
    put16(packet, last);
}

static void
put_srv(struct packet *packet, unsigned host)
{
    put_head(packet, T_SRV, 6 + 9);
    put16(packet, host % 2); /* priorities do not count */
    put16(packet, host);
    put16(packet, (unsigned)http_port);
    packet->bytes[packet->len++] = 2;
    packet->bytes[packet->len++] = 'H'; /* nor do capital letters */
    packet->bytes[packet->len++] = (uint8_t)('0' + host);
    memcpy(packet->bytes + packet->len, "\4test", 6);
    packet->len += 6;
}

/* "srv.test" of the question. */
static size_t
question_name(const struct packet *packet, char *name)
{
    size_t at = 12, n = 0;

    while (at < packet->len && packet->bytes[at] != 0) {
        size_t len = packet->bytes[at++];

        if (n > 0)
            name[n++] = '.';
        for (; len > 0 && at < packet->len && n < 200; len--)
            name[n++] = (char)(packet->bytes[at++] | 0x20);
    }
    name[n] = '\0';
    return at + 1;
}

static void
dns_answer(struct packet *packet)
{
    char name[256];
    size_t end = question_name(packet, name);
    unsigned type = (unsigned)packet->bytes[end + 1], n = 0;
    bool is_known = true;

    packet->len = end + 4;
    if (strcmp(name, "srv.test") == 0 && type == T_SRV)
        for (; n < atomic_load(&nsrv); n++)
            put_srv(packet, n);
    else if (strcmp(name, "dns.test") == 0 && type == T_A)
        for (; n < atomic_load(&ndns); n++)
            put_a(packet, n + 1);
    else if (name[0] == 'h' && strcmp(name + 2, ".test") == 0)
        n = type == T_A ? (put_a(packet, 1), 1) : 0;
    else if (strcmp(name, "dns.test") != 0)
        is_known = false;
    packet->bytes[2] = 0x81;
    packet->bytes[3] = is_known ? 0x80 : 0x83;
    memset(packet->bytes + 4, 0, 8);
    packet->bytes[5] = 1;
    packet->bytes[7] = (uint8_t)n;
}

static void *
dns_run(void *arg)
{
    while (!atomic_load(&is_over)) {
        struct pollfd pfd = {.fd = dns_fd, .events = POLLIN};
        struct sockaddr_in from;
        socklen_t from_len = sizeof(from);
        struct packet packet;
        ssize_t len;

        if (poll(&pfd, 1, 50) <= 0)
            continue;
        len = recvfrom(dns_fd, packet.bytes, 512, 0,
            (struct sockaddr *)&from, &from_len);
        if (len < 17 || atomic_load(&is_dns_dead))
            continue;
        packet.len = (size_t)len;
        dns_answer(&packet);
        (void)sendto(dns_fd, packet.bytes, packet.len, 0,
            (struct sockaddr *)&from, from_len);
    }
    return arg;
}

/* --- what is looked at --- */

static struct conf *
conf_of(const char *const *addresses, unsigned n)
{
    struct conf *conf = xcalloc(1, sizeof(*conf));

    conf->nodes = (struct conf_list){addresses, n};
    conf->cluster_connect_timeout = 300 * NS_PER_MS;
    conf->cluster_probe_interval = 20 * NS_PER_MS;
    conf->cluster_discovery_interval = 30 * NS_PER_MS;
    return conf;
}

/* "a:1 b:2": the names of the present list. */
static const char *
list_text(void)
{
    static char text[4096];
    const struct nodes *nodes = nodes_hold();

    text[0] = '\0';
    for (unsigned i = 0; i < nodes->n; i++) {
        size_t len = strlen(text);

        snprintf(text + len, sizeof(text) - len, "%s%s", i > 0 ? " " : "",
            nodes->v[i].name);
    }
    nodes_release(nodes);
    return text;
}

static bool
list_becomes(const char *want)
{
    int64_t until_ns = clock_mono_ns() + PATIENCE_NS;

    while (strcmp(list_text(), want) != 0 && clock_mono_ns() < until_ns)
        usleep(5000);
    is_str(list_text(), want, "the list");
    return strcmp(list_text(), want) == 0;
}

static bool
first_is_up(char *why, size_t size)
{
    const struct nodes *nodes = nodes_hold();
    bool is_up = nodes->n > 0 && node_is_up(&nodes->v[0]);

    if (nodes->n > 0)
        node_why_down(&nodes->v[0], why, size);
    nodes_release(nodes);
    return is_up;
}

static bool
first_becomes(bool is_up)
{
    int64_t until_ns = clock_mono_ns() + PATIENCE_NS;
    char why[256] = "";

    while (first_is_up(why, sizeof(why)) != is_up &&
        clock_mono_ns() < until_ns)
        usleep(5000);
    return first_is_up(why, sizeof(why)) == is_up;
}

static void
first_reports(bool is_insert, enum node_outcome outcome)
{
    const struct nodes *nodes = nodes_hold();

    node_report(&nodes->v[0], is_insert, outcome, -1, "as the test says");
    nodes_release(nodes);
}

static bool
is_woken_since(unsigned before)
{
    int64_t until_ns = clock_mono_ns() + PATIENCE_NS;

    while (atomic_load(&woken) == before && clock_mono_ns() < until_ns)
        usleep(5000);
    return atomic_load(&woken) != before;
}

static struct conf *
start(const char *const *addresses, unsigned n)
{
    struct conf *conf = conf_of(addresses, n);
    struct err err = ERR_INIT;

    if (nodes_start(conf, wake, &woken, &err) != 0)
        bail_out(err.text);
    return conf;
}

/* --- the tests --- */

static void
test_probes(void)
{
    char address[32], why[256] = "";
    const char *addresses[] = {address};
    struct conf *conf;
    unsigned before;

    snprintf(address, sizeof(address), "127.0.0.1:%d", http_port);
    atomic_store(&mode, ANSWER_200);
    conf = start(addresses, 1);
    is_str(list_text(), address, "an address is its name");
    before = atomic_load(&woken);
    first_reports(false, NODE_UNREACHABLE);
    ok(first_becomes(true), "a node that answers its probe is up again");
    ok(is_woken_since(before), "and others are woken");

    atomic_store(&mode, HANG);
    first_reports(false, NODE_SLOW);
    usleep(1000 * 1000);
    ok(!first_is_up(why, sizeof(why)), "one that never answers stays down");
    atomic_store(&mode, ANSWER_503);
    usleep(600 * 1000);
    ok(!first_is_up(why, sizeof(why)), "one that answers 503, too");
    ok(strstr(why, "503") != NULL && strstr(why, "stopping") != NULL,
        "why: %s", why);
    before = atomic_load(&woken);
    atomic_store(&mode, ANSWER_404);
    ok(first_becomes(true), "one without /health is there");
    ok(is_woken_since(before), "others are woken");

    before = atomic_load(&woken);
    first_reports(true, NODE_BUSY);
    ok(is_woken_since(before), "when a busy one takes inserts again, too");
    nodes_stop();
    is_str(list_text(), "", "no list behind the end");
    xfree(conf);
}

static void
test_dead(void)
{
    int port = 0, fd = bind_local(SOCK_STREAM, &port);
    char address[32], why[256];
    const char *addresses[] = {address};
    struct conf *conf;

    close(fd);
    snprintf(address, sizeof(address), "localhost:%d", port);
    conf = start(addresses, 1);
    is_str(list_text(), address, "a name of /etc/hosts");
    ok(first_becomes(false), "a node nobody listens for is found down");
    (void)first_is_up(why, sizeof(why));
    ok(strstr(why, "refused") != NULL, "why: %s", why);
    nodes_stop();
    xfree(conf);
}

static void
test_srv(void)
{
    const char *addresses[] = {"srv+srv.test"};
    struct conf *conf;
    char two[64], three[128];
    unsigned before;

    snprintf(two, sizeof(two), "h0.test:%d h1.test:%d", http_port, http_port);
    snprintf(three, sizeof(three), "%s h2.test:%d", two, http_port);
    atomic_store(&mode, ANSWER_200);
    conf = start(addresses, 1);
    is_str(list_text(), two, "a node for each record, known at the start");
    before = atomic_load(&woken);
    atomic_store(&nsrv, 3);
    list_becomes(three);
    ok(is_woken_since(before), "a new list wakes");
    atomic_store(&is_dns_dead, true);
    usleep(300 * 1000);
    is_str(list_text(), three, "without a resolver the last list stays");
    nodes_stop();
    xfree(conf);

    conf = start(addresses, 1);
    is_str(list_text(), three, "also for another worker");
    atomic_store(&is_dns_dead, false);
    atomic_store(&nsrv, 2);
    list_becomes(two);
    nodes_stop();
    xfree(conf);
}

static void
test_dns(void)
{
    char address[64], want[256];
    const char *addresses[] = {address, address};
    struct conf *conf;

    snprintf(address, sizeof(address), "dns+dns.test:%d", http_port);
    conf = start(addresses, 2);
    snprintf(want, sizeof(want), "127.0.0.1:%d 127.0.0.2:%d", http_port,
        http_port);
    is_str(list_text(), want, "a node for each address, once");
    atomic_store(&ndns, 0);
    usleep(400 * 1000);
    is_str(list_text(), want, "an answer without any changes nothing");
    atomic_store(&ndns, 1);
    want[strcspn(want, " ")] = '\0';
    list_becomes(want);
    nodes_stop();
    xfree(conf);
}

static void
test_unknown(void)
{
    const char *addresses[] = {"nobody.test:1", "srv+nobody.test",
        "dns+nobody.test:1"};
    struct conf *conf = start(addresses, 3);
    const struct nodes *nodes = nodes_hold();
    char why[256];

    is_int(nodes->n, 3, "names that are not found have places");
    for (unsigned i = 0; i < nodes->n; i++) {
        ok(!node_is_up(&nodes->v[i]), "%s is not up", nodes->v[i].name);
        node_why_down(&nodes->v[i], why, sizeof(why));
        ok(strncmp(why, "DNS: there is no such", 21) == 0, "why: %s", why);
    }
    nodes_release(nodes);
    nodes_stop();
    xfree(conf);
}

/* Others hold lists while they change. */
static void *
reader_run(void *arg)
{
    struct sb out;

    sb_init(&out, MIB);
    while (!atomic_load(&is_over)) {
        const struct nodes *nodes = nodes_hold();
        uint64_t all[NODES_MAX / 64];

        memset(all, 0xff, sizeof(all));
        if (nodes->n > 0) {
            unsigned at = nodes_choose(nodes, 1, all);
            struct node_traffic traffic = {.rows = 1, .took_ns = 1000};

            node_count(&nodes->v[at], true, &traffic);
            node_count_queue(&nodes->v[at], 1, 1);
            node_count_queue(&nodes->v[at], -1, -1);
            (void)node_takes_inserts(&nodes->v[at]);
        }
        sb_reset(&out);
        nodes_print(&out);
        nodes_release(nodes);
        usleep(2000);
    }
    sb_release(&out);
    return arg;
}

int
main(void)
{
    pthread_t threads[4];
    struct err err = ERR_INIT;
    char server[32];

    http_fd = bind_local(SOCK_STREAM, &http_port);
    dns_fd = bind_local(SOCK_DGRAM, &dns_port);
    snprintf(server, sizeof(server), "127.0.0.1:%d", dns_port);
    setenv("SPOOR_DNS_SERVERS", server, 1);
    if (nodes_create(&err) != 0)
        bail_out(err.text);
    pthread_create(&threads[0], NULL, http_run, NULL);
    pthread_create(&threads[1], NULL, dns_run, NULL);
    pthread_create(&threads[2], NULL, reader_run, NULL);
    pthread_create(&threads[3], NULL, reader_run, NULL);
    test_probes();
    test_dead();
    test_srv();
    test_dns();
    test_unknown();
    atomic_store(&is_over, true);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    nodes_destroy();
    close(http_fd);
    close(dns_fd);
    return tap_done();
}
