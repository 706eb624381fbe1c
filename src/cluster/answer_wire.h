/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Payloads of frames (cluster/frame.h) that are neither rows nor states:
 * names, edges, tenants, spans and figures.  answer_wire.c begins with the
 * bytes.  Those that take return 1, 0 at the end of *in, or -1: ERR_CORRUPT.
 */

#ifndef SPOOR_CLUSTER_ANSWER_WIRE_H
#define SPOOR_CLUSTER_ANSWER_WIRE_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"
#include "query/figures.h"
#include "span/span.h"
#include "storage/edges.h"

/* A payload that has grown to this is sent. */
#define ANSWER_PIECE (256 * KIB)

struct wire_name {
    struct sv service;
    struct sv name;
    int32_t kind;
};
void wire_name_put(struct sb *out, const struct wire_name *name);
int wire_name_take(struct sv *in, struct wire_name *out, struct err *err)
    WARN_UNUSED;

void wire_edge_put(struct sb *out, const struct edge *edge);
int wire_edge_take(struct sv *in, struct edge *out, struct err *err)
    WARN_UNUSED;

void wire_tenant_put(struct sb *out, const struct tenant *tenant);
int wire_tenant_take(struct sv *in, struct tenant *out, struct err *err)
    WARN_UNUSED;

/*
 * What a query cost, more than once perhaps, and what is known of its answer
 * by then: sooner than at the end.
 */
struct wire_figures {
    struct query_figures *figures; /* putting: NULL: none yet */
    bool is_partial;
};
void wire_figures_put(struct sb *out, const struct wire_figures *figures);
/* Adds what a node counted. */
int wire_figures_add(struct sv in, struct wire_figures *figures,
    struct err *err) WARN_UNUSED;

/*
 * Some spans of a trace, all of scopes with these fields, which OTLP does not
 * know.  The request is empty where there is no span, but something to say.
 */
struct wire_spans {
    uint32_t index;      /* of the id that was asked for */
    bool is_partial;     /* of the trace, as in struct store_answer */
    bool is_truncated;
    struct sv stream_fields;
    struct sv extra_fields;
    struct sv request;   /* ExportTraceServiceRequest */
};
int wire_spans_take(struct sv in, struct wire_spans *out, struct err *err)
    WARN_UNUSED;

/*
 * The spans of the batch, which are put into another order, as payloads of
 * about ANSWER_PIECE.  head: all but what follows from the spans; NULL: of an
 * export, the payloads are requests and nothing else.
 */
typedef int (*wire_piece_fn)(void *arg, struct sv payload, struct err *err);
struct wire_piece_to {
    wire_piece_fn fn;
    void *arg;
};
int wire_spans_put(struct batch *batch, const struct wire_spans *head,
    const struct wire_piece_to *to, struct err *err) WARN_UNUSED;

#endif
