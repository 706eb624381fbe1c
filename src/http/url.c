/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "http/url.h"

#include "core/mem.h"
#include "core/num.h"

int
url_split(struct url *out, struct sv text, struct err *err)
{
    struct sv rest, authority, host, port = SV("80");
    uint64_t number;
    size_t end;

    out->has_tls = sv_starts_with(text, SV("https://"));
    if (out->has_tls)
        port = SV("443");
    else if (!sv_starts_with(text, SV("http://")))
        return err_set(err, ERR_INVALID, "URL %.*s: it must begin with "
            "http:// or https://", SV_ARG(text));
    rest = sv_sub(text, out->has_tls ? 8 : 7, text.len);
    end = sv_find_byte(rest, '/');
    authority = sv_sub(rest, 0, end);
    /* Not shown: it may hold a password. */
    if (sv_find_byte(authority, '@') < authority.len)
        return err_set(err, ERR_INVALID, "a URL has no user and no password "
            "here (spoorctl: --user, --password-file)");
    host = authority;
    if (authority.len > 0 && authority.ptr[0] == '[') {
        end = sv_find_byte(authority, ']');
        if (end < authority.len)
            host = sv_sub(authority, 1, end - 1);
        else
            host = SV_EMPTY;
        end = MIN(end + 1, authority.len);
    } else {
        end = sv_find_byte(authority, ':');
        host = sv_sub(authority, 0, end);
    }
    if (end < authority.len)
        port = sv_sub(authority, end + 1, authority.len);
    if (host.len == 0 || (end < authority.len && authority.ptr[end] != ':') ||
        !num_parse_u64(port, &number) || number == 0 || number > 65535)
        return err_set(err, ERR_INVALID, "URL %.*s: host or port is malformed",
            SV_ARG(text));
    rest = sv_sub(rest, authority.len, rest.len);
    while (sv_ends_with(rest, SV("/")))
        rest.len--;
    out->host = xmemdup0(host.ptr, host.len);
    out->port = xmemdup0(port.ptr, port.len);
    out->authority = xmemdup0(authority.ptr, authority.len);
    out->prefix = xmemdup0(rest.ptr, rest.len);
    return 0;
}

void
url_release(struct url *url)
{
    xfree(url->host);
    xfree(url->port);
    xfree(url->authority);
    xfree(url->prefix);
    memset(url, 0, sizeof(*url));
}
