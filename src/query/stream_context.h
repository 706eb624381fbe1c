/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Private to stream_context.
 *
 *   pipe_stream_context.c  the pipe, and the rows of the filter
 *   stream_context.c       the rows around them, of one stream
 */

#ifndef SPOOR_QUERY_STREAM_CONTEXT_H
#define SPOOR_QUERY_STREAM_CONTEXT_H

#include "core/base.h"
#include "query/hold.h"
#include "query/stage.h"

/* As the peer has them: a context is something to look at. */
#define CONTEXT_STREAMS_MAX 100u
#define CONTEXT_MATCHES_MAX 1000u /* of one stream */

struct context_spec {
    uint64_t before;
    uint64_t after;
    int64_t window_ns;
    struct sv window; /* as written; empty: the default */
    bool has_before;
    bool has_after;
};

/* What tells a row from others of its stream. */
enum { ID_TRACE, ID_SPAN, NIDS };

struct match {
    int64_t time_ns;
    struct sv ids[NIDS];
};

struct stream {
    struct sv id;
    struct sv text; /* _stream */
    struct match *matches;
    uint32_t n;
};

struct stage_context {
    struct stage stage;
    const struct pipe *pipe;
    const struct context_spec *spec;
    struct pool *pool;     /* of patterns */
    struct needed needed;  /* of the pipes behind */
    pthread_mutex_t mutex;
    struct hold hold;
    struct stream streams[CONTEXT_STREAMS_MAX];
    uint32_t nstreams;
};

/* Patterns of fields; the filters of one stream. */
#define CONTEXT_POOL_MAX (16 * MIB)

/* Fields of a row that are needed besides those that are wanted behind. */
#define CONTEXT_FIELDS 5u
extern const struct sv context_fields[CONTEXT_FIELDS];

/* Gives the rows around those of one stream to the next stage. */
int context_give(struct stage_context *mine, struct stream *stream,
    bool *is_done, struct err *err) WARN_UNUSED;

#endif
