/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Numbers in a text become "<N>" (reference 7.6).
 */

#ifndef SPOOR_QUERY_COLLAPSE_H
#define SPOOR_QUERY_COLLAPSE_H

#include "core/base.h"
#include "core/sb.h"
#include "core/sv.h"

/* Adds the text with "<N>" for its numbers. */
void collapse_numbers(struct sb *out, struct sv text);
/* Groups of "<N>" become "<UUID>", "<IP4>", "<TIME>", "<DATE>" ... */
void collapse_groups(struct sb *text);

#endif
