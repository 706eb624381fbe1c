/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/proc.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/shm.h"
#include "core/timefmt.h"
#include "event/channel.h"
#include "event/listen.h"
#include "event/loop.h"
#include "event/signal.h"
#include "event/usage.h"
#include "event/worker.h"

#define PROC_MAGIC 0x980c0001u
/*
 * A worker and a recover process for each slot; merge and retention of the
 * present generation and of one on its way out; recovery at boot.
 */
#define PROC_OTHER 8

enum slot_state { SLOT_FREE, SLOT_TAKEN };

struct proc_table {
    struct loop *loop;
    const struct proc_hooks *hooks;
    struct proc *procs;
    unsigned nprocs;
    char *records; /* shared: PANIC_TEXT_MAX bytes for each place */
    uint8_t *slots;
    unsigned nslots;
};

static struct proc_table table;

int
proc_init(struct loop *loop, unsigned slots, const struct proc_hooks *hooks,
    struct err *err)
{
    unsigned nprocs = 2 * slots + PROC_OTHER;
    void *records;

    check(table.procs == NULL && slots <= LISTEN_SLOTS_MAX);
    if (shm_new(&records, "spoor-panic", nprocs * PANIC_TEXT_MAX, err) != 0)
        return -1;
    if (shm_reserve(records, nprocs * PANIC_TEXT_MAX, err) != 0) {
        shm_free(records, nprocs * PANIC_TEXT_MAX);
        return -1;
    }
    table.loop = loop;
    table.hooks = hooks;
    table.nprocs = nprocs;
    table.procs = xcalloc(nprocs, sizeof(*table.procs));
    table.records = records;
    table.slots = xcalloc(slots, sizeof(*table.slots));
    table.nslots = slots;
    return 0;
}

void
proc_release(void)
{
    if (table.procs == NULL)
        return;
    check(proc_count() == 0);
    shm_free(table.records, table.nprocs * PANIC_TEXT_MAX);
    xfree(table.procs);
    xfree(table.slots);
    memset(&table, 0, sizeof(table));
}

/* Slots. */

bool
slot_take(unsigned *slot)
{
    for (unsigned i = 0; i < table.nslots; i++) {
        if (table.slots[i] == SLOT_FREE) {
            table.slots[i] = SLOT_TAKEN;
            *slot = i;
            return true;
        }
    }
    return false;
}

void
slot_release(unsigned slot)
{
    check(slot < table.nslots && table.slots[slot] == SLOT_TAKEN);
    table.slots[slot] = SLOT_FREE;
}

/* The table. */

struct proc *
proc_next(const struct proc *after)
{
    unsigned i = after == NULL ? 0 : (unsigned)(after - table.procs) + 1;

    for (; i < table.nprocs; i++)
        if (table.procs[i].state > PROC_ENDED)
            return &table.procs[i];
    return NULL;
}

unsigned
proc_count(void)
{
    unsigned count = 0;

    for (struct proc *proc = proc_next(NULL); proc != NULL;
         proc = proc_next(proc))
        count++;
    return count;
}

static bool
proc_is_leaving_worker(const struct proc *proc)
{
    return proc->process.role == ROLE_WORKER &&
        (proc->state == PROC_DRAINING || proc->state == PROC_STOPPING);
}

unsigned
proc_draining_generations(uint32_t *oldest)
{
    const struct proc *proc, *other;
    unsigned count = 0;

    for (proc = proc_next(NULL); proc != NULL; proc = proc_next(proc)) {
        bool is_first = true;

        if (!proc_is_leaving_worker(proc))
            continue;
        for (other = proc_next(NULL); other != proc; other = proc_next(other))
            if (proc_is_leaving_worker(other) &&
                other->process.generation == proc->process.generation)
                is_first = false;
        if (!is_first)
            continue;
        if (count == 0 || proc->process.generation < *oldest)
            *oldest = proc->process.generation;
        count++;
    }
    return count;
}

const char *
proc_name(const struct proc *proc, char *dst)
{
    const struct process *process = &proc->process;
    const char *role = role_name(process->role);

    if (process->role == ROLE_WORKER)
        snprintf(dst, PROC_NAME_MAX, "%s %u (%d)", role, process->index,
            (int)proc->pid);
    else
        snprintf(dst, PROC_NAME_MAX, "%s (%d)", role, (int)proc->pid);
    return dst;
}

/* What children say. */

