/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows as bytes: every selected row of tables in all forms, of memtables and
 * of parts has the same texts afterwards, in columns of the same order,
 * however the bytes are divided; and what is no rows is refused.
 */

#include "core/base.h"

#include "cluster/frame.h"
#include "cluster/rows_wire.h"
#include "core/assert.h"
#include "core/mem.h"
#include "part_gen.h"
#include "query/dict.h"
#include "span_gen.h"
#include "tap.h"

#include "stage_run.h"

#define POOL_MAX (GIB)
#define ROWS_WILD 300
#define ROWS_REAL 6000

static const struct needed all_columns = {.is_all = true};
static const struct tenant tenant0;

/* --- comparing --- */

static bool
is_sound(const struct column *column, uint32_t n)
{
    for (uint32_t row = 0; row < n && column->codes != NULL; row++) {
        if (column->codes[row] >= column->nvalues)
            return false;
    }
    if (column->kind != COLUMN_TIMES)
        return true;
    for (uint32_t row = 0; row < n; row++) {
        if (column->ints[row] < column->min || column->ints[row] > column->max)
            return false;
    }
    return column->has_range;
}

/* Rows of the one that differ from those of the other, in this column. */
static uint32_t
compare_column(struct rows *rows, uint32_t first, struct rows *got,
    struct sv name)
{
    const struct column *a, *b;
    struct err err = ERR_INIT;
    uint32_t wrong = 0, row = first;

    if (rows_column(rows, name, &a, &err) != 0 ||
        rows_column(got, name, &b, &err) != 0)
        return 1;
    wrong += !is_sound(b, got->n);
    for (uint32_t i = 0; i < got->n; i++, row = rows_next(rows, row)) {
        char x[COLUMN_TEXT_MAX], y[COLUMN_TEXT_MAX];
        struct sv want = column_text(a, row, x), text = column_text(b, i, y);

        if (!sv_eq(want, text) && wrong++ < 2)
            diag("%.*s of row %u: \"%.*s\" instead of \"%.*s\" (kind %d, was "
                "%d)", SV_ARG(name), row, SV_ARG(text), SV_ARG(want),
                (int)b->kind, (int)a->kind);
    }
    return wrong;
}

/* A star gives the same names, but for those that no row has. */
static uint32_t
compare_stars(struct rows *rows, struct rows *got)
{
    static const struct field_pattern star = {{"", 0}, true};
    struct name_list a, b;
    struct err err = ERR_INIT;
    uint32_t k = 0;

    check(rows_match_names(rows, &star, 1, &a, &err) == 0);
    check(rows_match_names(got, &star, 1, &b, &err) == 0);
    for (uint32_t i = 0; i < b.n; i++, k++) {
        while (k < a.n && !sv_eq(a.v[k], b.v[i]))
            k++;
        if (k == a.n)
            return 1;
    }
    return 0;
}

/* What was put from row `first` on against what was taken. */
static uint32_t
compare(struct rows *rows, uint32_t first, struct rows *got,
    const struct needed *needed)
{
    const struct sv *names;
    struct err err = ERR_INIT;
    uint32_t n, wrong = 0, next = 0;

    check(rows_names(rows, &names, &n, &err) == 0);
    for (uint32_t i = 0; i < n; i++) {
        if (needed->is_all || needed_has(needed, names[i]))
            wrong += compare_column(rows, first, got, names[i]);
    }
    for (uint32_t i = 0; i < got->ncolumns; i++) {
        struct sv name = got->columns[i].name;
        uint32_t k = needed->is_all || rows->block == NULL ? next : 0;

        wrong += !needed->is_all && !needed_has(needed, name);
        while (k < n && !sv_eq(names[k], name))
            k++;
        wrong += k == n;
        next = k + 1;
    }
    return wrong + compare_stars(rows, got) +
        (got->had_block != (rows->block != NULL));
}

struct put {
    uint32_t npayloads;
    uint32_t nrows;
    size_t bytes;
    uint32_t wrong;
};

