/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Heads of HTTP/1.x messages: what RFC 9112 allows, what it forbids, what
 * has been used to smuggle requests, and limits; each fed at once, byte by
 * byte and in random slices.
 */

#include "core/base.h"

#include "core/mem.h"
#include "core/sb.h"
#include "http/h1_parse.h"

#include "tap.h"

struct sample {
    const char *text;
    size_t len;
    int status; /* 0: accepted; -1: incomplete */
    const char *name;
};

#define S(text, status, name) {text, sizeof(text) - 1, status, name}
#define HOST "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST
#define POST "POST / HTTP/1.1\r\n" HOST
#define END "\r\n"

/* clang-format off */
static const struct sample samples[] = {
    /* --- accepted --- */
    S(GET END, 0, "least request"),
    S("\r\n" GET END, 0, "one empty line before"),
    S("GET / HTTP/1.0\r\n\r\n", 0, "1.0 without Host"),
    S("GET /a?b=c&d HTTP/1.1\r\n" HOST END, 0, "query"),
    S("GET /%2f%00 HTTP/1.1\r\n" HOST END, 0, "escapes are not our matter"),
    S("GET /?q={a=\"b\"}|c HTTP/1.1\r\n" HOST END, 0, "unwise bytes in a query"),
    S("GET http://a/b?c HTTP/1.1\r\n" HOST END, 0, "absolute form"),
    S("GET HTTPS://a:1/b HTTP/1.1\r\n" HOST END, 0, "absolute form, https"),
    S("GET http://a HTTP/1.1\r\n" HOST END, 0, "absolute form, no path"),
    S("GET http://a?b HTTP/1.1\r\n" HOST END, 0, "absolute form, only query"),
    S("GET http://[::1]:80/ HTTP/1.1\r\n" HOST END, 0, "absolute form, IPv6"),
    S("OPTIONS * HTTP/1.1\r\n" HOST END, 0, "asterisk form"),
    S("FOO / HTTP/1.1\r\n" HOST END, 0, "unknown method"),
    S("get / HTTP/1.1\r\n" HOST END, 0, "methods are case-sensitive tokens"),
    S("M!#$%&'*+-.^_`|~9 / HTTP/1.1\r\n" HOST END, 0, "all bytes of a token"),
    S("GET / HTTP/1.1\r\nhOsT: a\r\n" END, 0, "names in any case"),
    S("GET / HTTP/1.1\r\nHost:a\r\n" END, 0, "no space behind the colon"),
    S("GET / HTTP/1.1\r\nHost: \t a \t \r\n" END, 0, "space around a value"),
    S("GET / HTTP/1.1\r\nHost:\r\n" END, 0, "empty Host"),
    S("GET / HTTP/1.1\r\nHost: a:80\r\n" END, 0, "Host with a port"),
    S("GET / HTTP/1.1\r\nHost: [::1]:80\r\n" END, 0, "Host, IPv6"),
    S(GET "X:\r\n" END, 0, "empty value"),
    S(GET "X: \x80\xff\r\n" END, 0, "obs-text in a value"),
    S(GET "X: a:b: c\r\n" END, 0, "colons in a value"),
    S(GET "X: 1\r\nX: 2\r\n" END, 0, "repeated field"),
    S(GET "Connection: close, keep-alive, x\r\n" END, 0, "Connection list"),
    S(POST "Content-Length: 0\r\n" END, 0, "length 0"),
    S(POST "Content-Length: 000012\r\n" END, 0, "length with zeros"),
    S(POST "Content-Length: 18446744073709551616\r\n" END, 0, "length 2^64"),
    S(POST "Content-Length: 99999999999999999999999\r\n" END, 0, "long length"),
    S(POST "Transfer-Encoding: chunked\r\n" END, 0, "chunked"),
    S(POST "Transfer-Encoding: CHUNKED\r\n" END, 0, "CHUNKED"),
    S(POST "Expect: 100-continue\r\n" END, 0, "Expect"),
    S(POST "Expect: 100-CONTINUE\r\n" END, 0, "Expect in capitals"),
    S("POST / HTTP/1.0\r\nExpect: whatever\r\n" END, 0, "Expect in 1.0"),
    S(GET "TE: trailers\r\n" END, 0, "TE"),
    S(GET "Content_Length: 7\r\n" END, 0, "another name with _"),

    /* --- incomplete --- */
    S("", -1, "nothing"),
    S("G", -1, "one byte"),
    S("GET / HTTP/1.1\r\n", -1, "only the request line"),
    S(GET, -1, "no empty line"),
    S(GET "\r", -1, "half an empty line"),

    /* --- request line --- */
    S("\r\n\r\n" GET END, 400, "two empty lines before"),
    S("\n" GET END, 400, "LF before"),
    S(" GET / HTTP/1.1\r\n" HOST END, 400, "space before the method"),
    S("\tGET / HTTP/1.1\r\n" HOST END, 400, "tab before the method"),
    S("GET  / HTTP/1.1\r\n" HOST END, 400, "two spaces before the target"),
    S("GET /  HTTP/1.1\r\n" HOST END, 400, "two spaces before the version"),
    S("GET / HTTP/1.1 \r\n" HOST END, 400, "space behind the version"),
    S("GET\t/ HTTP/1.1\r\n" HOST END, 400, "tab for a space"),
    S("GET /\tHTTP/1.1\r\n" HOST END, 400, "tab before the version"),
    S("GET /a b HTTP/1.1\r\n" HOST END, 400, "space in the target"),
    S("GET /\vHTTP/1.1\r\n" HOST END, 400, "VT"),
    S("GET /\x0c HTTP/1.1\r\n" HOST END, 400, "FF in the target"),
    S("GET /\r HTTP/1.1\r\n" HOST END, 400, "CR in the target"),
    S("GET /\0 HTTP/1.1\r\n" HOST END, 400, "NUL in the target"),
    S("GET /\x7f HTTP/1.1\r\n" HOST END, 400, "DEL in the target"),
    S("GET /\xc3\xa9 HTTP/1.1\r\n" HOST END, 400, "UTF-8 in the target"),
    S("GET /\xa0 HTTP/1.1\r\n" HOST END, 400, "no-break space in the target"),
    S("GET /#a HTTP/1.1\r\n" HOST END, 400, "fragment"),
    S("GET /\r\n" HOST END, 400, "HTTP/0.9"),
    S("GET\r\n" HOST END, 400, "only a method"),
    S("GET \r\n" HOST END, 400, "empty target, no version"),
    S("GET  HTTP/1.1\r\n" HOST END, 400, "empty target"),
    S("/ HTTP/1.1\r\n" HOST END, 400, "no method"),
    S("G=T / HTTP/1.1\r\n" HOST END, 400, "illegal byte in the method"),
    S("G\0T / HTTP/1.1\r\n" HOST END, 400, "NUL in the method"),
    S("(GET) / HTTP/1.1\r\n" HOST END, 400, "brackets around the method"),
    S("\x16\x03\x01\x02\x00\x01", 400, "TLS"),
    S("\x80\x2e\x01", 400, "SSL 2"),
    S("GET a HTTP/1.1\r\n" HOST END, 400, "target without a slash"),
    S("GET a:80 HTTP/1.1\r\n" HOST END, 400, "authority form"),
    S("CONNECT a:80 HTTP/1.1\r\n" HOST END, 400, "CONNECT"),
    S("CONNECT / HTTP/1.1\r\n" HOST END, 400, "CONNECT with a path"),
    S("GET * HTTP/1.1\r\n" HOST END, 400, "asterisk with GET"),
    S("OPTIONS ** HTTP/1.1\r\n" HOST END, 400, "two asterisks"),
    S("GET ftp://a/ HTTP/1.1\r\n" HOST END, 400, "another scheme"),
    S("GET http:///b HTTP/1.1\r\n" HOST END, 400, "absolute form without host"),
    S("GET http://u@a/b HTTP/1.1\r\n" HOST END, 400, "user information"),
    S("GET http://a:b/ HTTP/1.1\r\n" HOST END, 400, "port that is no number"),
    S("GET http://[::1/ HTTP/1.1\r\n" HOST END, 400, "open bracket"),
    S("GET http://a\\b/ HTTP/1.1\r\n" HOST END, 400, "backslash in the host"),
    S("GET ?a HTTP/1.1\r\n" HOST END, 400, "only a query"),

    /* --- versions --- */
    S("GET / HTTP/2.0\r\n" HOST END, 505, "2.0"),
    S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "preface of HTTP/2"),
    S("GET / HTTP/1.2\r\n" HOST END, 505, "1.2"),
    S("GET / HTTP/0.9\r\n" HOST END, 505, "0.9"),
    S("GET / HTTP/9.9\r\n" HOST END, 505, "9.9"),
    S("GET / HTTP/1.10\r\n" HOST END, 400, "1.10"),
    S("GET / HTTP/11\r\n" HOST END, 400, "11"),
    S("GET / HTTP/1.\r\n" HOST END, 400, "1."),
    S("GET / HTTP/1,1\r\n" HOST END, 400, "1,1"),
    S("GET / HTTP/01.1\r\n" HOST END, 400, "01.1"),
    S("GET / HTTP/+1.1\r\n" HOST END, 400, "+1.1"),
    S("GET / http/1.1\r\n" HOST END, 400, "small letters"),
    S("GET / HTTPS/1.1\r\n" HOST END, 400, "HTTPS"),
    S("GET / XTTP/1.1\r\n" HOST END, 400, "XTTP"),
    S("GET / HTTP/1.1x\r\n" HOST END, 400, "byte behind the version"),
    S("GET / HTTP/1.1\0\r\n" HOST END, 400, "NUL behind the version"),
    S("GET / HTTP /1.1\r\n" HOST END, 400, "space in the version"),

    /* --- line ends --- */
    S("GET / HTTP/1.1\n" HOST END, 400, "bare LF behind the request line"),
    S("GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "bare LF behind a field"),
    S(GET "\n", 400, "bare LF as the empty line"),
    S("GET / HTTP/1.1\r\r\n" HOST END, 400, "CR CR LF"),
    S("GET / HTTP/1.1\r" HOST END, 400, "bare CR behind the request line"),
    S(GET "X: a\rY: b\r\n" END, 400, "bare CR in a value"),
    S(GET "X: a\r\r\n" END, 400, "CR CR LF behind a field"),
    S(GET "X: a\r\r\nTransfer-Encoding: chunked\r\n" END, 400, "CR CR LF, TE"),
    S(GET "\rX: a\r\n" END, 400, "CR before a name"),
    S(GET "X: a\nTransfer-Encoding: chunked\r\n" END, 400, "LF hides a field"),
    S("GET / HTTP/1.1\n\n", 400, "only LF"),

    /* --- fields --- */
    S(GET "X : a\r\n" END, 400, "space before the colon"),
    S(GET "X\t: a\r\n" END, 400, "tab before the colon"),
    S(POST "Content-Length : 5\r\n" END, 400, "space before the colon, CL"),
    S(POST "Transfer-Encoding : chunked\r\n" END, 400, "the same, TE"),
    S(POST "Transfer-Encoding\v: chunked\r\n" END, 400, "VT before the colon"),
    S(POST "Transfer-Encoding\0: chunked\r\n" END, 400, "NUL before the colon"),
    S(GET " X: a\r\n" END, 400, "folded line"),
    S(GET "X: a\r\n b\r\n" END, 400, "obs-fold with a space"),
    S(GET "X: a\r\n\tb\r\n" END, 400, "obs-fold with a tab"),
    S(GET "X: a\r\n \r\n" END, 400, "obs-fold that is empty"),
    S("GET / HTTP/1.1\r\n Host: a\r\n" END, 400, "first field is folded"),
    S(POST "Transfer-Encoding:\r\n chunked\r\n" END, 400, "folded TE"),
    S(GET "X\r\n" END, 400, "no colon"),
    S(GET ": a\r\n" END, 400, "empty name"),
    S(GET ":\r\n" END, 400, "only a colon"),
    S(GET "X(: a\r\n" END, 400, "bracket in a name"),
    S(GET "X@Y: a\r\n" END, 400, "@ in a name"),
    S(GET "X\x80: a\r\n" END, 400, "byte beyond ASCII in a name"),
    S(GET "\"X\": a\r\n" END, 400, "quotes in a name"),
    S(GET "X Y: a\r\n" END, 400, "space in a name"),
    S(GET "X: \0\r\n" END, 400, "NUL in a value"),
    S(GET "X: a\x01" "b\r\n" END, 400, "control in a value"),
    S(GET "X: a\x7f\r\n" END, 400, "DEL in a value"),
    S(GET "X: a\x1b[0m\r\n" END, 400, "ESC in a value"),
    S(GET "X: \v\r\n" END, 400, "VT in a value"),

    /* --- Host --- */
    S("GET / HTTP/1.1\r\n" END, 400, "no Host"),
    S(GET HOST END, 400, "Host twice"),
    S(GET "Host: b\r\n" END, 400, "two different Hosts"),
    S("GET / HTTP/1.0\r\n" HOST HOST END, 400, "Host twice in 1.0"),
    S("GET http://a/ HTTP/1.1\r\n" END, 400, "absolute form, no Host"),
    S("GET / HTTP/1.1\r\nHost: a b\r\n" END, 400, "space in Host"),
    S("GET / HTTP/1.1\r\nHost: a/b\r\n" END, 400, "slash in Host"),
    S("GET / HTTP/1.1\r\nHost: u@a\r\n" END, 400, "@ in Host"),
    S("GET / HTTP/1.1\r\nHost: a:b\r\n" END, 400, "port of Host"),
    S("GET / HTTP/1.1\r\nHost: a:1:2\r\n" END, 400, "two ports"),
    S("GET / HTTP/1.1\r\nHost: :80\r\n" END, 400, "only a port"),
    S("GET / HTTP/1.1\r\nHost: [::1\r\n" END, 400, "open bracket in Host"),
    S("GET / HTTP/1.1\r\nHost: []\r\n" END, 400, "empty brackets in Host"),
    S("GET / HTTP/1.1\r\nHost: a?b\r\n" END, 400, "? in Host"),
    S("GET / HTTP/1.1\r\nHost: a#b\r\n" END, 400, "# in Host"),
    S("GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n" END, 400, "UTF-8 in Host"),

    /* --- Content-Length --- */
    S(POST "Content-Length:\r\n" END, 400, "empty length"),
    S(POST "Content-Length: +5\r\n" END, 400, "length with +"),
    S(POST "Content-Length: -5\r\n" END, 400, "length with -"),
    S(POST "Content-Length: -0\r\n" END, 400, "length -0"),
    S(POST "Content-Length: 0x5\r\n" END, 400, "hexadecimal length"),
    S(POST "Content-Length: 5.0\r\n" END, 400, "fraction"),
    S(POST "Content-Length: 5 5\r\n" END, 400, "two numbers"),
    S(POST "Content-Length: 5,5\r\n" END, 400, "list of equal lengths"),
    S(POST "Content-Length: 5, 6\r\n" END, 400, "list of lengths"),
    S(POST "Content-Length: 5;\r\n" END, 400, "length with a parameter"),
    S(POST "Content-Length: \"5\"\r\n" END, 400, "quoted length"),
    S(POST "Content-Length: 1_0\r\n" END, 400, "underscore"),
    S(POST "Content-Length: 1e1\r\n" END, 400, "exponent"),
    S(POST "Content-Length: five\r\n" END, 400, "word"),
    S(POST "Content-Length: \xd9\xa5\r\n" END, 400, "digit beyond ASCII"),
    S(POST "Content-Length: 5\r\nContent-Length: 5\r\n" END, 400, "twice"),
    S(POST "Content-Length: 5\r\nContent-Length: 6\r\n" END, 400, "two"),
    S(POST "content-length: 5\r\nCONTENT-LENGTH: 6\r\n" END, 400, "two, cases"),

    /* --- Transfer-Encoding --- */
    S(POST "Transfer-Encoding:\r\n" END, 400, "empty coding"),
    S(POST "Transfer-Encoding: gzip\r\n" END, 400, "not chunked"),
    S(POST "Transfer-Encoding: identity\r\n" END, 400, "identity"),
    S(POST "Transfer-Encoding: xchunked\r\n" END, 400, "xchunked"),
    S(POST "Transfer-Encoding: chunkedx\r\n" END, 400, "chunkedx"),
    S(POST "Transfer-Encoding: chunk\r\n" END, 400, "chunk"),
    S(POST "Transfer-Encoding: \"chunked\"\r\n" END, 400, "quoted"),
    S(POST "Transfer-Encoding: chunked;a=b\r\n" END, 400, "parameter"),
    S(POST "Transfer-Encoding: chunked,\r\n" END, 400, "comma behind"),
    S(POST "Transfer-Encoding: ,chunked\r\n" END, 400, "comma before"),
    S(POST "Transfer-Encoding: chunked, chunked\r\n" END, 400, "two of it"),
    S(POST "Transfer-Encoding: chunked, identity\r\n" END, 400, "not last"),
    S(POST "Transfer-Encoding: chunked gzip\r\n" END, 400, "no comma"),
    S(POST "Transfer-Encoding: \vchunked\r\n" END, 400, "VT before"),
    S(POST "Transfer-Encoding: chunked\0\r\n" END, 400, "NUL behind"),
    S(POST "Transfer-Encoding: \xa0" "chunked\r\n" END, 400, "no-break space"),
    S(POST "Transfer-Encoding: gzip, chunked\r\n" END, 501, "gzip, chunked"),
    S(POST "Transfer-Encoding: x, chunked\r\n" END, 501, "unknown, chunked"),
    S(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END,
        400, "two fields"),
    S(POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n" END,
        400, "a list in two fields"),
    S(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n" END,
        400, "second field hides the first"),
    S("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" END, 400, "in 1.0"),

    /* --- both --- */
    S(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END, 400,
        "CL.TE"),
    S(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n" END, 400,
        "TE.CL"),
    S(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n" END, 400,
        "TE.CL with 0"),
    S("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
      "Content-Length: 5\r\n" END, 400, "both with GET"),
    S(POST "Content-Length: 5\r\nTransfer-Encoding: x\r\n" END, 400,
        "CL and an unknown coding"),

    /* --- Expect --- */
    S(POST "Expect: 100-continue, x\r\n" END, 417, "more expectations"),
    S(POST "Expect: nothing\r\n" END, 417, "unknown expectation"),
    S(POST "Expect:\r\n" END, 417, "empty expectation"),
};
/* clang-format on */

