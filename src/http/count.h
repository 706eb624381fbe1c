/* SPDX-License-Identifier: BSD-2-Clause */

/* Private to http/: what is counted of connections and requests. */

#ifndef SPOOR_HTTP_COUNT_H
#define SPOOR_HTTP_COUNT_H

#include "core/base.h"
#include "core/conf_listener.h"
#include "http/http.h"

struct stream;

/* Maps the routes of the table to their series. */
void count_init(const struct route *routes);

/* listener may be NULL. */
void count_accepted(const struct conf_listener *listener);
void count_closed(const struct conf_listener *listener);
void count_received(const struct http_req *req, uint64_t bytes);

/* A reply ended, so many ns after the head of its request. */
void count_reply(const struct stream *stream, bool is_broken,
    int64_t took_ns);

#endif
