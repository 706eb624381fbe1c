/* SPDX-License-Identifier: BSD-2-Clause */

/* Words, phrases, prefixes, comparisons (reference 4.6 to 4.14, 4.21). */

#include "core/base.h"

#include <math.h>

#include "query/parser.h"
#include "query/regexp.h"
#include "query/text.h"

static struct filter *
leaf_new(struct parser *p, enum filter_kind kind, const struct sv *field)
{
    struct filter *filter = filter_new(p->pool, kind,
        field == NULL ? SV("_msg") : *field, lexer_pos(&p->lex));

    if (filter == NULL)
        parse_no_memory(p);
    else
        filter->is_field_prefix = p->is_field_prefix;
    return filter;
}

/* "word(" would be two filters, which nobody who writes it means. */
static int
refuse_call(struct parser *p, const struct word *word)
{
    struct sv near;

    if (!parse_at(p, "(") || !p->lex.token.is_touching)
        return 0;
    near = word->is_quoted ? SV_EMPTY : filter_name_near(word->text);
    if (near.len > 0 && !sv_eq_nocase(near, word->text))
        return parse_fail(p, word->pos,
            "unknown filter function '%s'; did you mean '%.*s'?",
            parse_show(word->text).text, SV_ARG(near));
    return parse_fail(p, lexer_pos(&p->lex),
        "'(' right after '%s': put a space between them, or quotes around "
        "the whole text", parse_show(word->text).text);
}

/* "*text*": 1 and the text; 0: it is not there, and nothing was taken. */
static int
take_starred(struct parser *p, struct word *word, const char *stops)
{
    struct lexer before = p->lex;

    lexer_next(&p->lex);
    if (p->lex.token.is_touching && p->lex.token.kind != TOKEN_END &&
        (p->lex.token.kind == TOKEN_WORD ||
        p->lex.token.kind == TOKEN_QUOTED ||
        strchr(stops, p->lex.token.raw.ptr[0]) == NULL)) {
        if (parse_word(p, word, stops, "a filter") == -1)
            return -1;
        if (parse_at(p, "*") && p->lex.token.is_touching) {
            lexer_next(&p->lex);
            return 1;
        }
    }
    p->lex = before;
    *word = (struct word){SV_EMPTY, false, 0};
    return 0;
}

static int
parse_phrase(struct parser *p, struct filter **out, const struct sv *field)
{
    const char *stops = field == NULL ? STOP_PHRASE : STOP_VALUE;
    struct word word = {SV_EMPTY, false, 0};

    *out = leaf_new(p, FILTER_PHRASE, field);
    if (*out == NULL)
        return -1;
    if (parse_at(p, "*")) {
        int done = take_starred(p, &word, stops);

        if (done == -1)
            return -1;
        if (done == 0)
            lexer_next(&p->lex);
        (*out)->text = word.text;
        (*out)->kind = word.text.len > 0 ? FILTER_SUBSTRING : FILTER_PREFIX;
    } else {
        if (parse_word(p, &word, stops, "a filter") == -1 ||
            refuse_call(p, &word) == -1)
            return -1;
        (*out)->text = word.text;
        if (parse_at(p, "*") && p->lex.token.is_touching) {
            lexer_next(&p->lex);
            (*out)->kind = FILTER_PREFIX;
        }
    }
    if ((*out)->kind == FILTER_PREFIX && (*out)->text.len == 0 &&
        sv_eq((*out)->field, SV("_msg")))
        (*out)->kind = FILTER_ALL;
    return 0;
}

/* Behind '='. */
static int
parse_exact(struct parser *p, struct filter **out, const struct sv *field)
{
    struct word word = {SV_EMPTY, false, 0};

    *out = leaf_new(p, FILTER_EXACT, field);
    if (*out == NULL)
        return -1;
    if (!parse_at(p, "*") && (parse_word(p, &word, STOP_ARGUMENT,
        "a value after '='") == -1 || refuse_call(p, &word) == -1))
        return -1;
    (*out)->text = word.text;
    if (parse_at(p, "*") && (word.text.ptr == SV_EMPTY.ptr ||
        p->lex.token.is_touching)) {
        lexer_next(&p->lex);
        (*out)->kind = FILTER_EXACT_PREFIX;
    }
    return 0;
}

