/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The master's states:
 *
 *   BOOT      addresses are opened, modules' init_master; nothing runs yet
 *   RECOVER   one process replays what an earlier run left behind
 *   START     workers, merge and retention come up
 *   RUN       all is well; what dies is started again
 *   RELOAD    workers of a new generation come up beside the old ones
 *   HANDOVER  merge and retention are replaced, one after the other
 *   UPGRADE   another binary is checked and prepares itself
 *   YIELD     all finish, then the new master has its turn
 *   DELAY     all is served, but health checks announce the end
 *   QUIT      all finish their work, as long as it takes
 *   STOP      the same, within shutdown_timeout; a second time: at once
 *   END       no child is left
 *
 *   BOOT -> RECOVER -> START -> RUN <-> RELOAD -> HANDOVER -> RUN
 *   RUN -> UPGRADE -> YIELD -> END, back to RUN when it fails
 *   any of them -> DELAY -> QUIT -> STOP -> END
 *
 * Events (signals, a child's READY, an end, a timer) change what is known;
 * master_step() then does what has become due.
 */

#include "core/base.h"
#include "event/master.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/log_conf.h"
#include "core/timefmt.h"
#include "event/control.h"
#include "event/inherit.h"
#include "event/loop.h"
#include "event/master_state.h"
#include "event/module.h"
#include "event/notify.h"
#include "event/proc.h"
#include "event/signal.h"
#include "event/tls_ticket.h"
#include "event/upgrade.h"
#include "event/usage.h"
#include "event/watch.h"

/* An old worker lets go of its sockets as soon as its master is gone. */
#define MASTER_LISTEN_RETRY_NS (100 * NS_PER_MS)
#define MASTER_LISTEN_PATIENCE_NS (3 * NS_PER_SEC)

/* The one that this process is; children inherit and forget it. */
static struct master master;

const char *
master_state_name(enum master_state state)
{
    static const char *const names[] = {
        [MASTER_BOOT] = "boot",
        [MASTER_RECOVER] = "recover",
        [MASTER_START] = "start",
        [MASTER_RUN] = "run",
        [MASTER_RELOAD] = "reload",
        [MASTER_HANDOVER] = "handover",
        [MASTER_UPGRADE] = "upgrade",
        [MASTER_DELAY] = "delay",
        [MASTER_YIELD] = "yield",
        [MASTER_QUIT] = "quit",
        [MASTER_STOP] = "stop",
        [MASTER_END] = "end",
    };

    return names[state];
}

void
master_set_state(struct master *self, enum master_state state)
{
    log_debug("state: %s -> %s", master_state_name(self->state),
        master_state_name(state));
    self->state = state;
    master_status_changed(self);
}

void
master_print_addresses(struct sb *out)
{
    const char *address;

    for (unsigned i = 0; (address = listen_address(i)) != NULL; i++)
        sb_addf(out, "%s%s", i > 0 ? ", " : "listening on ", address);
    if (listen_address(0) == NULL)
        sb_add_str(out, "listening on nothing");
}

int
master_apply_log(struct master *self, const struct conf *conf,
    struct err *err)
{
    if (log_apply_conf(conf, err) != 0)
        return -1;
    if (log_conf_is_file(conf))
        jail_give(&self->jail, conf->log_file);
    return 0;
}

/* Steps. */

/* The old master has told the service manager who we are, and is gone. */
static void
IMPL(loop_fd_fn) master_on_predecessor(UNUSED int fd, UNUSED int ready,
    void *arg)
{
    struct master *self = arg;

    loop_fd_free(self->predecessor);
    self->predecessor = NULL;
    upgrade_close();
    master_status_changed(self);
}

static void
master_succeed(struct master *self)
{
    if (!upgrade_is_successor())
        return;
    self->predecessor = loop_fd_new(self->loop, upgrade_say_up(),
        master_on_predecessor, self);
    loop_fd_watch(self->predecessor, LOOP_READ);
}

static void
master_is_up(struct master *self)
{
    unsigned workers = master_worker_seats(self, self->conf);
    struct err err = ERR_INIT;
    struct sb text;

    if (control_write_pid(&err) != 0) {
        log_error("the pid file cannot be written: %s", err.text);
        master_give_up(self);
        return;
    }
    self->was_ready = true;
    sb_init(&text, 8 * KIB);
    sb_addf(&text, "ready: %u worker%s, ", workers, workers == 1 ? "" : "s");
    master_print_addresses(&text);
    log_info("%s", text.ptr);
    sb_release(&text);
    master_set_state(self, MASTER_RUN);
    master_succeed(self);
}

static void
master_step_recover(struct master *self)
{
    if (!self->boot.is_wanted)
        master_set_state(self, MASTER_START);
    else if (self->boot.failures > MASTER_RECOVER_RETRIES) {
        log_error("what an earlier run left behind cannot be recovered: "
            "%u attempts failed, giving up; nothing is lost, see above for "
            "the reason", self->boot.failures);
        master_give_up(self);
    }
}

static bool
master_is_refused(struct master *self)
{
    const struct seat *seat;

    for (unsigned i = 0; i < MASTER_WORKERS_MAX; i++)
        if (self->workers[i].refusals >= MASTER_REFUSALS_MAX)
            return true;
    for (unsigned i = 0; (seat = master_single_seat(self, i)) != NULL; i++)
        if (seat->refusals >= MASTER_REFUSALS_MAX)
            return true;
    return false;
}

static void
master_step_start(struct master *self)
{
    if (master_is_full(self)) {
        master_is_up(self);
    } else if (master_is_refused(self)) {
        log_error("a process did not start %d times, giving up",
            MASTER_REFUSALS_MAX);
        master_give_up(self);
    }
}

static void
master_step_run(struct master *self)
{
    uint32_t oldest = 0;

    if (self->is_upgrade_wanted) {
        master_upgrade_begin(self);
        return;
    }
    if (!self->is_reload_wanted)
        return;
    if (proc_draining_generations(&oldest) < MASTER_DRAINING_MAX) {
        master_reload_begin(self);
        return;
    }
    /* The reload waits until one is gone. */
    for (struct proc *proc = proc_next(NULL); proc != NULL;
         proc = proc_next(proc)) {
        if (proc->process.role == ROLE_WORKER &&
            proc->process.generation == oldest &&
            proc->state == PROC_DRAINING) {
            log_warn("%d generations of workers are draining: generation %u "
                "gets %lld s to end", MASTER_DRAINING_MAX, oldest,
                (long long)(self->conf->shutdown_timeout / NS_PER_SEC));
            proc_stop(proc, self->conf->shutdown_timeout);
        }
    }
}

static void
master_step_once(struct master *self)
{
    switch (self->state) {
    case MASTER_RECOVER:
        master_step_recover(self);
        break;
    case MASTER_START:
        master_step_start(self);
        break;
    case MASTER_RUN:
        master_step_run(self);
        break;
    case MASTER_RELOAD:
        if (master_reload_is_ready(self))
            master_reload_commit(self);
        else if (self->reload_failures > MASTER_RELOAD_FAILURES_MAX)
            master_reload_undo(self, "the new workers do not start, see the "
                "log");
        break;
    case MASTER_HANDOVER:
        if (master_handover_is_done(self))
            master_reload_done(self);
        break;
    case MASTER_YIELD:
        master_upgrade_step(self);
        break;
    case MASTER_QUIT:
    case MASTER_STOP:
        if (proc_count() == 0) {
            master_set_state(self, MASTER_END);
            loop_stop(self->loop);
        }
        break;
    case MASTER_BOOT:
    case MASTER_UPGRADE:
    case MASTER_DELAY:
    case MASTER_END:
        break;
    }
}

void
master_step(struct master *self)
{
    enum master_state before;

    do {
        before = self->state;
        master_step_once(self);
        master_fill(self);
    } while (self->state != before);
}

/* Events. */

/* What modules write, too. */
static int
master_reopen_logs(const struct master *self, struct err *err)
{
    if (log_reopen(err) != 0)
        return -1;
    if (log_conf_is_file(self->conf))
        jail_give(&self->jail, self->conf->log_file);
    for (const struct module *const *m = modules; *m != NULL; m++)
        if ((*m)->reopen != NULL && (*m)->reopen(err) != 0)
            return err_wrap(err, "%s", (*m)->name);
    return 0;
}

static void
master_reopen(struct master *self)
{
    struct err err = ERR_INIT;

    control_begin(SIGNAL_REOPEN);
    if (master_reopen_logs(self, &err) != 0) {
        log_error("cannot open the log again: %s", err.text);
        control_answer(SIGNAL_REOPEN, false, err.text);
        return;
    }
    for (struct proc *proc = proc_next(NULL); proc != NULL;
         proc = proc_next(proc))
        proc_reopen(proc);
    log_info("the log was opened again");
    control_answer(SIGNAL_REOPEN, true, "done");
}

static void
master_drain_workers(struct master *self)
{
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);

    if (fd >= 0) {
        close(fd);
        log_debug("WINCH: taken for a resized terminal");
        return;
    }
    if (self->state != MASTER_RUN)
        return;
    log_info("draining the workers; a reload brings new ones");
    self->are_workers_wanted = false;
    for (unsigned i = 0; i < MASTER_WORKERS_MAX; i++)
        if (self->workers[i].proc != NULL)
            proc_drain(self->workers[i].proc);
}

