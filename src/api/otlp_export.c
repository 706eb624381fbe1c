/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * /select/otlp/export: the spans that pass a LogsQL filter, as OTLP.
 *
 * LogsQL's rows are texts and Jaeger's tags know five types, so neither gives
 * back what was sent; this does.  It is a query like others: of one tenant,
 * below /select/ with its proxies' rules, with extra_filters, a place among
 * search.max_concurrent_requests, the limits of time and memory, an answer
 * that waits for its client and says when it is partial.  Who wants much asks
 * for it in slices of time, as "spoorctl export" does.
 *
 *   format=proto   (default) one ExportTraceServiceRequest: fields
 *                  resource_spans one after the other, each a request, too
 *   format=json    an ExportTraceServiceRequest as OTLP/JSON on each line
 *
 * Spans come in no order, those of one resource and scope together where they
 * were together.
 */

#include "core/base.h"
#include "api/otlp_export.h"

#include <pthread.h>

#include "api/job.h"
#include "api/logsql.h"
#include "api/logsql_args.h"
#include "cluster/answer_wire.h"
#include "core/assert.h"
#include "core/mem.h"
#include "otlp/otlp.h"
#include "otlp/otlp_encode.h"
#include "query/backend.h"
#include "query/pipe.h"

/* Spans that are turned into one message; fewer when these are large. */
#define EXPORT_SPANS 1024u
/* Lanes collect this much before they take the lock and send. */
#define EXPORT_BYTES (256 * KIB)

struct export_args {
    struct query *query;
    enum otlp_format format;
};

struct sink_export {
    struct stage stage;
    struct job *job;
    enum otlp_format format;
    const struct wire_piece_to *pieces; /* not NULL: these get them */
    pthread_mutex_t mutex;
    struct sb lanes[QUERY_LANES_MAX];
};

static int
export_send(struct sink_export *sink, struct sb *sb, struct err *err)
{
    int rc;

    pthread_mutex_lock(&sink->mutex);
    rc = job_write(sink->job, sb, err);
    pthread_mutex_unlock(&sink->mutex);
    return rc;
}

static int
put_spans(const struct sink_export *sink, struct batch *batch, struct sb *sb,
    struct err *err)
{
    if (sink->pieces != NULL)
        return wire_spans_put(batch, NULL, sink->pieces, err);
    otlp_group_spans(batch);
    if (sink->format == OTLP_PROTOBUF) {
        otlp_encode_protobuf(batch, sb);
        return 0;
    }
    otlp_encode_json(batch, sb);
    sb_add_char(sb, '\n');
    return 0;
}

/* Rows that the next message gets. */
struct piece {
    uint32_t rows[EXPORT_SPANS];
    uint32_t n;
    struct pool *pool;
};

/* In halves when all of it needs more memory than there is. */
static int
put_rows(struct sink_export *sink, struct block *block, struct piece *piece,
    struct sb *sb, struct err *err)
{
    uint32_t step = piece->n;

    for (uint32_t from = 0; from < piece->n;) {
        uint32_t n = MIN(step, piece->n - from);
        struct batch batch;

        pool_reset(piece->pool);
        batch_init(&batch, piece->pool);
        if (block_read_spans(block, piece->rows + from, n, &batch,
            err) == 0) {
            if (put_spans(sink, &batch, sb, err) != 0)
                return -1;
            from += n;
        } else if (err->code == ERR_LIMIT && step > 1) {
            err_reset(err);
            step /= 2;
        } else {
            return -1;
        }
    }
    piece->n = 0;
    if (sb_failed(sb))
        return err_set(err, ERR_LIMIT, "a span is too large");
    return sb->len >= EXPORT_BYTES ? export_send(sink, sb, err) : 0;
}

static int
export_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct sink_export *sink = (struct sink_export *)stage;
    struct piece piece = {.n = 0};
    int rc = 0;

    check(lane < QUERY_LANES_MAX && rows->block != NULL);
    piece.pool = pool_new(sink->job->bytes_max);
    pool_share(piece.pool, &sink->job->memory);
    pool_keep(piece.pool, MIB);
    for (uint32_t row = rows_first(rows); rc == 0 && row < rows->n;
        row = rows_next(rows, row)) {
        piece.rows[piece.n++] = row;
        if (piece.n < EXPORT_SPANS)
            continue;
        rc = run_poll(stage->run, err);
        if (rc == 0)
            rc = put_rows(sink, rows->block, &piece, &sink->lanes[lane], err);
    }
    if (rc == 0)
        rc = put_rows(sink, rows->block, &piece, &sink->lanes[lane], err);
    pool_free(piece.pool);
    return rc;
}

static int
export_flush(struct stage *stage, struct err *err)
{
    struct sink_export *sink = (struct sink_export *)stage;

    for (unsigned lane = 0; lane < QUERY_LANES_MAX; lane++) {
        if (sink->lanes[lane].len > 0 &&
            export_send(sink, &sink->lanes[lane], err) != 0)
            return -1;
    }
    return 0;
}