/* Puts and takes all rows; same: what they are compared with. */
static struct put
put_all(struct rows *rows, struct rows *same, const struct needed *needed,
    size_t bytes_max)
{
    struct err err = ERR_INIT;
    struct put put = {0};
    uint32_t row = 0;
    struct sb out;

    sb_init(&out, FRAME_BYTES_MAX);
    while (row < rows->n) {
        struct pool *pool = pool_new(POOL_MAX);
        uint32_t first = bitmap_has(rows->selected, row) ? row :
            rows_next(rows, row);
        struct rows got;

        sb_reset(&out);
        if (rows_put(&out, rows, needed, &row, bytes_max, &err) != 0) {
            diag("put: %s", err.text);
            put.wrong++;
            row = rows->n;
        } else if (out.len > 0) {
            char *copy = xmemdup0(out.ptr, out.len);

            if (rows_take(&got, sv_make(copy, out.len), pool, &err) != 0) {
                diag("take: %s", err.text);
                put.wrong++;
            } else {
                put.wrong += compare(same, first, &got, needed);
                put.nrows += got.n;
                put.wrong += out.len > bytes_max && got.n > 1;
            }
            put.npayloads++;
            put.bytes += out.len;
            xfree(copy);
        }
        pool_free(pool);
    }
    put.wrong += put.nrows != rows->nselected;
    sb_release(&out);
    return put;
}

/* --- tables --- */

static struct sv
random_cell(uint32_t column, uint64_t *random, struct pool *pool)
{
    static const char *const words[] = {"", "a", "b", "GET /cart", "0", "-1",
        "00ff", "\xff\xfe", "1.5s"};
    uint32_t n = stage_random(random);
    char text[64];

    switch (column) {
    case 0:
        return SV_EMPTY;
    case 1:
        return SV("always this");
    case 2:
        return sv_from(words[n % ARRAY_LEN(words)]);
    case 3:
        snprintf(text, sizeof(text), "%d", n % 7 == 0 ? -(int)(n % 100)
            : (int)(n % 100000));
        break;
    case 4:
        snprintf(text, sizeof(text), "%llu", n % 5 == 0 ? ~0ULL - n :
            (unsigned long long)n);
        break;
    case 5:
        snprintf(text, sizeof(text), "2026-03-01T10:%02u:00.%09uZ", n % 60,
            n % 1000000000);
        break;
    case 6:
        snprintf(text, sizeof(text), "%08x%08x", n % 5, n % 3 + 1);
        break;
    case 7:
        snprintf(text, sizeof(text), "%08x%08x%08x%08x", n % 50, 1u, 2u, n);
        break;
    case 8:
        if (n % 3 == 0)
            return SV_EMPTY;
        snprintf(text, sizeof(text), "%u", n % 1000);
        break;
    default:
        snprintf(text, sizeof(text), "text %u", n % 3 == 0 ? n : n % 10);
    }
    return sv_make(pool_dup(pool, text, strlen(text)), strlen(text));
}

static void
test_tables(void)
{
    static const size_t most[] = {1, 200, 2000, 100000, SIZE_MAX};
    static const struct field_pattern some[] = {{SV("u"), false},
        {SV("te"), true}, {SV("no"), false}};
    const struct needed needed = {(struct field_pattern *)(uintptr_t)some,
        ARRAY_LEN(some), false};
    uint32_t wrong = 0, payloads = 0;
    uint64_t random = 5;

    for (uint32_t round = 0; round < 300; round++) {
        struct pool *pool = pool_new(POOL_MAX);
        struct table table = {.ncolumns = 10, .names = {"empty", "const",
            "words", "ints", "u", "times", "id8", "id16", "gaps", "texts"},
            .nrows = 1 + stage_random(&random) % (round % 25 == 4 ? 9000 :
            90)};
        struct rows rows = {.pool = pool};
        struct put put;

        table.cells = pool_alloc(pool, table.nrows * 10 *
            sizeof(*table.cells));
        for (uint32_t i = 0; i < table.nrows * 10; i++)
            table.cells[i] = random_cell(i % 10, &random, pool);
        chunk_make(&rows, &table, 0, table.nrows, &random);
        put = put_all(&rows, &rows, round % 3 == 0 ? &needed : &all_columns,
            most[round % ARRAY_LEN(most)]);
        wrong += put.wrong;
        payloads += put.npayloads;
        pool_free(pool);
    }
    is_int(wrong, 0, "tables in %u payloads", payloads);
}

/* --- blocks --- */

static struct part_gen gen;
static struct part *part;

static void
blocks_make(void)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct err err = ERR_INIT;
    struct span_gen spans;
    struct batch batch;

    part_gen_init(&gen);
    span_gen_init(&spans, 3);
    spans.now_ns += 12 * 3600 * NS_PER_SEC;
    spans.huge_every = 0;
    spans.shapes = 40;
    batch_init(&batch, pool);
    span_gen_wild(&spans, &batch, ROWS_WILD);
    check(part_gen_add(&gen, tenant0, &batch));
    batch_init(&batch, pool);
    span_gen_real(&spans, &batch, 9, ROWS_REAL);
    check(part_gen_add(&gen, tenant0, &batch));
    check(part_gen_encode(&gen, &err) == 0);
    part_gen_write(&gen, gen.file.ptr, gen.file.len);
    check(part_open(&part, gen.path, &err) == 0);
    pool_free(pool);
}