/* Feeds at the given cuts (0: one byte at a time), into a moving buffer. */
static int
feed(const char *text, size_t len, size_t slice, struct h1_head *head)
{
    char *buf = NULL;
    size_t n = 0;
    int status = -1;

    h1_head_init(head, false);
    while (n < len || len == 0) {
        size_t step = slice == 0 ? 1
            : slice == SIZE_MAX  ? len
                                 : 1 + (size_t)rand() % slice;
        char *next;
        enum h1_result result;

        step = MIN(step, len - n);
        next = xmalloc(n + step + 1);
        if (buf != NULL)
            memcpy(next, buf, n);
        memcpy(next + n, text + n, step);
        xfree(buf);
        buf = next;
        n += step;
        result = h1_head_feed(head, buf, n);
        if (result == H1_DONE)
            status = 0;
        else if (result == H1_ERROR)
            status = head->error_status;
        if (result != H1_MORE || len == 0)
            break;
    }
    xfree(buf);
    return status;
}

static bool
same_in_slices(const char *text, size_t len, int status)
{
    static struct h1_head whole, sliced;

    if (feed(text, len, SIZE_MAX, &whole) != status)
        return false;
    for (int i = 0; i < 12; i++) {
        int got = feed(text, len, i == 0 ? 0 : (size_t)i * i, &sliced);

        if (got != status)
            return false;
        if (got == 0 && (whole.bytes != sliced.bytes ||
                whole.nfields != sliced.nfields ||
                whole.length != sliced.length ||
                whole.is_chunked != sliced.is_chunked ||
                memcmp(whole.fields, sliced.fields,
                    whole.nfields * sizeof(whole.fields[0])) != 0))
            return false;
    }
    return true;
}

