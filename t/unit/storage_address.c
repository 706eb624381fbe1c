/* SPDX-License-Identifier: BSD-2-Clause */

/* Addresses of storage nodes: forms, and texts that are none. */

#include "core/base.h"

#include "core/conf_storage.h"

#include "tap.h"

static const char *
show(const char *text)
{
    static const char *const kinds[] = {"fixed", "dns", "srv"};
    static char out[STORAGE_HOST_MAX + 64];
    struct storage_address address;
    struct err err = ERR_INIT;

    if (storage_address_parse(&address, sv_from(text), &err) != 0)
        return err.text[0] != '\0' ? "error" : "an error without a text";
    snprintf(out, sizeof(out), "%s%s %s %s", kinds[address.kind],
        address.is_ip ? " ip" : "", address.host, address.port);
    return out;
}

/* Texts of these characters, of which a few are addresses. */
static void
test_any(void)
{
    static const char letters[] = "a0.:[]+-_@/,*srvdn1";
    uint64_t state = 42;
    unsigned good = 0;
    bool is_right = true;

    for (unsigned i = 0; i < 200000; i++) {
        struct storage_address address, again;
        struct err err = ERR_INIT;
        char text[16], printed[STORAGE_HOST_MAX + 32];
        size_t len;

        state = state * 6364136223846793005u + 1442695040888963407u;
        len = (size_t)(state >> 60);
        for (size_t k = 0; k < len; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            text[k] = letters[(state >> 33) % (sizeof(letters) - 1)];
        }
        if (storage_address_parse(&address, sv_make(text, len), &err) != 0) {
            is_right = is_right && err.text[0] != '\0';
            continue;
        }
        good++;
        snprintf(printed, sizeof(printed), "%s%s%s%s%s%s",
            address.kind == STORAGE_DNS ? "dns+" :
            address.kind == STORAGE_SRV ? "srv+" : "",
            strchr(address.host, ':') != NULL ? "[" : "", address.host,
            strchr(address.host, ':') != NULL ? "]" : "",
            address.port[0] != '\0' ? ":" : "", address.port);
        is_right = is_right && storage_address_parse(&again,
            sv_from(printed), &err) == 0 &&
            memcmp(&again, &address, sizeof(again)) == 0;
    }
    ok(is_right, "what is parsed and printed is the same again");
    ok(good > 1000, "%u of 200000 texts are addresses", good);
}

int
main(void)
{
    char name[300];

    is_str(show("a"), "fixed a 10428", "a name");
    is_str(show("Node-1.Example.COM:80"), "fixed node-1.example.com 80",
        "small letters and a port");
    is_str(show("a.b."), "fixed a.b 10428", "an absolute name");
    is_str(show("_x.b:65535"), "fixed _x.b 65535", "the highest port");
    is_str(show("10.0.0.1"), "fixed ip 10.0.0.1 10428", "IPv4");
    is_str(show("[2001:db8::1]"), "fixed ip 2001:db8::1 10428", "IPv6");
    is_str(show("[::1]:7"), "fixed ip ::1 7", "IPv6 with a port");
    is_str(show("dns+a.b:7"), "dns a.b 7", "all addresses of a name");
    is_str(show("dns+a"), "dns a 10428", "with no port");
    is_str(show("srv+_s._tcp.a.b"), "srv _s._tcp.a.b ", "SRV records");

    memset(name, 'a', sizeof(name));
    name[253] = '\0';
    ok(strlen(show(name)) > 253, "a name of 253 bytes");
    name[253] = 'a';
    name[254] = '\0';
    is_str(show(name), "error", "a longer one");
    is_str(show("a:065535"), "error", "a port of six digits");
    is_str(show("a\tb"), "error", "a tab");
    is_str(show("a\x01"), "error", "an unprintable character");
    is_str(show("\xc3\xa4"), "error", "a letter of another alphabet");
    is_str(show("srv+"), "error", "SRV records of nothing");
    is_str(show("srv+dns+a"), "error", "two prefixes");
    is_str(show("[]:1"), "error", "no address in []");
    is_str(show("[::1]]"), "error", "two ]");
    test_any();
    return tap_done();
}
