/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Spans on their way to a server: collected into requests of a good size,
 * which depend on nothing but the spans, so that a second import of the same
 * input sends the same bodies; the server stores these once.
 */

#ifndef SPOOR_CLI_OUTBOX_H
#define SPOOR_CLI_OUTBOX_H

#include "core/base.h"
#include "core/err.h"
#include "span/span.h"

struct outbox;

/* headers: "Name: value" ..., NULL; copied. */
int outbox_new(struct outbox **out, const char *url,
    const char *const *headers, struct err *err) WARN_UNUSED;
void outbox_free(struct outbox *outbox); /* accepts NULL; sends nothing */

/*
 * Takes the spans of a batch; those that are marked rejected are left out
 * and counted.  Sends what is enough for a request, waiting while the server
 * is busy.
 */
int outbox_add(struct outbox *outbox, struct batch *batch, struct err *err)
    WARN_UNUSED;
/*
 * "Name: value" of one more header, NULL for none; what is there is sent
 * without it.  Copied.
 */
int outbox_set_header(struct outbox *outbox, const char *header,
    struct err *err) WARN_UNUSED;
/* Sends the rest. */
int outbox_flush(struct outbox *outbox, struct err *err) WARN_UNUSED;

struct outbox_counts {
    uint64_t spans;    /* sent, those that the server refused included */
    uint64_t invalid;  /* not sent: no ids, no time */
    uint64_t refused;  /* by the server, in answers of success */
    uint64_t requests;
    uint64_t bytes;    /* of the requests before compression */
    const char *invalid_why; /* of the first; NULL: none */
    struct sv refused_why;
};
void outbox_count(const struct outbox *outbox, struct outbox_counts *counts);

#endif
