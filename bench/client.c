/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The client side of bench/ingest and bench/trace: one thread, blocking
 * bodies made in advance, so that it costs the machine as little as it can.
 *
 *   client ingest --port P --spans N --conns C --encoding E --traces T
 *                 [--json] [--transport h1|h2|grpc]
 *                                 T traces in one request
 *   client trace  --port P --spans N --n K         traces sent before
 *   client fresh  --port P --n K                   ack to searchable
 *
 * Prints name=value pairs.
 */

#include "core/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../bench/h2_send.h"
#include "cli/gen.h"
#include "core/assert.h"
#include "core/compress.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "otlp/otlp_encode.h"

#define CONNS_MAX 256u
#define SEED 42u
#define POOL_BYTES (1 * GIB)

struct args {
    const char *encoding;
    uint64_t port, spans, conns, traces, n;
    bool json;
    bool is_h2;
    bool is_grpc;
};

struct body {
    char *ptr;
    size_t len;
};

static struct body *bodies;
static size_t nbodies;
static uint64_t spans_made, traces_made, bytes_made, inflated_made;

/* --- bodies --- */

static void
body_add(struct sb *text, const struct args *args)
{
    enum encoding encoding;
    struct err err = ERR_INIT;
    struct sb out;

    check(encoding_from_name(sv_from(args->encoding), &encoding));
    inflated_made += text->len;
    sb_init(&out, POOL_BYTES);
    if (encoding == ENCODING_IDENTITY)
        sb_add(&out, text->ptr, text->len);
    else
        check(compress_append(encoding, sb_sv(text), encoding ==
            ENCODING_GZIP ? 6 : 1, &out, &err) == 0);
    bodies = xrealloc(bodies, (nbodies + 1) * sizeof(*bodies));
    bytes_made += out.len;
    bodies[nbodies].ptr = sb_detach(&out, &bodies[nbodies].len);
    nbodies++;
}

static void
bodies_make(const struct args *args)
{
    struct pool *pool = pool_new(POOL_BYTES);
    struct gen *gen = gen_new(GEN_SHOP, SEED, clock_wall_ns() -
        3600 * NS_PER_SEC, 20 * 1000 * 1000);
    struct sb text;

    sb_init(&text, POOL_BYTES);
    while (spans_made < args->spans) {
        struct batch batch;

        pool_reset(pool);
        sb_reset(&text);
        batch_init(&batch, pool);
        check(gen_traces(gen, (unsigned)args->traces, &batch) == 0);
        if (args->json)
            otlp_encode_json(&batch, &text);
        else
            otlp_encode_protobuf(&batch, &text);
        body_add(&text, args);
        spans_made += batch.nspans;
        traces_made += args->traces;
    }
    gen_free(gen);
    sb_release(&text);
    pool_free(pool);
}

/* --- connections --- */

static int
dial(uint64_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

    check(fd >= 0);
    check(connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static void
write_all(int fd, const char *ptr, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, ptr, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {fd, POLLOUT, 0};

            (void)poll(&p, 1, -1);
            continue;
        }
        check(n > 0);
        ptr += n;
        len -= (size_t)n;
    }
}

/* Reads one reply; returns its status and the length of its body. */
static int
read_reply(int fd, char *buf, size_t size, size_t *body_len)
{
    size_t len = 0, need = 0;
    int status = 0;

    for (;;) {
        ssize_t n = recv(fd, buf + len, size - 1 - len, 0);
        char *end;

        check(n > 0);
        len += (size_t)n;
        buf[len] = '\0';
        if (need == 0 && (end = strstr(buf, "\r\n\r\n")) != NULL) {
            char *field = strcasestr(buf, "\r\nContent-Length:");

            status = (int)strtol(buf + 9, NULL, 10);
            check(field != NULL);
            *body_len = strtoul(field + 17, NULL, 10);
            need = (size_t)(end + 4 - buf) + *body_len;
            check(need < size);
        }
        if (need != 0 && len >= need)
            return status;
    }
}

static int
cmp_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void
print_latency(const char *name, int64_t *v, size_t n)
{
    qsort(v, n, sizeof(*v), cmp_i64);
    printf("%s_p50_us=%.1f %s_p99_us=%.1f %s_max_us=%.1f ", name,
        (double)v[n / 2] / 1e3, name, (double)v[n * 99 / 100] / 1e3, name,
        (double)v[n - 1] / 1e3);
}

