/* SPDX-License-Identifier: BSD-2-Clause */

/* GET /internal/cluster: the storage nodes of a front. */

#ifndef SPOOR_API_CLUSTER_SHOW_H
#define SPOOR_API_CLUSTER_SHOW_H

#include "core/base.h"
#include "http/http.h"

void cluster_show(struct http_req *req);

#endif
