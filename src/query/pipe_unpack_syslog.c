/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * unpack_syslog: fields of a line of RFC 5424 or RFC 3164 (reference 7.7).
 *
 *     [<PRI>] 1 TIME HOST APP PROC MSGID (- | [ID KEY="VALUE" ...] ...) TEXT
 *     [<PRI>] Mmm dd hh:mm:ss HOST APP [ [PROC] ] [:] TEXT
 *
 * A part that cannot be read ends it; what was read before stays.  The
 * second form without such a time is all text.
 */

#include "core/base.h"
#include "query/pipe_type.h"

#include "core/num.h"
#include "core/timefmt.h"
#include "query/unpackers.h"

/* RFC 5424: 23 facilities of 8 severities; others have larger ones. */
#define PRI_DIGITS_MAX 5u

struct line {
    struct unpacked *out;
    const struct unpack_spec *spec;
    struct sv rest;
};

static bool
at(const struct line *line, char c)
{
    return line->rest.len > 0 && line->rest.ptr[0] == c;
}

static void
skip(struct line *line, size_t n)
{
    line->rest = sv_sub(line->rest, n, SIZE_MAX);
}

static bool
take(struct line *line, char c)
{
    if (!at(line, c))
        return false;
    skip(line, 1);
    return true;
}

/* Up to a byte of the set or the end. */
static struct sv
take_until(struct line *line, const char *set)
{
    struct sv token = line->rest;
    size_t len = 0;

    while (len < token.len &&
        (token.ptr[len] == '\0' || strchr(set, token.ptr[len]) == NULL))
        len++;
    skip(line, len);
    return sv_sub(token, 0, len);
}

static int
add_number(struct line *line, struct sv name, uint64_t n)
{
    char *text = pool_alloc(line->out->pool, 20);

    if (text == NULL)
        return -1;
    return unpacked_add(line->out, name, sv_make(text,
        num_print_u64(text, n)));
}

/* --- <PRI> --- */

static const struct sv facilities[] = {
    {"kern", 4}, {"user", 4}, {"mail", 4}, {"daemon", 6}, {"auth", 4},
    {"syslog", 6}, {"lpr", 3}, {"news", 4}, {"uucp", 4}, {"cron", 4},
    {"authpriv", 8}, {"ftp", 3}, {"ntp", 3}, {"security", 8},
    {"console", 7}, {"solaris-cron", 12}, {"local0", 6}, {"local1", 6},
    {"local2", 6}, {"local3", 6}, {"local4", 6}, {"local5", 6},
    {"local6", 6}, {"local7", 6},
};

static const struct sv levels[] = {
    {"emerg", 5}, {"alert", 5}, {"critical", 8}, {"error", 5},
    {"warning", 7}, {"notice", 6}, {"info", 4}, {"debug", 5},
};

/* 1: go on; 0: it cannot be read; -1 */
static int
take_priority(struct line *line)
{
    uint64_t priority, facility;
    struct sv digits;

    if (!take(line, '<'))
        return 1;
    digits = take_until(line, ">");
    if (digits.len > PRI_DIGITS_MAX || !num_parse_u64(digits, &priority) ||
        !take(line, '>'))
        return 0;
    facility = priority / 8;
    if (unpacked_add(line->out, SV("priority"), digits) != 0 ||
        add_number(line, SV("facility"), facility) != 0 ||
        (facility < ARRAY_LEN(facilities) && unpacked_add(line->out,
            SV("facility_keyword"), facilities[facility]) != 0) ||
        add_number(line, SV("severity"), priority % 8) != 0 ||
        unpacked_add(line->out, SV("level"), levels[priority % 8]) != 0)
        return -1;
    return 1;
}

/* --- RFC 5424 --- */

static int
add_param(struct line *line, struct sv id, struct sv key, struct sv value)
{
    char *ptr;

    if (id.len == 0)
        return unpacked_add(line->out, key, value);
    ptr = pool_alloc(line->out->pool, id.len + 1 + key.len);
    if (ptr == NULL)
        return -1;
    memcpy(ptr, id.ptr, id.len);
    ptr[id.len] = '.';
    memcpy(ptr + id.len + 1, key.ptr, key.len);
    return unpacked_add(line->out, sv_make(ptr, id.len + 1 + key.len), value);
}

