/* SPDX-License-Identifier: BSD-2-Clause */

#ifndef SPOOR_API_VMALERT_H
#define SPOOR_API_VMALERT_H

#include "core/base.h"
#include "http/http.h"

/*
 * /select/vmalert/...: a user interface that asks for alerts learns that there
 * is no vmalert behind this address.
 */
void vmalert_refuse(struct http_req *req);

#endif
