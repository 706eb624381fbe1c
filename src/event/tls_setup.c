/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/tls_setup.h"

#include <arpa/inet.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "core/sb.h"
#include "core/sv.h"

/*
 * AES first: both sides have instructions for it; a client that has not says
 * so by what it names first (SSL_OP_PRIORITIZE_CHACHA).
 */
#define TLS_CIPHERS \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define TLS_SUITES_13 \
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:" \
    "TLS_CHACHA20_POLY1305_SHA256"
#define TLS_GROUPS "X25519:P-256:P-384:P-521"
/* A chain of a client: a few certificates of a few KiB. */
#define TLS_CHAIN_BYTES_MAX (32 * (long)KIB)

SSL_CTX *
tls_setup_new(bool is_server, struct err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(is_server ? TLS_server_method()
                                         : TLS_client_method());

    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx,
            TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, TLS_CIPHERS) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, TLS_SUITES_13) != 1 ||
        SSL_CTX_set1_groups_list(ctx, TLS_GROUPS) != 1) {
        err_set(err, ERR_SYSTEM, "OpenSSL: %s",
            ERR_reason_error_string(ERR_peek_error()));
        ERR_clear_error();
        SSL_CTX_free(ctx);
        return NULL;
    }
    /* A system's openssl.cnf may have set others. */
    SSL_CTX_clear_options(ctx, SSL_CTX_get_options(ctx) &
        (SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION |
            SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_ALLOW_NO_DHE_KEX |
            SSL_OP_NO_TICKET));
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
        SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
        SSL_OP_PRIORITIZE_CHACHA |
        /* HTTP knows by itself whether a message is whole. */
        SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_early_data(ctx, 0);
    SSL_CTX_set_max_cert_list(ctx, TLS_CHAIN_BYTES_MAX);
    return ctx;
}

/* --- names of suites --- */

static bool
cipher_is_good(const SSL_CIPHER *cipher)
{
    int kind = SSL_CIPHER_get_cipher_nid(cipher);
    int auth = SSL_CIPHER_get_auth_nid(cipher);

    if (kind != NID_aes_128_gcm && kind != NID_aes_256_gcm &&
        kind != NID_chacha20_poly1305)
        return false;
    return SSL_CIPHER_get_kx_nid(cipher) == NID_kx_ecdhe &&
        (auth == NID_auth_rsa || auth == NID_auth_ecdsa);
}

/* The suite of TLS 1.2 with OpenSSL's name, by asking a context for it. */
static bool
cipher_is_known(const char *name)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    STACK_OF(SSL_CIPHER) *ciphers;
    bool is_good = false;

    if (ctx != NULL && SSL_CTX_set_ciphersuites(ctx, "") == 1 &&
        SSL_CTX_set_cipher_list(ctx, name) == 1) {
        ciphers = SSL_CTX_get_ciphers(ctx);
        is_good = sk_SSL_CIPHER_num(ciphers) == 1 &&
            cipher_is_good(sk_SSL_CIPHER_value(ciphers, 0));
    }
    SSL_CTX_free(ctx);
    ERR_clear_error();
    return is_good;
}

static bool
is_separator(char c)
{
    return c == ';' || c == ':' || c == ',' || c == ' ';
}

/* One name goes to the list of its version; false: it is not offered. */
static bool
add_cipher(struct sv name, struct sb *of_12, struct sb *of_13)
{
    char text[64];
    const char *ours = text;
    struct sb *out = of_12;

    if (name.len >= sizeof(text))
        return false;
    snprintf(text, sizeof(text), "%.*s", SV_ARG(name));
    if (strstr(":" TLS_SUITES_13 ":", text) != NULL && strchr(text, '_')) {
        out = of_13;
    } else {
        if (strncmp(text, "TLS_", 4) == 0)
            ours = OPENSSL_cipher_name(text);
        if (!cipher_is_known(ours))
            return false;
    }
    sb_addf(out, "%s%s", out->len > 0 ? ":" : "", ours);
    return true;
}

int
tls_setup_ciphers(SSL_CTX *ctx, const char *names, struct err *err)
{
    const char *at = names;
    struct sb of_12, of_13;
    unsigned count = 0;
    int rc = 0;

    sb_init(&of_12, 4 * KIB);
    sb_init(&of_13, 4 * KIB);
    while (*at != '\0' && rc == 0) {
        size_t len = 0;

        while (at[len] != '\0' && !is_separator(at[len]))
            len++;
        if (len > 0 && (++count > TLS_CIPHERS_MAX ||
            !add_cipher(sv_make(at, len), &of_12, &of_13)))
            rc = err_set(err, ERR_INVALID, "the suite \"%.*s\" is not "
                "offered: there are TLS_ECDHE_{RSA,ECDSA}_WITH_"
                "{AES_128_GCM_SHA256,AES_256_GCM_SHA384,"
                "CHACHA20_POLY1305_SHA256} and those of TLS 1.3", (int)len,
                at);
        at += len + (at[len] != '\0');
    }
    if (rc == 0 && of_12.len > 0)
        rc = SSL_CTX_set_cipher_list(ctx, of_12.ptr) == 1 ? 0 : -1;
    if (rc == 0 && of_13.len > 0)
        rc = SSL_CTX_set_ciphersuites(ctx, of_13.ptr) == 1 ? 0 : -1;
    sb_release(&of_12);
    sb_release(&of_13);
    return rc;
}

bool
tls_setup_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    struct in6_addr address;

    if (inet_pton(AF_INET, host, &address) == 1 ||
        inet_pton(AF_INET6, host, &address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    X509_VERIFY_PARAM_set_hostflags(param,
        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, host) == 1 &&
        X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
}
