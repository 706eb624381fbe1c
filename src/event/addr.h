/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Socket addresses as text, and text as socket addresses.
 */

#ifndef SPOOR_EVENT_ADDR_H
#define SPOOR_EVENT_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "core/base.h"
#include "core/err.h"

/* "[ffff:...:255.255.255.255]:65535" and its NUL. */
#define ADDR_TEXT_MAX (INET6_ADDRSTRLEN + 8)

/*
 * "127.0.0.1:51234", "[::1]:51234", "unix:", or "?" for other families.
 * size is at least ADDR_TEXT_MAX.
 */
void addr_print(const struct sockaddr *addr, char *dst, size_t size);

/*
 * "host:port", ":port" (all of IPv4), "[ipv6]:port".  A host name gives its
 * first address, IPv4 before IPv6; asking the resolver may block, so this is
 * for start and reload only.
 */
int addr_parse(const char *text, struct sockaddr_storage *out, socklen_t *len,
    struct err *err) WARN_UNUSED;

#endif
