/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The client side of the benchmarks: blocking bodies made in advance, one
 * thread that sends them, so that it costs the machine as little as it can.
 *
 *   client ingest --port P --spans N [--profile shop|a|b] [--spread D]
 *                 [--conns C] [--encoding E] [--traces T] [--json]
 *                 [--transport h1|h2|grpc] [--stream] [--start S] [--first R]
 *                 [--scatter N]
 *                                 T traces in one request; D: time from the
 *                                 first trace to the last, ending now or
 *                                 beginning at the unix time S; R: number of
 *                                 the first request, those before it were
 *                                 sent earlier; stream: bodies are not made
 *                                 in advance; scatter: a trace is in N
 *                                 requests, not in one
 *   client trace  --port P --spans N --n K [--profile] [--traces T]
 *                 [--drop DIRECTORY]
 *                                 of those that ingest has sent; drop: the
 *                                 page cache of all files there, before each
 *   client fresh  --port P --n K  ack to searchable
 *
 * Prints name=value pairs.
 */

#include "core/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../bench/bodies.h"
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
#define REQUEST_SPANS 900 /* when --traces does not say it */

struct args {
    const char *encoding;
    const char *drop;
    enum gen_profile profile;
    uint64_t port, spans, conns, traces, n, first, scatter;
    int64_t spread_ns, start_ns;
    bool json;
    bool is_stream;
    bool is_h2;
    bool is_grpc;
};

static uint64_t
requests_of(const struct args *args)
{
    double spans = gen_mean_spans(args->profile) * (double)args->traces;

    uint64_t n = MAX((uint64_t)((double)args->spans / spans + 0.5), 1u);

    return (n + args->scatter - 1) / args->scatter * args->scatter;
}

/* Requests of all profiles have about as many spans. */
static void
args_finish(struct args *args)
{
    if (args->traces == 0)
        args->traces = (uint64_t)(REQUEST_SPANS /
            gen_mean_spans(args->profile));
    if (args->start_ns == 0)
        args->start_ns = clock_wall_ns() - args->spread_ns - NS_PER_SEC;
}

static void
bodies_make(const struct args *args)
{
    struct bodies_conf conf = {.profile = args->profile,
        .is_json = args->json, .is_stream = args->is_stream, .seed = SEED,
        .traces = args->traces, .scatter = args->scatter,
        .first = args->first,
        .requests = requests_of(args), .first_ns = args->start_ns};

    check(encoding_from_name(sv_from(args->encoding), &conf.encoding));
    conf.spacing_ns = args->spread_ns /
        (int64_t)((conf.first + conf.requests) * conf.traces);
    bodies_start(&conf);
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
    uint64_t number;
    const struct body *body;
    size_t sent; /* of head and body */
    char head[256];
    size_t head_len;
    int64_t start_ns;
    char reply[8192];
    size_t reply_len;
    bool is_waiting;
    struct h2_send h2;
};

static uint64_t next_body;
static uint64_t errors;

static bool
sender_next(struct sender *s, const struct args *args)
{
    bool plain = strcmp(args->encoding, "identity") == 0;

    if (next_body == bodies.conf.requests)
        return false;
    s->number = next_body++;
    s->body = bodies_get(s->number);
    s->sent = 0;
    s->reply_len = 0;
    s->is_waiting = false;
    s->head_len = (size_t)snprintf(s->head, sizeof(s->head),
        "POST /v1/traces HTTP/1.1\r\nHost: bench\r\nContent-Type: "
        "application/%s\r\nContent-Length: %zu\r\n%s%s%s\r\n",
        args->json ? "json" : "x-protobuf", s->body->len,
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

    if (next_body == bodies.conf.requests)
        return false;
    s->number = next_body++;
    s->body = bodies_get(s->number);
    s->start_ns = clock_mono_ns();
    h2_send_request(&s->h2, args->is_grpc ? "application/grpc"
        : args->json ? "application/json" : "application/x-protobuf",
        plain ? NULL : args->encoding,
        sv_make(s->body->ptr, s->body->len));
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
    const struct body *body = s->body;

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
    latency = xcalloc(bodies.conf.requests, sizeof(*latency));
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
            bodies_release(s->number);
            if (sender_start(s, args)) {
                sender_write(s);
            } else {
                s->fd = -1;
                live--;
            }
        }
    }
    took = clock_mono_ns() - start;
    printf("spans=%llu requests=%llu bytes=%llu inflated=%llu errors=%llu "
        "seconds=%.3f make_ns=%.1f ", (unsigned long long)bodies.spans,
        (unsigned long long)bodies.conf.requests,
        (unsigned long long)bodies.bytes, (unsigned long long)bodies.inflated,
        (unsigned long long)errors, (double)took / 1e9,
        (double)bodies.cpu_ns / (double)bodies.spans);
    print_latency("request", latency, done);
    printf("\n");
}

