/* SPDX-License-Identifier: BSD-2-Clause */

/* The blocking client against a server that plays a script. */

#include "core/base.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "core/timefmt.h"
#include "http/client.h"

#include "tap.h"

#define MS NS_PER_MS

/*
 * Each step answers one request (head, and body by Content-Length) with the
 * bytes of reply; slice > 0: in pieces of that size.
 */
struct step {
    const char *reply; /* NULL: none */
    size_t slice;
    bool closes;       /* afterwards */
    bool reads_no_body;
};

static const struct step *script;
static int listen_fd, naccepted;
static char seen[1 << 16]; /* the last request */

static bool
read_request(int fd, bool reads_no_body)
{
    size_t len = 0, want = SIZE_MAX;

    while (len < want && len < sizeof(seen) - 1) {
        ssize_t n = recv(fd, seen + len, sizeof(seen) - 1 - len, 0);
        const char *end, *length;

        if (n <= 0)
            return false;
        len += (size_t)n;
        seen[len] = '\0';
        end = strstr(seen, "\r\n\r\n");
        if (end == NULL || want != SIZE_MAX)
            continue;
        want = (size_t)(end - seen) + 4;
        length = strstr(seen, "Content-Length: ");
        if (length != NULL && !reads_no_body)
            want += strtoul(length + 16, NULL, 10);
    }
    return true;
}

static void
send_reply(int fd, const struct step *step)
{
    size_t len = strlen(step->reply), at = 0;

    while (at < len) {
        size_t n = step->slice > 0 ? MIN(step->slice, len - at) : len - at;

        if (send(fd, step->reply + at, n, MSG_NOSIGNAL) < 0)
            return;
        at += n;
        if (step->slice > 0)
            usleep(500);
    }
}

static void *
serve(UNUSED void *arg)
{
    const struct step *step = script;
    int fd = -1;

    while (step->reply != NULL || step->closes || step->slice != 0) {
        if (fd < 0) {
            fd = accept(listen_fd, NULL, NULL);
            naccepted++;
        }
        if (!read_request(fd, step->reads_no_body)) {
            close(fd);
            fd = -1;
            continue;
        }
        if (step->reply != NULL)
            send_reply(fd, step);
        if (step->closes) {
            close(fd);
            fd = -1;
        }
        step++;
    }
    if (fd >= 0) {
        usleep(300000);
        close(fd);
    }
    return NULL;
}

static struct http_client *client;
static struct http_client_reply reply;
static pthread_t thread;
static char url[64];

static void
begin(const struct step *steps, int64_t timeout_ns)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);
    struct err err;

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen_fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listen_fd, (struct sockaddr *)&addr, len) != 0 ||
        listen(listen_fd, 8) != 0 ||
        getsockname(listen_fd, (struct sockaddr *)&addr, &len) != 0)
        abort();
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/prefix/",
        ntohs(addr.sin_port));
    script = steps;
    naccepted = 0;
    seen[0] = '\0';
    if (pthread_create(&thread, NULL, serve, NULL) != 0 ||
        http_client_new(&client, url, timeout_ns, &err) != 0)
        abort();
    sb_init(&reply.body, 1000);
}

static void
end(void)
{
    http_client_free(client);
    shutdown(listen_fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listen_fd);
    sb_release(&reply.body);
}

static int
get(const char *target, struct err *err)
{
    struct http_client_req req = {.method = "GET", .target = target};

    err_reset(err);
    return http_client_do(client, &req, &reply, err);
}

static int
post(struct sv body, struct err *err)
{
    static const char *const headers[] = {"AccountID: 7", NULL};
    struct http_client_req req = {"POST", "/in", "text/plain", "gzip",
        headers, body};

    err_reset(err);
    return http_client_do(client, &req, &reply, err);
}

