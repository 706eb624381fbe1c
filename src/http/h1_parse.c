/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The head of an HTTP/1.x message (RFC 9112, sections 2 to 6):
 *
 *     request-line / status-line CRLF  *( name ":" OWS value OWS CRLF )  CRLF
 *
 * Lines end with CR LF and nothing else.  A line is judged when it is
 * complete, so slicing of the input cannot change the outcome; only limits
 * are judged earlier, at the same byte in every slicing.
 *
 * Refused although some servers take it: bare LF, bare CR, NUL, folded lines,
 * space before the colon, more than one space in the request line, repeated
 * Content-Length (even identical), Transfer-Encoding other than one
 * "chunked", both together, Transfer-Encoding in HTTP/1.0, repeated or
 * malformed Host, targets with spaces, fragments or bytes beyond ASCII.
 */

#include "core/base.h"
#include "http/h1_parse.h"

#include "core/assert.h"

enum {
    STATE_START, /* request line or status line */
    STATE_FIELDS,
    STATE_DONE,
    STATE_ERROR,
};

enum {
    CHAR_TOKEN = 1,  /* tchar */
    CHAR_VALUE = 2,  /* field value */
    CHAR_TARGET = 4, /* request target */
    CHAR_HOST = 8,   /* reg-name, and port */
};

#define T (CHAR_TOKEN | CHAR_VALUE | CHAR_TARGET)
#define H (CHAR_HOST)
#define V (CHAR_VALUE | CHAR_TARGET)

/* clang-format off */
static const uint8_t char_class[256] = {
    ['\t'] = CHAR_VALUE, [' '] = CHAR_VALUE,
    ['!'] = T | H, ['"'] = V, ['#'] = CHAR_VALUE | CHAR_TOKEN, ['$'] = T | H,
    ['%'] = T | H, ['&'] = T | H, ['\''] = T | H, ['('] = V | H,
    [')'] = V | H, ['*'] = T | H, ['+'] = T | H, [','] = V | H,
    ['-'] = T | H, ['.'] = T | H, ['/'] = V, ['0' ... '9'] = T | H,
    [':'] = V, [';'] = V | H, ['<'] = V, ['='] = V | H, ['>'] = V,
    ['?'] = V, ['@'] = V, ['A' ... 'Z'] = T | H, ['['] = V, ['\\'] = V,
    [']'] = V, ['^'] = T, ['_'] = T | H, ['`'] = T, ['a' ... 'z'] = T | H,
    ['{'] = V, ['|'] = T, ['}'] = V, ['~'] = T | H,
    [0x80 ... 0xff] = CHAR_VALUE,
};
/* clang-format on */

#undef T
#undef H
#undef V

static bool
all_of(struct sv text, unsigned classes)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!(char_class[(uint8_t)text.ptr[i]] & classes))
            return false;
    }
    return true;
}

bool
h1_is_token(struct sv text)
{
    return text.len > 0 && all_of(text, CHAR_TOKEN);
}

bool
h1_is_target(struct sv text)
{
    return all_of(text, CHAR_TARGET);
}

bool
h1_is_field_value(struct sv text)
{
    return all_of(text, CHAR_VALUE);
}

void
h1_head_init(struct h1_head *head, bool is_response)
{
    memset(head, 0, offsetof(struct h1_head, fields));
    head->is_response = is_response;
}

static enum h1_result
head_fail(struct h1_head *head, int status, const char *error)
{
    head->state = STATE_ERROR;
    head->error_status = status;
    head->error = error;
    return H1_ERROR;
}

static struct h1_span
span_of(struct sv text, const char *buf)
{
    return (struct h1_span){(uint16_t)(text.ptr - buf), (uint16_t)text.len};
}

/* "HTTP/1.0" or "HTTP/1.1"; other digits are a version we do not speak. */
static enum h1_result
parse_version(struct h1_head *head, struct sv text)
{
    if (text.len != 8 || memcmp(text.ptr, "HTTP/", 5) != 0 ||
        text.ptr[5] < '0' || text.ptr[5] > '9' || text.ptr[6] != '.' ||
        text.ptr[7] < '0' || text.ptr[7] > '9')
        return head_fail(head, 400, "malformed HTTP version");
    if (text.ptr[5] != '1' || text.ptr[7] > '1')
        return head_fail(head, 505, "only HTTP/1.0 and HTTP/1.1 are spoken");
    head->minor = (uint8_t)(text.ptr[7] - '0');
    return H1_MORE;
}