/* --- trace by id --- */

/* The page cache forgets all files below; they must be clean. */
static void
drop_files(const char *path)
{
    char *paths[] = {(char *)(uintptr_t)path, NULL};
    FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;

    check(fts != NULL);
    while ((entry = fts_read(fts)) != NULL) {
        int fd = entry->fts_info == FTS_F
            ? open(entry->fts_accpath, O_RDONLY | O_CLOEXEC) : -1;

        if (fd < 0)
            continue;
        check(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
        close(fd);
    }
    fts_close(fts);
}

static void
trace(const struct args *args)
{
    uint64_t traces = requests_of(args) * args->traces, state = 12345, found = 0;
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
            if (args->drop != NULL)
                drop_files(args->drop);
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

static bool
option_take(struct args *args, int c)
{
    struct sv value = optarg != NULL ? sv_from(optarg) : SV_EMPTY;

    switch (c) {
    case 'p': return num_parse_u64(value, &args->port);
    case 's': return num_parse_u64(value, &args->spans);
    case 'c': return num_parse_u64(value, &args->conns) &&
        args->conns <= CONNS_MAX;
    case 't': return num_parse_u64(value, &args->traces);
    case 'n': return num_parse_u64(value, &args->n);
    case 'f': return num_parse_u64(value, &args->first);
    case 'x': return num_parse_u64(value, &args->scatter) &&
        args->scatter >= 1 && args->scatter <= BODIES_AHEAD / 2;
    case 'P': return gen_profile_from_name(value, &args->profile);
    case 'd': return time_parse_duration(value, &args->spread_ns);
    case 'S': return num_parse_i64(value, &args->start_ns) &&
        !__builtin_mul_overflow(args->start_ns, NS_PER_SEC, &args->start_ns);
    case 'e': args->encoding = optarg; return true;
    case 'D': args->drop = optarg; return true;
    case 'T': set_transport(args, optarg); return true;
    case 'j': args->json = true; return true;
    case 'w': args->is_stream = true; return true;
    default: return false;
    }
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
        {"first", required_argument, NULL, 'f'},
        {"scatter", required_argument, NULL, 'x'},
        {"profile", required_argument, NULL, 'P'},
        {"spread", required_argument, NULL, 'd'},
        {"start", required_argument, NULL, 'S'},
        {"drop", required_argument, NULL, 'D'},
        {"transport", required_argument, NULL, 'T'},
        {"stream", no_argument, NULL, 'w'},
        {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    struct args args = {.encoding = "identity", .port = 10428,
        .spans = 100000, .conns = 4, .n = 1000, .scatter = 1,
        .spread_ns = 3600 * NS_PER_SEC};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (!option_take(&args, c))
            return 2;
    }
    if (optind + 1 != argc)
        return 2;
    args_finish(&args);
    if (strcmp(argv[optind], "ingest") == 0)
        ingest(&args);
    else if (strcmp(argv[optind], "trace") == 0)
        trace(&args);
    else
        fresh(&args);
    return 0;
}
