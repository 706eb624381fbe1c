/* SPDX-License-Identifier: BSD-2-Clause */

/* A trace as a waterfall of text: one line a span, a bar on a time axis. */

#ifndef SPOOR_CLI_WATERFALL_H
#define SPOOR_CLI_WATERFALL_H

#include "core/base.h"
#include "cli/jaeger_read.h"
#include "core/sb.h"

/* Columns a line may have. */
#define WATERFALL_WIDTH_MIN 40u
#define WATERFALL_WIDTH_MAX 500u

void waterfall_print(struct sb *out, struct view_trace *trace,
    unsigned width, bool color);

#endif
