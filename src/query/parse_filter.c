/* SPDX-License-Identifier: BSD-2-Clause */

/* AND, OR, NOT, parentheses and field prefixes (reference 3.1 to 3.5). */

#include "core/base.h"

#include "query/parser.h"
#include "query/pipe_type.h"
#include "span/flat.h"

struct filters {
    struct filter **items;
    uint32_t n;
    uint32_t cap;
};

static int parse_unary(struct parser *p, struct filter **out,
    const struct sv *field);

static int
push(struct parser *p, struct filters *list, struct filter *filter)
{
    list->items = parse_grow(p, list->items, list->n, &list->cap,
        sizeof(*list->items));
    if (list->items == NULL)
        return -1;
    list->items[list->n++] = filter;
    return 0;
}

static int
join(struct parser *p, enum filter_kind kind, const struct filters *list,
    struct filter **out)
{
    *out = filter_new_list(p->pool, kind, list->items, list->n);
    return *out == NULL ? parse_no_memory(p) : 0;
}

static int
parse_group(struct parser *p, struct filter **out, const struct sv *field)
{
    if (parse_enter(p) == -1 || parse_want(p, "(", "before a filter") == -1)
        return -1;
    if (parse_at(p, ")"))
        return parse_unexpected(p, "a filter within the parentheses");
    if (parse_filter(p, out, field) == -1 ||
        parse_want(p, ")", "after a filter") == -1)
        return -1;
    parse_leave(p);
    return 0;
}

static int
parse_not(struct parser *p, struct filter **out, const struct sv *field)
{
    uint32_t pos = lexer_pos(&p->lex);
    struct filter *inner;

    lexer_next(&p->lex);
    if (parse_enter(p) == -1 || parse_unary(p, &inner, field) == -1)
        return -1;
    parse_leave(p);
    *out = filter_new_not(p->pool, inner, pos);
    return *out == NULL ? parse_no_memory(p) : 0;
}

/* Not: "_time:-5m" is a duration with a sign (reference 4.1). */
static bool
at_not(const struct parser *p, const struct sv *field)
{
    if (parse_at(p, "-"))
        return field == NULL || !sv_eq(*field, SV("_time"));
    return parse_at(p, "!") || parse_at(p, "not");
}

/* What follows "prefix*:". */
static int
parse_prefix_part(struct parser *p, struct filter **out, struct sv field)
{
    int rc;

    p->is_field_prefix = true;
    if (at_not(p, NULL))
        rc = parse_not(p, out, &field);
    else if (parse_at(p, "("))
        rc = parse_group(p, out, &field);
    else
        rc = parse_leaf(p, out, &field);
    return rc;
}

/* What follows "field:". */
static int
parse_field_part(struct parser *p, struct filter **out, struct sv field)
{
    if (p->is_field_prefix)
        return parse_prefix_part(p, out, field);
    if (at_not(p, &field))
        return parse_not(p, out, &field);
    if (sv_eq(field, SV("_time")))
        return parse_time(p, out);
    if (sv_eq(field, SV("_stream")))
        return parse_stream(p, out);
    if (sv_eq(field, SV("_stream_id")))
        return parse_stream_id(p, out);
    if (parse_at(p, "("))
        return parse_group(p, out, &field);
    return parse_leaf(p, out, &field);
}

/* "*:", which is one sign behind a prefix: takes it. */
static bool
take_star(struct parser *p)
{
    struct lexer before = p->lex;

    if (!parse_take(p, "*"))
        return false;
    if (p->lex.token.is_touching && parse_take(p, ":"))
        return true;
    p->lex = before;
    return false;
}

/*
 * "prefix*:" before a filter, or "*:", as parse_prefix().
 */
