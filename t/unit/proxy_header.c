/* SPDX-License-Identifier: BSD-2-Clause */

/* Headers of the PROXY protocol, at once and byte by byte. */

#include "core/base.h"

#include "core/crc32c.h"
#include "event/addr.h"
#include "event/proxy_header.h"

#include "tap.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define IP4 "\xcb\x00\x71\x07\x0a\x00\x00\x01\xc8\x22\x01\xbb"
#define IP6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07" \
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\xc8\x22\x01\xbb"

static struct proxy_header header;

/* The client's address, "?" of none, "more", or "error: why". */
static const char *
result_text(enum proxy_header_result result)
{
    static char text[128];

    if (result == PROXY_HEADER_MORE)
        return "more";
    if (result == PROXY_HEADER_DONE)
        addr_print((struct sockaddr *)&header.client, text, sizeof(text));
    else
        snprintf(text, sizeof(text), "error: %s", header.error);
    return text;
}

static enum proxy_header_result
feed(const char *ptr, size_t len, size_t step, size_t *total)
{
    enum proxy_header_result result = PROXY_HEADER_MORE;
    size_t used;

    proxy_header_init(&header);
    *total = 0;
    while (*total < len && result == PROXY_HEADER_MORE) {
        result = proxy_header_feed(&header, ptr + *total,
            MIN(step, len - *total), &used);
        *total += used;
    }
    return result;
}

/* Also with what follows it, of which nothing is taken. */
static void
expect(const char *ptr, size_t len, const char *want, const char *name)
{
    static const char behind[] = "GET / HTTP/1.1\r\n";
    char *copy = malloc(len + sizeof(behind));
    size_t total;

    if (copy == NULL)
        abort();
    memcpy(copy, ptr, len);
    memcpy(copy + len, behind, sizeof(behind));
    is_str(result_text(feed(copy, len, 1, &total)), want,
        "%s: byte by byte", name);
    is_str(result_text(feed(copy, len, len, &total)), want, "%s: at once",
        name);
    if (strcmp(want, "more") != 0 && strncmp(want, "error", 5) != 0) {
        is_int(total, len, "%s: all is taken", name);
        (void)feed(copy, len + sizeof(behind), SIZE_MAX, &total);
        is_int(total, len, "%s: and nothing behind it", name);
    }
    free(copy);
}

#define EXPECT(text, want) expect(text, sizeof(text) - 1, want, #text)

