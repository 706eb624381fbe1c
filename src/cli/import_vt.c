/* SPDX-License-Identifier: BSD-2-Clause */

/* Lines of LogsQL answers, of a file or of a server that runs. */

#include "core/base.h"
#include "cli/import.h"

#include "cli/cli.h"
#include "cli/input.h"
#include "cli/slices.h"
#include "cli/vt_line.h"
#include "core/timefmt.h"
#include "otlp/otlp_encode.h"

#define TIMEOUT_NS (120 * NS_PER_SEC)
#define HEADER_BYTES_MAX (16 * KIB)

struct import_lines {
    struct import *import;
    const char *where; /* the file or server */
    struct vt_batch vt;
};

static void
lines_init(struct import_lines *lines, struct import *import,
    const char *where)
{
    lines->import = import;
    lines->where = where;
    vt_batch_init(&lines->vt);
}

static int
lines_send(struct import_lines *lines, const char *progress, struct err *err)
{
    struct outbox *outbox = lines->import->outbox;
    struct vt_batch *vt = &lines->vt;
    struct sb header;
    int rc = 0;

    if (vt->batch.nspans == 0)
        return 0;
    sb_init(&header, HEADER_BYTES_MAX);
    sb_addf(&header, "VT-Extra-Fields: %s", vt->extra.ptr);
    rc = outbox_set_header(outbox, vt->extra.len > 0 ? header.ptr : NULL,
        err);
    sb_release(&header);
    if (rc == 0) {
        otlp_group_spans(&vt->batch);
        rc = import_batch(lines->import, &vt->batch, progress, err);
    }
    vt_batch_reset(vt);
    return rc;
}

/* place: the line, for messages. */
static int
lines_add(struct import_lines *lines, struct sv line, const char *place,
    struct err *err)
{
    struct err bad = ERR_INIT;
    enum vt_result result;

    if (sv_trim(line).len == 0)
        return 0;
    result = vt_batch_add(&lines->vt, line, &bad);
    if (result == VT_OTHER) {
        if (lines_send(lines, lines->where, err) != 0)
            return -1;
        result = vt_batch_add(&lines->vt, line, &bad);
    }
    if (result == VT_BAD)
        import_bad(lines->import, lines->where, place, bad.text);
    lines->import->skipped += result == VT_NO_SPAN;
    return vt_batch_is_full(&lines->vt) ? lines_send(lines, lines->where, err)
                                        : 0;
}

static int
lines_finish(struct import_lines *lines, int rc, struct err *err)
{
    if (rc == 0)
        rc = lines_send(lines, lines->where, err);
    lines->import->renamed += lines->vt.kept_names;
    vt_batch_release(&lines->vt);
    return rc;
}

/* --- a file --- */

int
import_vt_file(struct import *import, const char *path, struct err *err)
{
    struct import_lines lines;
    struct input in;
    struct sv line;
    bool is_long;
    int got = 0, rc = 0;

    lines_init(&lines, import, path);
    rc = input_open(&in, path, err);
    while (rc == 0 && (got = input_line(&in, &line, &is_long, err)) == 1) {
        char place[40];

        snprintf(place, sizeof(place), "line %llu",
            (unsigned long long)in.line);
        if (is_long)
            import_bad(import, path, place, "it is longer than 64 MiB");
        else
            rc = lines_add(&lines, line, place, err);
    }
    input_release(&in);
    return lines_finish(&lines, rc != 0 || got < 0 ? -1 : 0, err);
}

/* --- a server --- */

static int IMPL(slice_fn)
slice_in(const struct slice *slice, void *arg, struct err *err)
{
    struct import_lines *lines = arg;
    struct sv rest = slice->body, line;
    char place[96] = "rows from ", where[64] = "up to ";
    size_t len = strlen(place);

    if (slice->is_partial)
        return err_set(err, ERR_CORRUPT, "%s leaves damaged data out of its "
            "answer", lines->where);
    len += time_print_rfc3339(place + len, slice->start_ns, 9);
    while (rest.len > 0 && sv_split(&rest, '\n', &line)) {
        if (lines_add(lines, line, place, err) != 0)
            return -1;
    }
    time_print_rfc3339(where + 6, slice->end_ns, 3);
    if (lines_send(lines, where, err) != 0)
        return -1;
    return outbox_flush(lines->import->outbox, err);
}

int
import_vt_url(struct import *import, const struct import_source *source,
    struct err *err)
{
    struct slices slices = {.headers = source->headers,
        .path = "/select/logsql/query", .filter = source->filter,
        .next_ns = source->start_ns, .end_ns = source->end_ns,
        .bytes_max = source->slice_bytes,
        .is_quiet = import->progress.is_quiet, .fn = slice_in};
    struct import_lines lines;
    char next[40];
    uint64_t rows = 0;
    int rc;

    lines_init(&lines, import, source->url);
    slices.arg = &lines;
    rc = http_client_new(&slices.client, source->url, TIMEOUT_NS, err);
    if (rc == 0)
        rc = slices_bounds(&slices, &rows, err);
    if (rc == 0 && !slices.is_quiet)
        fprintf(stderr, "spoorctl: %s has %llu rows\n", source->url,
            (unsigned long long)rows);
    if (rc == 0 && slices_run(&slices, err) != 0) {
        time_print_rfc3339(next, slices.next_ns, 9);
        rc = err_wrap(err, "interrupted (--start %s goes on)", next);
    }
    http_client_free(slices.client);
    return lines_finish(&lines, rc, err);
}
