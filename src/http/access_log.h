/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to http/: the access log (log.access_file), a line for each request
 * whose reply ended.  access_log.c begins with its forms.  A worker collects
 * lines and has a thread write them, so a slow disk delays nobody; beyond
 * ACCESS_LOG_BYTES_MAX lines are dropped and counted.
 */

#ifndef SPOOR_HTTP_ACCESS_LOG_H
#define SPOOR_HTTP_ACCESS_LOG_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"
#include "event/module.h"
#include "http/stream.h"

/* Lines that wait to be written, of a worker. */
#define ACCESS_LOG_BYTES_MAX (1 * MIB)
/* Lines are written together that end within this time. */
#define ACCESS_LOG_NS (50 * NS_PER_MS)
/* Of a path, of a query, of a user's name in a line. */
#define ACCESS_PATH_BYTES_MAX 512
#define ACCESS_QUERY_BYTES_MAX 1024

/* What a line says beside the request. */
struct access_end {
    int64_t took_ns;
    bool is_broken; /* the client did not get all */
};

/*
 * Master: opens the file of conf, or none.  The old one stays open when it
 * fails.
 */
int access_log_open(const struct conf *conf, struct err *err) WARN_UNUSED;
/* Master and workers: the file may have been renamed. */
int access_log_reopen(struct err *err) WARN_UNUSED;
/* Worker. */
void access_log_start(struct process *process);
/* Writes what is left; the threads do not work any more. */
void access_log_stop(void);
bool access_log_is_on(void);
void access_log_add(const struct stream *stream,
    const struct access_end *end);

/*
 * Appends a query string with "***" for the values of arguments that are
 * secrets, cut behind bytes_max.
 */
void access_print_query(struct sb *out, struct sv query, size_t bytes_max);
/* The line of a request, with its line end: for tests. */
void access_print(struct sb *out, const struct stream *stream,
    const struct access_end *end, bool is_json);
/* "HTTP/1.1", "gRPC" */
const char *access_protocol(const struct stream *stream);

#endif
