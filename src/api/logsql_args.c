/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/logsql_args.h"

#include <ctype.h>
#include <math.h>

#include "core/json_in.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "query/parse.h"
#include "query/text.h"
#include "span/flat.h"

/* --- values --- */

static double
unit_ns(struct sv unit)
{
    static const struct {
        struct sv name;
        double ns;
    } units[] = {
        {{"ns", 2}, 1}, {{"us", 2}, 1e3}, {{"\xc2\xb5s", 3}, 1e3},
        {{"ms", 2}, 1e6}, {{"s", 1}, 1e9}, {{"m", 1}, 60e9},
        {{"h", 1}, 3600e9}, {{"d", 1}, 86400e9}, {{"w", 1}, 7 * 86400e9},
        {{"y", 1}, 365 * 86400e9},
    };

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (sv_eq_nocase(unit, units[i].name))
            return units[i].ns;
    }
    return 0;
}

/* Cuts "1.5h" off the text. */
static bool
duration_part(struct sv *rest, double *ns)
{
    size_t digits = 0, end;
    double number, unit;

    while (digits < rest->len && (isdigit((unsigned char)rest->ptr[digits]) ||
        rest->ptr[digits] == '.'))
        digits++;
    end = digits;
    while (end < rest->len && !isdigit((unsigned char)rest->ptr[end]) &&
        rest->ptr[end] != '.')
        end++;
    unit = unit_ns(sv_sub(*rest, digits, end - digits));
    if (unit == 0 || !num_parse_double(sv_sub(*rest, 0, digits), &number))
        return false;
    *ns += number * unit;
    *rest = sv_sub(*rest, end, rest->len - end);
    return true;
}

