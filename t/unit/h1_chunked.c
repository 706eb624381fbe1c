/* SPDX-License-Identifier: BSD-2-Clause */

/* Chunked bodies: grammar, limits, any slicing. */

#include "core/base.h"

#include "core/sb.h"
#include "http/h1_parse.h"

#include "tap.h"

struct sample {
    const char *text;
    size_t len;
    const char *body; /* NULL: an error */
    bool is_done;
    const char *name;
};

#define OK(text, body, name) {text, sizeof(text) - 1, body, true, name}
#define BAD(text, name) {text, sizeof(text) - 1, NULL, false, name}
#define MORE(text, body, name) {text, sizeof(text) - 1, body, false, name}

/* clang-format off */
static const struct sample samples[] = {
    OK("0\r\n\r\n", "", "empty"),
    OK("5\r\nhello\r\n0\r\n\r\n", "hello", "one chunk"),
    OK("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!", "two chunks"),
    OK("A\r\n0123456789\r\n0\r\n\r\n", "0123456789", "capital digit"),
    OK("a\r\n0123456789\r\n0\r\n\r\n", "0123456789", "small digit"),
    OK("0000000000000005\r\nhello\r\n000\r\n\r\n", "hello", "zeros"),
    OK("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello", "extensions"),
    OK("5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n", "hello", "quoted extension"),
    OK("5 ;a\r\nhello\r\n0 \t;b\r\n\r\n", "hello", "bad white space"),
    OK("1\r\n\n\r\n0\r\n\r\n", "\n", "data may be anything"),
    OK("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", "data may be a line end"),
    OK("0\r\nX: y\r\n\r\n", "", "trailer"),
    OK("0\r\nX: y\r\nContent-Length: 5\r\n\r\n", "", "trailers are dropped"),
    OK("1\r\na\r\n0\r\nX:\r\n\r\n", "a", "empty trailer"),

    MORE("", "", "nothing"),
    MORE("5", "", "half a size"),
    MORE("5\r\nhel", "hel", "half a chunk"),
    MORE("5\r\nhello", "hello", "no line end"),
    MORE("5\r\nhello\r\n", "hello", "no last chunk"),
    MORE("5\r\nhello\r\n0\r\n", "hello", "no end"),
    MORE("0\r\nX: y\r\n", "", "no end of trailers"),

    BAD("\r\n", "no size"),
    BAD("g\r\n", "no digit"),
    BAD("0x5\r\nhello\r\n0\r\n\r\n", "0x"),
    BAD("-1\r\n", "negative size"),
    BAD("+5\r\nhello\r\n", "plus"),
    BAD(" 5\r\nhello\r\n", "space before the size"),
    BAD("5 \r\nhello\r\n", "space behind the size"),
    BAD("5 5\r\nhello\r\n", "space within the size"),
    BAD("5_0\r\n", "underscore"),
    BAD("5\nhello\n0\n\n", "bare LF"),
    BAD("5\r\nhello\n0\r\n\r\n", "bare LF behind data"),
    BAD("5\r\nhello\r\n0\n\r\n", "bare LF behind the last size"),
    BAD("5\r\nhello\r\n0\r\n\n", "bare LF at the end"),
    BAD("5\rhello\r\n", "bare CR"),
    BAD("5\r\nhello0\r\n\r\n", "no line end behind data"),
    BAD("5\r\nhelloXX0\r\n\r\n", "other bytes behind data"),
    BAD("5\r\nhello!\r\n0\r\n\r\n", "chunk is longer"),
    BAD("5\r\nhell\r\n0\r\n\r\n", "chunk is shorter"),
    BAD("5;a\nb\r\nhello\r\n", "LF in an extension"),
    BAD("5;a\rb\r\nhello\r\n", "CR in an extension"),
    BAD("5;\0\r\nhello\r\n", "NUL in an extension"),
    BAD("5;a\x7f\r\nhello\r\n", "DEL in an extension"),
    BAD("5\0\r\nhello\r\n", "NUL behind the size"),
    BAD("5\v\r\nhello\r\n", "VT behind the size"),
    BAD("5,\r\nhello\r\n", "comma behind the size"),
    BAD("00000000000000005\r\nhello\r\n", "17 digits"),
    BAD("100000000000000000\r\n", "2^68"),
    BAD("0\r\nX y\r\n\r\n", "trailer without a colon"),
    BAD("0\r\nX : y\r\n\r\n", "space before the colon of a trailer"),
    BAD("0\r\n X: y\r\n\r\n", "folded trailer"),
    BAD("0\r\nX: y\r\n z\r\n\r\n", "obs-fold in a trailer"),
    BAD("0\r\n: y\r\n\r\n", "trailer without a name"),
    BAD("0\r\nX: y\n\r\n", "bare LF behind a trailer"),
    BAD("0\r\nX: \0\r\n\r\n", "NUL in a trailer"),
    BAD("0\r\nGET / HTTP/1.1\r\n\r\n", "a request for a trailer"),
    BAD("0\r\n\rX", "CR without LF at the end"),
};
/* clang-format on */

