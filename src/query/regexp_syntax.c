/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One pass from left to right.  Every character is either understood or
 * refused; what is written for PCRE2 holds nothing but groups that do not
 * capture, the flags i m s U, quantifiers without possessive forms, classes,
 * the escapes \d \w \p \b \A \z and characters by their number.  So nothing
 * that PCRE2 has and RE2 has not can get through.
 */

#include "core/base.h"
#include "query/regexp_syntax.h"

#include "core/num.h"
#include "query/regexp_scan.h"

/* --- the required literal --- */

static void
run_end(struct scan *scan)
{
    if (scan->run.len > scan->out->literal.len) {
        sb_reset(&scan->out->literal);
        sb_add_sv(&scan->out->literal, sb_sv(&scan->run));
    }
    sb_reset(&scan->run);
}

/* Anything but a literal: what comes before and after it need not touch. */
static void
run_break(struct scan *scan)
{
    scan->is_plain = false;
    if (scan->depth == 0)
        run_end(scan);
}

static void
run_add(struct scan *scan, struct sv rune, uint32_t c)
{
    /* U+FFFD matches bytes that are not UTF-8, too. */
    if (scan->depth > 0 || scan->is_fold || c == 0xfffd) {
        run_break(scan);
        return;
    }
    scan->run_last = scan->run.len;
    sb_add_sv(&scan->run, rune);
}

/* The last atom may be left out, or come again. */
static void
run_repeat(struct scan *scan, unsigned min)
{
    scan->is_plain = false;
    if (scan->depth > 0)
        return;
    if (scan->atom == ATOM_LITERAL && min == 0 && scan->run.len > 0)
        scan->run.len = scan->run_last;
    run_end(scan);
}

/* --- characters --- */