static void
test_lines(void)
{
    const char *wrong = "error: wrong addresses";

    EXPECT("PROXY TCP4 203.0.113.7 10.0.0.1 51234 443\r\n",
        "203.0.113.7:51234");
    EXPECT("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
        "255.255.255.255:65535");
    EXPECT("PROXY TCP4 1.2.3.4 1.2.3.4 0 0\r\n", "1.2.3.4:0");
    EXPECT("PROXY TCP6 2001:DB8::7 ::1 51234 443\r\n", "[2001:db8::7]:51234");
    EXPECT("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
    EXPECT("PROXY UNKNOWN\r\n", "?");
    EXPECT("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "?");
    EXPECT("PROXY UNKNOWN a b c d e f\r\n", "?");
    EXPECT("PROXY TCP4 203.0.113.7 10.0.0.1 51234 443", "more");
    EXPECT("P", "more");

    EXPECT("PROXY TCP4 203.0.113.7 10.0.0.1 51234 443\n",
        "error: a line that does not end in CRLF");
    EXPECT("PROXY \r\n", wrong);
    EXPECT("PROXY TCP4\r\n", wrong);
    EXPECT("PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n", wrong);
    EXPECT("PROXY tcp4 1.2.3.4 1.2.3.4 1 1\r\n", wrong);
    EXPECT("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", wrong);
    EXPECT("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n", wrong);
    EXPECT("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n", wrong);
    EXPECT("PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n", wrong);
    EXPECT("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", wrong);
    EXPECT("PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n", wrong);
    EXPECT("PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n", wrong);
    EXPECT("PROXY TCP4 1.2.3.4 1.2.3.4 -1 1\r\n", wrong);
    EXPECT("PROXY TCP4 1.2.3.04 1.2.3.4 1 1\r\n", wrong);
    EXPECT("PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n", wrong);
    EXPECT("PROXY TCP4 ::1 ::1 1 1\r\n", wrong);
    EXPECT("PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n", wrong);
    EXPECT("PROXY TCP6 ::1%lo ::1 1 1\r\n", wrong);
    EXPECT("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 1\r\n", wrong);
    EXPECT("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\r\n", wrong);
    EXPECT("PROXY\tTCP4 1.2.3.4 1.2.3.4 1 1\r\n",
        "error: something else came first");
    EXPECT("GET / HTTP/1.1\r\n", "error: something else came first");
    EXPECT("PRI * HTTP/2.0\r\n", "error: something else came first");
    EXPECT("\x16\x03\x01", "error: something else came first");
    EXPECT("\0", "error: something else came first");
}

static void
test_line_length(void)
{
    char line[PROXY_HEADER_LINE_MAX + 2];

    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    memcpy(line + PROXY_HEADER_LINE_MAX - 2, "\r\n", 2);
    expect(line, PROXY_HEADER_LINE_MAX, "?", "107 bytes");
    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    memcpy(line + PROXY_HEADER_LINE_MAX - 1, "\r\n", 2);
    expect(line, PROXY_HEADER_LINE_MAX + 1, "error: the line is too long",
        "108 bytes");
}

static void
test_binary(void)
{
    EXPECT(SIGNATURE "\x21\x11\0\x0c" IP4, "203.0.113.7:51234");
    EXPECT(SIGNATURE "\x21\x12\0\x0c" IP4, "203.0.113.7:51234");
    EXPECT(SIGNATURE "\x21\x21\0\x24" IP6, "[2001:db8::7]:51234");
    EXPECT(SIGNATURE "\x20\x00\0\0", "?");
    EXPECT(SIGNATURE "\x20\x11\0\x0c" IP4, "?");
    EXPECT(SIGNATURE "\x20\x11\0\0", "?");
    EXPECT(SIGNATURE "\x21\x00\0\0", "?");
    EXPECT(SIGNATURE "\x21\x00\0\x03\xff\xff\xff", "?");
    EXPECT(SIGNATURE "\x21\x10\0\x0c" IP4, "?");
    EXPECT(SIGNATURE "\x21\x11\0\x13" IP4 "\x01\0\x01h\x02\0\0",
        "203.0.113.7:51234");
    EXPECT(SIGNATURE "\x21\x11\0\x0c", "more");
    EXPECT("\r\n\r\n", "more");

    EXPECT(SIGNATURE "\x11\x11\0\x0c", "error: an unknown version");
    EXPECT(SIGNATURE "\x31\x11\0\x0c", "error: an unknown version");
    EXPECT(SIGNATURE "\x22\x11\0\x0c", "error: an unknown command");
    EXPECT(SIGNATURE "\x21\x41\0\x0c",
        "error: an unknown family or transport");
    EXPECT(SIGNATURE "\x21\x13\0\x0c",
        "error: an unknown family or transport");
    EXPECT(SIGNATURE "\x21\x11\0\x0b",
        "error: the header is too short for its addresses");
    EXPECT(SIGNATURE "\x21\x21\0\x0c",
        "error: the header is too short for its addresses");
    EXPECT(SIGNATURE "\x21\x31\0\xd7",
        "error: the header is too short for its addresses");
    EXPECT(SIGNATURE "\x21\x11\x10\xd9", "error: the header is too long");
    EXPECT(SIGNATURE "\x20\x00\xff\xff", "error: the header is too long");
    EXPECT(SIGNATURE "\x21\x11\0\x0e" IP4 "\x01\0",
        "error: an item is cut off");
    EXPECT(SIGNATURE "\x21\x11\0\x0f" IP4 "\x01\0\x01",
        "error: an item is longer than the header");
    EXPECT("\r\n\r\n\0\r\nQUIT\r", "error: something else came first");
}

static void
test_binary_length(void)
{
    static char bytes[PROXY_HEADER_MAX] = SIGNATURE "\x21\x31\x10\xd8";

    memcpy(bytes + PROXY_HEADER_FIXED, "/tmp/a", 6);
    /* One item over all the rest. */
    memcpy(bytes + PROXY_HEADER_FIXED + PROXY_HEADER_ADDRESSES_MAX,
        "\xee\x0f\xfd", 3);
    expect(bytes, sizeof(bytes), "unix:", "the longest header");
}

static void
test_checksum(void)
{
    char bytes[] = SIGNATURE "\x21\x11\0\x17" IP4
        "\x03\0\x04\0\0\0\0\x04\0\x01n";
    size_t at = PROXY_HEADER_FIXED + 12 + 3;
    uint32_t crc = __builtin_bswap32(crc32c(0, bytes, sizeof(bytes) - 1));

    is_int(crc32c(0, "123456789", 9), 0xe3069283, "CRC-32C");
    is_int(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283,
        "CRC-32C in two steps");
    expect(bytes, sizeof(bytes) - 1, "error: the checksum is wrong",
        "no checksum");
    memcpy(bytes + at, &crc, sizeof(crc));
    expect(bytes, sizeof(bytes) - 1, "203.0.113.7:51234", "checksum");
    for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
        size_t total;

        if (i == at - 3)
            continue; /* another type: no checksum any more */
        bytes[i] ^= 4;
        if (feed(bytes, sizeof(bytes) - 1, SIZE_MAX, &total) ==
            PROXY_HEADER_DONE)
            fail("a flipped bit at %zu is not found", i);
        bytes[i] ^= 4;
    }
    EXPECT(SIGNATURE "\x21\x11\0\x12" IP4 "\x03\0\x03\0\0\0",
        "error: the checksum is wrong");
}

int
main(void)
{
    test_lines();
    test_line_length();
    test_binary();
    test_binary_length();
    test_checksum();
    return tap_done();
}
