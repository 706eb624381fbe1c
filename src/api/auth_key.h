/* SPDX-License-Identifier: BSD-2-Clause */

/* Keys of single endpoints: the argument authKey. */

#ifndef SPOOR_API_AUTH_KEY_H
#define SPOOR_API_AUTH_KEY_H

#include "core/base.h"
#include "http/http.h"

/*
 * True when key is empty or the request's authKey is the same; else it is
 * answered 401, with the name of the flag.
 */
bool auth_key_check(struct http_req *req, const char *key, const char *flag);

#endif
