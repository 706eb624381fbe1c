/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/compress.h"

#include <zlib.h>
#include <zstd.h>

#include "tap.h"

#define PLAIN_MAX (12 * MIB)

static struct sb plain, packed, out;
static struct err err;

/* Text with some order and some noise, as traces have. */
static void
make_plain(size_t len)
{
    uint64_t seed = 88172645463325252u;

    sb_reset(&plain);
    while (plain.len < len) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        sb_addf(&plain, "span %llx service checkout ",
            (unsigned long long)(seed & 0xfffff));
    }
    plain.len = len;
    plain.ptr[len] = '\0';
}

static bool
is_plain(void)
{
    return sv_eq(sb_sv(&out), sb_sv(&plain));
}

static void
pack(enum encoding encoding)
{
    sb_reset(&packed);
    if (compress_append(encoding, sb_sv(&plain), 3, &packed, &err) != 0)
        fail("compress: %s", err.text);
}

static int
unpack(enum encoding encoding, size_t bytes_max)
{
    err_reset(&err);
    return decompress(encoding, sb_sv(&packed), bytes_max, &out, &err);
}

static void
test_round_trips(void)
{
    static const size_t lens[] = {
        0, 1, 100, 16384, 65536, 300001, 4194304, 4194305, 11 * MIB,
    };

    for (unsigned e = 0; e < ENCODING_COUNT; e++) {
        const char *name = encoding_name((enum encoding)e);

        for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
            make_plain(lens[i]);
            pack((enum encoding)e);
            ok(unpack((enum encoding)e, PLAIN_MAX) == 0 && is_plain(),
                "%s of %zu bytes %s", name, lens[i], err.text);
            ok(unpack((enum encoding)e, lens[i]) == 0 && is_plain(),
                "%s of %zu bytes, exactly allowed %s", name, lens[i],
                err.text);
            if (lens[i] == 0)
                continue;
            ok(unpack((enum encoding)e, lens[i] - 1) != 0
                && err.code == ERR_LIMIT, "%s: %zu bytes are one too many",
                name, lens[i]);
        }
    }
}

/* Whatever is cut off or added, it is noticed. */
static void
test_damage(void)
{
    make_plain(3000);
    for (unsigned e = ENCODING_GZIP; e < ENCODING_COUNT; e++) {
        const char *name = encoding_name((enum encoding)e);
        unsigned missed = 0, wrong_code = 0;
        size_t len;

        pack((enum encoding)e);
        len = packed.len;
        for (size_t cut = 0; cut < len; cut++) {
            packed.len = cut;
            missed += unpack((enum encoding)e, MIB) == 0;
            wrong_code += err.code != ERR_INVALID;
        }
        is_int(missed, 0, "%s: every cut is noticed", name);
        is_int(wrong_code, 0, "%s: as invalid", name);
        packed.len = len;
        sb_add_str(&packed, "x");
        ok(unpack((enum encoding)e, MIB) != 0 && err.code == ERR_INVALID,
            "%s: garbage behind it", name);
    }
    pack(ENCODING_GZIP);
    for (size_t i = 10; i < packed.len; i++) {
        packed.ptr[i] ^= 0x10;
        /* The last byte of deflate has bits that mean nothing. */
        if (unpack(ENCODING_GZIP, MIB) == 0
            && (i != packed.len - 9 || !is_plain()))
            fail("gzip: flipped bit in byte %zu", i);
        packed.ptr[i] ^= 0x10;
    }
    ok(unpack(ENCODING_GZIP, MIB) == 0, "gzip: flipped back");
}

