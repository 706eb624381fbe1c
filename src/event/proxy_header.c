/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Version 1 is a line of at most 107 bytes:
 *
 *   PROXY TCP4 client-ip server-ip client-port server-port CRLF
 *   PROXY TCP6 ...
 *   PROXY UNKNOWN anything CRLF
 *
 * Version 2 is binary, its integers are big endian:
 *
 *   12  0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a
 *   1   version (2) << 4 | command: 0 LOCAL, 1 PROXY
 *   1   family << 4 | transport: 0 unspecified, 1 stream, 2 datagram;
 *       family: 0 unspecified, 1 IPv4, 2 IPv6, 3 UNIX
 *   u16 length of what follows
 *   12, 36 or 216 of addresses: client, server, then their ports
 *       (UNIX: two names of 108)
 *   the rest: type u8, length u16, value; again and again
 *
 * The value of type 3 is the CRC-32C of the whole header, taken with zeros in
 * this place; types that are not known are skipped.  What follows a LOCAL
 * command or an unspecified family is skipped whole.
 */

#include "core/base.h"
#include "event/proxy_header.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "core/assert.h"
#include "core/crc32c.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/network.h"
#include "core/num.h"
#include "core/sv.h"
#include "event/addr.h"

/* Bytes looked at in one go: most headers are shorter. */
#define PEEK_BYTES 512
#define TYPE_CRC32C 3
#define TLV_HEAD 3

static const char line_start[6] = "PROXY ";
static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static enum proxy_header_result
proxy_header_fail(struct proxy_header *header, const char *why)
{
    header->error = why;
    return PROXY_HEADER_ERROR;
}

static unsigned
get_be16(const char *ptr)
{
    return (unsigned)(uint8_t)ptr[0] << 8 | (uint8_t)ptr[1];
}

void
proxy_header_init(struct proxy_header *header)
{
    memset(&header->client, 0, sizeof(header->client));
    header->error = NULL;
    header->is_abandoned = false;
    header->len = 0;
}

/* Version 1. */

/* "0".."65535" as a number is usually written. */
static bool
line_port(struct sv text, in_port_t *port)
{
    uint64_t n;

    if (text.len == 0 || text.len > 5 || !num_parse_u64(text, &n) ||
        n > UINT16_MAX || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    *port = htons((uint16_t)n);
    return true;
}

static bool
line_address(int family, struct sv text, void *out)
{
    char name[INET6_ADDRSTRLEN];

    if (text.len >= sizeof(name) ||
        sv_find_byte(text, '\0') != text.len)
        return false;
    memcpy(name, text.ptr, text.len);
    name[text.len] = '\0';
    return inet_pton(family, name, out) == 1;
}

/* "client-ip server-ip client-port server-port". */
static bool
line_addresses(int family, struct sv text, struct sockaddr_storage *out)
{
    struct sockaddr_in *in4 = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)out;
    struct in6_addr client, server;
    in_port_t client_port, server_port;
    struct sv word[4], rest = text;

    for (unsigned i = 0; i < ARRAY_LEN(word); i++)
        if (!sv_split(&rest, ' ', &word[i]))
            return false;
    if (sv_split(&rest, ' ', &(struct sv){0}) ||
        !line_address(family, word[0], &client) ||
        !line_address(family, word[1], &server) ||
        !line_port(word[2], &client_port) ||
        !line_port(word[3], &server_port))
        return false;
    memset(out, 0, sizeof(*out));
    out->ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        memcpy(&in4->sin_addr, &client, sizeof(in4->sin_addr));
        in4->sin_port = client_port;
    } else {
        in6->sin6_addr = client;
        in6->sin6_port = client_port;
    }
    return true;
}

static enum proxy_header_result
line_parse(struct proxy_header *header)
{
    struct sv line = sv_make(header->bytes, header->len);
    struct sv rest, family;
    bool is_good = false;

    if (!sv_ends_with(line, SV("\r\n")))
        return proxy_header_fail(header, "a line that does not end in CRLF");
    rest = sv_sub(line, sizeof(line_start),
        line.len - sizeof(line_start) - 2);
    if (!sv_split(&rest, ' ', &family))
        return proxy_header_fail(header, "no family");
    if (sv_eq(family, SV("UNKNOWN")))
        return PROXY_HEADER_DONE;
    if (sv_eq(family, SV("TCP4")))
        is_good = line_addresses(AF_INET, rest, &header->client);
    else if (sv_eq(family, SV("TCP6")))
        is_good = line_addresses(AF_INET6, rest, &header->client);
    return is_good ? PROXY_HEADER_DONE
                   : proxy_header_fail(header, "wrong addresses");
}