static void
export_free(struct stage *stage)
{
    struct sink_export *sink = (struct sink_export *)stage;

    for (unsigned lane = 0; lane < QUERY_LANES_MAX; lane++)
        sb_release(&sink->lanes[lane]);
    pthread_mutex_destroy(&sink->mutex);
    xfree(sink);
}

static const struct stage_ops export_ops = {export_write, export_flush,
    export_free};

static struct sink_export *
sink_export_new(struct job *job, enum otlp_format format)
{
    struct sink_export *sink = xcalloc(1, sizeof(*sink));

    sink->stage.ops = &export_ops;
    sink->job = job;
    sink->format = format;
    check(pthread_mutex_init(&sink->mutex, NULL) == 0);
    for (unsigned lane = 0; lane < QUERY_LANES_MAX; lane++)
        sb_init(&sink->lanes[lane], job->bytes_max);
    return sink;
}

struct stage *
export_pieces_new(struct job *job, const struct wire_piece_to *to)
{
    struct sink_export *sink = sink_export_new(job, OTLP_PROTOBUF);

    sink->pieces = to;
    return &sink->stage;
}

/* --- of other nodes --- */

/* A request that a node has made. */
struct passing {
    struct job *job;
    enum otlp_format format;
    struct sb sb;
};

static int
put_json(struct passing *passing, struct sv request, struct err *err)
{
    struct pool *pool = pool_new(passing->job->bytes_max);
    struct batch batch;
    int rc;

    pool_share(pool, &passing->job->memory);
    batch_init(&batch, pool);
    rc = otlp_decode_protobuf(request, &batch, err);
    if (rc == 0) {
        otlp_encode_json(&batch, &passing->sb);
        sb_add_char(&passing->sb, '\n');
    }
    pool_free(pool);
    return rc;
}

static int
pass_request(void *arg, struct sv request, struct err *err)
{
    struct passing *passing = arg;

    if (passing->format == OTLP_PROTOBUF)
        sb_add_sv(&passing->sb, request);
    else if (put_json(passing, request, err) != 0)
        return -1;
    if (sb_failed(&passing->sb))
        return err_set(err, ERR_LIMIT, "a span is too large");
    return passing->sb.len < EXPORT_BYTES ? 0
        : job_write(passing->job, &passing->sb, err);
}

static void
export_nodes(struct job *job, const struct backend *backend)
{
    const struct export_args *args = job->arg;
    struct passing passing = {.job = job, .format = args->format};
    struct backend_ask ask;
    struct err err = ERR_INIT;

    job->is_logsql = true;
    job_ask(job, &ask);
    ask.allow_missing = logsql_allows_missing(job, args->query);
    sb_init(&passing.sb, job->bytes_max);
    if (backend->export_spans(&ask, args->query, pass_request, &passing,
            &err) != 0 ||
        logsql_check_whole(job, args->query, &err) != 0 ||
        (passing.sb.len > 0 && job_write(job, &passing.sb, &err) != 0))
        logsql_job_error(job, &err);
    sb_release(&passing.sb);
}

static void
export_run(struct job *job)
{
    const struct backend *backend = backend_get();
    const struct export_args *args = job->arg;

    if (backend->export_spans != NULL && !job->is_explained)
        export_nodes(job, backend);
    else
        (void)logsql_execute(job, args->query,
            &sink_export_new(job, args->format)->stage);
}

static int
format_arg(struct job *job, enum otlp_format *format, struct err *err)
{
    struct sv text = http_arg(job->req, "format");

    *format = sv_eq(text, SV("json")) ? OTLP_JSON : OTLP_PROTOBUF;
    if (text.len > 0 && *format == OTLP_PROTOBUF &&
        !sv_eq(text, SV("proto")))
        return err_set(err, ERR_INVALID, "argument format is neither json "
            "nor proto");
    return 0;
}

void
otlp_export(struct http_req *req)
{
    struct job *job = job_new(req);
    struct export_args *args;
    struct err err = ERR_INIT;
    int rc;

    if (job == NULL)
        return;
    args = pool_zalloc(job->pool, sizeof(*args));
    if (args == NULL)
        rc = err_set(&err, ERR_LIMIT, "query needs too much memory");
    else
        rc = format_arg(job, &args->format, &err);
    if (rc == 0)
        rc = logsql_query_arg(job, &args->query, &err);
    if (rc == 0 && args->query->pipes != NULL)
        rc = err_set(&err, ERR_INVALID, "spans are exported by a filter; "
            "pipes make other rows of them");
    if (rc == 0 && args->query->nhidden > 0)
        rc = err_set(&err, ERR_INVALID, "spans are exported whole, so no "
            "field can be hidden");
    if (rc != 0) {
        logsql_refuse(job, &err);
        return;
    }
    job->arg = args;
    job->content_type = args->format == OTLP_JSON ? "application/stream+json"
                                                  : "application/x-protobuf";
    job_start(job, export_run);
}
