/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Templates: every string of a merged part is the one that went in, read one
 * by one, all at once, merged again and looked for; whatever its digits are.
 */

#include "core/base.h"

#include "storage/block.h"
#include "storage/part_read.h"
#include "storage/part_template.h"

#include "part_gen.h"
#include "span_gen.h"
#include "tap.h"

#define POOL_MAX (512 * MIB)
#define SPANS 6000u

static const struct tenant tenant0 = {0, 0};
static struct part_gen gen;
static struct span_gen dice;

/* --- the text of templates --- */

static void
test_text(void)
{
    static const struct {
        const char *template, *text; /* NULL: not one of its strings */
        uint64_t numbers[PART_TEMPLATE_NUMBERS];
    } cases[] = {
        {"plain", "plain", {0}},
        {"plain", NULL, {0}},
        {"/a/\xf8\x01", "/a/0", {0}},
        {"/a/\xf8\x01/b", "/a/9999999999999999999/b",
            {UINT64_C(9999999999999999999)}},
        {"\xf9\x02\x03-\xf8\x02", "007-12", {7, 12}},
        {"\xf9\x07\x13", "9999999999999999999",
            {UINT64_C(9999999999999999999)}},
        {"\xfa\x07\x10", "ffffffffffffffff", {UINT64_MAX}},
        {"\xfa\x07\x08x", "00c0ffeex", {0xc0ffee}},
        {"\xfb\x07\x0c", "zzzzzzzzzzzz", {UINT64_C(4738381338321616895)}},
        {"\xfb\x07\x04.", "00z1.", {35 * 36 + 1}},
        {"u \xfc\x07!", "u 00112233-4455-6677-8899-aabbccddeeff!",
            {UINT64_C(0x0011223344556677), UINT64_C(0x8899aabbccddeeff)}},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sv text = cases[i].text == NULL ? SV("other") :
            sv_from(cases[i].text);
        uint64_t numbers[PART_TEMPLATE_NUMBERS] = {0};
        struct template t;
        char buf[200];
        size_t len = 0;

        check(template_parse(&t, sv_from(cases[i].template)));
        ok(template_match(&t, text, numbers) == (cases[i].text != NULL),
            "\"%.*s\" %s", SV_ARG(text), cases[i].text == NULL ?
            "does not match" : "matches");
        if (cases[i].text == NULL)
            continue;
        ok(memcmp(numbers, cases[i].numbers, sizeof(numbers)) == 0,
            "its numbers");
        check(t.bytes_max <= sizeof(buf));
        ok(template_print(&t, cases[i].numbers, buf, &len) &&
            len <= t.bytes_max && sv_eq(sv_make(buf, len), text),
            "printed again: \"%.*s\"", (int)len, buf);
    }
}

static void
test_malformed(void)
{
    static const struct sv texts[] = {SV("\xf8"), SV("a\xf8\x08"),
        SV("\xf9\x01"), SV("\xf9\x01\x14"), SV("\xfa\x01\x11"),
        SV("\xfb\x01\x0d"), SV("\xfc\x09"), SV("\xfd\x01\x01"),
        SV("\xff"), SV("\xf8\x01\xf8\x01\xf8\x01\xf8\x01\xf8\x01\xf8\x01"
            "\xf8\x01\xf8\x01\xf8\x01"),
        SV("\xf8\x01\xf8\x01\xf8\x01\xf8\x01\xf8\x01\xf8\x01\xf8\x01"
            "\xfc\x01")};
    static const struct {
        const char *template;
        uint64_t number;
    } large[] = {{"\xf9\x01\x02", 100}, {"\xfa\x01\x01", 16},
        {"\xfb\x01\x0c", UINT64_MAX}};
    struct template t;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        ok(!template_parse(&t, texts[i]), "malformed template %zu", i);
    for (size_t i = 0; i < ARRAY_LEN(large); i++) {
        char buf[64];
        size_t len;

        check(template_parse(&t, sv_from(large[i].template)));
        ok(!template_print(&t, &large[i].number, buf, &len),
            "too large a number %zu", i);
    }
}

/* --- columns --- */

static struct sv
code(struct batch *batch, uint32_t n)
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    char *text = gen_alloc(batch, n);

    for (uint32_t i = 0; i < n; i++)
        text[i] = digits[gen_below(&dice, 32)];
    return sv_make(text, n);
}

