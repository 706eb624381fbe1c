/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Errors for people: "file:line:column: error: text", then the source line
 * and a caret.  Whatever a file or an argument holds, only printable
 * characters reach the output.
 */

#ifndef SPOOR_CORE_CONF_REPORT_H
#define SPOOR_CORE_CONF_REPORT_H

#include "core/base.h"
#include "core/sb.h"
#include "core/sv.h"

/* A file that was read. */
struct conf_text {
    const char *name;
    struct sv text;
};

/* A place in a file, counted in characters from 1; line 0: no place. */
struct conf_mark {
    unsigned line;
    unsigned column;
    unsigned width; /* characters to underline; at least 1 */
    const struct conf_text *file; /* NULL: what the report is about */
};

struct conf_report {
    struct sb *out;
    struct sv source;     /* the text; ptr NULL: places are not shown */
    const struct conf_text *file; /* the same, where it is a file */
    bool is_json;         /* each message an object in a line */
    unsigned nerrors;
    unsigned nwarnings;
    char name[256];       /* what stands first in each line */
};

/* More errors are counted, but not printed. */
#define CONF_ERRORS_SHOWN_MAX 100

void conf_report_init(struct conf_report *report, struct sb *out);
/* What the next errors are about; text is borrowed, name is copied. */
void conf_report_source(struct conf_report *report, const char *name,
    struct sv text);
/* The same of a file; marks that are made from now on are in it. */
void conf_report_file(struct conf_report *report,
    const struct conf_text *file);
/* mark may be NULL. */
void conf_report_error(struct conf_report *report,
    const struct conf_mark *mark, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same for what does not stop anything. */
void conf_report_warning(struct conf_report *report,
    const struct conf_mark *mark, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same without the source line: it may show a secret. */
void conf_report_error_hidden(struct conf_report *report,
    const struct conf_mark *mark, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* "NAME: 3 errors, configuration not used" */
void conf_report_close(struct conf_report *report, const char *name);

/* Appends text with everything unprintable as \xNN. */
void conf_add_printable(struct sb *out, struct sv text);

#endif
