/* SPDX-License-Identifier: BSD-2-Clause */

/* Pipes (reference 5); sort and stats have files of their own. */

#include "core/base.h"

#include "query/parser.h"
#include "query/pipe_type.h"
#include "query/text.h"

int
parse_patterns(struct parser *p, struct pipe *pipe)
{
    bool has_parens = parse_take(p, "(");
    uint32_t cap = 0;

    do {
        pipe->names = parse_grow(p, pipe->names, pipe->nnames, &cap,
            sizeof(*pipe->names));
        if (pipe->names == NULL ||
            parse_pattern(p, &pipe->names[pipe->nnames]) == -1)
            return -1;
        pipe->nnames++;
    } while (parse_take(p, ","));
    return has_parens ? parse_want(p, ")", "after the names") : 0;
}

/* "a [as] b": stars in both, or in the source alone. */
static int
take_pair(struct parser *p, struct field_pair *pair)
{
    uint32_t pos;

    if (parse_pattern(p, &pair->src) == -1)
        return -1;
    (void)parse_take(p, "as");
    pos = lexer_pos(&p->lex);
    if (parse_pattern(p, &pair->dst) == -1)
        return -1;
    if (pair->dst.is_prefix && !pair->src.is_prefix)
        return parse_fail(p, pos,
            "a new name with '*' needs an old one with '*'");
    return 0;
}

int
parse_pairs(struct parser *p, struct pipe *pipe)
{
    uint32_t cap = 0;

    do {
        pipe->pairs = parse_grow(p, pipe->pairs, pipe->npairs, &cap,
            sizeof(*pipe->pairs));
        if (pipe->pairs == NULL ||
            take_pair(p, &pipe->pairs[pipe->npairs]) == -1)
            return -1;
        pipe->npairs++;
    } while (parse_take(p, ","));
    return 0;
}

int
parse_plain_names(struct parser *p, struct values *out)
{
    *out = (struct values){NULL, 0, 0, false};
    if (parse_want(p, "(", "before the names") == -1)
        return -1;
    while (!parse_take(p, ")")) {
        out->items = parse_grow(p, out->items, out->n, &out->cap,
            sizeof(*out->items));
        if (out->items == NULL ||
            parse_name(p, &out->items[out->n], STOP_NAME) == -1)
            return -1;
        out->n++;
        if (!parse_take(p, ",") && !parse_at(p, ")"))
            return parse_unexpected(p, "',' or ')'");
    }
    return 0;
}

int
parse_new_name(struct parser *p, const struct pipe *pipe, struct sv wanted,
    struct sv *out)
{
    struct sb sb;

    sb_init(&sb, PARSE_TEXT_MAX);
    sb_add_sv(&sb, wanted);
    for (uint32_t i = 0; i < pipe->nnames; i++) {
        if (!sv_eq(pipe->names[i].name, sb_sv(&sb)))
            continue;
        sb_add_char(&sb, 's');
        i = UINT32_MAX; /* from the first again */
    }
    return parse_keep(p, &sb, out);
}

int
parse_by_names(struct parser *p, struct pipe *pipe)
{
    struct values names = {NULL, 0, 0, false};
    uint32_t pos;
    bool has_by = parse_take(p, "by");

    pos = lexer_pos(&p->lex);
    if (parse_at(p, "(") || has_by) {
        if (parse_plain_names(p, &names) == -1)
            return -1;
    } else {
        do {
            names.items = parse_grow(p, names.items, names.n, &names.cap,
                sizeof(*names.items));
            if (names.items == NULL ||
                parse_name(p, &names.items[names.n], STOP_NAME) == -1)
                return -1;
            names.n++;
        } while (parse_take(p, ","));
    }
    if (names.n == 0)
        return parse_fail(p, pos, "%s needs the name of a field",
            pipe->type->name);
    pipe->names = pool_zalloc(p->pool, names.n * sizeof(*pipe->names));
    if (pipe->names == NULL)
        return parse_no_memory(p);
    for (uint32_t i = 0; i < names.n; i++)
        pipe->names[i].name = names.items[i];
    pipe->nnames = names.n;
    return 0;
}

int
parse_uniq(struct parser *p, struct pipe *pipe)
{
    if (parse_by_names(p, pipe) == -1)
        return -1;
    while (!parse_at_end(p)) {
        if (parse_take(p, "limit")) {
            if (parse_uint(p, &pipe->n, true, "a number after 'limit'") == -1)
                return -1;
            continue;
        }
        if (parse_take(p, "with") && !parse_at(p, "hits"))
            return parse_unexpected(p, "'hits' after 'with'");
        if (!parse_take(p, "hits"))
            return parse_unexpected(p, "'with hits', 'limit' or '|'");
        if (parse_new_name(p, pipe, SV("hits"), &pipe->hits) == -1)
            return -1;
    }
    return 0;
}

