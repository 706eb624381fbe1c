/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Files of OTLP requests: spans of every kind come back as they were, from
 * every form; files are split and resumed; damage is seen.
 */

#include "core/base.h"
#include "cli/otlp_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/file.h"
#include "otlp/otlp.h"
#include "otlp/otlp_encode.h"
#include "span_gen.h"
#include "store_dir.h"
#include "tap.h"

#define POOL_BYTES_MAX GIB

static struct pool *pool;
static struct batch spans; /* as a server decodes them */
static char path[128];
static struct err err;

/* --- helpers --- */

static void
make_spans(uint64_t seed, uint32_t n)
{
    struct batch made;
    struct span_gen gen;
    struct sb body;

    pool_free(pool);
    pool = pool_new(POOL_BYTES_MAX);
    span_gen_init(&gen, seed);
    batch_init(&made, pool);
    span_gen_wild(&gen, &made, n);
    sb_init(&body, POOL_BYTES_MAX);
    otlp_encode_protobuf(&made, &body);
    batch_init(&spans, pool);
    check(otlp_decode_protobuf(sv_make(pool_dup(pool, body.ptr, body.len),
        body.len), &spans, &err) == 0);
    check(spans.nspans == n && spans.rejected == 0);
    sb_release(&body);
}

/* Text that JSON cannot hold, and a NaN, of which it keeps no bits. */
static bool
fits_json(const struct span *span)
{
    struct batch one = spans;
    struct sb text;
    bool fits;

    one.spans = (struct span *)(uintptr_t)span;
    one.nspans = 1;
    sb_init(&text, POOL_BYTES_MAX);
    otlp_encode_json(&one, &text);
    fits = memmem(text.ptr, text.len, "\xef\xbf\xbd", 3) == NULL &&
        memmem(text.ptr, text.len, "\"NaN\"", 5) == NULL;
    sb_release(&text);
    return fits;
}

static void
file_name(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", store_dir, name);
}

/* How many spans of the file are those of `spans` from `from` on. */
static uint32_t
read_equal(uint32_t from, bool exactly, uint32_t *different)
{
    struct otlp_item item;
    struct otlp_in in;
    uint32_t n = 0;
    int got;

    *different = 0;
    check(otlp_in_open(&in, path, &err) == 0);
    while ((got = otlp_in_next(&in, &item, &err)) == 1) {
        struct pool *own = pool_new(POOL_BYTES_MAX);
        struct batch batch;

        batch_init(&batch, own);
        check(item.bad == NULL);
        if (otlp_decode(item.format, item.body, &batch, &err) != 0)
            panic("%s", err.text);
        for (uint32_t i = 0; i < batch.nspans; i++, n++) {
            const struct span *want = &spans.spans[from + n];

            check(from + n < spans.nspans);
            if (!span_equal(&spans, want, &batch, &batch.spans[i]) &&
                (exactly || fits_json(want)))
                ++*different;
        }
        pool_free(own);
    }
    if (got < 0)
        panic("%s", err.text);
    otlp_in_release(&in);
    return n;
}

static struct otlp_out *
open_out(uint64_t split, const struct otlp_mark *mark)
{
    struct otlp_out_conf conf = {.path = path, .split_bytes = split};
    struct otlp_out *out = NULL;

    otlp_name_form(path, &conf.format, &conf.encoding);
    err_reset(&err);
    if (otlp_out_open(&out, &conf, mark, &err) != 0)
        return NULL;
    return out;
}

static void
write_spans(struct otlp_out *out, uint32_t from, uint32_t n,
    struct otlp_mark *mark)
{
    struct batch piece = spans;

    piece.spans += from;
    piece.nspans = n;
    check(otlp_out_batch(out, &piece, &err) == 0);
    check(otlp_out_sync(out, mark, &err) == 0);
}

/* --- tests --- */

static void
test_forms(void)
{
    static const char *const names[] = {"a.jsonl", "b.json.gz", "c.jsonl.zst",
        "d.pb", "e.proto.gz", "f.otlp.zst"};
    uint32_t different;

    make_spans(7, 6000);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct otlp_mark mark;
        struct otlp_out *out;

        file_name(names[i]);
        out = open_out(0, NULL);
        check(out != NULL);
        for (uint32_t from = 0; from < spans.nspans; from += 1500)
            write_spans(out, from, 1500, &mark);
        is_int(mark.spans, 6000, "%s: spans", names[i]);
        otlp_out_free(out);
        is_int(read_equal(0, i >= 3, &different), 6000, "%s: read",
            names[i]);
        is_int(different, 0, "%s: equal", names[i]);
        ok(open_out(0, NULL) == NULL && err.code == ERR_INVALID,
            "%s: is not overwritten", names[i]);
    }
}

