/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The text of a stream is {label="value",label="value"}: labels sorted,
 * values with the escapes of a Go string (src/span/flat.h writes it).
 */

#include "core/base.h"
#include "query/filter.h"

#include "core/assert.h"
#include "core/enc.h"
#include "query/regexp.h"

static bool
tag_has(const struct stream_tag *tag, struct sv value)
{
    for (uint32_t i = 0; i < tag->nvalues; i++) {
        if (sv_eq(tag->values[i], value))
            return true;
    }
    return false;
}

int
stream_tag_matches(const struct stream_tag *tag, struct sv value,
    struct err *err)
{
    int matches;

    switch (tag->op) {
    case STREAM_EQ:
    case STREAM_IN:
        return tag->is_any || tag_has(tag, value);
    case STREAM_NE:
    case STREAM_NOT_IN:
        return !tag->is_any && !tag_has(tag, value);
    default:
        matches = regexp_match(tag->regexp, value, err);
        return matches < 0 ? -1 : matches == (tag->op == STREAM_RE);
    }
}

/*
 * Decodes one character behind a backslash at *at, as flat_labels() writes
 * them, into dst[2]; moves *at to its last byte.
 */
static size_t
unescape(struct sv text, size_t *at, char *dst)
{
    static const char letters[] = "a\ab\bf\fn\nr\rt\tv\v";
    char c = text.ptr[*at];
    uint8_t bytes[2];

    if ((c == 'x' || c == 'u') && text.len - *at > (c == 'x' ? 2u : 4u) &&
        enc_unhex(sv_sub(text, *at + 1, c == 'x' ? 2 : 4), bytes,
            c == 'x' ? 1 : 2)) {
        *at += c == 'x' ? 2 : 4;
        if (c == 'x') {
            dst[0] = (char)bytes[0];
            return 1;
        }
        /* U+0080 to U+009f */
        dst[0] = (char)0xc2;
        dst[1] = (char)bytes[1];
        return 2;
    }
    for (size_t i = 0; i + 1 < sizeof(letters); i += 2) {
        if (c == letters[i])
            c = letters[i + 1];
    }
    dst[0] = c;
    return 1;
}

/* Where the value's quote stands, behind "label=". */
static size_t
find_value(struct sv text)
{
    size_t at = sv_find_byte(text, '=');

    while (at + 1 < text.len && text.ptr[at + 1] != '"')
        at += 1 + sv_find_byte(sv_sub(text, at + 1, text.len), '=');
    return at + 1;
}

struct sv
stream_labels(struct sv stream)
{
    return stream.len >= 2 && stream.ptr[0] == '{'
        ? sv_sub(stream, 1, stream.len - 2) : SV_EMPTY;
}

bool
stream_label_next(struct sv *rest, struct sv *label, struct sv *value,
    char *buf)
{
    size_t at = find_value(*rest);
    size_t n = 0;

    if (at >= rest->len)
        return false;
    *label = sv_sub(*rest, 0, at - 1);
    for (at++; at < rest->len && rest->ptr[at] != '"'; at++) {
        char bytes[2] = {rest->ptr[at], 0};
        size_t nbytes = 1;

        if (bytes[0] == '\\' && at + 1 < rest->len) {
            at++;
            nbytes = unescape(*rest, &at, bytes);
        }
        for (size_t i = 0; i < nbytes && n < STREAM_VALUE_MAX; i++)
            buf[n++] = bytes[i];
    }
    if (at >= rest->len)
        return false;
    at++;
    if (at < rest->len && rest->ptr[at] == ',')
        at++;
    *rest = sv_sub(*rest, at, rest->len);
    *value = sv_make(buf, n);
    return true;
}

static struct sv
label_find(struct sv stream, struct sv wanted, char *buf)
{
    struct sv rest = stream_labels(stream), label, value;

    while (stream_label_next(&rest, &label, &value, buf)) {
        if (sv_eq(label, wanted))
            return value;
    }
    return SV_EMPTY;
}

static int
all_match(const struct stream_all *all, struct sv stream, struct err *err)
{
    char buf[STREAM_VALUE_MAX];

    for (uint32_t i = 0; i < all->ntags; i++) {
        const struct stream_tag *tag = &all->tags[i];
        int matches = stream_tag_matches(tag,
            label_find(stream, tag->label, buf), err);

        if (matches <= 0)
            return matches;
    }
    return 1;
}

int
filter_match_stream(const struct filter *filter, struct sv stream,
    struct err *err)
{
    /* A row whose _stream was dropped by a pipe is in no stream. */
    if (stream.len == 0)
        return 0;
    if (filter->nstream == 0)
        return 1;
    for (uint32_t i = 0; i < filter->nstream; i++) {
        int matches = all_match(&filter->stream[i], stream, err);

        if (matches != 0)
            return matches;
    }
    return 0;
}
