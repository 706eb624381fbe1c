/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Columns of blocks against the flat view of the rows: every field of every
 * row of memtables and parts has the text of flat_span(), whichever rows are
 * wanted.
 */

#include "core/base.h"
#include "storage/block.h"

#include "core/assert.h"
#include "core/mem.h"
#include "span/flat.h"

#include "block_want.h"
#include "part_gen.h"
#include "span_gen.h"
#include "span_gen_fields.h"
#include "tap.h"

static struct part_gen gen;
static const struct tenant tenants[] = {{0, 0}, {1, 2}, {7, 0}};

/* --- opening --- */

struct source {
    const struct memtable *mt;
    struct part *part;
    uint32_t rows;
};

static struct block *
open_block(const struct source *source, struct pool *pool)
{
    struct block *block = NULL;
    struct err err = ERR_INIT;
    int rc = source->part != NULL ?
        block_open_part(&block, source->part, 0, pool, &err) :
        block_open_memtable(&block, source->mt, source->rows, pool, &err);

    check(rc == 0);
    return block;
}

/* --- columns --- */

/* CODES: every code names a text and no text is there twice. */
static bool
is_sound(const struct column *column, const uint64_t *wanted, uint32_t rows)
{
    if (column->kind != COLUMN_CODES)
        return true;
    for (uint32_t row = 0; row < rows; row++) {
        if ((wanted == NULL || bitmap_has(wanted, row)) &&
            column->codes[row] >= column->nvalues)
            return false;
    }
    if (column->nvalues > 300)
        return true;
    for (uint32_t i = 0; i < column->nvalues; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (sv_eq(column->values[i], column->values[j]))
                return false;
        }
    }
    return true;
}

static bool
same_text(const struct wanted *want, const struct column *column,
    uint32_t row)
{
    char buf[COLUMN_TEXT_MAX];
    struct sv got = column_text(column, row, buf);
    struct sv text = want_text(want, row, column->name);

    if (sv_eq(got, text))
        return true;
    diag("row %u, %.*s, kind %d: got \"%.*s\", want \"%.*s\"", row,
        SV_ARG(column->name), (int)column->kind, SV_ARG(got), SV_ARG(text));
    return false;
}

/* Rows whose text is wrong. */
static uint32_t
check_column(const struct wanted *want, struct block *block, struct sv name,
    const uint64_t *wanted)
{
    const struct column *column = NULL;
    struct err err = ERR_INIT;
    uint32_t wrong = 0;

    if (block_column(block, name, wanted, &column, &err) != 0) {
        diag("%.*s: %s", SV_ARG(name), err.text);
        return 1;
    }
    wrong += !sv_eq(column->name, name);
    wrong += !is_sound(column, wanted, want->rows);
    for (uint32_t row = 0; row < want->rows; row++) {
        if (wanted == NULL || bitmap_has(wanted, row))
            wrong += !same_text(want, column, row);
        if (wrong > 3)
            break;
    }
    return wrong;
}

static void
random_rows(struct span_gen *random, uint64_t *bits, uint32_t rows)
{
    uint32_t every = 1 + gen_below(random, 300);

    memset(bits, 0, BITMAP_WORDS(rows) * sizeof(*bits));
    for (uint32_t row = 0; row < rows; row++) {
        if (gen_one_in(random, every))
            bitmap_set(bits, row);
    }
}

/* Texts that are there are never denied. */
static uint32_t
check_may_have(const struct wanted *want, struct block *block,
    struct span_gen *random)
{
    uint32_t wrong = 0;

    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t row = gen_below(random, want->rows);
        const struct flat *flat = &want->flat[row];
        uint32_t j = gen_below(random, flat->n);

        if (!block_may_have(block, flat->fields[j].name,
            flat->fields[j].text)) {
            diag("denied: %.*s \"%.*s\"", SV_ARG(flat->fields[j].name),
                SV_ARG(flat->fields[j].text));
            wrong++;
        }
        wrong += !block_may_have(block, SV("_stream"), want->stream[row]) ||
            !block_may_have(block, SV("_stream_id"), want->stream_id[row]);
    }
    return wrong;
}

static bool
has_name(const struct sv *names, uint32_t n, struct sv name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (sv_eq(names[i], name))
            return true;
    }
    return false;
}

