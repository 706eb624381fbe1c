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
 * "127.0.0.1:51234", "[::1]:51234", "unix:", or "?" for other families; an
 * IPv4 client of an address for both is shown as one of IPv4.  size is at
 * least ADDR_TEXT_MAX.
 */
void addr_print(const struct sockaddr *addr, char *dst, size_t size);

/*
 * "host:port", ":port" (all of IPv4), "[ipv6]:port", "*:port" (all of both),
 * "unix:/path".  A host name gives its first address, IPv4 before IPv6; asking
 * the resolver may block, so this is for start and reload only.
 */
int addr_parse(const char *text, struct sockaddr_storage *out, socklen_t *len,
    struct err *err) WARN_UNUSED;
/* "*:port": an IPv6 socket that takes IPv4, too. */
bool addr_is_of_both(const char *text);
/*
 * bind(); the file of a UNIX socket is made for all (its directory says who
 * gets there), in the place of one that nobody listens on.  -1 with errno.
 */
int addr_bind(int fd, const struct sockaddr_storage *addr, socklen_t len);

#endif