static void
test_samples(void)
{
    static struct h1_head head;

    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *s = &samples[i];

        is_int(feed(s->text, s->len, SIZE_MAX, &head), s->status, "%s",
            s->name);
        ok(same_in_slices(s->text, s->len, s->status), "%s, sliced",
            s->name);
    }
}

/* Every single byte at places where few are allowed. */
static void
test_byte_sweep(void)
{
    static struct h1_head head;
    static const char token_extra[] = "!#$%&'*+-.^_`|~";
    int wrong = 0;

    for (int c = 0; c < 256; c++) {
        char text[128];
        bool is_token = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
            (c >= 'A' && c <= 'Z') || (c != 0 && strchr(token_extra, c));
        bool is_value = c == '\t' || (c >= ' ' && c != 0x7f);
        bool is_target = c > ' ' && c < 0x7f && c != '#';
        size_t n;

        n = (size_t)snprintf(text, sizeof(text), GET "X@Y: a\r\n\r\n");
        *strchr(text, '@') = (char)c;
        if (c != ':' && (feed(text, n, 0, &head) == 0) != is_token)
            wrong++, diag("byte %d in a name", c);
        n = (size_t)snprintf(text, sizeof(text), GET "X: a@b\r\n\r\n");
        *strchr(text, '@') = (char)c;
        if ((feed(text, n, 0, &head) == 0) != is_value)
            wrong++, diag("byte %d in a value", c);
        n = (size_t)snprintf(text, sizeof(text),
            "GET /a@b HTTP/1.1\r\n" HOST "\r\n");
        *strchr(text, '@') = (char)c;
        if ((feed(text, n, 0, &head) == 0) != is_target)
            wrong++, diag("byte %d in a target", c);
    }
    is_int(wrong, 0, "every byte in names, values and targets");
}