static struct sv
path(struct batch *batch, uint32_t i)
{
    return gen_printf(batch, "/api/v%u/things-%u/%u/detail?x=%03u", 1 + i % 2,
        i % 7, gen_below(&dice, 1000000), gen_below(&dice, 1000));
}

static struct sv
zeros(struct batch *batch, UNUSED uint32_t i)
{
    return gen_printf(batch, "user %0*u of %u", 1 + (int)gen_below(&dice, 8),
        gen_below(&dice, 5000), gen_below(&dice, 3));
}

/* Runs of 15 to 22 digits: what is too long stays text. */
static struct sv
longs(struct batch *batch, uint32_t i)
{
    char digits[32];
    uint32_t n = i % 20 == 0 ? 19 + gen_below(&dice, 4) : 15 + i % 4;

    for (uint32_t j = 0; j < n; j++)
        digits[j] = (char)('0' + gen_below(&dice, 10));
    return gen_printf(batch, "order %.*s is late", (int)n, digits);
}

static struct sv
uuids(struct batch *batch, uint32_t i)
{
    struct sv uuid = gen_uuid(&dice, batch);

    switch (i % 50) {
    case 0:
        return gen_printf(batch, "/o/%.*s0/items", SV_ARG(uuid));
    case 1:
        return gen_printf(batch, "/o/%.*s", 35, uuid.ptr);
    default:
        return gen_printf(batch, "/o/%.*s/items/%u", SV_ARG(uuid), i % 30);
    }
}

static struct sv
hexes(struct batch *batch, uint32_t i)
{
    uint64_t v = gen_next(&dice);

    return i % 3 == 0 ? gen_printf(batch, "cart-%08x", (uint32_t)v) :
        i % 3 == 1 ? gen_printf(batch, "cart-%016llx", (unsigned long long)v)
        : gen_printf(batch, "cart-%016llx%04x.", (unsigned long long)v,
            (uint32_t)v & 0xffff);
}

static struct sv
codes(struct batch *batch, uint32_t i)
{
    uint32_t n = i % 100 == 0 ? 26 : 11 + i % 14;

    return gen_printf(batch, "/parcels/%.*s/state", (int)n,
        code(batch, n).ptr);
}

static struct sv
addresses(struct batch *batch, UNUSED uint32_t i)
{
    return gen_printf(batch, "10.%u.%u.%u", gen_below(&dice, 4),
        gen_below(&dice, 256), gen_below(&dice, 256));
}

/* More numbers than a template has. */
static struct sv
many(struct batch *batch, uint32_t i)
{
    return gen_printf(batch, "x IN (%u, %u, %u, %u, %u, %u, %u, %u, 9, 10)",
        gen_below(&dice, 9), i, gen_below(&dice, 99), gen_below(&dice, 999),
        gen_below(&dice, 9999), gen_below(&dice, 99999), i * 1000003,
        gen_below(&dice, 1u << 31));
}

static struct sv
foreign(struct batch *batch, uint32_t i)
{
    return gen_printf(batch, "größe%u-%u日本%u", i % 3,
        gen_below(&dice, 10000), gen_below(&dice, 10));
}

static struct sv
bare(struct batch *batch, UNUSED uint32_t i)
{
    return gen_printf(batch, "%u", gen_below(&dice, 3000000));
}

/* Two in a hundred are empty, or just the template's text. */
static struct sv
gaps(struct batch *batch, uint32_t i)
{
    return i % 100 == 7 ? SV("") : i % 100 == 8 ? SV("shard ") :
        gen_printf(batch, "shard %u", gen_below(&dice, 100000));
}

/* One string has a byte that begins a variable. */
static struct sv
marked(struct batch *batch, uint32_t i)
{
    return i == 1234 ? SV("job \xf8\x01") :
        gen_printf(batch, "job %u", gen_below(&dice, 100000));
}

static struct sv
prose(struct batch *batch, UNUSED uint32_t i)
{
    return gen_printf(batch, "%.*s %.*s 1", 9, code(batch, 9).ptr, 7,
        code(batch, 7).ptr);
}

