/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Filters as messages: random trees of all kinds are the same afterwards and
 * pass the same rows; what evaluation relies on is checked.
 */

#include "core/base.h"

#include <math.h>

#include "cluster/filter_wire.h"
#include "core/assert.h"
#include "filter_same.h"
#include "plan.pb-c.h"
#include "query/filter.h"
#include "query/parser.h"
#include "query/regexp.h"
#include "tap.h"

#define ROUNDS 3000
#define ROWS 40

static uint64_t state = 7;

static uint32_t
below(uint32_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

/* --- random trees --- */

static const struct sv words[] = {{"", 0}, {"a", 1}, {"GET", 3},
    {"GET /cart", 9}, {"42", 2}, {"-7", 2}, {"1.5s", 4}, {"10.0.0.7", 8},
    {"\xff\xfe", 2}, {"{a=\"b\",c=\"d\"}", 13}, {"[1,\"x\"]", 7},
    {"2026-03-01T10:00:00Z", 20}, {"took 12ms", 9}, {"::1", 3}};
static const struct sv fields[] = {{"_msg", 4}, {"name", 4}, {"a", 1},
    {"b", 1}, {"_time", 5}, {"_stream", 7}, {"missing", 7}};

static struct sv
word(void)
{
    return words[below(ARRAY_LEN(words))];
}

static void
make_values(struct sv **values, uint32_t *n, struct pool *pool)
{
    *n = below(6);
    *values = pool_alloc(pool, (*n + 1) * sizeof(**values));
    for (uint32_t i = 0; i < *n; i++)
        (*values)[i] = word();
}

static void
make_tag(struct stream_tag *tag, struct pool *pool)
{
    static const struct sv sources[] = {{"b.*", 3}, {"", 0}, {"(x|y)", 5}};
    struct err err = ERR_INIT;

    *tag = (struct stream_tag){.label = SV("a"),
        .op = (enum stream_op)below(STREAM_NOT_IN + 1)};
    if (tag->op >= STREAM_IN) {
        make_values(&tag->values, &tag->nvalues, pool);
        tag->is_any = below(4) == 0;
        return;
    }
    tag->values = pool_alloc(pool, sizeof(*tag->values));
    tag->nvalues = 1;
    tag->values[0] = tag->op >= STREAM_RE ? sources[below(3)] : word();
    if (tag->op >= STREAM_RE)
        check(regexp_compile(&tag->regexp, tag->values[0],
            REGEXP_ANCHORED | REGEXP_DOT_NEWLINE, pool, &err) == 0);
}

static void
make_stream(struct filter *filter, struct pool *pool)
{
    filter->field = SV("_stream");
    filter->nstream = below(3);
    filter->stream = pool_zalloc(pool, 3 * sizeof(*filter->stream));
    for (uint32_t i = 0; i < filter->nstream; i++) {
        filter->stream[i].ntags = 1 + below(3);
        filter->stream[i].tags = pool_zalloc(pool, 3 *
            sizeof(struct stream_tag));
        for (uint32_t k = 0; k < filter->stream[i].ntags; k++)
            make_tag(&filter->stream[i].tags[k], pool);
    }
}

static void
make_range(struct filter *filter)
{
    static const double numbers[] = {-INFINITY, -1.5, 0, 42, 1e300, INFINITY,
        NAN};

    filter->min = numbers[below(ARRAY_LEN(numbers))];
    filter->max = numbers[below(ARRAY_LEN(numbers))];
    filter->len_min = below(3) == 0 ? UINT64_MAX : below(10);
    filter->len_max = below(3) == 0 ? UINT64_MAX : below(100);
    filter->time_min = below(2) == 0 ? INT64_MIN : below(86400) * NS_PER_SEC;
    filter->time_max = below(2) == 0 ? INT64_MAX : below(86400) * NS_PER_SEC;
    filter->offset = below(2) == 0 ? INT64_MIN : below(100) * NS_PER_SEC;
    filter->has_text_end = below(2) == 0;
    filter->is_empty_matched = below(2) == 0;
}

static void
make_leaf(struct filter *filter, struct pool *pool)
{
    static const struct sv sources[] = {{"GET.*", 5}, {"(?i)ca", 6},
        {"^\\d+$", 5}};
    static const struct sv patterns[] = {{"took <N>ms", 10}, {"<IP4>", 5},
        {"", 0}};
    static const uint8_t ips[2][16] = {{0}, {255, 255}};
    struct err err = ERR_INIT;

    make_range(filter);
    make_values(&filter->values, &filter->nvalues, pool);
    switch (filter->kind) {
    case FILTER_REGEXP:
        filter->text = sources[below(3)];
        check(regexp_compile(&filter->regexp, filter->text,
            REGEXP_DOT_NEWLINE, pool, &err) == 0);
        break;
    case FILTER_PATTERN:
        filter->text = patterns[below(3)];
        check(text_pattern_make(&filter->pattern, filter->text,
            (enum pattern_ends)below(4), pool, &err) == 0);
        break;
    case FILTER_STREAM:
        make_stream(filter, pool);
        break;
    case FILTER_IPV6_RANGE:
        filter->text = sv_make(ips[below(2)], 16);
        filter->text_end = sv_make(ips[below(2)], 16);
        break;
    case FILTER_EQ_FIELD:
    case FILTER_LE_FIELD:
    case FILTER_LT_FIELD:
        filter->text = fields[below(ARRAY_LEN(fields))];
        break;
    default:
        filter->text_end = word();
    }
}

static struct filter *
make_tree(unsigned depth, struct pool *pool)
{
    enum filter_kind kind = (enum filter_kind)below(FILTER_JSON_ARRAY + 1);
    struct filter *filter;

    if (depth == 0 && kind >= FILTER_AND && kind <= FILTER_NOT)
        kind = FILTER_EXACT;
    filter = filter_new(pool, kind, fields[below(ARRAY_LEN(fields))],
        below(1000));
    filter->text = word();
    filter->written = below(3) == 0 ? word() : SV_EMPTY;
    if (kind < FILTER_AND || kind > FILTER_NOT) {
        make_leaf(filter, pool);
        return filter;
    }
    filter->nitems = kind == FILTER_NOT ? 1 : 2 + below(3);
    filter->items = pool_alloc(pool, 5 * sizeof(*filter->items));
    for (uint32_t i = 0; i < filter->nitems; i++)
        filter->items[i] = make_tree(depth - 1, pool);
    return filter;
}

/* --- the same rows --- */

static void
make_rows(struct rows *rows, struct pool *pool)
{
    struct err err = ERR_INIT;

    rows_init(rows, ROWS, pool);
    for (size_t i = 0; i < ARRAY_LEN(fields) - 1; i++) {
        struct sv *texts = pool_alloc(pool, ROWS * sizeof(*texts));
        struct column column = {.name = fields[i], .kind = COLUMN_TEXTS,
            .texts = texts};

        for (uint32_t row = 0; row < ROWS; row++)
            texts[row] = words[(row * (i + 3) + i) % ARRAY_LEN(words)];
        check(rows_set_column(rows, &column, &err) == 0);
    }
}

/* Which rows pass; 0 where the filter cannot be run. */
static uint64_t
passed(struct filter *filter, struct pool *pool)
{
    struct err err = ERR_INIT;
    struct rows rows;

    make_rows(&rows, pool);
    if (filter_prepare(filter, &err) != 0 ||
        rows_filter(&rows, filter, &err) != 0)
        return UINT64_MAX - (uint64_t)err.code;
    return rows.selected[0];
}

static void
test_random(void)
{
    unsigned wrong = 0, other = 0, some = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct pool *pool = pool_new(64 * MIB);
        struct filter *filter = make_tree(i % 6, pool), *got = NULL;
        struct filter_list list = {NULL, 0};
        struct err err = ERR_INIT;
        uint64_t rows;

        if (filter_wire_put(&list, filter, pool, &err) != 0 ||
            filter_wire_take(&got, &list, pool, &err) != 0 || list.n != 0) {
            if (wrong++ < 3)
                diag("kind %d: %s", (int)filter->kind, err.text);
        } else if (!filters_are_same(filter, got)) {
            wrong++;
        } else {
            rows = passed(filter, pool);
            other += rows != passed(got, pool);
            some += rows != 0 && rows != (UINT64_C(1) << ROWS) - 1;
        }
        pool_free(pool);
    }
    is_int(wrong, 0, "%u trees are the same", ROUNDS);
    is_int(other, 0, "and pass the same rows");
    ok(some > ROUNDS / 10, "%u pass some rows", some);
}

