/* SPDX-License-Identifier: BSD-2-Clause */

/* Calls over TLS: whom they trust, what they show, what breaks. */

#include "core/base.h"

#include <signal.h>

#include "core/sb.h"

#include "call_server.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: "

static char dir[] = "/tmp/spoor-call-tls-XXXXXX";
static struct server server;
static struct sb body;
static struct http_call_result result;
static char large[20 * MIB];

/* One of 16 buffers. */
static const char *
path(const char *name)
{
    static char texts[16][256];
    static unsigned next;
    char *out = texts[next++ % 16];

    snprintf(out, sizeof(texts[0]), "%s/%s", dir, name);
    return out;
}

static void
make_certs(void)
{
    static const char *const lines =
        "name=ca ca=1\n"
        "name=other ca=1\n"
        "name=good san=DNS:node.test,IP:127.0.0.1 issuer=ca eku=server\n"
        "name=foreign san=DNS:node.test issuer=other eku=server\n"
        "name=elsewhere san=DNS:elsewhere.test issuer=ca eku=server\n"
        "name=expired san=DNS:node.test issuer=ca eku=server from=-9 to=-1\n"
        "name=early san=DNS:node.test issuer=ca eku=server from=1 to=9\n"
        "name=client cn=front issuer=ca eku=client\n"
        "name=stranger cn=front issuer=other eku=client\n"
        "name=old cn=front issuer=ca eku=client from=-9 to=-1\n";
    const char *objdir = getenv("SPOOR_OBJDIR");
    char command[512];
    FILE *tool;

    if (mkdtemp(dir) == NULL)
        bail_out("no directory");
    snprintf(command, sizeof(command), "%s/t/helper/make_certs %s",
        objdir != NULL ? objdir : "objs", dir);
    tool = popen(command, "w");
    if (tool == NULL || fputs(lines, tool) < 0 || pclose(tool) != 0)
        bail_out("make_certs");
}

static void
remove_certs(void)
{
    char command[512];

    snprintf(command, sizeof(command), "rm -r %s", dir);
    if (system(command) != 0)
        diag("%s is left", dir);
}

/* Clients must show a certificate of this authority; NULL: none has to. */
static SSL_CTX *
server_tls(const char *name, const char *clients)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    char cert[64], key[64];

    snprintf(cert, sizeof(cert), "%s.pem", name);
    snprintf(key, sizeof(key), "%s.key", name);
    if (SSL_CTX_use_certificate_chain_file(ctx, path(cert)) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, path(key), SSL_FILETYPE_PEM) != 1)
        bail_out(name);
    if (clients != NULL) {
        SSL_CTX_load_verify_locations(ctx, path(clients), NULL);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER |
            SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return ctx;
}

static struct http_peer *
peer_named(const char *host, const struct tls_client_conf *tls)
{
    struct http_peer_conf conf = {.host = host, .has_tls = true,
        .tls = *tls, .authorization = "Bearer token-of-the-peer"};
    struct http_peer *peer = peer_at(server.port, &conf);
    struct sockaddr_storage address = {.ss_family = AF_INET};

    ((struct sockaddr_in *)&address)->sin_addr.s_addr =
        htonl(INADDR_LOOPBACK);
    http_peer_set_addresses(peer, &address, 1);
    return peer;
}

static int
IMPL(http_call_data_fn) on_data(void *arg, struct sv data,
    UNUSED struct err *err)
{
    sb_add_sv(arg, data);
    return 0;
}

static int
call(struct http_peer *peer, struct sv data, struct err *err)
{
    struct http_call_conf conf = {.method = "POST", .target = "/",
        .body = data, .on_data = on_data, .arg = &body,
        .connect_ns = 5 * NS_PER_SEC, .send_ns = 5 * NS_PER_SEC,
        .answer_ns = 5 * NS_PER_SEC, .idle_ns = 5 * NS_PER_SEC};
    struct http_call *one = http_call_new(peer, &conf);
    int rc;

    sb_reset(&body);
    rc = drive(one, err);
    http_call_result(one, &result);
    http_call_free(one);
    return rc;
}

/* --- trust --- */

struct trust {
    const char *name;
    const char *cert;    /* the server's */
    const char *clients; /* authority that clients need */
    const char *host;
    const char *ca;
    const char *server_name;
    const char *client;
    bool is_insecure;
    const char *error;   /* a piece of it; NULL: it is accepted */
};