static void
test_replies(void)
{
    static const struct step steps[] = {
        {"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\n"
         "hello", 0, false, false},
        {"HTTP/1.1 503 x\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n"
         "\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: u\r\n\r\n", 3, false, false},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 x\r\n\r\n"
         "HTTP/1.1 204 No Content\r\n\r\n", 1, false, false},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
            0, true, false},
        {"HTTP/1.0 200 OK\r\n\r\nuntil the end", 5, true, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz", 0, false, false},
        {NULL, 0, false, false},
    };
    struct err err = ERR_INIT;

    begin(steps, 5 * NS_PER_SEC);
    is_int(get("/x?y=1", &err), 0, "a reply");
    is_int(reply.status, 200, "its status");
    is_sv(reply.content_type, "a/b", "its type");
    is_str(reply.body.ptr, "hello", "its body");
    is_int(reply.retry_after_sec, -1, "no Retry-After");
    ok(strstr(seen, "GET /prefix/x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:") == seen,
        "what was sent");
    is_int(post(SV("body"), &err), 0, "chunks, in small slices");
    is_int(reply.status, 503, "its status");
    is_int(reply.retry_after_sec, 7, "its Retry-After");
    is_str(reply.body.ptr, "abcde", "its body");
    ok(strstr(seen, "\r\nContent-Type: text/plain\r\nContent-Encoding: gzip"
                    "\r\nAccountID: 7\r\nContent-Length: 4\r\n\r\nbody"),
        "fields that were sent");
    is_int(get("/", &err), 0, "interim replies");
    is_int(reply.status, 204, "are skipped");
    is_int(naccepted, 1, "on one connection");
    is_int(get("/", &err), 0, "a reply that closes");
    is_int(get("/", &err), 0, "a reply until the end of the stream");
    is_str(reply.body.ptr, "until the end", "its body");
    is_int(get("/", &err), 0, "then a third connection");
    is_int(naccepted, 3, "indeed");
    end();
}

