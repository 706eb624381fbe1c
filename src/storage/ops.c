/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/ops.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/shm.h"
#include "core/timefmt.h"
#include "event/loop.h"
#include "storage/day_ops.h"
#include "storage/snapshot.h"

#define POLL_NS (5 * NS_PER_MS)
/* An answer nobody fetched: its client, or its worker, is gone. */
#define FETCH_NS (10 * NS_PER_SEC)

enum op_state {
    OP_FREE = 0,
    OP_FILLING, /* by a worker */
    OP_WAITING,
    OP_RUNNING,
    OP_DONE,    /* its worker fetches the answer */
};

struct op {
    _Atomic uint32_t state;
    _Atomic uint64_t number; /* of the request; rises */
    _Atomic int64_t since_ns; /* monotonic, of the last change of state */
    uint32_t kind;
    uint32_t status;
    uint32_t arg_len;
    uint32_t text_len;
    char arg[OPS_ARG_MAX];
    char text[OPS_TEXT_MAX];
};

struct ops {
    _Atomic uint64_t requests;
    struct op places[OPS_MAX];
};

static struct ops *ops;
static int wake_fd = -1;

int
ops_create(struct err *err)
{
    void *region;

    check(ops == NULL);
    if (shm_new(&region, "spoor-ops", sizeof(*ops), err) != 0)
        return -1;
    ops = region;
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return err_sys(err, "eventfd");
    return 0;
}

void
ops_destroy(void)
{
    if (ops == NULL)
        return;
    shm_free(ops, sizeof(*ops));
    ops = NULL;
    close(wake_fd);
    wake_fd = -1;
}

int
ops_wake_fd(void)
{
    return wake_fd;
}

void
ops_wake(void)
{
    uint64_t one = 1;
    ssize_t written = write(wake_fd, &one, sizeof(one));

    (void)written;
}

static void
op_set(struct op *op, enum op_state state)
{
    atomic_store(&op->since_ns, clock_mono_ns());
    atomic_store(&op->state, state);
}

static bool
op_turn(struct op *op, enum op_state from, enum op_state to)
{
    uint32_t expected = from;

    return atomic_compare_exchange_strong(&op->state, &expected, to);
}

/* --- asking --- */

struct asking {
    struct op *op;
    uint64_t number;
    struct loop_timer *timer;
    op_done_fn done;
    void *arg;
};

static void IMPL(loop_timer_fn)
asking_poll(void *arg)
{
    struct asking *asking = arg;
    struct op *op = asking->op;
    struct sv text = SV("the request was lost");
    int status = 503;
    struct sb copy;

    if (atomic_load(&op->number) == asking->number &&
        atomic_load(&op->state) != OP_DONE) {
        loop_timer_set(asking->timer, POLL_NS);
        return;
    }
    sb_init(&copy, OPS_TEXT_MAX);
    if (atomic_load(&op->number) == asking->number) {
        status = (int)op->status;
        sb_add(&copy, op->text, MIN(op->text_len, (uint32_t)OPS_TEXT_MAX));
        text = sb_sv(&copy);
        (void)op_turn(op, OP_DONE, OP_FREE);
    }
    asking->done(status, text, asking->arg);
    sb_release(&copy);
    loop_timer_free(asking->timer);
    xfree(asking);
}

int
ops_request(struct loop *loop, const struct op_request *request,
    struct err *err)
{
    struct sv arg = request->arg;
    struct asking *asking;
    struct op *op = NULL;

    if (arg.len > OPS_ARG_MAX)
        return err_set(err, ERR_INVALID, "an argument of %zu bytes is too "
            "long", arg.len);
    for (unsigned i = 0; op == NULL && i < OPS_MAX; i++) {
        if (op_turn(&ops->places[i], OP_FREE, OP_FILLING))
            op = &ops->places[i];
    }
    if (op == NULL)
        return err_set(err, ERR_BUSY, "%u requests wait already", OPS_MAX);
    asking = xcalloc(1, sizeof(*asking));
    asking->op = op;
    asking->number = atomic_fetch_add(&ops->requests, 1) + 1;
    asking->done = request->done;
    asking->arg = request->done_arg;
    op->kind = request->kind;
    op->arg_len = (uint32_t)arg.len;
    if (arg.len > 0)
        memcpy(op->arg, arg.ptr, arg.len);
    atomic_store(&op->number, asking->number);
    op_set(op, OP_WAITING);
    ops_wake();
    asking->timer = loop_timer_new(loop, asking_poll, asking);
    loop_timer_set(asking->timer, POLL_NS);
    return 0;
}