/* uri-host [ ":" port ], without user information; may be empty. */
static bool
host_is_valid(struct sv host)
{
    size_t i = 0;

    if (host.len > 0 && host.ptr[0] == '[') {
        for (i = 1; i < host.len && host.ptr[i] != ']'; i++) {
            if (host.ptr[i] != ':' &&
                !(char_class[(uint8_t)host.ptr[i]] & CHAR_HOST))
                return false;
        }
        if (i == host.len || i == 1)
            return false;
        i++;
    } else {
        while (i < host.len &&
            (char_class[(uint8_t)host.ptr[i]] & CHAR_HOST))
            i++;
    }
    if (i == host.len)
        return true;
    if (host.ptr[i] != ':' || i == 0)
        return false;
    for (i++; i < host.len; i++) {
        if (host.ptr[i] < '0' || host.ptr[i] > '9')
            return false;
    }
    return true;
}

/* Bytes of "http://" or "https://" at the start, else 0. */
static size_t
scheme_len(struct sv target)
{
    if (target.len >= 7 &&
        sv_eq_nocase(sv_sub(target, 0, 7), SV("http://")))
        return 7;
    if (target.len >= 8 &&
        sv_eq_nocase(sv_sub(target, 0, 8), SV("https://")))
        return 8;
    return 0;
}

static enum h1_result
parse_target(struct h1_head *head, struct sv target, char *buf)
{
    struct sv rest = target;
    struct sv method = h1_span_sv(head->method, buf);
    size_t n;

    head->target = span_of(target, buf);
    if (!all_of(target, CHAR_TARGET))
        return head_fail(head, 400, "illegal byte in the request target");
    if (sv_eq(target, SV("*")) && sv_eq(method, SV("OPTIONS"))) {
        head->path = head->target;
        return H1_MORE;
    }
    if (sv_eq(method, SV("CONNECT")))
        return head_fail(head, 400, "this is not a proxy");
    n = scheme_len(target);
    if (n > 0) {
        struct sv host = sv_sub(target, n, target.len);

        host.len = MIN(sv_find_byte(host, '/'), sv_find_byte(host, '?'));
        if (host.len == 0 || !host_is_valid(host))
            return head_fail(head, 400, "malformed host in the target");
        rest = sv_sub(target, n + host.len, target.len);
    } else if (target.ptr[0] != '/') {
        return head_fail(head, 400, "the request target is not a path");
    }
    n = sv_find_byte(rest, '?');
    head->path = span_of(sv_sub(rest, 0, n), buf);
    if (n < rest.len)
        head->query = span_of(sv_sub(rest, n + 1, rest.len), buf);
    return H1_MORE;
}

/* method SP request-target SP HTTP-version */
static enum h1_result
parse_request_line(struct h1_head *head, struct sv line, char *buf)
{
    size_t space = sv_find_byte(line, ' ');
    struct sv method = sv_sub(line, 0, space);
    struct sv rest = sv_sub(line, space + 1, line.len);

    if (!h1_is_token(method))
        return head_fail(head, 400, "malformed method");
    head->method = span_of(method, buf);
    space = sv_find_byte(rest, ' ');
    if (space == rest.len || space == 0)
        return head_fail(head, 400, "malformed request line");
    if (parse_version(head, sv_sub(rest, space + 1, rest.len)) == H1_ERROR)
        return H1_ERROR;
    return parse_target(head, sv_sub(rest, 0, space), buf);
}

