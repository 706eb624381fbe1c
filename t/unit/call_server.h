/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A server on a thread of its own that plays a script, with or without TLS,
 * and a loop that drives one call.
 */

#ifndef SPOOR_UNIT_CALL_SERVER_H
#define SPOOR_UNIT_CALL_SERVER_H

#include "core/base.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "core/timefmt.h"
#include "http/call.h"

#include "tap.h"

#define MS NS_PER_MS

enum act {
    END = 0,
    ACCEPT,   /* the next connection; closes the one before */
    HEAD,     /* read a head */
    REQUEST,  /* read a head and a body by its Content-Length */
    TAKE,     /* read n more bytes */
    SAY,      /* send text */
    SLICES,   /* send text, n bytes at a time, with pauses */
    REST_MS,  /* do nothing for n milliseconds */
    HALF,     /* send no more */
    CLOSE,
    RESET,    /* close at once, with an RST */
    UNTIL,    /* read until the other side ends or breaks */
};

struct play {
    enum act act;
    const char *text;
    size_t n;
};

struct server {
    const struct play *play;
    SSL_CTX *tls; /* NULL: plain */
    int listen_fd;
    int port;
    int fd;
    SSL *ssl;
    int naccepted;
    size_t bodies;     /* bytes of bodies that were read */
    char seen[1 << 14]; /* the last head, and what came with it */
    pthread_t thread;
};

static inline ssize_t
server_recv(struct server *server, void *ptr, size_t len)
{
    if (server->ssl != NULL)
        return SSL_read(server->ssl, ptr, (int)len);
    return recv(server->fd, ptr, len, 0);
}

static inline void
server_send(struct server *server, const char *ptr, size_t len)
{
    ssize_t n;

    while (len > 0) {
        n = server->ssl != NULL ? SSL_write(server->ssl, ptr, (int)len)
                                : send(server->fd, ptr, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        ptr += n;
        len -= (size_t)n;
    }
}

static inline void
server_close(struct server *server)
{
    if (server->ssl != NULL) {
        SSL_shutdown(server->ssl);
        SSL_free(server->ssl);
    }
    server->ssl = NULL;
    if (server->fd >= 0)
        close(server->fd);
    server->fd = -1;
}

static inline void
server_accept(struct server *server)
{
    server_close(server);
    server->fd = accept(server->listen_fd, NULL, NULL);
    if (server->fd < 0)
        return;
    server->naccepted++;
    (void)setsockopt(server->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1},
        sizeof(int));
    if (server->tls == NULL)
        return;
    server->ssl = SSL_new(server->tls);
    SSL_set_fd(server->ssl, server->fd);
    if (SSL_accept(server->ssl) != 1) {
        SSL_free(server->ssl);
        server->ssl = NULL;
        close(server->fd);
        server->fd = -1;
    }
}

static inline void
server_take(struct server *server, size_t want)
{
    static _Thread_local char bytes[1 << 16];
    ssize_t n = 1;

    while (want > 0 && n > 0) {
        n = server_recv(server, bytes, MIN(want, sizeof(bytes)));
        if (n > 0) {
            want -= (size_t)n;
            server->bodies += (size_t)n;
        }
    }
}

static inline void
server_read(struct server *server, bool with_body)
{
    size_t len = 0;
    const char *end = NULL, *length;
    char seen[sizeof(server->seen)];

    while (end == NULL && len < sizeof(seen) - 1) {
        ssize_t n = server_recv(server, seen + len, sizeof(seen) - 1 - len);

        if (n <= 0)
            return;
        len += (size_t)n;
        seen[len] = '\0';
        end = strstr(seen, "\r\n\r\n");
    }
    if (end == NULL)
        return;
    memcpy(server->seen, seen, sizeof(seen));
    len -= (size_t)(end - seen) + 4;
    server->bodies += len;
    length = strstr(server->seen, "Content-Length: ");
    if (with_body && length != NULL)
        server_take(server, strtoul(length + 16, NULL, 10) - len);
}

static inline void
server_slices(struct server *server, const char *text, size_t slice)
{
    size_t len = strlen(text);

    for (size_t at = 0; at < len; at += slice) {
        server_send(server, text + at, MIN(slice, len - at));
        usleep(300);
    }
}

static inline void
server_reset(struct server *server)
{
    struct linger linger = {.l_onoff = 1};

    (void)setsockopt(server->fd, SOL_SOCKET, SO_LINGER, &linger,
        sizeof(linger));
    SSL_free(server->ssl);
    server->ssl = NULL;
    server_close(server);
}

static inline void
server_act(struct server *server, const struct play *play)
{
    switch (play->act) {
    case ACCEPT:
        server_accept(server);
        break;
    case HEAD:
    case REQUEST:
        server_read(server, play->act == REQUEST);
        break;
    case TAKE:
    case UNTIL:
        server_take(server, play->act == TAKE ? play->n : SIZE_MAX);
        break;
    case SAY:
        server_send(server, play->text, strlen(play->text));
        break;
    case SLICES:
        server_slices(server, play->text, play->n);
        break;
    case REST_MS:
        usleep((useconds_t)play->n * 1000);
        break;
    case HALF:
        shutdown(server->fd, SHUT_WR);
        break;
    case RESET:
        server_reset(server);
        break;
    case CLOSE:
        server_close(server);
        break;
    case END:
        break;
    }
}

static inline void *
server_run(void *arg)
{
    struct server *server = arg;

    for (const struct play *play = server->play; play->act != END; play++)
        server_act(server, play);
    server_close(server);
    return NULL;
}

static inline int
listen_local(int *port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&addr, len) != 0 ||
        listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        bail_out("no socket to listen on");
    *port = ntohs(addr.sin_port);
    return fd;
}

static inline void
server_begin(struct server *server, const struct play *play, SSL_CTX *tls)
{
    memset(server, 0, sizeof(*server));
    server->play = play;
    server->tls = tls;
    server->fd = -1;
    server->listen_fd = listen_local(&server->port);
    if (pthread_create(&server->thread, NULL, server_run, server) != 0)
        bail_out("no thread");
}

/* When the script is over; a server that still accepts is woken. */
static inline void
server_end(struct server *server)
{
    shutdown(server->listen_fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listen_fd);
}

static inline struct http_peer *
peer_at(int port, const struct http_peer_conf *like)
{
    struct http_peer_conf conf = {.host = "127.0.0.1"};
    struct http_peer *peer;
    struct err err = ERR_INIT;
    char text[16];

    if (like != NULL)
        conf = *like;
    snprintf(text, sizeof(text), "%d", port);
    conf.port = text;
    if (http_peer_new(&peer, &conf, &err) != 0)
        bail_out(err.text);
    return peer;
}

/* Until it is over: 1 or -1. */
static inline int
drive(struct http_call *call, struct err *err)
{
    struct pollfd pfd;
    int64_t wake_ns;
    int rc;

    err_reset(err);
    while ((rc = http_call_step(call, err)) == 0) {
        int64_t now_ns = clock_mono_ns();

        http_call_wants(call, &pfd, &wake_ns);
        /* A test that hangs is worse than one that fails. */
        wake_ns = MIN(wake_ns, now_ns + 60 * NS_PER_SEC);
        (void)poll(&pfd, 1,
            (int)((MAX(wake_ns - now_ns, 0) + NS_PER_MS - 1) / NS_PER_MS));
    }
    return rc;
}

#endif