static struct block *
block_get(bool is_part, struct pool *pool)
{
    struct block *block = NULL;
    struct err err = ERR_INIT;

    check((is_part ? block_open_part(&block, part, 0, pool, &err) :
        block_open_memtable(&block, gen.mt, memtable_rows(gen.mt), pool,
            &err)) == 0);
    return block;
}

static void
test_block(bool is_part, uint32_t every, const struct needed *needed,
    size_t bytes_max)
{
    struct pool *pool = pool_new(4 * POOL_MAX);
    struct block *block = block_get(is_part, pool);
    struct block *again = block_get(is_part, pool);
    uint32_t n = block_get_info(block)->rows;
    uint64_t *bits = pool_zalloc(pool, BITMAP_WORDS(n) * 8), random = every;
    struct rows rows, same;
    struct put put;

    rows_init_block(&rows, block, n, pool);
    rows_init_block(&same, again, n, pool);
    for (uint32_t row = 0; row < n; row++) {
        if (stage_random(&random) % every == 0)
            bitmap_set(bits, row);
    }
    rows_select(&rows, bits);
    rows_select(&same, bits);
    put = put_all(&rows, &same, needed, bytes_max);
    is_int(put.wrong, 0, "%s: %u of %u rows, %s columns: %u payloads, %.1f "
        "bytes a row", is_part ? "part" : "memtable", rows.nselected, n,
        needed->is_all ? "all" : "some", put.npayloads,
        (double)put.bytes / rows.nselected);
    ok(rows.block == NULL, "the block is no longer needed");
    block_close(block);
    block_close(again);
    pool_free(pool);
}

static void
test_blocks(void)
{
    static const struct field_pattern some[] = {{SV("span_id"), false},
        {SV("_time"), false}, {SV("span_attr:"), true}, {SV("name"), false},
        {SV("_stream"), true}, {SV("never"), false}};
    const struct needed needed = {(struct field_pattern *)(uintptr_t)some,
        ARRAY_LEN(some), false};
    static const uint32_t every[] = {1, 2, 50, 3000};

    for (unsigned i = 0; i < 2 * ARRAY_LEN(every); i++) {
        test_block(i % 2 == 0, every[i / 2], &all_columns, MIB);
        test_block(i % 2 == 0, every[i / 2], &needed, MIB);
    }
    test_block(true, 10, &all_columns, 20000);
    test_block(false, 100, &needed, 1);
}

/* --- what a pipe made of a block --- */

static void
test_made(void)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct block *block = block_get(true, pool);
    struct sv value = SV("made");
    struct column made = {.name = SV("a new field"), .kind = COLUMN_CONST,
        .values = &value};
    struct column hidden = {.name = SV("name"), .kind = COLUMN_EMPTY};
    struct block *again = block_get(true, pool);
    struct err err = ERR_INIT;
    struct rows both[2];

    rows_init_block(&both[0], block, block_get_info(block)->rows, pool);
    rows_init_block(&both[1], again, block_get_info(block)->rows, pool);
    for (unsigned i = 0; i < 2; i++) {
        check(rows_make_column(&both[i], &made, &err) == 0);
        check(rows_make_column(&both[i], &hidden, &err) == 0);
    }
    is_int(put_all(&both[0], &both[1], &all_columns, MIB).wrong, 0,
        "columns that a pipe made");
    block_close(block);
    block_close(again);
    pool_free(pool);
}

/* --- no columns, no rows, too much --- */

static void
test_little(void)
{
    static const struct needed none;
    struct pool *pool = pool_new(POOL_MAX);
    struct err err = ERR_INIT;
    struct rows rows, got;
    uint32_t row = 0;
    struct sb out;

    sb_init(&out, MIB);
    rows_init(&rows, 1000, pool);
    is_int(rows_put(&out, &rows, &none, &row, MIB, &err), 0, "no column");
    ok(row == 1000 && out.len < 100, "is short");
    is_int(rows_take(&got, sb_sv(&out), pool, &err), 0, "is taken: %s",
        err.text);
    ok(got.n == 1000 && got.ncolumns == 0 && got.nselected == 1000,
        "as rows that can be counted");
    sb_reset(&out);
    rows.nselected = 0;
    rows.selected = pool_zalloc(pool, 1000);
    row = 0;
    is_int(rows_put(&out, &rows, &all_columns, &row, MIB, &err), 0,
        "no row");
    ok(out.len == 0 && row == 1000, "is nothing");
    sb_release(&out);
    pool_free(pool);
}