static void
fill(struct sb *sb, const char *before, size_t n, const char *after)
{
    sb_reset(sb);
    sb_add_str(sb, before);
    while (n-- > 0)
        sb_add_char(sb, 'a');
    sb_add_str(sb, after);
}

static void
check_limit(struct sb *sb, int status, const char *name)
{
    static struct h1_head head;

    is_int(feed(sb->ptr, sb->len, SIZE_MAX, &head), status, "%s", name);
    is_int(feed(sb->ptr, sb->len, 0, &head), status, "%s, by bytes", name);
    is_int(feed(sb->ptr, sb->len, 97, &head), status, "%s, sliced", name);
}

static void
test_line_limits(void)
{
    const size_t target = HTTP_LINE_BYTES_MAX - strlen("GET / HTTP/1.1");
    const size_t value = HTTP_LINE_BYTES_MAX - strlen("X: ");
    struct sb sb;

    sb_init(&sb, 1 * MIB);
    fill(&sb, "GET /", target - 1, " HTTP/1.1\r\n" HOST END);
    check_limit(&sb, 0, "request line of the limit - 1");
    fill(&sb, "GET /", target, " HTTP/1.1\r\n" HOST END);
    check_limit(&sb, 0, "request line of the limit");
    fill(&sb, "GET /", target + 1, " HTTP/1.1\r\n" HOST END);
    check_limit(&sb, 414, "request line of the limit + 1");
    fill(&sb, "GET /", target + 2, " HTTP/1.1\n" HOST END);
    check_limit(&sb, 414, "too long, bare LF");
    fill(&sb, "GET /", 100000, "");
    check_limit(&sb, 414, "endless request line");
    fill(&sb, "", 100000, "");
    check_limit(&sb, 414, "endless method");
    fill(&sb, GET "X: ", value - 1, "\r\n" END);
    check_limit(&sb, 0, "field of the limit - 1");
    fill(&sb, GET "X: ", value, "\r\n" END);
    check_limit(&sb, 0, "field of the limit");
    fill(&sb, GET "X: ", value + 1, "\r\n" END);
    check_limit(&sb, 431, "field of the limit + 1");
    fill(&sb, GET, 100000, "");
    check_limit(&sb, 431, "endless field name");
    sb_release(&sb);
}

