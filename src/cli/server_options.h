/* SPDX-License-Identifier: BSD-2-Clause */

/* Options of all verbs that talk to the server: TLS and credentials. */

#ifndef SPOOR_CLI_SERVER_OPTIONS_H
#define SPOOR_CLI_SERVER_OPTIONS_H

#include "core/base.h"
#include "core/err.h"
#include "http/client.h"

/* One a line, for help. */
extern const char server_options_help[];

/*
 * Takes them out of argv (from argv[1] on, up to "--"); those of TLS are for
 * every HTTP client.  0, or -1 after an error was printed.
 */
int server_options_take(int *argc, char **argv);

/* A client with the credentials: for the server of --url, nobody else. */
int server_connect(struct http_client **out, const char *url,
    int64_t timeout_ns, struct err *err) WARN_UNUSED;

#endif
