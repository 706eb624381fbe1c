/* SPDX-License-Identifier: BSD-2-Clause */

/* Options of all verbs that say how https is spoken. */

#ifndef SPOOR_CLI_TLS_OPTIONS_H
#define SPOOR_CLI_TLS_OPTIONS_H

#include "core/base.h"

/* One a line, for help. */
extern const char tls_options_help[];

/*
 * Takes them out of argv (from argv[1] on, up to "--") and gives them to the
 * HTTP client.  0, or -1 after an error was printed.
 */
int tls_options_take(int *argc, char **argv);

#endif
