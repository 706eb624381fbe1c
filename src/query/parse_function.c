/* SPDX-License-Identifier: BSD-2-Clause */

/* Filters that are written as functions: in(...), range[...] and so on. */

#include "core/base.h"

#include "query/parse_function.h"
#include "query/regexp.h"
#include "query/text.h"
#include "span/flat.h"

int
call_keep_written(struct parser *p, struct call *call)
{
    struct sb sb;

    sb_init(&sb, PARSE_TEXT_MAX);
    sb_add_str(&sb, call->name);
    sb_add_char(&sb, '(');
    for (uint32_t i = 0; i < call->args.n; i++) {
        if (i > 0)
            sb_add_str(&sb, ", ");
        print_word(&sb, call->args.items[i]);
    }
    sb_add_char(&sb, ')');
    return parse_keep(p, &sb, &call->filter->written);
}

int
call_take_args(struct parser *p, struct call *call, uint32_t least, uint32_t most)
{
    int done = parse_values(p, &call->args);

    if (done == -1)
        return -1;
    if (done == 0)
        return parse_unexpected(p, "',' or ')'");
    if (call->args.is_any || call->args.n < least || call->args.n > most)
        return parse_fail(p, call->pos, least == most ?
            "%s() takes %u value%s" : "%s() takes %u value%s or more",
            call->name, least, least == 1 ? "" : "s");
    return 0;
}

/* --- lists and subqueries --- */

static bool
has_options(const struct query *query)
{
    return query->concurrency > 0 || query->parallel_readers > 0 ||
        query->ignore_global_time_filter || query->time_offset_ns != 0 ||
        query->allow_partial != PARTIAL_NOT_GIVEN;
}

static int
take_subquery(struct parser *p, struct filter *filter, const char *name)
{
    uint32_t pos = lexer_pos(&p->lex);
    const struct pipe *last;
    bool is_one = false;

    if (parse_inside(p, &filter->subquery) == -1)
        return -1;
    last = filter->subquery->pipes;
    while (last != NULL && last->next != NULL)
        last = last->next;
    if (last != NULL && (last->kind == PIPE_FIELDS ||
        (last->kind == PIPE_UNIQ && last->hits.len == 0)))
        is_one = last->nnames == 1 && !last->names[0].is_prefix;
    if (!is_one)
        return parse_fail(p, pos,
            "%s() takes values with commas between them, or a query that "
            "ends with '| fields' and one name", name);
    filter->subquery_field = last->names[0].name;
    /* Every value of the field itself (reference 3.8). */
    if (filter->kind == FILTER_IN && filter->subquery->npipes == 1 &&
        last->kind == PIPE_FIELDS && !has_options(filter->subquery) &&
        filter->subquery->filter->kind == FILTER_ALL &&
        sv_eq(filter->subquery_field, filter->field)) {
        filter->kind = FILTER_ALL;
        filter->subquery = NULL;
    }
    return 0;
}

int
parse_in(struct parser *p, struct filter *filter, const char *name)
{
    struct lexer before = p->lex;
    uint32_t nodes = p->nodes;
    struct values values;
    int done = parse_values(p, &values);

    if (done == -1)
        return -1;
    if (done == 0) {
        p->lex = before;
        p->nodes = nodes;
        return take_subquery(p, filter, name);
    }
    if (values.is_any)
        filter->kind = FILTER_ALL;
    filter->values = values.items;
    filter->nvalues = values.n;
    return 0;
}

static void
drop_empty(struct filter *filter)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < filter->nvalues; i++) {
        if (filter->values[i].len > 0)
            filter->values[n++] = filter->values[i];
    }
    filter->nvalues = n;
    if (n == 0 && filter->subquery == NULL)
        filter->kind = FILTER_ALL;
}

int
call_in(struct parser *p, struct call *call)
{
    struct filter *filter = call->filter;

    filter->kind = FILTER_IN;
    if (parse_in(p, filter, call->name) == -1)
        return -1;
    if (filter->kind == FILTER_IN && filter->nvalues == 0 &&
        filter->subquery == NULL)
        filter->kind = FILTER_NONE;
    return 0;
}

int
call_contains_all(struct parser *p, struct call *call)
{
    call->filter->kind = FILTER_CONTAINS_ALL;
    if (parse_in(p, call->filter, call->name) == -1)
        return -1;
    if (call->filter->kind == FILTER_CONTAINS_ALL)
        drop_empty(call->filter);
    return 0;
}

