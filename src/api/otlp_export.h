/* SPDX-License-Identifier: BSD-2-Clause */

/* /select/otlp/export. */

#ifndef SPOOR_API_OTLP_EXPORT_H
#define SPOOR_API_OTLP_EXPORT_H

#include "core/base.h"
#include "http/http.h"

void otlp_export(struct http_req *req);

#endif
