/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The filter of a block: a text that is there is never denied, others mostly
 * are; part_check() sees what is missing; a damaged filter denies nothing.
 */

#include "core/base.h"

#include "core/num.h"
#include "storage/block.h"
#include "storage/part_read.h"

#include "part_gen.h"
#include "span_gen.h"
#include "tap.h"

#define POOL_MAX (512 * MIB)
#define OLD_PART "t/data/part-1.0.l1"

static const struct tenant tenant0 = {0, 0};
static struct part_gen gen;
static struct span_gen dice;

static struct part *
open_part(const char *path)
{
    struct part *part = NULL;
    struct err err = ERR_INIT;

    if (part_open(&part, path, &err) != 0) {
        diag("%s", err.text);
        check(false);
    }
    return part;
}

/* A part of the spans in the memtable. */
static struct part *
make_part(void)
{
    struct err err = ERR_INIT;

    check(part_gen_encode(&gen, &err) == 0);
    part_gen_write(&gen, gen.file.ptr, gen.file.len);
    return open_part(gen.path);
}

static void
read_block(struct reading *r, struct part *part)
{
    static struct err err;

    err = (struct err)ERR_INIT;
    check(reading_open(r, part, 0, &err) == 0);
}

static bool
may_have(struct part *part, const char *field, struct sv text)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct block *block = NULL;
    struct err err = ERR_INIT;
    bool may;

    check(block_open_part(&block, part, 0, pool, &err) == 0);
    may = block_may_have(block, sv_from(field), text);
    block_close(block);
    pool_free(pool);
    return may;
}

static const struct part_vector *
filter_bits(const struct reading *r)
{
    return directory_find(r->dir, PART_FILTER_BITS, PART_ROLE_VALUES);
}

/* The entry of KEYS of an attribute of spans, or nkeys. */
static uint32_t
key_of(const struct part *part, const char *name, uint8_t type)
{
    uint32_t key = 0;

    while (key < part->nkeys && (part->keys[key].is_field ||
        part->keys[key].scope != KEY_SPAN || part->keys[key].type != type ||
        !sv_eq(part->keys[key].name, sv_from(name))))
        key++;
    return key;
}

/* --- real spans --- */

static void
add_real(uint32_t n)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct batch batch;

    batch_init(&batch, pool);
    span_gen_real(&dice, &batch, 12, n);
    check(part_gen_add(&gen, tenant0, &batch));
    pool_free(pool);
}

/* Of 10,000 texts that are not there. */
static uint32_t
count_wrong(struct reading *r, const char *name, uint8_t type)
{
    uint32_t key = key_of(r->part, name, type), wrong = 0;

    check(key < r->part->nkeys);
    for (uint32_t i = 0; i < 10000; i++) {
        char text[64];
        int len = type == VALUE_INT ?
            snprintf(text, sizeof(text), "%u", 1000000 + i) :
            snprintf(text, sizeof(text), "0000%04x-89ab-4cde-aabc-%012x", i,
                i * 77);

        wrong += filter_may_have(r, key, sv_make(text, (size_t)len));
    }
    return wrong;
}

/* Every text of every attribute of strings and integers. */
static uint32_t
count_denied(struct part *part, struct block *block)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct batch batch;
    struct err err = ERR_INIT;
    uint32_t got = 0, denied = 0;

    batch_init(&batch, pool);
    check(part_read_rows(part, 0, gen.nrows, &batch, NULL, &got,
        &err) == 0 && got == gen.nrows);
    for (uint32_t i = 0; i < got; i++) {
        for (uint32_t j = 0; j < batch.spans[i].attrs.n; j++) {
            const struct attr *attr = &batch.spans[i].attrs.v[j];
            char field[200], buf[24];
            struct sv text = attr->value.str;

            if (attr->value.type == VALUE_INT)
                text = sv_make(buf, num_print_i64(buf, attr->value.i));
            snprintf(field, sizeof(field), "span_attr:%.*s",
                SV_ARG(attr->key));
            denied += !block_may_have(block, sv_from(field), text);
        }
    }
    pool_free(pool);
    return denied;
}

static void
test_real(void)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct part *part;
    struct block *block = NULL;
    struct err err = ERR_INIT;
    struct reading r;
    uint32_t wrong;

    part_gen_reset(&gen);
    add_real(20000);
    part = make_part();
    read_block(&r, part);
    ok(filter_bits(&r) != NULL, "there is a filter of %u bits",
        filter_bits(&r)->count * 8 * PART_FILTER_ROW);
    is_int(filter_check(&r), 0, "it knows all texts: %s", r.err->text);
    wrong = count_wrong(&r, "app.request_id", VALUE_STRING);
    ok(wrong < 400, "%u of 10,000 strings are taken for known ones", wrong);
    is_int(count_wrong(&r, "db.response.returned_rows", VALUE_INT), 10000,
        "a key that has most integers of its range is not in it");
    ok(filter_may_have(&r, key_of(part, "http.request.method", VALUE_STRING),
        SV("BREW")), "keys of few texts are not in it");
    check(block_open_part(&block, part, 0, pool, &err) == 0);
    is_int(count_denied(part, block), 0, "no text of %u rows is denied",
        gen.nrows);
    block_close(block);
    ok(!may_have(part, "span_attr:db.response.returned_rows", SV("077")),
        "no integer looks like 077");
    reading_release(&r);
    part_close(part);
    pool_free(pool);
}

/* --- texts of many forms under one key --- */

