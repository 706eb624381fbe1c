/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What may stand at the cursor of a query: pipes, functions, fields and
 * values.  The words of the language come from its tables, fields and values
 * from the server, which is asked at most once a minute for the same.
 */

#ifndef SPOOR_CLI_COMPLETE_H
#define SPOOR_CLI_COMPLETE_H

#include "core/base.h"
#include "core/sb.h"
#include "core/sv.h"

/* Candidates of one completion. */
#define COMPLETE_MAX 200u

enum complete_kind {
    COMPLETE_NOTHING,
    COMPLETE_COMMAND,  /* of the shell: begins with a backslash */
    COMPLETE_PIPE,
    COMPLETE_FUNCTION, /* of stats; fields, too */
    COMPLETE_FIELD,    /* of a filter: quoted when it holds ':' */
    COMPLETE_NAME,     /* of a pipe: as it is */
    COMPLETE_VALUE,    /* of `field` */
};

/* Where the cursor stands; texts are views into the line. */
struct complete_place {
    enum complete_kind kind;
    struct sv word;  /* begun, without a quote in front */
    struct sv field; /* COMPLETE_VALUE: unquoted */
    size_t start;    /* of the word, with its quote */
};

/* Looks at the line up to the cursor alone. */
void complete_find(struct complete_place *out, struct sv line);

struct completer;
/* url: of the server, borrowed; headers as of http_client_req. */
struct completer *completer_new(const char *url, const char *const *headers);
void completer_free(struct completer *completer);

/*
 * Texts that may stand in place of the word, sorted, at most COMPLETE_MAX;
 * good until the next call.  A server that does not answer within a second
 * has none.
 */
const struct sv *complete_words(struct completer *completer,
    const struct complete_place *place, uint32_t *n);

/* Commands of the shell, with backslash; ends with NULL. */
extern const char *const shell_commands[];

#endif
