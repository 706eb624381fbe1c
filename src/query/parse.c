/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"

#include "query/parse.h"
#include "query/inside.h"
#include "query/parser.h"
#include "query/text.h"

/* Positions are 32 bits; the HTTP layer has a far smaller limit. */
#define QUERY_TEXT_MAX MIB

/* --- a query --- */

static int
take_pipes(struct parser *p, struct query *query)
{
    struct pipe **end = &query->pipes;

    while (parse_take(p, "|")) {
        struct pipe *pipe = pool_zalloc(p->pool, sizeof(*pipe));

        if (pipe == NULL)
            return parse_no_memory(p);
        if (++p->pipes > QUERY_PIPES_MAX)
            return parse_too_many(p, lexer_pos(&p->lex), QUERY_PIPES_MAX,
                "pipes");
        if (parse_count(p) == -1 || parse_pipe(p, pipe) == -1)
            return -1;
        *end = pipe;
        end = &pipe->next;
        query->npipes++;
        if (!parse_at_end(p))
            return parse_unexpected(p, "'|' or the end of the query");
    }
    return 0;
}

static int
take_query(struct parser *p, struct query *query, struct filter **global)
{
    if ((parse_take(p, "options") &&
        parse_query_options(p, query, global) == -1) ||
        parse_first_filter(p, &query->filter) == -1)
        return -1;
    if (!parse_at_end(p))
        return parse_unexpected(p, "a filter, '|' or the end of the query");
    return take_pipes(p, query);
}

static void
inherit_options(struct query *query, const struct query *outer)
{
    query->time_offset = SV_EMPTY;
    query->outer = outer;
    if (outer == NULL)
        return;
    query->concurrency = outer->concurrency;
    query->parallel_readers = outer->parallel_readers;
    query->ignore_global_time_filter = outer->ignore_global_time_filter;
    query->allow_partial = outer->allow_partial;
    query->time_offset = outer->time_offset;
    query->time_offset_ns = outer->time_offset_ns;
}

int
parse_query(struct parser *p, struct query **out)
{
    struct query *query = pool_zalloc(p->pool, sizeof(*query));
    const struct query *outer = p->query;
    const char *start = p->lex.token.raw.ptr;
    bool was_field_prefix = p->is_field_prefix;
    struct filter *global = NULL;

    if (query == NULL)
        return parse_no_memory(p);
    query->pool = p->pool;
    query->now_ns = p->now_ns;
    inherit_options(query, outer);
    p->query = query;
    p->is_field_prefix = false;
    if (take_query(p, query, &global) == -1)
        return -1;
    p->is_field_prefix = was_field_prefix;
    p->query = outer;
    query->text = sv_make(start, (size_t)(p->lex.token.raw.ptr - start));
    if (query_rewrite(query) == -1)
        return parse_no_memory(p);
    query_set_times(query);
    *out = query;
    return global == NULL ? 0 : query_add_filter(query, global, false,
        p->err);
}

int
parse_inside(struct parser *p, struct query **out)
{
    uint32_t pos = lexer_pos(&p->lex);

    if (parse_want(p, "(", "before a query") == -1)
        return -1;
    if (++p->inside > INSIDE_DEPTH_MAX)
        return parse_too_many(p, pos, INSIDE_DEPTH_MAX,
            "queries in each other");
    if (++p->queries > INSIDE_QUERIES_MAX)
        return parse_too_many(p, pos, INSIDE_QUERIES_MAX,
            "queries inside the query");
    if (parse_enter(p) == -1 || parse_query(p, out) == -1)
        return -1;
    parse_leave(p);
    p->inside--;
    return parse_want(p, ")", "after a query");
}

static int
parser_init(struct parser *p, struct sv text, int64_t now_ns,
    struct pool *pool, struct err *err)
{
    char *copy;

    *p = (struct parser){.pool = pool, .err = err, .now_ns = now_ns};
    if (text.len > QUERY_TEXT_MAX)
        return err_set(err, ERR_LIMIT, "the query is longer than %zu bytes",
            QUERY_TEXT_MAX);
    copy = pool_dup(pool, text.ptr, text.len);
    if (copy == NULL)
        return parse_no_memory(p);
    lexer_init(&p->lex, sv_make(copy, text.len), pool);
    return 0;
}

/* ';' may end a query; it would be a part of the last word. */
static struct sv
cut_end(struct sv text)
{
    struct sv cut = sv_trim(text);

    return sv_ends_with(cut, SV(";")) ? sv_make(text.ptr,
        (size_t)(cut.ptr + cut.len - 1 - text.ptr)) : text;
}

int
query_parse(struct query **out, struct sv text, int64_t now_ns,
    struct pool *pool, struct err *err)
{
    struct parser p;

    text = cut_end(text);
    if (parser_init(&p, text, now_ns, pool, err) == -1 ||
        parse_query(&p, out) == -1)
        return -1;
    if (p.lex.token.kind != TOKEN_END)
        return parse_unexpected(&p, "'|' or the end of the query");
    (*out)->text = p.lex.text;
    return 0;
}

/* "{" and a quoted string and ":": JSON.  With "=" it is a stream filter. */
static bool
is_json(const struct parser *p)
{
    struct lexer lexer = p->lex;

    if (!lexer_at(&lexer, "{"))
        return false;
    lexer_next(&lexer);
    if (lexer.token.kind != TOKEN_QUOTED || lexer.token.raw.ptr[0] != '"')
        return false;
    lexer_next(&lexer);
    return lexer_at(&lexer, ":");
}

int
filter_parse(struct filter **out, struct sv text, int64_t now_ns,
    struct pool *pool, struct err *err)
{
    struct parser p;

    if (parser_init(&p, text, now_ns, pool, err) == -1)
        return -1;
    if (is_json(&p))
        return parse_json_filter(&p, out);
    if (parse_first_filter(&p, out) == -1)
        return -1;
    if (p.lex.token.kind != TOKEN_END)
        return parse_unexpected(&p, "a filter without pipes");
    return 0;
}

int
filter_parse_stream(struct filter **out, struct sv text, struct pool *pool,
    struct err *err)
{
    struct parser p;

    if (parser_init(&p, text, 0, pool, err) == -1)
        return -1;
    if (is_json(&p))
        return parse_json_stream(&p, out);
    if (parse_stream(&p, out) == -1)
        return -1;
    if (p.lex.token.kind != TOKEN_END)
        return parse_unexpected(&p, "one stream filter");
    return 0;
}
