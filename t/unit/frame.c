/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Frames: what is put comes back whole, however the bytes are cut; what is no
 * frame is refused without more memory than its bytes.
 */

#include "core/base.h"

#include "cluster/frame.h"
#include "core/enc.h"
#include "core/mem.h"
#include "tap.h"

#define HEAD 16u

struct got {
    unsigned n;
    enum frame_type types[64];
    size_t lens[64];
    uint64_t sums[64];
    unsigned enough; /* frames; 0: all */
    bool fails;
};

static uint64_t
sum_of(struct sv text)
{
    uint64_t sum = text.len;

    for (size_t i = 0; i < text.len; i++)
        sum = sum * 31 + (unsigned char)text.ptr[i];
    return sum;
}

static int
on_frame(void *arg, enum frame_type type, struct sv payload, struct err *err)
{
    struct got *got = arg;

    got->types[got->n] = type;
    got->lens[got->n] = payload.len;
    got->sums[got->n++] = sum_of(payload);
    if (got->fails)
        return err_set(err, ERR_BUSY, "as told");
    return got->enough != 0 && got->n == got->enough;
}

/* Feeds pieces of at most so many bytes. */
static int
feed(struct frame_reader *reader, struct got *got, struct sv data,
    size_t piece, struct err *err)
{
    int rc = 0;

    for (size_t at = 0; at < data.len && rc == 0; at += piece) {
        /* A copy, so that a read beyond it is noticed. */
        struct sv part = sv_sub(data, at, piece);
        char *copy = xmemdup0(part.ptr, part.len);

        rc = frame_reader_feed(reader, sv_make(copy, part.len), on_frame, got,
            err);
        xfree(copy);
    }
    return rc;
}

static int
read_all(struct got *got, struct sv data, size_t piece, bool *is_ended,
    struct err *err)
{
    struct frame_reader reader;
    int rc;

    *err = (struct err)ERR_INIT;
    frame_reader_init(&reader);
    rc = feed(&reader, got, data, piece, err);
    *is_ended = reader.is_ended;
    frame_reader_release(&reader);
    return rc;
}

/* --- pieces --- */

static void
test_pieces(void)
{
    static const size_t pieces[] = {1, 2, 3, 7, 15, 16, 17, 100, 4096, 65536,
        SIZE_MAX / 2};
    struct err err = ERR_INIT;
    struct sb out, text;
    uint64_t sums[4];

    sb_init(&out, 8 * MIB);
    sb_init(&text, MIB);
    for (unsigned i = 0; i < 30000; i++)
        sb_addf(&text, "row %u of many; ", i % 777);
    sums[0] = sum_of(SV("abc"));
    sums[1] = sum_of(SV(""));
    sums[2] = sums[3] = sum_of(sb_sv(&text));
    frame_put(&out, FRAME_ROWS, SV("abc"), true);
    frame_put(&out, FRAME_ALIVE, SV(""), true);
    frame_put(&out, FRAME_STATE, SV(""), true);
    frame_put(&out, FRAME_STATE_END, sb_sv(&text), true);
    frame_put(&out, FRAME_SPANS, sb_sv(&text), false);
    frame_put_end(&out, FRAME_IS_PARTIAL);
    ok(out.len < text.len + text.len / 4, "one of two is compressed");
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct got got = {.n = 0};
        bool is_ended;
        int rc = read_all(&got, sb_sv(&out), pieces[i], &is_ended, &err);

        ok(rc == 0 && is_ended && got.n == 5 && got.types[0] == FRAME_ROWS &&
            got.types[3] == FRAME_SPANS && got.types[4] == FRAME_END &&
            got.sums[0] == sums[0] && got.sums[1] == sums[1] &&
            got.sums[2] == sums[2] && got.sums[3] == sums[3],
            "pieces of %zu bytes: %s", pieces[i], err.text);
    }
    sb_release(&text);
    sb_release(&out);
}

