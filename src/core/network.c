/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/network.h"

#include <arpa/inet.h>

#include "core/num.h"

/* Bits of ::ffff:0:0/96, before those of IPv4. */
#define MAPPED_BITS 96

void
network_map(const void *ipv4, uint8_t address[16])
{
    memset(address, 0, 10);
    memset(address + 10, 0xff, 2);
    memcpy(address + 12, ipv4, 4);
}

/* The bits that are to be compared of byte i. */
static uint8_t
mask_of(unsigned bits, unsigned i)
{
    unsigned left = bits > i * 8 ? bits - i * 8 : 0;

    return left >= 8 ? 0xff : (uint8_t)(0xff00u >> left);
}

bool
network_parse(struct sv text, struct network *out)
{
    char name[INET6_ADDRSTRLEN];
    size_t slash = sv_find_byte(text, '/');
    struct in_addr in4;
    unsigned most = 128;
    uint64_t bits;

    if (slash >= sizeof(name) ||
        sv_find_byte(text, '\0') != text.len)
        return false;
    memcpy(name, text.ptr, slash);
    name[slash] = '\0';
    if (inet_pton(AF_INET, name, &in4) == 1) {
        network_map(&in4, out->address);
        most = 32;
    } else if (inet_pton(AF_INET6, name, out->address) != 1) {
        return false;
    }
    bits = most;
    if (slash < text.len && (!num_parse_u64(sv_sub(text, slash + 1,
            text.len), &bits) || bits > most))
        return false;
    out->bits = (unsigned)bits + (most == 32 ? MAPPED_BITS : 0);
    for (unsigned i = 0; i < sizeof(out->address); i++)
        if ((out->address[i] & ~mask_of(out->bits, i)) != 0)
            return false;
    return true;
}

bool
network_has(const struct network *network, const uint8_t address[16])
{
    for (unsigned i = 0; i < sizeof(network->address); i++)
        if (((network->address[i] ^ address[i]) &
                mask_of(network->bits, i)) != 0)
            return false;
    return true;
}

bool
network_list_has(struct sv list, const uint8_t address[16])
{
    struct network network;
    struct sv one;

    while (sv_split(&list, ';', &one))
        if (network_parse(one, &network) && network_has(&network, address))
            return true;
    return false;
}
