/* SPDX-License-Identifier: BSD-2-Clause */

/* A LogsQL query to a server, its rows as they come, its errors for people. */

#ifndef SPOOR_CLI_QUERY_ASK_H
#define SPOOR_CLI_QUERY_ASK_H

#include "core/base.h"

#include <signal.h>

#include "cli/request.h"
#include "cli/rows_print.h"
#include "http/client.h"

struct query_ask {
    const char *url;
    struct request_headers headers;
    const char *query;
    const char *start; /* as the server takes it, "1h" too; NULL: not given */
    const char *end;
    const char *limit;
    bool is_tail;
    bool is_csv;
    struct rows_print_conf print;
    const volatile sig_atomic_t *cancel; /* NULL: nobody does */
};

struct query_asked {
    uint64_t rows;
    uint64_t bytes;
    int64_t took_ns;
    bool is_partial; /* the server left damaged data out */
};

/* CLI_OK, CLI_NOT_FOUND (no row), CLI_ERROR after a message. */
int query_ask(const struct query_ask *ask, struct query_asked *asked);

/*
 * A server's message about a query; where it says "position N" the line of
 * the query stands below with a caret.
 */
void query_ask_complain(struct sv message, const char *query);

#endif