static size_t
encode(char dst[4], uint32_t c)
{
    if (c < 0x80) {
        dst[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        dst[0] = (char)(0xc0 | c >> 6);
        dst[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        dst[0] = (char)(0xe0 | c >> 12);
        dst[1] = (char)(0x80 | (c >> 6 & 0x3f));
        dst[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    dst[0] = (char)(0xf0 | c >> 18);
    dst[1] = (char)(0x80 | (c >> 12 & 0x3f));
    dst[2] = (char)(0x80 | (c >> 6 & 0x3f));
    dst[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static void
literal(struct scan *scan, uint32_t c)
{
    char text[4];

    scan_emit_char(scan, c);
    run_add(scan, sv_make(text, encode(text, c)), c);
    scan->atom = ATOM_LITERAL;
    scan->atom_repeat = 1;
}

/* --- groups --- */

static int
push(struct scan *scan, size_t pos)
{
    run_break(scan);
    if (scan->depth == REGEXP_DEPTH_MAX)
        return scan_refuse(scan, pos, "groups are nested too deeply");
    scan->frames[++scan->depth] = (struct frame){pos, 1};
    scan->atom = ATOM_NONE;
    return 0;
}

/* A group that captures, if anybody wants to know. */
static int
open_group(struct scan *scan, size_t pos, struct sv name)
{
    struct regexp_syntax *out = scan->out;

    if (!out->has_captures) {
        sb_add_str(&out->pattern, "(?:");
        return push(scan, pos);
    }
    if (out->ngroups == REGEXP_GROUPS_MAX)
        return scan_refuse(scan, pos, "too many groups");
    out->names[out->ngroups++] = name;
    sb_add_char(&out->pattern, '(');
    return push(scan, pos);
}

/* "(?P<name>" and "(?<name>": at is at the name. */
static int
take_name(struct scan *scan, size_t pos)
{
    size_t start = scan->at;

    while (scan_is_alnum((uint32_t)scan_peek(scan, 0))
        || scan_peek(scan, 0) == '_')
        scan->at++;
    if (scan->at == start || scan_peek(scan, 0) != '>')
        return scan_refuse(scan, pos, "bad name of a group");
    scan->at++;
    return open_group(scan, pos,
        sv_sub(scan->source, start, scan->at - 1 - start));
}

/* "(?i)", "(?i-s:": at is at the flags. */
static int
take_flags(struct scan *scan, size_t pos)
{
    struct sb *out = &scan->out->pattern;
    bool is_off = false, is_fold = scan->is_fold, has_flag = false;

    sb_add_str(out, "(?");
    for (;; scan->at++) {
        int c = scan_peek(scan, 0);

        if (c == 'i' || c == 'm' || c == 's' || c == 'U') {
            has_flag = true;
            if (c == 'i')
                is_fold = !is_off;
        } else if (c == '-' && !is_off) {
            is_off = true;
            has_flag = false;
        } else if ((c == ':' || c == ')') && (has_flag || (c == ':'
            && !is_off))) {
            break;
        } else {
            return scan_refuse(scan, pos, "unknown kind of group or flag");
        }
        sb_add_char(out, (char)c);
    }
    sb_add_char(out, (char)scan_peek(scan, 0));
    if (scan->source.ptr[scan->at++] == ':')
        return push(scan, pos);
    run_break(scan);
    if (scan->depth == 0)
        scan->is_fold = is_fold;
    scan->atom = ATOM_NONE;
    return 0;
}

/* At '('. */
static int
group_open(struct scan *scan)
{
    static const struct {
        const char *start;
        const char *what;
    } refused[] = {
        {"(?=", "look-around is not supported"},
        {"(?!", "look-around is not supported"},
        {"(?<=", "look-around is not supported"},
        {"(?<!", "look-around is not supported"},
        {"(?>", "atomic groups are not supported"},
        {"(?|", "branch reset is not supported"},
        {"(?#", "comments are not supported"},
        {"(?(", "conditions are not supported"},
        {"(?C", "callouts are not supported"},
        {"(?R", "recursion is not supported"},
        {"(?&", "recursion is not supported"},
        {"(?P>", "recursion is not supported"},
        {"(?P=", "back references are not supported"},
        {"(*", "verbs are not supported"},
    };
    size_t pos = scan->at;

    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if (scan_is_at(scan, refused[i].start))
            return scan_refuse(scan, pos, refused[i].what);
    }
    if (scan_is_at(scan, "(?P<") || scan_is_at(scan, "(?<")) {
        scan->at += scan_is_at(scan, "(?P<") ? 4 : 3;
        return take_name(scan, pos);
    }
    if (scan_is_at(scan, "(?")) {
        scan->at += 2;
        return take_flags(scan, pos);
    }
    scan->at++;
    return open_group(scan, pos, SV_EMPTY);
}

static int
group_close(struct scan *scan)
{
    struct frame *frame = &scan->frames[scan->depth];

    if (scan->depth == 0)
        return scan_refuse(scan, scan->at, ") without (");
    scan->depth--;
    scan->at++;
    sb_add_char(&scan->out->pattern, ')');
    scan->atom = ATOM_OTHER;
    scan->atom_repeat = frame->repeat;
    frame[-1].repeat = MAX(frame[-1].repeat, frame->repeat);
    return 0;
}

/* --- quantifiers --- */

struct repeat {
    unsigned min;
    unsigned max;
    bool has_max;
    bool is_count; /* {n,m} */
    size_t len;
};

static size_t
count_digits(struct sv text)
{
    size_t n = 0;

    while (n < text.len && text.ptr[n] >= '0' && text.ptr[n] <= '9')
        n++;
    return n;
}

/* Too large a count becomes one above the limit. */
static unsigned
count_value(struct sv digits)
{
    uint64_t v;

    if (!num_parse_u64(digits, &v) || v > REGEXP_REPEAT_MAX)
        return REGEXP_REPEAT_MAX + 1;
    return (unsigned)v;
}

/* "{2}", "{2,}", "{2,3}"; other braces are characters. */
static bool
peek_count(struct sv text, struct repeat *repeat)
{
    struct sv rest = sv_sub(text, 1, SIZE_MAX);
    size_t n = count_digits(rest);

    if (n == 0)
        return false;
    *repeat = (struct repeat){.min = count_value(sv_sub(rest, 0, n)),
        .has_max = true, .is_count = true};
    repeat->max = repeat->min;
    rest = sv_sub(rest, n, SIZE_MAX);
    if (rest.len > 0 && rest.ptr[0] == ',') {
        rest = sv_sub(rest, 1, SIZE_MAX);
        n = count_digits(rest);
        repeat->has_max = n > 0;
        if (n > 0)
            repeat->max = count_value(sv_sub(rest, 0, n));
        rest = sv_sub(rest, n, SIZE_MAX);
    }
    if (rest.len == 0 || rest.ptr[0] != '}')
        return false;
    repeat->len = (size_t)(rest.ptr + 1 - text.ptr);
    return true;
}

/* Whether a quantifier begins at scan->at. */
static bool
peek_repeat(const struct scan *scan, struct repeat *repeat)
{
    *repeat = (struct repeat){.len = 1};
    switch (scan_peek(scan, 0)) {
    case '*':
        return true;
    case '+':
        repeat->min = 1;
        return true;
    case '?':
        repeat->max = 1;
        repeat->has_max = true;
        return true;
    case '{':
        return peek_count(sv_sub(scan->source, scan->at, SIZE_MAX), repeat);
    default:
        return false;
    }
}

static int
check_count(struct scan *scan, const struct repeat *repeat)
{
    if (repeat->min > REGEXP_REPEAT_MAX || repeat->max > REGEXP_REPEAT_MAX)
        return scan_refuse(scan, scan->at, "at most 1000 repetitions");
    if (repeat->max < repeat->min)
        return scan_refuse(scan, scan->at, "{n,m} with m below n");
    scan->atom_repeat *= MAX(repeat->max, 1u);
    if (scan->atom_repeat > REGEXP_REPEAT_MAX)
        return scan_refuse(scan, scan->at,
            "at most 1000 repetitions, nested ones multiplied");
    scan->frames[scan->depth].repeat =
        MAX(scan->frames[scan->depth].repeat, scan->atom_repeat);
    return 0;
}

static int
quantifier(struct scan *scan, const struct repeat *repeat)
{
    struct repeat next;

    if (scan->atom == ATOM_NONE)
        return scan_refuse(scan, scan->at, "nothing to repeat");
    if (repeat->is_count && check_count(scan, repeat) != 0)
        return -1;
    sb_add(&scan->out->pattern, scan->source.ptr + scan->at, repeat->len);
    run_repeat(scan, repeat->min);
    scan->at += repeat->len;
    if (scan_peek(scan, 0) == '?') {
        sb_add_char(&scan->out->pattern, '?');
        scan->at++;
    }
    if (peek_repeat(scan, &next)) {
        return scan_refuse(scan, scan->at, scan_peek(scan, 0) == '+'
            ? "possessive quantifiers are not supported"
            : "a repetition of a repetition");
    }
    scan->atom = ATOM_NONE;
    return 0;
}

/* --- the rest --- */

/* ^ $ \b \B \A \z; PCRE2 repeats them only as a group. */
static void
assertion(struct scan *scan, size_t len)
{
    struct sv text = sv_sub(scan->source, scan->at, len);
    struct repeat repeat;
    bool is_repeated;

    scan->at += len;
    scan->is_plain = false;
    is_repeated = peek_repeat(scan, &repeat);
    sb_addf(&scan->out->pattern, is_repeated ? "(?:%.*s)" : "%.*s",
        SV_ARG(text));
    scan->atom = ATOM_OTHER;
    scan->atom_repeat = 1;
}

static void
other_atom(struct scan *scan)
{
    run_break(scan);
    scan->atom = ATOM_OTHER;
    scan->atom_repeat = 1;
}

/* "\Q...\E", or to the end. */
static int
quoted(struct scan *scan)
{
    scan->at += 2;
    while (scan->at < scan->source.len) {
        uint32_t c;

        if (scan_is_at(scan, "\\E")) {
            scan->at += 2;
            break;
        }
        if (scan_take_rune(scan, &c) != 0)
            return -1;
        literal(scan, c);
    }
    return 0;
}

/* At a backslash. */
static int
escape(struct scan *scan)
{
    size_t pos = scan->at;
    int letter = scan_peek(scan, 1), rc;
    uint32_t c;

    if (letter == 'Q')
        return quoted(scan);
    if (letter == 'A' || letter == 'z' || letter == 'b' || letter == 'B') {
        assertion(scan, 2);
        return 0;
    }
    rc = scan_class_escape(scan, pos, false);
    if (rc < 0)
        return -1;
    if (rc == 0) {
        other_atom(scan);
        return 0;
    }
    scan->at = MIN(scan->at + 2, scan->source.len);
    if (scan_take_escaped(scan, pos, letter, &c) != 0)
        return -1;
    literal(scan, c);
    return 0;
}

static int
element(struct scan *scan)
{
    struct repeat repeat;
    uint32_t c;

    if (peek_repeat(scan, &repeat))
        return quantifier(scan, &repeat);
    switch (scan_peek(scan, 0)) {
    case '(':
        return group_open(scan);
    case ')':
        return group_close(scan);
    case '|':
        run_break(scan);
        scan->has_choice = scan->has_choice || scan->depth == 0;
        sb_add_char(&scan->out->pattern, '|');
        scan->atom = ATOM_NONE;
        scan->at++;
        return 0;
    case '^':
    case '$':
        assertion(scan, 1);
        return 0;
    case '.':
        sb_add_char(&scan->out->pattern, '.');
        scan->at++;
        other_atom(scan);
        return 0;
    case '[':
        other_atom(scan);
        return scan_class(scan);
    case '\\':
        return escape(scan);
    default:
        if (scan_take_rune(scan, &c) != 0)
            return -1;
        literal(scan, c);
        return 0;
    }
}

int
regexp_translate(struct regexp_syntax *out, struct sv source, struct err *err)
{
    struct scan scan = {
        .out = out,
        .source = source,
        .err = err,
        .frames = {{0, 1}},
        .is_plain = true,
    };
    int rc = 0;

    sb_init(&scan.run, source.len + 1);
    while (rc == 0 && scan.at < source.len)
        rc = element(&scan);
    if (rc == 0 && scan.depth > 0)
        rc = scan_refuse(&scan, scan.frames[scan.depth].pos, "( without )");
    run_end(&scan);
    if (scan.has_choice)
        sb_reset(&out->literal);
    out->is_literal = scan.is_plain;
    sb_release(&scan.run);
    if (rc == 0 && (sb_failed(&out->pattern) || sb_failed(&out->literal)))
        rc = err_set(err, ERR_LIMIT, "regular expression: too long");
    return rc;
}
