/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Packed columns: every encoding is chosen where it should be, reads back bit
 * for bit in all three ways, and damaged chunks are refused or harmless.
 */

#include "core/base.h"

#include "storage/col.h"

#include "core/mem.h"
#include "tap.h"

static uint64_t random_state = 88172645463325252u;

static uint64_t
next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t values[COL_CHUNK];
static uint64_t decoded[COL_CHUNK];
static uint8_t chunk[COL_CHUNK_BYTES_MAX + COL_PAD];

static struct col *
open_chunk(size_t len, uint32_t n)
{
    struct col *col = xmalloc(col_bytes(n));
    if (col_open(col, chunk, len, n) == 0)
        return col;
    xfree(col);
    return NULL;
}

/* Reads in all ways; returns the first wrong index or n. */
static uint32_t
first_wrong(const struct col *col, uint32_t n)
{
    col_decode(col, 0, n, decoded);
    for (uint32_t i = 0; i < n; i++)
        if (decoded[i] != values[i] || col_get(col, i) != values[i])
            return i;
    for (int round = 0; round < 20; round++) {
        uint32_t from = (uint32_t)(next_random() % n);
        uint32_t count = 1 + (uint32_t)(next_random() % (n - from));
        col_decode(col, from, count, decoded);
        for (uint32_t i = 0; i < count; i++)
            if (decoded[i] != values[from + i])
                return from + i;
    }
    return n;
}

static void
round_trip(uint32_t n, unsigned hints, int encoding, size_t bytes_max,
    const char *name)
{
    size_t len = col_encode(chunk, values, n, hints);
    ok(len <= bytes_max, "%s: %zu bytes, at most %zu", name, len, bytes_max);
    if (encoding >= 0)
        is_int(chunk[0] & 15, encoding, "%s: encoding", name);
    struct col *col = open_chunk(len, n);
    ok(col != NULL, "%s: opens", name);
    if (col == NULL)
        return;
    is_int(first_wrong(col, n), n, "%s: all values", name);
    xfree(col);
    ok(open_chunk(len - 1, n) == NULL, "%s: a byte less is refused", name);
    ok(open_chunk(len + 1, n) == NULL, "%s: a byte more is refused", name);
}

static void
test_encodings(void)
{
    uint32_t n = 1024;
    for (uint32_t i = 0; i < n; i++)
        values[i] = UINT64_MAX;
    round_trip(n, 0, COL_CONST, 12, "one value");
    for (uint32_t i = 0; i < n; i++)
        values[i] = 1000000 + next_random() % 1000;
    round_trip(n, 0, COL_FOR, 1024 * 10 / 8 + 16, "narrow range");
    for (uint32_t i = 0; i < n; i++)
        values[i] = i % 50 == 0 ? next_random() : next_random() % 64;
    round_trip(n, 0, COL_PFOR, 1024, "narrow with outliers");
    for (uint32_t i = 0; i < n; i++)
        values[i] = i;
    round_trip(n, COL_TRY_DELTA, COL_DELTA, 24, "numbers in order");
    for (uint32_t i = 0; i < n; i++)
        values[i] = i % 50 == 0 ? next_random() % 4096 :
                                  values[i - 1] + next_random() % 90;
    round_trip(n, COL_TRY_DELTA, COL_DELTA, 1024 * 9 / 8,
        "ascending runs");
    for (uint32_t i = 0; i < n; i++)
        values[i] = i / 100 * UINT64_C(123456789012);
    round_trip(n, 0, COL_RLE, 128, "runs");
    for (uint32_t i = 0; i < n; i++)
        values[i] = (next_random() % 5) * UINT64_C(99999999999);
    round_trip(n, COL_TRY_LDICT, COL_LDICT, 512, "five far numbers");
    for (uint32_t i = 0; i < n; i++)
        values[i] = next_random();
    round_trip(n, 7, COL_FOR, 8 * 1024 + 16, "random");
}

static void
test_scales(void)
{
    static const uint64_t factor[] = {2, 100, 200, 1000, 2000, 1000000,
        2000000};
    for (size_t f = 0; f < ARRAY_LEN(factor); f++) {
        for (uint32_t i = 0; i < 1024; i++)
            values[i] = (next_random() % 100) * factor[f];
        round_trip(1024, COL_TRY_SCALE, -1, 1024 * 7 / 8 + 16,
            "common factor");
    }
    values[0] = UINT64_MAX;
    round_trip(1024, 7, -1, 9000, "no common factor");
}

/* Random lengths, widths and mixtures. */
static void
test_random(void)
{
    uint32_t wrong = 0;
    for (int round = 0; round < 400; round++) {
        uint32_t n = 1 + (uint32_t)(next_random() %
            (round % 8 == 0 ? COL_CHUNK : 300));
        uint32_t width = (uint32_t)(next_random() % 64);
        uint32_t rare = 1 + (uint32_t)(next_random() % 200);
        uint64_t mode = next_random() % 4;
        for (uint32_t i = 0; i < n; i++) {
            values[i] = next_random() >> width;
            if (mode == 1 && i > 0 && next_random() % 8 != 0)
                values[i] = values[i - 1];
            if (mode == 2 && i > 0)
                values[i] = values[i - 1] + next_random() % rare;
            if (mode == 3)
                values[i] = values[i] % 7 * 1000 + 3;
            if (next_random() % rare == 0)
                values[i] = next_random();
        }
        size_t len = col_encode(chunk, values, n,
            (unsigned)(next_random() % 8));
        struct col *col = open_chunk(len, n);
        wrong += col == NULL || first_wrong(col, n) != n;
        xfree(col);
    }
    is_int(wrong, 0, "400 random chunks read back");
}

/* The sanitizers judge; values may be anything, accesses may not. */
static void
test_damage(void)
{
    uint32_t opened = 0;
    for (int round = 0; round < 4000; round++) {
        uint32_t n = 1 + (uint32_t)(next_random() % 1500);
        for (uint32_t i = 0; i < n; i++)
            values[i] = i % 9 == 0 ? next_random() >> (round % 64) :
                                     next_random() % (1u + round % 50);
        size_t len = col_encode(chunk, values, n,
            (unsigned)(next_random() % 8));
        for (int flip = 0; flip < 3; flip++)
            chunk[next_random() % MIN(len, 40)] ^=
                (uint8_t)(1u << next_random() % 8);
        uint8_t *copy = xmalloc(len + COL_PAD);
        memcpy(copy, chunk, len);
        memset(copy + len, 0, COL_PAD);
        struct col *col = xmalloc(col_bytes(n));
        if (col_open(col, copy, len, n) == 0) {
            opened++;
            col_decode(col, 0, n, decoded);
            for (uint32_t i = 0; i < n; i++)
                if (col_get(col, i) != decoded[i])
                    fail("damaged chunk reads two ways");
        }
        xfree(col);
        xfree(copy);
    }
    ok(opened > 0, "4000 damaged chunks, %u still open", opened);
}

int
main(void)
{
    test_encodings();
    test_scales();
    test_random();
    test_damage();
    return tap_done();
}
