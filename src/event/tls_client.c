/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/tls_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "core/mem.h"
#include "event/tls_cert.h"
#include "event/tls_file.h"
#include "event/tls_setup.h"

static int
show_certificate(SSL_CTX *ctx, const struct tls_client_conf *conf,
    struct err *err)
{
    struct tls_cert cert = {
        .file = xstrdup(conf->cert_file),
        .key_file = xstrdup(conf->key_file != NULL ? conf->key_file
                                                   : conf->cert_file),
    };
    int rc = tls_cert_load(&cert, err);

    if (rc == 0 && SSL_CTX_use_cert_and_key(ctx, cert.leaf, cert.key,
            cert.chain, 1) != 1)
        rc = err_set(err, ERR_INVALID, "%s: %s", cert.file,
            ERR_reason_error_string(ERR_peek_last_error()));
    ERR_clear_error();
    tls_cert_release(&cert);
    return rc;
}

static int
ctx_read(SSL_CTX **out, const struct tls_client_conf *conf, struct err *err)
{
    static const unsigned char protocols[] = "\x8http/1.1";
    SSL_CTX *ctx = tls_setup_new(false, err);
    int rc = 0;

    if (ctx == NULL)
        return -1;
    SSL_CTX_set_verify(ctx, conf->is_insecure ? SSL_VERIFY_NONE
                                              : SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_alpn_protos(ctx, protocols, sizeof(protocols) - 1);
    if (conf->ca_file != NULL)
        rc = tls_file_authorities(conf->ca_file, ctx, NULL, err);
    else if (!conf->is_insecure)
        (void)SSL_CTX_set_default_verify_paths(ctx);
    if (rc == 0 && conf->cert_file != NULL)
        rc = show_certificate(ctx, conf, err);
    if (rc != 0) {
        SSL_CTX_free(ctx);
        return -1;
    }
    *out = ctx;
    return 0;
}

/* --- what the master has read --- */

static struct prepared {
    struct tls_client_conf conf; /* texts are its own; no server_name */
    SSL_CTX *ctx;
} prepared[TLS_CLIENT_PREPARED_MAX];
static unsigned nprepared;

static bool
is_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static SSL_CTX *
find_prepared(const struct tls_client_conf *conf)
{
    for (unsigned i = 0; i < nprepared; i++) {
        const struct tls_client_conf *other = &prepared[i].conf;

        if (is_same(conf->ca_file, other->ca_file) &&
            is_same(conf->cert_file, other->cert_file) &&
            is_same(conf->key_file, other->key_file) &&
            conf->is_insecure == other->is_insecure)
            return prepared[i].ctx;
    }
    return NULL;
}

static const char *
copy_of(const char *text)
{
    return text != NULL ? xstrdup(text) : NULL;
}

int
tls_client_prepare(const struct tls_client_conf *conf, struct err *err)
{
    struct prepared *next;

    if (find_prepared(conf) != NULL)
        return 0;
    if (nprepared == TLS_CLIENT_PREPARED_MAX)
        return err_set(err, ERR_LIMIT, "more than %u sets of files",
            TLS_CLIENT_PREPARED_MAX);
    next = &prepared[nprepared];
    if (ctx_read(&next->ctx, conf, err) != 0)
        return -1;
    next->conf = (struct tls_client_conf){
        .ca_file = copy_of(conf->ca_file),
        .cert_file = copy_of(conf->cert_file),
        .key_file = copy_of(conf->key_file),
        .is_insecure = conf->is_insecure,
    };
    nprepared++;
    return 0;
}

void
tls_client_forget(void)
{
    while (nprepared > 0) {
        struct prepared *last = &prepared[--nprepared];

        SSL_CTX_free(last->ctx);
        xfree((char *)(uintptr_t)last->conf.ca_file);
        xfree((char *)(uintptr_t)last->conf.cert_file);
        xfree((char *)(uintptr_t)last->conf.key_file);
        memset(last, 0, sizeof(*last));
    }
}

/* --- for whoever asks --- */

int
tls_client_ctx_new(SSL_CTX **out, const struct tls_client_conf *conf,
    struct err *err)
{
    SSL_CTX *ctx = find_prepared(conf);

    if (ctx == NULL)
        return ctx_read(out, conf, err);
    (void)SSL_CTX_up_ref(ctx);
    *out = ctx;
    return 0;
}

void
tls_client_ctx_free(SSL_CTX *ctx)
{
    SSL_CTX_free(ctx);
}