static void
master_act(struct master *self, enum signal_act act)
{
    switch (act) {
    case SIGNAL_STOP:
        master_stop(self);
        break;
    case SIGNAL_QUIT:
        master_quit(self);
        break;
    case SIGNAL_RELOAD:
        /* At an upgrade it is for who is there afterwards. */
        if (self->state < MASTER_DELAY || self->state == MASTER_YIELD)
            self->is_reload_wanted = true;
        break;
    case SIGNAL_REOPEN:
        master_reopen(self);
        break;
    case SIGNAL_UPGRADE:
        if (self->state < MASTER_UPGRADE)
            self->is_upgrade_wanted = true;
        break;
    case SIGNAL_DRAIN_WORKERS:
        master_drain_workers(self);
        break;
    case SIGNAL_REAP:
        proc_reap();
        break;
    case SIGNAL_IGNORE:
        break;
    }
    master_step(self);
}

static void
IMPL(signal_fn) master_on_signal(const struct signal_row *row, void *arg)
{
    if (row->master != SIGNAL_REAP)
        log_info("signal %s", row->name);
    master_act(arg, row->master);
}

static void
IMPL(control_fn) master_on_control(const struct signal_row *row, void *arg)
{
    struct master *self = arg;

    /* Who asks for these when it is too late would wait for ever. */
    if ((row->master == SIGNAL_RELOAD && self->state >= MASTER_DELAY) ||
        (row->master == SIGNAL_UPGRADE && self->state >= MASTER_UPGRADE)) {
        control_refuse(row->master,
            self->state == MASTER_UPGRADE || self->state == MASTER_YIELD
                ? "the server is being replaced"
                : "the server is stopping");
        return;
    }
    master_act(self, row->master);
}

