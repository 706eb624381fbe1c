/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/text_pattern.h"

#include <arpa/inet.h>
#include <ctype.h>

#include "query/lex.h"
#include "query/text.h"

enum item_kind {
    ITEM_LITERAL,
    ITEM_NUMBER,
    ITEM_UUID,
    ITEM_IP4,
    ITEM_TIME,
    ITEM_DATE,
    ITEM_DATETIME,
    ITEM_WORD,
};

struct item {
    enum item_kind kind;
    struct sv text; /* LITERAL */
};

struct text_pattern {
    enum pattern_ends ends;
    uint32_t n;
    struct item items[];
};

static const struct {
    struct sv name;
    enum item_kind kind;
} placeholders[] = {
    {{"<N>", 3}, ITEM_NUMBER}, {{"<UUID>", 6}, ITEM_UUID},
    {{"<IP4>", 5}, ITEM_IP4}, {{"<TIME>", 6}, ITEM_TIME},
    {{"<DATE>", 6}, ITEM_DATE}, {{"<DATETIME>", 10}, ITEM_DATETIME},
    {{"<W>", 3}, ITEM_WORD},
};

/* Bytes of a kind up to one that is not. */
struct run {
    const char *start;
    const char *end;
};

/*
 * What one placeholder found in a value, so that the value is not gone
 * through once for each place where a match might begin: the end of a run is
 * that of each of its bytes, and behind a quote that is not closed none is.
 */
struct seen {
    struct run run;      /* of hex digits, or of a word */
    struct run digits;
    const char *open[3]; /* by quote; NULL: none was seen */
};

static bool
is_in_run(const struct run *run, const char *s)
{
    return run->start != NULL && s >= run->start && s < run->end;
}

/* --- what a placeholder takes: its length from s on, 0: nothing --- */

static size_t
take_digits(const char *s, const char *end, size_t most)
{
    size_t n = 0;

    while (s + n < end && n < most && isdigit((unsigned char)s[n]))
        n++;
    return n;
}

static size_t
take_hex(const char *s, const char *end, size_t most)
{
    size_t n = 0;

    while (s + n < end && n < most && isxdigit((unsigned char)s[n]))
        n++;
    return n;
}

/* Hex only where it cannot be a word of a few letters. */
static size_t
take_number(const char *s, const char *end, struct seen *seen)
{
    size_t hex;

    if (!is_in_run(&seen->run, s))
        seen->run = (struct run){s, s + take_hex(s, end, SIZE_MAX)};
    hex = (size_t)(seen->run.end - s);
    if (hex >= 4 && hex % 2 == 0)
        return hex;
    if (!is_in_run(&seen->digits, s))
        seen->digits = (struct run){s, s + take_digits(s, end, SIZE_MAX)};
    return (size_t)(seen->digits.end - s);
}

/*
 * Groups of digits as a form tells them: 'x' is a hex digit, '0' a decimal
 * one, '9' one to three decimal ones, '/' is '/' or '-', and other bytes are
 * themselves.
 */
static size_t
take_form(const char *s, const char *end, const char *form)
{
    const char *at = s;

    for (; *form != '\0'; form++) {
        size_t n = 1;

        if (*form == 'x')
            n = take_hex(at, end, 1);
        else if (*form == '0')
            n = take_digits(at, end, 1);
        else if (*form == '9')
            n = take_digits(at, end, 3);
        else if (at == end || (*at != *form && !(*form == '/' && *at == '-')))
            n = 0;
        if (n == 0)
            return 0;
        at += n;
    }
    return (size_t)(at - s);
}

static size_t
take_time(const char *s, const char *end)
{
    size_t n = take_form(s, end, "00:00:00"), digits;

    if (n == 0 || s + n == end || (s[n] != '.' && s[n] != ','))
        return n;
    digits = take_digits(s + n + 1, end, SIZE_MAX);
    return digits == 0 ? n : n + 1 + digits;
}

static size_t
take_datetime(const char *s, const char *end)
{
    size_t n = take_form(s, end, "0000/00/00"), more;

    if (n == 0 || s + n == end || (s[n] != 'T' && s[n] != ' '))
        return 0;
    more = take_time(s + n + 1, end);
    if (more == 0)
        return 0;
    n += 1 + more;
    if (s + n < end && s[n] == 'Z')
        return n + 1;
    if (s + n < end && (s[n] == '+' || s[n] == '-')) {
        more = take_form(s + n + 1, end, "00:00");
        if (more == 0)
            more = take_form(s + n + 1, end, "0000");
        return more == 0 ? n : n + 1 + more;
    }
    return n;
}

/* With its quotes; 0: it does not end. */
static size_t
take_quoted(const char *s, const char *end, const char **open)
{
    if (*open != NULL && s >= *open)
        return 0;
    for (const char *q = s + 1; q < end; q++) {
        if (*q == '\\' && *s != '`')
            q++;
        else if (*q == *s)
            return (size_t)(q + 1 - s);
    }
    *open = s;
    return 0;
}

