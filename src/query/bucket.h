/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Buckets of "stats by (field:step offset o)": reference 7.1.
 *
 * What the parser gives in struct stats_by:
 *   BUCKET_STEP   step as a number (durations and sizes: ns and bytes);
 *                 step_ns the same when it is a whole number, else 0; the
 *                 same for offset and offset_ns.  step 0: no bucket.
 *   BUCKET_IPV4   step_ns is the mask of "/N": 0xffffff00 for "/24".
 *   others        only offset and offset_ns.
 */

#ifndef SPOOR_QUERY_BUCKET_H
#define SPOOR_QUERY_BUCKET_H

#include "core/base.h"
#include "core/sv.h"
#include "query/ast.h"

/* Every value is a bucket of its own. */
bool bucket_is_none(const struct stats_by *by);

/*
 * The start of the bucket of a whole number, or of a time in ns: a whole
 * number, too, as fractions of step and offset do not count.
 */
int64_t bucket_int(const struct stats_by *by, int64_t v);
int64_t bucket_time(const struct stats_by *by, int64_t ns);

/* The same: how wide each bucket is; 0: months, years, less than 1. */
int64_t bucket_width(const struct stats_by *by);

/* Bytes of a bucket's text: a double without an exponent is the longest. */
#define BUCKET_TEXT_MAX 400
/* The text of the bucket; text itself or a view into buf. */
struct sv bucket_text(const struct stats_by *by, struct sv text, char *buf);

/* "1h2m3.5s", "1ms500us" with a Greek mu, "0": at most 64 bytes. */
size_t duration_print(char *dst, int64_t ns);

#endif
