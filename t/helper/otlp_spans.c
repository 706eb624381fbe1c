/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Spans for tests of export and import.
 *
 *   otlp_spans wild SEED N    N spans of every kind (span_gen.h) that end
 *                             within the last hours, as one OTLP request
 *   otlp_spans hash FILE...   a line for each span of files that export
 *                             writes: ids and a hash of all it holds, sorted
 */

#include "core/base.h"

#include "cli/otlp_file.h"
#include "core/assert.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "otlp/otlp.h"
#include "otlp/otlp_encode.h"
#include "../unit/span_gen.h"

#define POOL_BYTES_MAX GIB
#define LINE_BYTES 96u

static int
wild(const char *seed_text, const char *n_text)
{
    struct pool *pool = pool_new(POOL_BYTES_MAX);
    uint64_t seed, n;
    struct span_gen gen;
    struct batch batch;
    struct sb body;

    if (!num_parse_u64(sv_from(seed_text), &seed) ||
        !num_parse_u64(sv_from(n_text), &n))
        return 2;
    span_gen_init(&gen, seed);
    gen.now_ns = clock_wall_ns() - 2 * gen.spread_ns;
    batch_init(&batch, pool);
    span_gen_wild(&gen, &batch, (uint32_t)n);
    sb_init(&body, POOL_BYTES_MAX);
    otlp_encode_protobuf(&batch, &body);
    check(!sb_failed(&body));
    fwrite(body.ptr, 1, body.len, stdout);
    sb_release(&body);
    pool_free(pool);
    return fflush(stdout) != 0;
}

struct lines {
    char (*v)[LINE_BYTES];
    size_t n, cap;
};

static void
line_add(struct lines *lines, const struct batch *batch,
    const struct span *span)
{
    struct sb line;
    uint8_t hash[16];

    if (lines->n == lines->cap) {
        lines->cap = MAX(2 * lines->cap, (size_t)1024);
        lines->v = xrealloc(lines->v, lines->cap * sizeof(*lines->v));
    }
    span_hash(batch, span, hash);
    sb_init(&line, LINE_BYTES);
    sb_add_hex(&line, span->trace_id.b, 16);
    sb_add_hex(&line, span->span_id.b, 8);
    sb_add_char(&line, ' ');
    sb_add_hex(&line, hash, 16);
    memcpy(lines->v[lines->n++], line.ptr, line.len + 1);
    sb_release(&line);
}

static int
line_cmp(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void
file_hash(struct lines *lines, const char *path)
{
    struct err err = ERR_INIT;
    struct otlp_item item;
    struct otlp_in in;
    int got;

    if (otlp_in_open(&in, path, &err) != 0)
        panic("%s", err.text);
    while ((got = otlp_in_next(&in, &item, &err)) == 1) {
        struct pool *pool = pool_new(POOL_BYTES_MAX);
        struct batch batch;

        batch_init(&batch, pool);
        if (item.bad != NULL || otlp_decode(item.format, item.body, &batch,
            &err) != 0)
            panic("%s: %s", path, item.bad != NULL ? item.bad : err.text);
        for (uint32_t i = 0; i < batch.nspans; i++)
            line_add(lines, &batch, &batch.spans[i]);
        pool_free(pool);
    }
    if (got < 0)
        panic("%s: %s", path, err.text);
    otlp_in_release(&in);
}

int
main(int argc, char **argv)
{
    struct lines lines = {NULL, 0, 0};

    if (argc == 4 && strcmp(argv[1], "wild") == 0)
        return wild(argv[2], argv[3]);
    if (argc < 3 || strcmp(argv[1], "hash") != 0) {
        fprintf(stderr, "usage: otlp_spans wild SEED N | hash FILE...\n");
        return 2;
    }
    for (int i = 2; i < argc; i++)
        file_hash(&lines, argv[i]);
    qsort(lines.v, lines.n, sizeof(*lines.v), line_cmp);
    for (size_t i = 0; i < lines.n; i++)
        puts(lines.v[i]);
    xfree(lines.v);
    return fflush(stdout) != 0;
}
