/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Numbers as text: the only place that parses or prints them.
 */

#ifndef SPOOR_CORE_NUM_H
#define SPOOR_CORE_NUM_H

#include "core/base.h"
#include "core/sv.h"

/* The whole view must be a decimal number in range; false otherwise. */
bool num_parse_u64(struct sv text, uint64_t *out);
bool num_parse_i64(struct sv text, int64_t *out);
/* Only what num_print_i64() prints: no "007", no "-0". */
bool num_parse_exact_i64(struct sv text, int64_t *out);
bool num_parse_double(struct sv text, double *out); /* C locale, no hex, finite */

/* "64MiB", "10KB", "1.5GiB", "4096": KB MB GB TB are powers of 1000. */
bool num_parse_size(struct sv text, uint64_t *bytes);

/* A unit that begins like another one stands before it in a table. */
struct num_unit {
    struct sv name;
    uint64_t factor;
};

/*
 * Cuts one number with its unit ("12s", "1.5KB", ".5h") off *text and adds
 * number * factor to *sum; decimals beyond a whole one are cut.  A sum above
 * UINT64_MAX becomes UINT64_MAX.  false: there is no such thing, and *text
 * and *sum are as they were.
 */
bool num_take_unit(struct sv *text, const struct num_unit *units,
    size_t nunits, uint64_t *sum);

/*
 * Shortest decimal that reads back as the same double, without an exponent;
 * integral values without ".0"; "NaN", "+Inf", "-Inf".  dst holds at least
 * NUM_DOUBLE_MAX bytes; returns the length.
 */
#define NUM_DOUBLE_MAX 352
size_t num_print_double(char *dst, double v);

/* Decimal digits at dst (20 bytes at most); returns the length. */
size_t num_print_u64(char *dst, uint64_t v);
size_t num_print_i64(char *dst, int64_t v);

#endif
