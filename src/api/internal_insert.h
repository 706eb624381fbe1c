/* SPDX-License-Identifier: BSD-2-Clause */

/* Spans that a front sends to its storage nodes. */

#ifndef SPOOR_API_INTERNAL_INSERT_H
#define SPOOR_API_INTERNAL_INSERT_H

#include "core/base.h"
#include "http/http.h"

/* Route handler of /internal/insert; cluster/parcel.h says what it takes. */
void internal_insert(struct http_req *req);

#endif