int
parse_substring(struct parser *p, struct pipe *pipe)
{
    struct word word;

    if (parse_word(p, &word, STOP_NAME, "a text after 'filter'") == -1)
        return -1;
    pipe->substring = word.text;
    return 0;
}

int
parse_field_names(struct parser *p, struct pipe *pipe)
{
    pipe->result = SV("name");
    if (parse_take(p, "filter"))
        return parse_substring(p, pipe);
    if (!parse_take(p, "as") && parse_at_end(p))
        return 0;
    if (parse_name(p, &pipe->result, STOP_NAME) == -1)
        return -1;
    return parse_take(p, "filter") ? parse_substring(p, pipe) : 0;
}

int
parse_limit(struct parser *p, struct pipe *pipe)
{
    pipe->n = 10;
    if (parse_at_end(p))
        return 0;
    return parse_uint(p, &pipe->n, false, "a number of rows");
}

int
parse_offset(struct parser *p, struct pipe *pipe)
{
    return parse_uint(p, &pipe->n, false, "a number of rows");
}

int
parse_filter_pipe(struct parser *p, struct pipe *pipe)
{
    return parse_first_filter(p, &pipe->filter);
}

/* --- pipes without a name --- */

/* The token behind the present one. */
static struct parser
look_behind(const struct parser *p)
{
    struct parser next = *p;

    lexer_next(&next.lex);
    return next;
}

static int
unknown_name(struct parser *p, struct sv word, bool is_call)
{
    struct sv near = is_call ? function_name_near(word) : SV_EMPTY;
    uint32_t pos = lexer_pos(&p->lex);

    if (near.len > 0)
        return parse_fail(p, pos,
            "unknown stats function '%s'; did you mean '%.*s'?",
            parse_show(word).text, SV_ARG(near));
    near = pipe_name_near(word);
    if (near.len == 0)
        return parse_fail(p, pos, "unknown pipe or stats function '%s'",
            parse_show(word).text);
    return parse_fail(p, pos, "unknown pipe '%s'; did you mean '%.*s'? "
        "(A filter on the word is written '| filter %s'.)",
        parse_show(word).text, SV_ARG(near), parse_show(word).text);
}

/*
 * A filter may stand without its name (reference 3.6), but what looks like a
 * misspelled pipe or a call is an error: it would silently find nothing.
 */
static int
refuse_misspelled(struct parser *p)
{
    struct parser next = look_behind(p);
    struct sv word = p->lex.token.raw;
    const struct pipe_type *later = pipe_type_find(word);

    if (p->lex.token.kind != TOKEN_WORD || parse_at(&next, ":") ||
        parse_at(p, "not"))
        return 0;
    if (later != NULL)
        return parse_unsupported(p, lexer_pos(&p->lex), "pipe", word);
    if (parse_at(&next, "("))
        return filter_name_find(word) != NULL ? 0 : unknown_name(p, word, true);
    if (next.lex.token.is_touching && next.lex.token.kind != TOKEN_END &&
        !parse_at(&next, "|") && !parse_at(&next, ")"))
        return 0;
    if (parse_at(&next, "by") || pipe_name_near(word).len > 0)
        return unknown_name(p, word, false);
    return 0;
}

/* The name of a later pipe may also begin a filter: "split:x". */
static bool
is_pipe(const struct parser *p, const struct pipe_type *type)
{
    struct parser next = look_behind(p);

    return type->traits & PIPE_OLD ||
        (type->ops != NULL && !parse_at(&next, ":"));
}

int
parse_pipe(struct parser *p, struct pipe *pipe)
{
    const struct token *token = &p->lex.token;
    const struct pipe_type *type;

    pipe->pos = lexer_pos(&p->lex);
    pipe->result = pipe->hits = pipe->substring = SV_EMPTY;
    if (parse_at_end(p))
        return parse_unexpected(p, "a pipe");
    type = token->kind == TOKEN_WORD ? pipe_type_find(token->raw) : NULL;
    if (type != NULL && is_pipe(p, type)) {
        if (type->ops == NULL)
            return parse_unsupported(p, pipe->pos, "pipe",
                sv_from(type->name));
        pipe->type = type;
        pipe->kind = type->kind;
        lexer_next(&p->lex);
        return type->ops->parse(p, pipe);
    }
    if (token->kind == TOKEN_WORD && (parse_at(p, "by") ||
        function_name_find(token->raw) != NULL)) {
        struct parser next = look_behind(p);
        const struct function_name *function =
            function_name_find(token->raw);

        if (function == NULL || function->is_old || parse_at(&next, "(")) {
            pipe->kind = PIPE_STATS;
            pipe->type = pipe_type_of_kind(PIPE_STATS);
            return parse_stats(p, pipe);
        }
    }
    if (refuse_misspelled(p) == -1)
        return -1;
    pipe->kind = PIPE_FILTER;
    pipe->type = pipe_type_of_kind(PIPE_FILTER);
    return parse_first_filter(p, &pipe->filter);
}
