/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Places among the inserts that a worker decodes or stores at a time
 * (insert.max_concurrent).  Who finds none waits, in the order in which the
 * bodies were complete.  Loop's thread.
 */

#ifndef SPOOR_OTLP_PLACES_H
#define SPOOR_OTLP_PLACES_H

#include "core/base.h"
#include "http/http.h"

/* Each holds its body, which the budget of bodies bounds as well. */
#define PLACES_WAITING_MAX 4096u

typedef void (*place_fn)(struct http_req *req, void *arg);

/*
 * begin(req, arg) is called with a place taken, now or within
 * insert.max_queue_duration; or the request is answered 429.  Clients that
 * leave while they wait are forgotten.
 */
void place_take(struct http_req *req, place_fn begin, void *arg);
/* The next one may begin. */
void place_leave(struct process *process);
/* 429 with Retry-After, counted. */
void place_refuse(struct http_req *req, const char *text);

#endif