/* --- ingest --- */

struct sender {
    int fd;
    size_t body;
    size_t sent; /* of head and body */
    char head[256];
    size_t head_len;
    int64_t start_ns;
    char reply[8192];
    size_t reply_len;
    bool is_waiting;
    struct h2_send h2;
};

static size_t next_body;
static uint64_t errors;

static bool
sender_next(struct sender *s, const struct args *args)
{
    bool plain = strcmp(args->encoding, "identity") == 0;

    if (next_body == nbodies)
        return false;
    s->body = next_body++;
    s->sent = 0;
    s->reply_len = 0;
    s->is_waiting = false;
    s->head_len = (size_t)snprintf(s->head, sizeof(s->head),
        "POST /v1/traces HTTP/1.1\r\nHost: bench\r\nContent-Type: "
        "application/%s\r\nContent-Length: %zu\r\n%s%s%s\r\n",
        args->json ? "json" : "x-protobuf", bodies[s->body].len,
        plain ? "" : "Content-Encoding: ", plain ? "" : args->encoding,
        plain ? "" : "\r\n");
    s->start_ns = clock_mono_ns();
    return true;
}

/* The same over HTTP/2, and the first bytes are on their way. */
static bool
sender_next_h2(struct sender *s, const struct args *args)
{
    bool plain = strcmp(args->encoding, "identity") == 0;

    if (next_body == nbodies)
        return false;
    s->body = next_body++;
    s->start_ns = clock_mono_ns();
    h2_send_request(&s->h2, args->is_grpc ? "application/grpc"
        : args->json ? "application/json" : "application/x-protobuf",
        plain ? NULL : args->encoding,
        sv_make(bodies[s->body].ptr, bodies[s->body].len));
    return true;
}

static bool
sender_start(struct sender *s, const struct args *args)
{
    return args->is_h2 ? sender_next_h2(s, args) : sender_next(s, args);
}

