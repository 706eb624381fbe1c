/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * All texts at hand that may be queries: of the conformance suite, of the
 * checklist, of the pages in docs/, the examples of the tables, the seeds of
 * the fuzzers.
 */

#ifndef SPOOR_UNIT_QUERY_TEXTS_H
#define SPOOR_UNIT_QUERY_TEXTS_H

#include "core/base.h"

#include <glob.h>

#include "core/file.h"
#include "core/sb.h"
#include "query/parser.h"
#include "query/pipe_type.h"

#define QUERY_TEXT_FILE_MAX (4 * MIB)

typedef void (*query_text_fn)(void *arg, struct sv text);

/* Lines that begin with a prefix. */
static inline void
texts_of_lines(struct sv file, const char *prefix, query_text_fn fn,
    void *arg)
{
    struct sv line;

    while (sv_split(&file, '\n', &line)) {
        if (sv_starts_with(line, sv_from(prefix)))
            fn(arg, sv_sub(line, strlen(prefix), line.len));
    }
}

/* What stands between backquotes; fences are three of them. */
static inline void
texts_of_page(struct sv file, query_text_fn fn, void *arg)
{
    struct sv line, word, rest = file;
    bool is_code = false;

    while (sv_split(&rest, '\n', &line)) {
        if (sv_starts_with(line, SV("```"))) {
            is_code = !is_code;
        } else if (is_code) {
            fn(arg, line);
        } else {
            for (unsigned i = 0; sv_split(&line, '`', &word); i++) {
                if (i % 2 == 1)
                    fn(arg, word);
            }
        }
    }
}

static inline void
texts_of_file(struct sv file, query_text_fn fn, void *arg)
{
    fn(arg, file);
}

static inline void
texts_of_suite(struct sv file, query_text_fn fn, void *arg)
{
    texts_of_lines(file, "arg: query=", fn, arg);
}

static inline void
texts_of_checklist(struct sv file, query_text_fn fn, void *arg)
{
    texts_of_lines(file, "ask: ", fn, arg);
}

static inline void
texts_of_files(const char *pattern, void (*take)(struct sv file,
    query_text_fn fn, void *arg), query_text_fn fn, void *arg)
{
    glob_t files;
    struct sb text;

    if (glob(pattern, 0, NULL, &files) != 0)
        return;
    sb_init(&text, QUERY_TEXT_FILE_MAX);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        sb_reset(&text);
        if (file_read_all(files.gl_pathv[i], &text, NULL) == 0)
            take(sb_sv(&text), fn, arg);
    }
    globfree(&files);
    sb_release(&text);
}

static inline void
texts_of_tables(query_text_fn fn, void *arg)
{
    for (size_t i = 0; i < nfilter_names; i++)
        fn(arg, sv_from(filter_names[i].example));
    for (size_t i = 0; i < npipe_types; i++) {
        if (pipe_types[i].ops != NULL)
            fn(arg, sv_from(pipe_types[i].example));
    }
    for (size_t i = 0; i < nfunction_names; i++) {
        if (function_names[i].acc != NULL)
            fn(arg, sv_from(function_names[i].example));
    }
}

static inline void
query_texts(query_text_fn fn, void *arg)
{
    const char *dir = getenv("SPOOR_CONFORMANCE");
    char pattern[PATH_MAX];

    snprintf(pattern, sizeof(pattern), "%s/logsql/*/*.case",
        dir == NULL ? "../shared/conformance" : dir);
    texts_of_files(pattern, texts_of_suite, fn, arg);
    texts_of_files("t/data/checklist", texts_of_checklist, fn, arg);
    texts_of_files("docs/*.md", texts_of_page, fn, arg);
    texts_of_files("fuzz/corpus/query/*", texts_of_file, fn, arg);
    texts_of_files("fuzz/corpus/logsql/*", texts_of_file, fn, arg);
    texts_of_tables(fn, arg);
}

#endif