enum { FED_MORE, FED_DONE, FED_ERROR };

/* The decoded body in out; slice 0: at once. */
static int
feed(const char *text, size_t len, size_t slice, struct sb *out, size_t *used)
{
    struct h1_chunked chunked;
    size_t n = 0, end = 0;

    h1_chunked_init(&chunked);
    sb_reset(out);
    while (end < len) {
        size_t step = slice == 0 ? len : 1 + (size_t)rand() % slice;

        end = MIN(len, end + step);
        while (n < end) {
            size_t take = (size_t)MIN(h1_chunked_expects(&chunked),
                end - n);
            size_t done = 0;
            enum h1_result result;

            if (take > 0) {
                sb_add(out, text + n, take);
                h1_chunked_took(&chunked, take);
                n += take;
                continue;
            }
            result = h1_chunked_feed(&chunked, sv_make(text + n, end - n),
                &done);
            if (result == H1_ERROR)
                return FED_ERROR;
            n += done;
            *used = n;
            if (result == H1_DONE)
                return FED_DONE;
        }
    }
    return FED_MORE;
}

static void
test_samples(void)
{
    struct sb out;

    sb_init(&out, 1 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *s = &samples[i];
        int want = s->body == NULL ? FED_ERROR : s->is_done ? FED_DONE
                                                            : FED_MORE;

        for (size_t slice = 0; slice < 6; slice++) {
            size_t used = 0;
            int got = feed(s->text, s->len, slice, &out, &used);

            is_int(got, want, "%s, slice %zu", s->name, slice);
            if (got != FED_ERROR)
                is_str(out.ptr, s->body, "body of %s", s->name);
            if (got == FED_DONE)
                is_int(used, s->len, "bytes of %s", s->name);
        }
    }
    sb_release(&out);
}

/* What follows the body is not touched. */
static void
test_next_request(void)
{
    static const char text[] = "1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
    struct sb out;
    size_t used = 0;

    sb_init(&out, 1 * KIB);
    is_int(feed(text, sizeof(text) - 1, 0, &out, &used), FED_DONE, "done");
    is_int(used, 11, "the next request stays");
    sb_release(&out);
}

static void
add_many(struct sb *sb, char c, size_t n)
{
    while (n-- > 0)
        sb_add_char(sb, c);
}

static void
test_limits(void)
{
    struct sb in, out;
    size_t used;

    sb_init(&in, 4 * MIB);
    sb_init(&out, 4 * MIB);
    for (int over = 0; over <= 1; over++) {
        sb_reset(&in);
        sb_add_str(&in, "1;");
        add_many(&in, 'x', H1_CHUNK_EXT_BYTES_MAX - 1 + (size_t)over);
        sb_add_str(&in, "\r\na\r\n0\r\n\r\n");
        is_int(feed(in.ptr, in.len, 0, &out, &used),
            over ? FED_ERROR : FED_DONE, "extension, limit + %d", over);
        sb_reset(&in);
        sb_add_str(&in, "0\r\nX:");
        add_many(&in, 'x', H1_TRAILER_BYTES_MAX - 4 + (size_t)over);
        sb_add_str(&in, "\r\n\r\n");
        is_int(feed(in.ptr, in.len, 0, &out, &used),
            over ? FED_ERROR : FED_DONE, "trailer, limit + %d", over);
    }
    sb_reset(&in);
    for (int i = 0; i < 20000; i++)
        sb_add_str(&in, "1;x\r\na\r\n");
    is_int(feed(in.ptr, in.len, 0, &out, &used), FED_ERROR,
        "extensions of many chunks");
    sb_reset(&in);
    sb_add_str(&in, "ffffffffffffffff\r\nabc");
    is_int(feed(in.ptr, in.len, 0, &out, &used), FED_MORE,
        "the largest size is a promise only");
    is_str(out.ptr, "abc", "its data");
    sb_release(&in);
    sb_release(&out);
}

int
main(void)
{
    srand(1);
    test_samples();
    test_next_request();
    test_limits();
    return tap_done();
}
