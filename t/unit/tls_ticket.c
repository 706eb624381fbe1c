/* SPDX-License-Identifier: BSD-2-Clause */

/* Keys of session tickets under a clock of ours; two servers, one client. */

#include "core/base.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "core/sys.h"
#include "core/timefmt.h"
#include "event/tls_setup.h"
#include "event/tls_ticket.h"

#include "tap.h"

static int64_t now_ns;

static int64_t
IMPL(sys.mono_ns) fake_mono_ns(void)
{
    return now_ns;
}

static SSL_CTX *
server_new(EVP_PKEY *key, X509 *cert)
{
    SSL_CTX *ctx = tls_setup_new(true, NULL);

    (void)SSL_CTX_use_cert_and_key(ctx, cert, key, NULL, 1);
    (void)SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"a", 1);
    tls_ticket_use(ctx);
    return ctx;
}

static SSL_SESSION *newest;

static int
IMPL(SSL_CTX_sess_set_new_cb) on_session(UNUSED SSL *ssl,
    SSL_SESSION *session)
{
    SSL_SESSION_free(newest);
    newest = session;
    return 1;
}

/* One handshake in memory; whether the session was resumed. */
static bool
meet(SSL_CTX *server_ctx, SSL_CTX *client_ctx, SSL_SESSION *session)
{
    SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
    BIO *a, *b;
    /* OpenSSL's clients do not use one again that was renewed. */
    SSL_SESSION *copy = session == NULL ? NULL : SSL_SESSION_dup(session);
    bool is_resumed;
    char byte;

    (void)BIO_new_bio_pair(&a, 0, &b, 0);
    SSL_set_bio(server, a, a);
    SSL_set_bio(client, b, b);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    if (copy != NULL)
        (void)SSL_set_session(client, copy);
    SSL_SESSION_free(copy);
    for (int i = 0; i < 10; i++) {
        (void)SSL_do_handshake(client);
        (void)SSL_do_handshake(server);
    }
    (void)SSL_read(client, &byte, 1); /* tickets of TLS 1.3 */
    is_resumed = SSL_is_init_finished(server) &&
        SSL_session_reused(server) == 1;
    /* No call-back comes for renewed ones of TLS 1.2. */
    if (SSL_version(client) == TLS1_2_VERSION)
        (void)on_session(client, SSL_get1_session(client));
    if (!SSL_is_init_finished(server))
        ok(false, "the handshake ends");
    (void)SSL_shutdown(client);
    SSL_free(server);
    SSL_free(client);
    return is_resumed;
}

/* The begin of a ticket is the name of its key. */
static uint64_t
key_of(const SSL_SESSION *session)
{
    const unsigned char *ticket = NULL;
    uint64_t name = 0;
    size_t len = 0;

    SSL_SESSION_get0_ticket(session, &ticket, &len);
    if (len >= sizeof(name))
        memcpy(&name, ticket, sizeof(name));
    return name;
}

static void
rotate_after(int64_t ns, bool is_due)
{
    now_ns += ns;
    ok(tls_ticket_rotate() == is_due, "%s key after %lld minutes",
        is_due ? "a new" : "no", (long long)(ns / NS_PER_SEC / 60));
}

static void
test_version(SSL_CTX *one, SSL_CTX *two, int version)
{
    SSL_CTX *client = tls_setup_new(false, NULL);
    SSL_SESSION *first;

    SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT |
        SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client, on_session);
    (void)SSL_CTX_set_max_proto_version(client, version);
    ok(!meet(one, client, NULL), "the first time");
    ok(newest != NULL, "gives a session");
    first = newest;
    newest = NULL;
    ok(meet(one, client, first), "the same server resumes it");
    ok(meet(two, client, first), "and so does another");
    ok(newest != NULL, "with a new ticket");
    rotate_after(11 * 3600 * NS_PER_SEC, false);
    rotate_after(3600 * NS_PER_SEC, true);
    ok(meet(two, client, first), "a ticket of the key before is taken");
    ok(key_of(newest) != key_of(first), "and one of the new key is given");
    rotate_after(11 * 3600 * NS_PER_SEC, false);
    ok(meet(one, client, first), "for a whole period");
    rotate_after(3600 * NS_PER_SEC, true);
    ok(!meet(one, client, first), "but not after two");
    ok(meet(two, client, newest), "sessions since then are");
    rotate_after(25 * 3600 * NS_PER_SEC, true);
    ok(!meet(one, client, newest), "a long sleep counts as two periods");
    SSL_SESSION_free(first);
    SSL_SESSION_free(newest);
    newest = NULL;
    SSL_CTX_free(client);
}

int
main(void)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *cert = X509_new();
    struct err err = ERR_INIT;
    SSL_CTX *one, *two;

    now_ns = clock_mono_ns();
    sys.mono_ns = fake_mono_ns;
    (void)X509_set_version(cert, X509_VERSION_3);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    (void)X509_set_pubkey(cert, key);
    (void)X509_sign(cert, key, EVP_sha256());
    ok(tls_ticket_init(&err) == 0, "keys are made");
    ok(tls_ticket_init(&err) == 0, "once");
    ok(!tls_ticket_rotate(), "and are fresh");
    one = server_new(key, cert);
    two = server_new(key, cert);
    test_version(one, two, TLS1_2_VERSION);
    test_version(one, two, TLS1_3_VERSION);
    SSL_CTX_free(one);
    SSL_CTX_free(two);
    X509_free(cert);
    EVP_PKEY_free(key);
    return tap_done();
}
