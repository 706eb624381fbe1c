/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/json_in.h"

#include "core/assert.h"

/*
 * state[d] says where the parser stands in the container of depth d; depth 0
 * is the document, which holds one value.
 */
#define STATE_OBJECT 1u
#define STATE_ARRAY 2u
#define STATE_EMPTY 4u   /* nothing was read in it yet */
#define STATE_PENDING 8u /* a value stands next and must be consumed */

static bool
fail_at(struct json_in *in, const char *at, enum err_code code,
    const char *what)
{
    if (in->failed)
        return false;
    in->failed = true;
    err_set(&in->err, code, "JSON: %s at byte %zu", what,
        (size_t)(at - in->start));
    return false;
}

static bool
fail(struct json_in *in, const char *what)
{
    return fail_at(in, in->ptr, ERR_INVALID, what);
}

bool
json_fail(struct json_in *in, const char *fmt, ...)
{
    char what[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    return fail(in, what);
}

bool
json_in_failed(const struct json_in *in)
{
    return in->failed;
}

void
json_in_init(struct json_in *in, struct sv text, struct pool *pool)
{
    if (text.len == 0)
        text = SV_EMPTY;
    in->start = text.ptr;
    in->ptr = text.ptr;
    in->end = text.ptr + text.len;
    in->pool = pool;
    in->depth = 0;
    in->failed = false;
    in->state[0] = STATE_PENDING;
    err_reset(&in->err);
}

static void
skip_space(struct json_in *in)
{
    const char *ptr = in->ptr, *end = in->end;

    while (ptr < end
        && (*ptr == ' ' || *ptr == '\n' || *ptr == '\r' || *ptr == '\t'))
        ptr++;
    in->ptr = ptr;
}

enum json_type
json_peek(struct json_in *in)
{
    if (in->failed)
        return JSON_ERROR;
    skip_space(in);
    if ((in->state[in->depth] & STATE_PENDING) == 0) {
        /* Between values only the end of the document can be asked for. */
        check(in->depth == 0);
        if (in->ptr == in->end)
            return JSON_END;
        fail(in, "unexpected bytes behind the document");
        return JSON_ERROR;
    }
    if (in->ptr == in->end) {
        fail(in, "unexpected end");
        return JSON_ERROR;
    }
    switch (*in->ptr) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    case '-': case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9':
        return JSON_NUMBER;
    default:
        fail(in, "unexpected character");
        return JSON_ERROR;
    }
}

/* Skips white space; true when a value of this first byte stands there. */
static bool
value_begins(struct json_in *in, char first, const char *wanted)
{
    if (in->failed)
        return false;
    check((in->state[in->depth] & STATE_PENDING) != 0);
    skip_space(in);
    if (LIKELY(in->ptr < in->end && *in->ptr == first))
        return true;
    return fail(in, in->ptr == in->end ? "unexpected end" : wanted);
}

static void
value_ends(struct json_in *in)
{
    in->state[in->depth] &= (uint8_t)~STATE_PENDING;
}

static bool
enter(struct json_in *in, unsigned kind)
{
    if (in->depth == JSON_IN_DEPTH_MAX)
        return fail(in, "too deeply nested");
    in->ptr++;
    in->state[++in->depth] = (uint8_t)(kind | STATE_EMPTY);
    return true;
}

bool
json_enter_object(struct json_in *in)
{
    return value_begins(in, '{', "expected an object")
        && enter(in, STATE_OBJECT);
}

bool
json_enter_array(struct json_in *in)
{
    return value_begins(in, '[', "expected an array")
        && enter(in, STATE_ARRAY);
}

/*
 * Goes to the next member of the current container.  False at its end, which
 * is consumed, and on error.
 */
static bool
next_member(struct json_in *in, unsigned kind, char closing)
{
    uint8_t *state = &in->state[in->depth];

    if (in->failed)
        return false;
    check((*state & kind) != 0 && (*state & STATE_PENDING) == 0);
    skip_space(in);
    if (in->ptr == in->end)
        return fail(in, "unexpected end");
    if (*in->ptr == closing) {
        in->ptr++;
        in->depth--;
        value_ends(in);
        return false;
    }
    if ((*state & STATE_EMPTY) == 0) {
        if (*in->ptr != ',')
            return fail(in, kind == STATE_OBJECT ? "expected ',' or '}'"
                : "expected ',' or ']'");
        in->ptr++;
    }
    *state = (uint8_t)((*state & ~STATE_EMPTY) | STATE_PENDING);
    return true;
}

bool
json_next_item(struct json_in *in)
{
    return next_member(in, STATE_ARRAY, ']');
}

/* --- strings --- */

static int
hex4(const char *ptr)
{
    int v = 0;

    for (int i = 0; i < 4; i++) {
        char c = ptr[i];

        if (c >= '0' && c <= '9')
            c = (char)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            c = (char)((c | 0x20) - 'a' + 10);
        else
            return -1;
        v = v << 4 | c;
    }
    return v;
}

