/* SPDX-License-Identifier: BSD-2-Clause */

/* What the sources of "spoorctl import" share; private to cli/import*.c. */

#ifndef SPOOR_CLI_IMPORT_H
#define SPOOR_CLI_IMPORT_H

#include "core/base.h"
#include "cli/outbox.h"
#include "cli/progress.h"
#include "core/err.h"
#include "span/span.h"

struct import {
    struct outbox *outbox;
    struct progress progress;
    uint64_t bad;      /* requests or lines that could not be read */
    uint64_t skipped;  /* lines that are no spans, and are not to be */
    uint64_t renamed;  /* fields that became attributes of spans */
};

/*
 * Notes what could not be read; the first ones are printed as
 * "FILE: PLACE: WHY".
 */
void import_bad(struct import *import, const char *file, const char *place,
    const char *why);
/* Sends the spans of a batch; where: for the progress. */
int import_batch(struct import *import, struct batch *batch,
    const char *where, struct err *err) WARN_UNUSED;

/* A file of OTLP requests (otlp_file.h). */
int import_otlp(struct import *import, const char *path, struct err *err)
    WARN_UNUSED;

/* A file of lines that /select/logsql/query gave (vt_line.h). */
int import_vt_file(struct import *import, const char *path, struct err *err)
    WARN_UNUSED;

/* The same of a server, in slices of time. */
struct import_source {
    const char *url;
    const char *const *headers; /* "Name: value" ..., NULL */
    const char *filter;         /* LogsQL; NULL: all */
    uint64_t slice_bytes;       /* largest answer; 0: the default */
    int64_t start_ns;
    int64_t end_ns;
};
int import_vt_url(struct import *import, const struct import_source *source,
    struct err *err) WARN_UNUSED;

#endif
