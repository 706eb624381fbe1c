/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Calls (call.h) of one peer, one after the other, each waited for.  The
 * peer's addresses are looked up before the first and after each failure.
 */

#include "core/base.h"
#include "http/client.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>

#include "core/assert.h"
#include "core/mem.h"
#include "core/timefmt.h"
#include "http/call_state.h"
#include "http/url.h"

#define CLIENT_MAGIC 0x544e4c43u /* "CLNT" */

/* A signal between a look at `cancel` and poll() is seen after it. */
#define CLIENT_POLL_MS 500

struct http_client {
    uint32_t magic;
    bool has_addresses;
    struct http_peer *peer;
    struct url url;
    int64_t timeout_ns;
    char *authorization; /* NULL: none */
    char content_type[256]; /* of the last reply */
    /* Of the present request. */
    struct http_call *call;
    struct http_client_reply *reply;
};

void
http_client_set_authorization(struct http_client *client, const char *value)
{
    xfree(client->authorization);
    client->authorization = xstrdup(value);
}

/* --- making one --- */

static const struct tls_client_conf *tls_default;

void
http_client_set_tls(const struct tls_client_conf *tls)
{
    tls_default = tls;
}

int
http_client_new(struct http_client **out, const char *url, int64_t timeout_ns,
    struct err *err)
{
    static const struct tls_client_conf none;

    return http_client_new_tls(out, url, timeout_ns,
        tls_default != NULL ? tls_default : &none, err);
}

int
http_client_new_tls(struct http_client **out, const char *url,
    int64_t timeout_ns, const struct tls_client_conf *tls, struct err *err)
{
    struct http_client *client = xcalloc(1, sizeof(*client));
    struct http_peer_conf conf = {.tls = *tls};

    check(timeout_ns > 0);
    client->magic = CLIENT_MAGIC;
    client->timeout_ns = timeout_ns;
    *out = NULL;
    if (url_split(&client->url, sv_from(url), err) != 0)
        goto failed;
    conf.host = client->url.host;
    conf.port = client->url.port;
    conf.has_tls = client->url.has_tls;
    if (http_peer_new(&client->peer, &conf, err) != 0)
        goto failed;
    *out = client;
    return 0;
failed:
    http_client_free(client);
    return -1;
}

void
http_client_free(struct http_client *client)
{
    if (client == NULL)
        return;
    OBJ_CHECK(client, CLIENT_MAGIC);
    http_peer_release(client->peer);
    url_release(&client->url);
    xfree(client->authorization);
    client->magic = 0;
    xfree(client);
}

/* --- one request --- */

static int
look_up(struct http_client *client, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    struct sockaddr_storage addresses[PEER_ADDRESSES_MAX];
    unsigned n = 0;
    int status;

    if (client->has_addresses)
        return 0;
    status = getaddrinfo(client->url.host, client->url.port, &hints, &list);
    if (status != 0)
        return err_set(err, ERR_NOT_FOUND, "%s: %s", client->url.host,
            gai_strerror(status));
    for (const struct addrinfo *to = list;
         to != NULL && n < PEER_ADDRESSES_MAX; to = to->ai_next)
        memcpy(&addresses[n++], to->ai_addr,
            MIN(sizeof(addresses[0]), (size_t)to->ai_addrlen));
    freeaddrinfo(list);
    http_peer_set_addresses(client->peer, addresses, n);
    client->has_addresses = true;
    return 0;
}

static int
look_at_cancel(const struct http_client *client, struct err *err)
{
    const struct http_client_reply *reply = client->reply;

    return reply->cancel == NULL || *reply->cancel == 0 ? 0
        : err_set(err, ERR_CANCELLED, "interrupted");
}

static void
IMPL(call_head_fn) take_head(void *arg, const struct h1_head *head,
    const char *buf)
{
    struct http_client *client = arg;

    client->reply->status = head->status;
    for (uint32_t i = 0; i < head->nfields; i++) {
        struct sv name = h1_span_sv(head->fields[i].name, buf);
        struct sv value = h1_span_sv(head->fields[i].value, buf);

        if (sv_eq(name, SV("content-type")))
            snprintf(client->content_type, sizeof(client->content_type),
                "%.*s", SV_ARG(value));
        if (sv_eq(name, SV("spoor-partial")))
            client->reply->is_partial = sv_eq(value, SV("true"));
    }
}

static int
IMPL(http_call_data_fn) take_data(void *arg, struct sv data, struct err *err)
{
    struct http_client *client = arg;
    struct http_client_reply *reply = client->reply;

    /* From a fast server there is always something to read. */
    if (look_at_cancel(client, err) != 0)
        return -1;
    if (reply->on_data != NULL && client->call->status == 200) {
        client->call->conf.deadline_ns = reply->is_endless ? 0
            : clock_mono_ns() + client->timeout_ns;
        return reply->on_data(reply->arg, data, err);
    }
    sb_add_sv(&reply->body, data);
    if (sb_failed(&reply->body))
        return err_set(err, ERR_LIMIT, "%s: the reply is too large",
            client->url.authority);
    return 0;
}

static int
wait_for_call(const struct http_client *client, struct err *err)
{
    struct pollfd pfd;
    int64_t wake_ns, left_ns;

    if (look_at_cancel(client, err) != 0)
        return -1;
    http_call_wants(client->call, &pfd, &wake_ns);
    left_ns = MAX(wake_ns - clock_mono_ns(), 0);
    if (poll(&pfd, 1, (int)MIN(left_ns / NS_PER_MS + (left_ns > 0),
            client->reply->cancel != NULL ? CLIENT_POLL_MS : INT_MAX)) < 0 &&
        errno != EINTR)
        return err_sys(err, "poll");
    return 0;
}

int
http_client_do(struct http_client *client, const struct http_client_req *req,
    struct http_client_reply *reply, struct err *err)
{
    struct client_request request = {req->method, client->url.authority,
        client->url.prefix, req->target, "spoorctl", req->content_type,
        req->content_encoding, client->authorization, req->headers,
        req->body.len};
    struct http_call_conf conf = {.method = req->method, .body = req->body,
        .on_data = take_data, .arg = client};
    struct http_call_result result;
    int rc;

    OBJ_CHECK(client, CLIENT_MAGIC);
    if (look_up(client, err) != 0)
        return -1;
    client->reply = reply;
    client->content_type[0] = '\0';
    reply->status = 0;
    reply->is_partial = false;
    sb_reset(&reply->body);
    conf.deadline_ns = clock_mono_ns() + client->timeout_ns;
    client->call = http_call_new(client->peer, &conf);
    client->call->request_of = &request;
    client->call->on_head = take_head;
    while ((rc = http_call_step(client->call, err)) == 0 &&
        (rc = wait_for_call(client, err)) == 0)
        continue;
    http_call_result(client->call, &result);
    http_call_free(client->call);
    client->has_addresses = rc > 0;
    reply->retry_after_sec = result.retry_after_sec;
    reply->content_type = sv_from(client->content_type);
    return MIN(rc, 0);
}
