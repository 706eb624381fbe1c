/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/sb.h"

#include "core/enc.h"
#include "core/mem.h"
#include "tap.h"

static void
test_append(void)
{
    struct sb sb;
    uint8_t bytes[] = {0x00, 0x7f, 0xff};
    char *text;
    size_t len;

    sb_init(&sb, 1000);
    is_str(sb.ptr, "", "empty at first");
    sb_add(&sb, "", 0);
    sb_add_str(&sb, "ab");
    sb_add_char(&sb, 'c');
    sb_add_u64(&sb, UINT64_MAX);
    sb_add_char(&sb, ' ');
    sb_add_i64(&sb, INT64_MIN);
    sb_add_char(&sb, ' ');
    sb_add_hex(&sb, bytes, 3);
    sb_addf(&sb, " %d-%s", 5, "x");
    sb_add_sv(&sb, SV("!"));
    is_str(sb.ptr, "abc18446744073709551615 -9223372036854775808 007fff 5-x!",
        "all kinds");
    is_int(sb.len, strlen(sb.ptr), "length");
    ok(!sb_failed(&sb), "not failed");
    sb_reset(&sb);
    is_str(sb.ptr, "", "empty again");
    for (unsigned i = 0; i < 300; i++)
        sb_addf(&sb, "%u", i % 10);
    is_int(sb.len, 300, "grows under formats");
    text = sb_detach(&sb, &len);
    is_int(len, 300, "detached length");
    is_int(strlen(text), 300, "detached text");
    xfree(text);
    is_int(sb.len, 0, "empty after that");
    sb_add_str(&sb, "again");
    is_str(sb.ptr, "again", "and usable");
    sb_release(&sb);
    sb_release(&sb);
    text = sb_detach(&sb, NULL);
    is_str(text, "", "detaching nothing");
    xfree(text);
    sb = (struct sb){0};
    sb_add(&sb, "", 0);
    sb_release(&sb);
}

static void
test_limits(void)
{
    struct sb sb;

    sb_init(&sb, 10);
    sb_add_str(&sb, "0123456789");
    ok(!sb_failed(&sb), "exactly full");
    sb_add_char(&sb, 'x');
    ok(sb_failed(&sb), "one too many");
    is_str(sb.ptr, "0123456789", "keeps what it has");
    sb_reset(&sb);
    sb_add_str(&sb, "12345678901");
    ok(sb_failed(&sb), "too long at once");
    is_str(sb.ptr, "", "nothing of it is kept");
    sb_add_char(&sb, 'x');
    is_str(sb.ptr, "", "later ones are ignored");
    ok(sb_reserve(&sb, 1) == NULL, "so is a reservation");
    sb_reset(&sb);
    sb_addf(&sb, "%s", "12345678901");
    ok(sb_failed(&sb), "a format that is too long");
    is_str(sb.ptr, "", "leaves nothing");
    sb_reset(&sb);
    sb_addf(&sb, "%s", "1234567890");
    is_str(sb.ptr, "1234567890", "a format that just fits");
    sb_release(&sb);

    sb_init(&sb, SIZE_MAX);
    sb_add_str(&sb, "x");
    mem_fail_at(1);
    sb_add(&sb, "0123456789012345678901234567890123456789"
        "0123456789012345678901234567890123456789", 80);
    ok(sb_failed(&sb), "memory refused");
    is_str(sb.ptr, "x", "what was there stays");
    ok(sb_reserve(&sb, SIZE_MAX) == NULL, "an impossible reservation");
    sb_reset(&sb);
    memcpy(sb_reserve(&sb, 3), "abc", 3);
    sb_advance(&sb, 2);
    is_str(sb.ptr, "ab", "reserve and advance");
    sb_release(&sb);
}

static void
test_base64(void)
{
    static const char *const encoded[] = {
        "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy",
    };
    uint8_t decoded[64];
    struct sb sb;

    sb_init(&sb, 1000);
    for (size_t i = 0; i < ARRAY_LEN(encoded); i++) {
        sb_reset(&sb);
        sb_add_base64(&sb, (const uint8_t *)"foobar", i);
        is_str(sb.ptr, encoded[i], "base64 of %zu bytes", i);
        is_mem(decoded, (size_t)enc_unbase64(sb_sv(&sb), decoded), "foobar",
            i, "and back");
    }
    sb_release(&sb);
}

int
main(void)
{
    test_append();
    test_limits();
    test_base64();
    return tap_done();
}
