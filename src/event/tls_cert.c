/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/tls_cert.h"

#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "core/mem.h"
#include "event/tls_file.h"
#include "event/tls_name.h"

/* Below this RSA is not safe, and OpenSSL would refuse it later. */
#define TLS_RSA_BITS_MIN 2048

static const char *const kind_names[TLS_CERT_KINDS] = {
    [TLS_CERT_ECDSA] = "ecdsa",
    [TLS_CERT_RSA] = "rsa",
    [TLS_CERT_ED25519] = "ed25519",
};

static bool
kind_of(const struct tls_cert *cert, enum tls_cert_kind *kind)
{
    switch (EVP_PKEY_get_base_id(cert->key)) {
    case EVP_PKEY_EC:
        *kind = TLS_CERT_ECDSA;
        return true;
    case EVP_PKEY_RSA:
        *kind = TLS_CERT_RSA;
        return true;
    case EVP_PKEY_ED25519:
        *kind = TLS_CERT_ED25519;
        return true;
    default:
        return false;
    }
}

int
tls_cert_load(struct tls_cert *cert, struct err *err)
{
    enum tls_cert_kind kind;

    if (tls_file_chain(cert->file, &cert->leaf, &cert->chain, err) != 0 ||
        tls_file_key(cert->key_file, &cert->key, err) != 0)
        return -1;
    ERR_clear_error();
    if (X509_check_private_key(cert->leaf, cert->key) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_INVALID, "%s: this is not the key of the "
            "certificate %s", cert->key_file, cert->file);
    }
    if (!kind_of(cert, &kind))
        return err_set(err, ERR_UNSUPPORTED, "%s: keys of this kind are not "
            "supported: ECDSA, RSA and Ed25519 are", cert->key_file);
    if (kind == TLS_CERT_RSA &&
        EVP_PKEY_get_bits(cert->key) < TLS_RSA_BITS_MIN)
        return err_set(err, ERR_INVALID, "%s: an RSA key of %d bits is too "
            "short: %d are needed", cert->key_file,
            EVP_PKEY_get_bits(cert->key), TLS_RSA_BITS_MIN);
    return 0;
}

void
tls_cert_release(struct tls_cert *cert)
{
    X509_free(cert->leaf);
    sk_X509_pop_free(cert->chain, X509_free);
    EVP_PKEY_free(cert->key);
    xfree(cert->file);
    xfree(cert->key_file);
}

/* --- choosing --- */

/* 2: it names exactly this; 1: by a wildcard; 0: not at all. */
static int
fits(const struct tls_cert *cert, const char *name)
{
    char *how = NULL;
    int rc;

    if (X509_check_host(cert->leaf, name, 0,
            X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, &how) != 1)
        return 0;
    rc = how != NULL && how[0] == '*' ? 1 : 2;
    OPENSSL_free(how);
    return rc;
}

bool
tls_cert_choose(const struct tls_listener *listener, const char *name,
    const struct tls_cert *chosen[TLS_CERT_KINDS])
{
    int best[TLS_CERT_KINDS] = {0};
    bool is_found = false;

    memset(chosen, 0, TLS_CERT_KINDS * sizeof(chosen[0]));
    for (unsigned i = 0; i < listener->ncerts; i++) {
        const struct tls_cert *cert = &listener->certs[i];
        enum tls_cert_kind kind;
        int how = fits(cert, name);

        if (!kind_of(cert, &kind) || how <= best[kind])
            continue;
        best[kind] = how;
        chosen[kind] = cert;
        is_found = true;
    }
    return is_found;
}

void
tls_cert_default(const struct tls_listener *listener,
    const struct tls_cert *chosen[TLS_CERT_KINDS])
{
    char first[256], other[256];
    enum tls_cert_kind kind;

    memset(chosen, 0, TLS_CERT_KINDS * sizeof(chosen[0]));
    tls_name_first(listener->certs[0].leaf, first, sizeof(first));
    for (unsigned i = 0; i < listener->ncerts; i++) {
        const struct tls_cert *cert = &listener->certs[i];

        tls_name_first(cert->leaf, other, sizeof(other));
        if (strcmp(first, other) == 0 && kind_of(cert, &kind) &&
            chosen[kind] == NULL)
            chosen[kind] = cert;
    }
}

/* --- what people want to know --- */

const char *
tls_cert_kind_name(const struct tls_cert *cert)
{
    enum tls_cert_kind kind;

    return kind_of(cert, &kind) ? kind_names[kind] : "other";
}

int64_t
tls_cert_not_after(const struct tls_cert *cert)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert->leaf), &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm);
}

/* Whether each certificate of the file was issued by the next one. */
static bool
chain_fits(const struct tls_cert *cert)
{
    X509 *child = cert->leaf;

    for (int i = 0; i < sk_X509_num(cert->chain); i++) {
        X509 *issuer = sk_X509_value(cert->chain, i);

        if (X509_check_issued(issuer, child) != X509_V_OK)
            return false;
        child = issuer;
    }
    return true;
}

void
tls_cert_doubts(const struct tls_cert *cert, char *dst, size_t size)
{
    char name[8];

    tls_name_first(cert->leaf, name, sizeof(name));
    dst[0] = '\0';
    if (X509_cmp_current_time(X509_get0_notAfter(cert->leaf)) <= 0)
        snprintf(dst, size, "%s: the certificate has expired", cert->file);
    else if (X509_cmp_current_time(X509_get0_notBefore(cert->leaf)) > 0)
        snprintf(dst, size, "%s: the certificate is not valid yet",
            cert->file);
    else if (!chain_fits(cert))
        snprintf(dst, size, "%s: its certificates are no chain: each must "
            "be followed by that of its issuer", cert->file);
    else if (name[0] == '\0' && sk_X509_num(cert->chain) == 0 &&
        X509_check_ca(cert->leaf) == 1)
        snprintf(dst, size, "%s: this is the certificate of an authority",
            cert->file);
    else if (name[0] == '\0')
        snprintf(dst, size, "%s: the certificate names no host", cert->file);
}
