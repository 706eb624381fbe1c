/* SPDX-License-Identifier: BSD-2-Clause */

/* /select/otlp/export. */

#ifndef SPOOR_API_OTLP_EXPORT_H
#define SPOOR_API_OTLP_EXPORT_H

#include "core/base.h"
#include "http/http.h"

void otlp_export(struct http_req *req);

/*
 * The last stage of a query that exports: requests, in pieces, to `to`, from
 * several threads at a time.  to lives as long as the stage.
 */
struct job;
struct stage;
struct wire_piece_to;
struct stage *export_pieces_new(struct job *job,
    const struct wire_piece_to *to);

#endif