/* Pieces of a few kinds in an order that is seldom new. */
static struct sv
mixed(struct batch *batch, UNUSED uint32_t i)
{
    uint32_t kind = gen_below(&dice, 40);
    char text[200];
    size_t len = 0;

    for (uint32_t j = 0; j < 1 + kind % 6; j++) {
        static const char *const between[] = {"/", "", ".", "AB", "-",
            "\xc3\xa9", " = "};
        uint64_t v = gen_next(&dice) >> gen_below(&dice, 64);

        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
            between[(kind + j) % ARRAY_LEN(between)]);
        len += (size_t)snprintf(text + len, sizeof(text) - len,
            (kind >> j % 3 & 1) != 0 ? "%llu" : kind % 4 == 0 ? "%03llx" :
            "%05llu", (unsigned long long)v);
    }
    return gen_printf(batch, "%s", text);
}

static const struct {
    const char *name;
    struct sv (*make)(struct batch *batch, uint32_t i);
    int has_templates; /* -1: either way */
} columns[] = {
    {"path", path, 1}, {"zeros", zeros, 1}, {"longs", longs, 1},
    {"uuids", uuids, 1}, {"hexes", hexes, 1}, {"codes", codes, 1},
    {"addresses", addresses, 1}, {"many", many, 1}, {"foreign", foreign, 1},
    {"bare", bare, 1}, {"gaps", gaps, 1}, {"marked", marked, 0},
    {"prose", prose, 0}, {"mixed", mixed, -1},
};

#define COLUMNS ARRAY_LEN(columns)

/* By span, the last two bytes of its id: what went in. */
static struct sv texts[SPANS][COLUMNS];

static uint32_t
number_of(const struct span *span)
{
    return (uint32_t)span->span_id.b[6] << 8 | span->span_id.b[7];
}

static void
make_spans(struct pool *pool)
{
    struct batch batch;

    batch_init(&batch, pool);
    span_gen_real(&dice, &batch, 3, SPANS);
    for (uint32_t i = 0; i < SPANS; i++) {
        struct attr *attrs = gen_alloc(&batch, COLUMNS * sizeof(*attrs));

        for (uint32_t j = 0; j < COLUMNS; j++) {
            texts[i][j] = columns[j].make(&batch, i);
            gen_attr_str(&attrs[j], columns[j].name, texts[i][j]);
        }
        batch.spans[i].attrs = (struct attrs){attrs, COLUMNS};
        batch.spans[i].span_id.b[6] = (uint8_t)(i >> 8);
        batch.spans[i].span_id.b[7] = (uint8_t)i;
    }
    check(part_gen_add(&gen, tenant0, &batch));
}

static struct part *
open_part(const char *name)
{
    struct part *part = NULL;
    struct err err = ERR_INIT;

    ok(part_check(name, &err) == 0, "checks %s", err.text);
    check(part_open(&part, name, &err) == 0);
    return part;
}

/* --- comparing --- */

static void
compare_rows(struct part *part)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct batch batch;
    struct err err = ERR_INIT;
    uint32_t got = 0, wrong = 0;

    batch_init(&batch, pool);
    check(part_read_rows(part, 0, SPANS, &batch, NULL, &got, &err) == 0);
    is_int(got, SPANS, "all rows");
    for (uint32_t i = 0; i < got; i++) {
        const struct span *span = &batch.spans[i];

        for (uint32_t j = 0; j < COLUMNS; j++)
            wrong += !sv_eq(span->attrs.v[j].value.str,
                texts[number_of(span)][j]);
    }
    is_int(wrong, 0, "strings read one by one");
    pool_free(pool);
}

static uint32_t
count_wrong(struct block *block, const struct column *ids, uint32_t column)
{
    const struct column *values = NULL;
    struct err err = ERR_INIT;
    char field[64];
    uint32_t wrong = 0;

    snprintf(field, sizeof(field), "span_attr:%s", columns[column].name);
    check(block_column(block, sv_from(field), NULL, &values, &err) == 0);
    for (uint32_t row = 0; row < SPANS; row++) {
        const uint8_t *id = column_id(ids, row);
        struct sv want = texts[(uint32_t)id[6] << 8 | id[7]][column];
        char buf[COLUMN_TEXT_MAX];

        if (want.len == 0)
            want = SV("-");
        wrong += !sv_eq(column_text(values, row, buf), want);
        wrong += !block_may_have(block, sv_from(field), want);
    }
    return wrong;
}

