/* SPDX-License-Identifier: BSD-2-Clause */

/* Random bytes that a test can have again: splitmix64 over seed and role. */

#include "core/base.h"
#include "core/sys.h"

#include <unistd.h>

#include "core/fault.h"
#include "core/num.h"
#include "core/sv.h"

static uint64_t seed;
static _Atomic uint64_t numbers; /* that were made so far */

static uint64_t
mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t
role_hash(void)
{
    uint64_t hash = 0;

    for (const char *c = fault_role(); *c != '\0'; c++)
        hash = mix(hash + (unsigned char)*c);
    return hash;
}

int
sys_seeded_random(void *ptr, size_t len)
{
    uint64_t stream = mix(seed ^ role_hash());
    char *dst = ptr;

    while (len > 0) {
        uint64_t n = atomic_fetch_add(&numbers, 1) + 1;
        uint64_t word = mix(stream + n * UINT64_C(0x9e3779b97f4a7c15));
        size_t take = len < sizeof(word) ? len : sizeof(word);

        memcpy(dst, &word, take);
        dst += take;
        len -= take;
    }
    return 0;
}

void
sys_seed_init(void)
{
    const char *text = getenv("SPOOR_SEED");

    if (text == NULL)
        return;
    if (!num_parse_u64(sv_from(text), &seed)) {
        fprintf(stderr, "spoor: SPOOR_SEED: \"%s\" is no number\n", text);
        _exit(2);
    }
    atomic_store(&numbers, 0);
    sys.random = sys_seeded_random;
}