static int
parse_field_prefix(struct parser *p, struct sv *prefix)
{
    struct lexer before = p->lex;
    struct word word = {SV_EMPTY, false, 0};

    if (p->lex.token.kind == TOKEN_WORD ||
        p->lex.token.kind == TOKEN_QUOTED) {
        if (parse_word(p, &word, STOP_PHRASE, "a filter") == -1)
            return -1;
        if (!p->lex.token.is_touching) {
            p->lex = before;
            return 0;
        }
    }
    if (take_star(p)) {
        *prefix = word.text;
        return 1;
    }
    p->lex = before;
    return 0;
}

/*
 * "field:" before a filter: 1 and the name.  0: none is there, and nothing
 * was taken.
 */
static int
parse_prefix(struct parser *p, struct sv *field)
{
    struct lexer before = p->lex;
    struct word word = {SV_EMPTY, false, 0};

    if (!parse_at(p, ":")) {
        if (p->lex.token.kind == TOKEN_END || parse_at(p, "=") ||
            parse_at(p, "{") || parse_at(p, "~") || parse_at(p, "!=") ||
            parse_at(p, "!~") || parse_at(p, ">") || parse_at(p, "<") ||
            strchr(STOP_PHRASE, p->lex.token.raw.ptr[0]) != NULL)
            return 0;
        if (parse_word(p, &word, STOP_PHRASE, "a filter") == -1)
            return -1;
    }
    if (!parse_take(p, ":")) {
        p->lex = before;
        return 0;
    }
    *field = flat_name(word.text, p->pool);
    return 1;
}

static int
parse_unary(struct parser *p, struct filter **out, const struct sv *field)
{
    struct sv name;
    int found;

    if (at_not(p, field))
        return parse_not(p, out, field);
    if (field != NULL)
        return parse_field_part(p, out, *field);
    if (parse_at(p, "("))
        return parse_group(p, out, NULL);
    if (p->lex.token.kind == TOKEN_BAD)
        return parse_unexpected(p, "a filter");
    found = parse_field_prefix(p, &name);
    if (found == 1) {
        found = parse_prefix_part(p, out, name);
        p->is_field_prefix = false;
        return found;
    }
    if (found == 0)
        found = parse_prefix(p, &name);
    if (found == -1)
        return -1;
    if (found == 1)
        return parse_field_part(p, out, name);
    return parse_leaf(p, out, NULL);
}

static int
parse_and(struct parser *p, struct filter **out, const struct sv *field)
{
    struct filters list = {NULL, 0, 0};

    do {
        struct filter *one;

        if (parse_unary(p, &one, field) == -1 || push(p, &list, one) == -1)
            return -1;
    } while (parse_take(p, "and") || (!parse_at_end(p) &&
        !parse_at(p, "or") && !parse_at(p, ",") && !parse_at(p, "]")));
    return join(p, FILTER_AND, &list, out);
}

int
parse_filter(struct parser *p, struct filter **out, const struct sv *field)
{
    struct filters list = {NULL, 0, 0};

    do {
        struct filter *one;

        if (parse_and(p, &one, field) == -1 || push(p, &list, one) == -1)
            return -1;
    } while (parse_take(p, "or"));
    return join(p, FILTER_OR, &list, out);
}

int
parse_first_filter(struct parser *p, struct filter **out)
{
    const struct token *token = &p->lex.token;
    const struct pipe_type *pipe = NULL;
    const struct function_name *function = NULL;

    if (token->kind == TOKEN_WORD) {
        pipe = pipe_type_find(token->raw);
        function = function_name_find(token->raw);
    }
    if ((pipe != NULL && pipe->traits & PIPE_OLD) || parse_at(p, "by") ||
        (function != NULL && function->is_old))
        return parse_fail(p, lexer_pos(&p->lex),
            "a filter cannot begin with '%s', the name of a %s: put the word "
            "in quotes, or begin the query with '* |'",
            parse_show(token->raw).text,
            function != NULL ? "stats function" : "pipe");
    if (parse_at_end(p))
        return parse_unexpected(p, "a filter");
    return parse_filter(p, out, NULL);
}
