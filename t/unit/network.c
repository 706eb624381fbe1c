/* SPDX-License-Identifier: BSD-2-Clause */

/* Networks as text, and who is in them. */

#include "core/base.h"

#include <arpa/inet.h>

#include "core/network.h"

#include "tap.h"

static bool
has(const char *list, const char *name)
{
    uint8_t address[16], ipv4[4];

    if (inet_pton(AF_INET, name, ipv4) == 1)
        network_map(ipv4, address);
    else if (inet_pton(AF_INET6, name, address) != 1)
        abort();
    return network_list_has(sv_from(list), address);
}

static bool
is_network(const char *text)
{
    struct network network;

    return network_parse(sv_from(text), &network);
}

int
main(void)
{
    static const char *const good[] = {"10.0.0.0/8", "10.1.2.3", "0.0.0.0/0",
        "10.1.2.3/32", "192.168.4.0/23", "::/0", "::1", "2001:db8::/32",
        "2001:db8::8000/113", "fe80::/10", "::ffff:10.0.0.0/104"};
    static const char *const bad[] = {"", "/8", "10.0.0.0/", "10.0.0.0/33",
        "10.0.0.1/8", "192.168.5.0/23", "10.0.0/8", "10.0.0.0/08x",
        "10.0.0.0/-1", "010.0.0.0/8", "::/129", "2001:db8::1/32", "lan",
        "10.0.0.0 /8", "1.2.3.4:80", "[::1]", "::1%lo",
        "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/8"};

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ok(is_network(good[i]), "%s is a network", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ok(!is_network(bad[i]), "\"%s\" is none", bad[i]);

    ok(has("10.0.0.0/8", "10.255.0.1"), "in /8");
    ok(!has("10.0.0.0/8", "11.0.0.0"), "not in /8");
    ok(has("192.168.4.0/23", "192.168.5.255"), "in /23");
    ok(!has("192.168.4.0/23", "192.168.6.0"), "not in /23");
    ok(has("10.1.2.3", "10.1.2.3"), "one address");
    ok(!has("10.1.2.3", "10.1.2.2"), "and no other");
    ok(has("0.0.0.0/0", "255.1.2.3"), "all of IPv4");
    ok(!has("0.0.0.0/0", "::1"), "are not those of IPv6");
    ok(has("::/0", "1.2.3.4") && has("::/0", "fe80::1"), "all of both");
    ok(has("0.0.0.0/0", "::ffff:1.2.3.4"), "IPv4 by IPv6");
    ok(has("2001:db8::/32", "2001:db8:ffff::1"), "in /32 of IPv6");
    ok(!has("2001:db8::/32", "2001:db9::"), "not in it");
    ok(has("10.0.0.0/8;::1;192.168.0.0/16", "::1"), "one of several");
    ok(!has("10.0.0.0/8;::1;192.168.0.0/16", "::2"), "none of several");
    ok(!has("", "::"), "nobody is in an empty list");
    return tap_done();
}
