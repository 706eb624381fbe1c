/* SPDX-License-Identifier: BSD-2-Clause */

/* Lines of JSON as /select/logsql/query and tail give them. */

#ifndef SPOOR_CLI_ROWS_READ_H
#define SPOOR_CLI_ROWS_READ_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sv.h"

/* More fields than any row of a server has. */
#define ROW_FIELDS_MAX 100000u

struct row_field {
    struct sv name;
    struct sv text;
};

struct row {
    const struct row_field *fields;
    uint32_t n;
};

/*
 * One line; texts are in the line or the pool.  ERR_INVALID: no JSON object
 * of texts; such a line is how a server ends an answer that went wrong.
 */
int row_read(struct row *out, struct sv line, struct pool *pool,
    struct err *err) WARN_UNUSED;

#endif