static const struct trust trusts[] = {
    {"the right authority", "good", 0, "node.test", "ca.pem", 0, 0, 0, 0},
    {"an address", "good", 0, "127.0.0.1", "ca.pem", 0, 0, 0, 0},
    {"another authority", "foreign", 0, "node.test", "ca.pem", 0, 0, 0,
        "certificate verify failed"},
    {"the system's authorities", "good", 0, "node.test", 0, 0, 0, 0,
        "certificate verify failed"},
    {"another name", "elsewhere", 0, "node.test", "ca.pem", 0, 0, 0,
        "hostname mismatch"},
    {"a server name", "elsewhere", 0, "node.test", "ca.pem",
        "elsewhere.test", 0, 0, 0},
    {"a wrong server name", "good", 0, "node.test", "ca.pem", "b.test", 0, 0,
        "hostname mismatch"},
    {"expired", "expired", 0, "node.test", "ca.pem", 0, 0, 0, "expired"},
    {"not yet valid", "early", 0, "node.test", "ca.pem", 0, 0, 0,
        "not yet valid"},
    {"not verified", "foreign", 0, "other.test", 0, 0, 0, true, 0},
    {"a client", "good", "ca.pem", "node.test", "ca.pem", 0, "client", 0, 0},
    {"no client certificate", "good", "ca.pem", "node.test", "ca.pem", 0, 0,
        0, "certificate required"},
    {"a stranger", "good", "ca.pem", "node.test", "ca.pem", 0, "stranger", 0,
        "unknown ca"},
    {"an expired client", "good", "ca.pem", "node.test", "ca.pem", 0, "old",
        0, "expired"},
};

static void
check_trust(const struct trust *trust, int version)
{
    static const struct play play[] = {
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, OK_HEAD "2\r\n\r\nok", 0},
        {UNTIL, 0, 0}, {END, 0, 0},
    };
    static const struct play refuses[] = {{ACCEPT, 0, 0}, {END, 0, 0}};
    SSL_CTX *ctx = server_tls(trust->cert, trust->clients);
    struct tls_client_conf tls = {.server_name = trust->server_name,
        .is_insecure = trust->is_insecure};
    struct http_peer *peer;
    struct err err = ERR_INIT;
    char cert[64], key[64];

    if (trust->ca != NULL)
        tls.ca_file = path(trust->ca);
    if (trust->client != NULL) {
        snprintf(cert, sizeof(cert), "%s.pem", trust->client);
        snprintf(key, sizeof(key), "%s.key", trust->client);
        tls.cert_file = path(cert);
        tls.key_file = path(key);
    }
    SSL_CTX_set_max_proto_version(ctx, version);
    server_begin(&server, trust->error != NULL ? refuses : play, ctx);
    peer = peer_named(trust->host, &tls);
    is_int(call(peer, SV("spans"), &err), trust->error != NULL ? -1 : 1,
        "%s", trust->name);
    if (trust->error != NULL) {
        is_int(err.code, ERR_SYSTEM, "%s", err.text);
        ok(strstr(err.text, trust->error) != NULL, "that says why");
        ok(strstr(err.text, http_peer_name(peer)) != NULL, "and where");
        is_int(result.fate, CALL_NOT_SENT, "nothing is done");
    } else {
        is_int(result.status, 200, "an answer: %s", err.text);
        ok(strstr(server.seen, "\r\nAuthorization: Bearer token-of-the-peer"
            "\r\n") != NULL, "with the credentials");
    }
    http_peer_release(peer);
    server_end(&server);
    SSL_CTX_free(ctx);
}

static void
test_bad_files(void)
{
    struct http_peer_conf conf = {.host = "a", .port = "1", .has_tls = true};
    struct http_peer *peer;
    struct err err = ERR_INIT;

    conf.tls.ca_file = path("missing.pem");
    is_int(http_peer_new(&peer, &conf, &err), -1, "no file of authorities");
    ok(strstr(err.text, "missing.pem") != NULL, "%s", err.text);
    conf.tls.ca_file = path("ca.pem");
    conf.tls.cert_file = path("client.pem");
    conf.tls.key_file = path("good.key");
    is_int(http_peer_new(&peer, &conf, &err), -1, "another's key");
    ok(strstr(err.text, "client.pem") != NULL ||
        strstr(err.text, "good.key") != NULL, "%s", err.text);
}

/* --- the same calls as without TLS --- */