/* --- limits --- */

static void
test_depth(void)
{
    struct pool *pool = pool_new(64 * MIB);
    struct filter *filter = filter_new(pool, FILTER_ALL, SV_EMPTY, 0), *got;
    struct filter_list list = {NULL, 0};
    Spoor__Filter not = SPOOR__FILTER__INIT, *many[FILTER_WIRE_DEPTH_MAX + 1];
    struct err err = ERR_INIT;
    unsigned i;

    for (i = 1; i < FILTER_WIRE_DEPTH_MAX; i++) {
        struct filter *outer = filter_new(pool, FILTER_NOT, SV_EMPTY, 0);

        outer->items = pool_alloc(pool, sizeof(*outer->items));
        outer->items[0] = filter;
        outer->nitems = 1;
        filter = outer;
    }
    ok(filter_wire_put(&list, filter, pool, &err) == 0 &&
        filter_wire_take(&got, &list, pool, &err) == 0, "%u deep: %s", i,
        err.text);
    got = filter_new(pool, FILTER_NOT, SV_EMPTY, 0);
    got->items = &filter;
    got->nitems = 1;
    list = (struct filter_list){NULL, 0};
    ok(filter_wire_put(&list, got, pool, &err) == -1 &&
        err.code == ERR_LIMIT, "one more: %s", err.text);
    not.kind = SPOOR__FILTER_KIND__FILTER_KIND_NOT;
    not.items = 1;
    for (i = 0; i < ARRAY_LEN(many); i++)
        many[i] = &not;
    list = (struct filter_list){many, ARRAY_LEN(many)};
    ok(filter_wire_take(&got, &list, pool, &err) == -1 &&
        err.code == ERR_LIMIT, "of another server: %s", err.text);
    pool_free(pool);
}

