/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Errors in the form that the clients of an endpoint read: Prometheus' JSON
 * for stats_query and stats_query_range, Jaeger's envelope, else text.
 */

#ifndef SPOOR_API_ERROR_BODY_H
#define SPOOR_API_ERROR_BODY_H

#include "core/base.h"
#include "core/sb.h"

/* {"status":"error","errorType":"422","error":TEXT} */
void error_body_prometheus(struct sb *out, int status, const char *text);
/* {"data":null,...,"errors":[{"code":400,"msg":TEXT}]} */
void error_body_jaeger(struct sb *out, int status, const char *text);

/* Once: what HTTP itself answers on paths of queries gets that form, too. */
void error_body_install(void);

#endif
