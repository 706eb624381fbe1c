/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Which certificate a client gets: of those that are good for the name it
 * asks for, the first with each kind of key, so that OpenSSL has the choice
 * between ECDSA and RSA; an exact name counts before one with a wildcard.
 * Without a name, or when none is good, the first of the list and those with
 * another kind of key and the same first name.
 */

#include "core/base.h"
#include "event/tls_listener.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "core/mem.h"
#include "core/sv.h"
#include "event/tls_cert.h"
#include "event/tls_file.h"
#include "event/tls_name.h"
#include "event/tls_setup.h"
#include "event/tls_ticket.h"

/* What is served over a connection, by preference, as in ALPN. */
static const struct {
    const char *name;
    unsigned len;
} protocols[] = {{"h2", 2}, {"http/1.1", 8}, {"http/1.0", 8}};

/* --- questions of OpenSSL in a handshake --- */

/* RFC 7301, 3.2: without one in common the handshake fails. */
static int
IMPL(SSL_CTX_alpn_select_cb_func) on_protocols(UNUSED SSL *ssl,
    const unsigned char **out, unsigned char *out_len,
    const unsigned char *list, unsigned len, UNUSED void *arg)
{
    for (unsigned i = 0; i < ARRAY_LEN(protocols); i++) {
        for (unsigned at = 0; at < len; at += 1 + list[at]) {
            if (list[at] != protocols[i].len || len - at - 1 < list[at] ||
                memcmp(list + at + 1, protocols[i].name, list[at]) != 0)
                continue;
            *out = list + at + 1;
            *out_len = list[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int
IMPL(SSL_CTX_set_cert_cb) on_certificate(SSL *ssl, void *arg)
{
    const struct tls_listener *listener = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct tls_cert *chosen[TLS_CERT_KINDS];
    bool is_first = true;

    /* What the context has is right for these. */
    if (name == NULL || listener->ncerts == 1 ||
        !tls_cert_choose(listener, name, chosen))
        return 1;
    for (unsigned i = 0; i < TLS_CERT_KINDS; i++) {
        if (chosen[i] == NULL)
            continue;
        if (is_first)
            SSL_certs_clear(ssl);
        is_first = false;
        if (SSL_use_cert_and_key(ssl, chosen[i]->leaf, chosen[i]->key,
                chosen[i]->chain, 1) != 1)
            return 0;
    }
    return 1;
}

/* --- making one --- */

char *
tls_listener_part(const char *text, unsigned n)
{
    struct sv rest = sv_from(text), part;

    while (sv_split(&rest, ';', &part)) {
        part = sv_trim(part);
        if (part.len > 0 && n-- == 0)
            return xmemdup0(part.ptr, part.len);
    }
    return NULL;
}

static int
add_certs(struct tls_listener *self, const struct conf_listener *conf,
    struct err *err)
{
    const char *certs = conf->certs != NULL ? conf->certs : "";
    const char *keys = conf->keys != NULL ? conf->keys : "";
    char *file;

    while ((file = tls_listener_part(certs, self->ncerts)) != NULL) {
        struct tls_cert *cert = &self->certs[self->ncerts];

        if (self->ncerts == TLS_CERTS_MAX) {
            xfree(file);
            return err_set(err, ERR_LIMIT, "%s: more than %d certificates",
                self->address, TLS_CERTS_MAX);
        }
        cert->file = file;
        cert->key_file = tls_listener_part(keys, self->ncerts);
        self->ncerts++;
        if (cert->key_file == NULL)
            return err_set(err, ERR_INVALID, "%s: no key is named for it",
                file);
        if (tls_cert_load(cert, err) != 0)
            return -1;
    }
    if (self->ncerts == 0)
        return err_set(err, ERR_INVALID, "%s: TLS needs a certificate and "
            "its key", self->address);
    file = tls_listener_part(keys, self->ncerts);
    if (file != NULL)
        err_set(err, ERR_INVALID, "%s: no certificate is named for this key",
            file);
    xfree(file);
    return file != NULL ? -1 : 0;
}

/* The default: what clients without a name get. */
static int
use_certs(struct tls_listener *self, struct err *err)
{
    const struct tls_cert *chosen[TLS_CERT_KINDS];

    tls_cert_default(self, chosen);
    for (unsigned i = 0; i < TLS_CERT_KINDS; i++) {
        const struct tls_cert *cert = chosen[i];

        if (cert != NULL && SSL_CTX_use_cert_and_key(self->ctx, cert->leaf,
                cert->key, cert->chain, 1) != 1) {
            err_set(err, ERR_INVALID, "%s: %s", cert->file,
                ERR_reason_error_string(ERR_peek_last_error()));
            ERR_clear_error();
            return -1;
        }
    }
    SSL_CTX_set_cert_cb(self->ctx, on_certificate, self);
    return 0;
}

static int
add_names(struct tls_listener *self, const char *names, struct err *err)
{
    char *name;

    while ((name = tls_listener_part(names, self->nnames)) != NULL) {
        self->names = xrealloc(self->names,
            (self->nnames + 1) * sizeof(*self->names));
        self->names[self->nnames++] = name;
        if (self->nnames > TLS_ACCEPTED_MAX)
            return err_set(err, ERR_LIMIT, "%s: more than %d accepted names",
                self->address, TLS_ACCEPTED_MAX);
    }
    return 0;
}

/*
 * Sessions are only resumed under the same rules for clients: these are what
 * the context of a session is made of.
 */
static void
set_rules(struct tls_listener *self, const uint8_t *authorities)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    (void)EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    (void)EVP_DigestUpdate(hash, "spoor", sizeof("spoor"));
    if (self->has_mtls)
        (void)EVP_DigestUpdate(hash, authorities, 32);
    for (unsigned i = 0; i < self->nnames; i++)
        (void)EVP_DigestUpdate(hash, self->names[i],
            strlen(self->names[i]) + 1);
    (void)EVP_DigestFinal_ex(hash, digest, &len);
    EVP_MD_CTX_free(hash);
    (void)SSL_CTX_set_session_id_context(self->ctx, digest,
        SSL_MAX_SID_CTX_LENGTH);
}

static int
set_clients(struct tls_listener *self, const struct conf_listener *conf,
    struct err *err)
{
    uint8_t digest[32] = {0};

    self->has_mtls = conf->has_mtls;
    if (!self->has_mtls) {
        set_rules(self, digest);
        return 0;
    }
    if (conf->mtls_ca == NULL)
        return err_set(err, ERR_INVALID, "%s: client certificates need a "
            "file of authorities", self->address);
    self->ca_file = xstrdup(conf->mtls_ca);
    if (tls_file_authorities(self->ca_file, self->ctx, digest, err) != 0)
        return -1;
    if (conf->mtls_names != NULL &&
        add_names(self, conf->mtls_names, err) != 0)
        return -1;
    SSL_CTX_set_verify(self->ctx,
        SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(self->ctx, tls_name_verify, self);
    set_rules(self, digest);
    return 0;
}

static int
set_versions(struct tls_listener *self, const struct conf_listener *conf,
    struct err *err)
{
    self->ctx = tls_setup_new(true, err);
    if (self->ctx == NULL)
        return -1;
    if (conf->tls_min != NULL && strcmp(conf->tls_min, "TLS13") == 0)
        (void)SSL_CTX_set_min_proto_version(self->ctx, TLS1_3_VERSION);
    return conf->ciphers == NULL ? 0
        : tls_setup_ciphers(self->ctx, conf->ciphers, err);
}

int
tls_listener_new(struct tls_listener **out, const struct conf_listener *conf,
    struct err *err)
{
    struct tls_listener *self = xcalloc(1, sizeof(*self));

    self->address = xstrdup(conf->address);
    if (set_versions(self, conf, err) != 0 ||
        add_certs(self, conf, err) != 0 || use_certs(self, err) != 0 ||
        set_clients(self, conf, err) != 0) {
        tls_listener_free(self);
        return -1;
    }
    SSL_CTX_set_app_data(self->ctx, self);
    SSL_CTX_set_alpn_select_cb(self->ctx, on_protocols, NULL);
    tls_ticket_use(self->ctx);
    *out = self;
    return 0;
}

void
tls_listener_free(struct tls_listener *self)
{
    if (self == NULL)
        return;
    for (unsigned i = 0; i < self->ncerts; i++)
        tls_cert_release(&self->certs[i]);
    for (unsigned i = 0; i < self->nnames; i++)
        xfree(self->names[i]);
    xfree(self->names);
    SSL_CTX_free(self->ctx);
    xfree(self->ca_file);
    xfree(self->address);
    xfree(self);
}
