/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/tls_name.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "core/mem.h"
#include "core/sv.h"
#include "event/tls_listener.h"

/* Names of one certificate that are looked at; more are not found. */
#define TLS_NAMES_MAX 1000
/* Longer ones are nobody's. */
#define TLS_NAME_BYTES_MAX 1024

/* True: enough. */
typedef bool (*name_fn)(struct sv name, bool is_uri, void *arg);

/* Control bytes could hide something from who reads or compares. */
static bool
name_is_plain(struct sv name)
{
    if (name.len == 0 || name.len > TLS_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] <= ' ' || name.ptr[i] == 0x7f)
            return false;
    return true;
}

static bool
walk_alternatives(X509 *cert, name_fn fn, void *arg)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL,
        NULL);
    int count = names == NULL ? 0 : sk_GENERAL_NAME_num(names);
    bool is_enough = false;

    for (int i = 0; i < MIN(count, TLS_NAMES_MAX) && !is_enough; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        struct sv text;

        if (name->type != GEN_DNS && name->type != GEN_URI)
            continue;
        text = sv_make(ASN1_STRING_get0_data(name->d.ia5),
            (size_t)ASN1_STRING_length(name->d.ia5));
        if (name_is_plain(text))
            is_enough = fn(text, name->type == GEN_URI, arg);
    }
    GENERAL_NAMES_free(names);
    return is_enough;
}

static bool
walk_common_names(X509 *cert, name_fn fn, void *arg)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    bool is_enough = false;
    int i = -1;

    for (int n = 0; n < TLS_NAMES_MAX && !is_enough; n++) {
        unsigned char *utf8 = NULL;
        struct sv text;
        int len;

        i = X509_NAME_get_index_by_NID(subject, NID_commonName, i);
        if (i < 0)
            break;
        len = ASN1_STRING_to_UTF8(&utf8,
            X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
        text = sv_make(utf8, (size_t)MAX(len, 0));
        if (name_is_plain(text))
            is_enough = fn(text, false, arg);
        OPENSSL_free(utf8);
    }
    return is_enough;
}

static void
walk(X509 *cert, name_fn fn, void *arg)
{
    if (!walk_alternatives(cert, fn, arg))
        (void)walk_common_names(cert, fn, arg);
}

/* --- one of the accepted --- */

struct search {
    const struct tls_listener *listener;
    char *found;
};

static bool
IMPL(name_fn) match(struct sv name, bool is_uri, void *arg)
{
    struct search *search = arg;

    for (unsigned i = 0; i < search->listener->nnames; i++) {
        struct sv accepted = sv_from(search->listener->names[i]);

        if (is_uri ? sv_eq(name, accepted) : sv_eq_nocase(name, accepted)) {
            search->found = xmemdup0(accepted.ptr, accepted.len);
            return true;
        }
    }
    return false;
}

static bool
IMPL(name_fn) take_first(struct sv name, UNUSED bool is_uri, void *arg)
{
    struct search *search = arg;

    search->found = xmemdup0(name.ptr, name.len);
    return true;
}

static char *
name_accepted(const struct tls_listener *listener, X509 *cert)
{
    struct search search = {listener, NULL};

    walk(cert, listener->nnames > 0 ? match : take_first, &search);
    return search.found;
}

/* --- what others ask --- */

int
IMPL(SSL_CTX_set_cert_verify_callback) tls_name_verify(X509_STORE_CTX *store,
    void *arg)
{
    const struct tls_listener *listener = arg;
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    char *name;

    if (X509_verify_cert(store) != 1)
        return 0;
    if (listener->nnames == 0)
        return 1;
    name = name_accepted(listener, leaf);
    if (name == NULL)
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    xfree(name);
    return name != NULL;
}

static const struct tls_listener *
listener_of(SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

bool
tls_name_is_still_good(SSL *ssl)
{
    const struct tls_listener *listener = listener_of(ssl);
    X509 *cert;

    if (listener == NULL || !listener->has_mtls)
        return true;
    cert = SSL_get0_peer_certificate(ssl);
    return cert != NULL && SSL_get_verify_result(ssl) == X509_V_OK &&
        X509_cmp_current_time(X509_get0_notAfter(cert)) > 0;
}

char *
tls_name_of_peer(SSL *ssl)
{
    const struct tls_listener *listener = listener_of(ssl);
    X509 *cert = SSL_get0_peer_certificate(ssl);

    if (listener == NULL || !listener->has_mtls || cert == NULL)
        return NULL;
    return name_accepted(listener, cert);
}

void
tls_name_first(X509 *cert, char *dst, size_t size)
{
    struct search search = {NULL, NULL};

    walk(cert, take_first, &search);
    snprintf(dst, size, "%s", search.found != NULL ? search.found : "");
    xfree(search.found);
}
