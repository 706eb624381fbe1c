/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Merging parts: the rows of the output are those of the inputs, each span
 * once, whatever the inputs are.
 */

#include "core/base.h"

#include "core/file.h"
#include "core/mem.h"
#include "storage/merge.h"
#include "storage/part_format.h"
#include "storage/part_read_cache.h"

#include "part_gen.h"
#include "span_gen.h"
#include "tap.h"

#define POOL_MAX (2 * GIB)
#define INPUTS_MAX 40

static struct part_gen gen;
static struct part *inputs[INPUTS_MAX];
static size_t ninputs;
static char dir[128];
static uint64_t next_id = UINT64_C(0x0000020000000001);

/* --- rows as sorted hashes --- */

struct row_hash {
    struct tenant tenant;
    uint8_t hash[16];
};

struct rows {
    struct row_hash *v;
    size_t n, cap;
};

static int
compare_hashes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct row_hash));
}

static void
add_rows(struct rows *rows, struct part *part)
{
    uint64_t n = part_get_info(part)->rows;
    struct err err = ERR_INIT;
    struct tenant tenants[1000];
    uint32_t got = 0;

    rows->v = xrealloc(rows->v, (rows->n + n + 1) * sizeof(*rows->v));
    for (uint64_t row = 0; row < n; row += got) {
        struct pool *pool = pool_new(POOL_MAX);
        struct batch batch;

        batch_init(&batch, pool);
        if (part_read_rows(part, row, 1000, &batch, tenants, &got,
                &err) != 0 || got == 0) {
            fail("rows from %llu: %s", (unsigned long long)row, err.text);
            pool_free(pool);
            return;
        }
        for (uint32_t i = 0; i < got; i++) {
            struct row_hash *hash = &rows->v[rows->n++];

            memset(hash, 0, sizeof(*hash));
            span_hash(&batch, &batch.spans[i], hash->hash);
            hash->tenant = tenants[i];
        }
        pool_free(pool);
    }
}

static void
sort_rows(struct rows *rows)
{
    qsort(rows->v, rows->n, sizeof(*rows->v), compare_hashes);
}

static void
unique_rows(struct rows *rows)
{
    size_t n = 0;

    for (size_t i = 0; i < rows->n; i++) {
        if (i == 0 || compare_hashes(&rows->v[i], &rows->v[n - 1]) != 0)
            rows->v[n++] = rows->v[i];
    }
    rows->n = n;
}

/* --- inputs --- */

static void
path_of(char *dst, size_t size, const char *name, uint64_t id)
{
    snprintf(dst, size, "%s/%s%016llx", dir, name, (unsigned long long)id);
}

/* What is in the memtable becomes an input. */
static void
add_input(void)
{
    struct part_lineage lineage = {77, 1000 * ninputs, 1000 * ninputs + 1000};
    struct err err = ERR_INIT;
    uint64_t id = next_id++;
    int fd;

    part_gen_rows(&gen);
    if (part_encode(gen.pw, gen.mt, gen.rows, gen.nrows, id, gen.day,
        part_gen_node, &lineage, &gen.file, &gen.info, &err) != 0) {
        fail("encode: %s", err.text);
        return;
    }
    path_of(gen.path, sizeof(gen.path), "l1-", id);
    fd = file_open(gen.path, O_WRONLY | O_CREAT | O_TRUNC, 0600, &err);
    check(fd >= 0 && file_pwrite(fd, gen.file.ptr, gen.file.len, 0,
        &err) == 0);
    file_close(fd);
    check(part_open(&inputs[ninputs++], gen.path, &err) == 0);
    part_gen_reset(&gen);
}

static void
drop_inputs(void)
{
    for (size_t i = 0; i < ninputs; i++)
        part_close(inputs[i]);
    ninputs = 0;
}

static void
add_spans(struct span_gen *spans, bool wild, uint32_t n,
    struct tenant tenant)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct batch batch;

    batch_init(&batch, pool);
    if (wild)
        span_gen_wild(spans, &batch, n);
    else
        span_gen_real(spans, &batch, 12, n);
    ok(part_gen_add(&gen, tenant, &batch), "%u spans fit", n);
    pool_free(pool);
}

