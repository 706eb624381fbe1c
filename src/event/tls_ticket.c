/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A ring of keys: the master writes the place behind the current one, which
 * nobody reads, and then moves on.  A reader would have to sleep for a whole
 * period between its look at `current` and its copy to see a key change.
 *
 * Ticket: name of the key (16), IV (16), session in AES-256-CBC, HMAC-SHA256
 * over all of it, as RFC 5077, 4 proposes; OpenSSL puts it together.
 */

#include "core/base.h"
#include "event/tls_ticket.h"

#include <sys/mman.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "core/log.h"
#include "core/shm.h"
#include "core/timefmt.h"
#include "event/loop.h"

/* The current one, the one before, and a place to write the next. */
#define TLS_TICKET_KEYS 4
#define TLS_TICKET_LOOK_NS (1 * NS_PER_SEC)

struct ticket_key {
    unsigned char name[16];
    unsigned char cipher[32];
    unsigned char mac[32];
};

struct tickets {
    _Atomic uint32_t current;
    _Atomic uint32_t used; /* keys that were ever made */
    int64_t made_ns;       /* the current key; the master's */
    struct ticket_key keys[TLS_TICKET_KEYS];
};

static struct tickets *tickets;
static struct loop_timer *timer;

/* --- the master's side --- */

static int
key_add(struct err *err)
{
    uint32_t next = (atomic_load(&tickets->current) + 1) % TLS_TICKET_KEYS;
    struct ticket_key *key = &tickets->keys[next];

    if (RAND_bytes(key->name, sizeof(key->name)) != 1 ||
        RAND_priv_bytes(key->cipher, sizeof(key->cipher)) != 1 ||
        RAND_priv_bytes(key->mac, sizeof(key->mac)) != 1)
        return err_set(err, ERR_SYSTEM, "OpenSSL has no random bytes");
    tickets->made_ns = clock_pace_ns();
    atomic_store(&tickets->current, next);
    atomic_fetch_add(&tickets->used, 1);
    /* Two periods old: nothing may be read with it. */
    OPENSSL_cleanse(&tickets->keys[(next + 2) % TLS_TICKET_KEYS],
        sizeof(*key));
    return 0;
}

int
tls_ticket_init(struct err *err)
{
    void *ptr;

    if (tickets != NULL)
        return 0;
    if (shm_new(&ptr, "spoor-tickets", sizeof(*tickets), err) != 0)
        return -1;
    if (shm_reserve(ptr, sizeof(*tickets), err) != 0) {
        shm_free(ptr, sizeof(*tickets));
        return -1;
    }
    (void)madvise(ptr, sizeof(*tickets), MADV_DONTDUMP);
    tickets = ptr;
    return key_add(err);
}

bool
tls_ticket_rotate(void)
{
    struct err err = ERR_INIT;
    int64_t age_ns;

    if (tickets == NULL)
        return false;
    age_ns = clock_pace_ns() - tickets->made_ns;
    if (age_ns < TLS_TICKET_PERIOD_NS)
        return false;
    if (key_add(&err) != 0) {
        log_error("keys of session tickets: %s", err.text);
        return false;
    }
    /* The machine slept: the key before is too old as well. */
    if (age_ns >= 2 * TLS_TICKET_PERIOD_NS)
        (void)key_add(NULL);
    log_debug("session tickets have a new key");
    return true;
}

static void
IMPL(loop_timer_fn) ticket_look(UNUSED void *arg)
{
    (void)tls_ticket_rotate();
    loop_timer_set(timer, TLS_TICKET_LOOK_NS);
}

void
tls_ticket_start(struct loop *loop)
{
    timer = loop_timer_new(loop, ticket_look, NULL);
    loop_timer_set(timer, TLS_TICKET_LOOK_NS);
}

void
tls_ticket_stop(void)
{
    loop_timer_free(timer);
    timer = NULL;
}

/* --- the workers' side --- */

/* age 0: the current key, 1: the one before. */
static bool
key_get(unsigned age, struct ticket_key *out)
{
    uint32_t current = atomic_load(&tickets->current);

    if (age >= atomic_load(&tickets->used))
        return false;
    *out = tickets->keys[(current + TLS_TICKET_KEYS - age) %
        TLS_TICKET_KEYS];
    return true;
}

static int
key_use(const struct ticket_key *key, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seals)
{
    char digest[] = "SHA256";
    unsigned char secret[sizeof(key->mac)];
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret,
            sizeof(secret)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    int rc;

    memcpy(secret, key->mac, sizeof(secret));
    rc = EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv,
        seals) == 1 && EVP_MAC_CTX_set_params(mac, params) == 1 ? 1 : -1;
    OPENSSL_cleanse(secret, sizeof(secret));
    return rc;
}

/* 1: go on, 2: and give the client a new ticket, 0: no key, -1: broken. */
static int
IMPL(SSL_CTX_set_tlsext_ticket_key_evp_cb) ticket_key(SSL *ssl,
    unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int seals)
{
    struct ticket_key key;
    int rc = 0;

    if (seals) {
        if (!key_get(0, &key) || RAND_bytes(iv, 16) != 1)
            return -1;
        memcpy(name, key.name, sizeof(key.name));
        rc = key_use(&key, iv, cipher, mac, 1);
    } else {
        for (unsigned age = 0; age < 2 && rc == 0; age++) {
            if (!key_get(age, &key) ||
                CRYPTO_memcmp(name, key.name, sizeof(key.name)) != 0)
                continue;
            rc = key_use(&key, iv, cipher, mac, 0);
            /* Clients of TLS 1.3 use each ticket once (RFC 8446, C.4). */
            if (rc == 1 && (age > 0 || SSL_version(ssl) == TLS1_3_VERSION))
                rc = 2;
        }
    }
    OPENSSL_cleanse(&key, sizeof(key));
    return rc;
}

void
tls_ticket_use(SSL_CTX *ctx)
{
    SSL_CTX_set_timeout(ctx, (long)(TLS_TICKET_PERIOD_NS / NS_PER_SEC));
    if (tickets == NULL)
        (void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    else
        (void)SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key);
}