static void
test_several(void)
{
    struct sb first;

    sb_init(&first, PLAIN_MAX);
    make_plain(50000);
    sb_add_sv(&first, sb_sv(&plain));
    pack(ENCODING_GZIP);
    make_plain(70);
    sb_add_sv(&first, sb_sv(&plain));
    ok(compress_append(ENCODING_GZIP, sb_sv(&plain), 9, &packed, &err) == 0,
        "a second member");
    ok(unpack(ENCODING_GZIP, MIB) == 0
        && sv_eq(sb_sv(&out), sb_sv(&first)), "two gzip members");
    ok(unpack(ENCODING_GZIP, first.len - 1) != 0 && err.code == ERR_LIMIT,
        "both count for the maximum");

    make_plain(50000);
    pack(ENCODING_ZSTD);
    /* A skippable frame of three bytes between. */
    sb_add(&packed, "\x50\x2a\x4d\x18\x03\x00\x00\x00xyz", 11);
    make_plain(70);
    ok(compress_append(ENCODING_ZSTD, sb_sv(&plain), 1, &packed, &err) == 0,
        "a second frame");
    ok(unpack(ENCODING_ZSTD, MIB) == 0
        && sv_eq(sb_sv(&out), sb_sv(&first)), "two zstd frames");
    sb_release(&first);
}

static void
test_raw_deflate(void)
{
    z_stream z = {0};
    char *dst;

    make_plain(100000);
    sb_reset(&packed);
    dst = sb_reserve(&packed, 200000);
    deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
    z.next_in = (Bytef *)plain.ptr;
    z.avail_in = (uInt)plain.len;
    z.next_out = (Bytef *)dst;
    z.avail_out = 200000;
    is_int(deflate(&z, Z_FINISH), Z_STREAM_END, "raw deflate made");
    sb_advance(&packed, 200000 - z.avail_out);
    deflateEnd(&z);
    ok(unpack(ENCODING_DEFLATE, MIB) == 0 && is_plain(),
        "raw deflate is accepted");
}

static void
test_bombs(void)
{
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    size_t len;
    char *zeros;

    /* 12 MiB of zeros, 1 MiB allowed: no more memory is taken. */
    sb_reset(&plain);
    zeros = sb_reserve(&plain, 12 * MIB);
    memset(zeros, 0, 12 * MIB);
    sb_advance(&plain, 12 * MIB);
    for (unsigned e = ENCODING_GZIP; e < ENCODING_COUNT; e++) {
        pack((enum encoding)e);
        sb_release(&out);
        ok(unpack((enum encoding)e, MIB) != 0 && err.code == ERR_LIMIT,
            "%s bomb", encoding_name((enum encoding)e));
        ok(out.cap <= MIB, "holds no more than allowed (%zu)", out.cap);
    }
    /* A snappy block that promises 4 GiB in ten bytes. */
    sb_reset(&packed);
    sb_add(&packed, "\xff\xff\xff\xff\x0f" "abcde", 10);
    ok(unpack(ENCODING_SNAPPY, SIZE_MAX) != 0 && err.code == ERR_INVALID,
        "a snappy promise nobody can keep");
    is_int(out.cap <= MIB, 1, "takes no memory");

    /* zstd with a window of 16 MiB and one of 8 MiB. */
    for (int log = 23; log <= 24; log++) {
        char *dst;

        sb_reset(&packed);
        dst = sb_reserve(&packed, MIB);
        ZSTD_CCtx_reset(zstd, ZSTD_reset_session_and_parameters);
        ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, log);
        ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, 0);
        {
            ZSTD_inBuffer in = {plain.ptr, plain.len, 0};
            ZSTD_outBuffer to = {dst, MIB, 0};

            ZSTD_compressStream2(zstd, &to, &in, ZSTD_e_continue);
            ZSTD_compressStream2(zstd, &to, &in, ZSTD_e_end);
            len = to.pos;
        }
        sb_advance(&packed, len);
        if (log == 23)
            ok(unpack(ENCODING_ZSTD, PLAIN_MAX) == 0 && is_plain(),
                "zstd window of 8 MiB %s", err.text);
        else
            ok(unpack(ENCODING_ZSTD, PLAIN_MAX) != 0
                && err.code == ERR_LIMIT, "zstd window of 16 MiB: %s",
                err.text);
    }
    ZSTD_freeCCtx(zstd);
}

#define IDENTIFIER "\xff\x06\x00\x00sNaPpY"

static int
unframe(const char *chunks, size_t len)
{
    sb_reset(&packed);
    sb_add(&packed, IDENTIFIER, 10);
    sb_add(&packed, chunks, len);
    return unpack(ENCODING_SNAPPY, MIB);
}

