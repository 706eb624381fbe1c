/* SPDX-License-Identifier: BSD-2-Clause */

/* /internal/select/query: rows, or the states of the last pipe, as frames. */

#include "core/base.h"
#include "api/internal_select.h"

#include <pthread.h>

#include "api/job.h"
#include "cluster/answer_wire.h"
#include "cluster/rows_wire.h"
#include "core/assert.h"
#include "core/conf_budget.h"
#include "core/mem.h"
#include "query/pipe.h"
#include "query/query.h"

/* Of rows before they are compressed. */
#define ROWS_PIECE (1 * MIB)
/* A state goes in pieces of this. */
#define STATE_FRAME (16 * MIB)

/* --- rows --- */

struct lane {
    struct sb frames; /* that wait for more */
    struct sb rows;   /* one payload in the making */
};

struct sink_frames {
    struct stage stage;
    const struct internal *internal;
    pthread_mutex_t mutex; /* of sending */
    bool has_begun;
    struct lane lanes[QUERY_LANES_MAX];
};

static int
send_figures(const struct internal *internal, struct query_figures *figures,
    struct err *err)
{
    const struct wire_figures wire = {.figures = figures,
        .is_partial = internal->job->answer.is_partial};
    struct sb sb;
    int rc;

    sb_init(&sb, 4 * KIB);
    wire_figures_put(&sb, &wire);
    rc = internal_send(internal, FRAME_FIGURES, sb_sv(&sb), err);
    sb_release(&sb);
    return rc;
}

static int
lane_send(struct sink_frames *sink, struct lane *lane, struct err *err)
{
    const struct internal *internal = sink->internal;
    int rc = 0;

    pthread_mutex_lock(&sink->mutex);
    if (!sink->has_begun && internal->job->answer.is_partial)
        rc = send_figures(internal, NULL, err);
    sink->has_begun = true;
    if (rc == 0)
        rc = job_write(internal->job, &lane->frames, err);
    pthread_mutex_unlock(&sink->mutex);
    return rc;
}

static int
frames_write(struct stage *stage, unsigned i, struct rows *rows,
    struct err *err)
{
    struct sink_frames *sink = (struct sink_frames *)stage;
    const struct plan *plan = &sink->internal->plan;
    struct lane *lane = &sink->lanes[i];
    uint32_t row = rows_first(rows);

    check(i < QUERY_LANES_MAX);
    while (row < rows->n) {
        sb_reset(&lane->rows);
        if (rows_put(&lane->rows, rows, &plan->needed, &row, ROWS_PIECE,
                err) != 0)
            return -1;
        if (sb_failed(&lane->rows))
            return err_set(err, ERR_LIMIT, "query needs too much memory");
        frame_put(&lane->frames, FRAME_ROWS, sb_sv(&lane->rows),
            !plan->wants_plain);
        if (lane->frames.len >= ANSWER_PIECE &&
            lane_send(sink, lane, err) != 0)
            return -1;
    }
    return 0;
}

static int
frames_flush(struct stage *stage, struct err *err)
{
    struct sink_frames *sink = (struct sink_frames *)stage;

    for (unsigned i = 0; i < QUERY_LANES_MAX; i++) {
        if (sink->lanes[i].frames.len > 0 &&
            lane_send(sink, &sink->lanes[i], err) != 0)
            return -1;
    }
    return 0;
}

static void
frames_free(struct stage *stage)
{
    struct sink_frames *sink = (struct sink_frames *)stage;

    for (unsigned i = 0; i < QUERY_LANES_MAX; i++) {
        sb_release(&sink->lanes[i].frames);
        sb_release(&sink->lanes[i].rows);
    }
    pthread_mutex_destroy(&sink->mutex);
    xfree(sink);
}

static const struct stage_ops frames_ops = {frames_write, frames_flush,
    frames_free};

static struct stage *
sink_frames_new(const struct internal *internal)
{
    struct sink_frames *sink = xcalloc(1, sizeof(*sink));

    sink->stage.ops = &frames_ops;
    sink->internal = internal;
    check(pthread_mutex_init(&sink->mutex, NULL) == 0);
    for (unsigned i = 0; i < QUERY_LANES_MAX; i++) {
        sb_init(&sink->lanes[i].frames, 2 * FRAME_BYTES_MAX);
        sb_init(&sink->lanes[i].rows, FRAME_BYTES_MAX);
    }
    return &sink->stage;
}

/* --- states --- */

static int
send_state(void *arg, struct sv state, struct err *err)
{
    while (state.len > STATE_FRAME) {
        if (internal_send(arg, FRAME_STATE, sv_sub(state, 0, STATE_FRAME),
                err) != 0)
            return -1;
        state = sv_sub(state, STATE_FRAME, state.len);
    }
    return internal_send(arg, FRAME_STATE_END, state, err);
}

/* --- all --- */

/* What a kept result may take, as for clients (api/logsql.c). */
#define RESULTS_SHARE 8u

int
internal_run_query(const struct internal *internal, struct err *err)
{
    const struct plan *plan = &internal->plan;
    struct job *job = internal->job;
    const struct conf *conf = job->process->conf;
    struct query_figures figures = {.is_explained = false};
    struct query_env env = {.tenant = job->tenant,
        .tasks = job->process->queries,
        .seconds = METRIC_QUERY_SECONDS_LOGSQL,
        .lanes_max = plan->query->parallel_readers > 0
            ? conf_budget(conf)->lanes : job_lanes(job),
        .memory_max = job->bytes_max, .share = &job->memory,
        .results_max = conf->query_no_cache || job->no_cache ? 0 :
            conf_budget(conf)->cache / RESULTS_SHARE,
        .cancel = &job->cancel, .deadline_ns = job->deadline_ns,
        .range_max_ns = conf->query_range_max, .figures = &figures,
        .source = backend_get()->source,
        .is_remote = backend_get()->is_remote,
        .allow_missing = plan->allow_missing};

    if (plan->end == SPLIT_STATE) {
        env.state_fn = send_state;
        env.state_arg = (void *)(uintptr_t)internal;
    }
    if (query_execute(plan->query, &env, sink_frames_new(internal),
            &job->answer, err) != 0)
        return -1;
    return send_figures(internal, &figures, err);
}
