/* SPDX-License-Identifier: BSD-2-Clause */

/* Files read front to end: plain, gzip, zstd; cut and damaged ones. */

#include "core/base.h"
#include "core/unpack.h"

#include "core/assert.h"
#include "core/compress.h"
#include "core/file.h"
#include "store_dir.h"
#include "tap.h"

#define BYTES (3 * MIB)

static char path[128];
static struct sb content;
static struct err err;

/* Text that does not compress to nothing. */
static void
make_content(void)
{
    uint64_t z = 1;

    sb_init(&content, 2 * BYTES);
    while (content.len < BYTES) {
        z = z * UINT64_C(6364136223846793005) + 1442695040888963407;
        sb_addf(&content, "%llx %u\n", (unsigned long long)z,
            (unsigned)(z >> 60));
    }
}

static void
write_file(struct sv bytes)
{
    check(file_replace(path, bytes.ptr, bytes.len, 0600, &err) == 0);
}

/* What reading gives, in steps of so many bytes; false: it failed. */
static bool
read_file(struct sb *out, size_t step)
{
    static char buf[MIB];
    struct unpack *unpack;
    size_t got;

    err_reset(&err);
    sb_reset(out);
    check(unpack_open(&unpack, path, &err) == 0);
    for (;;) {
        if (unpack_read(unpack, buf, step, &got, &err) != 0) {
            unpack_close(unpack);
            return false;
        }
        if (got == 0)
            break;
        sb_add(out, buf, got);
    }
    unpack_close(unpack);
    return true;
}

/* In pieces: members of gzip, frames of zstd. */
static void
encode(enum encoding encoding, unsigned pieces, struct sb *out)
{
    size_t step = content.len / pieces + 1;

    sb_reset(out);
    for (size_t i = 0; i < content.len; i += step) {
        struct sv piece = sv_sub(sb_sv(&content), i, step);

        if (encoding == ENCODING_IDENTITY)
            sb_add_sv(out, piece);
        else
            check(compress_append(encoding, piece, 1, out, &err) == 0);
    }
}

static void
test_encoding(enum encoding encoding)
{
    static const size_t steps[] = {1000, 65536, MIB};
    const char *name = encoding_name(encoding);
    struct sb bytes, out;
    unsigned bad = 0;

    sb_init(&bytes, 2 * BYTES);
    sb_init(&out, 2 * BYTES);
    for (unsigned pieces = 1; pieces <= 7; pieces += 3) {
        encode(encoding, pieces, &bytes);
        write_file(sb_sv(&bytes));
        for (size_t i = 0; i < ARRAY_LEN(steps); i++)
            ok(read_file(&out, steps[i]) && sv_eq(sb_sv(&out),
                sb_sv(&content)), "%s, %u pieces, steps of %zu", name,
                pieces, steps[i]);
    }
    if (encoding == ENCODING_IDENTITY)
        goto out;
    for (size_t cut = 1; cut < 40; cut++) {
        size_t len = cut < 20 ? cut + 4 : bytes.len - cut + 19;

        write_file(sv_sub(sb_sv(&bytes), 0, len));
        bad += len < bytes.len && read_file(&out, MIB);
    }
    is_int(bad, 0, "%s: cut files are noticed", name);
    sb_add_str(&bytes, "something else");
    write_file(sb_sv(&bytes));
    ok(!read_file(&out, MIB) && err.code == ERR_INVALID,
        "%s: rubbish behind it", name);
    ok(sv_eq(sb_sv(&out), sb_sv(&content)), "%s: after all of it", name);
out:
    sb_release(&bytes);
    sb_release(&out);
}

int
main(void)
{
    struct unpack *unpack;
    struct sb out;

    store_dir_make();
    snprintf(path, sizeof(path), "%s/file", store_dir);
    make_content();
    test_encoding(ENCODING_IDENTITY);
    test_encoding(ENCODING_GZIP);
    test_encoding(ENCODING_ZSTD);
    sb_init(&out, MIB);
    write_file(SV_EMPTY);
    ok(read_file(&out, 10) && out.len == 0, "an empty file");
    write_file(SV("\x28\xb5\x2f"));
    ok(read_file(&out, 10) && out.len == 3, "three bytes");
    snprintf(path, sizeof(path), "%s/nothing", store_dir);
    ok(unpack_open(&unpack, path, &err) != 0 && err.code == ERR_NOT_FOUND,
        "no such file");
    sb_release(&out);
    sb_release(&content);
    return tap_done();
}