static enum proxy_header_result
line_feed(struct proxy_header *header, char c)
{
    header->bytes[header->len++] = c;
    if (header->len <= sizeof(line_start))
        return c == line_start[header->len - 1] ? PROXY_HEADER_MORE
            : proxy_header_fail(header, "something else came first");
    if (c == '\n')
        return line_parse(header);
    if (header->len == PROXY_HEADER_LINE_MAX)
        return proxy_header_fail(header, "the line is too long");
    return PROXY_HEADER_MORE;
}

/* Version 2. */

static size_t
binary_addresses_len(unsigned family)
{
    switch (family) {
    case 1:
        return 12;
    case 2:
        return 36;
    case 3:
        return PROXY_HEADER_ADDRESSES_MAX;
    default:
        return 0;
    }
}

/* The first 16 bytes are there. */
static const char *
binary_check_fixed(const struct proxy_header *header)
{
    unsigned command = (uint8_t)header->bytes[12];
    unsigned family = (uint8_t)header->bytes[13] >> 4;
    unsigned transport = (uint8_t)header->bytes[13] & 15;
    size_t len = get_be16(header->bytes + 14);
    size_t addresses = binary_addresses_len(family);

    if (command >> 4 != 2)
        return "an unknown version";
    if ((command & 15) > 1)
        return "an unknown command";
    if (family > 3 || transport > 2)
        return "an unknown family or transport";
    if (len > PROXY_HEADER_ADDRESSES_MAX + PROXY_HEADER_EXTRA_MAX)
        return "the header is too long";
    if ((command & 15) == 1 && len < addresses)
        return "the header is too short for its addresses";
    return NULL;
}

static bool
binary_crc_is_right(const struct proxy_header *header, size_t at)
{
    static const char zeros[4];
    uint32_t told, crc;

    memcpy(&told, header->bytes + at, sizeof(told));
    crc = crc32c(0, header->bytes, at);
    crc = crc32c(crc, zeros, sizeof(zeros));
    crc = crc32c(crc, header->bytes + at + 4, header->len - at - 4);
    return ntohl(told) == crc;
}

/* What follows the addresses. */
static const char *
binary_check_extra(const struct proxy_header *header, size_t at)
{
    bool has_crc = false;

    while (at < header->len) {
        size_t len;

        if (header->len - at < TLV_HEAD)
            return "an item is cut off";
        len = get_be16(header->bytes + at + 1);
        if (len > header->len - at - TLV_HEAD)
            return "an item is longer than the header";
        if (header->bytes[at] == TYPE_CRC32C) {
            if (len != sizeof(uint32_t) || has_crc ||
                !binary_crc_is_right(header, at + TLV_HEAD))
                return "the checksum is wrong";
            has_crc = true;
        }
        at += TLV_HEAD + len;
    }
    return NULL;
}

static void
binary_client(const struct proxy_header *header, unsigned family,
    struct sockaddr_storage *out)
{
    struct sockaddr_in *in4 = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)out;
    const char *ptr = header->bytes + PROXY_HEADER_FIXED;

    memset(out, 0, sizeof(*out));
    if (family == 1) {
        in4->sin_family = AF_INET;
        memcpy(&in4->sin_addr, ptr, 4);
        memcpy(&in4->sin_port, ptr + 8, 2);
    } else if (family == 2) {
        in6->sin6_family = AF_INET6;
        memcpy(&in6->sin6_addr, ptr, 16);
        memcpy(&in6->sin6_port, ptr + 32, 2);
    } else {
        out->ss_family = AF_UNIX;
    }
}

static enum proxy_header_result
binary_parse(struct proxy_header *header)
{
    bool is_local = (header->bytes[12] & 15) == 0;
    unsigned family = (uint8_t)header->bytes[13] >> 4;
    unsigned transport = (uint8_t)header->bytes[13] & 15;
    const char *why;

    if (is_local || family == 0 || transport == 0)
        return PROXY_HEADER_DONE;
    why = binary_check_extra(header,
        PROXY_HEADER_FIXED + binary_addresses_len(family));
    if (why != NULL)
        return proxy_header_fail(header, why);
    binary_client(header, family, &header->client);
    return PROXY_HEADER_DONE;
}

