/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One SSL object.  SSL_MODE_AUTO_RETRY is off and reading ahead is on (see
 * tls_setup.c), so TLS_WANT_READ means that no whole record is left in the
 * buffers of OpenSSL, and the work of one call is bounded by those buffers.
 */

#include "core/base.h"
#include "event/tls.h"

#include <errno.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "core/assert.h"
#include "core/mem.h"
#include "event/tls_bio.h"
#include "event/tls_name.h"
#include "event/tls_setup.h"

#define TLS_MAGIC 0x20534c54u /* "TLS " */

/*
 * Messages without data (KeyUpdate, above all) that a peer may send at first
 * and for each 64 KiB of data: each costs us a derivation of keys.
 */
#define TLS_STRAYS_MAX 1024
#define TLS_STRAYS_BYTES (64 * KIB)

struct tls {
    uint32_t magic;
    bool is_up;    /* the handshake is over */
    bool has_failed;
    enum tls_failure failure;
    int alert;         /* that ended it; 0: another reason */
    uint32_t strays;
    uint64_t received; /* data */
    SSL *ssl;
    char *peer_name;   /* NULL: none, or not asked for yet */
    char text[160];    /* of the failure */
};

static void
IMPL(SSL_set_msg_callback) tls_on_message(int is_sent, UNUSED int version,
    int type, UNUSED const void *ptr, UNUSED size_t len, UNUSED SSL *ssl,
    void *arg)
{
    struct tls *tls = arg;

    if (tls->is_up && !is_sent && (type == SSL3_RT_HANDSHAKE ||
        type == SSL3_RT_ALERT))
        tls->strays++;
}

struct tls *
tls_new(struct ssl_ctx_st *ctx, int fd, const char *host)
{
    struct tls *tls = xcalloc(1, sizeof(*tls));
    BIO *bio;

    tls->magic = TLS_MAGIC;
    tls->ssl = SSL_new(ctx);
    if (tls->ssl == NULL) {
        tls_free(tls);
        return NULL;
    }
    bio = tls_bio_new(fd);
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_msg_callback(tls->ssl, tls_on_message);
    SSL_set_msg_callback_arg(tls->ssl, tls);
    if (host == NULL) {
        SSL_set_accept_state(tls->ssl);
    } else {
        SSL_set_connect_state(tls->ssl);
        if (!tls_setup_host(tls->ssl, host)) {
            tls_free(tls);
            return NULL;
        }
    }
    return tls;
}

void
tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    OBJ_CHECK(tls, TLS_MAGIC);
    SSL_free(tls->ssl);
    xfree(tls->peer_name);
    tls->magic = 0;
    xfree(tls);
}

/* --- failures --- */

static enum tls_failure
failure_of(int reason)
{
    switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
        return TLS_FAILURE_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
        return TLS_FAILURE_CIPHER;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return TLS_FAILURE_PROTOCOL;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return TLS_FAILURE_CERTIFICATE;
    default:
        return reason >= SSL_AD_REASON_OFFSET ? TLS_FAILURE_ALERT
                                              : TLS_FAILURE_OTHER;
    }
}

static enum tls_io
tls_fail(struct tls *tls, enum tls_failure failure, const char *text)
{
    if (!tls->has_failed) {
        tls->has_failed = true;
        tls->failure = failure;
        snprintf(tls->text, sizeof(tls->text), "%s", text);
    }
    return TLS_FAILED;
}

static enum tls_io
tls_fail_ssl(struct tls *tls)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    long verified = SSL_get_verify_result(tls->ssl);
    const char *text = ERR_reason_error_string(code);
    char both[160];

    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        reason = 0;
    tls->alert = MAX(reason - SSL_AD_REASON_OFFSET, 0);
    if (text == NULL)
        text = "protocol error";
    if (reason != SSL_R_CERTIFICATE_VERIFY_FAILED)
        return tls_fail(tls, failure_of(reason), text);
    snprintf(both, sizeof(both), "%s: %s", text,
        verified == X509_V_ERR_APPLICATION_VERIFICATION
            ? "its names are not accepted"
            : X509_verify_cert_error_string(verified));
    return tls_fail(tls, verified == X509_V_ERR_APPLICATION_VERIFICATION
            ? TLS_FAILURE_NAME : TLS_FAILURE_CERTIFICATE, both);
}

/* What a call that returned rc wants. */
static enum tls_io
tls_result(struct tls *tls, int rc)
{
    switch (SSL_get_error(tls->ssl, rc)) {
    case SSL_ERROR_NONE:
        return TLS_OK;
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_EOF;
    case SSL_ERROR_SYSCALL:
        return tls_fail(tls, TLS_FAILURE_CLOSED,
            errno == 0 ? "the connection was closed" : strerror(errno));
    default:
        return tls_fail_ssl(tls);
    }
}

/* --- the four operations --- */

