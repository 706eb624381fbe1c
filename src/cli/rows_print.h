/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Rows for people: a table, or one field a line where a table is wider than
 * the terminal; and for programs: as the server sent them, or logfmt.
 */

#ifndef SPOOR_CLI_ROWS_PRINT_H
#define SPOOR_CLI_ROWS_PRINT_H

#include "core/base.h"
#include "core/err.h"
#include "core/sv.h"

enum rows_format {
    ROWS_AUTO,  /* a table if it fits, else long */
    ROWS_TABLE,
    ROWS_LONG,  /* a field a line */
    ROWS_LOGFMT,
    ROWS_RAW,   /* bytes as they come: JSON lines, CSV */
};

/* "table", "long", "logfmt", "json", "csv", "auto" */
bool rows_format_parse(const char *text, enum rows_format *out,
    bool *is_csv);

struct rows_print;

struct rows_print_conf {
    FILE *out;
    enum rows_format format;
    unsigned width; /* of the terminal, in columns */
    bool has_color;
    bool is_live;   /* rows are shown as soon as they are there */
    bool is_screen; /* people see it: raw bytes, too, must not control it */
};
struct rows_print *rows_print_new(const struct rows_print_conf *conf);
void rows_print_free(struct rows_print *print);

/* An http_client_data_fn.  1 when nobody reads the output any more. */
int rows_print_data(void *print, struct sv data, struct err *err);
/* The data ends within a row: that is dropped. */
void rows_print_cut(struct rows_print *print);
/* Behind the last data. */
int rows_print_end(struct rows_print *print, struct err *err) WARN_UNUSED;

/* Rows, or lines of raw bytes. */
uint64_t rows_print_rows(const struct rows_print *print);
uint64_t rows_print_bytes(const struct rows_print *print);

#endif