static void
test_head_limits(void)
{
    struct sb sb;
    size_t left;

    sb_init(&sb, 1 * MIB);
    for (int over = -1; over <= 1; over++) {
        sb_reset(&sb);
        sb_add_str(&sb, GET);
        for (int i = 0; i < HTTP_HEADERS_MAX - 1 + over; i++)
            sb_addf(&sb, "X-%d: a\r\n", i);
        sb_add_str(&sb, END);
        check_limit(&sb, over > 0 ? 431 : 0, over < 0 ? "99 fields"
                : over == 0 ? "100 fields" : "101 fields");
    }
    for (int over = -1; over <= 1; over++) {
        sb_reset(&sb);
        sb_add_str(&sb, GET);
        while (HTTP_HEAD_BYTES_MAX - sb.len > 4096) {
            size_t line = sb.len + 1002;

            sb_add_str(&sb, "X: ");
            while (sb.len < line)
                sb_add_char(&sb, 'b');
            sb_add_str(&sb, "\r\n");
        }
        sb_add_str(&sb, "Y: ");
        left = HTTP_HEAD_BYTES_MAX - sb.len - 4;
        for (size_t i = 0; i < (size_t)((ssize_t)left + over); i++)
            sb_add_char(&sb, 'c');
        sb_add_str(&sb, "\r\n" END);
        is_int(sb.len, (ssize_t)HTTP_HEAD_BYTES_MAX + over, "size of a head");
        check_limit(&sb, over > 0 ? 431 : 0, "head at its limit");
    }
    sb_release(&sb);
}

