/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "http/auth_cache.h"

struct known {
    struct secret_digest digest;
    const struct user *user;
    int64_t until_ns; /* 0: empty */
};

static struct known right[AUTH_CACHE_RIGHT_SETS][AUTH_CACHE_WAYS];
static struct known wrong[AUTH_CACHE_WRONG_SETS][AUTH_CACHE_WAYS];

/* Digests are keyed: nobody can choose his set. */
static uint32_t
number_of(const struct secret_digest *digest)
{
    uint32_t n;

    memcpy(&n, digest->b, sizeof(n));
    return n;
}

static struct known *
right_set(const struct secret_digest *digest)
{
    return right[number_of(digest) % AUTH_CACHE_RIGHT_SETS];
}

static struct known *
wrong_set(const struct secret_digest *digest)
{
    return wrong[number_of(digest) % AUTH_CACHE_WRONG_SETS];
}

void
auth_cache_put(const struct secret_digest *digest, const struct user *user,
    int64_t until_ns)
{
    struct known *set = user != NULL ? right_set(digest) : wrong_set(digest);
    struct known *oldest = &set[0];

    for (unsigned i = 0; i < AUTH_CACHE_WAYS; i++) {
        if (secret_equal(&set[i].digest, digest)) {
            oldest = &set[i];
            break;
        }
        if (set[i].until_ns < oldest->until_ns)
            oldest = &set[i];
    }
    *oldest = (struct known){*digest, user, until_ns};
}

static const struct known *
find(const struct known *set, const struct secret_digest *digest,
    int64_t now_ns)
{
    for (unsigned i = 0; i < AUTH_CACHE_WAYS; i++) {
        if (set[i].until_ns > now_ns && secret_equal(&set[i].digest, digest))
            return &set[i];
    }
    return NULL;
}

bool
auth_cache_get(const struct secret_digest *digest, int64_t now_ns,
    const struct user **user)
{
    const struct known *known = find(right_set(digest), digest, now_ns);

    if (known == NULL)
        known = find(wrong_set(digest), digest, now_ns);
    if (known == NULL)
        return false;
    *user = known->user;
    return true;
}

const struct user *
auth_cache_get_old(const struct secret_digest *digest)
{
    /* The end of an empty place is 0. */
    const struct known *known = find(right_set(digest), digest, 0);

    return known != NULL ? known->user : NULL;
}

void
auth_cache_clear(void)
{
    memset(right, 0, sizeof(right));
    memset(wrong, 0, sizeof(wrong));
}