bool
logsql_parse_duration(struct sv text, int64_t *ns)
{
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    struct sv rest = is_negative ? sv_sub(text, 1, text.len - 1) : text;
    double sum = 0;

    if (rest.len == 0)
        return false;
    if (num_parse_double(rest, &sum)) {
        sum *= 1e9;
    } else {
        sum = 0;
        while (rest.len > 0) {
            if (!duration_part(&rest, &sum))
                return false;
        }
    }
    if (!(sum < 9e18))
        return false;
    *ns = is_negative ? -llround(sum) : llround(sum);
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

int
logsql_times_arg(struct job *job, struct logsql_times *times,
    struct err *err)
{
    int start, end, instant;

    times->start = INT64_MIN;
    times->end = INT64_MAX;
    times->instant = clock_wall_ns();
    if ((start = time_arg(job, "start", &times->start, err)) < 0 ||
        (end = time_arg(job, "end", &times->end, err)) < 0)
        return -1;
    if (end > 0)
        times->instant = times->end;
    if ((instant = time_arg(job, "time", &times->instant, err)) < 0)
        return -1;
    times->now = times->instant - (times->instant > INT64_MIN);
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

/* --- hidden fields --- */

static int
hide_name(struct job *job, struct query *query, struct sv name,
    struct err *err)
{
    struct field_pattern pattern = {name, sv_ends_with(name, SV("*"))};

    if (name.len == 0)
        return 0;
    if (query->nhidden == QUERY_HIDDEN_MAX)
        return err_set(err, ERR_INVALID, "more than %u hidden fields",
            QUERY_HIDDEN_MAX);
    if (query->hidden == NULL)
        query->hidden = pool_alloc(job->pool,
            QUERY_HIDDEN_MAX * sizeof(*query->hidden));
    if (query->hidden == NULL)
        return err_set(err, ERR_LIMIT, "the query needs too much memory");
    if (pattern.is_prefix)
        pattern.name.len--;
    else
        pattern.name = flat_name(name, job->pool);
    query->hidden[query->nhidden++] = pattern;
    return 0;
}

/* a,b*,c or ["a","b*","c"] */
static int
hide_names(struct job *job, struct query *query, struct sv text,
    struct err *err)
{
    struct sv name, rest = sv_trim(text);
    struct json_in in;

    if (!sv_starts_with(rest, SV("["))) {
        while (sv_split(&rest, ',', &name)) {
            if (hide_name(job, query, sv_trim(name), err) != 0)
                return -1;
        }
        return 0;
    }
    json_in_init(&in, rest, job->pool);
    if (json_enter_array(&in)) {
        while (json_next_item(&in)) {
            if (json_read_string(&in, &name) &&
                hide_name(job, query, name, err) != 0)
                return -1;
        }
    }
    if (json_in_failed(&in) || json_peek(&in) != JSON_END)
        return err_set(err, ERR_INVALID, "%s", in.err.text[0] != '\0'
            ? in.err.text : "text behind the array");
    return 0;
}

static int
add_hidden(struct job *job, struct query *query, struct err *err)
{
    for (unsigned i = 0; i < LOGSQL_REPEATS_MAX; i++) {
        struct sv text = http_arg_n(job->req, "hidden_fields_filters", i);

        if (text.ptr == NULL)
            break;
        if (hide_names(job, query, text, err) != 0)
            return err_wrap(err, "hidden_fields_filters");
    }
    return extra_end(job, "hidden_fields_filters", err);
}

/* --- the query --- */

static int
add_times(struct query *query, const struct logsql_times *times,
    struct err *err)
{
    struct filter *filter;

    if (!times->has_start && !times->has_end)
        return 0;
    filter = filter_new_time(query->pool, times->start, times->end);
    if (filter == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    return query_add_filter(query, filter, true, err);
}

/* A body that was not read is most likely where the query is. */
static int
no_query(const struct http_req *req, struct err *err)
{
    struct sv type = http_header_get(req, "content-type");

    if (req->body.len == 0 || http_has_form(req))
        return err_set(err, ERR_INVALID, "argument query is missing");
    return err_set(err, ERR_INVALID, "argument query is missing; a body of "
        "the type '%.*s' is not read, but for "
        "application/x-www-form-urlencoded and multipart/form-data",
        (int)MIN(type.len, (size_t)80), type.len > 0 ? type.ptr : "");
}

int
logsql_query_in(struct job *job, struct query **out,
    const struct logsql_times *times, struct err *err)
{
    size_t len_max = (size_t)job->process->conf->query_len_max;
    struct sv text = http_arg(job->req, "query");

    if (text.len == 0)
        return no_query(job->req, err);
    if (text.len > len_max)
        return err_set(err, ERR_INVALID, "the query has %zu bytes, more than "
            "search.max_query_len (%zu)", text.len, len_max);
    if (query_parse(out, text, times->now, job->pool, err) != 0)
        return -1;
    job->own_min = (*out)->min_time;
    job->own_max = (*out)->max_time;
    if (add_extra(job, *out, times->now, err) != 0 ||
        add_hidden(job, *out, err) != 0 ||
        logsql_partial_arg(job, err) != 0 ||
        logsql_bool_arg(job, "explain", &job->is_explained, err) != 0 ||
        logsql_bool_arg(job, "nocache", &job->no_cache, err) != 0)
        return -1;
    timeout_arg(job);
    return add_times(*out, times, err);
}

/* search.latency_offset, which dashboards can do without. */
static int
hide_newest(struct job *job, struct logsql_times *times, struct err *err)
{
    int64_t newest_ns = job_newest_ns(job->process);
    bool is_disabled = false;

    if (logsql_bool_arg(job, "disable_latency_offset", &is_disabled,
            err) != 0)
        return -1;
    if (is_disabled || times->end <= newest_ns)
        return 0;
    times->end = newest_ns;
    times->has_end = true;
    return 0;
}

int
logsql_query_times(struct job *job, struct query **out,
    struct logsql_times *times, struct err *err)
{
    return logsql_times_arg(job, times, err) != 0 ||
        hide_newest(job, times, err) != 0 ? -1
        : logsql_query_in(job, out, times, err);
}

int
logsql_query_arg(struct job *job, struct query **out, struct err *err)
{
    struct logsql_times times;

    return logsql_query_times(job, out, &times, err);
}

int
logsql_rows_query(struct job *job, struct query **out, struct err *err)
{
    bool ignore_pipes = false;

    if (logsql_query_arg(job, out, err) != 0 ||
        logsql_bool_arg(job, "ignore_pipes", &ignore_pipes, err) != 0)
        return -1;
    if (ignore_pipes)
        query_drop_pipes(*out);
    return 0;
}

/* --- plain arguments --- */

int
logsql_bool_arg(struct job *job, const char *name, bool *out,
    struct err *err)
{
    static const struct sv words[] = {{"0", 1}, {"1", 1}, {"false", 5},
        {"true", 4}, {"f", 1}, {"t", 1}, {"no", 2}, {"yes", 3}, {"n", 1},
        {"y", 1}, {"off", 3}, {"on", 2}};
    struct sv text = http_arg(job->req, name);

    if (text.len == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!sv_eq_nocase(text, words[i]))
            continue;
        *out = i % 2 == 1;
        return 0;
    }
    return err_set(err, ERR_INVALID, "argument %s is neither 1 nor 0", name);
}

int
logsql_partial_arg(struct job *job, struct err *err)
{
    bool is_allowed;

    if (http_arg(job->req, "allow_partial_response").len == 0)
        return 0;
    if (logsql_bool_arg(job, "allow_partial_response", &is_allowed,
            err) != 0)
        return -1;
    job->must_be_whole = !is_allowed;
    job->allow_missing = is_allowed;
    return 0;
}

int
logsql_uint_arg(struct job *job, const char *name, uint64_t *out,
    struct err *err)
{
    struct sv text = http_arg(job->req, name);

    if (text.len > 0 && !num_parse_u64(text, out))
        return err_set(err, ERR_INVALID, "argument %s is no number of at "
            "least 0", name);
    return 0;
}

int
logsql_step_arg(struct job *job, const char *name, int64_t *ns,
    struct err *err)
{
    struct sv text = http_arg(job->req, name);

    if (text.len > 0 && (!logsql_parse_duration(text, ns) || *ns <= 0))
        return err_set(err, ERR_INVALID, "argument %s is no duration above "
            "0", name);
    return 0;
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
