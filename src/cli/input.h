/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What import reads: a file (perhaps compressed) or bytes in memory, as lines
 * or as pieces of a known length, whatever the length of the whole.
 */

#ifndef SPOOR_CLI_INPUT_H
#define SPOOR_CLI_INPUT_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"
#include "core/sv.h"

struct unpack;

/* The longest line or piece: what a server takes in one request. */
#define INPUT_ITEM_MAX (64 * MIB)

struct input {
    struct unpack *unpack; /* NULL: all is in buf */
    struct sb buf;
    size_t pos;
    uint64_t offset;       /* of buf[pos] in the decompressed file */
    uint64_t line;         /* of the line given last, from 1 */
    bool is_end;
};

/* "-" is standard input.  Release in any case. */
int input_open(struct input *in, const char *path, struct err *err)
    WARN_UNUSED;
/* Bytes that live as long as the input. */
void input_init_memory(struct input *in, struct sv bytes);
void input_release(struct input *in);

/* The next n bytes without taking them; fewer at the end only. */
int input_peek(struct input *in, size_t n, struct sv *out, struct err *err)
    WARN_UNUSED;
/* Takes n bytes that input_peek() has shown. */
void input_take(struct input *in, size_t n);

/*
 * The next line without its end, good until the next call.  1: there is one;
 * 0: the end.  A line above INPUT_ITEM_MAX is passed over: *is_long.
 */
int input_line(struct input *in, struct sv *out, bool *is_long,
    struct err *err) WARN_UNUSED;

#endif
