/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Spans of a running server, slice by slice of /select/otlp/export.  Behind
 * each slice the files are synced and FILE.progress says how far they are;
 * who resumes cuts them back to that.  Lines of FILE.progress:
 *
 *     spoor export 1
 *     source URL TENANT FILTER      must be the same
 *     range NEXT END                nanoseconds; what is left
 *     files NUMBER BYTES SPANS
 */

#include "core/base.h"
#include "cli/export.h"

#include <inttypes.h>

#include "cli/cli.h"
#include "cli/server_options.h"
#include "cli/slices.h"
#include "core/file.h"
#include "core/timefmt.h"
#include "otlp/otlp.h"
#include "otlp/otlp_encode.h"
#include "span/wire.h"

/* Two minutes: the longest that a server lets a query run by default, twice. */
#define TIMEOUT_NS (120 * NS_PER_SEC)
/* What is decoded at a time of an answer. */
#define PIECE_BYTES (2 * MIB)
#define PROGRESS_BYTES_MAX (64 * KIB)
#define PARTIAL_TEXT \
    "the server leaves damaged data out of its answer; --partial takes " \
    "what it gives"

struct export_url {
    struct export *export;
    struct slices slices;
    struct otlp_mark mark;
    bool is_partial;
    char progress_path[PATH_MAX];
};

/* --- progress --- */

static bool
is_stdout(const struct export *export)
{
    return strcmp(export->out_conf.path, "-") == 0;
}

static void
source_add(struct sb *out, const struct export *export)
{
    sb_addf(out, "spoor export 1\nsource %s %u:%u %s\n", cli_url(export->url),
        export->headers.tenant.account, export->headers.tenant.project,
        export->filter != NULL ? export->filter : "");
}

static int
progress_save(const struct export_url *run, struct err *err)
{
    const struct otlp_mark *mark = &run->mark;
    struct sb text;
    int rc;

    if (is_stdout(run->export))
        return 0;
    sb_init(&text, PROGRESS_BYTES_MAX);
    source_add(&text, run->export);
    sb_addf(&text, "range %lld %lld\nfiles %u %llu %llu\n",
        (long long)run->slices.next_ns, (long long)run->slices.end_ns,
        mark->file, (unsigned long long)mark->bytes,
        (unsigned long long)mark->spans);
    rc = sb_failed(&text) ? err_set(err, ERR_LIMIT, "the filter is too long")
        : file_replace(run->progress_path, text.ptr, text.len, 0644, err);
    sb_release(&text);
    return rc;
}

static int
progress_load(struct export_url *run, struct err *err)
{
    struct otlp_mark *mark = &run->mark;
    struct sb text, source;
    int rc = 0;

    sb_init(&text, PROGRESS_BYTES_MAX);
    sb_init(&source, PROGRESS_BYTES_MAX);
    source_add(&source, run->export);
    if (file_read_all(run->progress_path, &text, err) != 0)
        rc = err_wrap(err, "nothing to resume");
    else if (!sv_starts_with(sb_sv(&text), sb_sv(&source)))
        rc = err_set(err, ERR_INVALID, "%s is of another server, tenant or "
            "query", run->progress_path);
    else if (sscanf(text.ptr + source.len, "range %" SCNd64 " %" SCNd64
        "\nfiles %" SCNu32 " %" SCNu64 " %" SCNu64, &run->slices.next_ns,
        &run->slices.end_ns, &mark->file, &mark->bytes, &mark->spans) != 5)
        rc = err_set(err, ERR_INVALID, "%s is damaged", run->progress_path);
    sb_release(&source);
    sb_release(&text);
    return rc;
}

/* --- slices --- */

/* Cuts fields resource_spans of about PIECE_BYTES off the body. */
static bool
next_piece(struct sv *rest, struct sv *piece, struct wire_fail *fail)
{
    struct wire w = wire_make(*rest);
    const uint8_t *start = w.ptr;
    uint64_t tag;

    while (wire_more(&w) && (size_t)(w.ptr - start) < PIECE_BYTES) {
        if (!wire_read_tag(&w, &tag, fail) || !wire_skip(&w, tag, fail))
            return false;
    }
    *piece = sv_sub(*rest, 0, (size_t)(w.ptr - start));
    *rest = sv_sub(*rest, piece->len, rest->len);
    return true;
}

