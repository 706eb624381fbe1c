/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Keys of single endpoints: the argument authKey.  The check is made by http/
 * before the handler is called.
 */

#ifndef SPOOR_API_AUTH_KEY_H
#define SPOOR_API_AUTH_KEY_H

#include "core/base.h"
#include "http/http.h"

/* Value of http_route_keys. */
extern const struct route_key api_route_keys[];

#endif
