/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The header of the PROXY protocol, version 1 or 2: what a proxy sends first
 * on a connection, to tell whose connection it passes on.  Bytes may come in
 * any pieces.
 */

#ifndef SPOOR_EVENT_PROXY_HEADER_H
#define SPOOR_EVENT_PROXY_HEADER_H

#include <sys/socket.h>

#include "core/base.h"

/* A line of version 1 with its end, the largest that there can be. */
#define PROXY_HEADER_LINE_MAX 107
/* Version 2: what every header begins with. */
#define PROXY_HEADER_FIXED 16
/* Addresses of UNIX sockets are the largest. */
#define PROXY_HEADER_ADDRESSES_MAX 216
/* Certificates' names and tokens of load balancers; some send a few hundred. */
#define PROXY_HEADER_EXTRA_MAX (4 * KIB)
#define PROXY_HEADER_MAX \
    (PROXY_HEADER_FIXED + PROXY_HEADER_ADDRESSES_MAX + PROXY_HEADER_EXTRA_MAX)

enum proxy_header_result {
    PROXY_HEADER_MORE,
    PROXY_HEADER_DONE,
    PROXY_HEADER_ERROR, /* error says why; nothing more is to be fed */
};

struct proxy_header {
    /*
     * The client, once DONE: of family AF_INET, AF_INET6 or AF_UNIX (without
     * its name); AF_UNSPEC: the proxy speaks for itself, or does not tell.
     */
    struct sockaddr_storage client;
    const char *error;

    bool is_abandoned; /* the peer left before the first byte */
    size_t len;
    char bytes[PROXY_HEADER_MAX];
};

void proxy_header_init(struct proxy_header *header);
/*
 * Takes bytes up to the end of the header, *used of len; after DONE the rest
 * belongs to the protocol behind it.
 */
enum proxy_header_result proxy_header_feed(struct proxy_header *header,
    const void *ptr, size_t len, size_t *used);

/* On a connection; the same with the socket. */
struct proxy_header *proxy_header_new(void);
/*
 * Reads what has come, and not a byte behind the header.  from: networks with
 * ';' between them that may send one; NULL: all.  When it is whole,
 * the client's address is written to peer (ADDR_TEXT_MAX bytes; left alone
 * when there is none), and *header is freed and NULL.  False: an error.
 */
bool proxy_header_take(struct proxy_header **header, int fd,
    const char *from, char *peer);
/*
 * Counts and logs that a connection of peer ended without a header, unless
 * it was opened and closed only, as the checks of load balancers do; frees.
 */
void proxy_header_drop(struct proxy_header *header, const char *peer);

#endif
