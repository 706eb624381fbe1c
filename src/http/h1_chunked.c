/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The chunked transfer coding (RFC 9112, 7.1):
 *
 *     *( 1*16HEXDIG [ BWS ";" extension ] CRLF data CRLF )
 *     1*16"0" [ ... ] CRLF  *( name ":" value CRLF )  CRLF
 *
 * A state machine over the single bytes of the framing; data is the caller's.
 * Extensions and trailers are checked for legal bytes and dropped.
 */

#include "core/base.h"
#include "http/h1_parse.h"

#include "core/assert.h"

enum {
    CHUNK_SIZE = 0,   /* hex digits */
    CHUNK_BWS,        /* white space, which only ';' may follow */
    CHUNK_EXT,        /* behind ';' */
    CHUNK_SIZE_LF,    /* the CR of the size line was seen */
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    TRAILER_START,    /* first byte of a trailer line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    TRAILER_LAST_LF,  /* the CR of the empty line was seen */
    CHUNK_DONE,
    CHUNK_ERROR,
};

void
h1_chunked_init(struct h1_chunked *chunked)
{
    memset(chunked, 0, sizeof(*chunked));
}

static bool
chunk_fail(struct h1_chunked *chunked, const char *error)
{
    chunked->state = CHUNK_ERROR;
    chunked->error = error;
    return false;
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool
size_byte(struct h1_chunked *chunked, char c)
{
    int digit = hex_digit(c);

    if (digit >= 0) {
        if (chunked->digits == H1_CHUNK_DIGITS_MAX)
            return chunk_fail(chunked, "the chunk size is too long");
        chunked->digits++;
        chunked->left = chunked->left << 4 | (unsigned)digit;
        return true;
    }
    if (chunked->digits == 0)
        return chunk_fail(chunked, "malformed chunk size");
    if (c == '\r')
        chunked->state = CHUNK_SIZE_LF;
    else if (c == ';')
        chunked->state = CHUNK_EXT;
    else if (c == ' ' || c == '\t')
        chunked->state = CHUNK_BWS;
    else
        return chunk_fail(chunked, "malformed chunk size");
    return true;
}

static bool
extension_byte(struct h1_chunked *chunked, char c)
{
    if (++chunked->ext_bytes > H1_CHUNK_EXT_BYTES_MAX)
        return chunk_fail(chunked, "too many bytes of chunk extensions");
    if (chunked->state == CHUNK_BWS) {
        if (c == ';')
            chunked->state = CHUNK_EXT;
        else if (c != ' ' && c != '\t')
            return chunk_fail(chunked, "malformed chunk size");
        return true;
    }
    if (c == '\r')
        chunked->state = CHUNK_SIZE_LF;
    else if (!h1_is_field_value(sv_make(&c, 1)))
        return chunk_fail(chunked, "illegal byte in a chunk extension");
    return true;
}

static bool
trailer_byte(struct h1_chunked *chunked, char c)
{
    struct sv one = sv_make(&c, 1);

    if (++chunked->trailer_bytes > H1_TRAILER_BYTES_MAX)
        return chunk_fail(chunked, "too many bytes of trailers");
    switch (chunked->state) {
    case TRAILER_START:
        if (c == '\r')
            chunked->state = TRAILER_LAST_LF;
        else if (h1_is_token(one))
            chunked->state = TRAILER_NAME;
        else
            return chunk_fail(chunked, "malformed trailer");
        return true;
    case TRAILER_NAME:
        if (c == ':')
            chunked->state = TRAILER_VALUE;
        else if (!h1_is_token(one))
            return chunk_fail(chunked, "malformed trailer");
        return true;
    case TRAILER_VALUE:
        if (c == '\r')
            chunked->state = TRAILER_LF;
        else if (!h1_is_field_value(one))
            return chunk_fail(chunked, "malformed trailer");
        return true;
    default:
        panic("chunked: no trailer state: %d", chunked->state);
    }
}

/* The LF that a CR promised. */
static bool
line_feed(struct h1_chunked *chunked, char c)
{
    if (c != '\n')
        return chunk_fail(chunked, "a line ends without CR LF");
    switch (chunked->state) {
    case CHUNK_SIZE_LF:
        chunked->digits = 0;
        chunked->state = chunked->left > 0 ? CHUNK_DATA : TRAILER_START;
        return true;
    case CHUNK_DATA_LF:
        chunked->state = CHUNK_SIZE;
        return true;
    case TRAILER_LF:
        chunked->state = TRAILER_START;
        return true;
    case TRAILER_LAST_LF:
        chunked->state = CHUNK_DONE;
        return true;
    default:
        panic("chunked: no line end here: %d", chunked->state);
    }
}

static bool
control_byte(struct h1_chunked *chunked, char c)
{
    switch (chunked->state) {
    case CHUNK_SIZE:
        return size_byte(chunked, c);
    case CHUNK_BWS:
    case CHUNK_EXT:
        return extension_byte(chunked, c);
    case CHUNK_DATA_CR:
        if (c != '\r')
            return chunk_fail(chunked, "a chunk is longer than its size");
        chunked->state = CHUNK_DATA_LF;
        return true;
    case TRAILER_START:
    case TRAILER_NAME:
    case TRAILER_VALUE:
        return trailer_byte(chunked, c);
    default:
        return line_feed(chunked, c);
    }
}

enum h1_result
h1_chunked_feed(struct h1_chunked *chunked, struct sv input, size_t *used)
{
    size_t i = 0;

    check(chunked->state < CHUNK_DONE);
    while (i < input.len && chunked->state != CHUNK_DATA &&
        chunked->state != CHUNK_DONE) {
        if (!control_byte(chunked, input.ptr[i]))
            return H1_ERROR;
        i++;
    }
    *used = i;
    return chunked->state == CHUNK_DONE ? H1_DONE : H1_MORE;
}

uint64_t
h1_chunked_expects(const struct h1_chunked *chunked)
{
    return chunked->state == CHUNK_DATA ? chunked->left : 0;
}

void
h1_chunked_took(struct h1_chunked *chunked, uint64_t n)
{
    check(chunked->state == CHUNK_DATA && n <= chunked->left);
    chunked->left -= n;
    if (chunked->left == 0)
        chunked->state = CHUNK_DATA_CR;
}
