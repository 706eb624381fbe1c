/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * spoorctl: the terminal client.  cli.c holds THE verb table; each verb is a
 * file of its own.
 */

#ifndef SPOOR_CLI_CLI_H
#define SPOOR_CLI_CLI_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"
#include "http/client.h"

/* Exit status of every verb. */
enum cli_exit { CLI_OK = 0, CLI_NOT_FOUND = 1, CLI_ERROR = 2 };

struct cli_verb {
    const char *name;
    const char *usage; /* arguments */
    const char *doc;   /* one line */
    const char *help;  /* options, one a line */
    int (*run)(int argc, char **argv); /* argv[0] is the verb */
};

extern const struct cli_verb cli_verbs[]; /* ends with a NULL name */

int cli_main(int argc, char **argv);

/* Errors go to standard error as "spoorctl: ..."; returns CLI_ERROR. */
int cli_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Prints the verb's usage to standard error; returns CLI_ERROR. */
int cli_usage(const char *verb);
/*
 * Says what is wrong with the option c that getopt_long() has just returned;
 * returns CLI_ERROR.
 */
struct option;
int cli_bad_option(const char *verb, const struct option *options, int c);

/* The server: --url, SPOOR_URL, http://127.0.0.1:10428. */
const char *cli_url(const char *given);

/* GET; 0, or -1 after an error was printed.  *status is the HTTP status. */
int cli_get(const char *url, const char *target, struct sb *body,
    int *status);
/* What a server's error answer says, for people. */
void cli_print_answer(int status, struct sv body);

/* Percent-encodes a query argument or path segment. */
void cli_escape(struct sb *out, const char *text);

/* Standard output is a terminal and NO_COLOR is unset. */
bool cli_has_color(void);
unsigned cli_width(void);

int cli_check(int argc, char **argv);
int cli_cluster(int argc, char **argv);
int cli_export(int argc, char **argv);
int cli_gen(int argc, char **argv);
int cli_import(int argc, char **argv);
int cli_query(int argc, char **argv);
int cli_send(int argc, char **argv);
int cli_search(int argc, char **argv);
int cli_services(int argc, char **argv);
int cli_shell(int argc, char **argv);
int cli_tail(int argc, char **argv);
int cli_trace(int argc, char **argv);

#endif