/* "..." with \" \\ \] in it.  1, or 0: it cannot be read; -1. */
static int
take_quoted(struct line *line, struct sv *out)
{
    struct sv text = line->rest;
    size_t len = 1, n = 0;
    bool has_escapes = false;
    char *dst;

    if (!at(line, '"'))
        return 0;
    for (; len < text.len && text.ptr[len] != '"'; len++) {
        if (text.ptr[len] == '\\' && len + 1 < text.len) {
            has_escapes = true;
            len++;
        }
    }
    if (len >= text.len)
        return 0;
    skip(line, len + 1);
    *out = sv_sub(text, 1, len - 1);
    if (!has_escapes)
        return 1;
    dst = pool_alloc(line->out->pool, len);
    if (dst == NULL)
        return -1;
    for (size_t i = 1; i < len; i++) {
        if (text.ptr[i] == '\\' && i + 1 < len &&
            strchr("\"\\]", text.ptr[i + 1]) != NULL &&
            text.ptr[i + 1] != '\0')
            i++;
        dst[n++] = text.ptr[i];
    }
    *out = sv_make(dst, n);
    return 1;
}

/* Behind the '='; what is not quoted goes up to a space or ']'. */
static int
take_value(struct line *line, struct sv id, struct sv key)
{
    struct sv value;
    int result = 1;

    if (at(line, '"'))
        result = take_quoted(line, &value);
    else if (id.len == 0)
        value = take_until(line, " ]");
    else
        return 0;
    if (result == 1 && add_param(line, id, key, value) != 0)
        return -1;
    return result;
}

/* One "[id key="value" ...]", behind its '['. */
static int
take_element(struct line *line)
{
    struct sv id = take_until(line, " =]"), key;
    int result;

    if (id.len == 0)
        return 0;
    if (take(line, '=')) {
        result = take_value(line, SV_EMPTY, id);
        if (result != 1)
            return result;
        id = SV_EMPTY;
    } else if (at(line, ']') && unpacked_add(line->out, id, SV_EMPTY) != 0) {
        return -1;
    }
    while (take(line, ' ')) {
        key = take_until(line, " =]");
        if (key.len == 0 || !take(line, '='))
            return 0;
        result = take_value(line, id, key);
        if (result != 1)
            return result;
    }
    return take(line, ']') ? 1 : 0;
}

static int
take_elements(struct line *line)
{
    if (take(line, '-'))
        return 1;
    if (!at(line, '['))
        return 0;
    while (take(line, '[')) {
        int result = take_element(line);

        if (result != 1)
            return result;
    }
    return 1;
}

static int
add_message(struct line *line)
{
    if (line->rest.len == 0)
        return 0;
    return unpacked_add(line->out, SV("message"), line->rest);
}

static int
unpack_5424(struct line *line)
{
    static const struct sv names[] = {
        {"timestamp", 9}, {"hostname", 8}, {"app_name", 8}, {"proc_id", 7},
        {"msg_id", 6},
    };
    int result;

    if (unpacked_add(line->out, SV("format"), SV("rfc5424")) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct sv token = take_until(line, " ");

        if (token.len > 0 && unpacked_add(line->out, names[i], token) != 0)
            return -1;
        if (!take(line, ' '))
            return 0;
    }
    result = take_elements(line);
    if (result != 1)
        return result;
    return take(line, ' ') ? add_message(line) : 0;
}

/* --- RFC 3164 --- */

static bool
two_digits(const char *text, unsigned max, unsigned *out)
{
    unsigned tens = (unsigned)(unsigned char)text[0] - '0';
    unsigned ones = (unsigned)(unsigned char)text[1] - '0';

    if (text[0] == ' ')
        tens = 0;
    *out = 10 * tens + ones;
    return tens <= 9 && ones <= 9 && *out <= max;
}

static unsigned
month_of(const char *text)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (unsigned i = 0; i < 12; i++) {
        if (memcmp(text, names + 3 * i, 3) == 0)
            return i + 1;
    }
    return 0;
}

