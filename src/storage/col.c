/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Packed columns, reading.  col_open() parses the heads of the mini-blocks
 * and proves that no later access can leave the chunk; the accessors trust
 * that.
 */

#include "core/base.h"

#include "storage/col.h"

#include "core/assert.h"
#include "core/enc.h"
#include "core/kernel.h"

_Static_assert(COL_PAD >= KERNEL_PAD, "kernels read behind chunks");

static inline uint64_t
mask_of(uint32_t width)
{
    return width >= 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
}

/* Field i of a bit string; up to 15 bytes behind the string are read. */
static inline uint64_t
field(const uint8_t *bits, uint32_t i, uint32_t width)
{
    size_t at = (size_t)i * width;
    const uint8_t *ptr = bits + (at >> 3);
    uint32_t shift = at & 7;
    uint64_t v = enc_get64(ptr) >> shift;
    if (width + shift > 64)
        v |= (uint64_t)ptr[8] << (64 - shift);
    return v & mask_of(width);
}

/* --- opening --- */

static const uint8_t *
take_bits(struct enc_reader *r, uint64_t n, uint32_t width)
{
    if (width > 64) {
        r->failed = true;
        return r->ptr;
    }
    const uint8_t *bits = r->ptr;
    (void)enc_read_bytes(r, (size_t)((n * width + 7) / 8));
    return bits;
}

/* Positions must ascend and stay below n. */
static bool
ascends(const uint8_t *bits, uint32_t count, uint32_t n)
{
    int64_t previous = -1;
    for (uint32_t i = 0; i < count; i++) {
        int64_t position = (int64_t)field(bits, i, 10);
        if (position <= previous)
            return false;
        previous = position;
    }
    return previous < (int64_t)n;
}

/* PFOR body of n fields; also DELTA's. */
static bool
open_packing(struct col_mini *mini, struct enc_reader *r, uint32_t n)
{
    mini->width = enc_read8(r);
    mini->width2 = enc_read8(r);
    uint64_t nexc = enc_read_varint(r);
    mini->base = enc_read_varint(r);
    if (r->failed || nexc > n || (nexc > 0 && mini->width > 63))
        return false;
    mini->count2 = (uint16_t)nexc;
    mini->bits = take_bits(r, n, mini->width);
    mini->bits2 = take_bits(r, nexc, 10);
    mini->bits3 = take_bits(r, nexc, mini->width2);
    return !r->failed && ascends(mini->bits2, mini->count2, n);
}

static bool
open_delta(struct col_mini *mini, struct enc_reader *r)
{
    mini->k = enc_read8(r);
    mini->first = enc_read_varint(r);
    mini->marks = take_bits(r, (mini->n - 1u) / COL_MARK, mini->k);
    return !r->failed && open_packing(mini, r, mini->n - 1u);
}

static bool
open_ldict(struct col_mini *mini, struct enc_reader *r)
{
    mini->count2 = (uint16_t)(enc_read8(r) + 1);
    mini->width2 = enc_read8(r);
    mini->base = enc_read_varint(r);
    mini->width = 0;
    while ((1u << mini->width) < mini->count2)
        mini->width++;
    mini->bits2 = take_bits(r, mini->count2, mini->width2);
    mini->bits = take_bits(r, mini->n, mini->width);
    if (r->failed)
        return false;
    for (uint32_t i = 0; i < mini->n; i++)
        if (field(mini->bits, i, mini->width) >= mini->count2)
            return false;
    return true;
}

static bool
open_rle(struct col_mini *mini, struct enc_reader *r)
{
    uint64_t nruns = enc_read_varint(r);
    mini->width2 = enc_read8(r);
    mini->base = enc_read_varint(r);
    if (r->failed || nruns == 0 || nruns > mini->n)
        return false;
    mini->count2 = (uint16_t)nruns;
    mini->bits = take_bits(r, nruns, 10);
    mini->bits2 = take_bits(r, nruns, mini->width2);
    return !r->failed && ascends(mini->bits, mini->count2, mini->n) &&
        field(mini->bits, mini->count2 - 1u, 10) == mini->n - 1u;
}

