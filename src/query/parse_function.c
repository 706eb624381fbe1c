/* SPDX-License-Identifier: BSD-2-Clause */

/* Filters that are written as functions: in(...), range[...] and so on. */

#include "core/base.h"

#include <math.h>

#include "query/parser.h"
#include "query/regexp.h"
#include "query/text.h"
#include "span/flat.h"

/* A call while it is parsed. */
struct call {
    const char *name;
    uint32_t pos; /* of the name */
    struct filter *filter;
    struct values args;
};

typedef int (*call_fn)(struct parser *p, struct call *call);

/* name(a, b): keeps it as it was written, for the canonical text. */
static int
keep_written(struct parser *p, struct call *call)
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

/* A list of least to most values, no (*). */
static int
take_args(struct parser *p, struct call *call, uint32_t least, uint32_t most)
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

static int
take_subquery(struct parser *p, struct filter *filter, const char *name)
{
    uint32_t pos = lexer_pos(&p->lex);
    const struct pipe *last;
    bool is_one = false;

    if (parse_enter(p) == -1 || parse_want(p, "(", "before a list") == -1 ||
        parse_query(p, &filter->subquery) == -1)
        return -1;
    parse_leave(p);
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
    return parse_want(p, ")", "after a subquery");
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

static int IMPL(call_fn)
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

static int IMPL(call_fn)
call_contains_all(struct parser *p, struct call *call)
{
    call->filter->kind = FILTER_CONTAINS_ALL;
    if (parse_in(p, call->filter, call->name) == -1)
        return -1;
    if (call->filter->kind == FILTER_CONTAINS_ALL)
        drop_empty(call->filter);
    return 0;
}

static int IMPL(call_fn)
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

static int IMPL(call_fn)
call_seq(struct parser *p, struct call *call)
{
    call->filter->kind = FILTER_SEQ;
    if (take_args(p, call, 0, UINT32_MAX) == -1)
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

static int IMPL(call_fn)
call_exact(struct parser *p, struct call *call)
{
    bool is_prefix;

    if (take_one(p, call, &call->filter->text, &is_prefix) == -1)
        return -1;
    call->filter->kind = is_prefix ? FILTER_EXACT_PREFIX : FILTER_EXACT;
    return 0;
}

static int IMPL(call_fn)
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

static int IMPL(call_fn)
call_regexp(struct parser *p, struct call *call)
{
    struct filter *filter = call->filter;
    struct err why = ERR_INIT;

    if (take_args(p, call, 1, 1) == -1)
        return -1;
    filter->kind = FILTER_REGEXP;
    filter->text = call->args.items[0];
    if (regexp_compile(&filter->regexp, filter->text, REGEXP_DOT_NEWLINE,
        p->pool, &why) == -1)
        return parse_fail(p, call->pos, "%s", why.text);
    return 0;
}

static int IMPL(call_fn)
call_value_type(struct parser *p, struct call *call)
{
    if (take_args(p, call, 1, 1) == -1)
        return -1;
    call->filter->kind = FILTER_VALUE_TYPE;
    call->filter->text = call->args.items[0];
    return 0;
}

static int IMPL(call_fn)
call_field(struct parser *p, struct call *call)
{
    if (take_args(p, call, 1, 1) == -1)
        return -1;
    call->filter->kind = call->name[0] == 'e' ? FILTER_EQ_FIELD :
        call->name[1] == 'e' ? FILTER_LE_FIELD : FILTER_LT_FIELD;
    call->filter->text = flat_name(call->args.items[0], p->pool);
    return 0;
}

/* --- ranges --- */

static int
take_bound(struct parser *p, struct word *word, double *out)
{
    struct sv text;

    if (parse_word(p, word, STOP_NAME, "a number") == -1)
        return -1;
    text = word->text;
    if (text.len > 1 && text.ptr[0] == '+')
        text = sv_sub(text, 1, text.len - 1);
    if (operand_parse(text, out))
        return 0;
    return parse_fail(p, word->pos, "expected a number, found '%s'",
        parse_show(word->text).text);
}

static int IMPL(call_fn)
call_range(struct parser *p, struct call *call)
{
    struct filter *filter = call->filter;
    bool is_low_open = parse_at(p, "("), is_high_open;
    struct word low, high;
    struct sb sb;

    lexer_next(&p->lex);
    if (take_bound(p, &low, &filter->min) == -1 ||
        parse_want(p, ",", "between the ends of a range") == -1 ||
        take_bound(p, &high, &filter->max) == -1)
        return -1;
    is_high_open = parse_at(p, ")");
    if (!parse_take(p, ")") && !parse_take(p, "]"))
        return parse_unexpected(p, "')' or ']'");
    filter->kind = FILTER_NUMBER_RANGE;
    if (is_low_open)
        filter->min = filter->min == INFINITY ? NAN :
            nextafter(filter->min, INFINITY);
    if (is_high_open)
        filter->max = filter->max == -INFINITY ? NAN :
            nextafter(filter->max, -INFINITY);
    sb_init(&sb, PARSE_TEXT_MAX);
    sb_add_str(&sb, is_low_open ? "range(" : "range[");
    print_word(&sb, low.text);
    sb_add_str(&sb, ", ");
    print_word(&sb, high.text);
    sb_add_char(&sb, is_high_open ? ')' : ']');
    return parse_keep(p, &sb, &filter->written);
}

static int IMPL(call_fn)
call_string_range(struct parser *p, struct call *call)
{
    struct filter *filter = call->filter;

    if (take_args(p, call, 2, 2) == -1)
        return -1;
    filter->kind = FILTER_TEXT_RANGE;
    filter->text = call->args.items[0];
    filter->text_end = call->args.items[1];
    filter->has_text_end = filter->is_empty_matched = true;
    return keep_written(p, call);
}

/* "-1" is taken as a number no length has (the peer's conversion). */
static bool
length_parse(struct sv text, uint64_t *out)
{
    if (text.len > 1 && text.ptr[0] == '-') {
        if (!uint_parse(sv_sub(text, 1, text.len - 1), out))
            return false;
        *out = 0 - *out;
        return true;
    }
    return uint_parse(text, out);
}

static int IMPL(call_fn)
call_len_range(struct parser *p, struct call *call)
{
    struct filter *filter = call->filter;

    if (take_args(p, call, 2, 2) == -1)
        return -1;
    filter->kind = FILTER_LEN_RANGE;
    if (!length_parse(call->args.items[0], &filter->len_min) ||
        !length_parse(call->args.items[1], &filter->len_max))
        return parse_fail(p, call->pos, "len_range() takes two lengths");
    return keep_written(p, call);
}

/* "10.0.0.0/24" */
static bool
cidr_parse(struct sv text, uint32_t *min, uint32_t *max)
{
    size_t slash = sv_find_byte(text, '/');
    uint32_t ip, mask = UINT32_MAX;

    if (!ipv4_parse(sv_sub(text, 0, slash), &ip))
        return false;
    if (slash < text.len) {
        uint64_t bits;

        if (!uint_parse(sv_sub(text, slash + 1, text.len), &bits) ||
            bits > 32)
            return false;
        mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
    }
    *min = ip & mask;
    *max = ip | ~mask;
    return true;
}

static int IMPL(call_fn)
call_ipv4_range(struct parser *p, struct call *call)
{
    const struct values *args = &call->args;
    uint32_t min, max;
    bool is_good;

    if (take_args(p, call, 1, UINT32_MAX) == -1)
        return -1;
    if (args->n == 1)
        is_good = cidr_parse(args->items[0], &min, &max);
    else
        is_good = args->n == 2 && ipv4_parse(args->items[0], &min) &&
            ipv4_parse(args->items[1], &max);
    if (!is_good)
        return parse_fail(p, call->pos, "ipv4_range() takes two IPv4 "
            "addresses, one, or a network as 10.0.0.0/8");
    call->filter->kind = FILTER_IPV4_RANGE;
    call->filter->len_min = min;
    call->filter->len_max = max;
    return keep_written(p, call);
}

/* --- which --- */

static const struct {
    const char *name;
    call_fn fn;
} calls[] = {
    {"in", call_in},
    {"contains_all", call_contains_all},
    {"contains_any", call_contains_any},
    {"seq", call_seq},
    {"exact", call_exact},
    {"i", call_nocase},
    {"re", call_regexp},
    {"range", call_range},
    {"string_range", call_string_range},
    {"len_range", call_len_range},
    {"ipv4_range", call_ipv4_range},
    {"value_type", call_value_type},
    {"eq_field", call_field},
    {"le_field", call_field},
    {"lt_field", call_field},
};

int
parse_function(struct parser *p, struct filter **out, struct sv field)
{
    struct lexer before = p->lex;
    struct call call = {.pos = lexer_pos(&p->lex)};

    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        if (!parse_take(p, calls[i].name))
            continue;
        call.name = calls[i].name;
        if (!parse_at(p, "(") &&
            !(calls[i].fn == call_range && parse_at(p, "["))) {
            p->lex = before;
            return 0;
        }
        *out = call.filter = filter_new(p->pool, FILTER_PHRASE, field,
            call.pos);
        if (call.filter == NULL)
            return parse_no_memory(p);
        return calls[i].fn(p, &call) == -1 ? -1 : 1;
    }
    return 0;
}
