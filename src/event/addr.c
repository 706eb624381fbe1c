/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>

#include "core/assert.h"
#include "core/num.h"
#include "core/sv.h"

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

    if (addr_split(text, host, &port, err) != 0)
        return -1;
    if (host[0] == '\0') {
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