static size_t
take_word(const char *s, const char *end, struct seen *seen)
{
    static const char quotes[] = "\"'`";
    const char *quote = s < end && *s != '\0' ? strchr(quotes, *s) : NULL;
    const char *at = s;

    if (quote != NULL)
        return take_quoted(s, end, &seen->open[quote - quotes]);
    /* Not in the middle of a code point. */
    if (is_in_run(&seen->run, s) && ((unsigned char)*s & 0xc0) != 0x80)
        return (size_t)(seen->run.end - s);
    while (at < end) {
        uint32_t rune;
        unsigned len = lex_rune(at, end, &rune);

        if (rune == UINT32_MAX || !text_is_token_rune(rune))
            break;
        at += len;
    }
    seen->run = (struct run){s, at};
    return (size_t)(at - s);
}

static size_t
item_take(const struct item *item, const char *s, const char *end,
    struct seen *seen)
{
    switch (item->kind) {
    case ITEM_LITERAL:
        return (size_t)(end - s) >= item->text.len &&
            memcmp(s, item->text.ptr, item->text.len) == 0 ?
            item->text.len : 0;
    case ITEM_NUMBER:
        return take_number(s, end, seen);
    case ITEM_UUID:
        return take_form(s, end, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
    case ITEM_IP4:
        return take_form(s, end, "9.9.9.9");
    case ITEM_TIME:
        return take_time(s, end);
    case ITEM_DATE:
        return take_form(s, end, "0000/00/00");
    case ITEM_DATETIME:
        return take_datetime(s, end);
    case ITEM_WORD:
        return take_word(s, end, seen);
    }
    return 0;
}

/* --- matching --- */

/* A placeholder does not begin within what it would take more of. */
static bool
may_begin(const struct item *item, const char *start, const char *s)
{
    unsigned char before;

    if (s == start || item->kind == ITEM_LITERAL)
        return true;
    before = (unsigned char)s[-1];
    if (item->kind == ITEM_WORD)
        return !isalnum(before) && before != '_' && before < 0x80;
    return !isdigit(before);
}

static bool
matches_at(const struct text_pattern *pattern, const char *s,
    const char *end, struct seen *seen)
{
    for (uint32_t i = 0; i < pattern->n; i++) {
        size_t n = item_take(&pattern->items[i], s, end, &seen[i]);

        if (n == 0)
            return false;
        s += n;
    }
    return (pattern->ends & PATTERN_AT_END) == 0 || s == end;
}

bool
text_pattern_matches(const struct text_pattern *pattern, struct sv value)
{
    const char *end = value.ptr + value.len;
    const struct item *first = &pattern->items[0];
    struct seen seen[PATTERN_ITEMS_MAX];

    memset(seen, 0, pattern->n * sizeof(*seen));
    if (pattern->n == 0)
        return (pattern->ends & PATTERN_AT_END) == 0 ||
            (pattern->ends & PATTERN_AT_START) == 0 || value.len == 0;
    if (pattern->ends & PATTERN_AT_START)
        return matches_at(pattern, value.ptr, end, seen);
    for (const char *s = value.ptr; s < end; s++) {
        if (first->kind == ITEM_LITERAL) {
            s = memmem(s, (size_t)(end - s), first->text.ptr,
                first->text.len);
            if (s == NULL)
                return false;
        }
        if (may_begin(first, value.ptr, s) && matches_at(pattern, s, end, seen))
            return true;
    }
    return false;
}

enum pattern_ends
text_pattern_ends(const struct text_pattern *pattern)
{
    return pattern->ends;
}

/* --- making --- */

/* The placeholder at s; its length, 0: none. */
static size_t
placeholder_at(struct sv rest, enum item_kind *kind)
{
    for (size_t i = 0; i < ARRAY_LEN(placeholders); i++) {
        if (sv_starts_with(rest, placeholders[i].name)) {
            *kind = placeholders[i].kind;
            return placeholders[i].name.len;
        }
    }
    return 0;
}

int
text_pattern_make(struct text_pattern **out, struct sv text,
    enum pattern_ends ends, struct pool *pool, struct err *err)
{
    struct text_pattern *pattern = pool_zalloc(pool, sizeof(*pattern) +
        PATTERN_ITEMS_MAX * sizeof(struct item));
    size_t literal = 0;

    if (pattern == NULL)
        return err_set(err, ERR_LIMIT, "the query needs too much memory");
    pattern->ends = ends;
    for (size_t at = 0; at <= text.len;) {
        enum item_kind kind = ITEM_LITERAL;
        size_t len = placeholder_at(sv_sub(text, at, text.len - at), &kind);

        if (len == 0 && at < text.len) {
            at++;
            continue;
        }
        if (pattern->n + 2 > PATTERN_ITEMS_MAX)
            return err_set(err, ERR_INVALID, "a pattern of more than %u "
                "placeholders", PATTERN_ITEMS_MAX / 2);
        if (at > literal)
            pattern->items[pattern->n++] = (struct item){ITEM_LITERAL,
                sv_sub(text, literal, at - literal)};
        if (len > 0)
            pattern->items[pattern->n++] = (struct item){kind, SV_EMPTY};
        at += MAX(len, (size_t)1);
        literal = at;
    }
    *out = pattern;
    return 0;
}

bool
ipv6_parse(struct sv text, uint8_t out[16])
{
    char copy[INET6_ADDRSTRLEN + 1];

    if (text.len == 0 || text.len >= sizeof(copy) ||
        memchr(text.ptr, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET6, copy, out) == 1;
}
