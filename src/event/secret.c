/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/secret.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <pthread.h>

#include "core/assert.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/sys.h"

#define KEY_BYTES 32
#define PURPOSE_BYTES 8

/*
 * Work that a hash may ask for: bcrypt with 15 takes two seconds, the
 * rounds of SHA-512 half of one.
 */
#define BCRYPT_COST_MAX 15
#define SHA_ROUNDS_MAX 1000000

static uint8_t key[KEY_BYTES];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void
key_make(void)
{
    check(sys.random(key, sizeof(key)) == 0);
}

void
secret_sha256(uint8_t out[SECRET_SHA256_BYTES], struct sv text)
{
    check(SHA256((const uint8_t *)text.ptr, text.len, out) != NULL);
}

/* Of a fixed size, whatever the texts are. */
void
secret_digest(struct secret_digest *out, const char *purpose,
    struct sv first, struct sv second)
{
    uint8_t block[PURPOSE_BYTES + 2 * SECRET_SHA256_BYTES] = {0};
    unsigned len = 0;

    check(strlen(purpose) < PURPOSE_BYTES);
    check(pthread_once(&key_once, key_make) == 0);
    memcpy(block, purpose, strlen(purpose));
    secret_sha256(block + PURPOSE_BYTES, first);
    secret_sha256(block + PURPOSE_BYTES + SECRET_SHA256_BYTES, second);
    check(HMAC(EVP_sha256(), key, sizeof(key), block, sizeof(block), out->b,
        &len) != NULL);
    check(len == sizeof(out->b));
}

bool
secret_equal(const struct secret_digest *a, const struct secret_digest *b)
{
    return CRYPTO_memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool
secret_is(struct sv given, const char *secret)
{
    struct secret_digest a, b;

    secret_digest(&a, "is", given, SV_EMPTY);
    secret_digest(&b, "is", sv_from(secret), SV_EMPTY);
    return secret_equal(&a, &b);
}

void
secret_wipe(void *ptr, size_t len)
{
    OPENSSL_cleanse(ptr, len);
}

/* --- hashed passwords --- */

static const struct hash_kind {
    struct sv prefix;
    size_t len;       /* of the whole, or 0 */
    size_t last_len;  /* of what stands behind the last '$', or 0 */
} hash_kinds[] = {
    {{"$y$", 3}, 0, 43},
    {{"$gy$", 4}, 0, 43},
    {{"$7$", 3}, 0, 43},
    {{"$2a$", 4}, 60, 0},
    {{"$2b$", 4}, 60, 0},
    {{"$2y$", 4}, 60, 0},
    {{"$6$", 3}, 0, 86},
    {{"$5$", 3}, 0, 43},
};

static const struct hash_kind *
hash_kind_of(struct sv hash)
{
    for (size_t i = 0; i < ARRAY_LEN(hash_kinds); i++) {
        if (sv_starts_with(hash, hash_kinds[i].prefix))
            return &hash_kinds[i];
    }
    return NULL;
}

static bool
is_whole(struct sv hash, const struct hash_kind *kind)
{
    const char *last = strrchr(hash.ptr, '$') + 1;

    if (kind->len > 0)
        return hash.len == kind->len;
    return (size_t)(hash.ptr + hash.len - last) == kind->last_len;
}

/* bcrypt's "$2b$12$...", SHA's "$6$rounds=5000$...". */
static bool
is_too_much_work(struct sv hash)
{
    struct sv rounds = SV("$rounds=");
    uint64_t n = 0;

    if (hash.ptr[1] == '2')
        return !num_parse_u64(sv_sub(hash, 4, 2), &n) || n > BCRYPT_COST_MAX;
    if (!sv_eq(sv_sub(hash, 2, rounds.len), rounds))
        return false;
    hash = sv_sub(hash, 2 + rounds.len, hash.len);
    return !num_parse_u64(sv_sub(hash, 0, sv_find_byte(hash, '$')), &n) ||
        n > SHA_ROUNDS_MAX;
}

const char *
secret_hash_problem(const char *hash)
{
    struct sv text = sv_from(hash);
    const struct hash_kind *kind = hash_kind_of(text);

    if (kind == NULL)
        return "the password is neither {PLAIN}... nor hashed as yescrypt, "
            "scrypt, bcrypt, SHA-512 or SHA-256 (mkpasswd, htpasswd -B)";
    if (!is_whole(text, kind) || crypt_checksalt(hash) == CRYPT_SALT_INVALID)
        return "the hash of the password is not whole";
    if (is_too_much_work(text))
        return "the hash of the password takes too long to check";
    return NULL;
}

bool
secret_hash_is_of(const char *hash, const char *password)
{
    struct crypt_data *data = xcalloc(1, sizeof(*data));
    const char *made = crypt_r(password, hash, data);
    bool is_same = made != NULL && made[0] != '*' && secret_is(sv_from(made),
        hash);

    secret_wipe(data, sizeof(*data));
    xfree(data);
    return is_same;
}