static void
test_views(void)
{
    static struct h1_head head;
    char text[] = "\r\nPOST http://h:1//a%2Fb?x=1?y HTTP/1.1\r\n"
                  "HOST: h\r\nX-Y:  v w \t\r\nConnection: Keep-Alive, CLOSE"
                  "\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\nbody";
    size_t len = sizeof(text) - 1;

    h1_head_init(&head, false);
    is_int(h1_head_feed(&head, text, len), H1_DONE, "a request of all");
    is_int(head.bytes, len - 4, "bytes of the head");
    is_sv(h1_span_sv(head.method, text), "POST", "method");
    is_sv(h1_span_sv(head.target, text), "http://h:1//a%2Fb?x=1?y", "target");
    is_sv(h1_span_sv(head.path, text), "//a%2Fb", "path");
    is_sv(h1_span_sv(head.query, text), "x=1?y", "query");
    is_int(head.nfields, 5, "number of fields");
    is_sv(h1_span_sv(head.fields[0].name, text), "host", "name, lower case");
    is_sv(h1_span_sv(head.fields[1].value, text), "v w", "value, trimmed");
    is_int(head.length, 12, "length");
    ok(head.wants_close && head.wants_continue && !head.is_chunked, "flags");
    is_int(head.minor, 1, "version");
}