static void
compare_columns(struct part *part)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct block *block = NULL;
    const struct column *ids = NULL;
    struct err err = ERR_INIT;

    check(block_open_part(&block, part, 0, pool, &err) == 0);
    check(block_column(block, SV("span_id"), NULL, &ids, &err) == 0);
    for (uint32_t i = 0; i < COLUMNS; i++)
        is_int(count_wrong(block, ids, i), 0, "column \"%s\"",
            columns[i].name);
    block_close(block);
    pool_free(pool);
}

static uint32_t
column_of(const struct part *part, const char *name)
{
    uint32_t key = 0;

    while (part->keys[key].is_field || part->keys[key].scope != KEY_SPAN ||
        !sv_eq(part->keys[key].name, sv_from(name)))
        key++;
    return PART_COLUMNS_CORE + key;
}

/* Which columns have templates, and what these do not have. */
static void
compare_dictionaries(struct part *part)
{
    static const struct sv others[] = {SV("/api/v1/things-1/x/detail?x=001"),
        SV("cart-0000000000000000"), SV("x"), SV(""), SV("job \xf8\x01")};
    struct reading r;
    struct err err = ERR_INIT;

    check(reading_open(&r, part, 0, &err) == 0);
    for (uint32_t i = 0; i < COLUMNS; i++) {
        uint32_t column = column_of(part, columns[i].name), found = 0;
        bool has = dictionary_has_templates(&r, column);

        if (columns[i].has_templates >= 0)
            is_int(has, columns[i].has_templates, "\"%s\" has %stemplates",
                columns[i].name, columns[i].has_templates ? "" : "no ");
        for (uint32_t j = 0; has && j < ARRAY_LEN(others); j++)
            found += template_has(&r, column, others[j]);
        is_int(found, has && i == 10, "\"%s\" lacks other texts",
            columns[i].name);
    }
    reading_release(&r);
}

static void
test_columns(void)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct part *part;
    struct err err = ERR_INIT;
    char again[300];

    part_gen_reset(&gen);
    make_spans(pool);
    check(part_gen_encode(&gen, &err) == 0);
    part_gen_write(&gen, gen.file.ptr, gen.file.len);
    part_gen_merge(&gen, gen.path);
    part = open_part(gen.path);
    compare_dictionaries(part);
    compare_rows(part);
    compare_columns(part);
    part_close(part);

    snprintf(again, sizeof(again), "%s.again", gen.path);
    check(rename(gen.path, again) == 0);
    part_gen_merge(&gen, again);
    part = open_part(gen.path);
    compare_rows(part);
    compare_columns(part);
    part_close(part);
    unlink(again);
    pool_free(pool);
}

/* --- damage, behind the checksums --- */

static uint32_t
count_failed(struct reading *r, uint32_t column)
{
    struct pool *pool = pool_new(POOL_MAX);
    uint32_t n = dictionary_count(r, column), failed = 0;
    struct sv text;

    for (uint32_t i = 0; i < n; i++)
        failed += dictionary_get(r, column, i, pool, &text) != 0;
    pool_free(pool);
    return failed;
}

/* A vector that says it is of another role is as good as gone. */
static void
test_missing(void)
{
    static const enum part_role roles[] = {PART_ROLE_LENGTH, PART_ROLE_MARK,
        PART_ROLE_TEMPLATE_MARK, PART_ROLE_LANE + 4};
    struct part *part = open_part(gen.path);
    uint32_t column = column_of(part, "path");

    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        struct reading r;
        struct err err = ERR_INIT;
        struct part_vector *vector;
        uint32_t id;

        check(reading_open(&r, part, 0, &err) == 0);
        vector = (struct part_vector *)(uintptr_t)directory_find(r.dir,
            column, roles[i]);
        check(vector != NULL);
        id = vector->id;
        vector->id = column * PART_ROLES + PART_ROLES - 1;
        is_int(count_failed(&r, column), dictionary_count(&r, column),
            "without role %u no string is read: %s", roles[i], err.text);
        ok(template_check(&r, column) != 0 && err.code == ERR_CORRUPT,
            "part_check() sees it");
        vector->id = id;
        reading_release(&r);
    }
    part_close(part);
}

int
main(void)
{
    part_gen_init(&gen);
    span_gen_init(&dice, 7);
    dice.now_ns += 3600 * NS_PER_SEC;
    test_text();
    test_malformed();
    test_columns();
    test_missing();
    part_gen_free(&gen);
    return tap_done();
}
