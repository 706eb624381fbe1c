/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Certificates for tests.  make_certs DIRECTORY reads one a line:
 *
 *     name=a key=ec cn=a.test san=DNS:a.test,URI:spiffe://x issuer=ca
 *         from=-1 to=30 eku=server ca=1 chain=inter crl=URL
 *
 * all but name optional, in one line.  It writes DIRECTORY/name.pem, with the
 * certificates of chain behind it, and DIRECTORY/name.key.  key is ec, rsa,
 * rsa1024 or ed25519; from and to are days from now; eku is server, client,
 * both, email or none; without an issuer a certificate signs itself.  The
 * issuer is an earlier name, of this run or another.
 */

#include "core/base.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "core/assert.h"
#include "core/sb.h"
#include "core/sv.h"

#define LINE_MAX_BYTES 4096
#define SECONDS_OF_DAY 86400

struct spec {
    char name[128], key[32], cn[256], san[1024], issuer[128], eku[32];
    char chain[512], crl[256];
    long from, to;
    bool is_ca;
};

static char directory[1024];

static FILE *
file_of(const char *name, const char *suffix, const char *mode)
{
    char path[2048];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s.%s", directory, name, suffix);
    file = fopen(path, mode);
    if (file == NULL) {
        fprintf(stderr, "%s: cannot be opened\n", path);
        exit(1);
    }
    return file;
}

static void
copy_text(char *dst, size_t size, struct sv value)
{
    snprintf(dst, size, "%.*s", SV_ARG(value));
}

static void
spec_set(struct spec *spec, struct sv word)
{
    size_t eq = sv_find_byte(word, '=');
    struct sv name = sv_sub(word, 0, eq);
    struct sv value = sv_sub(word, eq + 1, word.len);
    char number[32];

    copy_text(number, sizeof(number), value);
    if (sv_eq(name, SV("name")))
        copy_text(spec->name, sizeof(spec->name), value);
    else if (sv_eq(name, SV("key")))
        copy_text(spec->key, sizeof(spec->key), value);
    else if (sv_eq(name, SV("cn")))
        copy_text(spec->cn, sizeof(spec->cn), value);
    else if (sv_eq(name, SV("san")))
        copy_text(spec->san, sizeof(spec->san), value);
    else if (sv_eq(name, SV("issuer")))
        copy_text(spec->issuer, sizeof(spec->issuer), value);
    else if (sv_eq(name, SV("eku")))
        copy_text(spec->eku, sizeof(spec->eku), value);
    else if (sv_eq(name, SV("chain")))
        copy_text(spec->chain, sizeof(spec->chain), value);
    else if (sv_eq(name, SV("crl")))
        copy_text(spec->crl, sizeof(spec->crl), value);
    else if (sv_eq(name, SV("from")))
        spec->from = strtol(number, NULL, 10);
    else if (sv_eq(name, SV("to")))
        spec->to = strtol(number, NULL, 10);
    else if (sv_eq(name, SV("ca")))
        spec->is_ca = true;
    else
        panic("unknown word %.*s", SV_ARG(word));
}