/* Each prefix of an answer is no answer, and no error. */
static void
test_cut(void)
{
    struct err err = ERR_INIT;
    unsigned wrong = 0;
    struct sb out;

    sb_init(&out, MIB);
    frame_put(&out, FRAME_HITS, SV("some hits"), true);
    frame_put_end(&out, 0);
    for (size_t n = 0; n < out.len; n++) {
        struct got got = {.n = 0};
        bool is_ended;
        int rc = read_all(&got, sv_make(out.ptr, n), SIZE_MAX / 2, &is_ended,
            &err);

        wrong += rc != 0 || is_ended;
    }
    is_int(wrong, 0, "an answer that is cut off has no end");
    sb_release(&out);
}

static void
test_results(void)
{
    struct err err = ERR_INIT;
    struct got enough = {.enough = 2}, fails = {.fails = true}, got = {0};
    struct sb out;
    bool is_ended;

    sb_init(&out, MIB);
    for (unsigned i = 0; i < 5; i++)
        frame_put(&out, FRAME_ROWS, SV("x"), true);
    is_int(read_all(&enough, sb_sv(&out), 9999, &is_ended, &err), 1,
        "enough");
    is_int(enough.n, 2, "and no frame more");
    is_int(read_all(&fails, sb_sv(&out), 9999, &is_ended, &err), -1,
        "an error of the one who is told");
    is_str(err.text, "as told", "it comes back");
    frame_put_end(&out, 0);
    frame_put(&out, FRAME_ROWS, SV("x"), true);
    ok(read_all(&got, sb_sv(&out), 9999, &is_ended, &err) == -1 &&
        err.code == ERR_CORRUPT, "a frame behind the end: %s", err.text);
    sb_release(&out);
}

/* --- what is no frame --- */

static int
read_changed(struct sv frame, size_t at, unsigned byte, struct err *err)
{
    char *copy = xmemdup0(frame.ptr, frame.len);
    struct got got = {.n = 0};
    bool is_ended;
    int rc;

    copy[at] = (char)byte;
    rc = read_all(&got, sv_make(copy, frame.len), SIZE_MAX / 2, &is_ended,
        err);
    /* A length that is too large waits for more. */
    if (rc == 0 && got.n == 0)
        rc = -1;
    xfree(copy);
    return rc;
}

static void
test_changed(bool may_compress)
{
    struct err err = ERR_INIT;
    unsigned wrong = 0;
    struct sb out, text;

    sb_init(&out, MIB);
    sb_init(&text, MIB);
    for (unsigned i = 0; i < 100; i++)
        sb_add_str(&text, "a text to be compressed");
    frame_put(&out, FRAME_ROWS, sb_sv(&text), may_compress);
    for (size_t at = 0; at < out.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            unsigned byte = (unsigned char)out.ptr[at] ^ 1u << bit;

            wrong += read_changed(sb_sv(&out), at, byte, &err) != -1;
        }
    }
    is_int(wrong, 0, "every changed bit of %zu bytes is noticed", out.len);
    sb_release(&out);
    sb_release(&text);
}

/* A head with these numbers, and a right checksum if there is no payload. */
static int
read_head(unsigned type, unsigned encoding, uint32_t len, uint32_t plain,
    struct err *err)
{
    struct got got = {.n = 0};
    char head[HEAD] = {0};
    bool is_ended;

    head[0] = (char)type;
    head[1] = (char)encoding;
    enc_put16(head + 2, 0x5e1f);
    enc_put32(head + 4, len);
    enc_put32(head + 8, plain);
    return read_all(&got, sv_make(head, sizeof(head)), SIZE_MAX / 2,
        &is_ended, err);
}

static void
test_heads(void)
{
    struct err err = ERR_INIT;
    uint32_t most = FRAME_BYTES_MAX;

    is_int(read_head(FRAME_ROWS, 0, 1, 1, &err), 0, "a head alone");
    ok(read_head(0, 0, 1, 1, &err) == -1, "type 0: %s", err.text);
    ok(read_head(FRAME_END + 1, 0, 1, 1, &err) == -1, "an unknown type: %s",
        err.text);
    ok(read_head(FRAME_ROWS, 2, 1, 1, &err) == -1, "an encoding: %s",
        err.text);
    ok(read_head(FRAME_ROWS, 0, most + 1, most + 1, &err) == -1,
        "too long: %s", err.text);
    ok(read_head(FRAME_ROWS, 1, 5, most + 1, &err) == -1,
        "too long when decoded: %s", err.text);
    ok(read_head(FRAME_ROWS, 0, 4, 5, &err) == -1, "two lengths: %s",
        err.text);
    ok(read_head(FRAME_ROWS, 1, 5, 5, &err) == -1, "longer compressed: %s",
        err.text);
}

