/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Filters over columns: whatever the form of a column, a filter selects the
 * rows whose text it accepts; AND, OR and NOT are those of sets.
 */

#include "core/base.h"

#include "core/assert.h"
#include "core/num.h"
#include "query/filter.h"
#include "query/parse.h"
#include "query/rows.h"
#include "query/text.h"
#include "tap.h"

#define ROWS 200u

/* Every column holds the same texts, those of numbers[row % NUMBERS]. */
static const int64_t numbers[] = {0, 7, -3, 42, 1000000, 250,
    -8546795041744258908, 9223372036854775807, 1, 42};
#define NUMBERS ARRAY_LEN(numbers)

static struct sv texts[ROWS];
static struct sv dictionary[NUMBERS];
static uint32_t codes[ROWS];
static uint32_t own_codes[ROWS]; /* a dictionary entry for each row */
static int64_t ints[ROWS];
static uint64_t present[BITMAP_WORDS(ROWS)];

static void
columns_make(struct pool *pool)
{
    for (uint32_t i = 0; i < NUMBERS; i++) {
        char buf[24];
        size_t len = num_print_i64(buf, numbers[i]);

        dictionary[i] = sv_make(pool_dup(pool, buf, len), len);
    }
    dictionary[0] = SV_EMPTY;
    for (uint32_t row = 0; row < ROWS; row++) {
        uint32_t i = row * 7 % NUMBERS;

        ints[row] = numbers[i];
        texts[row] = dictionary[i];
        codes[row] = i;
        own_codes[row] = row;
        if (i != 0)
            bitmap_set(present, row);
    }
}

static struct rows *
rows_make(struct pool *pool)
{
    static const struct column columns[] = {
        {.name = {"texts", 5}, .kind = COLUMN_TEXTS, .texts = texts},
        {.name = {"codes", 5}, .kind = COLUMN_CODES, .codes = codes,
            .values = dictionary, .nvalues = NUMBERS},
        {.name = {"many", 4}, .kind = COLUMN_CODES, .codes = own_codes,
            .values = texts, .nvalues = ROWS},
        {.name = {"ints", 4}, .kind = COLUMN_INTS, .ints = ints,
            .present = present},
    };
    struct rows *rows = pool_alloc(pool, sizeof(*rows));
    struct err err = ERR_INIT;

    rows_init(rows, ROWS, pool);
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        check(rows_set_column(rows, &columns[i], &err) == 0);
    return rows;
}

static uint32_t
selected(struct pool *pool, const char *text, uint64_t *bits)
{
    struct rows *rows = rows_make(pool);
    struct err err = ERR_INIT;
    struct query *query;

    if (query_parse(&query, sv_from(text), 0, pool, &err) != 0 ||
        query_prepare(query, &err) != 0 ||
        rows_filter(rows, query->filter, &err) != 0) {
        ok(false, "%s: %s", text, err.text);
        return 0;
    }
    memcpy(bits, rows->selected, sizeof(present));
    return rows->nselected;
}

/* %s is the column. */
static const char *const same[] = {
    "%s:42", "%s:\"\"", "%s:*", "%s:=42", "%s:=042", "%s:=-3", "%s:=\"\"",
    "%s:>41", "%s:>=42", "%s:<42", "%s:<=-3", "%s:range(7, 250]",
    "%s:range[-inf, 0.5]", "%s:in(7, 250, x)", "%s:in(\"\", 1)", "%s:!=42",
    "%s:~\"^2\"", "%s:4*", "%s:=9*", "%s:len_range(0, 1)",
    "%s:string_range(1, 4)", "%s:contains_any(3, 250)", "%s:>abc",
    "%s:9223372036854775807", "%s:=9223372036854775807",
    "%s:>9223372036854775806", "%s:>=9223372036854775807",
    "%s:<=9223372036854775807", "%s:<9223372036854775807",
    "%s:<=-8546795041744258908", "%s:<-8546795041744258908",
    "%s:>=-8546795041744258908", "%s:>-8546795041744258908",
    "not %s:42", "%s:(42 or 7 or 250)",
    "%s:>1 %s:<300", "%s:>1 !%s:=42", "(%s:=7 or %s:=42) -%s:=7",
    "%s:i(42)", "%s:seq(25)", "%s:ipv4_range(0.0.0.0, 1.1.1.1)",
    "%s:le_field(texts)", "%s:lt_field(texts)", "%s:eq_field(texts)",
};

static void
test_forms(void)
{
    static const char *const columns[] = {"texts", "codes", "ints", "many"};

    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        uint64_t bits[ARRAY_LEN(columns)][BITMAP_WORDS(ROWS)];
        bool is_same = true;
        uint32_t n = 0;

        for (size_t c = 0; c < ARRAY_LEN(columns); c++) {
            struct pool *pool = pool_new(16 * MIB);
            char text[200];

            snprintf(text, sizeof(text), same[i], columns[c], columns[c],
                columns[c]);
            n = selected(pool, text, bits[c]);
            is_same = is_same && memcmp(bits[c], bits[0],
                sizeof(bits[c])) == 0;
            pool_free(pool);
        }
        ok(is_same, "%s: %u rows in every form", same[i], n);
    }
}

static void
test_counts(void)
{
    static const struct {
        const char *text;
        uint32_t n;
    } counts[] = {
        {"*", 200}, {"texts:42", 40}, {"ints:>=1000000", 40},
        {"texts:\"\"", 20}, {"codes:*", 180}, {"!texts:*", 20},
        {"nosuch:*", 0}, {"nosuch:\"\"", 200}, {"nosuch:=x", 0},
        {"nosuch:!=x", 200}, {"texts:=42 or texts:=7", 60},
        {"texts:in()", 0}, {"texts:in(*)", 200}, {"ints:<0", 40},
    };

    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        struct pool *pool = pool_new(16 * MIB);
        uint64_t bits[BITMAP_WORDS(ROWS)];

        is_int(selected(pool, counts[i].text, bits), counts[i].n, "%s",
            counts[i].text);
        pool_free(pool);
    }
}

static void
test_streams(void)
{
    static const struct sv stream = {
        "{name=\"GET \\\"x\\\"\",resource_attr:service.name=\"cart\"}", 53};
    static const struct {
        const char *text;
        int matches;
    } cases[] = {
        {"{resource_attr:service.name=\"cart\"}", 1},
        {"{resource_attr:service.name=\"car\"}", 0},
        {"{name=~\"GET.*\"}", 1}, {"{name=~\"GET\"}", 0},
        {"{name=\"GET \\\"x\\\"\"}", 1}, {"{zone=\"\"}", 1},
        {"{zone!=\"\"}", 0}, {"{}", 1},
        {"{name=\"a\" or resource_attr:service.name=\"cart\"}", 1},
        {"{name in (\"a\", \"GET \\\"x\\\"\")}", 1},
        {"{resource_attr:service.name not_in (\"cart\")}", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pool *pool = pool_new(16 * MIB);
        struct err err = ERR_INIT;
        struct query *query;

        if (query_parse(&query, sv_from(cases[i].text), 0, pool, &err) != 0)
            ok(false, "%s: %s", cases[i].text, err.text);
        else if (query->filter->kind == FILTER_ALL)
            is_int(1, cases[i].matches, "%s matches all", cases[i].text);
        else
            is_int(filter_match_stream(query->filter, stream, &err),
                cases[i].matches, "%s", cases[i].text);
        pool_free(pool);
    }
}

int
main(void)
{
    struct pool *pool = pool_new(16 * MIB);

    columns_make(pool);
    test_forms();
    test_counts();
    test_streams();
    pool_free(pool);
    return tap_done();
}
