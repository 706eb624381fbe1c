/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * parse(print(q)) = q for every query at hand: those of the conformance
 * suite, of the checklist, the examples of the tables, the seeds of the
 * fuzzers.  What the recorded server answered is parsed, what it refused is
 * refused.  (t/91-canonical.t runs the canonical texts, t/unit/equality.c
 * those of random queries.)
 */

#include "core/base.h"

#include <glob.h>

#include "core/file.h"
#include "query/parse.h"
#include "query/parser.h"
#include "query/pipe_type.h"

#include "tap.h"

#define NOW INT64_C(1800000000000000000)
#define FILE_MAX (64 * KIB)

static unsigned nparsed, nrefused, nlater;

static bool
is_same_pipe(const struct pipe *a, const struct pipe *b)
{
    return a->type == b->type && a->kind == b->kind && a->n == b->n &&
        a->nnames == b->nnames && a->npairs == b->npairs &&
        sv_eq(a->result, b->result) && sv_eq(a->hits, b->hits) &&
        sv_eq(a->substring, b->substring);
}

/* What the executor sees of both, besides what the texts tell. */
static bool
has_same_shape(const struct query *a, const struct query *b)
{
    const struct pipe *p = a->pipes, *q = b->pipes;

    if (a->min_time != b->min_time || a->max_time != b->max_time ||
        a->npipes != b->npipes)
        return false;
    for (; p != NULL && q != NULL; p = p->next, q = q->next) {
        if (!is_same_pipe(p, q))
            return false;
    }
    return p == NULL && q == NULL;
}

/* Whether the canonical text of a query is parsed to the same query. */
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
        is_same = !sb_failed(&first) &&
            sv_eq(sb_sv(&first), sb_sv(&second)) &&
            has_same_shape(query, again);
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

static void
check_suite(void)
{
    const char *dir = getenv("SPOOR_CONFORMANCE");
    char pattern[PATH_MAX];
    glob_t files;

    snprintf(pattern, sizeof(pattern), "%s/logsql/*/*.case",
        dir == NULL ? "../shared/conformance" : dir);
    if (glob(pattern, 0, NULL, &files) != 0) {
        skip("no conformance suite", 1);
        return;
    }
    for (size_t i = 0; i < files.gl_pathc; i++)
        check_file(files.gl_pathv[i]);
    globfree(&files);
    diag("conformance suite: %u parsed, %u refused, %u not executed yet",
        nparsed, nrefused, nlater);
    ok(nparsed > 1200 && nrefused > 50, "queries are found");
}

static void
check_examples(void)
{
    nparsed = 0;
    for (size_t i = 0; i < nfilter_names; i++)
        check_query(filter_names[i].name, filter_names[i].example, false);
    for (size_t i = 0; i < npipe_types; i++) {
        if (pipe_types[i].ops != NULL)
            check_query(pipe_types[i].name, pipe_types[i].example, false);
    }
    for (size_t i = 0; i < nfunction_names; i++) {
        if (function_names[i].acc != NULL)
            check_query(function_names[i].name, function_names[i].example,
                false);
    }
    ok(nparsed > 100, "%u examples of the tables", nparsed);
}

/* A text that may be no query. */
static void
check_seed(const char *name, struct sv text)
{
    struct pool *pool = pool_new(256 * MIB);
    struct err err = ERR_INIT;
    struct query *query;

    if (query_parse(&query, text, NOW, pool, &err) == 0) {
        nparsed++;
        if (!is_stable(query, pool))
            fail("%s is stable: %.*s", name, (int)text.len, text.ptr);
    }
    pool_free(pool);
}

static void
check_seeds(const char *pattern)
{
    glob_t files;
    struct sb text;

    nparsed = 0;
    sb_init(&text, FILE_MAX);
    if (glob(pattern, 0, NULL, &files) != 0) {
        skip("no seeds", 1);
        return;
    }
    for (size_t i = 0; i < files.gl_pathc; i++) {
        sb_reset(&text);
        if (file_read_all(files.gl_pathv[i], &text, NULL) == 0)
            check_seed(files.gl_pathv[i], sb_sv(&text));
    }
    ok(nparsed > 100, "%u of %zu seeds in %s", nparsed, files.gl_pathc,
        pattern);
    globfree(&files);
    sb_release(&text);
}

/* --- t/data/checklist --- */

/* What the lines behind "ask: QUERY" say of it that needs no server. */
static void
check_asked(const char *query, const char *line)
{
    struct pool *pool = pool_new(64 * MIB);
    struct query *parsed;
    bool is_refused = strncmp(line, "status: 400", 11) == 0;
    bool is_parsed = query_parse(&parsed, sv_from(query), NOW, pool,
        NULL) == 0;

    if (is_parsed == is_refused)
        fail("%s: %s", query, line);
    if (is_parsed && strncmp(line, "canon: ", 7) == 0) {
        struct sb printed;

        sb_init(&printed, MIB);
        query_print(&printed, parsed);
        if (!sv_eq(sb_sv(&printed), sv_from(line + 7)))
            fail("%s is printed as %.*s", query, (int)printed.len,
                printed.ptr);
        sb_release(&printed);
    }
    pool_free(pool);
}

/* A query that goes on in the next line is only begun here. */
static void
check_checklist(void)
{
    FILE *file = fopen("t/data/checklist", "r");
    char *line = NULL, query[4096] = "";
    size_t cap = 0;
    ssize_t len;

    nparsed = 0;
    while (file != NULL && (len = getline(&line, &cap, file)) > 0) {
        if (line[len - 1] == '\n')
            line[len - 1] = '\0';
        if (strncmp(line, "ask: ", 5) == 0) {
            snprintf(query, sizeof(query), "%s", line + 5);
            check_seed("checklist", sv_from(query));
        } else if (strncmp(line, "get: ", 5) == 0) {
            query[0] = '\0';
        } else if (query[0] != '\0' && strncmp(line, "with:", 5) != 0 &&
            strncmp(line, "as:", 3) != 0) {
            check_asked(query, line);
            query[0] = '\0';
        }
    }
    ok(nparsed > 150, "%u queries of the checklist", nparsed);
    free(line);
    if (file != NULL)
        fclose(file);
}

int
main(void)
{
    check_suite();
    check_examples();
    check_seeds("fuzz/corpus/query/*");
    check_seeds("fuzz/corpus/logsql/*");
    check_checklist();
    return tap_done();
}