static void
test_limits(void)
{
    size_t len = FRAME_BYTES_MAX + 1;
    char *large = xcalloc(1, len);
    struct err err = ERR_INIT;
    struct got got = {.n = 0};
    struct sb out;
    bool is_ended;

    sb_init(&out, 2 * FRAME_BYTES_MAX);
    frame_put(&out, FRAME_ROWS, sv_make(large, len), true);
    ok(sb_failed(&out), "a payload that is too large");
    sb_reset(&out);
    frame_put(&out, FRAME_ROWS, sv_make(large, len - 1), true);
    ok(!sb_failed(&out) && out.len < MIB, "the largest one");
    is_int(read_all(&got, sb_sv(&out), 1000, &is_ended, &err), 0,
        "is read: %s", err.text);
    is_int(got.lens[0], len - 1, "whole");
    sb_release(&out);
    xfree(large);
}

/* --- errors and ends --- */

static void
test_errors(void)
{
    enum err_code code;
    unsigned wrong = 0;

    for (code = ERR_SYSTEM; code <= ERR_UNREACHABLE; code++) {
        struct err err = ERR_INIT, got = ERR_INIT;
        struct sb out;

        (void)err_set(&err, code, "it was %d", (int)code);
        err.sys_errno = code == ERR_SYSTEM ? 28 : 0;
        sb_init(&out, KIB);
        frame_put_error(&out, &err);
        wrong += frame_error(sv_make(out.ptr + HEAD, out.len - HEAD),
            &got) != -1 || got.code != code ||
            got.sys_errno != err.sys_errno || strcmp(got.text, err.text) != 0;
        sb_release(&out);
    }
    is_int(wrong, 0, "all errors travel");
}

static void
test_error_payloads(void)
{
    struct err err = ERR_INIT;
    char text[2 * KIB];

    is_int(frame_error(SV("\4\0no\n\x1b[1mway"), &err), -1, "an error");
    is_str(err.text, "no  [1mway", "without control characters");
    is_int(err.code, ERR_INVALID, "its code");
    (void)frame_error(SV("\xc8\0x"), &err);
    is_int(err.code, ERR_CORRUPT, "an unknown code: %s", err.text);
    (void)frame_error(SV("\0\0x"), &err);
    is_int(err.code, ERR_CORRUPT, "no code: %s", err.text);
    (void)frame_error(SV(""), &err);
    is_int(err.code, ERR_CORRUPT, "nothing: %s", err.text);
    (void)frame_error(SV("\4\xff"), &err);
    is_int(err.code, ERR_CORRUPT, "a part: %s", err.text);
    memset(text, 'x', sizeof(text));
    text[0] = 4;
    text[1] = 0;
    (void)frame_error(sv_make(text, sizeof(text)), &err);
    is_int(strlen(err.text), sizeof(err.text) - 1, "a long text is cut");
}

static void
test_ends(void)
{
    struct err err = ERR_INIT;
    unsigned flags = 77;

    is_int(frame_end_flags(SV("\7\0\0\0"), &flags, &err), 0, "an end");
    is_int(flags, 7, "its flags");
    ok(frame_end_flags(SV("\17\0\0\0"), &flags, &err) == -1 &&
        err.code == ERR_UNSUPPORTED, "a flag of later: %s", err.text);
    ok(frame_end_flags(SV("\3\0\0"), &flags, &err) == -1 &&
        err.code == ERR_CORRUPT, "a short one: %s", err.text);
}

int
main(void)
{
    test_pieces();
    test_cut();
    test_results();
    test_changed(false);
    test_changed(true);
    test_heads();
    test_limits();
    test_errors();
    test_error_payloads();
    test_ends();
    return tap_done();
}