/* Length of the escape at ptr, which is a backslash; 0 if it is wrong. */
static unsigned
escape_len(const char *ptr, const char *end)
{
    int unit;

    if (end - ptr < 2)
        return 0;
    if (ptr[1] != 'u')
        return ptr[1] != '\0' && strchr("\"\\/bfnrt", ptr[1]) != NULL ? 2 : 0;
    if (end - ptr < 6)
        return 0;
    unit = hex4(ptr + 2);
    if (unit < 0xd800 || unit > 0xdfff)
        return unit >= 0 ? 6 : 0;

    /* The first half of a pair, and the second right behind it. */
    if (unit > 0xdbff || end - ptr < 12 || ptr[6] != '\\' || ptr[7] != 'u')
        return 0;
    unit = hex4(ptr + 8);
    return unit >= 0xdc00 && unit <= 0xdfff ? 12 : 0;
}

/*
 * The next byte at or behind ptr that may need a look: '"', '\\', below 0x20
 * or above 0x7f.
 */
static const char *
find_special(const char *ptr, const char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = UINT64_C(0x8080808080808080);

    while (end - ptr >= 8) {
        uint64_t word, quote, backslash, odd;

        memcpy(&word, ptr, sizeof(word));
        quote = word ^ ones * '"';
        backslash = word ^ ones * '\\';
        odd = (word | (word - ones * 0x20) | (quote - ones)
            | (backslash - ones)) & tops;
        if (odd != 0) {
            /* A borrow only spoils bytes behind the first special one. */
            return ptr + __builtin_ctzll(odd) / 8;
        }
        ptr += 8;
    }
    while (ptr < end && *ptr != '"' && *ptr != '\\'
        && (unsigned char)*ptr >= 0x20 && (unsigned char)*ptr < 0x80)
        ptr++;
    return ptr;
}

/* Text as UTF-8 behind dst; returns the new end. */
static char *
put_utf8(char *dst, uint32_t c)
{
    if (c < 0x80) {
        *dst++ = (char)c;
        return dst;
    }
    if (c < 0x800) {
        *dst++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *dst++ = (char)(0xe0 | c >> 12);
        } else {
            *dst++ = (char)(0xf0 | c >> 18);
            *dst++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *dst++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *dst++ = (char)(0x80 | (c & 0x3f));
    return dst;
}

static char *
put_escape(char *dst, const char *ptr)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    uint32_t unit;

    if (ptr[1] != 'u') {
        *dst++ = values[strchr(names, ptr[1]) - names];
        return dst;
    }
    unit = (uint32_t)hex4(ptr + 2);
    if (unit >= 0xd800 && unit <= 0xdbff)
        unit = 0x10000 + ((unit - 0xd800) << 10)
            + ((uint32_t)hex4(ptr + 8) - 0xdc00);
    return put_utf8(dst, unit);
}

/* raw is valid; the result is never longer. */
static bool
decode_string(struct json_in *in, struct sv raw, struct sv *out)
{
    const char *ptr = raw.ptr, *end = ptr + raw.len;
    char *start = in->pool != NULL ? pool_alloc(in->pool, raw.len) : NULL;
    char *dst = start;

    if (start == NULL)
        return fail_at(in, raw.ptr, ERR_LIMIT, "out of memory for a string");
    while (ptr < end) {
        const char *escape = memchr(ptr, '\\', (size_t)(end - ptr));
        size_t plain = (size_t)((escape != NULL ? escape : end) - ptr);

        memcpy(dst, ptr, plain);
        dst += plain;
        ptr += plain;
        if (escape == NULL)
            break;
        dst = put_escape(dst, ptr);
        ptr += escape_len(ptr, end);
    }
    *out = sv_make(start, (size_t)(dst - start));
    return true;
}

/*
 * Reads the string at the reading position.  out NULL: checks it only.
 */
static bool
take_string(struct json_in *in, struct sv *out)
{
    const char *start = in->ptr + 1, *ptr = start, *end = in->end;
    bool has_escape = false;

    for (;;) {
        unsigned len;

        ptr = find_special(ptr, end);
        if (ptr == end)
            return fail_at(in, in->ptr, ERR_INVALID, "string without an end");
        if (*ptr == '"')
            break;
        if (*ptr == '\\') {
            has_escape = true;
            len = escape_len(ptr, end);
            if (len == 0)
                return fail_at(in, ptr, ERR_INVALID, "wrong escape");
        } else if ((unsigned char)*ptr < 0x20) {
            return fail_at(in, ptr, ERR_INVALID,
                "control character in a string");
        } else {
            len = sv_utf8_len(ptr, end);
            if (len == 0)
                return fail_at(in, ptr, ERR_INVALID, "invalid UTF-8");
        }
        ptr += len;
    }
    in->ptr = ptr + 1;
    if (out == NULL)
        return true;
    *out = sv_make(start, (size_t)(ptr - start));
    return !has_escape || decode_string(in, *out, out);
}

