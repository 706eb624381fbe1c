/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * unpack_logfmt: "key=value" pairs with a space between them.  A value may
 * be quoted with '"' or '`'; what is badly quoted is plain text up to the
 * next space.  A key without '=' is empty.  What does not go on with a space
 * behind a quoted value is left.  A pair without a key is skipped.
 */

#include "core/base.h"
#include "query/pipe_type.h"

#include "query/lex.h"
#include "query/unpackers.h"

static size_t
key_len(struct sv text)
{
    size_t len = 0;

    while (len < text.len && text.ptr[len] != '=' && text.ptr[len] != ' ')
        len++;
    return len;
}

/* Bytes of the value that text begins with. */
static size_t
take_value(struct unpacked *out, struct sv text, struct sv *value)
{
    const char *why = NULL;
    size_t len = 0;

    if (text.len > 0 && (text.ptr[0] == '"' || text.ptr[0] == '`'))
        len = quote_decode(text, value, out->pool, &why);
    if (len == 0) {
        len = sv_find_byte(text, ' ');
        *value = sv_sub(text, 0, len);
    }
    return len;
}

int
unpack_logfmt(struct unpacked *out, struct sv text,
    UNUSED const struct unpack_spec *spec)
{
    while (text.len > 0 && out->n < UNPACK_FIELDS_MAX) {
        size_t len = key_len(text);
        struct sv key = sv_sub(text, 0, len), value = SV_EMPTY;

        text = sv_sub(text, len, SIZE_MAX);
        if (text.len > 0 && text.ptr[0] == '=') {
            text = sv_sub(text, 1, SIZE_MAX);
            len = take_value(out, text, &value);
            text = sv_sub(text, len, SIZE_MAX);
        }
        if (key.len > 0 && unpacked_add(out, key, value) != 0)
            return -1;
        if (text.len > 0 && text.ptr[0] != ' ')
            return 0;
        text = sv_sub(text, 1, SIZE_MAX);
    }
    return 0;
}

static int
parse(struct parser *p, struct pipe *pipe)
{
    return unpack_parse(p, pipe, unpack_logfmt);
}

const struct pipe_ops pipe_unpack_logfmt = {
    parse, unpack_print, map_needed, map_make, unpack_mapper
};