/* --- serving --- */

static int
status_of(const struct err *err)
{
    switch (err->code) {
    case ERR_INVALID:
    case ERR_NOT_FOUND:
    case ERR_CORRUPT:
    case ERR_UNSUPPORTED:
        return 400;
    case ERR_BUSY:
    case ERR_TIMEOUT:
    case ERR_CANCELLED:
    case ERR_NO_SPACE:
        return 503;
    default:
        return 500;
    }
}

static int
op_do(const struct op *op, struct sb *out, struct err *err)
{
    struct sv arg = sv_make(op->arg, MIN(op->arg_len,
        (uint32_t)OPS_ARG_MAX));

    switch (op->kind) {
    case OP_ATTACH:
        return day_attach(arg, err);
    case OP_DETACH:
        return day_detach(arg, err);
    case OP_SNAPSHOT_CREATE:
        return snapshot_create(arg, out, err);
    case OP_SNAPSHOT_LIST:
        return snapshot_list(out, err);
    case OP_SNAPSHOT_DELETE:
        return snapshot_delete(arg, err);
    case OP_SNAPSHOT_DELETE_STALE:
        return snapshot_delete_stale(arg, out, err);
    default:
        return err_set(err, ERR_INVALID, "no such request");
    }
}

static void
op_answer(struct op *op, int status, struct sv text)
{
    op->status = (uint32_t)status;
    op->text_len = (uint32_t)MIN(text.len, (size_t)OPS_TEXT_MAX);
    if (op->text_len > 0)
        memcpy(op->text, text.ptr, op->text_len);
    op_set(op, OP_DONE);
}

static void
op_serve(struct op *op)
{
    struct err err = ERR_INIT;
    struct sb out;

    op_set(op, OP_RUNNING);
    sb_init(&out, OPS_TEXT_MAX);
    if (op_do(op, &out, &err) != 0)
        op_answer(op, status_of(&err), sv_from(err.text));
    else if (sb_failed(&out))
        op_answer(op, 500, SV("it is done, but the answer is too long"));
    else
        op_answer(op, op->kind == OP_SNAPSHOT_DELETE ? 204 : 200,
            sb_sv(&out));
    sb_release(&out);
}

void
ops_resume(void)
{
    for (unsigned i = 0; i < OPS_MAX; i++) {
        struct op *op = &ops->places[i];

        if (atomic_load(&op->state) == OP_RUNNING)
            op_answer(op, 503, SV("interrupted: the retention process died; "
                "look at what is there, then ask again"));
    }
}

/* Places whose worker or client is gone. */
static void
ops_reap(void)
{
    int64_t now = clock_mono_ns();

    for (unsigned i = 0; i < OPS_MAX; i++) {
        struct op *op = &ops->places[i];

        if (atomic_load(&op->state) == OP_DONE &&
            now - atomic_load(&op->since_ns) > FETCH_NS) {
            /* Its number is no request's: who comes late finds that out. */
            atomic_store(&op->number, 0);
            (void)op_turn(op, OP_DONE, OP_FREE);
        }
    }
}

void
ops_run(void)
{
    for (;;) {
        struct op *oldest = NULL;

        for (unsigned i = 0; i < OPS_MAX; i++) {
            struct op *op = &ops->places[i];

            if (atomic_load(&op->state) == OP_WAITING && (oldest == NULL ||
                atomic_load(&op->number) < atomic_load(&oldest->number)))
                oldest = op;
        }
        if (oldest == NULL)
            break;
        op_serve(oldest);
    }
    ops_reap();
}
