/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Secrets of users: compared in a time that tells nothing about them, and
 * hashed passwords.  Any thread.
 */

#ifndef SPOOR_EVENT_SECRET_H
#define SPOOR_EVENT_SECRET_H

#include "core/base.h"
#include "core/sv.h"

struct secret_digest {
    uint8_t b[32];
};

/*
 * A hash of purpose, a zero byte and the texts, each with its length, under a
 * key that only this process and the ones forked from it know: nobody outside
 * can choose what it looks like, so it may be sorted, searched and kept.
 */
void secret_digest(struct secret_digest *out, const char *purpose,
    struct sv first, struct sv second);
/* In the same time wherever they differ. */
bool secret_equal(const struct secret_digest *a,
    const struct secret_digest *b);
/* Whether the text given is the secret, which is a string. */
bool secret_is(struct sv given, const char *secret);

/* SHA-256, as a file may have it in place of a token. */
#define SECRET_SHA256_BYTES 32
void secret_sha256(uint8_t out[SECRET_SHA256_BYTES], struct sv text);

/* Longest password that is hashed. */
#define SECRET_PASSWORD_MAX 511

/*
 * NULL, or what is wrong with a hashed password: of crypt(5) yescrypt,
 * gost-yescrypt, scrypt, bcrypt, SHA-512 and SHA-256 are taken, and work that
 * is bounded.
 */
const char *secret_hash_problem(const char *hash);
/* Whether password has this hash.  Slow on purpose: 5 to 500 ms. */
bool secret_hash_is_of(const char *hash, const char *password);

/* Overwrites what is not needed any more. */
void secret_wipe(void *ptr, size_t len);

#endif
