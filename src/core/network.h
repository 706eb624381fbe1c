/* SPDX-License-Identifier: BSD-2-Clause */

/* Networks of IPv4 and IPv6 as text: "10.0.0.0/8", "2001:db8::/32", "::1". */

#ifndef SPOOR_CORE_NETWORK_H
#define SPOOR_CORE_NETWORK_H

#include "core/base.h"
#include "core/sv.h"

/* Of IPv6; one of IPv4 is the IPv6 address that stands for it (RFC 4291). */
struct network {
    uint8_t address[16];
    unsigned bits; /* of them count */
};

/* False: not an address, or one with bits beyond its prefix. */
bool network_parse(struct sv text, struct network *out);
bool network_has(const struct network *network, const uint8_t address[16]);
/* Several with ';' between them; those that are none have nobody. */
bool network_list_has(struct sv list, const uint8_t address[16]);
/* 4 bytes of IPv4 as 16 of IPv6. */
void network_map(const void *ipv4, uint8_t address[16]);

#endif
