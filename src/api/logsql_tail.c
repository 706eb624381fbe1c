/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * /select/logsql/tail: rows as they come in, until the client leaves.
 *
 * A tail asks the store again and again (refresh_interval) for the spans that
 * ended up to `offset` ago, so it shows those of all workers.  Each round is
 * a query of its own on a thread, with a place as others have and a limit of
 * time and memory; between two rounds a tail holds neither.  The window of a
 * round begins TAIL_OVERLAP_NS before the end of the one before: spans that
 * come late are shown late instead of never, each once.
 */

#include "core/base.h"
#include "api/logsql.h"

#include "api/job.h"
#include "api/logsql_args.h"
#include "api/logsql_sinks.h"
#include "api/tail_seen.h"
#include "core/assert.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/loop.h"
#include "event/task.h"
#include "query/backend.h"
#include "query/pipe_type.h"
#include "query/query.h"
#include "query/text.h"

/* Of one worker: people look at them, not machines. */
#define TAILS_MAX 32u
/* What a batch exporter holds a span back, twice. */
#define TAIL_OVERLAP_NS (10 * NS_PER_SEC)
/* How soon a tail ends when the process is to end. */
#define TAIL_TICK_NS (200 * NS_PER_MS)
/* Between two rounds at least, whatever was asked for. */
#define TAIL_REFRESH_MIN_NS (10 * NS_PER_MS)

struct tail {
    struct http_req *req;
    struct process *process;
    struct loop_timer *timer;
    struct tail_seen *seen; /* NULL: windows do not overlap */
    struct job *round;      /* running; NULL: none */
    int64_t refresh_ns;
    int64_t offset_ns;
    int64_t next_ns;        /* monotonic: when the next round is due */
    int64_t first_ns;       /* wall clock: no window begins before */
    int64_t from_ns, to_ns; /* of the round */
    bool is_full;           /* the client takes no more for now */
    bool is_gone;
    bool is_ending;         /* the last bytes are being written */
    bool has_failed;        /* of the round */
    struct err err;
};

static unsigned ntails;

/* --- rows of a round, in the order of their times --- */

struct tail_line {
    int64_t time_ns;
    size_t at, len; /* in the sink's text */
};

struct sink_tail {
    struct stage stage;
    struct job *job;
    struct sb text;
    struct tail_line *lines;
    uint32_t n, cap;
    size_t charged; /* of the job's memory, for the text */
};

static int
line_keep(struct sink_tail *sink, struct tail_line line, struct err *err)
{
    if (line.len == 0)
        return 0;
    if (sink->n == sink->cap) {
        uint32_t cap = MAX(2 * sink->cap, 64u);
        struct tail_line *lines = pool_alloc(sink->job->pool,
            cap * sizeof(*lines));

        if (lines == NULL)
            return err_set(err, ERR_LIMIT, "too many rows at a time");
        if (sink->n > 0)
            memcpy(lines, sink->lines, sink->n * sizeof(*lines));
        sink->lines = lines;
        sink->cap = cap;
    }
    sink->lines[sink->n++] = line;
    return 0;
}

/* What the text has grown to counts against the job's memory. */
static int
text_charge(struct sink_tail *sink, struct err *err)
{
    size_t more = sink->text.cap - MIN(sink->text.cap, sink->charged);

    if (sb_failed(&sink->text) ||
        !mem_share_take(&sink->job->memory, more))
        return err_set(err, ERR_LIMIT, "too many rows at a time");
    sink->charged += more;
    return 0;
}

static int
tail_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct sink_tail *sink = (struct sink_tail *)stage;
    const struct column *column;
    struct sv *names;

    (void)lane;
    if (rows_detach(rows, err) != 0 ||
        rows_column(rows, SV("_time"), &column, err) != 0)
        return -1;
    names = sink_line_names(rows);
    if (names == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t row = rows_first(rows); row < rows->n;
        row = rows_next(rows, row)) {
        struct tail_line line = {INT64_MAX, sink->text.len, 0};
        char buf[COLUMN_TEXT_MAX];

        (void)time_parse_value(column_text(column, row, buf), &line.time_ns);
        sink_line_add(&sink->text, rows, names, row);
        line.len = sink->text.len - line.at;
        if (line_keep(sink, line, err) != 0)
            return -1;
    }
    return text_charge(sink, err);
}

