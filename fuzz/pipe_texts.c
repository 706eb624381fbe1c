/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What pipes take apart and compute: a first line that separates, then a
 * text.  Any text has fields or none, arrays tell as many items as they
 * have, what is made of a text can be read back, and an expression means the
 * same after it was printed.
 */

#include "core/base.h"

#include <math.h>

#include "core/assert.h"
#include "query/arrays.h"
#include "query/math.h"
#include "query/parse.h"
#include "query/text.h"
#include "query/unpackers.h"

#define NOW INT64_C(1800000000123456789)
#define TEXT_MAX (16 * KIB)
#define PRINT_MAX (16 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
unpack(struct sv text, struct pool *pool)
{
    static const unpack_fn fns[] = {unpack_json, unpack_logfmt,
        unpack_syslog};
    struct unpack_spec spec = {.now_ns = NOW, .offset_ns = NS_PER_SEC};

    for (size_t i = 0; i < ARRAY_LEN(fns); i++) {
        struct unpacked out = {.pool = pool};
        uint64_t sum = 0;

        check(fns[i](&out, text, &spec) == 0);
        check(out.n <= UNPACK_FIELDS_MAX);
        for (uint32_t k = 0; k < out.n; k++) {
            const struct map_field *field = &out.fields[k];

            for (size_t b = 0; b < field->name.len; b++)
                sum += (uint8_t)field->name.ptr[b];
            for (size_t b = 0; b < field->text.len; b++)
                sum += (uint8_t)field->text.ptr[b];
        }
        check(sum != UINT64_MAX);
    }
}

static uint64_t
count_items(struct sv text, struct pool *pool)
{
    struct array_in array;
    struct sv item;
    uint64_t n = 0;

    if (array_count(text) == 0)
        return 0;
    array_begin(&array, text, pool);
    while (array_next(&array, &item))
        n++;
    check(!json_in_failed(&array.in));
    return n;
}

static void
words(struct sv text, struct pool *pool)
{
    struct array_in array;
    struct sb all, distinct;
    struct sv word;

    sb_init(&all, PRINT_MAX);
    sb_init(&distinct, PRINT_MAX);
    check(array_of_words(&all, text, false));
    check(array_of_words(&distinct, text, true));
    check(array_count(sb_sv(&distinct)) <= array_count(sb_sv(&all)));
    if (array_count(sb_sv(&distinct)) > 0 && sv_is_utf8(text)) {
        array_begin(&array, sb_sv(&distinct), pool);
        while (array_next(&array, &word))
            check(match_phrase(text, word));
    }
    sb_release(&all);
    sb_release(&distinct);
}

static void
arrays(struct sv text, struct sv separator, struct pool *pool)
{
    struct sb sb, joined;

    check(array_count(text) == count_items(text, pool));
    sb_init(&sb, PRINT_MAX);
    sb_init(&joined, PRINT_MAX);
    array_of_pieces(&sb, text, separator);
    check(!sb_failed(&sb));
    check((array_count(sb_sv(&sb)) == 0) == (text.len == 0));
    check(array_join(&joined, sb_sv(&sb), separator, pool));
    if (sv_is_utf8(text) && sv_is_utf8(separator))
        check(sv_eq(sb_sv(&joined), text));
    sb_release(&sb);
    sb_release(&joined);
}

/* --- math --- */

static const struct math_spec *
parse(struct sv text, struct pool *pool, struct err *err)
{
    struct query *query;

    if (query_parse(&query, text, NOW, pool, err) != 0)
        return NULL;
    return query->npipes == 1 ? query->pipes->spec : NULL;
}

static void
compute(const struct math_spec *spec, double *slots)
{
    for (uint32_t i = 0; i < spec->nnames; i++)
        slots[i] = 0.5;
    for (uint32_t i = 0; i < spec->nsources; i++)
        slots[spec->source_slots[i]] = (double)i - 3;
    for (uint32_t i = 0; i < spec->nexprs; i++)
        slots[spec->exprs[i].slot] = math_eval(&spec->exprs[i], slots);
}

static bool
is_same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void
math(struct sv text, struct pool *pool)
{
    double first[MATH_FIELDS_MAX], second[MATH_FIELDS_MAX];
    const struct math_spec *spec, *again;
    struct err err = ERR_INIT;
    struct sb sb;

    sb_init(&sb, PRINT_MAX);
    sb_add_str(&sb, "* | math ");
    sb_add_sv(&sb, text);
    spec = parse(sb_sv(&sb), pool, &err);
    if (spec != NULL) {
        sb_reset(&sb);
        sb_add_str(&sb, "* | math ");
        for (uint32_t i = 0; i < spec->nexprs; i++) {
            if (i > 0)
                sb_add_str(&sb, ", ");
            math_print(&sb, &spec->exprs[i]);
            sb_add_str(&sb, " as ");
            print_word(&sb, spec->exprs[i].result);
        }
        again = parse(sb_sv(&sb), pool, &err);
        if (again == NULL) {
            check(err.code == ERR_LIMIT);
        } else {
            compute(spec, first);
            compute(again, second);
            check(spec->nexprs == again->nexprs);
            check(spec->nnames == again->nnames);
            for (uint32_t i = 0; i < spec->nnames && spec->is_pure; i++)
                check(is_same(first[i], second[i]));
        }
    }
    sb_release(&sb);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv text = sv_make(data, MIN(size, TEXT_MAX));
    size_t len = sv_find_byte(text, '\n');
    struct sv separator = sv_sub(text, 0, len);
    struct pool *pool = pool_new(256 * MIB);

    if (size == 0)
        text = separator = SV_EMPTY;
    text = sv_sub(text, len + 1, SIZE_MAX);
    unpack(text, pool);
    arrays(text, separator, pool);
    words(text, pool);
    math(text, pool);
    pool_free(pool);
    return 0;
}