/* --- the comparison --- */

static struct part *
merge_inputs(const char *name, size_t n, int want_rows)
{
    struct merge_task task = {inputs, n, next_id++, part_gen_node, NULL,
        false, NULL};
    struct merge_counts counts;
    struct part_info info;
    struct part *part = NULL;
    struct err err = ERR_INIT;
    char path[256];
    size_t bad;

    path_of(path, sizeof(path), "l2-", task.part_id);
    task.path = path;
    if (!ok(merge_parts(&task, &info, &counts, &bad, &err) == 0,
        "%s: merges %s", name, err.text))
        return NULL;
    ok(part_check(path, &err) == 0, "%s: checks %s", name, err.text);
    if (!ok(part_open(&part, path, &err) == 0, "%s: opens %s", name,
        err.text))
        return NULL;
    ok(info.level == 2 && info.rows == part_get_info(part)->rows &&
        info.bytes == part_get_info(part)->bytes &&
        counts.rows_out == info.rows && counts.bytes_out == info.bytes,
        "%s: counts", name);
    if (want_rows >= 0)
        is_int(info.rows, want_rows, "%s: rows", name);
    diag("%s: %zu parts, %llu rows, %u blocks, %.1f bytes a row, was %.1f",
        name, n, (unsigned long long)info.rows, info.nblocks,
        (double)info.bytes / info.rows, (double)({
            uint64_t sum = 0;
            for (size_t i = 0; i < n; i++)
                sum += part_get_info(inputs[i])->bytes;
            sum;
        }) / counts.rows_in);
    return part;
}

static void
compare_all(const char *name, struct part *part, bool has_copies)
{
    struct rows want = {NULL, 0, 0}, got = {NULL, 0, 0};

    for (size_t i = 0; i < ninputs; i++)
        add_rows(&want, inputs[i]);
    add_rows(&got, part);
    sort_rows(&want);
    sort_rows(&got);
    if (has_copies)
        unique_rows(&want);
    is_int(got.n, want.n, "%s: number of rows", name);
    ok(got.n == want.n &&
        memcmp(got.v, want.v, want.n * sizeof(*want.v)) == 0,
        "%s: all rows are equal", name);
    xfree(want.v);
    xfree(got.v);
}

static void
merge_and_compare(const char *name, bool has_copies)
{
    struct part *part = merge_inputs(name, ninputs, -1);

    if (part != NULL)
        compare_all(name, part, has_copies);
    part_close(part);
}

/* --- tests --- */

static void
test_kinds(void)
{
    static const struct {
        const char *name;
        bool wild;
        uint32_t parts, spans, shapes;
    } cases[] = {{"one wild span", true, 1, 1, 200},
        {"one part", true, 1, 3000, 200}, {"wild parts", true, 5, 4000, 200},
        {"many shapes", true, 4, 3000, 4000},
        {"one shape", true, 3, 2000, 1},
        {"many small parts", true, 40, 20, 50},
        {"real parts", false, 6, 40000, 0}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span_gen spans;

        span_gen_init(&spans, 2000 + i);
        spans.now_ns += 12 * 3600 * NS_PER_SEC;
        if (cases[i].wild)
            spans.shapes = cases[i].shapes;
        for (uint32_t j = 0; j < cases[i].parts; j++) {
            add_spans(&spans, cases[i].wild, cases[i].spans,
                (struct tenant){0, 0});
            add_input();
        }
        merge_and_compare(cases[i].name, false);
        drop_inputs();
    }
}

static void
test_tenants(void)
{
    struct span_gen spans;

    span_gen_init(&spans, 9);
    spans.now_ns += 12 * 3600 * NS_PER_SEC;
    for (uint32_t i = 0; i < 6; i++) {
        for (uint32_t j = 0; j < 4; j++)
            add_spans(&spans, true, 300, (struct tenant){i % 3, j * i});
        add_input();
    }
    merge_and_compare("tenants", false);
    drop_inputs();
}