static bool
open_mini(struct col_mini *mini, struct enc_reader *r, uint32_t n)
{
    uint8_t head = enc_read8(r);
    *mini = (struct col_mini){.n = (uint16_t)n, .encoding = head & 15};
    if (head >> 4 >= COL_SCALES)
        return false;
    mini->scale = col_scale[head >> 4];
    switch (mini->encoding) {
    case COL_CONST:
        mini->base = enc_read_varint(r);
        return !r->failed;
    case COL_FOR:
        mini->width = enc_read8(r);
        mini->base = enc_read_varint(r);
        mini->bits = take_bits(r, n, mini->width);
        return !r->failed;
    case COL_PFOR:
        return open_packing(mini, r, n);
    case COL_DELTA:
        return open_delta(mini, r);
    case COL_LDICT:
        return open_ldict(mini, r);
    case COL_RLE:
        return open_rle(mini, r);
    default:
        return false;
    }
}

int
col_open(struct col *col, const uint8_t *ptr, size_t len, uint32_t n)
{
    check(n > 0 && n <= COL_CHUNK);
    struct enc_reader r = enc_reader_make(ptr, len);
    col->n = n;
    for (uint32_t i = 0; i < n; i += COL_MINI) {
        uint32_t part = MIN(COL_MINI, n - i);
        if (!open_mini(&col->minis[i / COL_MINI], &r, part))
            return -1;
    }
    return r.ptr == r.end ? 0 : -1;
}

/* --- fields --- */

/* Fields [from, from + count) of a mini-block. */
static void
unpack(const struct col_mini *mini, uint32_t from, uint32_t count,
    struct kernel_linear to, uint64_t *out)
{
    uint32_t width = mini->width;
    if (width == 0) {
        for (uint32_t i = 0; i < count; i++)
            out[i] = to.base;
        return;
    }
    for (; count > 0 && (from % 8 != 0 || width > KERNEL_WIDTH_MAX);
        from++, count--)
        *out++ = to.base + to.scale * field(mini->bits, from, width);
    uint32_t eights = count - count % 8;
    /* Not with none: a width that no kernel takes comes here, too. */
    if (eights > 0)
        kernels()->unpack(mini->bits + (size_t)from / 8 * width, eights,
            width, &to, out);
    for (uint32_t i = eights; i < count; i++)
        out[i] = to.base + to.scale * field(mini->bits, from + i, width);
}

/* --- one value --- */

