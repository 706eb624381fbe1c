/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/filter.h"

#include "core/assert.h"
#include "core/json_in.h"
#include "core/pool.h"
#include "query/regexp.h"
#include "query/text.h"
#include "query/text_pattern.h"

static bool
match_contains_all(const struct filter *filter, struct sv text)
{
    for (uint32_t i = 0; i < filter->nvalues; i++) {
        if (filter->values[i].len > 0 &&
            !match_phrase(text, filter->values[i]))
            return false;
    }
    return true;
}

static bool
match_contains_any(const struct filter *filter, struct sv text)
{
    for (uint32_t i = 0; i < filter->nvalues; i++) {
        if (filter->values[i].len == 0 ||
            match_phrase(text, filter->values[i]))
            return true;
    }
    return false;
}

/* Values are sorted by sv_cmp(). */
static bool
match_in(const struct filter *filter, struct sv text)
{
    uint32_t low = 0, high = filter->nvalues;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = sv_cmp(filter->values[middle], text);

        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool
match_number(const struct filter *filter, struct sv text)
{
    double v;

    return operand_parse(text, &v) && v >= filter->min && v <= filter->max;
}

static bool
match_text_range(const struct filter *filter, struct sv text)
{
    if (text.len == 0 && !filter->is_empty_matched)
        return false;
    return sv_cmp(text, filter->text) >= 0 && (!filter->has_text_end ||
        sv_cmp(text, filter->text_end) < 0);
}

static bool
match_ipv4(const struct filter *filter, struct sv text)
{
    uint32_t ip;

    return ipv4_parse(text, &ip) && ip >= filter->len_min &&
        ip <= filter->len_max;
}

static bool
match_ipv6(const struct filter *filter, struct sv text)
{
    uint8_t ip[16];

    return ipv6_parse(text, ip) &&
        memcmp(ip, filter->text.ptr, sizeof(ip)) >= 0 &&
        memcmp(ip, filter->text_end.ptr, sizeof(ip)) <= 0;
}

/* Decoded strings of one array. */
#define ARRAY_POOL_MAX (64 * MIB)

/* The text of a scalar; false: it is none. */
static bool
read_scalar(struct json_in *in, struct sv *out)
{
    bool flag;

    switch (json_peek(in)) {
    case JSON_STRING:
        return json_read_string(in, out);
    case JSON_NUMBER:
        return json_read_number(in, out);
    case JSON_TRUE:
    case JSON_FALSE:
        if (!json_read_bool(in, &flag))
            return false;
        *out = flag ? SV("true") : SV("false");
        return true;
    case JSON_NULL:
        *out = SV("null");
        return json_read_null(in);
    default:
        (void)json_skip(in);
        return false;
    }
}

static bool
match_json_array(const struct filter *filter, struct sv text)
{
    struct json_in in;
    struct pool *pool;
    bool found = false;

    text = sv_trim(text);
    if (text.len < 2 || text.ptr[0] != '[')
        return false;
    pool = pool_new(ARRAY_POOL_MAX);
    json_in_init(&in, text, pool);
    if (json_enter_array(&in)) {
        while (json_next_item(&in)) {
            struct sv item;

            if (read_scalar(&in, &item) && match_in(filter, item))
                found = true;
        }
    }
    found = found && !json_in_failed(&in) && json_peek(&in) == JSON_END;
    pool_free(pool);
    return found;
}

/* Nanoseconds from `floor`'s last multiple to t. */
static int64_t
floor_mod(int64_t t, int64_t floor)
{
    int64_t rest = t % floor;

    return rest < 0 ? rest + floor : rest;
}

bool
filter_match_time(const struct filter *filter, int64_t time_ns)
{
    int64_t shifted;
    uint64_t day;

    if (filter->kind == FILTER_TIME)
        return time_ns >= filter->time_min && time_ns <= filter->time_max;
    if (__builtin_sub_overflow(time_ns, filter->offset, &shifted))
        return false;
    if (filter->kind == FILTER_DAY_RANGE) {
        shifted = floor_mod(shifted, NS_PER_DAY);
        return shifted >= filter->time_min && shifted <= filter->time_max;
    }
    /* 1970-01-01 was a Thursday. */
    day = (uint64_t)(floor_mod(shifted, 7 * NS_PER_DAY) / NS_PER_DAY + 4) % 7;
    return day >= filter->len_min && day <= filter->len_max;
}

static bool
match_length(const struct filter *filter, struct sv text)
{
    uint64_t n = text_length(text);

    return n >= filter->len_min && n <= filter->len_max;
}

static int
match_time_text(const struct filter *filter, struct sv text)
{
    int64_t time_ns;

    return time_parse_value(text, &time_ns) &&
        filter_match_time(filter, time_ns);
}

/* Those whose operand is one text. */
static int
match_one(const struct filter *filter, struct sv text)
{
    switch (filter->kind) {
    case FILTER_PHRASE:
        return filter->text.len == 0 ? text.len == 0
            : match_phrase(text, filter->text);
    case FILTER_PREFIX:
        return filter->text.len == 0 ? text.len > 0
            : match_prefix(text, filter->text);
    case FILTER_PHRASE_NOCASE:
        return filter->text.len == 0 ? text.len == 0
            : match_phrase_nocase(text, filter->text);
    case FILTER_PREFIX_NOCASE:
        return filter->text.len == 0 ? text.len > 0
            : match_prefix_nocase(text, filter->text);
    case FILTER_EXACT:
        return sv_eq(text, filter->text);
    case FILTER_EXACT_PREFIX:
        return sv_starts_with(text, filter->text);
    default:
        panic("filter %d is not one of a text", filter->kind);
    }
}

int
filter_match_text(const struct filter *filter, struct sv text,
    struct err *err)
{
    switch (filter->kind) {
    case FILTER_IN:
    case FILTER_STREAM_ID:
        return match_in(filter, text);
    case FILTER_CONTAINS_ALL:
        return match_contains_all(filter, text);
    case FILTER_CONTAINS_ANY:
        return match_contains_any(filter, text);
    case FILTER_SEQ:
        return match_seq(text, filter->values, filter->nvalues);
    case FILTER_REGEXP:
        return regexp_match(filter->regexp, text, err);
    case FILTER_NUMBER_RANGE:
        return match_number(filter, text);
    case FILTER_TEXT_RANGE:
        return match_text_range(filter, text);
    case FILTER_LEN_RANGE:
        return match_length(filter, text);
    case FILTER_IPV4_RANGE:
        return match_ipv4(filter, text);
    case FILTER_IPV6_RANGE:
        return match_ipv6(filter, text);
    case FILTER_JSON_ARRAY:
        return match_json_array(filter, text);
    case FILTER_PATTERN:
        return text_pattern_matches(filter->pattern, text);
    case FILTER_SUBSTRING:
        return memmem(text.ptr, text.len, filter->text.ptr,
            filter->text.len) != NULL;
    case FILTER_TIME:
    case FILTER_DAY_RANGE:
    case FILTER_WEEK_RANGE:
        return match_time_text(filter, text);
    case FILTER_STREAM:
        return filter_match_stream(filter, text, err);
    default:
        return match_one(filter, text);
    }
}
