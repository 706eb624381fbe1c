/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/tls_file.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "core/file.h"
#include "core/sb.h"
#include "core/sys.h"

/* A system's bundle of authorities has 250 KiB. */
#define TLS_FILE_BYTES_MAX (4 * MIB)
/* Most files: no second copy of a key is made while it is read. */
#define TLS_FILE_BYTES_USUAL (64 * KIB)

struct tls_stamp
tls_stamp_of(const char *path)
{
    struct tls_stamp stamp = {0};
    struct stat st;

    if (sys.stat(path, &st) != 0)
        return stamp;
    stamp.device = (uint64_t)st.st_dev;
    stamp.inode = (uint64_t)st.st_ino;
    stamp.size = (int64_t)st.st_size;
    stamp.modified_ns = (int64_t)st.st_mtim.tv_sec * NS_PER_SEC +
        st.st_mtim.tv_nsec;
    return stamp;
}

bool
tls_stamp_eq(struct tls_stamp a, struct tls_stamp b)
{
    return a.device == b.device && a.inode == b.inode && a.size == b.size &&
        a.modified_ns == b.modified_ns;
}

/* --- the bytes --- */

static int
bytes_read(const char *path, struct sb *out, struct err *err)
{
    sb_init(out, TLS_FILE_BYTES_MAX);
    (void)sb_reserve(out, TLS_FILE_BYTES_USUAL);
    return file_read_all(path, out, err);
}

static void
bytes_wipe(struct sb *sb)
{
    OPENSSL_cleanse(sb->ptr, sb->len);
    sb_release(sb);
}

/* Never asks at a terminal. */
static int
IMPL(pem_password_cb) no_password(UNUSED char *ptr, UNUSED int size,
    UNUSED int writes, void *arg)
{
    *(bool *)arg = true;
    return -1;
}

/* --- certificates --- */

/* NULL with err untouched: no more; with err: malformed. */
static X509 *
cert_next(BIO *bio, const char *path, struct err *err)
{
    bool asks = false;
    X509 *cert;
    int reason;

    ERR_clear_error();
    cert = PEM_read_bio_X509_AUX(bio, NULL, no_password, &asks);
    if (cert != NULL)
        return cert;
    reason = ERR_GET_REASON(ERR_peek_last_error());
    if (reason != PEM_R_NO_START_LINE)
        err_set(err, ERR_INVALID, "%s: a certificate is malformed: %s", path,
            ERR_reason_error_string(ERR_peek_last_error()));
    ERR_clear_error();
    return NULL;
}

/* All of a file, at least one. */
static int
certs_read(const char *path, STACK_OF(X509) **out, struct err *err)
{
    struct err problem = ERR_INIT;
    STACK_OF(X509) *certs = sk_X509_new_null();
    BIO *bio = NULL;
    struct sb sb;
    X509 *cert;
    int rc = bytes_read(path, &sb, err);

    if (rc != 0)
        goto out;
    bio = BIO_new_mem_buf(sb.ptr, (int)sb.len);
    while ((cert = cert_next(bio, path, &problem)) != NULL &&
        sk_X509_num(certs) < TLS_FILE_CERTS_MAX)
        (void)sk_X509_push(certs, cert);
    if (cert != NULL) {
        X509_free(cert);
        rc = err_set(err, ERR_LIMIT, "%s: more than %d certificates", path,
            TLS_FILE_CERTS_MAX);
    } else if (problem.code != ERR_NONE) {
        rc = err_set(err, ERR_INVALID, "%s", problem.text);
    } else if (sk_X509_num(certs) == 0) {
        rc = err_set(err, ERR_INVALID, "%s: there is no certificate in it",
            path);
    }
out:
    BIO_free(bio);
    bytes_wipe(&sb); /* a key may be in the same file */
    if (rc == 0)
        *out = certs;
    else
        sk_X509_pop_free(certs, X509_free);
    return rc;
}

int
tls_file_chain(const char *path, X509 **leaf, STACK_OF(X509) **chain,
    struct err *err)
{
    if (certs_read(path, chain, err) != 0)
        return -1;
    *leaf = sk_X509_shift(*chain);
    return 0;
}

/* --- keys --- */

int
tls_file_key(const char *path, EVP_PKEY **key, struct err *err)
{
    bool asks = false;
    struct sb sb;
    BIO *bio;

    if (bytes_read(path, &sb, err) != 0) {
        bytes_wipe(&sb);
        return -1;
    }
    ERR_clear_error();
    bio = BIO_new_mem_buf(sb.ptr, (int)sb.len);
    *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, &asks);
    BIO_free(bio);
    bytes_wipe(&sb);
    ERR_clear_error();
    if (*key != NULL)
        return 0;
    return err_set(err, ERR_INVALID, "%s: %s", path, asks
            ? "the key is protected by a password, which nobody is there to "
            "give" : "there is no private key in it");
}

/* --- authorities --- */


int
tls_file_authorities(const char *path, SSL_CTX *ctx, uint8_t *digest,
    struct err *err)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    STACK_OF(X509) *certs;
    uint8_t each[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    X509 *cert;

    if (certs_read(path, &certs, err) != 0) {
        EVP_MD_CTX_free(hash);
        return -1;
    }
    (void)EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    while ((cert = sk_X509_shift(certs)) != NULL) {
        (void)X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert);
        (void)SSL_CTX_add_client_CA(ctx, cert);
        (void)X509_digest(cert, EVP_sha256(), each, &len);
        (void)EVP_DigestUpdate(hash, each, len);
        X509_free(cert);
    }
    (void)EVP_DigestFinal_ex(hash, each, &len);
    if (digest != NULL)
        memcpy(digest, each, 32);
    EVP_MD_CTX_free(hash);
    sk_X509_free(certs);
    ERR_clear_error();
    return 0;
}