static void
test_snappy_frames(void)
{
    /* The check value of CRC-32C: that of "123456789". */
    uint32_t crc = UINT32_C(0xe3069283);
    uint32_t masked = (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
    char chunk[64] = {0x01, 13, 0, 0};

    memcpy(chunk + 4, &masked, 4);
    memcpy(chunk + 8, "123456789", 9);
    ok(unframe(chunk, 17) == 0, "a plain chunk: %s", err.text);
    is_sv(sb_sv(&out), "123456789", "its bytes");
    chunk[8] = '0';
    ok(unframe(chunk, 17) != 0 && err.code == ERR_INVALID,
        "a wrong checksum");
    chunk[8] = '1';
    ok(unframe(chunk, 16) != 0 && err.code == ERR_INVALID, "a short chunk");

    /* The same as a block: length 9, a literal of 9 bytes. */
    chunk[0] = 0;
    chunk[1] = 15;
    memcpy(chunk + 8, "\x09\x20" "123456789", 11);
    ok(unframe(chunk, 19) == 0, "a compressed chunk: %s", err.text);
    is_sv(sb_sv(&out), "123456789", "its bytes");

    ok(unframe(NULL, 0) == 0 && out.len == 0, "the identifier alone");
    ok(unframe("\xfe\x02\x00\x00xx\x80\x01\x00\x00y", 11) == 0
        && out.len == 0, "padding and skippable chunks");
    ok(unframe("\x02\x00\x00\x00", 4) != 0 && err.code == ERR_INVALID,
        "a reserved chunk");
    ok(unframe(IDENTIFIER, 10) == 0, "the identifier again");
    ok(unframe("\xff\x06\x00\x00sNaPpX", 10) != 0, "a wrong identifier");
    ok(unframe("\x01\x03\x00\x00" "abc", 7) != 0, "no room for a checksum");
    ok(unframe("\x01\xff", 2) != 0, "half a head");
}

static void
test_names(void)
{
    enum encoding e = ENCODING_COUNT;

    ok(encoding_from_name(SV(" GZip "), &e) && e == ENCODING_GZIP, "GZip");
    ok(encoding_from_name(SV("x-gzip"), &e) && e == ENCODING_GZIP, "x-gzip");
    ok(encoding_from_name(SV_EMPTY, &e) && e == ENCODING_IDENTITY, "empty");
    ok(encoding_from_name(SV("none"), &e) && e == ENCODING_IDENTITY, "none");
    ok(encoding_from_name(SV("zstd"), &e) && e == ENCODING_ZSTD, "zstd");
    ok(encoding_from_name(SV("snappy"), &e) && e == ENCODING_SNAPPY, "snappy");
    ok(encoding_from_name(SV("deflate"), &e) && e == ENCODING_DEFLATE,
        "deflate");
    ok(!encoding_from_name(SV("br"), &e), "br is unknown");
    ok(!encoding_from_name(SV("gzip, gzip"), &e), "so is a list");
    is_str(encoding_name(ENCODING_SNAPPY), "snappy", "name");
}

static void *
in_thread(void *arg)
{
    struct sb mine;
    bool *good = arg;

    sb_init(&mine, PLAIN_MAX);
    *good = decompress(ENCODING_GZIP, sb_sv(&packed), PLAIN_MAX, &mine, NULL)
        == 0 && sv_eq(sb_sv(&mine), sb_sv(&plain));
    sb_release(&mine);
    return NULL;
}

static void
test_threads(void)
{
    pthread_t threads[4];
    bool good[4] = {false};

    make_plain(300000);
    pack(ENCODING_GZIP);
    for (unsigned i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, in_thread, &good[i]);
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        ok(good[i], "thread %u", i);
    }
}

int
main(void)
{
    sb_init(&plain, PLAIN_MAX);
    sb_init(&packed, 2 * PLAIN_MAX);
    sb_init(&out, PLAIN_MAX);
    test_names();
    test_round_trips();
    test_damage();
    test_several();
    test_raw_deflate();
    test_snappy_frames();
    test_bombs();
    test_threads();
    sb_release(&plain);
    sb_release(&packed);
    sb_release(&out);
    return tap_done();
}