static void
tls_begin(void)
{
    ERR_clear_error();
    errno = 0;
}

enum tls_io
tls_handshake(struct tls *tls)
{
    enum tls_io io;

    OBJ_CHECK(tls, TLS_MAGIC);
    if (tls->has_failed)
        return TLS_FAILED;
    tls_begin();
    io = tls_result(tls, SSL_do_handshake(tls->ssl));
    if (io == TLS_EOF)
        return tls_fail(tls, TLS_FAILURE_CLOSED, "the connection was closed");
    if (io != TLS_OK)
        return io;
    tls->is_up = true;
    /* A ticket remembers that the certificate was good when it was made. */
    if (SSL_is_server(tls->ssl) && SSL_session_reused(tls->ssl) &&
        !tls_name_is_still_good(tls->ssl))
        return tls_fail(tls, TLS_FAILURE_CERTIFICATE, "the certificate of "
            "the resumed session is not good any more");
    return TLS_OK;
}

enum tls_io
tls_read(struct tls *tls, void *ptr, size_t len, size_t *n)
{
    enum tls_io io;

    OBJ_CHECK(tls, TLS_MAGIC);
    *n = 0;
    if (tls->has_failed)
        return TLS_FAILED;
    tls_begin();
    io = tls_result(tls, SSL_read_ex(tls->ssl, ptr, len, n));
    tls->received += *n;
    if (tls->strays > TLS_STRAYS_MAX + tls->received / TLS_STRAYS_BYTES)
        return tls_fail(tls, TLS_FAILURE_OTHER, "too many messages without "
            "data");
    return io;
}

enum tls_io
tls_write(struct tls *tls, const void *ptr, size_t len, size_t *n)
{
    enum tls_io io;

    OBJ_CHECK(tls, TLS_MAGIC);
    *n = 0;
    if (tls->has_failed)
        return TLS_FAILED;
    tls_begin();
    io = tls_result(tls, SSL_write_ex(tls->ssl, ptr, len, n));
    /* What the peer said before it closed can still be read. */
    if (io == TLS_FAILED && tls->failure == TLS_FAILURE_CLOSED)
        tls->has_failed = false;
    return io;
}

void
tls_close_notify(struct tls *tls)
{
    OBJ_CHECK(tls, TLS_MAGIC);
    if (!tls->is_up || tls->has_failed)
        return;
    tls_begin();
    (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

/* --- what is known --- */

bool
tls_has_pending(const struct tls *tls)
{
    return !tls->has_failed && SSL_has_pending(tls->ssl) == 1;
}

bool
tls_is_at_end(const struct tls *tls)
{
    return tls->has_failed ||
        (SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}

enum tls_failure
tls_failure(const struct tls *tls)
{
    return tls->failure;
}

const char *
tls_failure_text(const struct tls *tls)
{
    return tls->text;
}

bool
tls_is_refused(const struct tls *tls)
{
    static const int alerts[] = {SSL_AD_HANDSHAKE_FAILURE,
        SSL_AD_BAD_CERTIFICATE, SSL_AD_UNSUPPORTED_CERTIFICATE,
        SSL_AD_CERTIFICATE_REVOKED, SSL_AD_CERTIFICATE_EXPIRED,
        SSL_AD_CERTIFICATE_UNKNOWN, SSL_AD_UNKNOWN_CA, SSL_AD_ACCESS_DENIED,
        SSL_AD_CERTIFICATE_REQUIRED};

    for (size_t i = 0; i < ARRAY_LEN(alerts); i++)
        if (tls->has_failed && tls->alert == alerts[i])
            return true;
    return false;
}

enum tls_protocol
tls_protocol(const struct tls *tls)
{
    const unsigned char *name = NULL;
    unsigned len = 0;

    SSL_get0_alpn_selected(tls->ssl, &name, &len);
    if (len == 0)
        return TLS_PROTOCOL_NONE;
    return len == 2 && memcmp(name, "h2", 2) == 0 ? TLS_PROTOCOL_HTTP2
                                                  : TLS_PROTOCOL_HTTP1;
}

bool
tls_is_13(const struct tls *tls)
{
    return SSL_version(tls->ssl) == TLS1_3_VERSION;
}

bool
tls_is_resumed(const struct tls *tls)
{
    return SSL_session_reused(tls->ssl) == 1;
}

const char *
tls_peer_name(const struct tls *tls)
{
    /* Filled on first use: most connections are never asked. */
    struct tls *self = (struct tls *)(uintptr_t)tls;

    OBJ_CHECK(tls, TLS_MAGIC);
    if (self->peer_name == NULL && tls->is_up)
        self->peer_name = tls_name_of_peer(tls->ssl);
    return self->peer_name != NULL ? self->peer_name : "";
}

uint64_t
tls_sent(const struct tls *tls)
{
    return tls_bio_sent(SSL_get_wbio(tls->ssl));
}