/* Behind '~'. */
static int
parse_regexp(struct parser *p, struct filter **out, const struct sv *field)
{
    struct word word;
    struct err why = ERR_INIT;

    *out = leaf_new(p, FILTER_REGEXP, field);
    if (*out == NULL || parse_word(p, &word, STOP_REGEXP,
        "a regular expression") == -1)
        return -1;
    (*out)->text = word.text;
    if (sv_eq(word.text, SV(".+")) && sv_eq((*out)->field, SV("_msg"))) {
        (*out)->kind = FILTER_ALL;
        return 0;
    }
    if (regexp_compile(&(*out)->regexp, word.text, REGEXP_DOT_NEWLINE,
        p->pool, &why) == -1)
        return parse_fail(p, word.pos, "%s", why.text);
    return 0;
}

static void
set_number(struct filter *filter, char op, bool has_equal, double v)
{
    filter->kind = FILTER_NUMBER_RANGE;
    filter->min = -INFINITY;
    filter->max = INFINITY;
    if (op == '>')
        filter->min = has_equal ? v : v == INFINITY ? NAN :
            nextafter(v, INFINITY);
    else
        filter->max = has_equal ? v : v == -INFINITY ? NAN :
            nextafter(v, -INFINITY);
}

/*
 * Bytewise: text <= value < text_end.  The least text that is greater than v
 * is v and a zero byte.
 */
static int
set_text(struct parser *p, struct filter *filter, char op, bool has_equal,
    struct sv v)
{
    bool is_behind = (op == '>') != has_equal;
    char *copy = pool_dup(p->pool, v.ptr, v.len);

    if (copy == NULL)
        return parse_no_memory(p);
    /* pool_dup() puts a zero byte behind. */
    v = sv_make(copy, v.len + (is_behind ? 1 : 0));
    filter->kind = FILTER_TEXT_RANGE;
    filter->is_empty_matched = true;
    if (op == '>') {
        filter->text = v;
    } else {
        filter->text_end = v;
        filter->has_text_end = true;
    }
    return 0;
}

/* Behind '<' or '>'. */
static int
parse_compare(struct parser *p, struct filter **out, const struct sv *field,
    char op)
{
    bool has_equal = parse_take(p, "=");
    struct word word;
    struct sb sb;
    double number;

    *out = leaf_new(p, FILTER_TEXT_RANGE, field);
    if (*out == NULL || parse_word(p, &word, STOP_NAME,
        "a value to compare with") == -1 || refuse_call(p, &word) == -1)
        return -1;
    if (operand_parse(word.text, &number))
        set_number(*out, op, has_equal, number);
    else if (set_text(p, *out, op, has_equal, word.text) == -1)
        return -1;
    sb_init(&sb, PARSE_TEXT_MAX);
    sb_add_char(&sb, op);
    if (has_equal)
        sb_add_char(&sb, '=');
    print_word(&sb, word.text);
    return parse_keep(p, &sb, &(*out)->written);
}

static int
parse_negated(struct parser *p, struct filter **out, const struct sv *field)
{
    bool is_exact = parse_at(p, "!=");
    uint32_t pos = lexer_pos(&p->lex);
    struct filter *inner;

    lexer_next(&p->lex);
    if ((is_exact ? parse_exact(p, &inner, field) :
        parse_regexp(p, &inner, field)) == -1)
        return -1;
    *out = filter_new_not(p->pool, inner, pos);
    return *out == NULL ? parse_no_memory(p) : 0;
}

int
parse_leaf(struct parser *p, struct filter **out, const struct sv *field)
{
    int done;

    if (parse_count(p) == -1)
        return -1;
    if (parse_at(p, "{")) {
        if (field != NULL)
            return parse_fail(p, lexer_pos(&p->lex),
                "'{' may follow no field but _stream");
        return parse_stream(p, out);
    }
    if (parse_at(p, "!=") || parse_at(p, "!~"))
        return parse_negated(p, out, field);
    if (parse_take(p, "="))
        return parse_exact(p, out, field);
    if (parse_take(p, "~"))
        return parse_regexp(p, out, field);
    if (parse_take(p, "<"))
        return parse_compare(p, out, field, '<');
    if (parse_take(p, ">"))
        return parse_compare(p, out, field, '>');
    done = parse_function(p, out, field == NULL ? SV("_msg") : *field);
    if (done != 0)
        return done == 1 ? 0 : -1;
    return parse_phrase(p, out, field);
}