/* Names that a row has and the block does not know. */
static uint32_t
check_names(const struct wanted *want, const struct sv *names, uint32_t n)
{
    uint32_t wrong = 0;

    for (uint32_t row = 0; row < want->rows; row += 1 + want->rows / 500) {
        for (uint32_t i = 0; i < want->flat[row].n; i++) {
            struct sv name = want->flat[row].fields[i].name;

            if (!has_name(names, n, name)) {
                diag("no name %.*s", SV_ARG(name));
                wrong++;
            }
        }
    }
    return wrong;
}

static uint32_t
check_tenants(const struct wanted *want, struct block *block)
{
    uint64_t *bits = xcalloc(BITMAP_WORDS(want->rows) + 1, sizeof(*bits));
    struct tenant stranger = {99, 99};
    struct err err = ERR_INIT;
    uint32_t wrong = 0, count = 0;

    for (size_t i = 0; i < ARRAY_LEN(tenants); i++) {
        uint32_t n = 0;

        check(block_select_tenant(block, &tenants[i], bits, &count,
            &err) == 0);
        for (uint32_t row = 0; row < want->rows; row++) {
            bool is_own = memcmp(&want->tenant[row], &tenants[i],
                sizeof(tenants[i])) == 0;

            n += is_own;
            wrong += count > 0 ? bitmap_has(bits, row) != is_own : is_own;
        }
        wrong += n != count;
    }
    check(block_select_tenant(block, &stranger, bits, &count, &err) == 0);
    xfree(bits);
    return wrong + count;
}

/* --- runs --- */

static uint32_t runs_seen;

/* All rows are in runs, each with the text of its run; or there is none. */
static uint32_t
check_runs(const struct wanted *want, struct block *block, struct sv name)
{
    struct err err = ERR_INIT;
    struct block_runs runs;
    uint32_t wrong = 0;

    if (block_runs_of(block, name, &runs, &err) != 0)
        return 1;
    if (runs.n == 0)
        return 0;
    runs_seen++;
    wrong += runs.start[0] != 0 || runs.start[runs.n] != want->rows;
    for (uint32_t i = 0; i < runs.n; i++) {
        wrong += runs.codes[i] >= runs.nvalues;
        for (uint32_t row = runs.start[i]; row < runs.start[i + 1]; row++)
            wrong += !sv_eq(runs.values[runs.codes[i]],
                want_text(want, row, name));
    }
    return wrong;
}

/* --- labels --- */

static uint32_t labels_seen;

static uint32_t
check_label(const struct wanted *want, struct block *block, struct sv name,
    const uint64_t *wanted)
{
    const struct column *column = NULL;
    struct err err = ERR_INIT;
    uint32_t wrong = 0;

    if (block_label(block, name, wanted, &column, &err) != 0)
        return 1;
    labels_seen += column->kind == COLUMN_CODES;
    wrong += !is_sound(column, wanted, want->rows);
    for (uint32_t row = 0; row < want->rows; row++) {
        char buf[COLUMN_TEXT_MAX];

        if (wanted == NULL || bitmap_has(wanted, row))
            wrong += !sv_eq(column_text(column, row, buf),
                want_label(want, row, name));
    }
    if (wrong > 0)
        diag("label %.*s: %u rows", SV_ARG(name), wrong);
    return wrong;
}

static uint32_t counts_seen;

static uint32_t
check_count(const struct wanted *want, struct block *block, struct sv name)
{
    struct err err = ERR_INIT;
    uint32_t n, filled = 0;

    if (block_count_filled(block, name, &n, &err) != 0)
        return 1;
    if (n == UINT32_MAX)
        return 0;
    counts_seen++;
    for (uint32_t row = 0; row < want->rows; row++)
        filled += want_text(want, row, name).len > 0;
    return n != filled;
}

/* --- a block --- */

/* Each name: all rows; few or many rows in a block that knows nothing. */
static uint32_t
check_name(const struct wanted *want, const struct source *source,
    struct sv name, struct span_gen *random)
{
    struct pool *pool = pool_new(POOL_MAX);
    uint64_t *bits = xcalloc(BITMAP_WORDS(want->rows) + 1, sizeof(*bits));
    struct block *block = open_block(source, pool);
    uint32_t wrong = 0;

    random_rows(random, bits, want->rows);
    wrong += check_column(want, block, name, bits);
    wrong += check_column(want, block, name, NULL);
    wrong += check_column(want, block, name, bits);
    wrong += check_runs(want, block, name);
    wrong += check_count(want, block, name);
    wrong += check_label(want, block, name, bits);
    wrong += check_label(want, block, name, NULL);
    block_close(block);
    pool_free(pool);
    xfree(bits);
    return wrong;
}

