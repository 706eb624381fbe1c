/* SPDX-License-Identifier: BSD-2-Clause */

/* Filters of ranges: range[...], string_range(...) and so on. */

#include "core/base.h"

#include <math.h>

#include "query/parse_function.h"
#include "query/text.h"

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

int
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

int
call_string_range(struct parser *p, struct call *call)
{
    struct filter *filter = call->filter;

    if (call_take_args(p, call, 2, 2) == -1)
        return -1;
    filter->kind = FILTER_TEXT_RANGE;
    filter->text = call->args.items[0];
    filter->text_end = call->args.items[1];
    filter->has_text_end = filter->is_empty_matched = true;
    return call_keep_written(p, call);
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

int
call_len_range(struct parser *p, struct call *call)
{
    struct filter *filter = call->filter;

    if (call_take_args(p, call, 2, 2) == -1)
        return -1;
    filter->kind = FILTER_LEN_RANGE;
    if (!length_parse(call->args.items[0], &filter->len_min) ||
        !length_parse(call->args.items[1], &filter->len_max))
        return parse_fail(p, call->pos, "len_range() takes two lengths");
    return call_keep_written(p, call);
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

int
call_ipv4_range(struct parser *p, struct call *call)
{
    const struct values *args = &call->args;
    uint32_t min, max;
    bool is_good;

    if (call_take_args(p, call, 1, UINT32_MAX) == -1)
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
    return call_keep_written(p, call);
}
