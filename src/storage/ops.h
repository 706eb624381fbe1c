/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Requests of people to the retention process, the only one that changes
 * days as a whole: a small table in shared memory.  A worker fills a place
 * and waits for the answer on its loop; the operator thread (operator.h)
 * serves them one after the other, oldest first.
 */

#ifndef SPOOR_STORAGE_OPS_H
#define SPOOR_STORAGE_OPS_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"

struct loop;

/* Places; who finds none is told to come again. */
#define OPS_MAX 8u
/* Of a day, a prefix, a path or a duration. */
#define OPS_ARG_MAX 1024u
/* An answer names snapshots: some thousand of them. */
#define OPS_TEXT_MAX (256u * KIB)

enum op_kind {
    OP_ATTACH,          /* day */
    OP_DETACH,          /* day */
    OP_SNAPSHOT_CREATE, /* prefix of days: "20261121", "202611", "" */
    OP_SNAPSHOT_LIST,
    OP_SNAPSHOT_DELETE, /* path of a snapshot */
    OP_SNAPSHOT_DELETE_STALE, /* nanoseconds, decimal */
    OP_KINDS,
};

/* Master, once. */
int ops_create(struct err *err) WARN_UNUSED;
void ops_destroy(void);

/* --- worker, loop thread --- */

/* status: of HTTP; text: the body, or what went wrong. */
typedef void (*op_done_fn)(int status, struct sv text, void *arg);

struct op_request {
    enum op_kind kind;
    struct sv arg;    /* copied */
    op_done_fn done;
    void *done_arg;
};

/*
 * done() is called later, on the loop's thread.  -1, and it never is:
 * ERR_BUSY no place, ERR_INVALID arg is too long.
 */
int ops_request(struct loop *loop, const struct op_request *request,
    struct err *err) WARN_UNUSED;

/* --- operator --- */

/* Becomes readable when there may be work. */
int ops_wake_fd(void);
void ops_wake(void);
/* What a predecessor that was killed was doing is answered as interrupted. */
void ops_resume(void);
/* Serves all that wait. */
void ops_run(void);

#endif
