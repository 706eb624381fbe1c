/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Any bytes as a chunked body: every slicing gives the same data and the
 * same end, and a simple decoder of the plain cases agrees.
 */

#include "core/base.h"

#include "core/assert.h"
#include "core/sb.h"
#include "http/h1_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum h1_result result;
    size_t used;
    struct sb body;
};

static void
decode(struct outcome *out, const char *text, size_t size, size_t slice)
{
    struct h1_chunked chunked;
    size_t n = 0, end = 0;

    h1_chunked_init(&chunked);
    sb_init(&out->body, size + 1);
    out->result = H1_MORE;
    while (end < size && out->result == H1_MORE) {
        end = MIN(slice, size - end) + end;
        while (n < end && out->result == H1_MORE) {
            size_t take = (size_t)MIN(h1_chunked_expects(&chunked), end - n);
            size_t used = 0;

            sb_add(&out->body, text + n, take);
            if (take > 0) {
                h1_chunked_took(&chunked, take);
                n += take;
                continue;
            }
            out->result = h1_chunked_feed(&chunked,
                sv_make(text + n, end - n), &used);
            check(used <= end - n);
            n += used;
        }
    }
    out->used = n;
    check(out->body.len <= n && !sb_failed(&out->body));
}

/* "5\r\nhello\r\n0\r\n\r\n" without anything optional; false: not that. */
static bool
decode_plainly(const char *text, size_t size, struct sb *body, size_t *used)
{
    size_t at = 0;

    while (at < size) {
        char *behind;
        unsigned long n;

        if (strchr("0123456789abcdefABCDEF", text[at]) == NULL ||
            text[at] == '\0')
            return false;
        n = strtoul(text + at, &behind, 16);
        if (text[at + 1] == 'x' || text[at + 1] == 'X' ||
            behind - (text + at) > 8)
            return false;
        at = (size_t)(behind - text);
        if (size - at < n + 4 || memcmp(text + at, "\r\n", 2) != 0)
            return false;
        sb_add(body, text + at + 2, n);
        at += 2 + n;
        if (memcmp(text + at, "\r\n", 2) != 0)
            return false;
        at += 2;
        *used = at;
        if (n == 0)
            return true;
    }
    return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, sliced;
    struct sb text, plain;
    size_t slice, used = 0;

    if (size < 1)
        return 0;
    slice = (size_t)data[0] + 1;
    sb_init(&text, size);
    sb_add(&text, data + 1, size - 1);
    decode(&whole, text.ptr, text.len, SIZE_MAX);
    for (int i = 0; i < 2; i++) {
        decode(&sliced, text.ptr, text.len, i == 0 ? 1 : slice);
        check(sliced.result == whole.result);
        check(whole.result != H1_DONE || sliced.used == whole.used);
        check(sv_eq(sb_sv(&sliced.body), sb_sv(&whole.body)));
        sb_release(&sliced.body);
    }
    sb_init(&plain, size);
    if (decode_plainly(text.ptr, text.len, &plain, &used)) {
        check(whole.result == H1_DONE && whole.used == used);
        check(sv_eq(sb_sv(&plain), sb_sv(&whole.body)));
    }
    sb_release(&plain);
    sb_release(&whole.body);
    sb_release(&text);
    return 0;
}