static void
proc_on_message(UNUSED struct channel *channel, enum channel_type type,
    const void *body, void *arg)
{
    const struct channel_ready *ready = body;
    struct proc *proc = arg;

    OBJ_CHECK(proc, PROC_MAGIC);
    if (type == CHANNEL_PONG) {
        proc->asked_ns = 0;
        return;
    }
    check(type == CHANNEL_READY); /* all that the table lets a child send */
    if (ready->generation != proc->process.generation || proc->was_ready) {
        proc_kill(proc, "confused");
        return;
    }
    proc->was_ready = true;
    if (proc->state != PROC_STARTING)
        return;
    proc->state = PROC_READY;
    loop_timer_cancel(proc->timer);
    table.hooks->on_ready(proc);
}

static void
proc_on_closed(UNUSED struct channel *channel, bool is_broken, void *arg)
{
    struct proc *proc = arg;

    OBJ_CHECK(proc, PROC_MAGIC);
    channel_free(proc->channel);
    proc->channel = NULL;
    /* Otherwise it has ended or is about to: SIGCHLD tells. */
    if (is_broken)
        proc_kill(proc, "confused");
}

static const struct channel_ops proc_channel_ops = {
    .on_message = proc_on_message,
    .on_closed = proc_on_closed,
};

static void
IMPL(loop_timer_fn) proc_on_timer(void *arg)
{
    struct proc *proc = arg;

    OBJ_CHECK(proc, PROC_MAGIC);
    proc_kill(proc, proc->kill_reason);
}

static void
proc_set_timer(struct proc *proc, int64_t after_ns, const char *reason)
{
    proc->kill_reason = reason;
    loop_timer_set(proc->timer, after_ns);
}

/* What children are told. */

/* A child that cannot be told over the channel gets a signal instead. */
static void
proc_tell(struct proc *proc, enum channel_type type, const void *body,
    int signo)
{
    struct err err = ERR_INIT;
    char name[PROC_NAME_MAX];

    if (proc->channel != NULL &&
        channel_send(proc->channel, type, body, &err) == 0)
        return;
    log_warn("%s: %s", proc_name(proc, name),
        proc->channel != NULL ? err.text : "the channel is closed");
    (void)kill(proc->pid, signo);
}

void
proc_drain(struct proc *proc)
{
    if (proc->state == PROC_DRAINING || proc->state == PROC_STOPPING)
        return;
    proc->state = PROC_DRAINING;
    loop_timer_cancel(proc->timer);
    /* A recover process ends by itself when its work is done. */
    if (proc->process.role != ROLE_RECOVER)
        proc_tell(proc, CHANNEL_DRAIN, NULL, SIGQUIT);
}

void
proc_stop(struct proc *proc, int64_t bound_ns)
{
    struct channel_stop stop = {bound_ns};

    proc->state = PROC_STOPPING;
    proc_set_timer(proc, bound_ns > INT64_MAX - PROC_KILL_GRACE_NS
            ? INT64_MAX : bound_ns + PROC_KILL_GRACE_NS, "late");
    if (proc->process.role == ROLE_RECOVER)
        (void)kill(proc->pid, SIGTERM);
    else
        proc_tell(proc, CHANNEL_STOP, &stop, SIGTERM);
}

void
proc_reopen(struct proc *proc)
{
    proc_tell(proc, CHANNEL_REOPEN, NULL, SIGUSR1);
}

void
proc_say_leaving(struct proc *proc, int64_t at_ns)
{
    struct channel_leaving leaving = {at_ns};
    struct err err = ERR_INIT;

    if (proc->process.role == ROLE_WORKER && proc->channel != NULL &&
        channel_send(proc->channel, CHANNEL_LEAVING, &leaving, &err) != 0)
        log_warn("%s", err.text);
}

void
proc_ping_workers(void)
{
    struct err err = ERR_INIT;

    for (struct proc *proc = proc_next(NULL); proc != NULL;
         proc = proc_next(proc)) {
        if (proc->process.role != ROLE_WORKER || proc->state != PROC_READY ||
            proc->channel == NULL || proc->asked_ns != 0)
            continue;
        /* One that takes no message is asked all the same: it is mute. */
        if (channel_send(proc->channel, CHANNEL_PING, NULL, &err) != 0)
            log_debug("%s", err.text);
        proc->asked_ns = clock_mono_ns();
    }
}

const struct proc *
proc_find_mute(int64_t patience_ns)
{
    int64_t now_ns = clock_mono_ns();

    for (struct proc *proc = proc_next(NULL); proc != NULL;
         proc = proc_next(proc))
        if (proc->process.role == ROLE_WORKER && proc->state == PROC_READY &&
            proc->asked_ns != 0 && now_ns - proc->asked_ns > patience_ns)
            return proc;
    return NULL;
}

void
proc_kill(struct proc *proc, const char *reason)
{
    char name[PROC_NAME_MAX];

    log_warn("%s is %s: killing it", proc_name(proc, name), reason);
    proc->state = PROC_STOPPING;
    if (kill(proc->pid, SIGKILL) != 0)
        log_error("%s: kill: %s", name, strerror(errno));
}

