/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Addresses of storage nodes:
 *
 *   host[:port], [ipv6][:port], dns+host[:port], srv+name
 */

#include "core/base.h"
#include "core/conf_storage.h"

#include "core/conf_near.h"
#include "core/network.h"
#include "core/num.h"

/* A text that is quoted in messages. */
#define SHOW(text) (int)MIN((text).len, (size_t)100), (text).ptr

static const struct {
    struct sv prefix;
    enum storage_kind kind;
} kinds[] = {
    {{"dns+", 4}, STORAGE_DNS},
    {{"srv+", 4}, STORAGE_SRV},
};

static bool
is_ip(struct sv host)
{
    struct network network;

    return sv_find_byte(host, '/') == host.len &&
        network_parse(host, &network);
}

/* What people write in the place of an address. */
static int
refuse_urls(struct sv text, struct err *err)
{
    struct sv rest = text, scheme = SV_EMPTY;

    if (sv_find_byte(text, '@') < text.len)
        return err_set(err, ERR_INVALID, "must not have a user in it: "
            "\"username\" and \"password\" say who asks");
    for (size_t i = 0; i + 3 <= text.len; i++) {
        if (memcmp(text.ptr + i, "://", 3) == 0) {
            scheme = sv_sub(text, 0, i);
            rest = sv_sub(text, i + 3, text.len);
            break;
        }
    }
    if (sv_starts_with(text, SV("unix:")))
        return err_set(err, ERR_INVALID,
            "must be host:port: nodes are not asked by unix sockets");
    if (sv_find_byte(rest, '/') == rest.len && scheme.len == 0)
        return 0;
    rest = sv_sub(rest, 0, sv_find_byte(rest, '/'));
    return err_set(err, ERR_INVALID,
        "must be host:port and no URL: \"%.*s\" is meant%s?", SHOW(rest),
        sv_eq_nocase(scheme, SV("https")) ? ", with \"tls: true\"" : "");
}

/* "x+" at the start of text. */
static int
take_kind(struct sv *text, enum storage_kind *kind, struct err *err)
{
    size_t plus = sv_find_byte(*text, '+');
    struct conf_near near;

    *kind = STORAGE_FIXED;
    if (plus == text->len)
        return 0;
    conf_near_init(&near, sv_sub(*text, 0, plus + 1));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (sv_starts_with(*text, kinds[i].prefix)) {
            *text = sv_sub(*text, plus + 1, text->len);
            *kind = kinds[i].kind;
            return 0;
        }
        conf_near_offer(&near, kinds[i].prefix);
    }
    if (sv_starts_with(*text, SV("dnssrv")))
        near.best = SV("srv+");
    if (near.best.ptr == NULL)
        return err_set(err, ERR_INVALID, "knows dns+ and srv+, not \"%.*s\"",
            SHOW(sv_sub(*text, 0, plus + 1)));
    return err_set(err, ERR_INVALID,
        "knows dns+ and srv+, not \"%.*s\": \"%.*s%.*s\" is meant?",
        SHOW(sv_sub(*text, 0, plus + 1)), SV_ARG(near.best),
        SHOW(sv_sub(*text, plus + 1, text->len)));
}

/* Labels of letters, digits, '-' and '_', with single dots between. */
static bool
is_name(struct sv host)
{
    char before = '.';

    if (host.len == 0 || host.len >= STORAGE_HOST_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
            (c >= '0' && c <= '9') || c == '-' || c == '_';

        if (!is_letter && (c != '.' || before == '.'))
            return false;
        before = c;
    }
    return true;
}

/* "10.0.0.256" is an address with a mistake, not a name. */
static bool
is_all_digits(struct sv host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] != '.' && (host.ptr[i] < '0' || host.ptr[i] > '9'))
            return false;
    }
    return true;
}

static int
check_host(const struct storage_address *out, struct sv host, struct err *err)
{
    if (host.len == 0)
        return err_set(err, ERR_INVALID, "needs a host: write \"host:port\"");
    if (out->kind != STORAGE_FIXED && is_ip(host))
        return err_set(err, ERR_INVALID,
            "looks up names: \"%.*s\" is an address", SHOW(host));
    if (is_ip(host))
        return 0;
    if (is_all_digits(host) || !is_name(host))
        return err_set(err, ERR_INVALID,
            "must have a host name or an IP address, not \"%.*s\"",
            SHOW(host));
    return 0;
}

/* Cuts ":port" off; *port is empty where there is none. */
static int
take_port(struct sv *host, struct sv *port, struct err *err)
{
    size_t end = 0, colon;
    uint64_t number;

    *port = SV_EMPTY;
    if (host->len > 0 && host->ptr[0] == '[') {
        end = sv_find_byte(*host, ']');
        if (end == host->len || !is_ip(sv_sub(*host, 1, end - 1)) ||
            sv_find_byte(sv_sub(*host, 1, end - 1), ':') == end - 1)
            return err_set(err, ERR_INVALID,
                "must have an IPv6 address in [], not \"%.*s\"",
                SHOW(*host));
        end++;
    }
    colon = end + sv_find_byte(sv_sub(*host, end, host->len), ':');
    if (end == 0 && colon < host->len && is_ip(*host))
        return err_set(err, ERR_INVALID, "must have [] around an IPv6 "
            "address: \"[%.*s]:" STORAGE_PORT_DEFAULT "\" is meant?",
            SHOW(*host));
    if (end > 0 && end < host->len && colon != end)
        return err_set(err, ERR_INVALID,
            "must have only :port behind ], not \"%.*s\"", SHOW(*host));
    if (colon < host->len) {
        *port = sv_sub(*host, colon + 1, host->len);
        if (!num_parse_u64(*port, &number) || number == 0 ||
            number > UINT16_MAX || port->len > 5)
            return err_set(err, ERR_INVALID,
                "must have a port of 1..65535, not \"%.*s\"", SHOW(*port));
    }
    *host = end > 0 ? sv_sub(*host, 1, end - 2) : sv_sub(*host, 0, colon);
    return 0;
}

int
storage_address_parse(struct storage_address *out, struct sv text,
    struct err *err)
{
    struct sv host = text, port;

    memset(out, 0, sizeof(*out));
    if (text.len == 0)
        return err_set(err, ERR_INVALID, "must not have an empty address");
    for (size_t i = 0; i < text.len; i++) {
        if (strchr(", ;\t", text.ptr[i]) != NULL)
            return err_set(err, ERR_INVALID,
                "must have one node in each item, not \"%.*s\"", SHOW(text));
    }
    if (refuse_urls(text, err) != 0 || take_kind(&host, &out->kind, err) != 0)
        return -1;
    if (take_port(&host, &port, err) != 0 || check_host(out, host, err) != 0)
        return -1;
    if (out->kind == STORAGE_SRV && port.len > 0)
        return err_set(err, ERR_INVALID, "must have no port behind srv+: "
            "its records have it; \"srv+%.*s\" is meant?", SHOW(host));
    if (port.len == 0 && out->kind != STORAGE_SRV)
        port = SV(STORAGE_PORT_DEFAULT);
    out->is_ip = is_ip(host);
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];

        out->host[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    /* Names are absolute, with a dot at the end or without. */
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        out->host[host.len - 1] = '\0';
    memcpy(out->port, port.ptr, port.len);
    return 0;
}

bool
storage_address_is_local(const struct storage_address *address)
{
    return strcmp(address->host, "localhost") == 0 ||
        strcmp(address->host, "::1") == 0 ||
        (address->is_ip && strncmp(address->host, "127.", 4) == 0);
}
