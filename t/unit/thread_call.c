/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Threads that share one peer: each call has the answer to its own request,
 * whoever opened the connection, while servers close them and the addresses
 * change.
 */

#include "core/base.h"

#include <signal.h>

#include "core/sb.h"

#include "call_server.h"

#define THREADS 6
#define CALLS 150
/* Not a multiple of anything: the server closes after so many replies. */
#define REPLIES 37

static int listen_fd, port;
static struct http_peer *peer;
static atomic_int ngood, nfailed, nconns, running;

/* Answers each request with its own body. */
static void *
serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg, served = 0;
    char in[4096], out[4096];
    size_t len = 0;

    while (served < REPLIES) {
        ssize_t n = recv(fd, in + len, sizeof(in) - 1 - len, 0);
        const char *end, *length;
        size_t body_len, head_len;
        int out_len;

        if (n <= 0)
            break;
        len += (size_t)n;
        in[len] = '\0';
        end = strstr(in, "\r\n\r\n");
        length = strstr(in, "Content-Length: ");
        if (end == NULL || length == NULL)
            continue;
        head_len = (size_t)(end - in) + 4;
        body_len = strtoul(length + 16, NULL, 10);
        if (len < head_len + body_len)
            continue;
        out_len = snprintf(out, sizeof(out),
            "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n%s", body_len,
            ++served == REPLIES ? "Connection: close\r\n" : "",
            in + head_len);
        if (send(fd, out, (size_t)out_len, MSG_NOSIGNAL) != out_len)
            break;
        len = 0;
    }
    close(fd);
    atomic_fetch_sub(&nconns, 1);
    return NULL;
}

static void *
serve(UNUSED void *arg)
{
    pthread_t thread;
    int fd;

    while ((fd = accept(listen_fd, NULL, NULL)) >= 0) {
        atomic_fetch_add(&nconns, 1);
        if (pthread_create(&thread, NULL, serve_one,
                (void *)(intptr_t)fd) != 0)
            bail_out("no thread");
        pthread_detach(thread);
    }
    return NULL;
}

static int
IMPL(http_call_data_fn) on_data(void *arg, struct sv data,
    UNUSED struct err *err)
{
    sb_add_sv(arg, data);
    return 0;
}

static void *
ask(void *arg)
{
    int self = (int)(intptr_t)arg;
    struct sb got;
    char text[64];

    sb_init(&got, 4096);
    for (int i = 0; i < CALLS; i++) {
        struct http_call_conf conf = {.method = "POST", .target = "/",
            .on_data = on_data, .arg = &got};
        struct err err = ERR_INIT;
        struct http_call *call;

        snprintf(text, sizeof(text), "%d of %d", i, self);
        conf.body = sv_from(text);
        sb_reset(&got);
        call = http_call_new(peer, &conf);
        if (drive(call, &err) != 1)
            atomic_fetch_add(&nfailed, 1);
        else if (strcmp(got.ptr, text) == 0)
            atomic_fetch_add(&ngood, 1);
        http_call_free(call);
    }
    sb_release(&got);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

/* Has a reference of its own. */
static void *
change_addresses(UNUSED void *arg)
{
    struct sockaddr_storage addresses[2] = {{.ss_family = AF_INET},
        {.ss_family = AF_INET}};
    struct sockaddr_in *in = (struct sockaddr_in *)&addresses[0];
    struct http_peer *mine = http_peer_hold(peer);
    unsigned n = 0;

    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ((struct sockaddr_in *)&addresses[1])->sin_addr.s_addr =
        htonl(INADDR_LOOPBACK + 1);
    while (atomic_load(&running) > 0) {
        usleep(3000);
        http_peer_set_addresses(mine, &addresses[0], 1 + n++ % 2);
    }
    http_peer_release(mine);
    return NULL;
}

int
main(void)
{
    pthread_t threads[THREADS], server, changer;

    signal(SIGPIPE, SIG_IGN);
    listen_fd = listen_local(&port);
    peer = peer_at(port, NULL);
    running = THREADS;
    if (pthread_create(&server, NULL, serve, NULL) != 0 ||
        pthread_create(&changer, NULL, change_addresses, NULL) != 0)
        bail_out("no thread");
    for (intptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, ask, (void *)i) != 0)
            bail_out("no thread");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_join(changer, NULL);
    is_int(nfailed, 0, "no call failed");
    is_int(ngood, THREADS * CALLS, "each has its own answer");
    ok(nconns <= (int)PEER_IDLE_MAX, "few connections are kept: %d", nconns);
    http_peer_release(peer);
    shutdown(listen_fd, SHUT_RDWR);
    pthread_join(server, NULL);
    for (int i = 0; i < 1000 && nconns > 0; i++)
        usleep(1000);
    is_int(nconns, 0, "the last one who holds the peer closes all");
    close(listen_fd);
    return tap_done();
}