/* The same spans again in another part, in the middle of others. */
static void
test_copies(void)
{
    struct span_gen spans;

    for (uint32_t i = 0; i < 3; i++) {
        span_gen_init(&spans, 50);
        spans.now_ns += 12 * 3600 * NS_PER_SEC;
        add_spans(&spans, true, 2500, (struct tenant){0, 0});
        span_gen_init(&spans, 60 + i);
        spans.now_ns += 12 * 3600 * NS_PER_SEC;
        add_spans(&spans, true, 500, (struct tenant){0, 0});
        add_input();
    }
    merge_and_compare("copies", true);
    drop_inputs();
    for (uint32_t i = 0; i < 2; i++) {
        span_gen_init(&spans, 70);
        spans.now_ns += 12 * 3600 * NS_PER_SEC;
        add_spans(&spans, false, 40000, (struct tenant){0, i});
        add_input();
        span_gen_init(&spans, 70);
        spans.now_ns += 12 * 3600 * NS_PER_SEC;
        add_spans(&spans, false, 40000, (struct tenant){0, i});
        add_input();
    }
    merge_and_compare("copies of real spans", true);
    drop_inputs();
}

/* Merged parts, merged again with others. */
static void
test_again(void)
{
    struct span_gen spans;
    struct part *merged[3];
    struct rows want = {NULL, 0, 0}, got = {NULL, 0, 0};
    struct part *part;

    span_gen_init(&spans, 80);
    spans.now_ns += 12 * 3600 * NS_PER_SEC;
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t j = 0; j < 4; j++) {
            add_spans(&spans, i == 1, i == 1 ? 1000 : 30000,
                (struct tenant){0, 0});
            add_input();
            add_rows(&want, inputs[ninputs - 1]);
        }
        merged[i] = merge_inputs("first time", ninputs, -1);
        drop_inputs();
    }
    add_spans(&spans, true, 1000, (struct tenant){0, 0});
    add_input();
    add_rows(&want, inputs[0]);
    for (uint32_t i = 0; i < 3; i++)
        inputs[ninputs++] = merged[i];
    part = merge_inputs("again", ninputs, (int)want.n);
    if (part != NULL) {
        size_t n, nranges;
        const uint64_t *ids = part_get_inputs(part, &n);

        ok(n == 4 && ids[1] == part_get_info(merged[0])->id,
            "again: lineage has the inputs");
        (void)part_get_lineage(part, &nranges);
        is_int(nranges, 1, "again: and one range of the log");
        add_rows(&got, part);
        sort_rows(&want);
        sort_rows(&got);
        ok(want.n == got.n &&
            memcmp(want.v, got.v, want.n * sizeof(*want.v)) == 0,
            "again: all rows are equal");
    }
    part_close(part);
    drop_inputs();
    xfree(want.v);
    xfree(got.v);
}

/* --- traces by hand --- */

struct hand {
    struct batch batch;
    uint64_t id;
};

static void
hand_start(struct hand *hand)
{
    batch_init(&hand->batch, pool_new(POOL_MAX));
    batch_add_resource(&hand->batch, NULL);
    hand->batch.resources[0].service = SV("made by hand");
    batch_add_scope(&hand->batch, NULL);
}

static void
hand_span(struct hand *hand, uint8_t trace, int64_t end_ns)
{
    struct span *span = batch_add_span(&hand->batch, NULL);

    hand->id++;
    memset(span->trace_id.b, trace, 16);
    memcpy(span->span_id.b, &hand->id, 8);
    span->start_ns = end_ns - 1000;
    span->end_ns = end_ns;
    span->name = SV("hand");
}

static void
hand_end(struct hand *hand)
{
    ok(part_gen_add(&gen, (struct tenant){0, 0}, &hand->batch), "fits");
    pool_free(hand->batch.pool);
    add_input();
}

