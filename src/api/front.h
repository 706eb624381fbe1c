/* SPDX-License-Identifier: BSD-2-Clause */

/* Requests about what is stored, on a server that stores nothing. */

#ifndef SPOOR_API_FRONT_H
#define SPOOR_API_FRONT_H

#include "core/base.h"
#include "http/http.h"

/*
 * True when this server is a front: the request is answered 400 with a text
 * that says who can do it.
 */
bool front_refuses(struct http_req *req);

#endif