static void
test_keep_alive(void)
{
    static const struct {
        const char *text;
        bool closes;
    } cases[] = {
        {GET "\r\n", false},
        {GET "Connection: close\r\n\r\n", true},
        {GET "Connection: x, Close\r\n\r\n", true},
        {GET "Connection: x\r\nConnection: close\r\n\r\n", true},
        {GET "Connection: closed\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", true},
    };
    static struct h1_head head;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        feed(cases[i].text, strlen(cases[i].text), SIZE_MAX, &head);
        is_int(head.wants_close, cases[i].closes, "closes, %zu", i);
    }
}

static void
test_responses(void)
{
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", 200},
        {"HTTP/1.1 204\r\nX: y\r\n\r\n", 204},
        {"HTTP/1.0 503 \r\n\r\n", 503},
        {"HTTP/1.1 100 Continue\r\n\r\n", 100},
        {"HTTP/1.1 2000 OK\r\n\r\n", -1},
        {"HTTP/1.1 20x OK\r\n\r\n", -1},
        {"HTTP/1.1 099 OK\r\n\r\n", -1},
        {"HTTP/2.0 200 OK\r\n\r\n", -1},
        {"HTTP/1.1  200 OK\r\n\r\n", -1},
        {"\r\nHTTP/1.1 200 OK\r\n\r\n", -1},
        {"SSH-2.0-x\r\n\r\n", -1},
    };
    static struct h1_head head;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[64];
        enum h1_result result;

        snprintf(text, sizeof(text), "%s", cases[i].text);
        h1_head_init(&head, true);
        result = h1_head_feed(&head, text, strlen(text));
        is_int(result == H1_DONE ? head.status : -1, cases[i].status,
            "response %zu", i);
    }
}

/* Mutations of the samples: any slicing gives the same outcome. */
static void
test_random(void)
{
    static struct h1_head head;
    int differ = 0;

    srand(20261121);
    for (int round = 0; round < 3000; round++) {
        const struct sample *s = &samples[(size_t)rand() %
            ARRAY_LEN(samples)];
        char text[256];
        size_t len = MIN(s->len, sizeof(text));

        memcpy(text, s->text, len);
        for (int i = rand() % 3; i > 0 && len > 0; i--)
            text[(size_t)rand() % len] =
                "\r\n\t :,/*\0\x7f\x80" "aZ9;="[rand() % 16];
        if (!same_in_slices(text, len, feed(text, len, SIZE_MAX, &head)))
            differ++;
    }
    is_int(differ, 0, "mutated heads, sliced");
}

int
main(void)
{
    test_samples();
    test_byte_sweep();
    test_line_limits();
    test_head_limits();
    test_views();
    test_keep_alive();
    test_responses();
    test_random();
    return tap_done();
}
