/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/num.h"
#include "core/sv.h"

/* As nginx has it: the directory says who gets there. */
#define SOCKET_MODE 0666
/* A host name has at most 253 characters (RFC 1035). */
#define ADDR_HOST_MAX 256

void
addr_print(const struct sockaddr *addr, char *dst, size_t size)
{
    const struct sockaddr_in *in4;
    const struct sockaddr_in6 *in6;
    char host[INET6_ADDRSTRLEN];

    check(size >= ADDR_TEXT_MAX);
    if (addr->sa_family == AF_INET) {
        in4 = (const struct sockaddr_in *)(const void *)addr;
        check(inet_ntop(AF_INET, &in4->sin_addr, host, sizeof(host)) != NULL);
        snprintf(dst, size, "%s:%u", host, (unsigned)ntohs(in4->sin_port));
    } else if (addr->sa_family == AF_INET6) {
        in6 = (const struct sockaddr_in6 *)(const void *)addr;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            check(inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], host,
                sizeof(host)) != NULL);
            snprintf(dst, size, "%s:%u", host,
                (unsigned)ntohs(in6->sin6_port));
            return;
        }
        check(inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host)) !=
            NULL);
        snprintf(dst, size, "[%s]:%u", host, (unsigned)ntohs(in6->sin6_port));
    } else {
        snprintf(dst, size, "%s", addr->sa_family == AF_UNIX ? "unix:" : "?");
    }
}

/* Cuts "host:port" in two; the brackets of an IPv6 address are dropped. */
static int
addr_split(const char *text, char *host, uint64_t *port, struct err *err)
{
    struct sv v = sv_from(text);
    const char *colon = strrchr(text, ':');
    struct sv name;

    if (colon == NULL)
        return err_set(err, ERR_INVALID, "address \"%s\" has no port", text);
    if (!num_parse_u64(sv_from(colon + 1), port) || *port > 65535)
        return err_set(err, ERR_INVALID,
            "address \"%s\": the port must be 0..65535", text);
    name = sv_sub(v, 0, (size_t)(colon - text));
    if (sv_starts_with(name, SV("[")) && sv_ends_with(name, SV("]")))
        name = sv_sub(name, 1, name.len - 2);
    else if (sv_find_byte(name, ':') < name.len)
        return err_set(err, ERR_INVALID,
            "address \"%s\": write an IPv6 address as [address]:port", text);
    if (name.len >= ADDR_HOST_MAX)
        return err_set(err, ERR_INVALID, "address \"%s\" is too long", text);
    snprintf(host, ADDR_HOST_MAX, "%.*s", SV_ARG(name));
    return 0;
}

static int
addr_parse_unix(const char *path, struct sockaddr_storage *out,
    socklen_t *len, struct err *err)
{
    struct sockaddr_un *un = (struct sockaddr_un *)(void *)out;

    if (path[0] != '/')
        return err_set(err, ERR_INVALID,
            "address \"unix:%s\": the path must begin with /", path);
    if (strlen(path) >= sizeof(un->sun_path))
        return err_set(err, ERR_INVALID,
            "address \"unix:%s\": more than %zu bytes", path,
            sizeof(un->sun_path) - 1);
    memset(out, 0, sizeof(*out));
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, strlen(path));
    *len = sizeof(*un);
    return 0;
}

bool
addr_is_of_both(const char *text)
{
    return text[0] == '*' && text[1] == ':';
}

/* Nobody listens on a file that is a socket: a server that was killed. */
static void
remove_stale(const struct sockaddr_un *un, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct stat st;

    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)un, len) != 0 &&
        errno == ECONNREFUSED && lstat(un->sun_path, &st) == 0 &&
        S_ISSOCK(st.st_mode))
        (void)unlink(un->sun_path);
    close(fd);
}

int
addr_bind(int fd, const struct sockaddr_storage *addr, socklen_t len)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)
        addr;

    if (addr->ss_family == AF_UNIX)
        remove_stale(un, len);
    if (bind(fd, (const struct sockaddr *)addr, len) != 0)
        return -1;
    return addr->ss_family == AF_UNIX ? chmod(un->sun_path, SOCKET_MODE) : 0;
}

int
addr_parse(const char *text, struct sockaddr_storage *out, socklen_t *len,
    struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL, *item, *chosen;
    char host[ADDR_HOST_MAX], service[8];
    uint64_t port = 0;
    int code;

    if (strncmp(text, "unix:", 5) == 0)
        return addr_parse_unix(text + 5, out, len, err);
    if (addr_split(text, host, &port, err) != 0)
        return -1;
    if (addr_is_of_both(text)) {
        hints.ai_family = AF_INET6;
        hints.ai_flags |= AI_PASSIVE;
        host[0] = '\0';
    } else if (host[0] == '\0') {
        hints.ai_family = AF_INET;
        hints.ai_flags |= AI_PASSIVE;
    }
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    code = getaddrinfo(host[0] != '\0' ? host : NULL, service, &hints, &list);
    if (code != 0)
        return err_set(err, ERR_INVALID, "address \"%s\": %s", text,
            code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
    chosen = list;
    for (item = list; item != NULL; item = item->ai_next) {
        if (item->ai_family == AF_INET) {
            chosen = item;
            break;
        }
    }
    check(chosen->ai_addrlen <= sizeof(*out));
    memset(out, 0, sizeof(*out));
    memcpy(out, chosen->ai_addr, chosen->ai_addrlen);
    *len = chosen->ai_addrlen;
    freeaddrinfo(list);
    return 0;
}
