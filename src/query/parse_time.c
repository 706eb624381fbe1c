/* SPDX-License-Identifier: BSD-2-Clause */

/* _time:... (reference 4.1 to 4.3). */

#include "core/base.h"

#include "query/parser.h"
#include "query/text.h"

/* A time filter while it is parsed: its text goes to sb. */
struct time_part {
    struct filter *filter;
    struct sb sb;
};

/* Stays at the ends, which mean "no bound". */
static int64_t
move_time(int64_t t, int64_t by_ns)
{
    int64_t sum;

    if (t == INT64_MIN || t == INT64_MAX)
        return t;
    if (__builtin_add_overflow(t, by_ns, &sum))
        return by_ns < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

static int64_t
positive(int64_t ns)
{
    return ns == INT64_MIN ? INT64_MAX : ns < 0 ? -ns : ns;
}

/* Tells "2026-03" and "now-1h" from "5m" and "2000ms" (reference 4.1). */
static bool
is_absolute(struct sv text)
{
    if (sv_starts_with(text, SV("now")) && (text.len == 3 ||
        text.ptr[3] == '-' || text.ptr[3] == '+'))
        return true;
    if (text.len < 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    }
    return text.len == 4 || text.ptr[4] == '-' || text.ptr[4] == '+' ||
        text.ptr[4] == 'Z';
}

static int
take_word(struct parser *p, struct time_part *part, struct word *word,
    const char *what)
{
    if (parse_word(p, word, STOP_NAME, what) == -1)
        return -1;
    print_word(&part->sb, word->text);
    return 0;
}

static int
bad_time(struct parser *p, const struct word *word)
{
    return parse_fail(p, word->pos, "'%s' is neither a time nor a duration",
        parse_show(word->text).text);
}

/* now - d to now, or the open side of it. */
static void
set_relative(struct filter *filter, const char *op, int64_t d, int64_t now)
{
    int64_t start = move_time(now, -positive(d));

    filter->time_min = start;
    filter->time_max = now;
    if (op[0] == '<' && op[1] == '\0') {
        filter->time_min = move_time(start, 1);
    } else if (op[0] == '>') {
        filter->time_min = INT64_MIN;
        filter->time_max = op[1] == '=' ? start : move_time(start, -1);
    }
}

static void
set_absolute(struct filter *filter, const char *op, int64_t start, int64_t end)
{
    filter->time_min = start;
    filter->time_max = end;
    if (op[0] == '<') {
        filter->time_min = INT64_MIN;
        filter->time_max = op[1] == '=' ? end : move_time(start, -1);
    } else if (op[0] == '>') {
        filter->time_min = op[1] == '=' ? start : move_time(start, 1);
        filter->time_max = INT64_MAX;
    }
}

static const char *
take_operator(struct parser *p)
{
    if (parse_take(p, "="))
        return "=";
    if (parse_take(p, "<"))
        return parse_take(p, "=") ? "<=" : "<";
    if (parse_take(p, ">"))
        return parse_take(p, "=") ? ">=" : ">";
    return "";
}

/* An operator, perhaps, and one time or duration. */
static int
take_single(struct parser *p, struct time_part *part)
{
    const char *op = take_operator(p);
    struct word word;
    int64_t start, end;

    sb_add_str(&part->sb, op);
    if (take_word(p, part, &word, "a time or a duration") == -1)
        return -1;
    if (is_absolute(word.text)) {
        if (!time_parse_query(word.text, p->now_ns, &start, &end))
            return bad_time(p, &word);
        set_absolute(part->filter, op, start, end);
        return 0;
    }
    if (!duration_parse(word.text, &start))
        return bad_time(p, &word);
    set_relative(part->filter, op, start, p->now_ns);
    return 0;
}

/* "[A, B)" of two words, with the brackets' meaning. */
static int
take_pair(struct parser *p, struct time_part *part, struct word words[2],
    bool is_open[2])
{
    is_open[0] = parse_at(p, "(");
    if (!parse_take(p, "(") && !parse_take(p, "["))
        return parse_unexpected(p, "'[' or '('");
    sb_add_char(&part->sb, is_open[0] ? '(' : '[');
    if (take_word(p, part, &words[0], "the start of a range") == -1 ||
        parse_want(p, ",", "between the ends of a range") == -1)
        return -1;
    sb_add_str(&part->sb, ", ");
    if (take_word(p, part, &words[1], "the end of a range") == -1)
        return -1;
    is_open[1] = parse_at(p, ")");
    if (!parse_take(p, ")") && !parse_take(p, "]"))
        return parse_unexpected(p, "']' or ')'");
    sb_add_char(&part->sb, is_open[1] ? ')' : ']');
    return 0;
}

static int
take_range(struct parser *p, struct time_part *part)
{
    struct word words[2];
    bool is_open[2];
    int64_t start[2], end[2];

    if (take_pair(p, part, words, is_open) == -1)
        return -1;
    for (int i = 0; i < 2; i++) {
        if (!time_parse_query(words[i].text, p->now_ns, &start[i], &end[i]))
            return bad_time(p, &words[i]);
    }
    part->filter->time_min = is_open[0] ? move_time(start[0], 1) : start[0];
    part->filter->time_max = is_open[1] ? move_time(start[1], -1) : end[1];
    return 0;
}

/* "hh:mm" to nanoseconds; 24:00 is allowed. */
static bool
clock_parse(struct sv text, int64_t *ns)
{
    size_t colon = sv_find_byte(text, ':');
    uint64_t hours, minutes;

    if (colon == text.len || colon > 2 || text.len - colon - 1 != 2 ||
        !uint_parse(sv_sub(text, 0, colon), &hours) ||
        !uint_parse(sv_sub(text, colon + 1, 2), &minutes) ||
        minutes > 59 || hours > 24 || (hours == 24 && minutes > 0))
        return false;
    *ns = (int64_t)(hours * 60 + minutes) * 60 * NS_PER_SEC;
    return true;
}

static int
take_day_range(struct parser *p, struct time_part *part)
{
    struct filter *filter = part->filter;
    struct word words[2];
    bool is_open[2];
    int64_t ns[2];

    sb_add_str(&part->sb, "day_range");
    if (take_pair(p, part, words, is_open) == -1)
        return -1;
    for (int i = 0; i < 2; i++) {
        if (!clock_parse(words[i].text, &ns[i]))
            return parse_fail(p, words[i].pos,
                "expected a time of day as 18:00, found '%s'",
                parse_show(words[i].text).text);
    }
    filter->kind = FILTER_DAY_RANGE;
    filter->time_min = ns[0] + is_open[0];
    filter->time_max = MIN(ns[1] - is_open[1], NS_PER_DAY - 1);
    return 0;
}

static bool
day_parse(struct sv text, int *day)
{
    static const char *const names[] = {
        "sunday", "monday", "tuesday", "wednesday", "thursday", "friday",
        "saturday",
    };

    for (int i = 0; i < 7; i++) {
        struct sv name = sv_from(names[i]);

        if (sv_eq_nocase(text, name) ||
            sv_eq_nocase(text, sv_sub(name, 0, 3))) {
            *day = i;
            return true;
        }
    }
    return false;
}

static int
take_week_range(struct parser *p, struct time_part *part)
{
    struct filter *filter = part->filter;
    struct word words[2];
    bool is_open[2];
    int day[2];

    sb_add_str(&part->sb, "week_range");
    if (take_pair(p, part, words, is_open) == -1)
        return -1;
    for (int i = 0; i < 2; i++) {
        if (!day_parse(words[i].text, &day[i]))
            return parse_fail(p, words[i].pos,
                "expected a day of the week as Mon, found '%s'",
                parse_show(words[i].text).text);
    }
    day[0] += is_open[0];
    day[1] -= is_open[1];
    filter->kind = FILTER_WEEK_RANGE;
    filter->len_min = day[1] < 0 ? 1 : (uint64_t)day[0];
    filter->len_max = day[1] < 0 ? 0 : (uint64_t)day[1];
    return 0;
}

/* " offset D" behind the rest. */
static int
take_offset(struct parser *p, struct time_part *part)
{
    struct filter *filter = part->filter;
    struct word word;
    int64_t ns;

    if (!parse_take(p, "offset"))
        return 0;
    if (part->sb.len > 0)
        sb_add_char(&part->sb, ' ');
    sb_add_str(&part->sb, "offset ");
    if (take_word(p, part, &word, "a duration after 'offset'") == -1)
        return -1;
    if (!duration_parse(word.text, &ns))
        return parse_fail(p, word.pos, "'%s' is no duration",
            parse_show(word.text).text);
    if (filter->kind != FILTER_TIME) {
        filter->offset = ns;
        return 0;
    }
    ns = ns == INT64_MIN ? INT64_MAX : -ns;
    filter->time_min = move_time(filter->time_min, ns);
    filter->time_max = move_time(filter->time_max, ns);
    return 0;
}

static int
take_parts(struct parser *p, struct time_part *part)
{
    int done;

    if (parse_at(p, "offset")) {
        part->filter->time_min = INT64_MIN;
        part->filter->time_max = p->now_ns;
        done = 0;
    } else if (parse_at(p, "[") || parse_at(p, "(")) {
        done = take_range(p, part);
    } else if (parse_take(p, "day_range")) {
        done = take_day_range(p, part);
    } else if (parse_take(p, "week_range")) {
        done = take_week_range(p, part);
    } else {
        done = take_single(p, part);
    }
    return done == -1 ? -1 : take_offset(p, part);
}

int
parse_time(struct parser *p, struct filter **out)
{
    struct time_part part;

    if (parse_count(p) == -1)
        return -1;
    *out = part.filter = filter_new(p->pool, FILTER_TIME, SV("_time"),
        lexer_pos(&p->lex));
    if (*out == NULL)
        return parse_no_memory(p);
    sb_init(&part.sb, PARSE_TEXT_MAX);
    if (take_parts(p, &part) == -1) {
        sb_release(&part.sb);
        return -1;
    }
    return parse_keep(p, &part.sb, &(*out)->written);
}
