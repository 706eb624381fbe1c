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

int
tls_client_ctx_new(SSL_CTX **out, const struct tls_client_conf *conf,
    struct err *err)
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

void
tls_client_ctx_free(SSL_CTX *ctx)
{
    SSL_CTX_free(ctx);
}