static int
piece_out(struct export *export, struct sv piece, struct err *err)
{
    struct pool *pool = pool_new(BATCH_POOL_BYTES(piece.len));
    struct batch batch;
    int rc;

    batch_init(&batch, pool);
    rc = otlp_decode_protobuf(piece, &batch, err);
    if (rc == 0) {
        otlp_group_spans(&batch);
        rc = otlp_out_batch(export->out, &batch, err);
    }
    pool_free(pool);
    return rc;
}

static int IMPL(slice_fn)
slice_out(const struct slice *slice, void *arg, struct err *err)
{
    struct export_url *run = arg;
    struct export *export = run->export;
    struct wire_fail fail = {NULL, NULL, 0};
    struct sv rest = slice->body, piece;
    char where[64] = "up to ";

    if (slice->is_partial && !export->take_partial)
        return err_set(err, ERR_CORRUPT, PARTIAL_TEXT);
    run->is_partial = run->is_partial || slice->is_partial;
    while (rest.len > 0) {
        if (!next_piece(&rest, &piece, &fail))
            return err_set(err, ERR_INVALID, "the server's answer is no "
                "OTLP: %s", fail.text);
        if (piece_out(export, piece, err) != 0)
            return -1;
    }
    if (otlp_out_sync(export->out, &run->mark, err) != 0)
        return -1;
    time_print_rfc3339(where + 6, slice->end_ns, 3);
    progress_show(&export->progress, otlp_out_spans(export->out), where);
    run->slices.next_ns = slice->end_ns;
    return progress_save(run, err);
}

/* --- the whole --- */

static int
run_open(struct export_url *run, uint64_t *counted, struct err *err)
{
    struct export *export = run->export;
    int n = snprintf(run->progress_path, sizeof(run->progress_path),
        "%s.progress", export->out_conf.path);

    if (n < 0 || (size_t)n >= sizeof(run->progress_path))
        return err_set(err, ERR_INVALID, "the name of the file is too long");
    if (export->is_resumed && progress_load(run, err) != 0)
        return -1;
    if (server_connect(&run->slices.client, cli_url(export->url), TIMEOUT_NS,
        err) != 0 || slices_bounds(&run->slices, counted, err) != 0)
        return -1;
    return otlp_out_open(&export->out, &export->out_conf,
        export->is_resumed ? &run->mark : NULL, err);
}

static int
run_finish(struct export_url *run, uint64_t counted, struct err *err)
{
    struct export *export = run->export;

    if (otlp_out_sync(export->out, &run->mark, err) != 0)
        return CLI_ERROR;
    if (!is_stdout(export) && file_unlink(run->progress_path, err) != 0)
        return CLI_ERROR;
    if (otlp_out_spans(export->out) != counted && !export->is_quiet)
        fprintf(stderr, "spoorctl: the server counted %llu spans at the "
            "begin\n", (unsigned long long)counted);
    if (!run->is_partial)
        return CLI_OK;
    cli_fail("the export is not complete: the server left damaged data out");
    return CLI_NOT_FOUND;
}

int
export_url(struct export *export, struct err *err)
{
    struct export_url run = {.export = export, .slices = {
        .headers = export->headers.v, .path = "/select/otlp/export",
        .filter = export->filter, .next_ns = export->start_ns,
        .end_ns = export->end_ns, .is_quiet = export->is_quiet,
        .bytes_max = export->slice_bytes, .fn = slice_out}};
    uint64_t counted = 0;
    int status = CLI_ERROR;

    run.slices.arg = &run;
    if (run_open(&run, &counted, err) == 0) {
        counted += run.mark.spans;
        if (slices_run(&run.slices, err) == 0)
            status = run_finish(&run, counted, err);
        else if (!is_stdout(export))
            (void)err_wrap(err, "interrupted (export --resume goes on)");
    }
    http_client_free(run.slices.client);
    return status;
}