static void
test_split(void)
{
    struct otlp_mark mark;
    struct otlp_out *out;
    uint32_t n = 0, different = 0, all_different = 0, files = 0;

    make_spans(8, 20000);
    file_name("split.pb");
    out = open_out(2 * MIB, NULL);
    write_spans(out, 0, spans.nspans, &mark);
    otlp_out_free(out);
    for (;; files++) {
        char name[64];

        snprintf(name, sizeof(name), "split-%05u.pb", files + 1);
        file_name(name);
        if (access(path, F_OK) != 0)
            break;
        n += read_equal(n, true, &different);
        all_different += different;
    }
    is_int(n, 20000, "split: all spans");
    is_int(all_different, 0, "split: equal");
    is_int(files, mark.file, "split: %u files", files);
    ok(files >= 3, "split: several");
}

/* Cut at a mark, with rubbish behind it and in later files. */
static void
test_resume(const char *name, uint64_t split)
{
    struct otlp_mark mark, later;
    struct otlp_out *out;
    uint32_t different;

    make_spans(9, 8000);
    file_name(name);
    out = open_out(split, NULL);
    write_spans(out, 0, 3000, &mark);
    write_spans(out, 3000, 2500, &later);
    otlp_out_free(out);
    out = open_out(split, &mark);
    ok(out != NULL, "%s: resumed", name);
    is_int(otlp_out_spans(out), 3000, "%s: at the mark", name);
    write_spans(out, 3000, 5000, &mark);
    otlp_out_free(out);
    is_int(mark.spans, 8000, "%s: to the end", name);
    if (split != 0)
        return;
    is_int(read_equal(0, sv_ends_with(sv_from(name), SV(".pb")),
        &different), 8000, "%s: read", name);
    is_int(different, 0, "%s: equal", name);
    check(truncate(path, 100) == 0);
    ok(open_out(0, &mark) == NULL, "%s: shorter than the mark", name);
}

/* What reading bytes gives: items, bad ones, and how it ends. */
static void
reads(const char *what, const void *bytes, size_t len, int items, int bad,
    const char *end)
{
    struct otlp_item item;
    struct otlp_in in;
    int got, n = 0, nbad = 0;

    file_name("bytes");
    err_reset(&err);
    check(file_replace(path, bytes, len, 0600, &err) == 0);
    check(otlp_in_open(&in, path, &err) == 0);
    while ((got = otlp_in_next(&in, &item, &err)) == 1) {
        n++;
        nbad += item.bad != NULL;
    }
    otlp_in_release(&in);
    is_int(n, items, "%s: items", what);
    is_int(nbad, bad, "%s: bad ones", what);
    ok(end == NULL ? got == 0 : strstr(err.text, end) != NULL,
        "%s: ends (%s)", what, err.text);
}

static void
test_readings(void)
{
    static const char zstd[] = "\0\0\0\x11\x28\xb5\x2f\xfd\x04\x00\x21\x00\x00"
        "{}{}\0\0\0\0";

    reads("nothing", "", 0, 0, 0, NULL);
    reads("lines", "{}\n{}\r\n\n{}", 10, 4, 0, NULL);
    reads("a mark", "\xef\xbb\xbf{}\n", 6, 1, 0, NULL);
    reads("lengths", "\0\0\0\x02\x0a\0\0\0\0\0", 10, 2, 0, NULL);
    reads("a cut length", "\0\0\0\x02\x0a\0\0\0", 8, 1, 0, "ends within");
    reads("a cut item", "\0\0\0\x02\x0a", 5, 0, 0, "ends within");
    reads("a huge length", "\0\0\0\0\xff\0\0\0", 8, 1, 0, "damaged");
    reads("fields", "\x0a\x00\x0a\x02\x0a\x00", 6, 2, 0, NULL);
    reads("a cut field", "\x0a\x00\x0a\x02\x0a", 5, 1, 0, "ends within");
    reads("another field", "\x0a\x00\x12\x00", 4, 1, 0, "no beginning");
    reads("rubbish", "rubbish", 7, 0, 0, "neither");
    reads("bad zstd in it", zstd, sizeof(zstd) - 1, 1, 1, NULL);
    reads("cut gzip", "\x1f\x8b\x08", 3, 0, 0, "ends early");
    reads("bad zstd", "\x28\xb5\x2f\xfdxxxxxxxxxxxxx", 17, 0, 0, "zstd");
}

/* A line that is too long costs itself only. */
static void
test_long_line(void)
{
    struct sb text;

    sb_init(&text, GIB);
    sb_add_str(&text, "{}\n{");
    while (text.len < INPUT_ITEM_MAX + 3 * MIB)
        sb_add_str(&text, "                                             ");
    sb_add_str(&text, "}\n{}\n");
    reads("a long line", text.ptr, text.len, 3, 1, NULL);
    text.len -= 4;
    reads("a long line at the end", text.ptr, text.len, 2, 1, NULL);
    sb_release(&text);
}

int
main(void)
{
    store_dir_make();
    test_long_line();
    test_forms();
    test_split();
    test_resume("resume.pb", 0);
    test_resume("resume.jsonl.zst", 0);
    test_resume("resume-split.jsonl.gz", 400000);
    test_readings();
    pool_free(pool);
    return tap_done();
}