static enum proxy_header_result
binary_feed(struct proxy_header *header, const char *ptr, size_t len,
    size_t *used)
{
    size_t want = PROXY_HEADER_FIXED;
    const char *why;

    if (header->len >= PROXY_HEADER_FIXED)
        want += get_be16(header->bytes + 14);
    *used = MIN(want - header->len, len);
    memcpy(header->bytes + header->len, ptr, *used);
    header->len += *used;
    if (memcmp(header->bytes, signature,
            MIN(header->len, sizeof(signature))) != 0)
        return proxy_header_fail(header, "something else came first");
    if (header->len < want)
        return PROXY_HEADER_MORE;
    if (want > PROXY_HEADER_FIXED)
        return binary_parse(header);
    why = binary_check_fixed(header);
    if (why != NULL)
        return proxy_header_fail(header, why);
    return get_be16(header->bytes + 14) == 0 ? binary_parse(header)
                                             : PROXY_HEADER_MORE;
}

enum proxy_header_result
proxy_header_feed(struct proxy_header *header, const void *ptr, size_t len,
    size_t *used)
{
    enum proxy_header_result result = PROXY_HEADER_MORE;
    const char *bytes = ptr;
    size_t n;

    check(header->error == NULL);
    *used = 0;
    while (*used < len && result == PROXY_HEADER_MORE) {
        char first = header->len > 0 ? header->bytes[0] : bytes[*used];

        if (first == signature[0]) {
            result = binary_feed(header, bytes + *used, len - *used, &n);
            *used += n;
        } else {
            result = line_feed(header, bytes[(*used)++]);
        }
    }
    return result;
}

/* Not a byte behind the header is taken off the socket. */
static enum proxy_header_result
proxy_header_recv(struct proxy_header *header, int fd)
{
    enum proxy_header_result result = PROXY_HEADER_MORE;
    char bytes[PEEK_BYTES];
    size_t used;
    ssize_t n;

    while (result == PROXY_HEADER_MORE) {
        n = recv(fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return PROXY_HEADER_MORE;
        header->is_abandoned = n <= 0 && header->len == 0;
        if (n <= 0)
            return proxy_header_fail(header, "the connection ended in it");
        result = proxy_header_feed(header, bytes, (size_t)n, &used);
        n = recv(fd, bytes, used, MSG_DONTWAIT);
        if (n < 0 || (size_t)n != used)
            return proxy_header_fail(header, "what was there is gone");
    }
    return result;
}

struct proxy_header *
proxy_header_new(void)
{
    struct proxy_header *header = xmalloc(sizeof(*header));

    proxy_header_init(header);
    return header;
}

/* Who may enter the directory of a UNIX socket, may send a header, too. */
static bool
may_send(int fd, const char *from)
{
    struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)(void *)&addr;
    const struct sockaddr_in6 *in6 =
        (const struct sockaddr_in6 *)(void *)&addr;
    socklen_t len = sizeof(addr);
    uint8_t bytes[16];

    if (from == NULL)
        return true;
    if (getpeername(fd, (struct sockaddr *)&addr, &len) != 0)
        return false;
    if (addr.ss_family == AF_INET)
        network_map(&in4->sin_addr, bytes);
    else if (addr.ss_family == AF_INET6)
        memcpy(bytes, &in6->sin6_addr, sizeof(bytes));
    else
        return addr.ss_family == AF_UNIX;
    return network_list_has(sv_from(from), bytes);
}

bool
proxy_header_take(struct proxy_header **header, int fd, const char *from,
    char *peer)
{
    enum proxy_header_result result;

    if ((*header)->len == 0 && !may_send(fd, from))
        result = proxy_header_fail(*header, "its sender may not send one");
    else
        result = proxy_header_recv(*header, fd);
    if (result == PROXY_HEADER_DONE) {
        if ((*header)->client.ss_family != AF_UNSPEC)
            addr_print((struct sockaddr *)&(*header)->client, peer,
                ADDR_TEXT_MAX);
        xfree(*header);
        *header = NULL;
    }
    return result != PROXY_HEADER_ERROR;
}

void
proxy_header_drop(struct proxy_header *header, const char *peer)
{
    if (!header->is_abandoned) {
        metric_add(METRIC_HTTP_REFUSED_PROXY_HEADER, 1);
        log_warn("%s: closed, no good PROXY header: %s", peer,
            header->error != NULL ? header->error
                                  : "it did not come in time");
    }
    xfree(header);
}
