/* SPDX-License-Identifier: BSD-2-Clause */

/* Parcels and answers: there and back, damaged, cut off. */

#include "core/base.h"
#include "cluster/parcel.h"

#include "tap.h"

#define BYTES_MAX (1 * MIB)

static struct parcel
make(struct sv params, struct sv body)
{
    struct parcel parcel = {
        .tenant = {7, UINT32_MAX},
        .encoding = ENCODING_ZSTD,
        .nspans = 3,
        .made_ns = -5,
        .params = params,
        .body = body,
    };

    parcel_make_id(&parcel, body);
    return parcel;
}

static bool
same(const struct parcel *a, const struct parcel *b)
{
    return memcmp(a->id, b->id, sizeof(a->id)) == 0 &&
        a->tenant.account == b->tenant.account &&
        a->tenant.project == b->tenant.project &&
        a->encoding == b->encoding && a->nspans == b->nspans &&
        a->made_ns == b->made_ns && sv_eq(a->params, b->params) &&
        sv_eq(a->body, b->body);
}

static void
test_round_trip(void)
{
    struct parcel first = make(SV("params"), SV("a body\0of bytes"));
    struct parcel second = make(SV_EMPTY, SV_EMPTY), got;
    struct err err = ERR_INIT;
    struct sb out;
    struct sv in;

    second.encoding = ENCODING_IDENTITY;
    sb_init(&out, BYTES_MAX);
    parcel_put(&out, &first);
    is_int(out.len, parcel_size(&first), "size of a parcel");
    parcel_put(&out, &second);
    is_int(parcel_size(&second), PARCEL_HEAD_BYTES, "size of an empty one");
    in = sb_sv(&out);
    ok(parcel_take(&in, &got, &err) == 1 && same(&got, &first), "first");
    ok(parcel_take(&in, &got, &err) == 1 && same(&got, &second), "second");
    is_int(parcel_take(&in, &got, &err), 0, "and no more");
    sb_release(&out);
}

static void
test_id(void)
{
    struct parcel a = make(SV("p"), SV("body"));
    struct parcel b = make(SV("p"), SV("body"));

    b.encoding = ENCODING_IDENTITY;
    b.made_ns = 99;
    b.nspans = 1;
    parcel_make_id(&b, SV("body"));
    ok(memcmp(a.id, b.id, 16) == 0, "an id is of content alone");
    parcel_make_id(&b, SV("bodY"));
    ok(memcmp(a.id, b.id, 16) != 0, "another body");
    b.tenant.project = 1;
    parcel_make_id(&b, SV("body"));
    ok(memcmp(a.id, b.id, 16) != 0, "another tenant");
    b = make(SV("pb"), SV("ody"));
    ok(memcmp(a.id, b.id, 16) != 0, "params and body are apart");
}

/* Every byte changed and every length must be noticed. */
static void
test_damage(void)
{
    struct parcel parcel = make(SV("params"), SV("body")), got;
    unsigned missed = 0, wrong = 0;
    struct sb out;

    sb_init(&out, BYTES_MAX);
    parcel_put(&out, &parcel);
    for (size_t i = 0; i < out.len; i++) {
        struct err err = ERR_INIT;
        struct sv in = sb_sv(&out);

        out.ptr[i] ^= 0x10;
        missed += parcel_take(&in, &got, &err) != -1;
        wrong += err.code != ERR_CORRUPT;
        out.ptr[i] ^= 0x10;
        in = sv_sub(sb_sv(&out), 0, i);
        missed += parcel_take(&in, &got, &err) == 1;
    }
    is_int(missed, 0, "damaged and cut parcels are refused");
    is_int(wrong, 0, "as ERR_CORRUPT");
    sb_release(&out);
}

static void
test_answers(void)
{
    const struct parcel_answer answers[] = {
        {PARCEL_STORED, 0, 0},
        {PARCEL_STORED, 12, 1 << REJECT_TOO_OLD},
        {PARCEL_TOO_LARGE, 0, 0},
    };
    struct err err = ERR_INIT;
    struct parcel_answer got;
    unsigned missed = 0;
    struct sb out;
    struct sv in;

    sb_init(&out, BYTES_MAX);
    for (unsigned i = 0; i < ARRAY_LEN(answers); i++)
        parcel_answer_put(&out, &answers[i]);
    in = sb_sv(&out);
    for (unsigned i = 0; i < ARRAY_LEN(answers); i++) {
        is_int(parcel_answer_take(&in, &got, &err), 1, "answer %u", i);
        ok(got.status == answers[i].status &&
            got.rejected == answers[i].rejected &&
            got.reject_mask == answers[i].reject_mask, "is what was put");
    }
    is_int(parcel_answer_take(&in, &got, &err), 0, "and no more");
    for (unsigned i = 0; i < PARCEL_ANSWER_BYTES; i++) {
        out.ptr[i] ^= 1;
        in = sb_sv(&out);
        missed += parcel_answer_take(&in, &got, &err) != -1;
        out.ptr[i] ^= 1;
        in = sv_sub(sb_sv(&out), 0, i);
        missed += parcel_answer_take(&in, &got, &err) == 1;
    }
    is_int(missed, 0, "damaged and cut answers are refused");
    sb_release(&out);
}

int
main(void)
{
    test_round_trip();
    test_id();
    test_damage();
    test_answers();
    return tap_done();
}