/* HTTP-version SP 3DIGIT [ SP reason ] */
static enum h1_result
parse_status_line(struct h1_head *head, struct sv line)
{
    const char *digits = line.ptr + 9;

    if (line.len < 12 || line.ptr[8] != ' ' ||
        (line.len > 12 && line.ptr[12] != ' ') || !h1_is_field_value(line))
        return head_fail(head, 400, "malformed status line");
    if (parse_version(head, sv_sub(line, 0, 8)) == H1_ERROR)
        return H1_ERROR;
    for (int i = 0; i < 3; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return head_fail(head, 400, "malformed status line");
        head->status = head->status * 10 + (digits[i] - '0');
    }
    if (head->status < 100)
        return head_fail(head, 400, "malformed status line");
    return H1_MORE;
}

static enum h1_result
field_host(struct h1_head *head, struct sv value)
{
    if (head->has_host)
        return head_fail(head, 400, "more than one Host field");
    if (!host_is_valid(value))
        return head_fail(head, 400, "malformed Host field");
    head->has_host = true;
    return H1_MORE;
}

static enum h1_result
field_length(struct h1_head *head, struct sv value)
{
    uint64_t n = 0;

    if (head->has_length)
        return head_fail(head, 400, "more than one Content-Length field");
    if (value.len == 0)
        return head_fail(head, 400, "malformed Content-Length field");
    for (size_t i = 0; i < value.len; i++) {
        unsigned digit = (unsigned)((uint8_t)value.ptr[i]) - '0';

        if (digit > 9)
            return head_fail(head, 400, "malformed Content-Length field");
        n = n > (H1_LENGTH_HUGE - 9) / 10 ? H1_LENGTH_HUGE : n * 10 + digit;
    }
    head->has_length = true;
    head->length = n;
    return H1_MORE;
}

static enum h1_result
field_encoding(struct h1_head *head, struct sv value)
{
    struct sv rest = value, part = SV_EMPTY;
    unsigned parts = 0;

    if (head->has_encoding)
        return head_fail(head, 400, "more than one Transfer-Encoding field");
    head->has_encoding = true;
    if (value.len == 0 || value.ptr[value.len - 1] == ',')
        return head_fail(head, 400, "malformed Transfer-Encoding field");
    while (sv_split(&rest, ',', &part)) {
        if (head->is_chunked)
            return head_fail(head, 400, "chunked is not the last coding");
        part = sv_trim(part);
        if (!h1_is_token(part))
            return head_fail(head, 400, "malformed Transfer-Encoding field");
        head->is_chunked = sv_eq_nocase(part, SV("chunked"));
        parts++;
    }
    if (!head->is_chunked)
        return head_fail(head, 400, "chunked is not the last coding");
    if (parts > 1)
        return head_fail(head, 501, "chunked is the only transfer coding");
    return H1_MORE;
}

static enum h1_result
field_connection(struct h1_head *head, struct sv value)
{
    struct sv rest = value, part;

    while (sv_split(&rest, ',', &part)) {
        part = sv_trim(part);
        if (sv_eq_nocase(part, SV("close")))
            head->wants_close = true;
        else if (sv_eq_nocase(part, SV("keep-alive")))
            head->wants_keep_alive = true;
    }
    return H1_MORE;
}

static enum h1_result
field_expect(struct h1_head *head, struct sv value)
{
    if (head->is_response || head->minor == 0)
        return H1_MORE;
    if (!sv_eq_nocase(value, SV("100-continue")))
        return head_fail(head, 417, "unknown expectation");
    head->wants_continue = true;
    return H1_MORE;
}

typedef enum h1_result (*field_fn)(struct h1_head *head, struct sv value);

static const struct {
    struct sv name;
    field_fn fn;
} known_fields[] = {
    {{"host", 4}, field_host},
    {{"expect", 6}, field_expect},
    {{"connection", 10}, field_connection},
    {{"content-length", 14}, field_length},
    {{"transfer-encoding", 17}, field_encoding},
};

