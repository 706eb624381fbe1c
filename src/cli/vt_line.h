/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Lines that /select/logsql/query of a VictoriaTraces server (or of spoor)
 * gives, back into spans.  A line is one JSON object of texts; span/flat.h
 * lists the names.
 *
 *   typed by their names       ids, times, kind, status_code, flags, dropped
 *                              counts, of events and links as well
 *   attributes                 stay texts: "true" and "42" do not tell whether
 *                              they were; "a.b" stays a key with a dot; the
 *                              "-" of an empty text stays "-"
 *   _stream _stream_id _msg    made anew by the server
 *   duration, _time            used only where start or end are missing
 *   event:0:event_name         and event:event_name:0 are the same
 *   any other name             an extra field of the request (VT-Extra-Fields)
 *
 * Two lines give equal resources when they have the same resource_attr fields.
 */

#ifndef SPOOR_CLI_VT_LINE_H
#define SPOOR_CLI_VT_LINE_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"
#include "span/span.h"

/* More fields than any server stores of a span. */
#define VT_FIELDS_MAX 10000u
/* Numbers of events and links end below it. */
#define VT_ITEMS_MAX 4096u
/* Resources and scopes that are compared with those of a line. */
#define VT_SHARED_MAX 64u

struct vt_shared {
    uint64_t hash;
    uint32_t index; /* in the batch */
};

/* A batch that grows line by line. */
struct vt_batch {
    struct pool *pool;
    struct batch batch;
    /* "env=prod,zone=eu": what its requests ask for; all lines agree. */
    struct sb extra;
    uint64_t kept_names; /* fields that became attributes: extra fields cannot
                            hold them */
    struct vt_shared resources[VT_SHARED_MAX];
    struct vt_shared scopes[VT_SHARED_MAX];
    struct sb next_extra;    /* private, as is the next */
    struct vt_fields *fields;
};

void vt_batch_init(struct vt_batch *vt);
void vt_batch_release(struct vt_batch *vt);
/* Empty again; the extra fields of the next line count. */
void vt_batch_reset(struct vt_batch *vt);

enum vt_result {
    VT_SPAN,    /* the batch has one more; it may be a rejected one */
    VT_NO_SPAN, /* a row of a trace index or service graph */
    VT_OTHER,   /* other extra fields: send the batch, reset it, come again */
    VT_BAD,     /* err says why */
};
enum vt_result vt_batch_add(struct vt_batch *vt, struct sv line,
    struct err *err);

/* True when the batch is as large as one should be. */
bool vt_batch_is_full(const struct vt_batch *vt);

#endif