static void
check_block(const struct wanted *want, const struct source *source,
    const char *name)
{
    static const char *const absent[] = {"", "nothing", "span_attr:",
        "span_attr:never", "event:99:event_name", "event:0:event_attr:",
        "event:0:event_attr:never", "link:0:link_none", "event:event_name:0",
        "span_attr:key.1.none", "resource_attr:never", "scope_attr:never"};
    struct pool *pool = pool_new(POOL_MAX);
    struct block *block = open_block(source, pool);
    struct err err = ERR_INIT;
    const struct sv *names = NULL;
    struct span_gen random;
    uint32_t n = 0, wrong = 0;

    span_gen_init(&random, want->rows);
    is_int(block_get_info(block)->rows, want->rows, "%s: rows", name);
    is_int(block_fields(block, &names, &n, &err), 0, "%s: names %s", name,
        err.text);
    is_int(check_names(want, names, n), 0, "%s: %u names are known", name, n);
    is_int(check_may_have(want, block, &random), 0,
        "%s: no text is denied", name);
    is_int(check_tenants(want, block), 0, "%s: tenants", name);
    for (uint32_t i = 0; i < n; i++)
        wrong += check_name(want, source, names[i], &random);
    is_int(wrong, 0, "%s: all texts of %u columns", name, n);
    wrong = 0;
    for (size_t i = 0; i < ARRAY_LEN(absent); i++)
        wrong += check_column(want, block, sv_from(absent[i]), NULL);
    is_int(wrong, 0, "%s: fields that are not there", name);
    ok(!block_may_have(block, SV("no such"), SV("x")),
        "%s: nothing in no field", name);
    ok(!block_may_have(block, SV("span_attr:never"), SV("x")) &&
        !block_may_have(block, SV("name"), SV("nobody's")) &&
        !block_may_have(block, SV("resource_attr:service.name"),
            SV("nobody's")) &&
        !block_may_have(block, SV("event:0:event_name"), SV("nobody's")) &&
        !block_may_have(block, SV("trace_id"),
            SV("0123456789abcdef0123456789abcdef")),
        "%s: what is nowhere is denied", name);
    block_close(block);
    pool_free(pool);
}

/* One row, then a few more: all their fields and no others. */
static void
check_few(const struct wanted *want, const struct source *source,
    size_t pool_max, const char *name)
{
    struct pool *pool = pool_new(pool_max);
    uint64_t *bits = xcalloc(BITMAP_WORDS(want->rows) + 1, sizeof(*bits));
    struct block *block = open_block(source, pool);
    struct err err = ERR_INIT;
    uint32_t wrong = 0, nfields = 0, n = 0;
    const struct sv *names = NULL;

    for (uint32_t row = 0; row < want->rows && row < 200; row += 77) {
        bitmap_set(bits, row);
        if (block_fields_of(block, bits, &names, &n, &err) != 0)
            break;
        nfields = MAX(nfields, n);
        for (uint32_t i = 0; i < want->flat[row].n; i++)
            wrong += !has_name(names, n, want->flat[row].fields[i].name);
        for (uint32_t i = 0; i < n; i++)
            wrong += check_column(want, block, names[i], bits);
        wrong += check_column(want, block, SV("span_attr:never"), bits);
    }
    is_int(err.code, 0, "%s: few rows: %s", name, err.text);
    is_int(wrong, 0, "%s: all texts of few rows, %u fields", name, nfields);
    block_close(block);
    pool_free(pool);
    xfree(bits);
}

static void
check_both(const char *name)
{
    struct source source = {.mt = gen.mt, .rows = memtable_rows(gen.mt)};
    struct err err = ERR_INIT;
    struct wanted want;
    char full[100];

    snprintf(full, sizeof(full), "%s, memtable", name);
    want_memtable(&want, gen.mt, source.rows);
    check_block(&want, &source, full);
    check_few(&want, &source, POOL_MAX, full);
    want_free(&want);

    snprintf(full, sizeof(full), "%s, part", name);
    check(part_gen_encode(&gen, &err) == 0);
    part_gen_write(&gen, gen.file.ptr, gen.file.len);
    check(part_open(&source.part, gen.path, &err) == 0);
    want_part(&want, source.part);
    check_block(&want, &source, full);
    want_free(&want);
    part_close(source.part);
}

