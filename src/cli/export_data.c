/* SPDX-License-Identifier: BSD-2-Clause */

/* Spans of a data directory that no server uses. */

#include "core/base.h"
#include "cli/export.h"

#include "cli/cli.h"
#include "otlp/otlp.h"
#include "otlp/otlp_encode.h"
#include "storage/offline.h"

static int IMPL(offline_fn)
batch_out(const struct batch *batch, void *arg, struct err *err)
{
    struct export *export = arg;
    struct batch grouped = *batch;

    otlp_group_spans(&grouped);
    if (otlp_out_batch(export->out, &grouped, err) != 0)
        return -1;
    progress_show(&export->progress, otlp_out_spans(export->out), "");
    return 0;
}

/* The exit status. */
static int
data_report(const struct export *export, const struct offline_report *report)
{
    if (!export->is_quiet)
        fprintf(stderr, "spoorctl: %llu parts of %llu days; %llu spans only "
            "in logs\n", (unsigned long long)report->parts,
            (unsigned long long)report->days,
            (unsigned long long)report->log_spans);
    if (report->other_tenants > 0)
        cli_fail("%llu spans of other tenants were left out (--tenant)",
            (unsigned long long)report->other_tenants);
    if (report->damaged == 0)
        return CLI_OK;
    cli_fail("%s", report->damage.text);
    cli_fail("the export is not complete: %llu files or records are damaged "
        "(spoorctl check lists them)", (unsigned long long)report->damaged);
    return CLI_NOT_FOUND;
}

int
export_data(struct export *export, struct err *err)
{
    struct offline_query query = {export->headers.tenant, export->start_ns,
        export->end_ns, otlp_decode_request, batch_out, export};
    struct offline_report report;
    struct otlp_mark mark;

    if (otlp_out_open(&export->out, &export->out_conf, NULL, err) != 0)
        return CLI_ERROR;
    if (offline_read(export->data, &query, &report, err) != 0 ||
        otlp_out_sync(export->out, &mark, err) != 0)
        return CLI_ERROR;
    return data_report(export, &report);
}
