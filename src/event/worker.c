/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A child's life:
 *
 *   INIT   drops rights, modules' init_process, reports READY
 *   RUN    until it is told to drain or stop, or the master is gone
 *   DRAIN  modules' drain, then is_drained is asked every 10 ms until all
 *          say yes, or until the bound has passed
 *   LEAVE  modules' exit_process, exit
 *
 * A RECOVER process goes from INIT straight to DRAIN: its work is what is
 * left to finish.  When the master dies, workers get WORKER_ORPHAN_NS to
 * answer what they have; the others leave at once.
 */

#include "core/base.h"
#include "event/worker.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/file.h"
#include "core/log.h"
#include "event/channel.h"
#include "event/conn.h"
#include "event/listen.h"
#include "event/loop.h"
#include "event/signal.h"
#include "event/task.h"
#include "event/usage.h"

#define WORKER_DRAIN_POLL_NS (10 * NS_PER_MS)
/* The architecture gives orphans 5 s; the alarm is for a loop that hangs. */
#define WORKER_ORPHAN_NS (4 * NS_PER_SEC)
#define WORKER_ORPHAN_ALARM_SEC 5
/*
 * Tasks that wait in a worker: each stands for a request, and requests are
 * bounded by worker_connections; this catches a leak.
 */
#define WORKER_TASKS_MAX 65536
/* The rest waits for a place as queries do. */
#define WORKER_LOOKUPS_MAX 64

enum worker_phase { WORKER_INIT, WORKER_RUN, WORKER_DRAIN, WORKER_LEAVE };

struct worker {
    enum worker_phase phase;
    struct process process;
    pid_t master;
    struct channel *channel;
    struct loop_timer *poll;
    struct loop_timer *bound;
    bool is_hurried; /* leave without exit_process */
    bool is_late;    /* requests are given up; their memory stays theirs */
};

/* The one that this process is. */
static struct worker worker;

static void
worker_leave(struct worker *self)
{
    self->phase = WORKER_LEAVE;
    loop_stop(self->process.loop);
}

static bool
worker_is_drained(struct worker *self)
{
    for (const struct module *const *m = modules; *m != NULL; m++)
        if ((*m)->is_drained != NULL && !(*m)->is_drained(&self->process))
            return false;
    return conn_finishing() == 0;
}

static void
IMPL(loop_timer_fn) worker_on_poll(void *arg)
{
    struct worker *self = arg;

    if (worker_is_drained(self))
        worker_leave(self);
    else
        loop_timer_set(self->poll, WORKER_DRAIN_POLL_NS);
}

static void
IMPL(loop_timer_fn) worker_on_bound(void *arg)
{
    struct worker *self = arg;

    log_warn("requests are not finished, but the time for it is over");
    self->is_late = true;
    worker_leave(self);
}

static void
worker_drain(struct worker *self)
{
    if (self->phase != WORKER_RUN)
        return;
    self->phase = WORKER_DRAIN;
    log_debug("draining");
    listen_stop();
    for (const struct module *const *m = modules; *m != NULL; m++)
        if ((*m)->drain != NULL)
            (*m)->drain(&self->process);
    loop_timer_set(self->poll, 0);
}

static void
worker_stop(struct worker *self, int64_t bound_ns)
{
    worker_drain(self);
    loop_timer_set(self->bound, bound_ns);
}

static void
worker_orphaned(struct worker *self)
{
    log_warn("the master is gone, leaving");
    if (self->process.role != ROLE_WORKER) {
        self->is_hurried = true;
        worker_leave(self);
        return;
    }
    alarm(WORKER_ORPHAN_ALARM_SEC);
    worker_stop(self, WORKER_ORPHAN_NS);
}

static void
worker_reopen(void)
{
    struct err err = ERR_INIT;

    if (log_reopen(&err) != 0)
        log_error("cannot open the log again: %s", err.text);
    for (const struct module *const *m = modules; *m != NULL; m++) {
        if ((*m)->reopen != NULL && (*m)->reopen(&err) != 0)
            log_error("cannot open the log again: %s", err.text);
    }
}

/* Who asks hears it from the loop: this process is not stuck. */
static void
worker_pong(struct worker *self)
{
    struct err err = ERR_INIT;

    if (channel_send(self->channel, CHANNEL_PONG, NULL, &err) != 0)
        log_warn("%s", err.text);
}

static void
worker_on_message(UNUSED struct channel *channel, enum channel_type type,
    const void *body, void *arg)
{
    const struct channel_leaving *leaving = body;
    const struct channel_stop *stop = body;
    struct worker *self = arg;

    switch (type) {
    case CHANNEL_DRAIN:
        worker_drain(self);
        break;
    case CHANNEL_STOP:
        worker_stop(self, stop->bound_ns);
        break;
    case CHANNEL_REOPEN:
        worker_reopen();
        break;
    case CHANNEL_LEAVING:
        self->process.leaves_ns = leaving->at_ns;
        break;
    case CHANNEL_PING:
        worker_pong(self);
        break;
    default:
        panic("channel message %d", (int)type);
    }
}

static void
worker_on_closed(UNUSED struct channel *channel, bool is_broken, void *arg)
{
    check(!is_broken); /* what the master sends is right */
    worker_orphaned(arg);
}

static const struct channel_ops worker_channel_ops = {
    .on_message = worker_on_message,
    .on_closed = worker_on_closed,
};

static void
IMPL(signal_fn) worker_on_signal(const struct signal_row *row, void *arg)
{
    struct worker *self = arg;

    switch (row->child) {
    case SIGNAL_STOP:
        worker_stop(self, self->process.conf->shutdown_timeout);
        break;
    case SIGNAL_QUIT:
        worker_drain(self);
        break;
    case SIGNAL_REOPEN:
        worker_reopen();
        break;
    default:
        panic("signal %s", row->name);
    }
}

