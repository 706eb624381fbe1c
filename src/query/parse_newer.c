/* SPDX-License-Identifier: BSD-2-Clause */

/* Functions of later versions of the language (reference 11.3). */

#include "core/base.h"

#include <arpa/inet.h>
#include <ctype.h>

#include "core/num.h"
#include "query/parse_function.h"
#include "query/text_pattern.h"
#include "span/flat.h"

/* --- patterns --- */

static int
take_pattern(struct parser *p, struct call *call, enum pattern_ends ends)
{
    struct filter *filter = call->filter;
    struct err why = ERR_INIT;

    if (call_take_args(p, call, 1, 1) == -1)
        return -1;
    filter->kind = FILTER_PATTERN;
    filter->text = call->args.items[0];
    if (text_pattern_make(&filter->pattern, filter->text, ends, p->pool,
        &why) == -1)
        return parse_fail(p, call->pos, "%s", why.text);
    return call_keep_written(p, call);
}

int
call_pattern_match(struct parser *p, struct call *call)
{
    return take_pattern(p, call, PATTERN_ANYWHERE);
}

int
call_pattern_match_full(struct parser *p, struct call *call)
{
    return take_pattern(p, call, PATTERN_AT_START | PATTERN_AT_END);
}

int
call_pattern_match_prefix(struct parser *p, struct call *call)
{
    return take_pattern(p, call, PATTERN_AT_START);
}

int
call_pattern_match_suffix(struct parser *p, struct call *call)
{
    return take_pattern(p, call, PATTERN_AT_END);
}

/* --- usual cases of letters --- */

/* The text with one of the functions applied to all letters, or to one. */
static int
push_case(struct parser *p, struct values *out, struct sv text,
    int (*change)(int), size_t only)
{
    char *copy = pool_dup(p->pool, text.ptr, text.len);

    if (copy == NULL)
        return parse_no_memory(p);
    for (size_t i = 0; i < text.len && change != NULL; i++) {
        unsigned char c = (unsigned char)copy[i];

        if (c < 0x80 && (only == SIZE_MAX || only == i))
            copy[i] = (char)change(c);
    }
    out->items = parse_grow(p, out->items, out->n, &out->cap,
        sizeof(*out->items));
    if (out->items == NULL)
        return -1;
    out->items[out->n++] = sv_make(copy, text.len);
    return 0;
}

static int
push_cases(struct parser *p, struct values *out, struct sv text)
{
    if (push_case(p, out, text, NULL, SIZE_MAX) == -1 ||
        push_case(p, out, text, toupper, SIZE_MAX) == -1 ||
        push_case(p, out, text, tolower, SIZE_MAX) == -1)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] >= 'A' && text.ptr[i] <= 'Z' &&
            push_case(p, out, text, tolower, i) == -1)
            return -1;
    }
    return 0;
}

static int
take_cases(struct parser *p, struct call *call, enum filter_kind kind)
{
    struct filter *filter = call->filter;
    struct values all = {NULL, 0, 0, false};
    bool has_empty = false;

    if (call_take_args(p, call, 0, UINT32_MAX) == -1 ||
        call_keep_written(p, call) == -1)
        return -1;
    for (uint32_t i = 0; i < call->args.n; i++) {
        has_empty |= call->args.items[i].len == 0;
        if (push_cases(p, &all, call->args.items[i]) == -1)
            return -1;
    }
    filter->kind = all.n == 0 ? FILTER_NONE :
        has_empty && kind == FILTER_CONTAINS_ANY ? FILTER_ALL : kind;
    filter->values = all.items;
    filter->nvalues = all.n;
    return 0;
}

int
call_equals_case(struct parser *p, struct call *call)
{
    return take_cases(p, call, FILTER_IN);
}

int
call_contains_case(struct parser *p, struct call *call)
{
    return take_cases(p, call, FILTER_CONTAINS_ANY);
}

/* --- IPv6 --- */

#define IPV6_LEN 16u

/* "2001:db8::/32" */
static bool
cidr6_parse(struct sv text, uint8_t *min, uint8_t *max)
{
    size_t slash = sv_find_byte(text, '/');
    uint64_t bits = 8 * IPV6_LEN;

    if (!ipv6_parse(sv_sub(text, 0, slash), min))
        return false;
    if (slash < text.len && (!num_parse_u64(sv_sub(text, slash + 1,
        text.len), &bits) || bits > 8 * IPV6_LEN))
        return false;
    for (unsigned i = 0; i < IPV6_LEN; i++) {
        uint64_t left = bits > 8 * i ? MIN(bits - 8 * i, (uint64_t)8) : 0;
        uint8_t mask = (uint8_t)(0xff00 >> left);

        min[i] &= mask;
        max[i] = min[i] | (uint8_t)~mask;
    }
    return true;
}

int
call_ipv6_range(struct parser *p, struct call *call)
{
    const struct values *args = &call->args;
    uint8_t *ends = pool_alloc(p->pool, 2 * IPV6_LEN);
    bool is_good = false;

    if (ends == NULL)
        return parse_no_memory(p);
    if (call_take_args(p, call, 1, UINT32_MAX) == -1)
        return -1;
    if (args->n == 1)
        is_good = cidr6_parse(args->items[0], ends, ends + IPV6_LEN);
    else if (args->n == 2)
        is_good = ipv6_parse(args->items[0], ends) &&
            ipv6_parse(args->items[1], ends + IPV6_LEN);
    if (!is_good)
        return parse_fail(p, call->pos, "ipv6_range() takes two IPv6 "
            "addresses, one, or a network as 2001:db8::/32");
    call->filter->kind = FILTER_IPV6_RANGE;
    call->filter->text = sv_make(ends, IPV6_LEN);
    call->filter->text_end = sv_make(ends + IPV6_LEN, IPV6_LEN);
    return call_keep_written(p, call);
}

/* --- JSON arrays --- */

int
call_json_array(struct parser *p, struct call *call)
{
    if (call_take_args(p, call, 0, UINT32_MAX) == -1)
        return -1;
    call->filter->kind = call->args.n == 0 ? FILTER_NONE : FILTER_JSON_ARRAY;
    call->filter->values = call->args.items;
    call->filter->nvalues = call->args.n;
    return call_keep_written(p, call);
}
