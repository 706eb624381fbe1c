/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What format does to a value: "<option:name>" (reference 7.4).
 */

#ifndef SPOOR_QUERY_FORMAT_TEXT_H
#define SPOOR_QUERY_FORMAT_TEXT_H

#include "core/base.h"
#include "core/sb.h"
#include "core/sv.h"

/*
 * Adds what the option makes of the value, or nothing and false if it cannot
 * make anything of it.
 */
typedef bool (*format_fn)(struct sb *out, struct sv value);

/* NULL: there is no such option, and the value goes in as it is. */
format_fn format_find(struct sv option);

#endif