static void
sender_write(struct sender *s)
{
    const struct body *body = &bodies[s->body];

    if (s->h2.session != NULL) {
        h2_send_write(&s->h2);
        return;
    }
    while (s->sent < s->head_len + body->len) {
        ssize_t n;

        if (s->sent < s->head_len)
            n = send(s->fd, s->head + s->sent, s->head_len - s->sent,
                MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE);
        else
            n = send(s->fd, body->ptr + (s->sent - s->head_len),
                body->len - (s->sent - s->head_len),
                MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        check(n > 0);
        s->sent += (size_t)n;
    }
    s->is_waiting = true;
}

/* True when the reply is complete. */
static bool
sender_read(struct sender *s)
{
    ssize_t n;

    if (s->h2.session != NULL)
        return h2_send_read(&s->h2);
    n = recv(s->fd, s->reply + s->reply_len,
        sizeof(s->reply) - 1 - s->reply_len, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return false;
    check(n > 0);
    s->reply_len += (size_t)n;
    s->reply[s->reply_len] = '\0';
    return strstr(s->reply, "\r\n\r\n") != NULL;
}

static short
sender_events(const struct sender *s)
{
    if (s->h2.session == NULL)
        return s->is_waiting ? POLLIN : POLLOUT;
    return (short)(POLLIN | (s->h2.is_blocked ? POLLOUT : 0));
}

/* What poll() said; true when the reply is complete. */
static bool
sender_step(struct sender *s, short events)
{
    if (s->h2.session != NULL && (events & POLLOUT) != 0)
        h2_send_write(&s->h2);
    if (s->h2.session != NULL ? (events & POLLIN) != 0 : s->is_waiting)
        return sender_read(s);
    if (s->h2.session == NULL)
        sender_write(s);
    return false;
}

static void
sender_check(const struct sender *s)
{
    if (s->h2.session != NULL ? s->h2.is_good
        : strncmp(s->reply + 9, "200", 3) == 0)
        return;
    errors++;
    fprintf(stderr, "%.60s %d %d\n", s->reply, s->h2.status,
        s->h2.grpc_status);
}

static void
ingest(const struct args *args)
{
    static struct sender senders[CONNS_MAX];
    struct pollfd fds[CONNS_MAX];
    int64_t *latency, start, took;
    size_t done = 0, live = 0;

    bodies_make(args);
    latency = xcalloc(nbodies, sizeof(*latency));
    for (unsigned i = 0; i < args->conns; i++) {
        senders[i].fd = dial(args->port);
        if (args->is_h2)
            h2_send_open(&senders[i].h2, senders[i].fd, args->is_grpc);
    }
    usleep(100000);
    start = clock_mono_ns();
    for (unsigned i = 0; i < args->conns; i++) {
        if (sender_start(&senders[i], args)) {
            live++;
            sender_write(&senders[i]);
        }
    }
    while (live > 0) {
        for (unsigned i = 0; i < args->conns; i++)
            fds[i] = (struct pollfd){senders[i].fd,
                sender_events(&senders[i]), 0};
        check(poll(fds, args->conns, 30000) > 0);
        for (unsigned i = 0; i < args->conns; i++) {
            struct sender *s = &senders[i];

            if (fds[i].revents == 0 || !sender_step(s, fds[i].revents))
                continue;
            latency[done++] = clock_mono_ns() - s->start_ns;
            sender_check(s);
            if (sender_start(s, args)) {
                sender_write(s);
            } else {
                s->fd = -1;
                live--;
            }
        }
    }
    took = clock_mono_ns() - start;
    printf("spans=%llu requests=%zu bytes=%llu inflated=%llu errors=%llu "
        "seconds=%.3f ", (unsigned long long)spans_made, nbodies,
        (unsigned long long)bytes_made, (unsigned long long)inflated_made,
        (unsigned long long)errors, (double)took / 1e9);
    print_latency("request", latency, done);
    printf("\n");
}

/* --- trace by id --- */

static uint64_t
traces_for_spans(const struct args *args)
{
    bodies_make(args);
    return traces_made;
}

static void
trace(const struct args *args)
{
    uint64_t traces = traces_for_spans(args), state = 12345, found = 0;
    int64_t *latency = xcalloc(args->n, sizeof(*latency));
    size_t size = 64 * MIB, body_len, bytes = 0;
    char *buf = xmalloc(size);
    int fd = dial(args->port);

    for (unsigned pass = 0; pass < 2; pass++) {
        for (uint64_t i = 0; i < args->n; i++) {
            struct trace_id id;
            char request[256], hex[33];
            int64_t start;
            int status;

            state = state * 6364136223846793005ull + 1442695040888963407ull;
            id = gen_trace_id(pass == 0 ? SEED : SEED + 1,
                (state >> 33) % traces);
            for (unsigned k = 0; k < 16; k++)
                snprintf(hex + 2 * k, 3, "%02x", id.b[k]);
            snprintf(request, sizeof(request), "GET /select/jaeger/api/"
                "traces/%s HTTP/1.1\r\nHost: bench\r\n\r\n", hex);
            start = clock_mono_ns();
            write_all(fd, request, strlen(request));
            status = read_reply(fd, buf, size, &body_len);
            latency[i] = clock_mono_ns() - start;
            check(status == (pass == 0 ? 200 : 404));
            found += status == 200;
            bytes += body_len;
        }
        print_latency(pass == 0 ? "known" : "unknown", latency, args->n);
    }
    printf("found=%llu mean_bytes=%zu\n", (unsigned long long)found,
        bytes / args->n / 2);
}

/* --- ack to searchable --- */

/* The process that holds the other end of a loopback connection. */
static long
peer_pid(int fd, uint64_t port)
{
    struct sockaddr_in addr;
    socklen_t len = sizeof(addr);
    char line[512], want[32];
    unsigned long inode = 0;
    FILE *tcp;
    DIR *proc;
    struct dirent *entry;

    check(getsockname(fd, (struct sockaddr *)&addr, &len) == 0);
    snprintf(want, sizeof(want), ":%04X 0100007F:%04X ", (unsigned)port,
        ntohs(addr.sin_port));
    tcp = fopen("/proc/net/tcp", "r");
    check(tcp != NULL);
    while (fgets(line, sizeof(line), tcp) != NULL) {
        if (strstr(line, want) != NULL)
            (void)sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %lu",
                &inode);
    }
    fclose(tcp);
    snprintf(want, sizeof(want), "socket:[%lu]", inode);
    proc = opendir("/proc");
    while ((entry = readdir(proc)) != NULL) {
        long pid = strtol(entry->d_name, NULL, 10);

        for (int i = 0; pid > 0 && i < 256; i++) {
            char path[64], target[64];
            ssize_t n;

            snprintf(path, sizeof(path), "/proc/%ld/fd/%d", pid, i);
            n = readlink(path, target, sizeof(target) - 1);
            if (n > 0 && (size_t)n == strlen(want) &&
                memcmp(target, want, (size_t)n) == 0 && pid != getpid()) {
                closedir(proc);
                return pid;
            }
        }
    }
    closedir(proc);
    return 0;
}

static void
fresh(const struct args *args)
{
    int64_t *latency = xcalloc(args->n, sizeof(*latency));
    struct pool *pool = pool_new(POOL_BYTES);
    struct gen *gen = gen_new(GEN_SHOP, SEED + 7, clock_wall_ns(), 1000);
    size_t size = 64 * MIB, body_len;
    char *buf = xmalloc(size), head[256];
    int in = dial(args->port), out = -1;
    long in_pid, out_pid = 0;
    struct sb text;
    uint64_t polls = 0;

    usleep(50000);
    in_pid = peer_pid(in, args->port);
    /* A connection that another worker has accepted. */
    for (unsigned i = 0; i < 200 && (out_pid == 0 || out_pid == in_pid);
        i++) {
        out = dial(args->port);
        usleep(20000);
        out_pid = peer_pid(out, args->port);
    }
    check(in_pid != 0 && out_pid != 0 && in_pid != out_pid);
    sb_init(&text, POOL_BYTES);
    for (uint64_t i = 0; i < args->n; i++) {
        struct batch batch;
        int64_t acked;
        char request[256], hex[33];

        pool_reset(pool);
        sb_reset(&text);
        batch_init(&batch, pool);
        check(gen_traces(gen, 1, &batch) == 0);
        otlp_encode_protobuf(&batch, &text);
        for (unsigned k = 0; k < 16; k++)
            snprintf(hex + 2 * k, 3, "%02x", batch.spans[0].trace_id.b[k]);
        snprintf(head, sizeof(head), "POST /v1/traces HTTP/1.1\r\nHost: b\r\n"
            "Content-Type: application/x-protobuf\r\nContent-Length: %zu"
            "\r\n\r\n", text.len);
        snprintf(request, sizeof(request), "GET /select/jaeger/api/traces/%s"
            " HTTP/1.1\r\nHost: b\r\n\r\n", hex);
        write_all(in, head, strlen(head));
        write_all(in, text.ptr, text.len);
        check(read_reply(in, buf, size, &body_len) == 200);
        acked = clock_mono_ns();
        do {
            write_all(out, request, strlen(request));
            polls++;
        } while (read_reply(out, buf, size, &body_len) != 200);
        latency[i] = clock_mono_ns() - acked;
    }
    print_latency("ack_to_found", latency, args->n);
    printf("polls_per_trace=%.2f\n", (double)polls / (double)args->n);
}

static void
set_transport(struct args *args, const char *name)
{
    args->is_grpc = strcmp(name, "grpc") == 0;
    args->is_h2 = args->is_grpc || strcmp(name, "h2") == 0;
    check(args->is_h2 || strcmp(name, "h1") == 0);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"spans", required_argument, NULL, 's'},
        {"conns", required_argument, NULL, 'c'},
        {"traces", required_argument, NULL, 't'},
        {"encoding", required_argument, NULL, 'e'},
        {"n", required_argument, NULL, 'n'},
        {"transport", required_argument, NULL, 'T'},
        {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    struct args args = {"identity", 10428, 100000, 4, 50, 1000, false,
        false, false};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'e')
            args.encoding = optarg;
        else if (c == 'j')
            args.json = true;
        else if (c == 'T')
            set_transport(&args, optarg);
        else if (c == '?' || !num_parse_u64(sv_from(optarg), c == 'p'
            ? &args.port : c == 's' ? &args.spans : c == 'c' ? &args.conns
            : c == 't' ? &args.traces : &args.n))
            return 2;
    }
    check(args.conns <= CONNS_MAX);
    if (optind + 1 != argc)
        return 2;
    if (strcmp(argv[optind], "ingest") == 0)
        ingest(&args);
    else if (strcmp(argv[optind], "trace") == 0)
        trace(&args);
    else
        fresh(&args);
    return 0;
}
