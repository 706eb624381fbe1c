/* SPDX-License-Identifier: BSD-2-Clause */

/* Route handlers for what browsers, robots and other programs ask for. */

#ifndef SPOOR_API_SMALL_H
#define SPOOR_API_SMALL_H

#include "core/base.h"
#include "http/http.h"

void small_ping(struct http_req *req);
void small_robots(struct http_req *req);
void small_favicon(struct http_req *req);
void small_buildinfo(struct http_req *req);
void small_pprof(struct http_req *req);

#endif