static void
test_nodes(void)
{
    struct pool *pool = pool_new(256 * MIB);
    uint32_t n = FILTER_WIRE_NODES_MAX;
    struct filter *all = filter_new(pool, FILTER_ALL, SV_EMPTY, 0);
    struct filter *filter = filter_new(pool, FILTER_OR, SV_EMPTY, 0);
    struct filter_list list = {NULL, 0};
    struct err err = ERR_INIT;

    filter->items = pool_alloc(pool, n * sizeof(*filter->items));
    filter->nitems = n;
    for (uint32_t i = 0; i < n; i++)
        filter->items[i] = all;
    ok(filter_wire_put(&list, filter, pool, &err) == -1 &&
        err.code == ERR_LIMIT, "more than %u filters: %s", n, err.text);
    list = (struct filter_list){NULL, n + 1};
    ok(filter_wire_take(&filter, &list, pool, &err) == -1 &&
        err.code == ERR_LIMIT, "of another server: %s", err.text);
    pool_free(pool);
}

/* --- what evaluation relies on --- */

static enum err_code
take_one(Spoor__Filter *message, struct err *err)
{
    struct pool *pool = pool_new(MIB);
    struct filter_list list = {&message, 1};
    struct filter *got;
    enum err_code code;

    *err = (struct err)ERR_INIT;
    code = filter_wire_take(&got, &list, pool, err) == 0 ? ERR_NONE :
        err->code;
    pool_free(pool);
    return code;
}