/* Birth. */

static struct proc *
proc_find_free(void)
{
    for (unsigned i = 0; i < table.nprocs; i++)
        if (table.procs[i].state == PROC_FREE)
            return &table.procs[i];
    return NULL;
}

static void NORETURN
proc_child(const struct worker_start *start)
{
    loop_abandon(table.loop);
    /* Another child's channel held open here would hide the master's end. */
    for (struct proc *proc = proc_next(NULL); proc != NULL;
         proc = proc_next(proc)) {
        channel_free(proc->channel);
        loop_timer_free(proc->timer);
    }
    table.hooks->in_child(start->process.role);
    worker_main(start);
}

static void
proc_born(struct proc *proc, const struct process *model, pid_t pid, int fd)
{
    proc->magic = PROC_MAGIC;
    proc->state = PROC_STARTING;
    proc->process = *model;
    proc->pid = pid;
    proc->started_ns = clock_mono_ns();
    proc->channel = channel_new(table.loop, fd, true, &proc_channel_ops,
        proc);
    proc->timer = loop_timer_new(table.loop, proc_on_timer, proc);
    if (model->role != ROLE_RECOVER)
        proc_set_timer(proc, PROC_READY_TIMEOUT_NS, "not ready in time");
}

struct proc *
proc_spawn(const struct process *model, const struct jail *jail,
    struct err *err)
{
    struct proc *proc = proc_find_free();
    struct worker_start start = {.process = *model, .jail = jail,
        .master = getpid()};
    int code = fault("master_fork");
    sigset_t signals;
    int fds[2];
    pid_t pid;

    check(proc != NULL);
    if (code != 0) {
        errno = code;
        err_sys(err, "fork");
        return NULL;
    }
    if (channel_pair(fds, err) != 0)
        return NULL;
    memset(proc, 0, sizeof(*proc));
    proc->record = table.records + (size_t)(proc - table.procs) *
        PANIC_TEXT_MAX;
    memset(proc->record, 0, PANIC_TEXT_MAX);
    start.record = proc->record;
    start.channel_fd = fds[1];
    start.signals = &signals;

    fflush(NULL);
    signal_block(&signals);
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        proc_child(&start);
    }
    signal_restore(&signals);
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        err_sys(err, "fork");
        return NULL;
    }
    proc_born(proc, model, pid, fds[0]);
    return proc;
}

/* Death. */

static void
proc_end_fill(struct proc_end *end, const struct proc *proc, int status)
{
    char text[SIGNAL_TEXT_MAX];
    int signo = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

    memset(end, 0, sizeof(*end));
    end->was_asked = proc->state == PROC_DRAINING ||
        proc->state == PROC_STOPPING;
    end->life_ns = clock_mono_ns() - proc->started_ns;
    if (WIFEXITED(status)) {
        end->is_exit = true;
        end->is_good = WEXITSTATUS(status) == 0;
        snprintf(end->text, sizeof(end->text), "ended with status %d",
            WEXITSTATUS(status));
        return;
    }
    end->is_crash = signo == SIGSEGV || signo == SIGBUS || signo == SIGILL ||
        signo == SIGABRT || signo == SIGFPE;
    signal_print(signo, text);
    snprintf(end->text, sizeof(end->text), "ended on signal %s", text);
}

static void
proc_tell_panic(struct proc *proc)
{
    char name[PROC_NAME_MAX];

    proc->record[PANIC_TEXT_MAX - 1] = '\0'; /* the child wrote it */
    if (proc->record[0] != '\0')
        log_error("%s: %s", proc_name(proc, name), proc->record);
}

static void
proc_ended(struct proc *proc, int status)
{
    struct proc_end end;

    OBJ_CHECK(proc, PROC_MAGIC);
    proc_end_fill(&end, proc, status);
    proc_tell_panic(proc);
    channel_free(proc->channel);
    proc->channel = NULL;
    loop_timer_free(proc->timer);
    proc->timer = NULL;
    proc->state = PROC_ENDED;
    table.hooks->on_ended(proc, &end);
    proc->state = PROC_FREE;
    proc->magic = 0;
}

void
proc_reap(void)
{
    struct proc *proc;
    struct rusage rusage;
    int status;
    pid_t pid;

    while ((pid = wait4(-1, &status, WNOHANG, &rusage)) > 0) {
        for (proc = proc_next(NULL); proc != NULL && proc->pid != pid;
             proc = proc_next(proc))
            ;
        if (proc == NULL) {
            table.hooks->on_stranger(pid, status);
            continue;
        }
        usage_ended(usage_cell(proc->process.role, proc->process.slot),
            &rusage);
        proc_ended(proc, status);
    }
}
