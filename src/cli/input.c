/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/input.h"

#include "core/assert.h"
#include "core/unpack.h"

#define STEP_BYTES (256 * KIB)

int
input_open(struct input *in, const char *path, struct err *err)
{
    memset(in, 0, sizeof(*in));
    sb_init(&in->buf, INPUT_ITEM_MAX + 2 * STEP_BYTES);
    return unpack_open(&in->unpack, path, err);
}

void
input_init_memory(struct input *in, struct sv bytes)
{
    memset(in, 0, sizeof(*in));
    sb_init(&in->buf, bytes.len);
    sb_add_sv(&in->buf, bytes);
    in->is_end = true;
}

void
input_release(struct input *in)
{
    unpack_close(in->unpack);
    sb_release(&in->buf);
}

/* More bytes into the buffer; is_end when there are none. */
static int
fill(struct input *in, struct err *err)
{
    size_t left = in->buf.len - in->pos, got;
    char *dst;

    if (in->pos > 0) {
        sb_reset(&in->buf); /* ends what was taken with a NUL */
        memmove(in->buf.ptr, in->buf.ptr + in->pos, left);
        sb_advance(&in->buf, left);
        in->pos = 0;
    }
    dst = sb_reserve(&in->buf, STEP_BYTES);
    if (dst == NULL)
        return err_set(err, ERR_LIMIT, "out of memory");
    if (unpack_read(in->unpack, dst, STEP_BYTES, &got, err) != 0)
        return -1;
    sb_advance(&in->buf, got);
    in->is_end = got == 0;
    return 0;
}

int
input_peek(struct input *in, size_t n, struct sv *out, struct err *err)
{
    check(n <= INPUT_ITEM_MAX + STEP_BYTES);
    while (in->buf.len - in->pos < n && !in->is_end) {
        if (fill(in, err) != 0)
            return -1;
    }
    *out = sv_sub(sb_sv(&in->buf), in->pos, n);
    return 0;
}

void
input_take(struct input *in, size_t n)
{
    check(n <= in->buf.len - in->pos);
    in->pos += n;
    in->offset += n;
}

/* Drops all up to the end of the line. */
static int
skip_line(struct input *in, struct err *err)
{
    for (;;) {
        struct sv rest = sv_sub(sb_sv(&in->buf), in->pos, in->buf.len);
        size_t end = sv_find_byte(rest, '\n');

        input_take(in, MIN(end + 1, rest.len));
        if (end < rest.len || in->is_end)
            return 1;
        if (fill(in, err) != 0)
            return -1;
    }
}

int
input_line(struct input *in, struct sv *out, bool *is_long, struct err *err)
{
    size_t seen = 0;

    *is_long = false;
    for (;;) {
        struct sv rest = sv_sub(sb_sv(&in->buf), in->pos, in->buf.len);
        size_t end = seen + sv_find_byte(sv_sub(rest, seen, rest.len), '\n');

        if (end < rest.len || (in->is_end && rest.len > 0)) {
            *out = sv_sub(rest, 0, end);
            if (sv_ends_with(*out, SV("\r")))
                out->len--;
            in->line++;
            *is_long = out->len > INPUT_ITEM_MAX;
            input_take(in, MIN(end + 1, rest.len));
            return 1;
        }
        if (in->is_end)
            return 0;
        if (rest.len > INPUT_ITEM_MAX) {
            in->line++;
            *is_long = true;
            return skip_line(in, err);
        }
        seen = rest.len;
        if (fill(in, err) != 0)
            return -1;
    }
}