static void
IMPL(loop_timer_fn) master_on_fill_timer(void *arg)
{
    master_step(arg);
}

static void
master_on_ready(struct proc *proc)
{
    char name[PROC_NAME_MAX];

    log_debug("%s is ready", proc_name(proc, name));
    master_step(&master);
}

static void
master_on_ended(struct proc *proc, const struct proc_end *end)
{
    master_child_ended(&master, proc, end);
    master_step(&master);
}

static void
master_on_stranger(pid_t pid, int status)
{
    master_upgrade_ended(&master, pid, status);
}

static void
master_in_child(enum role role)
{
    control_abandon();
    inherit_close_all();
    upgrade_close();
    if (role_has_network(role))
        listen_commit(); /* without what an older generation listens on */
    else
        listen_close_all();
    loop_timer_free(master.fill_timer);
    loop_timer_free(master.delay_timer);
    loop_fd_free(master.predecessor);
    master.fill_timer = master.delay_timer = NULL;
    master.predecessor = NULL;
    master_upgrade_drop(&master);
    master_status_drop(&master);
    watch_stop();
    usage_abandon();
    tls_ticket_stop();
}

/* A file that the configuration names: the same as a reload by hand. */
static void
IMPL(watch_fn) master_on_changed(const char *path, void *arg)
{
    log_info("%s has changed", path);
    master_act(arg, SIGNAL_RELOAD);
}

static const struct proc_hooks master_hooks = {
    .on_ready = master_on_ready,
    .on_ended = master_on_ended,
    .on_stranger = master_on_stranger,
    .in_child = master_in_child,
};

/* Boot. */

/*
 * An address that is in use may belong to the workers of a master that has
 * just been killed: they are about to let go of it.
 */
static int
master_listen(struct master *self, struct err *err)
{
    int64_t end_ns = clock_mono_ns() + MASTER_LISTEN_PATIENCE_NS;
    struct timespec pause = {.tv_nsec = MASTER_LISTEN_RETRY_NS};
    bool is_told = false;

    while (listen_open(self->conf, err) != 0) {
        if (err->sys_errno != EADDRINUSE || clock_mono_ns() >= end_ns)
            return -1;
        if (!is_told)
            log_warn("%s; trying again for %d s", err->text,
                (int)(MASTER_LISTEN_PATIENCE_NS / NS_PER_SEC));
        is_told = true;
        (void)nanosleep(&pause, NULL);
        err_reset(err);
    }
    return 0;
}