#define KIND(name) SPOOR__FILTER_KIND__FILTER_KIND_##name
#define BYTES(text) {sizeof(text) - 1, (uint8_t *)(uintptr_t)(text)}

static void
test_checked(void)
{
    struct {
        const char *what;
        Spoor__Filter filter;
        enum err_code code;
    } cases[] = {
        {"a regexp", {.kind = KIND(REGEXP), .text = BYTES("a.*")}, ERR_NONE},
        {"none", {.kind = KIND(REGEXP), .text = BYTES("(")}, ERR_INVALID},
        {"one that RE2 has not", {.kind = KIND(REGEXP),
            .text = BYTES("(a)\\1")}, ERR_INVALID},
        {"an address", {.kind = KIND(IPV6_RANGE),
            .text = BYTES("0123456789abcdef"),
            .text_end = BYTES("0123456789abcdeg")}, ERR_NONE},
        {"a short address", {.kind = KIND(IPV6_RANGE),
            .text = BYTES("0123456789abcde"),
            .text_end = BYTES("0123456789abcdeg")}, ERR_INVALID},
        {"no address", {.kind = KIND(IPV6_RANGE)}, ERR_INVALID},
        {"eq_field of a prefix", {.kind = KIND(EQ_FIELD),
            .is_field_prefix = 1}, ERR_INVALID},
        {"a time of a prefix", {.kind = KIND(TIME), .is_field_prefix = 1},
            ERR_INVALID},
        {"a phrase of a prefix", {.kind = KIND(PHRASE),
            .is_field_prefix = 1}, ERR_NONE},
        {"items of ALL", {.kind = KIND(ALL), .items = 1}, ERR_INVALID},
        {"NOT without", {.kind = KIND(NOT)}, ERR_INVALID},
        {"AND without", {.kind = KIND(AND)}, ERR_INVALID},
        {"OR of what is not there", {.kind = KIND(OR), .items = UINT32_MAX},
            ERR_INVALID},
        {"values that end early", {.kind = KIND(IN),
            .values = BYTES("\5abc")}, ERR_INVALID},
        {"values of an endless length", {.kind = KIND(IN), .values =
            BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")},
            ERR_INVALID},
        {"no kind", {.kind = 0}, ERR_UNSUPPORTED},
        {"a kind of later", {.kind = 34}, ERR_UNSUPPORTED},
        {"a kind below 0", {.kind = -1}, ERR_UNSUPPORTED},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Spoor__Filter message = SPOOR__FILTER__INIT;
        struct err err;

        cases[i].filter.base = message.base;
        is_int(take_one(&cases[i].filter, &err), cases[i].code, "%s: %s",
            cases[i].what, err.text);
    }
}

/* "{} or {a=b}" lets every stream pass, as "{}" does. */
static void
test_streams(void)
{
    struct pool *pool = pool_new(MIB);
    struct filter *filter = filter_new(pool, FILTER_STREAM, SV("_stream"), 0);
    struct stream_all both[2] = {{.ntags = 0}, {.ntags = 1}};
    struct sv value = SV("b");
    struct stream_tag tag = {.label = SV("a"), .values = &value,
        .nvalues = 1};
    struct filter_list list = {NULL, 0};
    struct err err = ERR_INIT;
    struct filter *got;

    both[1].tags = &tag;
    filter->stream = both;
    filter->nstream = 2;
    ok(filter_wire_put(&list, filter, pool, &err) == 0 &&
        filter_wire_take(&got, &list, pool, &err) == 0 && got->nstream == 0,
        "an alternative without a tag");
    pool_free(pool);
}

int
main(void)
{
    test_random();
    test_depth();
    test_nodes();
    test_checked();
    test_streams();
    return tap_done();
}