static void
test_calls(void)
{
    static const struct play play[] = {
        {ACCEPT, 0, 0},
        {REQUEST, 0, 0}, {SAY, OK_HEAD "2\r\n\r\nok", 0},
        {REQUEST, 0, 0}, {SLICES, "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
            "chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", 1},
        /* Refused while it is sent. */
        {HEAD, 0, 0}, {TAKE, 0, 100000},
        {SAY, "HTTP/1.1 413 x\r\nContent-Length: 3\r\n\r\nbig", 0},
        {REST_MS, 0, 50},
        /* Broken while it is sent, in a new connection. */
        {ACCEPT, 0, 0}, {HEAD, 0, 0}, {TAKE, 0, 100000}, {RESET, 0, 0},
        /* Closed while idle. */
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, OK_HEAD "1\r\n\r\na", 0},
        {CLOSE, 0, 0},
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, OK_HEAD "1\r\n\r\nb", 0},
        /* Closed after the next request. */
        {REQUEST, 0, 0}, {CLOSE, 0, 0}, {END, 0, 0},
    };
    SSL_CTX *ctx = server_tls("good", NULL);
    struct tls_client_conf tls = {.ca_file = path("ca.pem")};
    struct http_peer *peer;
    struct err err = ERR_INIT;

    server_begin(&server, play, ctx);
    peer = peer_named("node.test", &tls);
    is_int(call(peer, sv_make(large, sizeof(large)), &err), 1,
        "a large body: %s", err.text);
    is_int(server.bodies, sizeof(large), "all of it");
    is_int(call(peer, SV("x"), &err), 1, "single bytes");
    is_str(body.ptr, "abcde", "together");
    is_int(server.naccepted, 1, "one connection");
    is_int(call(peer, sv_make(large, sizeof(large)), &err), 1, "refused");
    is_int(result.status, 413, "status");
    is_int(result.fate, CALL_NOT_SENT, "before all was sent");
    is_int(call(peer, sv_make(large, sizeof(large)), &err), -1, "broken");
    is_int(result.fate, CALL_NOT_SENT, "before all was sent: %s", err.text);
    is_int(call(peer, SV("x"), &err), 1, "a new connection");
    usleep(50000);
    is_int(call(peer, SV("x"), &err), 1, "closed while idle: a new one");
    is_str(body.ptr, "b", "answered");
    is_int(call(peer, SV("x"), &err), -1, "closed after the request");
    is_int(result.fate, CALL_MAYBE_DONE, "it may be done: %s", err.text);
    http_peer_release(peer);
    server_end(&server);
    SSL_CTX_free(ctx);
}

/* No TLS there, and a server that never shakes hands. */
static void
test_no_tls(void)
{
    static const struct play plain[] = {{ACCEPT, 0, 0},
        {SAY, "HTTP/1.1 400 x\r\n\r\n", 0}, {UNTIL, 0, 0}, {END, 0, 0}};
    static const struct play silent[] = {{ACCEPT, 0, 0}, {UNTIL, 0, 0},
        {END, 0, 0}};
    struct tls_client_conf tls = {.ca_file = path("ca.pem")};
    struct http_call_conf conf = {.method = "POST", .target = "/",
        .body = SV("x"), .connect_ns = 150 * MS};
    struct http_call *one;
    struct http_peer *peer;
    struct err err = ERR_INIT;

    server_begin(&server, plain, NULL);
    peer = peer_named("node.test", &tls);
    is_int(call(peer, SV("x"), &err), -1, "no TLS");
    is_int(result.fate, CALL_NOT_SENT, "%s", err.text);
    http_peer_release(peer);
    server_end(&server);
    server_begin(&server, silent, NULL);
    peer = peer_named("node.test", &tls);
    one = http_call_new(peer, &conf);
    is_int(drive(one, &err), -1, "silent");
    is_int(err.code, ERR_TIMEOUT, "%s", err.text);
    http_call_free(one);
    http_peer_release(peer);
    server_end(&server);
}

int
main(void)
{
    signal(SIGPIPE, SIG_IGN);
    make_certs();
    sb_init(&body, MIB);
    for (size_t i = 0; i < ARRAY_LEN(trusts); i++) {
        check_trust(&trusts[i], TLS1_3_VERSION);
        /* The alert of 1.2 has another name. */
        if (trusts[i].error == NULL || trusts[i].clients == NULL)
            check_trust(&trusts[i], TLS1_2_VERSION);
    }
    test_bad_files();
    test_calls();
    test_no_tls();
    sb_release(&body);
    remove_certs();
    return tap_done();
}
