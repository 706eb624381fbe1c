/* SPDX-License-Identifier: BSD-2-Clause */

/* What the sources of "spoorctl export" share; private to its files. */

#ifndef SPOOR_CLI_EXPORT_H
#define SPOOR_CLI_EXPORT_H

#include "core/base.h"
#include "cli/otlp_file.h"
#include "cli/progress.h"
#include "cli/request.h"
#include "core/err.h"

struct export {
    const char *url;
    const char *data;
    const char *filter; /* LogsQL; NULL: all */
    struct request_headers headers;
    struct otlp_out_conf out_conf;
    struct otlp_out *out;
    struct progress progress;
    uint64_t slice_bytes; /* largest answer of a server; 0: the default */
    int64_t start_ns; /* spans that end at or after it */
    int64_t end_ns;   /* and before it */
    bool has_format;
    bool is_quiet;
    bool is_resumed;
    bool take_partial;
};

/*
 * Each opens and fills export->out and returns an exit status; CLI_ERROR with
 * err.
 */
int export_url(struct export *export, struct err *err) WARN_UNUSED;
int export_data(struct export *export, struct err *err) WARN_UNUSED;

#endif
