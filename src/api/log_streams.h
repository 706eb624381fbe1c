/* SPDX-License-Identifier: BSD-2-Clause */

#ifndef SPOOR_API_LOG_STREAMS_H
#define SPOOR_API_LOG_STREAMS_H

#include "core/base.h"
#include "http/http.h"

/* Handler of /internal/log_new_streams. */
void log_streams(struct http_req *req);

#endif
