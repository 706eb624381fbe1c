/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/enc.h"

#include "tap.h"

static void
test_varints(void)
{
    static const uint64_t values[] = {
        0, 1, 127, 128, 16383, 16384, UINT32_MAX, INT64_MAX,
        UINT64_C(1) << 63, UINT64_MAX,
    };
    uint8_t buf[ENC_VARINT_MAX];

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        size_t len = enc_put_varint(buf, values[i]);
        struct enc_reader r = enc_reader_make(buf, len);
        bool all_fail = true;

        is_int(len, enc_varint_len(values[i]), "length of value %zu", i);
        ok(enc_read_varint(&r) == values[i] && !r.failed && r.ptr == r.end,
            "round trip of value %zu", i);
        for (size_t cut = 0; cut < len; cut++) {
            r = enc_reader_make(buf, cut);
            all_fail = all_fail && enc_read_varint(&r) == 0 && r.failed;
        }
        ok(all_fail, "cut value %zu fails", i);
    }
}

static void
test_wrong_varints(void)
{
    struct enc_reader r = enc_reader_make("\xff\xff\xff\xff\xff\xff\xff\xff"
        "\xff\x02", 10);

    enc_read_varint(&r);
    ok(r.failed, "65 bits");
    r = enc_reader_make("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11);
    enc_read_varint(&r);
    ok(r.failed, "eleven bytes");
    is_int(enc_read8(&r), 0, "nothing is read after a failure");
    r = enc_reader_make("\x80\x80\x00", 3);
    is_int(enc_read_varint(&r), 0, "an overlong zero");
    ok(!r.failed, "is legal in protobuf");
}

static void
test_reader(void)
{
    uint8_t buf[15];
    struct enc_reader r;
    struct sv text;

    buf[0] = 0xab;
    enc_put16(buf + 1, 0x1234);
    enc_put32(buf + 3, 0x12345678);
    enc_put64(buf + 7, UINT64_C(0x123456789abcdef0));
    r = enc_reader_make(buf, sizeof(buf));
    is_int(enc_read8(&r), 0xab, "u8");
    is_int(enc_read16(&r), 0x1234, "u16");
    is_int(enc_read32(&r), 0x12345678, "u32");
    ok(enc_read64(&r) == UINT64_C(0x123456789abcdef0), "u64");
    ok(!r.failed && r.ptr == r.end, "all of it");
    is_int(enc_read8(&r), 0, "beyond the end");
    ok(r.failed, "failed");

    r = enc_reader_make(buf, 7);
    enc_read64(&r);
    ok(r.failed && r.ptr == r.end, "a short integer uses up the rest");
    r = enc_reader_make("\x03" "abcd", 5);
    text = enc_read_sv(&r);
    is_sv(text, "abc", "length and bytes");
    text = enc_read_bytes(&r, 1);
    is_sv(text, "d", "bytes");
    text = enc_read_bytes(&r, 0);
    is_sv(text, "", "no bytes");
    ok(!r.failed, "not failed");
    r = enc_reader_make("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" "a", 11);
    text = enc_read_sv(&r);
    is_sv(text, "", "a length of UINT64_MAX");
    ok(r.failed, "fails");
    r = enc_reader_make(NULL, 0);
    enc_read_varint(&r);
    ok(r.failed, "nothing to read");
}

/* Each byte in each place, among digits. */
static void
test_hex_bytes(void)
{
    uint32_t wrong = 0;

    for (unsigned place = 0; place < 8; place++) {
        for (unsigned c = 0; c < 256; c++) {
            char text[8], again[8];
            uint32_t bytes = 0;
            bool is_digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');

            memcpy(text, "09af1b2e", 8);
            text[place] = (char)c;
            if (enc_hex_bytes(enc_get64(text), &bytes) != is_digit)
                wrong++;
            if (!is_digit)
                continue;
            enc_put64(again, enc_hex_digits(bytes));
            wrong += memcmp(again, text, 8) != 0;
        }
    }
    is_int(wrong, 0, "hex digits to bytes");
}

static void
test_texts(void)
{
    uint8_t out[32];

    for (unsigned len = 0; len < 12; len++) {
        static const uint8_t bytes[] = {0x00, 0x9a, 0xa9, 0xff, 0x0f, 0xf0,
            0x12, 0x34, 0x56, 0x78, 0xbc, 0xde};
        char text[25] = "........................";

        enc_hex(text, bytes, len);
        ok(memcmp(text, "009aa9ff0ff012345678bcde", 2 * (size_t)len) == 0 &&
            text[2 * len] == '.', "%u bytes as hex", len);
    }
    test_hex_bytes();
    ok(enc_unhex(SV("00fFaB"), out, 3) && memcmp(out, "\x00\xff\xab", 3) == 0,
        "hex");
    ok(!enc_unhex(SV("00f"), out, 1), "odd digits");
    ok(!enc_unhex(SV("00ff"), out, 1), "too many digits");
    ok(!enc_unhex(SV("0g"), out, 1), "not a digit");
    ok(!enc_unhex(SV("0@"), out, 1), "a byte that is a digit with 0x20");
    ok(enc_unhex(SV_EMPTY, out, 0), "no digits");

    is_mem(out, (size_t)enc_unbase64(SV("Zm9vYg"), out), "foob", 4,
        "base64 without padding");
    is_mem(out, (size_t)enc_unbase64(SV("_-8="), out), "\xff\xef", 2,
        "the alphabet of URLs");
    is_int(enc_unbase64(SV("Zm9v="), out), -1, "padding out of place");
    is_int(enc_unbase64(SV("Z==="), out), -1, "too much padding");
    is_int(enc_unbase64(SV("Z"), out), -1, "one digit");
    is_int(enc_unbase64(SV("===="), out), -1, "padding only");
    is_int(enc_unbase64(SV("Zm 9"), out), -1, "a space");
    is_int(enc_unbase64(SV_EMPTY, out), 0, "nothing");
}

int
main(void)
{
    static const int64_t values[] = {0, -1, 1, INT64_MAX, INT64_MIN};

    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        is_int(enc_unzigzag(enc_zigzag(values[i])), values[i],
            "zigzag of value %zu", i);
    is_int(enc_zigzag(-1), 1, "zigzag of -1");
    is_int(enc_zigzag(1), 2, "zigzag of 1");
    test_varints();
    test_wrong_varints();
    test_reader();
    test_texts();
    return tap_done();
}
