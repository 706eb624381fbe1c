/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Any bytes as parcels and as answers.  Since few inputs have a right
 * checksum, it is set right in a second try.  What was taken is put to the
 * same bytes.
 */

#include "core/base.h"
#include "cluster/parcel.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/assert.h"
#include "core/enc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
take_parcels(struct sv in)
{
    struct err err = ERR_INIT;
    struct parcel parcel;
    int n;

    for (;;) {
        struct sv before = in;
        struct sb again;

        n = parcel_take(&in, &parcel, &err);
        if (n != 1)
            break;
        sb_init(&again, parcel_size(&parcel));
        parcel_put(&again, &parcel);
        check(!sb_failed(&again));
        check(sv_eq(sb_sv(&again), sv_sub(before, 0, again.len)));
        check(before.len - in.len == again.len);
        sb_release(&again);
    }
    check(n == 0 ? in.len == 0 : err.code == ERR_CORRUPT);
}

static void
take_answers(struct sv in)
{
    struct err err = ERR_INIT;
    struct parcel_answer answer;
    struct sb again;

    sb_init(&again, in.len);
    for (;;) {
        struct sv before = in;
        int n = parcel_answer_take(&in, &answer, &err);

        if (n != 1) {
            check(n == 0 ? in.len == 0 : err.code == ERR_CORRUPT);
            break;
        }
        sb_reset(&again);
        parcel_answer_put(&again, &answer);
        check(sv_eq(sb_sv(&again), sv_sub(before, 0, again.len)));
    }
    sb_release(&again);
}

/* As parcel_put() would write it, and answers. */
static void
mend(char *ptr, size_t size)
{
    for (size_t at = 0; size - at >= PARCEL_HEAD_BYTES; ) {
        size_t bytes = enc_get32(ptr + at + 4);

        if (bytes < PARCEL_HEAD_BYTES || bytes > size - at)
            break;
        enc_put64(ptr + at + 8, XXH3_64bits_withSeed(ptr + at + 16,
            bytes - 16, bytes));
        at += bytes;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);

    check(copy != NULL);
    memcpy(copy, data, size);
    take_parcels(sv_make(copy, size));
    take_answers(sv_make(copy, size));
    mend(copy, size);
    take_parcels(sv_make(copy, size));
    for (size_t at = 0; size - at >= PARCEL_ANSWER_BYTES;
        at += PARCEL_ANSWER_BYTES)
        enc_put32(copy + at + 12, (uint32_t)XXH3_64bits(copy + at, 12));
    take_answers(sv_make(copy, size));
    free(copy);
    return 0;
}
