/* SPDX-License-Identifier: BSD-2-Clause */

/* Private to otlp/: inserts, behind what the transports say of them. */

#ifndef SPOOR_OTLP_INSERT_H
#define SPOOR_OTLP_INSERT_H

#include "core/base.h"
#include "core/compress.h"
#include "core/sv.h"
#include "http/http.h"
#include "span/ingest.h"

/* What the head of a request says. */
struct insert_head {
    struct tenant tenant;
    enum otlp_format format;
    enum encoding encoding;
    bool is_debug;           /* logged, not stored */
    struct sv params;        /* canonical, of the request's pool */
    struct sv wire;          /* a view into the request's body */
    const char *answer_type; /* static; not used by gRPC */
};

/* What all transports say alike, tenant and parameters.  False: answered. */
bool insert_read_head(struct http_req *req, struct insert_head *head)
    WARN_UNUSED;
/*
 * Waits for a place among the running inserts, decodes, stores and answers,
 * now or later.
 */
void insert_run(struct http_req *req, const struct insert_head *head);

#endif
