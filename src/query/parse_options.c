/* SPDX-License-Identifier: BSD-2-Clause */

/* options(...) in front of a query (reference 3.7, 11.2). */

#include "core/base.h"

#include "query/parser.h"
#include "query/text.h"

static int
take_number(struct parser *p, uint32_t *out)
{
    struct word value;
    uint64_t n;

    if (parse_word(p, &value, STOP_NAME, "the value of an option") == -1)
        return -1;
    if (!uint_parse(value.text, &n))
        return parse_fail(p, value.pos, "expected a number, found '%s'",
            parse_show(value.text).text);
    *out = (uint32_t)MIN(n, UINT32_MAX);
    return 0;
}

static int
take_bool(struct parser *p, bool *out)
{
    struct word value;

    if (parse_word(p, &value, STOP_NAME, "the value of an option") == -1)
        return -1;
    *out = sv_eq(value.text, SV("true"));
    if (!*out && !sv_eq(value.text, SV("false")))
        return parse_fail(p, value.pos, "expected true or false, found '%s'",
            parse_show(value.text).text);
    return 0;
}

static int
take_duration(struct parser *p, struct query *query)
{
    struct word value;

    if (parse_word(p, &value, STOP_NAME, "the value of an option") == -1)
        return -1;
    if (!duration_parse(value.text, &query->time_offset_ns) ||
        query->time_offset_ns == INT64_MIN)
        return parse_fail(p, value.pos, "expected a duration, found '%s'",
            parse_show(value.text).text);
    query->time_offset = value.text;
    return 0;
}

static int
take_filter(struct parser *p, struct filter **out)
{
    if (parse_enter(p) == -1 ||
        parse_want(p, "(", "before a filter") == -1 ||
        parse_first_filter(p, out) == -1)
        return -1;
    parse_leave(p);
    return parse_want(p, ")", "after a filter");
}

static int
take_value(struct parser *p, const struct word *name, struct query *query,
    struct filter **global)
{
    bool flag;

    if (sv_eq(name->text, SV("concurrency")))
        return take_number(p, &query->concurrency);
    if (sv_eq(name->text, SV("parallel_readers")))
        return take_number(p, &query->parallel_readers);
    if (sv_eq(name->text, SV("ignore_global_time_filter")))
        return take_bool(p, &query->ignore_global_time_filter);
    if (sv_eq(name->text, SV("time_offset")))
        return take_duration(p, query);
    if (sv_eq(name->text, SV("global_filter")))
        return take_filter(p, global);
    if (!sv_eq(name->text, SV("allow_partial_response")))
        return parse_fail(p, name->pos, "unknown option '%s'; there are "
            "concurrency, ignore_global_time_filter, parallel_readers, "
            "time_offset, allow_partial_response and global_filter",
            parse_show(name->text).text);
    if (take_bool(p, &flag) == -1)
        return -1;
    query->allow_partial = flag ? PARTIAL_ALLOWED : PARTIAL_REFUSED;
    return 0;
}

int
parse_query_options(struct parser *p, struct query *query, struct filter **global)
{
    if (parse_want(p, "(", "after 'options'") == -1)
        return -1;
    while (!parse_take(p, ")")) {
        struct word name;

        if (parse_word(p, &name, "=,()|", "the name of an option") == -1 ||
            parse_want(p, "=", "after the name of an option") == -1 ||
            take_value(p, &name, query, global) == -1)
            return -1;
        if (!parse_take(p, ",") && !parse_at(p, ")"))
            return parse_unexpected(p, "',' or ')'");
    }
    return 0;
}

/* --- print --- */

static void
print_option(struct sb *out, const char *name, struct sv value, bool *is_any)
{
    sb_add_str(out, *is_any ? ", " : "options(");
    sb_add_str(out, name);
    sb_add_char(out, '=');
    print_word(out, value);
    *is_any = true;
}

static void
print_number(struct sb *out, const char *name, uint32_t n, bool *is_any)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", n);
    print_option(out, name, sv_from(text), is_any);
}

/* global_filter is a part of the filters by then. */
void
print_query_options(struct sb *out, const struct query *query)
{
    static const struct query none;
    const struct query *outer = query->outer == NULL ? &none : query->outer;
    bool is_any = false;

    /* What is not given is that of the query around it. */
    if (query->concurrency > 0 || outer->concurrency > 0)
        print_number(out, "concurrency", query->concurrency, &is_any);
    if (query->parallel_readers > 0 || outer->parallel_readers > 0)
        print_number(out, "parallel_readers", query->parallel_readers,
            &is_any);
    if (query->ignore_global_time_filter || outer->ignore_global_time_filter)
        print_option(out, "ignore_global_time_filter",
            query->ignore_global_time_filter ? SV("true") : SV("false"),
            &is_any);
    if (query->allow_partial != PARTIAL_NOT_GIVEN)
        print_option(out, "allow_partial_response",
            query->allow_partial == PARTIAL_ALLOWED ? SV("true") :
            SV("false"), &is_any);
    if (query->time_offset_ns != 0 || outer->time_offset_ns != 0)
        print_option(out, "time_offset", query->time_offset, &is_any);
    if (is_any)
        sb_add_str(out, ") ");
}