static EVP_PKEY *
key_make(const char *kind)
{
    if (strcmp(kind, "rsa") == 0)
        return EVP_RSA_gen(2048);
    if (strcmp(kind, "rsa1024") == 0)
        return EVP_RSA_gen(1024);
    if (strcmp(kind, "ed25519") == 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    return EVP_EC_gen("P-256");
}

static void
add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    check(extension != NULL);
    check(X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void
add_extensions(X509 *cert, X509 *issuer, const struct spec *spec)
{
    const char *purpose = strcmp(spec->eku, "client") == 0 ? "clientAuth" :
        strcmp(spec->eku, "both") == 0 ? "serverAuth,clientAuth" :
        strcmp(spec->eku, "email") == 0 ? "emailProtection" : "serverAuth";
    char crl[300];

    add_extension(cert, issuer, NID_basic_constraints,
        spec->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_extension(cert, issuer, NID_key_usage, spec->is_ca
            ? "critical,keyCertSign,cRLSign"
            : "critical,digitalSignature");
    add_extension(cert, issuer, NID_subject_key_identifier, "hash");
    if (issuer != cert)
        add_extension(cert, issuer, NID_authority_key_identifier, "keyid");
    if (!spec->is_ca && strcmp(spec->eku, "none") != 0)
        add_extension(cert, issuer, NID_ext_key_usage, purpose);
    snprintf(crl, sizeof(crl), "URI:%s", spec->crl);
    if (spec->crl[0] != '\0')
        add_extension(cert, issuer, NID_crl_distribution_points, crl);
    if (spec->san[0] != '\0')
        add_extension(cert, issuer, NID_subject_alt_name, spec->san);
}

static X509 *
cert_of(const char *name)
{
    FILE *file = file_of(name, "pem", "r");
    X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);

    check(cert != NULL);
    fclose(file);
    return cert;
}

static EVP_PKEY *
key_of(const char *name)
{
    FILE *file = file_of(name, "key", "r");
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);

    check(key != NULL);
    fclose(file);
    return key;
}

static void
cert_fill(X509 *cert, EVP_PKEY *key, const struct spec *spec)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    unsigned char serial[8];
    BIGNUM *number;

    check(RAND_bytes(serial, sizeof(serial)) == 1);
    serial[0] &= 0x7f;
    number = BN_bin2bn(serial, sizeof(serial), NULL);
    (void)BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    check(X509_set_version(cert, X509_VERSION_3) == 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert),
        spec->from * SECONDS_OF_DAY);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), spec->to * SECONDS_OF_DAY);
    check(X509_set_pubkey(cert, key) == 1);
    if (spec->cn[0] != '\0')
        check(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
            (const unsigned char *)spec->cn, -1, -1, 0) == 1);
    else
        check(X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8,
            (const unsigned char *)"spoor tests", -1, -1, 0) == 1);
}

static void
make(const struct spec *spec)
{
    EVP_PKEY *key = key_make(spec->key), *signer = key;
    X509 *cert = X509_new(), *issuer = cert;
    struct sv rest = sv_from(spec->chain), part;
    FILE *file;

    cert_fill(cert, key, spec);
    if (spec->issuer[0] != '\0') {
        issuer = cert_of(spec->issuer);
        signer = key_of(spec->issuer);
    }
    check(X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1);
    add_extensions(cert, issuer, spec);
    check(X509_sign(cert, signer, EVP_PKEY_get_base_id(signer) ==
        EVP_PKEY_ED25519 ? NULL : EVP_sha256()) > 0);

    file = file_of(spec->name, "key", "w");
    check(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(file);
    file = file_of(spec->name, "pem", "w");
    check(PEM_write_X509(file, cert) == 1);
    while (spec->chain[0] != '\0' && sv_split(&rest, ',', &part)) {
        char name[128];
        X509 *more;

        copy_text(name, sizeof(name), part);
        more = cert_of(name);
        check(PEM_write_X509(file, more) == 1);
        X509_free(more);
    }
    fclose(file);
    if (issuer != cert) {
        X509_free(issuer);
        EVP_PKEY_free(signer);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
}

int
main(int argc, char **argv)
{
    char line[LINE_MAX_BYTES];

    if (argc != 2) {
        fprintf(stderr, "usage: make_certs DIRECTORY < lines\n");
        return 2;
    }
    snprintf(directory, sizeof(directory), "%s", argv[1]);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        struct spec spec = {.key = "ec", .eku = "server", .from = -1,
            .to = 30};
        struct sv rest = sv_make(line, strcspn(line, "\n")), word;

        while (sv_split(&rest, ' ', &word))
            if (word.len > 0)
                spec_set(&spec, word);
        if (spec.name[0] != '\0')
            make(&spec);
    }
    return 0;
}
