/* SPDX-License-Identifier: BSD-2-Clause */

/* Route handlers for whole days: attach, detach, snapshots. */

#ifndef SPOOR_API_PARTITION_H
#define SPOOR_API_PARTITION_H

#include "core/base.h"
#include "http/http.h"

void partition_attach(struct http_req *req);
void partition_detach(struct http_req *req);
void partition_list(struct http_req *req);
void partition_snapshot_create(struct http_req *req);
void partition_snapshot_list(struct http_req *req);
void partition_snapshot_delete(struct http_req *req);
void partition_snapshot_delete_stale(struct http_req *req);

#endif
