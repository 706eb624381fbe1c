/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Any bytes as a compressed body.  The first byte chooses the encoding and
 * the maximum.  The maximum is kept, memory too, and what was decoded
 * survives another round.
 */

#include "core/base.h"

#include "core/assert.h"
#include "core/compress.h"
#include "core/err.h"
#include "core/sb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sb out, packed, again;

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    enum encoding encoding;
    size_t bytes_max;

    if (size == 0)
        return 0;
    encoding = (enum encoding)(data[0] % ENCODING_COUNT);
    bytes_max = (size_t)1 << (data[0] / ENCODING_COUNT % 20);
    sb_init(&out, 4 * MIB);
    sb_init(&packed, 4 * MIB);
    sb_init(&again, 4 * MIB);
    if (decompress(encoding, sv_make(data + 1, size - 1), bytes_max, &out,
        &err) == 0) {
        check(!sb_failed(&out) && out.len <= bytes_max);
        check(compress_append(encoding, sb_sv(&out), 1, &packed, &err) == 0);
        check(decompress(encoding, sb_sv(&packed), bytes_max, &again, &err)
            == 0);
        check(sv_eq(sb_sv(&out), sb_sv(&again)));
    } else {
        check(err.code == ERR_INVALID || err.code == ERR_LIMIT);
        check(err.text[0] != '\0');
    }
    check(out.cap <= MAX(bytes_max, 64));
    sb_release(&out);
    sb_release(&packed);
    sb_release(&again);
    return 0;
}
