/* SPDX-License-Identifier: BSD-2-Clause */

/* Route handlers for people and machines that look after the server. */

#ifndef SPOOR_API_ADMIN_H
#define SPOOR_API_ADMIN_H

#include "core/base.h"
#include "http/http.h"

void admin_home(struct http_req *req);
void admin_health(struct http_req *req);
void admin_grpc_health(struct http_req *req); /* grpc.health.v1 */
void admin_healthy(struct http_req *req);
void admin_ready(struct http_req *req);
void admin_insert_ready(struct http_req *req);
void admin_metrics(struct http_req *req);
void admin_flags(struct http_req *req);
void admin_force_flush(struct http_req *req);
void admin_force_merge(struct http_req *req);

#endif
