/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/slices.h"

#include <unistd.h>

#include "cli/cli.h"
#include "cli/jaeger_read.h"
#include "cli/text.h"
#include "core/json_in.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "query/text.h"

#define FIRST_NS (60 * NS_PER_SEC)
/* Where there is little, a slice may be long. */
#define LONGEST_NS (400 * NS_PER_DAY)
/* A slice that took longer is near the time that servers allow a query. */
#define SLOW_NS (8 * NS_PER_SEC)
#define BOUNDS_BYTES_MAX MIB
/* The user's filter and a range, percent-encoded. */
#define FORM_BYTES_MAX (256 * KIB)

bool
slices_parse_bytes(const char *text, uint64_t *bytes)
{
    return num_parse_size(sv_from(text), bytes) &&
        *bytes >= SLICE_BYTES_MIN && *bytes <= SLICE_BYTES_MAX;
}

/* --- requests --- */

/* "_time:[2026-11-21T00:00:00.000000000Z, ...)" */
static void
add_range(struct sb *out, int64_t start_ns, int64_t end_ns)
{
    char start[40], end[40];
    size_t start_len = time_print_rfc3339(start, start_ns, 9);
    size_t end_len = time_print_rfc3339(end, end_ns, 9);

    sb_addf(out, "_time:[%.*s, %.*s)", (int)start_len, start, (int)end_len,
        end);
}

static void
form_make(struct sb *form, const struct slices *s, int64_t end_ns,
    const char *pipes)
{
    struct sb query;

    sb_init(&query, FORM_BYTES_MAX);
    add_range(&query, s->next_ns, end_ns);
    if (s->filter != NULL)
        sb_addf(&query, " (%s)", s->filter);
    sb_add_str(&query, pipes);
    sb_reset(form);
    sb_add_str(form, "query=");
    cli_escape(form, query.ptr);
    sb_release(&query);
}

enum outcome { FETCHED, TOO_LARGE, FAILED, REFUSED };

static enum outcome
status_outcome(const struct http_client_reply *reply, const char *path,
    struct err *err)
{
    struct pool *pool = pool_new(MIB);
    struct sv text = jaeger_read_error(sv_sub(sb_sv(&reply->body), 0,
        64 * KIB), pool);
    int status = reply->status;
    struct sb line;

    sb_init(&line, 4 * KIB);
    text_add(&line, sv_sub(sv_trim(text), 0, 300));
    err_set(err, ERR_INVALID, "%s: the server answered %d: %s", path, status,
        line.ptr);
    sb_release(&line);
    pool_free(pool);
    /* A query may use so much memory: a shorter one needs less. */
    if (strstr(err->text, "memory") != NULL)
        return TOO_LARGE;
    return status == 429 || status >= 500 ? FAILED : REFUSED;
}

static enum outcome
ask(const struct slices *s, const char *path, struct sv form,
    struct http_client_reply *reply, struct err *err)
{
    struct http_client_req req = {.method = "POST", .target = path,
        .content_type = "application/x-www-form-urlencoded",
        .headers = s->headers, .body = form};

    reply->status = 0; /* none yet */
    reply->retry_after_sec = -1;
    sb_reset(&reply->body);
    err_reset(err);
    if (http_client_do(s->client, &req, reply, err) != 0)
        return err->code == ERR_LIMIT ? TOO_LARGE
            : err->code == ERR_NOT_FOUND ? REFUSED : FAILED;
    if (reply->status != 200)
        return status_outcome(reply, path, err);
    return FETCHED;
}

/* Waits before another try; false: it was tried often enough. */
static bool
try_again(const struct slices *s, const struct http_client_reply *reply,
    unsigned *tries, const struct err *err)
{
    int64_t seconds = reply->retry_after_sec;

    if (++*tries >= SLICE_TRIES)
        return false;
    if (!s->is_quiet)
        fprintf(stderr, "spoorctl: %s; trying again\n", err->text);
    if (seconds >= 0)
        sleep((unsigned)MIN(seconds, 30));
    else
        usleep(50000u << MIN(*tries, 5u));
    return true;
}

/* --- bounds --- */

/* {"n":"76105","a":"2026-11-21T19:14:13.401974773Z","b":"..."} */
static bool
bounds_read(struct sv text, uint64_t *rows, int64_t *min, int64_t *max)
{
    struct pool *pool = pool_new(MIB);
    struct json_in in;
    struct sv key, value, a = SV_EMPTY, b = SV_EMPTY;
    bool good;

    *rows = 0;
    json_in_init(&in, text, pool);
    good = json_enter_object(&in);
    while (good && json_next_key(&in, &key)) {
        good = json_read_string(&in, &value);
        if (sv_eq(key, SV("n")))
            good = good && num_parse_u64(value, rows);
        else if (sv_eq(key, SV("a")))
            a = value;
        else if (sv_eq(key, SV("b")))
            b = value;
    }
    good = good && !json_in_failed(&in) && (*rows == 0 ||
        (time_parse_value(a, min) && time_parse_value(b, max)));
    pool_free(pool);
    return good;
}