static int
line_cmp(const void *left, const void *right)
{
    const struct tail_line *a = left, *b = right;

    if (a->time_ns != b->time_ns)
        return a->time_ns < b->time_ns ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

static int
tail_flush(struct stage *stage, struct err *err)
{
    struct sink_tail *sink = (struct sink_tail *)stage;

    if (sink->n > 1)
        qsort(sink->lines, sink->n, sizeof(*sink->lines), line_cmp);
    for (uint32_t i = 0; i < sink->n; i++)
        sb_add(&sink->job->reply, sink->text.ptr + sink->lines[i].at,
            sink->lines[i].len);
    return sb_failed(&sink->job->reply)
        ? err_set(err, ERR_LIMIT, "too many rows at a time")
        : job_charge_reply(sink->job, err);
}

static void
tail_sink_free(struct stage *stage)
{
    struct sink_tail *sink = (struct sink_tail *)stage;

    mem_share_give(&sink->job->memory, sink->charged);
    sb_release(&sink->text);
    xfree(sink);
}

static const struct stage_ops tail_ops = {tail_write, tail_flush,
    tail_sink_free};

static struct stage *
sink_tail_new(struct job *job)
{
    struct sink_tail *sink = xcalloc(1, sizeof(*sink));

    sink->stage.ops = &tail_ops;
    sink->job = job;
    sb_init(&sink->text, job->bytes_max / 2);
    return &sink->stage;
}

/* --- life --- */

static void
tail_free(struct tail *tail)
{
    ntails--;
    metric_gauge_add(METRIC_TAILS, -1);
    loop_timer_free(tail->timer);
    tail_seen_free(tail->seen);
    xfree(tail);
}

static void
tail_end(struct tail *tail)
{
    if (tail->is_gone)
        http_abandon(tail->req);
    else
        http_reply_end(tail->req);
    tail_free(tail);
}

/* A line of text and no proper end, as of any answer that is broken. */
static void
tail_break(struct tail *tail)
{
    char text[sizeof(tail->err.text) + 2];
    int len = snprintf(text, sizeof(text), "%s\n", tail->err.text);

    tail->is_ending = true;
    (void)http_reply_write(tail->req, text, (size_t)len);
    if (tail->is_gone)
        http_abandon(tail->req);
    else
        http_reply_break(tail->req);
    tail_free(tail);
}

static void IMPL(http_abort_fn)
tail_aborted(struct http_req *req, void *arg)
{
    struct tail *tail = arg;

    (void)req;
    tail->is_gone = true;
    if (tail->round != NULL)
        atomic_store(&tail->round->cancel, true);
    else if (!tail->is_ending)
        tail_end(tail);
}

static void IMPL(http_drain_fn)
tail_drained(struct http_req *req, void *arg)
{
    struct tail *tail = arg;

    (void)req;
    tail->is_full = false;
    loop_timer_set(tail->timer, 0);
}

/* --- a round --- */

static void IMPL(task_fn)
round_run(void *arg)
{
    struct tail *tail = arg;
    struct job *job = tail->round;
    struct query_env env = {.tenant = job->tenant,
        .seconds = METRIC_QUERY_SECONDS_LOGSQL, .lanes_max = 1,
        .memory_max = job->bytes_max, .share = &job->memory,
        .cancel = &job->cancel, .deadline_ns = job->deadline_ns,
        .source = backend_get()->source,
        .is_remote = backend_get()->is_remote,
        .allow_missing = logsql_allows_missing(job, job->arg),
        .front = tail->seen == NULL ? NULL : tail_seen_stage(tail->seen)};

    tail->has_failed = query_execute(job->arg, &env, sink_tail_new(job),
        &job->answer, &tail->err) != 0;
    if (!tail->has_failed && job->must_be_whole && job->answer.is_partial)
        tail->has_failed = err_set(&tail->err, ERR_CORRUPT, "damaged data "
            "was left out, which allow_partial_response=0 does not allow")
            != 0;
}

/* Others had the threads or the memory: the next round asks again. */
static bool
is_passing(const struct tail *tail)
{
    enum err_code code = job_error_code(tail->round, &tail->err);

    return code == ERR_BUSY || code == ERR_TIMEOUT || code == ERR_CANCELLED;
}

static void
round_deliver(struct tail *tail)
{
    struct sb *reply = &tail->round->reply;
    size_t len;
    char *ptr;

    if (reply->len == 0)
        return;
    ptr = sb_detach(reply, &len);
    tail->is_full = !http_reply_write(tail->req, ptr, len);
    xfree(ptr);
    if (tail->is_full)
        http_on_drain(tail->req, tail_drained, tail);
}

static void IMPL(task_fn)
round_done(void *arg)
{
    struct tail *tail = arg;
    bool ends = tail->is_gone || (tail->has_failed && !is_passing(tail));
    int64_t from_ns = tail->to_ns - TAIL_OVERLAP_NS;

    if (!ends && !tail->has_failed)
        round_deliver(tail);
    job_free(tail->round);
    tail->round = NULL;
    if (tail->is_gone) {
        tail_end(tail);
        return;
    }
    if (ends) {
        tail_break(tail);
        return;
    }
    if (tail->has_failed)
        from_ns = tail->from_ns;
    if (tail->seen == NULL ||
        !tail_seen_end(tail->seen, tail->has_failed, from_ns))
        from_ns = tail->has_failed ? tail->from_ns : tail->to_ns + 1;
    tail->from_ns = MAX(from_ns, tail->first_ns);
    if (!tail->is_full)
        loop_timer_set(tail->timer, 0);
}

/*
 * What arguments decode to goes where the job is: the request's region lasts
 * as long as the tail, whose rounds are without number.
 */
static int
round_query(const struct tail *tail, struct job *job, struct query **out,
    struct err *err)
{
    struct http_req *req = job->req;
    struct pool *pool = req->pool;
    struct logsql_times times = {.start = tail->from_ns, .end = tail->to_ns,
        .instant = tail->to_ns, .now = tail->to_ns, .has_start = true,
        .has_end = true};
    int rc;

    req->pool = job->pool;
    req->has_lost_arg = false;
    rc = logsql_query_in(job, out, &times, err);
    req->pool = pool;
    return rc;
}

static void
round_start(struct tail *tail)
{
    struct job *job = job_new(tail->req);
    struct query *query = NULL;
    int64_t wait_ns;
    int rc = 0;

    check(job != NULL); /* the tenant was good before */
    err_reset(&tail->err);
    tail->round = job;
    tail->to_ns = clock_wall_ns() - tail->offset_ns;
    tail->next_ns = clock_mono_ns() + tail->refresh_ns;
    /* The clock went back, or the server has enough to do. */
    if (tail->to_ns < tail->from_ns || !job_take_place(job))
        rc = -1;
    if (rc == 0)
        rc = round_query(tail, job, &query, &tail->err);
    job->arg = query;
    if (rc == 0)
        rc = task_post(tail->process->queries, round_run, round_done, tail,
            &tail->err);
    if (rc != 0) {
        job_free(job);
        tail->round = NULL;
        wait_ns = MIN(tail->refresh_ns, TAIL_TICK_NS);
        tail->next_ns = clock_mono_ns() + wait_ns;
        loop_timer_set(tail->timer, wait_ns);
    }
}

static void IMPL(loop_timer_fn)
tail_tick(void *arg)
{
    struct tail *tail = arg;
    int64_t wait_ns = tail->next_ns - clock_mono_ns();

    if (tail->round != NULL)
        return;
    if (http_is_draining())
        tail_end(tail);
    else if (tail->is_full)
        loop_timer_set(tail->timer, TAIL_TICK_NS);
    else if (wait_ns <= 0)
        round_start(tail);
    else
        loop_timer_set(tail->timer, MIN(wait_ns, TAIL_TICK_NS));
}

/* --- arguments --- */

static bool
drops_time(const struct pipe *pipe)
{
    bool has_time = false;

    for (uint32_t i = 0; i < pipe->nnames; i++) {
        const struct field_pattern *name = &pipe->names[i];

        has_time = has_time || (name->is_prefix
            ? sv_starts_with(SV("_time"), name->name)
            : sv_eq(name->name, SV("_time")));
    }
    return (pipe->kind == PIPE_FIELDS && !has_time) ||
        (pipe->kind == PIPE_DELETE && has_time);
}

/* *overlaps: rows come from spans alone, so it is known which were seen. */
static int
check_pipes(const struct query *query, bool *overlaps, struct err *err)
{
    *overlaps = true;
    for (const struct pipe *pipe = query->pipes; pipe != NULL;
        pipe = pipe->next) {
        unsigned traits = pipe->type->traits;

        if ((traits & (PIPE_ROW | PIPE_TAIL)) == 0)
            return err_set(err, ERR_INVALID, "'%s' needs all rows, which a "
                "tail never has", pipe->type->name);
        if (drops_time(pipe))
            return err_set(err, ERR_INVALID, "'%s' drops _time, which a tail "
                "needs", pipe->type->name);
        if ((traits & PIPE_ROW) == 0)
            *overlaps = false;
    }
    return 0;
}

static int
duration_arg(struct job *job, const char *name, int64_t *ns, struct err *err)
{
    struct sv text = http_arg(job->req, name);

    if (text.len > 0 && (!logsql_parse_duration(text, ns) || *ns < 0))
        return err_set(err, ERR_INVALID, "argument %s is no duration of at "
            "least 0", name);
    return 0;
}

static int
tail_args(struct job *job, struct tail *tail, bool *overlaps,
    struct err *err)
{
    int64_t start_ns = 5 * NS_PER_SEC;
    struct query *query;

    tail->refresh_ns = tail->offset_ns = NS_PER_SEC;
    if (logsql_step_arg(job, "refresh_interval", &tail->refresh_ns,
            err) != 0 ||
        duration_arg(job, "offset", &tail->offset_ns, err) != 0 ||
        duration_arg(job, "start_offset", &start_ns, err) != 0)
        return -1;
    tail->refresh_ns = MAX(tail->refresh_ns, TAIL_REFRESH_MIN_NS);
    tail->to_ns = clock_wall_ns() - tail->offset_ns;
    if (__builtin_sub_overflow(tail->to_ns, start_ns, &tail->first_ns))
        tail->first_ns = INT64_MIN;
    tail->from_ns = tail->first_ns;
    return round_query(tail, job, &query, err) != 0 ? -1
        : check_pipes(query, overlaps, err);
}

void
logsql_tail(struct http_req *req)
{
    struct job *job = job_new(req);
    struct tail *tail;
    struct err err = ERR_INIT;
    bool overlaps = false;
    int rc;

    if (job == NULL)
        return;
    tail = xcalloc(1, sizeof(*tail));
    rc = tail_args(job, tail, &overlaps, &err);
    if (rc == 0 && ntails == TAILS_MAX)
        rc = err_set(&err, ERR_BUSY, "more than %u tails", TAILS_MAX);
    if (rc != 0) {
        logsql_refuse(job, &err);
        xfree(tail);
        return;
    }
    job_free(job);
    if (req->method == HTTP_HEAD) {
        http_reply_begin(req, 200, "application/x-ndjson");
        http_reply_end(req);
        xfree(tail);
        return;
    }
    ntails++;
    metric_gauge_add(METRIC_TAILS, 1);
    tail->req = req;
    tail->process = req->process;
    tail->seen = overlaps ? tail_seen_new() : NULL;
    tail->timer = loop_timer_new(req->process->loop, tail_tick, tail);
    http_on_abort(req, tail_aborted, tail);
    http_reply_begin(req, 200, "application/x-ndjson");
    loop_timer_set(tail->timer, 0);
}
