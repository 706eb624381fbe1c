/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/logsql_args.h"

#include <ctype.h>
#include <math.h>

#include "core/num.h"
#include "core/timefmt.h"
#include "query/parse.h"
#include "query/text.h"

/* --- values --- */

static double
unit_seconds(struct sv unit)
{
    static const struct {
        struct sv name;
        double seconds;
    } units[] = {
        {{"ms", 2}, 0.001}, {{"s", 1}, 1}, {{"m", 1}, 60},
        {{"h", 1}, 3600}, {{"d", 1}, 86400}, {{"w", 1}, 7 * 86400},
        {{"y", 1}, 365.0 * 86400},
    };

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (sv_eq_nocase(unit, units[i].name))
            return units[i].seconds;
    }
    return 0;
}

/* Cuts "1.5h" off the text. */
static bool
duration_part(struct sv *rest, double *seconds)
{
    size_t digits = 0, end;
    double number, unit;

    while (digits < rest->len && (isdigit((unsigned char)rest->ptr[digits]) ||
        rest->ptr[digits] == '.'))
        digits++;
    end = digits;
    while (end < rest->len && isalpha((unsigned char)rest->ptr[end]))
        end++;
    unit = unit_seconds(sv_sub(*rest, digits, end - digits));
    if (unit == 0 || !num_parse_double(sv_sub(*rest, 0, digits), &number))
        return false;
    *seconds += number * unit;
    *rest = sv_sub(*rest, end, rest->len - end);
    return true;
}

bool
logsql_parse_duration(struct sv text, int64_t *ns)
{
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    struct sv rest = is_negative ? sv_sub(text, 1, text.len - 1) : text;
    double seconds = 0;

    if (rest.len == 0)
        return false;
    if (!num_parse_double(rest, &seconds)) {
        seconds = 0;
        while (rest.len > 0) {
            if (!duration_part(&rest, &seconds))
                return false;
        }
    }
    if (!(seconds < 9e9))
        return false;
    *ns = llround(seconds * 1000) * NS_PER_MS;
    if (is_negative)
        *ns = -*ns;
    return true;
}

void
logsql_quote(struct sb *out, struct sv text)
{
    sb_add_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c == '"' || c == '\\')
            sb_addf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            sb_addf(out, "\\x%02x", c);
        else
            sb_add_char(out, (char)c);
    }
    sb_add_char(out, '"');
}

int
logsql_add_pipes(struct query *query, struct sv text, struct err *err)
{
    struct query *parsed;
    struct pipe *last = query->pipes;

    if (query_parse(&parsed, text, 0, query->pool, err) != 0)
        return -1;
    while (last != NULL && last->next != NULL)
        last = last->next;
    *(last == NULL ? &query->pipes : &last->next) = parsed->pipes;
    query->npipes += parsed->npipes;
    return 0;
}

/* --- arguments --- */

static int
time_arg(struct job *job, const char *name, int64_t *ns, struct err *err)
{
    struct sv text = http_arg(job->req, name);
    int64_t end;

    if (text.len == 0)
        return 0;
    if (!time_parse_query(text, clock_wall_ns(), ns, &end)) {
        (void)err_set(err, ERR_INVALID, "argument %s is no time: %.*s", name,
            (int)MIN(text.len, (size_t)80), text.ptr);
        return -1;
    }
    return 1;
}

struct times {
    int64_t start, end, now;
    bool has_start, has_end;
};

static int
times_arg(struct job *job, struct times *times, struct err *err)
{
    int start, end, now;

    times->start = INT64_MIN;
    times->end = INT64_MAX;
    times->now = clock_wall_ns();
    if ((start = time_arg(job, "start", &times->start, err)) < 0 ||
        (end = time_arg(job, "end", &times->end, err)) < 0)
        return -1;
    if (end > 0)
        times->now = times->end;
    if ((now = time_arg(job, "time", &times->now, err)) < 0)
        return -1;
    if (times->now > INT64_MIN)
        times->now--;
    times->has_start = start > 0;
    times->has_end = end > 0;
    if (times->has_end)
        times->end = time_arg_end(times->end);
    return 0;
}

/* A filter may be a restriction that a proxy has added: none is left out. */
static int
extra_end(struct job *job, const char *name, struct err *err)
{
    if (http_arg_n(job->req, name, LOGSQL_REPEATS_MAX).ptr != NULL)
        return err_set(err, ERR_INVALID, "too many %s: more than %u", name,
            LOGSQL_REPEATS_MAX);
    if (job->req->has_lost_arg)
        return err_set(err, ERR_LIMIT, "the arguments need too much memory");
    return 0;
}

static int
add_extra(struct job *job, struct query *query, int64_t now,
    struct err *err)
{
    for (unsigned i = 0; i < LOGSQL_REPEATS_MAX; i++) {
        struct sv text = http_arg_n(job->req, "extra_filters", i);
        struct filter *filter;

        if (text.ptr == NULL)
            break;
        if (text.len > 0 && (filter_parse(&filter, text, now, job->pool,
            err) != 0 || query_add_filter(query, filter, false, err) != 0))
            return err_wrap(err, "extra_filters");
    }
    if (extra_end(job, "extra_filters", err) != 0)
        return -1;
    for (unsigned i = 0; i < LOGSQL_REPEATS_MAX; i++) {
        struct sv text = http_arg_n(job->req, "extra_stream_filters", i);
        struct filter *filter;

        if (text.ptr == NULL)
            break;
        if (text.len > 0 && (filter_parse_stream(&filter, text, job->pool,
            err) != 0 || query_add_filter(query, filter, false, err) != 0))
            return err_wrap(err, "extra_stream_filters");
    }
    return extra_end(job, "extra_stream_filters", err);
}

static void
timeout_arg(struct job *job)
{
    struct sv text = http_arg(job->req, "timeout");
    int64_t ns;

    if (text.len > 0 && logsql_parse_duration(text, &ns) && ns >= NS_PER_MS)
        job->deadline_ns = MIN(job->deadline_ns, clock_mono_ns() + ns);
}

int
logsql_query_arg(struct job *job, struct query **out, struct err *err)
{
    size_t len_max = (size_t)job->process->conf->query_len_max;
    struct sv text = http_arg(job->req, "query");
    struct times times;
    struct filter *filter;

    if (text.len == 0)
        return err_set(err, ERR_INVALID, "argument query is missing");
    if (text.len > len_max)
        return err_set(err, ERR_INVALID, "the query has %zu bytes, more than "
            "search.max_query_len (%zu)", text.len, len_max);
    if (times_arg(job, &times, err) != 0 ||
        query_parse(out, text, times.now, job->pool, err) != 0 ||
        add_extra(job, *out, times.now, err) != 0)
        return -1;
    timeout_arg(job);
    if (!times.has_start && !times.has_end)
        return 0;
    filter = filter_new_time(job->pool, times.start, times.end);
    if (filter == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    return query_add_filter(*out, filter, true, err);
}

int
logsql_limit_arg(struct job *job, uint64_t *out, struct err *err)
{
    struct sv text = http_arg(job->req, "limit");
    int64_t n;

    *out = 0;
    if (text.len == 0)
        return 0;
    if (!num_parse_i64(text, &n))
        return err_set(err, ERR_INVALID, "argument limit is no number");
    *out = n > 0 ? (uint64_t)n : 0;
    return 0;
}
