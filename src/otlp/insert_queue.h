/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to otlp/: inserts that wait for a place, in the order in which
 * their bodies were complete.  Loop's thread.
 */

#ifndef SPOOR_OTLP_INSERT_QUEUE_H
#define SPOOR_OTLP_INSERT_QUEUE_H

#include "core/base.h"
#include "otlp/insert.h"

/* Each holds its body, which the budget of bodies bounds as well. */
#define INSERT_QUEUE_MAX 4096u

/*
 * True while others wait: who comes now takes its turn behind them, though
 * there be a place.
 */
bool insert_queue_is_used(void);
/*
 * Waits up to insert.max_queue_duration for a place, then insert_begin() is
 * called, or the request is answered 429.  Clients that leave are forgotten.
 */
void insert_queue_add(struct http_req *req, const struct insert_head *head);
/* A place may have become free. */
void insert_queue_wake(struct process *process);

/* --- of insert.c --- */

bool insert_has_place(const struct process *process);
void insert_begin(struct http_req *req, const struct insert_head *head);
/* 429 with Retry-After. */
void insert_refuse(struct http_req *req, const char *text);

#endif