/* INIT */

/*
 * Shows what this process is: in the arguments (ps) if the text fits where
 * they stand, and in the name of the thread.
 */
static void
worker_set_title(const char *role)
{
    char title[64], stat[1024];
    unsigned long start, end;
    const char *rest;
    ssize_t n;
    int fd;

    snprintf(title, sizeof(title), "spoor:%s", role);
    (void)prctl(PR_SET_NAME, title, 0, 0, 0);
    fd = file_open("/proc/self/stat", O_RDONLY, 0, NULL);
    if (fd < 0)
        return;
    n = read(fd, stat, sizeof(stat) - 1);
    file_close(fd);
    stat[MAX(n, 0)] = '\0';
    rest = strrchr(stat, ')');
    /* Fields 48 and 49 of proc(5); the text behind ')' begins with field 3. */
    for (int field = 2; rest != NULL && field < 48; field++)
        rest = strchr(rest + 1, ' ');
    if (rest == NULL || sscanf(rest, " %lu %lu", &start, &end) != 2)
        return;
    snprintf(title, sizeof(title), "spoor: %s", role);
    if (start == 0 || end - start < strlen(title) + 1)
        return;
    memset((void *)start, 0, end - start);
    memcpy((void *)start, title, strlen(title));
}

static void
worker_name_itself(const struct process *process)
{
    char role[32];

    if (process->role == ROLE_WORKER)
        snprintf(role, sizeof(role), "%s %u", role_name(process->role),
            process->index);
    else
        snprintf(role, sizeof(role), "%s", role_name(process->role));
    log_set_role(role);
    worker_set_title(role);
}

/* All but workers end with the master at once, even inside a system call. */
static int
worker_tie_to_master(struct worker *self, struct err *err)
{
    if (self->process.role != ROLE_WORKER &&
        prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) != 0)
        return err_sys(err, "PR_SET_PDEATHSIG");
    if (getppid() != self->master)
        return err_set(err, ERR_CANCELLED, "the master is gone");
    return 0;
}

static int
worker_init_modules(struct worker *self, struct err *err)
{
    for (const struct module *const *m = modules; *m != NULL; m++) {
        if ((*m)->init_process != NULL &&
            (*m)->init_process(&self->process, err) != 0)
            return err_wrap(err, "%s", (*m)->name);
    }
    return 0;
}

static int
worker_init(struct worker *self, const struct worker_start *start,
    struct err *err)
{
    struct process *process = &self->process;
    struct channel_ready ready = {process->generation};

    if (jail_enter(start->jail, process->role, process->conf, err) != 0)
        return -1;
    /* A change of user has reset it, so this comes after. */
    if (worker_tie_to_master(self, err) != 0)
        return -1;
    if (process->role == ROLE_WORKER) {
        process->tasks = task_pool_new(process->loop, "tasks",
            (unsigned)process->conf->threads, WORKER_TASKS_MAX);
        process->queries = task_pool_new(process->loop, "queries",
            (unsigned)process->conf->threads, WORKER_TASKS_MAX);
        process->lookups = task_pool_new(process->loop, "lookups", 1,
            WORKER_LOOKUPS_MAX);
    }
    if (worker_init_modules(self, err) != 0)
        return -1;
    return channel_send(self->channel, CHANNEL_READY, &ready, err);
}

/* LEAVE */

static void
worker_exit_modules(struct worker *self)
{
    unsigned count = 0;

    while (modules[count] != NULL)
        count++;
    while (count-- > 0)
        if (modules[count]->exit_process != NULL)
            modules[count]->exit_process(&self->process);
}

/*
 * Threads may still work on what is given up, for as long as a query may
 * take: they are not waited for.
 */
static void NORETURN
worker_exit(struct worker *self, int status)
{
    usage_end();
    if (self->is_hurried || self->is_late)
        _exit(status);
    task_pool_free(self->process.tasks);
    task_pool_free(self->process.queries);
    task_pool_free(self->process.lookups);
    loop_timer_free(self->poll);
    loop_timer_free(self->bound);
    channel_free(self->channel);
    loop_free(self->process.loop);
    exit(status);
}

void
worker_main(const struct worker_start *start)
{
    struct worker *self = &worker;
    struct process *process = &self->process;
    struct err err = ERR_INIT;

    self->process = start->process;
    self->master = start->master;
    panic_set_record(start->record);
    worker_name_itself(process);
    process->loop = loop_new();
    self->poll = loop_timer_new(process->loop, worker_on_poll, self);
    self->bound = loop_timer_new(process->loop, worker_on_bound, self);
    self->channel = channel_new(process->loop, start->channel_fd, false,
        &worker_channel_ops, self);
    /* Recovery may be stopped anywhere, so it needs no loop to obey. */
    if (process->role == ROLE_RECOVER)
        signal_default_child();
    else
        signal_watch_child(process->loop, worker_on_signal, self);
    usage_begin(process->role, usage_cell(process->role, process->slot),
        process->loop);
    signal_restore(start->signals);

    if (worker_init(self, start, &err) != 0) {
        log_error("cannot start: %s", err.text);
        self->is_hurried = true;
        worker_exit(self, 1);
    }
    self->phase = WORKER_RUN;
    if (process->role == ROLE_RECOVER)
        worker_drain(self);
    loop_run(process->loop);
    if (!self->is_hurried)
        worker_exit_modules(self);
    log_debug("leaving");
    worker_exit(self, 0);
}
