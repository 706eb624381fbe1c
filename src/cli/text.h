/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Text of peers on its way to a terminal: control characters would be
 * commands there, so each becomes '?'.
 */

#ifndef SPOOR_CLI_TEXT_H
#define SPOOR_CLI_TEXT_H

#include "core/base.h"
#include "core/sb.h"
#include "core/sv.h"

void text_add(struct sb *out, struct sv text);
/* How many columns text_add() fills. */
unsigned text_columns(struct sv text);

/* Without white space at its ends, line ends too. */
struct sv text_strip(struct sv text);

/* Exactly this many columns: cut (with an ellipsis) or filled with spaces. */
void text_add_columns(struct sb *out, struct sv text, unsigned columns);

#endif
