/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The queries of the conformance suite: what the recorded server answered is
 * parsed, what it refused is refused, and the canonical text is stable.
 * Queries with pieces that are not executed yet are counted, not checked.
 * Skipped where the suite is not.
 */

#include "core/base.h"

#include <glob.h>

#include "query/parse.h"

#include "tap.h"

#define NOW INT64_C(1800000000000000000)

static unsigned nparsed, nrefused, nlater;

/* Whether the canonical text of a query is parsed to the same text. */
static bool
is_stable(const struct query *query, struct pool *pool)
{
    struct sb first, second;
    struct query *again;
    bool is_same = false;

    sb_init(&first, MIB);
    sb_init(&second, MIB);
    query_print(&first, query);
    if (query_parse(&again, sb_sv(&first), NOW, pool, NULL) == 0) {
        query_print(&second, again);
        is_same = sv_eq(sb_sv(&first), sb_sv(&second));
    }
    sb_release(&first);
    sb_release(&second);
    return is_same;
}

static void
check_query(const char *name, const char *text, bool is_refused)
{
    struct pool *pool = pool_new(64 * MIB);
    struct err err = ERR_INIT;
    struct query *query;
    int done = query_parse(&query, sv_from(text), NOW, pool, &err);

    if (done == -1 && err.code == ERR_UNSUPPORTED) {
        nlater++;
    } else if (is_refused) {
        nrefused++;
        if (done == 0)
            fail("%s is refused: %s", name, text);
    } else {
        nparsed++;
        if (done == -1)
            fail("%s: %s: %s", name, text, err.text);
        else if (!is_stable(query, pool))
            fail("%s is stable: %s", name, text);
    }
    pool_free(pool);
}

/* One case: only /query is refused for its query and nothing else. */
struct one_case {
    char name[128];
    char query[4096];
    unsigned nothers; /* arguments and headers but the query */
    bool is_query;
    int status;
};

static void
take_line(struct one_case *one, const char *line)
{
    if (sscanf(line, "case: %127s", one->name) == 1) {
        one->query[0] = '\0';
        one->nothers = 0;
        one->is_query = false;
        one->status = 0;
    } else if (strncmp(line, "arg: query=", 11) == 0) {
        snprintf(one->query, sizeof(one->query), "%s", line + 11);
    } else if (strncmp(line, "arg", 3) == 0 ||
        strncmp(line, "header:", 7) == 0) {
        one->nothers++;
    } else if (strncmp(line, "request:", 8) == 0) {
        one->is_query = strstr(line, "/select/logsql/query") != NULL &&
            strstr(line, "query_") == NULL;
    } else if (sscanf(line, "status: %d", &one->status) != 1 &&
        strcmp(line, "end") == 0 && one->query[0] != '\0') {
        if (one->status == 200)
            check_query(one->name, one->query, false);
        else if (one->status == 400 && one->is_query && one->nothers == 0)
            check_query(one->name, one->query, true);
    }
}

static void
check_file(const char *path)
{
    static struct one_case one;
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;

    if (file == NULL)
        return;
    while ((len = getline(&line, &cap, file)) > 0) {
        if (line[len - 1] == '\n')
            line[len - 1] = '\0';
        take_line(&one, line);
    }
    free(line);
    fclose(file);
}

int
main(void)
{
    const char *dir = getenv("SPOOR_CONFORMANCE");
    char pattern[PATH_MAX];
    glob_t files;

    snprintf(pattern, sizeof(pattern), "%s/logsql/*/*.case",
        dir == NULL ? "../shared/conformance" : dir);
    if (glob(pattern, 0, NULL, &files) != 0)
        skip_all("no conformance suite");
    for (size_t i = 0; i < files.gl_pathc; i++)
        check_file(files.gl_pathv[i]);
    globfree(&files);
    diag("%u parsed, %u refused, %u not executed yet", nparsed, nrefused,
        nlater);
    ok(nparsed > 500 && nrefused > 50, "queries are found");
    return tap_done();
}
