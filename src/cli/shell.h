/* SPDX-License-Identifier: BSD-2-Clause */

/* What the files of the shell share. */

#ifndef SPOOR_CLI_SHELL_H
#define SPOOR_CLI_SHELL_H

#include "core/base.h"
#include "core/sb.h"

#include "cli/complete.h"
#include "cli/query_ask.h"

struct shell {
    struct query_ask ask; /* what each query is asked with */
    struct completer *completer;
    const char *format;   /* as it was given */
    char since[32];
    char limit[32];
    bool has_timing;
    bool is_terminal;
    bool is_done;
    int status;           /* of the last query */
};

/* A query, or a command with a backslash. */
void shell_line(struct shell *shell, const char *line);

/* Set by SIGINT. */
extern volatile sig_atomic_t shell_interrupted;

/* --- shell_edit.c: lines from people --- */

struct shell_edit;
struct shell_edit *shell_edit_new(struct shell *shell);
void shell_edit_free(struct shell_edit *edit); /* keeps the history */
/*
 * NULL: the end.  Good until the next call.  *is_continued: lines before
 * belong to it; false afterwards when Ctrl-C has given them up.
 */
const char *shell_edit_line(struct shell_edit *edit, bool *is_continued);

#endif