#define TIME_3164_LEN 15u /* "Oct 11 22:14:15" */

/* Seconds of that year in UTC, or false. */
static bool
read_time(const char *text, int year, int64_t *seconds)
{
    unsigned month = month_of(text), day, hour, minute, second;

    if (month == 0 || text[3] != ' ' || text[6] != ' ' || text[7] == ' ' ||
        text[9] != ':' || text[10] == ' ' || text[12] != ':' ||
        text[13] == ' ' || !two_digits(text + 4, 31, &day) || day == 0 ||
        !two_digits(text + 7, 23, &hour) ||
        !two_digits(text + 10, 59, &minute) ||
        !two_digits(text + 13, 60, &second))
        return false;
    *seconds = civil_to_days((struct civil){year, month, day}) * 86400 +
        hour * 3600 + minute * 60 + second;
    return true;
}

static int
year_of(int64_t ns)
{
    int64_t days = ns / NS_PER_DAY - (ns % NS_PER_DAY < 0);

    return civil_from_days(days).year;
}

/*
 * The year is the present one of the zone, or the one before if the time is
 * more than a day in the future.  1, 0: no time stands there, or -1.
 */
static int
take_time(struct line *line)
{
    const struct unpack_spec *spec = line->spec;
    int64_t seconds, ns, now = spec->now_ns, local;
    int year;
    char *text;

    if (line->rest.len < TIME_3164_LEN || (line->rest.len > TIME_3164_LEN &&
        line->rest.ptr[TIME_3164_LEN] != ' '))
        return 0;
    if (__builtin_add_overflow(now, spec->offset_ns, &local))
        return 0;
    year = year_of(local);
    for (int back = 0; back < 2; back++) {
        if (!read_time(line->rest.ptr, year - back, &seconds) ||
            __builtin_mul_overflow(seconds, NS_PER_SEC, &ns) ||
            __builtin_sub_overflow(ns, spec->offset_ns, &ns))
            return 0;
        if (ns - NS_PER_DAY <= now)
            break;
    }
    text = pool_alloc(line->out->pool, 32);
    if (text == NULL || unpacked_add(line->out, SV("timestamp"),
            sv_make(text, time_print_rfc3339(text, ns, 3))) != 0)
        return -1;
    skip(line, TIME_3164_LEN);
    return 1;
}

/* "app[proc]: text", "app: text", "app text" */
static int
take_tag(struct line *line)
{
    struct sv app = take_until(line, "[: "), proc;

    if (app.len > 0 && unpacked_add(line->out, SV("app_name"), app) != 0)
        return -1;
    if (take(line, '[')) {
        proc = take_until(line, "]");
        if (!take(line, ']'))
            return 0;
        if (unpacked_add(line->out, SV("proc_id"), proc) != 0)
            return -1;
    }
    (void)take(line, ':');
    (void)take(line, ' ');
    return add_message(line);
}

static int
unpack_3164(struct line *line)
{
    struct sv host;
    int result;

    if (unpacked_add(line->out, SV("format"), SV("rfc3164")) != 0)
        return -1;
    result = take_time(line);
    if (result != 1)
        return result == 0 ? add_message(line) : -1;
    if (!take(line, ' '))
        return 0;
    host = take_until(line, " ");
    if (host.len > 0 &&
        unpacked_add(line->out, SV("hostname"), host) != 0)
        return -1;
    return take(line, ' ') ? take_tag(line) : 0;
}

int
unpack_syslog(struct unpacked *out, struct sv text,
    const struct unpack_spec *spec)
{
    struct line line = {out, spec, text};
    int result;

    if (text.len == 0)
        return 0;
    result = take_priority(&line);
    if (result != 1)
        return result;
    if (sv_starts_with(line.rest, SV("1 "))) {
        skip(&line, 2);
        return unpack_5424(&line);
    }
    return unpack_3164(&line);
}

static int
parse(struct parser *p, struct pipe *pipe)
{
    return unpack_parse(p, pipe, unpack_syslog);
}

const struct pipe_ops pipe_unpack_syslog = {
    parse, unpack_print, map_needed, map_make, unpack_mapper
};