/* Index of the first of the ascending positions that is at or behind i. */
static uint32_t
lower_bound(const uint8_t *bits, uint32_t count, uint32_t i)
{
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (field(bits, middle, 10) < i)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t
get_pfor(const struct col_mini *mini, uint32_t i)
{
    uint64_t v = field(mini->bits, i, mini->width);
    uint32_t exc = lower_bound(mini->bits2, mini->count2, i);
    if (exc < mini->count2 && field(mini->bits2, exc, 10) == i)
        v |= field(mini->bits3, exc, mini->width2) << mini->width;
    return mini->base + v;
}

/* Value of index i, a multiple of COL_MARK. */
static uint64_t
delta_mark(const struct col_mini *mini, uint32_t i)
{
    return i == 0 ? mini->first : field(mini->marks, i / COL_MARK - 1,
        mini->k);
}

static uint64_t
get_delta(const struct col_mini *mini, uint32_t i)
{
    uint32_t from = i - i % COL_MARK;
    uint64_t sum = delta_mark(mini, from) + mini->base * (i - from);
    uint64_t differences[COL_MARK];
    if (mini->width > 0)
        unpack(mini, from, i - from, (struct kernel_linear){0, 1},
            differences);
    for (uint32_t j = from; j < i && mini->width > 0; j++)
        sum += differences[j - from];
    if (mini->count2 > 0) {
        uint32_t exc = lower_bound(mini->bits2, mini->count2, from);
        for (; exc < mini->count2 && field(mini->bits2, exc, 10) < i; exc++)
            sum += field(mini->bits3, exc, mini->width2) << mini->width;
    }
    return sum & mask_of(mini->k);
}

static uint64_t
get_mini(const struct col_mini *mini, uint32_t i)
{
    switch (mini->encoding) {
    case COL_CONST:
        return mini->base;
    case COL_FOR:
        return mini->base + field(mini->bits, i, mini->width);
    case COL_PFOR:
        return get_pfor(mini, i);
    case COL_DELTA:
        return get_delta(mini, i);
    case COL_LDICT:
        return mini->base + field(mini->bits2,
            (uint32_t)field(mini->bits, i, mini->width), mini->width2);
    default:
        return mini->base + field(mini->bits2,
            lower_bound(mini->bits, mini->count2, i), mini->width2);
    }
}

uint64_t
col_get(const struct col *col, uint32_t i)
{
    const struct col_mini *mini = &col->minis[i / COL_MINI];
    return get_mini(mini, i % COL_MINI) * mini->scale;
}

/* --- many values: [from, from + count) of one mini-block --- */

static void
unpack_packing(const struct col_mini *mini, uint32_t from, uint32_t count,
    struct kernel_linear to, uint64_t *out)
{
    unpack(mini, from, count, to, out);
    if (mini->count2 == 0)
        return;
    uint32_t exc = from == 0 ? 0 :
        lower_bound(mini->bits2, mini->count2, from);
    for (; exc < mini->count2; exc++) {
        uint32_t position = (uint32_t)field(mini->bits2, exc, 10);
        if (position >= from + count)
            break;
        out[position - from] += to.scale *
            (field(mini->bits3, exc, mini->width2) << mini->width);
    }
}

/* Differences in out[1..] become the sums behind v, up to the next mark. */
static void
add_up(uint64_t *out, uint32_t count, uint64_t v, uint64_t mask)
{
    out[0] = v & mask;
    for (uint32_t i = 1; i < count; i++) {
        v += out[i];
        out[i] = v & mask;
    }
}

static void
decode_delta(const struct col_mini *mini, uint32_t from, uint32_t count,
    uint64_t *out)
{
    uint64_t mask = mask_of(mini->k);
    unpack_packing(mini, from, count - 1, (struct kernel_linear){mini->base, 1},
        out + 1);
    for (uint32_t i = 0, part; i < count; i += part) {
        uint32_t at = from + i;
        part = MIN(count - i, COL_MARK - at % COL_MARK);
        add_up(out + i, part, i == 0 ? get_delta(mini, at) :
            delta_mark(mini, at), mask);
    }
    for (uint32_t i = 0; i < count && mini->scale != 1; i++)
        out[i] *= mini->scale;
}

static void
decode_ldict(const struct col_mini *mini, uint32_t from, uint32_t count,
    uint64_t *out)
{
    uint64_t entries[256]; /* count2 is a byte + 1 */
    for (uint32_t i = 0; i < mini->count2; i++)
        entries[i] = mini->scale *
            (mini->base + field(mini->bits2, i, mini->width2));
    unpack(mini, from, count, (struct kernel_linear){0, 1}, out);
    for (uint32_t i = 0; i < count; i++)
        out[i] = entries[out[i]];
}

static void
decode_rle(const struct col_mini *mini, uint32_t from, uint32_t count,
    uint64_t *out)
{
    uint32_t run = lower_bound(mini->bits, mini->count2, from);
    uint32_t i = 0;
    while (i < count) {
        uint64_t v = mini->scale *
            (mini->base + field(mini->bits2, run, mini->width2));
        uint32_t end = (uint32_t)field(mini->bits, run, 10) + 1 - from;
        end = MIN(end, count);
        while (i < end)
            out[i++] = v;
        run++;
    }
}

static void
decode_mini(const struct col_mini *mini, uint32_t from, uint32_t count,
    uint64_t *out)
{
    struct kernel_linear to = {mini->base * mini->scale, mini->scale};
    switch (mini->encoding) {
    case COL_CONST:
    case COL_FOR:
        unpack(mini, from, count, to, out);
        break;
    case COL_PFOR:
        unpack_packing(mini, from, count, to, out);
        break;
    case COL_DELTA:
        decode_delta(mini, from, count, out);
        break;
    case COL_LDICT:
        decode_ldict(mini, from, count, out);
        break;
    default:
        decode_rle(mini, from, count, out);
        break;
    }
}

void
col_decode(const struct col *col, uint32_t from, uint32_t count,
    uint64_t *out)
{
    while (count > 0) {
        uint32_t at = from % COL_MINI;
        uint32_t part = MIN(count, COL_MINI - at);
        decode_mini(&col->minis[from / COL_MINI], at, part, out);
        from += part;
        count -= part;
        out += part;
    }
}
