/* SPDX-License-Identifier: BSD-2-Clause */

/* {label="value", ...} and _stream_id:... (reference 4.4, 4.5). */

#include "core/base.h"

#include "query/parser.h"
#include "query/regexp.h"
#include "span/flat.h"

static int
take_values(struct parser *p, struct stream_tag *tag)
{
    struct values values;
    int done = parse_values(p, &values);

    if (done == -1)
        return -1;
    if (done == 0)
        return parse_unexpected(p, "',' or ')'");
    tag->values = values.items;
    tag->nvalues = values.n;
    tag->is_any = values.is_any;
    return 0;
}

static int
take_value(struct parser *p, struct stream_tag *tag)
{
    struct word word;
    struct err why = ERR_INIT;

    if (parse_word(p, &word, STOP_STREAM, "a value") == -1)
        return -1;
    tag->values = pool_zalloc(p->pool, sizeof(*tag->values));
    if (tag->values == NULL)
        return parse_no_memory(p);
    tag->values[0] = word.text;
    tag->nvalues = 1;
    if (tag->op != STREAM_RE && tag->op != STREAM_NOT_RE)
        return 0;
    if (regexp_compile(&tag->regexp, word.text,
        REGEXP_ANCHORED | REGEXP_DOT_NEWLINE, p->pool, &why) == -1)
        return parse_fail(p, word.pos, "%s", why.text);
    return 0;
}

/* A label ends at an operator, of which "=~" and others are one token. */
static int
take_label(struct parser *p, struct sv *out)
{
    struct sv raw = p->lex.token.raw;
    bool is_first = true;

    if (p->lex.token.kind == TOKEN_QUOTED) {
        *out = p->lex.token.text;
        lexer_next(&p->lex);
        return 0;
    }
    while ((is_first || p->lex.token.is_touching) &&
        (p->lex.token.kind == TOKEN_WORD || parse_at(p, ":") ||
        parse_at(p, "-") || parse_at(p, "/") || parse_at(p, "@"))) {
        raw.len = (size_t)(p->lex.token.raw.ptr + p->lex.token.raw.len -
            raw.ptr);
        is_first = false;
        lexer_next(&p->lex);
    }
    *out = raw;
    return is_first ? parse_unexpected(p, "a label or '}'") : 0;
}

static int
take_tag(struct parser *p, struct stream_tag *tag)
{
    if (parse_count(p) == -1 || take_label(p, &tag->label) == -1)
        return -1;
    if (parse_take(p, "in")) {
        tag->op = STREAM_IN;
        return take_values(p, tag);
    }
    if (parse_take(p, "not_in")) {
        tag->op = STREAM_NOT_IN;
        return take_values(p, tag);
    }
    if (parse_take(p, "="))
        tag->op = STREAM_EQ;
    else if (parse_take(p, "!="))
        tag->op = STREAM_NE;
    else if (parse_take(p, "=~"))
        tag->op = STREAM_RE;
    else if (parse_take(p, "!~"))
        tag->op = STREAM_NOT_RE;
    else
        return parse_unexpected(p, "=, !=, =~, !~, in or not_in");
    return take_value(p, tag);
}

/* Tags with commas between them, up to "or" or '}'. */
static int
take_all(struct parser *p, struct stream_all *all)
{
    uint32_t cap = 0;

    for (;;) {
        all->tags = parse_grow(p, all->tags, all->ntags, &cap,
            sizeof(*all->tags));
        if (all->tags == NULL || take_tag(p, &all->tags[all->ntags]) == -1)
            return -1;
        all->ntags++;
        if (parse_take(p, ",")) {
            if (parse_at(p, "}"))
                return 0;
            continue;
        }
        if (parse_at(p, "or") || parse_at(p, "}"))
            return 0;
        return parse_unexpected(p, "',', 'or' or '}'");
    }
}

int
parse_stream(struct parser *p, struct filter **out)
{
    struct filter *filter = filter_new(p->pool, FILTER_STREAM, SV("_stream"),
        lexer_pos(&p->lex));
    uint32_t cap = 0;

    *out = filter;
    if (filter == NULL)
        return parse_no_memory(p);
    if (parse_want(p, "{", "after '_stream:'") == -1)
        return -1;
    if (parse_take(p, "}"))
        return 0;
    do {
        filter->stream = parse_grow(p, filter->stream, filter->nstream, &cap,
            sizeof(*filter->stream));
        if (filter->stream == NULL ||
            take_all(p, &filter->stream[filter->nstream]) == -1)
            return -1;
        filter->nstream++;
    } while (parse_take(p, "or"));
    return parse_want(p, "}", "after a stream filter");
}

/* --- _stream_id --- */

static int
check_id(struct parser *p, uint32_t pos, struct sv *id)
{
    char *copy = pool_dup(p->pool, id->ptr, id->len);

    if (copy == NULL)
        return parse_no_memory(p);
    for (size_t i = 0; i < id->len; i++) {
        if (copy[i] >= 'A' && copy[i] <= 'F')
            copy[i] = (char)(copy[i] - 'A' + 'a');
    }
    if (id->len != FLAT_STREAM_ID_LEN ||
        strspn(copy, "0123456789abcdef") != id->len)
        return parse_fail(p, pos, "'%s' is no stream id of %d hex digits",
            parse_show(*id).text, FLAT_STREAM_ID_LEN);
    id->ptr = copy;
    return 0;
}

int
parse_stream_id(struct parser *p, struct filter **out)
{
    uint32_t pos = lexer_pos(&p->lex);
    struct filter *filter = filter_new(p->pool, FILTER_STREAM_ID,
        SV("_stream_id"), pos);
    struct word word;

    *out = filter;
    if (filter == NULL)
        return parse_no_memory(p);
    if (parse_count(p) == -1)
        return -1;
    if (parse_take(p, "in")) {
        if (parse_in(p, filter, "in") == -1)
            return -1;
        if (filter->kind == FILTER_STREAM_ID && filter->nvalues == 0 &&
            filter->subquery == NULL)
            filter->kind = FILTER_NONE;
    } else if (parse_take(p, "*")) {
        filter->kind = FILTER_PREFIX;
        return 0;
    } else {
        (void)parse_take(p, "=");
        if (parse_word(p, &word, STOP_ARGUMENT, "a stream id") == -1)
            return -1;
        filter->values = pool_zalloc(p->pool, sizeof(*filter->values));
        if (filter->values == NULL)
            return parse_no_memory(p);
        filter->values[0] = word.text;
        filter->nvalues = 1;
    }
    for (uint32_t i = 0; i < filter->nvalues; i++) {
        if (check_id(p, pos, &filter->values[i]) == -1)
            return -1;
    }
    return 0;
}
