/* SPDX-License-Identifier: BSD-2-Clause */

/* Private to rows_wire.c, which tells the format, and rows_wire_read.c. */

#ifndef SPOOR_CLUSTER_ROWS_WIRE_FORMAT_H
#define SPOOR_CLUSTER_ROWS_WIRE_FORMAT_H

#include "core/base.h"
#include "storage/col.h"

#define ROWS_WIRE_FORMAT 1u
/* A span has at most 1,000 fields, a block more. */
#define ROWS_WIRE_COLUMNS_MAX 1000000u
/* Zeros behind the columns, which may be read when the last is decoded. */
#define ROWS_WIRE_PAD COL_PAD

enum wire_kind {
    WIRE_EMPTY = 0,
    WIRE_CONST = 1,
    WIRE_CODES = 2,
    WIRE_INTS = 3,
    WIRE_UINTS = 4,
    WIRE_TIMES = 5,
    WIRE_IDS = 6,
    WIRE_SHARED_IDS = 7,
    WIRE_TEXTS = 8,
};

#endif