/* The key and colon of a member; key NULL: checks it only. */
static bool
next_key(struct json_in *in, struct sv *key)
{
    if (!next_member(in, STATE_OBJECT, '}'))
        return false;
    skip_space(in);
    if (in->ptr == in->end || *in->ptr != '"')
        return fail(in, "expected a key");
    if (!take_string(in, key))
        return false;
    skip_space(in);
    if (in->ptr == in->end || *in->ptr != ':')
        return fail(in, "expected ':'");
    in->ptr++;
    return true;
}

bool
json_next_key(struct json_in *in, struct sv *key)
{
    return next_key(in, key);
}

static bool
read_string(struct json_in *in, struct sv *out)
{
    if (!value_begins(in, '"', "expected a string")
        || !take_string(in, out))
        return false;
    value_ends(in);
    return true;
}

bool
json_read_string(struct json_in *in, struct sv *out)
{
    return read_string(in, out);
}

/* --- numbers and words --- */

static const char *
skip_digits(const char *ptr, const char *end)
{
    while (ptr < end && *ptr >= '0' && *ptr <= '9')
        ptr++;
    return ptr;
}

/* End of the number at ptr, or NULL if there is none. */
static const char *
number_end(const char *ptr, const char *end)
{
    const char *digits;

    if (ptr < end && *ptr == '-')
        ptr++;
    digits = ptr;
    ptr = skip_digits(ptr, end);
    if (ptr == digits || (*digits == '0' && ptr - digits > 1))
        return NULL;
    if (ptr < end && *ptr == '.') {
        digits = ++ptr;
        ptr = skip_digits(ptr, end);
        if (ptr == digits)
            return NULL;
    }
    if (ptr < end && (*ptr == 'e' || *ptr == 'E')) {
        ptr++;
        if (ptr < end && (*ptr == '+' || *ptr == '-'))
            ptr++;
        digits = ptr;
        ptr = skip_digits(ptr, end);
        if (ptr == digits)
            return NULL;
    }
    return ptr;
}

bool
json_read_number(struct json_in *in, struct sv *raw_text)
{
    enum json_type type = json_peek(in);
    const char *end;

    if (type == JSON_ERROR)
        return false;
    if (type != JSON_NUMBER)
        return fail(in, "expected a number");
    end = number_end(in->ptr, in->end);
    if (end == NULL)
        return fail(in, "wrong number");
    *raw_text = sv_make(in->ptr, (size_t)(end - in->ptr));
    in->ptr = end;
    value_ends(in);
    return true;
}

static bool
read_word(struct json_in *in, struct sv word)
{
    if (!sv_starts_with(sv_make(in->ptr, (size_t)(in->end - in->ptr)), word))
        return fail(in, "unexpected word");
    in->ptr += word.len;
    value_ends(in);
    return true;
}

bool
json_read_bool(struct json_in *in, bool *out)
{
    enum json_type type = json_peek(in);

    if (type == JSON_ERROR)
        return false;
    if (type != JSON_TRUE && type != JSON_FALSE)
        return fail(in, "expected true or false");
    *out = type == JSON_TRUE;
    return read_word(in, *out ? SV("true") : SV("false"));
}

bool
json_read_null(struct json_in *in)
{
    return value_begins(in, 'n', "expected null")
        && read_word(in, SV("null"));
}

/* Consumes a value that is no container, or enters one. */
static bool
skip_step(struct json_in *in)
{
    struct sv unused_text;
    bool unused;

    switch (json_peek(in)) {
    case JSON_OBJECT:
        return enter(in, STATE_OBJECT);
    case JSON_ARRAY:
        return enter(in, STATE_ARRAY);
    case JSON_STRING:
        return read_string(in, NULL);
    case JSON_NUMBER:
        return json_read_number(in, &unused_text);
    case JSON_TRUE:
    case JSON_FALSE:
        return json_read_bool(in, &unused);
    case JSON_NULL:
        return json_read_null(in);
    case JSON_END:
    case JSON_ERROR:
        break;
    }
    return fail(in, "expected a value");
}

bool
json_skip(struct json_in *in)
{
    unsigned depth = in->depth;

    check(in->failed || (in->state[depth] & STATE_PENDING) != 0);
    do {
        if (!skip_step(in))
            return false;
        /* Leave what has ended, up to a container with one more value. */
        while (in->depth > depth) {
            bool more = (in->state[in->depth] & STATE_OBJECT) != 0
                ? next_key(in, NULL) : json_next_item(in);

            if (more)
                break;
            if (in->failed)
                return false;
        }
    } while (in->depth > depth);
    return true;
}
