/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Answers of nodes as frames: any bytes, in pieces of any size, give the same
 * frames as at once, or the same error; payloads of errors and ends, too.  The
 * first byte says how the rest is cut, and whether checksums are made right.
 */

#include "core/base.h"

#include "cluster/frame.h"
#include "core/assert.h"
#include "core/enc.h"
#include "core/mem.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define HEAD 16u
#define RIGHT_SUMS 0x80u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    unsigned n;
    uint64_t sum;
    bool is_ended;
    enum err_code code;
};

static int
on_frame(void *arg, enum frame_type type, struct sv payload, struct err *err)
{
    struct seen *seen = arg;
    unsigned flags;

    seen->n++;
    seen->sum = seen->sum * 31 + (uint64_t)type +
        XXH3_64bits(payload.ptr, payload.len);
    if (type == FRAME_ERROR)
        return frame_error(payload, err);
    if (type == FRAME_END)
        return frame_end_flags(payload, &flags, err);
    return 0;
}

/* Sums of all frames that are whole, as a node would have made them. */
static void
make_sums(char *data, size_t len)
{
    for (size_t at = 0; len - at >= HEAD;) {
        uint32_t payload = enc_get32(data + at + 4);
        uint64_t sum;

        if (payload > len - at - HEAD)
            return;
        sum = XXH3_64bits(data + at + HEAD, payload);
        enc_put32(data + at + 12, (uint32_t)XXH3_64bits_withSeed(data + at,
            HEAD - 4, sum));
        at += HEAD + payload;
    }
}

static struct seen
feed(struct sv data, size_t piece)
{
    struct frame_reader reader;
    struct err err = ERR_INIT;
    struct seen seen = {.n = 0};
    int rc = 0;

    frame_reader_init(&reader);
    for (size_t at = 0; at < data.len && rc == 0; at += piece)
        rc = frame_reader_feed(&reader, sv_sub(data, at, piece), on_frame,
            &seen, &err);
    check(rc == 0 || (rc == -1 && err.text[0] != '\0'));
    seen.is_ended = reader.is_ended;
    seen.code = err.code;
    frame_reader_release(&reader);
    return seen;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole, pieces;
    char *copy;

    if (size < 1)
        return 0;
    copy = xmemdup0((const char *)data + 1, size - 1);
    if (data[0] & RIGHT_SUMS)
        make_sums(copy, size - 1);
    whole = feed(sv_make(copy, size - 1), size);
    pieces = feed(sv_make(copy, size - 1), 1 + (data[0] & 31));
    check(whole.n == pieces.n && whole.sum == pieces.sum &&
        whole.is_ended == pieces.is_ended && whole.code == pieces.code);
    xfree(copy);
    return 0;
}