static void
test_stale(void)
{
    static const struct step steps[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", 0, true, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb", 0, false, false},
        {NULL, 0, true, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nc", 0, false, false},
        {NULL, 0, true, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nd", 0, true, false},
        {NULL, 0, false, false},
    };
    struct err err = ERR_INIT;

    begin(steps, 5 * NS_PER_SEC);
    is_int(get("/", &err), 0, "first");
    usleep(50000); /* the server's end arrives */
    is_int(post(SV("x"), &err), 0, "closed while idle: seen before sending");
    is_str(reply.body.ptr, "b", "answered");
    is_int(get("/", &err), 0, "closed under a GET: sent again");
    is_str(reply.body.ptr, "c", "answered");
    is_int(post(SV("x"), &err), -1, "closed under a POST: not sent again");
    is_int(err.code, ERR_SYSTEM, "%s", err.text);
    is_int(get("/", &err), 0, "the client recovers");
    is_str(reply.body.ptr, "d", "answered");
    is_int(naccepted, 4, "connections");
    end();
}

static void
test_refused_body(void)
{
    static const struct step steps[] = {
        {"HTTP/1.1 413 x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig",
            0, false, true},
        {NULL, 0, false, false},
    };
    static char body[8 * 1024 * 1024];
    struct err err = ERR_INIT;

    begin(steps, 5 * NS_PER_SEC);
    is_int(post(sv_make(body, sizeof(body)), &err), 0,
        "an answer before the body was read");
    is_int(reply.status, 413, "its status");
    is_str(reply.body.ptr, "big", "its body");
    end();
}

static volatile sig_atomic_t cancelled;
static size_t data_len;

/* The first is enough for 1; somebody interrupts it for 2. */
static int
take_data(void *arg, struct sv data, UNUSED struct err *err)
{
    int what = *(int *)arg;

    data_len += data.len;
    if (what == 2) {
        cancelled = 1;
        usleep(100000);
    }
    return what == 1;
}

static void
test_streamed(void)
{
    static char bytes[200000];
    struct step steps[] = {
        {bytes, 0, true, false}, {bytes, 0, true, false},
        {bytes, 0, true, false}, {NULL, 0, false, false},
    };
    struct err err = ERR_INIT;
    int what = 0, head;

    head = snprintf(bytes, sizeof(bytes), "HTTP/1.1 200 OK\r\n\r\n");
    memset(bytes + head, 'x', sizeof(bytes) - (size_t)head - 1);
    begin(steps, 5000 * MS);
    reply.on_data = take_data;
    reply.arg = &what;
    reply.cancel = &cancelled;
    is_int(get("/", &err), 0, "a body larger than its maximum");
    is_int(data_len, sizeof(bytes) - (size_t)head - 1, "all of it");
    what = 1;
    data_len = 0;
    is_int(get("/", &err), 0, "enough of a body");
    ok(data_len < 100000, "not all of it");
    what = 2;
    data_len = 0;
    is_int(get("/", &err), -1, "interrupted while all is there");
    is_int(err.code, ERR_CANCELLED, "%s", err.text);
    ok(data_len < 100000, "not all of it");
    reply.on_data = NULL;
    reply.cancel = NULL;
    end();
}

static void
check_error(const char *bytes, enum err_code code, const char *name)
{
    struct step steps[] = {
        {bytes, 0, true, false},
        {NULL, 0, false, false},
    };
    struct err err = ERR_INIT;

    begin(steps, 300 * MS);
    is_int(get("/", &err), -1, "%s", name);
    is_int(err.code, code, "%s", err.text);
    end();
}

static void
test_errors(void)
{
    static const struct step silent[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", 0, false, false},
        {NULL, 0, false, false},
    };
    struct err err = ERR_INIT;
    int64_t start_ns;

    check_error("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", ERR_SYSTEM,
        "body ends early");
    check_error("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", ERR_SYSTEM,
        "no body");
    check_error("SSH-2.0\r\n\r\n", ERR_INVALID, "another protocol");
    check_error("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        ERR_INVALID, "bad chunk");
    check_error("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        ERR_INVALID, "unknown coding");
    check_error("HTTP/1.1 200", ERR_SYSTEM, "half a head");
    check_error("", ERR_SYSTEM, "nothing");
    begin(silent, 150 * MS);
    start_ns = clock_mono_ns();
    is_int(get("/", &err), -1, "a server that stops");
    is_int(err.code, ERR_TIMEOUT, "%s", err.text);
    ok(clock_mono_ns() - start_ns >= 149 * MS &&
        clock_mono_ns() - start_ns < 2000 * MS, "in time");
    end();
}

static void
test_limit(void)
{
    static char text[4096];
    struct step steps[] = {
        {text, 0, false, false},
        {NULL, 0, false, false},
    };
    struct err err = ERR_INIT;
    int n = snprintf(text, sizeof(text),
        "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n");

    memset(text + n, 'x', 2000);
    begin(steps, 2 * NS_PER_SEC);
    is_int(get("/", &err), -1, "reply beyond its maximum");
    is_int(err.code, ERR_LIMIT, "%s", err.text);
    end();
}

static void
test_urls(void)
{
    static const char *const bad[] = {"", "http://", "https://", "a:1",
        "http://:1/", "http://a:/", "http://a:0/", "http://a:65536/",
        "http://a:b/", "http://[::1", "http://[]:1/", "http://[::1]x/"};
    static const char *const good[] = {"http://a", "http://a/", "http://a:1",
        "http://[::1]", "http://[::1]:8080/x/y/", "https://a/",
        "https://[::1]:8443/x"};
    struct http_client *one;
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        is_int(http_client_new(&one, bad[i], 1, &err), -1, "'%s'", bad[i]);
        is_int(err.code, ERR_INVALID, "%s", err.text);
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        is_int(http_client_new(&one, good[i], 1, &err), 0, "'%s'", good[i]);
        http_client_free(one);
    }
    is_int(http_client_new(&client, "http://127.0.0.1:1/", NS_PER_SEC, &err),
        0, "nobody listens");
    sb_init(&reply.body, 1);
    is_int(get("/", &err), -1, "refused");
    is_int(err.code, ERR_SYSTEM, "%s", err.text);
    is_int(get("/\r\nX: y", &err), -1, "line end in a target");
    is_int(err.code, ERR_INVALID, "%s", err.text);
    is_int(get("/a b", &err), -1, "space in a target");
    sb_release(&reply.body);
    http_client_free(client);
}

int
main(void)
{
    signal(SIGPIPE, SIG_IGN);
    test_replies();
    test_stale();
    test_refused_body();
    test_errors();
    test_streamed();
    test_limit();
    test_urls();
    return tap_done();
}