static int64_t
add_ns(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* The second in which it is. */
static int64_t
second_of(int64_t ns)
{
    int64_t rest = (ns % NS_PER_SEC + NS_PER_SEC) % NS_PER_SEC;

    return ns < INT64_MIN + NS_PER_SEC ? INT64_MIN : ns - rest;
}

/*
 * Whole seconds: a server that compares times as texts takes "13.4Z" for less
 * than "13Z".
 */
static void
bounds_set(struct slices *s, int64_t min, int64_t max)
{
    s->next_ns = MAX(s->next_ns, second_of(min));
    s->end_ns = MIN(s->end_ns, add_ns(second_of(max), NS_PER_SEC));
}

int
slices_bounds(struct slices *s, uint64_t *rows, struct err *err)
{
    struct http_client_reply reply = {0};
    int64_t min = 0, max = -1;
    enum outcome outcome;
    unsigned tries = 0;
    struct sb form;
    int rc = -1;

    sb_init(&form, FORM_BYTES_MAX);
    sb_init(&reply.body, BOUNDS_BYTES_MAX);
    form_make(&form, s, s->end_ns,
        " | stats count() n, min(_time) a, max(_time) b");
    do
        outcome = ask(s, "/select/logsql/query", sb_sv(&form), &reply, err);
    while (outcome == FAILED && reply.status != 0 &&
        try_again(s, &reply, &tries, err));
    if (outcome == FETCHED && bounds_read(sb_sv(&reply.body), rows, &min,
        &max)) {
        if (*rows == 0)
            s->next_ns = s->end_ns;
        else
            bounds_set(s, min, max);
        rc = 0;
    } else if (outcome == FETCHED) {
        err_set(err, ERR_INVALID, "the server's count of rows cannot be "
            "read");
    }
    sb_release(&form);
    sb_release(&reply.body);
    return rc;
}

/* --- slices --- */

/* How long the next slice is to be. */
static void
adapt(struct slices *s, size_t bytes, int64_t took_ns)
{
    double aim = (double)s->bytes_max / 4;
    double factor = (double)bytes < aim / 8 ? 8 : aim / (double)bytes;

    if (took_ns > SLOW_NS)
        factor = MIN(factor, 0.5);
    s->len_ns = (int64_t)MIN((double)s->len_ns * factor, (double)LONGEST_NS);
    s->len_ns = MAX(s->len_ns, 1);
}

static int
slice_use(struct slices *s, const struct http_client_reply *reply,
    int64_t end_ns, struct err *err)
{
    struct slice slice = {sb_sv(&reply->body), s->next_ns, end_ns,
        reply->is_partial};

    if (s->fn(&slice, s->arg, err) != 0)
        return -1;
    s->next_ns = end_ns;
    return 0;
}

/* One slice, perhaps in several tries, each shorter than the last. */
static int
slice_run(struct slices *s, struct http_client_reply *reply, struct sb *form,
    struct err *err)
{
    unsigned tries = 0;

    for (;;) {
        int64_t end_ns = MIN(add_ns(s->next_ns, s->len_ns), s->end_ns);
        int64_t start_ns = clock_mono_ns();
        enum outcome outcome;

        form_make(form, s, end_ns, "");
        if (sb_failed(form))
            return err_set(err, ERR_LIMIT, "the filter is too long");
        outcome = ask(s, s->path, sb_sv(form), reply, err);
        if (outcome == REFUSED)
            return -1;
        if (outcome == FETCHED) {
            adapt(s, reply->body.len, clock_mono_ns() - start_ns);
            return slice_use(s, reply, end_ns, err);
        }
        if (outcome == TOO_LARGE && end_ns - s->next_ns <= 1)
            return err_wrap(err, "the spans that end in one nanosecond");
        if (outcome == FAILED && !try_again(s, reply, &tries, err))
            return err_wrap(err, "given up after %u tries", tries);
        if (outcome == TOO_LARGE || tries > 1)
            s->len_ns = MAX((end_ns - s->next_ns) / 4, 1);
    }
}

int
slices_run(struct slices *s, struct err *err)
{
    struct http_client_reply reply = {0};
    struct sb form;
    int rc = 0;

    if (s->len_ns == 0)
        s->len_ns = FIRST_NS;
    if (s->bytes_max == 0)
        s->bytes_max = SLICE_BYTES;
    sb_init(&form, FORM_BYTES_MAX);
    sb_init(&reply.body, (size_t)s->bytes_max);
    while (rc == 0 && s->next_ns < s->end_ns)
        rc = slice_run(s, &reply, &form, err);
    sb_release(&form);
    sb_release(&reply.body);
    return rc;
}