/* name ":" OWS value OWS */
static enum h1_result
parse_field(struct h1_head *head, struct sv line, char *buf)
{
    size_t colon = sv_find_byte(line, ':');
    struct sv name = sv_sub(line, 0, colon);
    struct sv value = sv_trim(sv_sub(line, colon + 1, line.len));
    struct h1_field *field;

    if (head->nfields == HTTP_HEADERS_MAX)
        return head_fail(head, 431, "too many header fields");
    if (colon == line.len || !h1_is_token(name))
        return head_fail(head, 400, "malformed header field name");
    if (!h1_is_field_value(value))
        return head_fail(head, 400, "illegal byte in a header field");
    field = &head->fields[head->nfields++];
    field->name = span_of(name, buf);
    field->value = span_of(value, buf);
    for (size_t i = field->name.from; i < field->name.from + name.len; i++) {
        if (buf[i] >= 'A' && buf[i] <= 'Z')
            buf[i] = (char)(buf[i] + ('a' - 'A'));
    }
    for (size_t i = 0; i < ARRAY_LEN(known_fields); i++) {
        if (sv_eq(known_fields[i].name, name))
            return known_fields[i].fn(head, value);
    }
    return H1_MORE;
}

/* What can be judged only when all fields are known. */
static enum h1_result
head_finish(struct h1_head *head)
{
    if (!head->is_response && head->minor == 1 && !head->has_host)
        return head_fail(head, 400, "no Host field");
    if (head->has_encoding && head->has_length)
        return head_fail(head, 400,
            "both Transfer-Encoding and Content-Length");
    if (head->has_encoding && head->minor == 0)
        return head_fail(head, 400, "Transfer-Encoding in HTTP/1.0");
    if (head->minor == 0 && !head->wants_keep_alive)
        head->wants_close = true;
    head->state = STATE_DONE;
    return H1_DONE;
}

static enum h1_result
line_complete(struct h1_head *head, struct sv line, char *buf)
{
    if (head->state == STATE_FIELDS) {
        if (line.len == 0)
            return head_finish(head);
        return parse_field(head, line, buf);
    }
    /* One empty line before a request is tolerated (RFC 9112, 2.2). */
    if (line.len == 0 && !head->is_response && !head->skipped_blank) {
        head->skipped_blank = true;
        return H1_MORE;
    }
    head->state = STATE_FIELDS;
    if (head->is_response)
        return parse_status_line(head, line);
    return parse_request_line(head, line, buf);
}

static enum h1_result
line_too_long(struct h1_head *head)
{
    if (head->state == STATE_START && !head->is_response)
        return head_fail(head, 414, "the request line is too long");
    return head_fail(head, 431, "a header line is too long");
}

/* The line has not ended with the last of len bytes. */
static enum h1_result
line_incomplete(struct h1_head *head, size_t len)
{
    head->scanned = len;
    /* The line's content and its CR may be there without its LF. */
    if (len - head->line > HTTP_LINE_BYTES_MAX + 1)
        return line_too_long(head);
    if (len >= HTTP_HEAD_BYTES_MAX)
        return head_fail(head, 431, "the header fields are too large");
    return H1_MORE;
}

/* Other protocols (TLS, say) are told at once, not by a timeout. */
static bool
starts_badly(const struct h1_head *head, const char *buf, size_t len)
{
    return head->state == STATE_START && len > head->line &&
        buf[head->line] != '\r' &&
        !(char_class[(uint8_t)buf[head->line]] & CHAR_TOKEN);
}

enum h1_result
h1_head_feed(struct h1_head *head, char *buf, size_t len)
{
    enum h1_result result = H1_MORE;

    check(head->scanned <= len && head->state < STATE_DONE);
    while (result == H1_MORE) {
        size_t line = head->line;
        const char *lf = memchr(buf + head->scanned, '\n',
            len - head->scanned);
        size_t end;

        if (starts_badly(head, buf, len))
            return head_fail(head, 400, "malformed first line");
        if (lf == NULL)
            return line_incomplete(head, len);
        end = (size_t)(lf - buf);
        if (end - line > HTTP_LINE_BYTES_MAX + 1)
            return line_too_long(head);
        if (end >= HTTP_HEAD_BYTES_MAX)
            return head_fail(head, 431, "the header fields are too large");
        if (end == line || buf[end - 1] != '\r')
            return head_fail(head, 400, "a line ends without CR LF");
        head->line = head->scanned = end + 1;
        result = line_complete(head, sv_make(buf + line, end - 1 - line),
            buf);
    }
    if (result == H1_DONE)
        head->bytes = head->line;
    return result;
}