static int
modules_init_master(const struct conf *conf, struct err *err)
{
    watch_clear();
    for (const struct module *const *m = modules; *m != NULL; m++)
        if ((*m)->init_master != NULL && (*m)->init_master(conf, err) != 0)
            return err_wrap(err, "%s", (*m)->name);
    return 0;
}

static void
master_say_user(const struct master *self)
{
    if (geteuid() != 0 && self->conf->user[0] != '\0')
        log_warn("user: ignored, only root can change to another user");
    if (self->jail.is_root)
        log_warn("all processes run as root (without capabilities), since "
            "%s belongs to root: set \"user\" or give the directory away",
            self->conf->data_path);
}

static int
master_boot(struct master *self, struct err *err)
{
    int code;

    self->slots = master_slot_capacity(self->conf);
    if (usage_create(self->slots, err) != 0)
        return -1;
    usage_begin(ROLE_COUNT, usage_cell_of_master(), self->loop);
    if (proc_init(self->loop, self->slots, &master_hooks, err) != 0)
        return -1;
    /* Until signals are watched, TERM ends the process, and HUP waits. */
    if (inherit_init(err) != 0 || master_listen(self, err) != 0 ||
        inherit_settle(err) != 0)
        return -1;
    if (upgrade_is_successor() && upgrade_wait_turn(err) != 0)
        return -1;
    if (modules_init_master(self->conf, err) != 0)
        return -1;
    code = fault("master_shared");
    if (code != 0)
        return err_set(err, ERR_SYSTEM, "%s", strerror(code));
    if (jail_resolve(&self->jail, self->conf, err) != 0)
        return -1;
    master_say_user(self);
    if (log_conf_is_file(self->conf))
        jail_give(&self->jail, self->conf->log_file);
    return control_open(self->loop, self->conf, master_on_control, self, err);
}

static void
master_release(struct master *self)
{
    control_begin(SIGNAL_STOP);
    control_begin(SIGNAL_QUIT);
    /* Who waits for the end hears of it when the files are gone, too. */
    control_close();
    listen_close_all();
    inherit_close_all();
    loop_timer_free(self->fill_timer);
    watch_stop();
    tls_ticket_stop();
    watch_clear();
    usage_end();
    loop_timer_free(self->delay_timer);
    loop_fd_free(self->predecessor);
    upgrade_close();
    master_status_drop(self);
    proc_release();
    loop_free(self->loop);
    sb_release(&self->reload_notes);
    if (self->next_conf != NULL)
        conf_free(self->next_conf);
    if (self->conf != self->boot_conf)
        conf_free(self->conf);
    conf_free(self->boot_conf);
}

int
master_run(struct conf *conf, const struct conf_source *source)
{
    struct master *self = &master;
    struct err err = ERR_INIT;
    sigset_t signals;

    memset(self, 0, sizeof(*self));
    signal_hold(&signals);
    self->source = source;
    self->conf = conf;
    self->boot_conf = conf;
    self->are_workers_wanted = true;
    self->loop = loop_new();
    self->fill_timer = loop_timer_new(self->loop, master_on_fill_timer, self);
    self->delay_timer = loop_timer_new(self->loop, master_on_delay_timer,
        self);
    sb_init(&self->reload_notes, MASTER_MESSAGES_MAX);
    master_init_seats(self);
    log_set_role("master");
    /* One that was executed as /proc/self/exe is called "exe". */
    (void)prctl(PR_SET_NAME, "spoor", 0, 0, 0);
    notify_init();

    if (upgrade_init(&err) != 0 || master_boot(self, &err) != 0) {
        log_error("cannot start: %s", err.text);
        upgrade_say_failed(err.text);
        self->status = 1;
    } else {
        master_status_start(self);
        signal_watch_master(self->loop, master_on_signal, self);
        signal_restore(&signals);
        watch_start(self->loop, master_on_changed, self);
        tls_ticket_start(self->loop);
        master_set_state(self, MASTER_RECOVER);
        master_step(self);
        loop_run(self->loop);
        log_info("stopped");
    }
    master_release(self);
    return self->status;
}