/* A trace of more rows than a block takes, and one that lasts for hours. */
static void
test_large(void)
{
    struct hand hand = {.id = 0};
    int64_t noon = SPAN_GEN_BASE_NS + 12 * 3600 * NS_PER_SEC;

    for (uint32_t i = 0; i < 3; i++) {
        hand_start(&hand);
        for (uint32_t j = 0; j < 40000; j++)
            hand_span(&hand, 1, noon + j);
        hand_end(&hand);
    }
    merge_and_compare("a large trace", false);
    drop_inputs();
    for (uint32_t i = 0; i < 4; i++) {
        hand_start(&hand);
        for (uint32_t j = 0; j < 5000; j++)
            hand_span(&hand, (uint8_t)(1 + j % 50), noon +
                ((j % 50) % 7 == 0 ? (int64_t)j * NS_PER_SEC : (int64_t)j));
        hand_end(&hand);
    }
    merge_and_compare("long traces", false);
    drop_inputs();
}

/* --- what goes wrong --- */

static void
test_cancel(void)
{
    _Atomic bool cancel = true;
    struct merge_task task = {inputs, 0, 1, part_gen_node, NULL, false,
        &cancel};
    struct merge_counts counts;
    struct part_info info;
    struct err err = ERR_INIT;
    struct span_gen spans;
    char path[256];
    size_t bad;

    span_gen_init(&spans, 90);
    spans.now_ns += 12 * 3600 * NS_PER_SEC;
    add_spans(&spans, true, 1000, (struct tenant){0, 0});
    add_input();
    path_of(path, sizeof(path), "cancelled-", 1);
    task.path = path;
    task.ninputs = ninputs;
    ok(merge_parts(&task, &info, &counts, &bad, &err) == -1 &&
        err.code == ERR_CANCELLED, "a cancelled merge says so");
    ok(access(path, F_OK) != 0, "and leaves no file");
    drop_inputs();
}

static void
test_damage(void)
{
    struct merge_task task = {inputs, 0, 1, part_gen_node, NULL, false, NULL};
    struct merge_counts counts;
    struct part_info info;
    struct span_gen spans;
    char path[256];
    uint32_t found = 0, count = 0;

    span_gen_init(&spans, 91);
    spans.now_ns += 12 * 3600 * NS_PER_SEC;
    for (uint32_t i = 0; i < 3; i++) {
        add_spans(&spans, true, 500, (struct tenant){0, 0});
        add_input();
    }
    path_of(path, sizeof(path), "damaged-", 1);
    task.path = path;
    task.ninputs = ninputs;
    for (uint64_t off = 100; off + 8192 < gen.info.bytes / 2;
        off += 997, count++) {
        struct err err = ERR_INIT;
        size_t bad = 0;
        uint8_t was, now;
        int fd = open(gen.path, O_RDWR);

        check(pread(fd, &was, 1, (off_t)off) == 1);
        now = was ^ 0x10;
        check(pwrite(fd, &now, 1, (off_t)off) == 1);
        data_cache_set_budget(0);
        if (merge_parts(&task, &info, &counts, &bad, &err) != 0 &&
            err.code == ERR_CORRUPT && bad == 2 &&
            access(path, F_OK) != 0)
            found++;
        else
            diag("offset %llu: %s, input %zu", (unsigned long long)off,
                err.text, bad);
        check(pwrite(fd, &was, 1, (off_t)off) == 1);
        close(fd);
    }
    is_int(found, count, "flipped bits of an input are found and named");
    data_cache_set_budget(DATA_CACHE_BYTES);
    drop_inputs();
}

int
main(void)
{
    char command[256];

    snprintf(dir, sizeof(dir), "%s/spoor-merge-%d",
        getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"), (int)getpid());
    check(file_mkdirs(dir, 0700, NULL) == 0);
    part_gen_init(&gen);
    test_kinds();
    test_tenants();
    test_copies();
    test_again();
    test_large();
    test_cancel();
    test_damage();
    part_gen_free(&gen);
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    check(system(command) == 0);
    return tap_done();
}
