/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * /internal/select/...: what fronts ask this server.  A plan (cluster/plan.h)
 * comes in, frames (cluster/frame.h) go out.
 */

#ifndef SPOOR_API_INTERNAL_SELECT_H
#define SPOOR_API_INTERNAL_SELECT_H

#include "core/base.h"
#include "cluster/frame.h"
#include "cluster/plan.h"
#include "core/err.h"
#include "http/http.h"
#include "query/backend.h"

/* All of them: the path says which kind of plan it has to be. */
void internal_select(struct http_req *req);

/* --- private to api/internal_*.c --- */

struct job;
struct stage;

/* A job that answers a plan. */
struct internal {
    struct job *job;
    struct plan plan;
};

/* Sends a frame; -1: the front is gone or slow.  One thread at a time. */
int internal_send(const struct internal *internal, enum frame_type type,
    struct sv payload, struct err *err) WARN_UNUSED;
void internal_ask(const struct internal *internal, struct backend_ask *ask);

/* What the kinds of plans do; -1: the answer ends with the error. */
typedef int (*internal_fn)(const struct internal *internal, struct err *err);
int internal_run_query(const struct internal *internal, struct err *err);
int internal_run_search(const struct internal *internal, struct err *err);
int internal_run_traces(const struct internal *internal, struct err *err);
int internal_run_names(const struct internal *internal, struct err *err);
int internal_run_edges(const struct internal *internal, struct err *err);
int internal_run_tenants(const struct internal *internal, struct err *err);
int internal_run_export(const struct internal *internal, struct err *err);

#endif
