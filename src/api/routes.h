/* SPDX-License-Identifier: BSD-2-Clause */

/* THE route table: every path the server answers. */

#ifndef SPOOR_API_ROUTES_H
#define SPOOR_API_ROUTES_H

#include "core/base.h"
#include "http/http.h"

extern const struct route api_routes[];

/* docs/http-api.md out of the table. */
void routes_print_reference(struct sb *out);

#endif