int
call_contains_any(struct parser *p, struct call *call)
{
    struct filter *filter = call->filter;

    filter->kind = FILTER_CONTAINS_ANY;
    if (parse_in(p, filter, call->name) == -1)
        return -1;
    if (filter->kind != FILTER_CONTAINS_ANY || filter->subquery != NULL)
        return 0;
    if (filter->nvalues == 0)
        filter->kind = FILTER_NONE;
    for (uint32_t i = 0; i < filter->nvalues; i++) {
        if (filter->values[i].len == 0)
            filter->kind = FILTER_ALL;
    }
    return 0;
}

int
call_seq(struct parser *p, struct call *call)
{
    call->filter->kind = FILTER_SEQ;
    if (call_take_args(p, call, 0, UINT32_MAX) == -1)
        return -1;
    call->filter->values = call->args.items;
    call->filter->nvalues = call->args.n;
    drop_empty(call->filter);
    return 0;
}

/* --- one value, perhaps with a star --- */

/* "(value)", "(value*)" or "(*)". */
static int
take_one(struct parser *p, struct call *call, struct sv *text, bool *is_prefix)
{
    struct word word = {SV_EMPTY, false, 0};

    if (parse_want(p, "(", "before a value") == -1)
        return -1;
    if (!parse_at(p, "*") && parse_word(p, &word, STOP_ARGUMENT,
        "a value") == -1)
        return -1;
    *text = word.text;
    *is_prefix = parse_take(p, "*");
    if (parse_at(p, ","))
        return parse_fail(p, call->pos, "%s() takes one value", call->name);
    return parse_want(p, ")", "after a value");
}

int
call_exact(struct parser *p, struct call *call)
{
    bool is_prefix;

    if (take_one(p, call, &call->filter->text, &is_prefix) == -1)
        return -1;
    call->filter->kind = is_prefix ? FILTER_EXACT_PREFIX : FILTER_EXACT;
    return 0;
}

int
call_nocase(struct parser *p, struct call *call)
{
    struct filter *filter = call->filter;
    struct sv text;
    bool is_prefix;
    struct sb sb;

    if (take_one(p, call, &text, &is_prefix) == -1)
        return -1;
    if (text.len == 0) {
        filter->kind = is_prefix ? FILTER_PREFIX : FILTER_PHRASE;
        return 0;
    }
    filter->kind = is_prefix ? FILTER_PREFIX_NOCASE : FILTER_PHRASE_NOCASE;
    sb_init(&sb, PARSE_TEXT_MAX);
    text_lower(&sb, text);
    return parse_keep(p, &sb, &filter->text);
}

int
call_regexp(struct parser *p, struct call *call)
{
    struct filter *filter = call->filter;
    struct err why = ERR_INIT;

    if (call_take_args(p, call, 1, 1) == -1)
        return -1;
    filter->kind = FILTER_REGEXP;
    filter->text = call->args.items[0];
    if (regexp_compile(&filter->regexp, filter->text, REGEXP_DOT_NEWLINE,
        p->pool, &why) == -1)
        return parse_fail(p, call->pos, "%s", why.text);
    return 0;
}

int
call_value_type(struct parser *p, struct call *call)
{
    if (call_take_args(p, call, 1, 1) == -1)
        return -1;
    call->filter->kind = FILTER_VALUE_TYPE;
    call->filter->text = call->args.items[0];
    return 0;
}

int
call_field(struct parser *p, struct call *call)
{
    if (call_take_args(p, call, 1, 1) == -1)
        return -1;
    call->filter->kind = call->name[0] == 'e' ? FILTER_EQ_FIELD :
        call->name[1] == 'e' ? FILTER_LE_FIELD : FILTER_LT_FIELD;
    call->filter->text = flat_name(call->args.items[0], p->pool);
    return 0;
}

/* --- which --- */

int
parse_function(struct parser *p, struct filter **out, struct sv field)
{
    struct lexer before = p->lex;
    struct call call = {.pos = lexer_pos(&p->lex)};
    const struct filter_name *name = p->lex.token.kind == TOKEN_WORD ?
        filter_name_find(p->lex.token.raw) : NULL;

    if (name == NULL)
        return 0;
    lexer_next(&p->lex);
    if (!parse_at(p, "(") &&
        !(name->call == call_range && parse_at(p, "["))) {
        p->lex = before;
        return 0;
    }
    call.name = name->name;
    *out = call.filter = filter_new(p->pool, FILTER_PHRASE, field, call.pos);
    if (call.filter == NULL)
        return parse_no_memory(p);
    if (p->is_field_prefix && (name->call == call_field ||
        name->call == call_value_type))
        return parse_fail(p, call.pos, "%s() takes one field, not those "
            "with a prefix", call.name);
    call.filter->is_field_prefix = p->is_field_prefix;
    return name->call(p, &call) == -1 ? -1 : 1;
}