static void
test_large(void)
{
    size_t len = FRAME_BYTES_MAX / 2 + 1;
    struct pool *pool = pool_new(POOL_MAX);
    struct sv texts[3] = {{pool_zalloc(pool, len), len}, SV("x"), SV("y")};
    struct sv large = {pool_zalloc(pool, 2 * len), 2 * len};
    struct column column = {.name = SV("a"), .kind = COLUMN_TEXTS,
        .texts = texts};
    struct err err = ERR_INIT;
    struct rows rows;
    uint32_t row = 0;
    struct sb out;
    struct put put;

    texts[2] = texts[0];
    rows_init(&rows, 3, pool);
    check(rows_set_column(&rows, &column, &err) == 0);
    put = put_all(&rows, &rows, &all_columns, SIZE_MAX);
    ok(put.wrong == 0 && put.npayloads > 1, "rows of %zu MiB, %u payloads",
        len / MIB, put.npayloads);
    texts[1] = large;
    row = 1;
    sb_init(&out, FRAME_BYTES_MAX);
    ok(rows_put(&out, &rows, &all_columns, &row, MIB, &err) == -1 &&
        err.code == ERR_LIMIT, "a row that is too large: %s", err.text);
    sb_release(&out);
    pool_free(pool);
}

/* --- what is no rows --- */

/* Any change of a byte gives an error or rows whose texts can be read. */
static void
test_changed(void)
{
    struct pool *pool = pool_new(POOL_MAX), *scratch = pool_new(4 * MIB);
    uint64_t random = 1;
    struct table table = {.ncolumns = 10, .names = {"empty", "const",
        "words", "ints", "u", "times", "id8", "id16", "gaps", "texts"},
        .nrows = 40};
    struct rows rows = {.pool = pool};
    struct err err = ERR_INIT;
    uint32_t row = 0, refused = 0, taken = 0, unsound = 0;
    struct sb out;

    sb_init(&out, MIB);
    table.cells = pool_alloc(pool, table.nrows * 10 * sizeof(*table.cells));
    for (uint32_t i = 0; i < table.nrows * 10; i++)
        table.cells[i] = random_cell(i % 10, &random, pool);
    chunk_make(&rows, &table, 0, table.nrows, &random);
    check(rows_put(&out, &rows, &all_columns, &row, MIB, &err) == 0);
    for (uint32_t i = 0; i < out.len * 8; i++) {
        char *copy = xmemdup0(out.ptr, out.len);
        struct rows got;

        copy[i / 8] ^= (char)(1 << i % 8);
        pool_reset(scratch);
        if (rows_take(&got, sv_make(copy, out.len), scratch, &err) != 0)
            refused++;
        else
            taken++;
        for (uint32_t k = 0; refused + taken == i + 1 && err.code == ERR_NONE
            && k < got.ncolumns; k++)
            unsound += !is_sound(&got.columns[k], got.n);
        err = (struct err)ERR_INIT;
        xfree(copy);
    }
    ok(refused > 0 && unsound == 0, "%u changes refused, %u taken", refused,
        taken);
    for (size_t len = refused = 0; len < out.len; len++) {
        struct rows got;
        char *copy = xmemdup0(out.ptr, len);

        pool_reset(scratch);
        refused += rows_take(&got, sv_make(copy, len), scratch, &err) == -1 &&
            err.code == ERR_CORRUPT;
        xfree(copy);
    }
    is_int(refused, out.len, "every prefix is refused");
    refused = 0;
    for (size_t size = 512;; size += 512) {
        pool_free(scratch);
        scratch = pool_new(size);
        err = (struct err)ERR_INIT;
        if (rows_take(&rows, sb_sv(&out), scratch, &err) == 0)
            break;
        refused++;
        unsound += err.code != ERR_LIMIT;
    }
    ok(refused > 0 && unsound == 0, "%u pools are too small", refused);
    sb_release(&out);
    pool_free(scratch);
    pool_free(pool);
}

int
main(void)
{
    test_tables();
    blocks_make();
    test_blocks();
    test_made();
    test_little();
    test_large();
    test_changed();
    part_close(part);
    part_gen_free(&gen);
    return tap_done();
}
