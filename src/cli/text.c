/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/text.h"

static bool
is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/*
 * Bytes of the control character that begins at i, or 0: ASCII's, and those
 * that are U+0080 to U+009F.
 */
static size_t
control_len(struct sv text, size_t i)
{
    unsigned char c = (unsigned char)text.ptr[i];

    if (c < 0x20 || c == 0x7f)
        return 1;
    if (c == 0xc2 && i + 1 < text.len && is_continuation(text.ptr[i + 1]) &&
        (unsigned char)text.ptr[i + 1] < 0xa0)
        return 2;
    return 0;
}

/* Adds whole characters, at most so many; how many, and where it ended. */
static unsigned
add_characters(struct sb *out, struct sv text, unsigned max, size_t *end)
{
    unsigned used = 0;
    size_t i = 0;

    while (i < text.len && used < max) {
        size_t control = control_len(text, i);

        used++;
        if (control != 0) {
            sb_add_char(out, '?');
            i += control;
            continue;
        }
        do
            sb_add_char(out, text.ptr[i++]);
        while (i < text.len && is_continuation(text.ptr[i]));
    }
    *end = i;
    return used;
}

void
text_add(struct sb *out, struct sv text)
{
    size_t end;

    (void)add_characters(out, text, UINT_MAX, &end);
}

struct sv
text_strip(struct sv text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.ptr[text.len - 1]) != NULL)
        text.len--;
    while (text.len > 0 && strchr(" \t\r\n", text.ptr[0]) != NULL)
        text = sv_sub(text, 1, SIZE_MAX);
    return text;
}

unsigned
text_columns(struct sv text)
{
    unsigned used = 0;

    for (size_t i = 0; i < text.len; i++)
        used += !is_continuation(text.ptr[i]);
    return used;
}

void
text_add_columns(struct sb *out, struct sv text, unsigned columns)
{
    size_t start = out->len, end;
    unsigned used = add_characters(out, text, columns, &end);

    if (end < text.len && columns > 0) {
        /* The last character gives way to the sign that some are missing. */
        while (out->len > start && is_continuation(out->ptr[out->len - 1]))
            out->len--;
        if (out->len > start)
            out->len--;
        sb_add_str(out, "\xe2\x80\xa6");
    }
    for (; used < columns; used++)
        sb_add_char(out, ' ');
}
