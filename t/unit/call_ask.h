/* SPDX-License-Identifier: BSD-2-Clause */

/* One call after the other to one server (call_server.h) without TLS. */

#ifndef SPOOR_UNIT_CALL_ASK_H
#define SPOOR_UNIT_CALL_ASK_H

#include "core/base.h"

#include "core/sb.h"

#include "call_server.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: "

static struct server server;
static struct http_peer *peer;
static struct sb body;
static int enough_at, fail_at; /* calls of on_data; 0: never */
static int ndata;

static int
IMPL(http_call_data_fn) on_data(void *arg, struct sv data, struct err *err)
{
    sb_add_sv(arg, data);
    ndata++;
    if (ndata == fail_at)
        return err_set(err, ERR_CORRUPT, "the reader says no");
    return ndata == enough_at;
}

static struct http_call_conf
conf_of(const char *method, struct sv data)
{
    return (struct http_call_conf){.method = method, .target = "/x?y=1",
        .body = data, .on_data = on_data, .arg = &body,
        .connect_ns = 5 * NS_PER_SEC, .send_ns = 5 * NS_PER_SEC,
        .answer_ns = 5 * NS_PER_SEC, .idle_ns = 5 * NS_PER_SEC};
}

static struct http_call_result result;
static char text[CALL_TEXT_MAX + 1];

/* One call of the peer; the result's text is copied. */
static int
call_with(const struct http_call_conf *conf, struct err *err)
{
    struct http_call *call = http_call_new(peer, conf);
    int rc;

    sb_reset(&body);
    ndata = 0;
    rc = drive(call, err);
    http_call_result(call, &result);
    snprintf(text, sizeof(text), "%.*s", SV_ARG(result.text));
    http_call_free(call);
    return rc;
}

static void
begin(const struct play *play)
{
    server_begin(&server, play, NULL);
    peer = peer_at(server.port, NULL);
}

static void
end(void)
{
    http_peer_release(peer);
    server_end(&server);
}

#endif