static void
set_value(struct attr *attr, struct batch *batch, uint32_t i)
{
    gen_attr_str(&attr[0], "k", gen_printf(batch, "text %u", i));
    gen_attr_int(&attr[1], "n", i);
    gen_attr_str(&attr[2], "mixed", gen_printf(batch, "%u", 1000 + i));
    if (i == 7)
        gen_attr_str(&attr[0], "k", SV(""));
    if (i == 8)
        gen_attr_int(&attr[1], "n", INT64_MIN);
    if (i == 10) {
        gen_attr_str(&attr[2], "mixed", SV("x"));
        attr[2].value = (struct value){.d = 2.5, .type = VALUE_DOUBLE};
    }
    if (i % 3 == 0)
        gen_attr_int(&attr[2], "mixed", 5000 + i);
}

static void
add_values(uint32_t n)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct batch batch;

    batch_init(&batch, pool);
    span_gen_real(&dice, &batch, 1, n);
    for (uint32_t i = 0; i < n; i++) {
        struct attr *attr = gen_alloc(&batch, 3 * sizeof(*attr));

        set_value(attr, &batch, i);
        batch.spans[i].attrs = (struct attrs){attr, 3};
    }
    check(part_gen_add(&gen, tenant0, &batch));
    pool_free(pool);
}

static void
test_forms(void)
{
    static const struct {
        const char *field, *text;
        bool may;
    } cases[] = {
        {"span_attr:k", "text 50", true}, {"span_attr:k", "text 7", false},
        {"span_attr:k", "-", true}, {"span_attr:k", "none", false},
        {"span_attr:n", "33", true}, {"span_attr:n", "8", false},
        {"span_attr:n", "-9223372036854775808", true},
        {"span_attr:n", "+33", false}, {"span_attr:n", "text 50", false},
        {"span_attr:n", "9223372036854775808", false},
        {"span_attr:n", "-", false},
        {"span_attr:mixed", "1050", true}, {"span_attr:mixed", "5051", true},
        {"span_attr:mixed", "2.5", true},
    };
    struct part *part;

    part_gen_reset(&gen);
    add_values(120);
    part = make_part();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ok(may_have(part, cases[i].field, sv_from(cases[i].text)) ==
            cases[i].may, "%s: \"%s\" %s", cases[i].field, cases[i].text,
            cases[i].may ? "may be there" : "is not there");
    part_close(part);
}

static void
test_ints(void)
{
    struct part *part;
    struct reading r;
    uint32_t wrong;

    part_gen_reset(&gen);
    add_values(5000);
    part = make_part();
    read_block(&r, part);
    wrong = count_wrong(&r, "n", VALUE_INT);
    ok(wrong < 400, "%u of 10,000 integers are taken for known ones", wrong);
    reading_release(&r);
    part_close(part);
}

/* Few texts need no filter. */
static void
test_none(void)
{
    struct part *part;
    struct reading r;

    part_gen_reset(&gen);
    add_values(20);
    part = make_part();
    read_block(&r, part);
    ok(filter_bits(&r) == NULL, "no filter for twenty rows");
    is_int(filter_check(&r), 0, "nothing to check");
    reading_release(&r);
    ok(may_have(part, "span_attr:k", SV("text 5")), "a text is there");
    ok(!may_have(part, "span_attr:k", SV("text 50")), "another is not");
    part_close(part);
}

/* --- damage --- */

/* Clears bits of the filter in the cache, behind the checksums. */
static void
test_missing(void)
{
    struct part *part;
    struct reading r;
    const struct part_vector *bits;

    part_gen_reset(&gen);
    add_values(120);
    part = make_part();
    read_block(&r, part);
    bits = filter_bits(&r);
    for (uint32_t i = 0; i < bits->count; i++) {
        const uint8_t *row = NULL;

        check(vector_get_fixed(&r, bits, i, PART_FILTER_ROW, &row) == 0);
        memset((uint8_t *)(uintptr_t)row, 0, PART_FILTER_ROW);
    }
    ok(filter_check(&r) != 0 && r.err->code == ERR_CORRUPT,
        "part_check() misses texts: %s", r.err->text);
    reading_release(&r);
    part_close(part);
}

/* A byte of the filter in the file: whoever asks must read the data. */
static void
test_flipped(void)
{
    struct part *part;
    struct reading r;
    struct err err = ERR_INIT;
    uint8_t *bytes;
    uint64_t at;

    part_gen_reset(&gen);
    add_values(120);
    part = make_part();
    read_block(&r, part);
    at = r.block->off +
        r.dir->chunks[filter_bits(&r)->first_chunk].off;
    reading_release(&r);
    part_close(part);

    bytes = (uint8_t *)xmemdup0(gen.file.ptr, gen.file.len);
    bytes[at] ^= 1;
    part_gen_write(&gen, bytes, gen.file.len);
    part = open_part(gen.path);
    ok(may_have(part, "span_attr:k", SV("text 50")), "a text is there");
    ok(!may_have(part, "span_attr:k", SV("none")),
        "another is not: the dictionary knows");
    ok(may_have(part, "span_attr:n", SV("8")),
        "an integer that is not there is not denied");
    part_close(part);
    ok(part_check(gen.path, &err) != 0 && err.code == ERR_CORRUPT,
        "part_check() sees it: %s", err.text);
    xfree(bytes);
}

/* --- a part written by format 1.0 --- */

static void
test_old(void)
{
    struct part *part = NULL;
    struct err err = ERR_INIT;

    ok(part_open(&part, OLD_PART, &err) != 0 &&
        err.code == ERR_UNSUPPORTED, "is not read: %s", err.text);
}

int
main(void)
{
    part_gen_init(&gen);
    span_gen_init(&dice, 42);
    dice.now_ns += 3600 * NS_PER_SEC;
    test_real();
    test_forms();
    test_ints();
    test_none();
    test_missing();
    test_flipped();
    test_old();
    part_gen_free(&gen);
    return tap_done();
}