/* --- what goes in --- */

enum form {
    FORM_REAL,
    FORM_WILD,
    FORM_FIELDS, /* wild, with fields and labels that requests ask for */
};

static void
add_spans(struct span_gen *spans, uint32_t n, uint32_t tenant, enum form form)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct batch batch;

    batch_init(&batch, pool);
    if (form == FORM_REAL)
        span_gen_real(spans, &batch, 12, n);
    else
        span_gen_wild(spans, &batch, n);
    if (form == FORM_FIELDS)
        span_gen_fields(spans, &batch);
    check(part_gen_add(&gen, tenants[tenant], &batch));
    pool_free(pool);
}

static void
test_wild(uint64_t seed, uint32_t shapes, uint32_t ntenants,
    enum form form)
{
    struct span_gen spans;
    char name[80];

    part_gen_reset(&gen);
    span_gen_init(&spans, seed);
    spans.now_ns += 12 * 3600 * NS_PER_SEC;
    spans.shapes = shapes;
    spans.huge_every = 500;
    for (uint32_t i = 0; i < 6; i++)
        add_spans(&spans, 120, i % ntenants, form);
    snprintf(name, sizeof(name), "wild %u, %u shapes, %u tenants",
        (unsigned)seed, shapes, ntenants);
    check_both(name);
}

/* Tens of thousands of fields in all, and little memory for some rows. */
static void
test_wide(void)
{
    struct source source = {.mt = gen.mt};
    struct span_gen spans;
    struct wanted want;

    part_gen_reset(&gen);
    span_gen_init(&spans, 99);
    spans.now_ns += 12 * 3600 * NS_PER_SEC;
    spans.shapes = 8000;
    for (uint32_t i = 0; i < 20; i++)
        add_spans(&spans, 400, 0, FORM_WILD);
    source.rows = memtable_rows(gen.mt);
    want_memtable(&want, gen.mt, source.rows);
    check_few(&want, &source, 16 * MIB, "wide");
    want_free(&want);
}

static void
test_real(void)
{
    struct span_gen spans;

    part_gen_reset(&gen);
    span_gen_init(&spans, 42);
    spans.now_ns += 3600 * NS_PER_SEC;
    add_spans(&spans, 6000, 0, FORM_REAL);
    check_both("real");
}

static void
test_no_rows(void)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct block *block = NULL;
    const struct column *column = NULL;
    struct err err = ERR_INIT;
    const struct sv *names = NULL;
    uint32_t n = 1;

    part_gen_reset(&gen);
    check(block_open_memtable(&block, gen.mt, 0, pool, &err) == 0);
    ok(block_column(block, SV("name"), NULL, &column, &err) == 0 &&
        column->kind == COLUMN_EMPTY, "no rows, no texts");
    ok(block_fields(block, &names, &n, &err) == 0 && n == 0,
        "no rows, no fields");
    block_close(block);
    block_close(NULL);
    pool_free(pool);
}

static void
test_no_memory(void)
{
    struct pool *pool = pool_new(100 * KIB);
    struct block *block = NULL;
    const struct column *column = NULL;
    struct err err = ERR_INIT;
    struct span_gen spans;

    part_gen_reset(&gen);
    span_gen_init(&spans, 42);
    spans.now_ns += 3600 * NS_PER_SEC;
    for (uint32_t i = 0; i < 4; i++)
        add_spans(&spans, 6000, 0, FORM_REAL);
    check(block_open_memtable(&block, gen.mt, memtable_rows(gen.mt), pool,
        &err) == 0);
    ok(block_column(block, SV("duration"), NULL, &column, &err) != 0 &&
        err.code == ERR_LIMIT, "a full pool: %s", err.text);
    block_close(block);
    pool_free(pool);
}

int
main(void)
{
    part_gen_init(&gen);
    test_wild(1, 10, 1, FORM_FIELDS);
    test_wild(2, 3, 3, FORM_FIELDS);
    test_wild(3, 200, 2, FORM_WILD);
    test_wide();
    test_real();
    test_no_rows();
    test_no_memory();
    part_gen_free(&gen);
    ok(runs_seen > 0, "some fields are told by runs");
    ok(labels_seen > 0, "some labels are declared");
    ok(counts_seen > 0, "values of some fields are counted");
    return tap_done();
}
