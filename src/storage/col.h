/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Packed columns: a chunk of at most COL_CHUNK unsigned 64-bit values as a
 * sequence of mini-blocks of COL_MINI values (the last may be shorter), each
 * with the encoding that is smallest for it.  A chunk is
 *
 *   mini-block*            no gap; the number follows from the value count
 *
 * and a mini-block of n values is one head byte, a body by encoding, and bit
 * strings.  A bit string holds w-bit fields, least significant bit first,
 * padded with zero bits to a whole byte.  head = encoding | scale << 4; the
 * stored numbers times col_scale[scale] (mod 2^64) are the values.
 *
 *   0 CONST  varint value
 *   1 FOR    u8 w, varint base, bits(n, w): base + field
 *   2 PFOR   u8 w, u8 h, varint nexc, varint base, bits(n, w),
 *            bits(nexc, 10) positions ascending, bits(nexc, h) high parts:
 *            base + field + (high << w at its position)
 *   3 DELTA  u8 k, varint first, bits((n - 1) / COL_MARK, k) the values
 *            COL_MARK, 2 * COL_MARK ..., then a PFOR body of the n - 1
 *            differences: value = (previous + difference) mod 2^k, where
 *            value i * COL_MARK is the mark
 *   4 LDICT  u8 count - 1, u8 w, varint base, bits(count, w),
 *            bits(n, bits needed for count - 1): base + entry
 *   6 RLE    varint nruns, u8 w, varint base, bits(nruns, 10) index of the
 *            last value of each run ascending, bits(nruns, w): base + field
 *
 * (5, 7 and up are encodings of other levels and of part_format.h.)  w, h and
 * k are at most 64.  DELTA gives one value by adding up at most COL_MARK - 1
 * differences, the others without looking at neighbours.
 *
 * Reading: col_open() checks every bound once; after that col_get() and
 * col_decode() cannot fail.
 */

#ifndef SPOOR_STORAGE_COL_H
#define SPOOR_STORAGE_COL_H

#include "core/base.h"

#define COL_MINI 1024u  /* positions fit in 10 bits */
#define COL_CHUNK 8192u /* what one checksum covers, part_format.h */
#define COL_MARK 128u
#define COL_MINIS (COL_CHUNK / COL_MINI)
/* No chunk is larger: 64 bits a value and a head per mini-block. */
#define COL_CHUNK_BYTES_MAX (COL_CHUNK * 8 + COL_MINIS * 96)
/* Readable (not meaningful) bytes that must follow a chunk in memory. */
#define COL_PAD 16u
/* Distinct values of an LDICT: more than this rarely beats PFOR. */
#define COL_LDICT_MAX 64u

enum col_encoding {
    COL_CONST = 0,
    COL_FOR = 1,
    COL_PFOR = 2,
    COL_DELTA = 3,
    COL_LDICT = 4,
    COL_RLE = 6,
};

#define COL_SCALES 8u
extern const uint64_t col_scale[COL_SCALES];

/* What is worth trying on a column; all encodings are always readable. */
#define COL_TRY_DELTA 1u /* values ascend or are numbered as they appear */
#define COL_TRY_SCALE 2u /* times: common factors */
#define COL_TRY_LDICT 4u /* few distinct numbers far apart */

/*
 * Encodes n values (1..COL_CHUNK) at dst, which holds COL_CHUNK_BYTES_MAX + 8
 * bytes.  Returns the length.
 */
size_t col_encode(uint8_t *dst, const uint64_t *values, uint32_t n,
    unsigned hints);

struct col_mini {
    const uint8_t *bits;   /* fields; RLE: last indices */
    const uint8_t *bits2;  /* PFOR, DELTA: positions; LDICT, RLE: entries */
    const uint8_t *bits3;  /* PFOR, DELTA: high parts */
    const uint8_t *marks;  /* DELTA */
    uint64_t base;
    uint64_t first;        /* DELTA */
    uint64_t scale;
    uint16_t count2;       /* exceptions, entries or runs */
    uint16_t n;
    uint8_t encoding;
    uint8_t width;
    uint8_t width2;        /* h; LDICT, RLE: of entries */
    uint8_t k;             /* DELTA */
};

struct col {
    uint32_t n;
    struct col_mini minis[]; /* ceil(n / COL_MINI) */
};

/* Memory for the view of a chunk of n values. */
static inline size_t
col_bytes(uint32_t n)
{
    return sizeof(struct col) +
        (n + COL_MINI - 1) / COL_MINI * sizeof(struct col_mini);
}

/*
 * Makes *col (col_bytes(n) of memory, n at most COL_CHUNK) a view of a chunk
 * of exactly n values in ptr[0, len), followed by COL_PAD readable bytes; the
 * bytes stay borrowed.  Returns -1 when they are not such a chunk.
 */
int col_open(struct col *col, const uint8_t *ptr, size_t len, uint32_t n)
    WARN_UNUSED;

/* i < n; from + count <= n. */
uint64_t col_get(const struct col *col, uint32_t i);
void col_decode(const struct col *col, uint32_t from, uint32_t count,
    uint64_t *out);

#endif
