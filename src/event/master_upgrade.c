/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Another binary takes over, seen from the master that is replaced:
 *
 *   CHECK    UPGRADE: "binary ARGUMENTS -t -q" must end well
 *   PREPARE  UPGRADE: the binary runs as a new master, which inherits the
 *            listen sockets, and says "prepared"; until then nothing changes
 *   YIELD    YIELD: all children finish and end; connections wait in the
 *            backlogs of the sockets, which are never closed
 *   GONE     YIELD: "go": lock and memory are let go of; the new master
 *            recovers, starts its processes and says "up"; this one ends
 *
 * So there is no moment with two servers on one directory, and none without
 * somebody who holds the sockets.  A failure before "go" leaves this server
 * as it was (workers that have left are started again).  After it this
 * process executes its own binary again, which starts anew on the same
 * sockets.
 */

#include "core/base.h"
#include "event/master_state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/timefmt.h"
#include "event/control.h"
#include "event/inherit.h"
#include "event/loop.h"
#include "event/module.h"
#include "event/notify.h"
#include "event/proc.h"
#include "event/signal.h"
#include "event/upgrade.h"

/* For the check, and until "prepared": both only read a configuration. */
#define UPGRADE_PREPARE_NS (30 * NS_PER_SEC)
/* Until "up": recovery is in it. */
#define UPGRADE_UP_NS (600 * NS_PER_SEC)
/* What the check may say. */
#define UPGRADE_OUTPUT_MAX (8 * KIB)
/* As many as the kernel hands to a program by default (2 MiB), and more. */
#define UPGRADE_ARGUMENTS_MAX (4 * MIB)
#define UPGRADE_ARGS_MAX 4096

/* The words of this process and room for two more. */
struct words {
    struct sb text;
    char **argv;
    unsigned n;
};

static void
words_release(struct words *words)
{
    sb_release(&words->text);
    xfree(words->argv);
}

static int
words_add(struct words *words, char *word, struct err *err)
{
    if (words->n == UPGRADE_ARGS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d arguments",
            UPGRADE_ARGS_MAX);
    words->argv[words->n++] = word;
    return 0;
}

/*
 * As they were given: in those that the system shows, secrets have been
 * overwritten.
 */
static int
words_read(struct words *words, const struct conf_source *source,
    struct err *err)
{
    char buf[4096];
    ssize_t n;
    int fd, rc = 0;

    memset(words, 0, sizeof(*words));
    sb_init(&words->text, UPGRADE_ARGUMENTS_MAX);
    words->argv = xcalloc(UPGRADE_ARGS_MAX + 3, sizeof(*words->argv));
    if (source->argv != NULL) {
        for (char *const *word = source->argv; rc == 0 && *word != NULL;
            word++)
            rc = words_add(words, *word, err);
        return rc;
    }
    fd = file_open("/proc/self/cmdline", O_RDONLY, 0, err);
    if (fd < 0)
        return -1;
    while ((n = read(fd, buf, sizeof(buf))) > 0)
        sb_add(&words->text, buf, (size_t)n);
    file_close(fd);
    if (n < 0 || sb_failed(&words->text) || words->text.len == 0)
        return err_set(err, ERR_SYSTEM, "cannot read the command line");
    for (char *at = words->text.ptr; rc == 0 &&
         at < words->text.ptr + words->text.len; at += strlen(at) + 1)
        rc = words_add(words, at, err);
    return rc;
}

/* In the child: never returns.  out is the pipe of a check, else -1. */
static void NORETURN
upgrade_child(const struct words *words, int channel_fd, int out)
{
    struct sb sockets;
    char text[32];
    bool is_good = true;

    sb_init(&sockets, 64 * KIB);
    (void)unsetenv("WATCHDOG_PID");
    if (out >= 0) {
        is_good = dup2(out, STDOUT_FILENO) >= 0 &&
            dup2(out, STDERR_FILENO) >= 0;
    } else {
        snprintf(text, sizeof(text), "%d", channel_fd);
        is_good = listen_hand_on(&sockets) == 0 &&
            fcntl(channel_fd, F_SETFD, 0) == 0 &&
            setenv(UPGRADE_CHANNEL, text, 1) == 0 &&
            setenv(INHERIT_SOCKETS, sockets.ptr != NULL ? sockets.ptr : "",
                1) == 0;
    }
    /* Without a slash it was found on PATH, and is again. */
    if (is_good && strchr(words->argv[0], '/') != NULL)
        execv(words->argv[0], words->argv);
    else if (is_good)
        execvp(words->argv[0], words->argv);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", words->argv[0],
        strerror(errno));
    _exit(127);
}

static pid_t
upgrade_spawn(struct words *words, int channel_fd, int out, struct err *err)
{
    sigset_t signals;
    pid_t pid;

    if (out >= 0) {
        words->argv[words->n++] = (char *)(uintptr_t)"-t";
        words->argv[words->n++] = (char *)(uintptr_t)"-q";
    }
    fflush(NULL);
    signal_block(&signals);
    pid = fork();
    if (pid == 0) {
        signal_default_program();
        signal_restore(&signals);
        upgrade_child(words, channel_fd, out);
    }
    signal_restore(&signals);
    if (pid < 0)
        err_sys(err, "fork");
    return pid;
}

/* The descriptor of the present phase is not needed any more. */
static void
upgrade_unwatch(struct master_upgrade *self)
{
    loop_fd_free(self->lfd);
    self->lfd = NULL;
    if (self->fd >= 0)
        close(self->fd);
    self->fd = -1;
}

static void
upgrade_clear(struct master_upgrade *self)
{
    upgrade_unwatch(self);
    loop_timer_free(self->timer);
    self->timer = NULL;
    self->phase = UPGRADE_NONE;
    self->pid = 0;
}

void
master_upgrade_drop(struct master *master)
{
    if (master->upgrade.phase != UPGRADE_NONE)
        upgrade_clear(&master->upgrade);
}

/* Ends. */

static void
upgrade_tell_failure(const char *why, const char *then)
{
    struct sb text;

    log_error("upgrade failed, %s: %s", then, why);
    sb_init(&text, 2 * UPGRADE_OUTPUT_MAX);
    sb_addf(&text, "failed, %s\n%s", then, why);
    while (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.ptr[--text.len] = '\0';
    control_answer(SIGNAL_UPGRADE, false, text.ptr);
    sb_release(&text);
}

/* This server goes on; who has left comes back. */
static void
upgrade_failed(struct master *master, const char *why)
{
    struct master_upgrade *self = &master->upgrade;

    if (self->pid != 0)
        (void)kill(self->pid, SIGKILL);
    upgrade_tell_failure(why, "the old server goes on");
    upgrade_clear(self);
    master_set_state(master, MASTER_RUN);
}

/* The new server had its turn and failed: this binary starts anew. */
static void NORETURN
upgrade_start_again(struct master *master, const char *why)
{
    struct words words;
    struct err err = ERR_INIT;
    struct sb sockets;

    upgrade_tell_failure(why, "the old one starts again");
    upgrade_clear(&master->upgrade);
    notify_send("STATUS=starting again after an upgrade that failed");
    sb_init(&sockets, 64 * KIB);
    if (words_read(&words, master->source, &err) == 0 && listen_hand_on(&sockets) == 0 &&
        setenv(INHERIT_SOCKETS, sockets.ptr != NULL ? sockets.ptr : "",
            1) == 0) {
        fflush(NULL);
        signal_default_program();
        execv("/proc/self/exe", words.argv);
        err_sys(&err, "cannot run this binary again");
    }
    log_error("cannot start again: %s", err.text);
    exit(1);
}

void
master_upgrade_cancel(struct master *master)
{
    struct master_upgrade *self = &master->upgrade;

    if (self->phase == UPGRADE_NONE)
        return;
    if (self->pid != 0)
        (void)kill(self->pid, SIGKILL);
    control_answer(SIGNAL_UPGRADE, false, "failed: the server is stopping");
    upgrade_clear(self);
}

bool
master_upgrade_pass_on(struct master *master, int signo)
{
    struct master_upgrade *self = &master->upgrade;

    if (self->phase != UPGRADE_GONE)
        return false;
    log_info("the new master is told to stop");
    self->is_stopping = true;
    (void)kill(self->pid, signo);
    return true;
}

/* The turn of the other one. */

/* It may have read the configuration before this was asked for. */
static void
upgrade_pass_reload(struct master *master)
{
    if (!master->is_reload_wanted)
        return;
    log_info("the new master is told to reload");
    (void)kill(master->upgrade.pid, SIGHUP);
    control_begin(SIGNAL_RELOAD);
    control_answer(SIGNAL_RELOAD, true, "passed on to the new master");
}

static void
upgrade_done(struct master *master)
{
    struct master_upgrade *self = &master->upgrade;
    char text[160];

    snprintf(text, sizeof(text), "done, the new master is %d; new "
        "connections waited %lld ms at most", (int)self->pid,
        (long long)((clock_mono_ns() - self->yield_ns) / NS_PER_MS));
    log_info("upgrade: %s", text);
    notify_send("MAINPID=%d\nSTATUS=replaced by a new binary",
        (int)self->pid);
    control_answer(SIGNAL_UPGRADE, true, text);
    upgrade_pass_reload(master);
    upgrade_clear(self);
    master_set_state(master, MASTER_END);
    loop_stop(master->loop);
}

static void
upgrade_yield(struct master *master)
{
    struct master_upgrade *self = &master->upgrade;
    int64_t bound_ns = master->conf->shutdown_timeout;

    log_info("upgrade: the new master (%d) is prepared, all processes "
        "finish", (int)self->pid);
    self->phase = UPGRADE_YIELD;
    self->yield_ns = clock_mono_ns();
    loop_timer_cancel(self->timer);
    master_set_state(master, MASTER_YIELD);
    for (struct proc *proc = proc_next(NULL); proc != NULL;
         proc = proc_next(proc))
        proc_stop(proc, bound_ns);
}

void
master_upgrade_step(struct master *master)
{
    struct master_upgrade *self = &master->upgrade;

    if (self->phase != UPGRADE_YIELD || proc_count() > 0)
        return;
    log_info("upgrade: the new master's turn, after %lld ms",
        (long long)((clock_mono_ns() - self->yield_ns) / NS_PER_MS));
    self->phase = UPGRADE_GONE;
    for (const struct module *const *m = modules; *m != NULL; m++)
        if ((*m)->yield_master != NULL)
            (*m)->yield_master();
    control_let_go();
    loop_timer_set(self->timer, UPGRADE_UP_NS);
    if (upgrade_send(self->fd, "go") != 0)
        (void)kill(self->pid, SIGKILL); /* its end tells the rest */
}

/* What the new one says. */

static void
upgrade_hear(struct master *master, const char *text)
{
    struct master_upgrade *self = &master->upgrade;

    if (strcmp(text, "prepared") == 0 && self->phase == UPGRADE_PREPARE) {
        upgrade_yield(master);
    } else if (strcmp(text, "up") == 0 && self->phase == UPGRADE_GONE) {
        upgrade_done(master);
    } else if (strncmp(text, "failed: ", 8) == 0) {
        /* It ends by itself. */
        snprintf(self->reason, sizeof(self->reason), "%.500s", text + 8);
    } else {
        log_warn("upgrade: the new master says \"%.80s\"", text);
        (void)kill(self->pid, SIGKILL);
    }
}

static void
IMPL(loop_fd_fn) upgrade_on_message(int fd, UNUSED int ready, void *arg)
{
    struct master *master = arg;
    char text[UPGRADE_TEXT_MAX];
    ssize_t n;

    n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        /* It has ended or is about to: SIGCHLD tells. */
        loop_fd_watch(master->upgrade.lfd, 0);
        return;
    }
    text[n] = '\0';
    upgrade_hear(master, text);
    master_step(master);
}

static void
upgrade_take_output(struct master_upgrade *self)
{
    char buf[1024];
    ssize_t n;

    while ((n = read(self->fd, buf, sizeof(buf))) > 0)
        sb_add(&self->output, buf, (size_t)n);
    if (n == 0)
        loop_fd_watch(self->lfd, 0);
}

static void
IMPL(loop_fd_fn) upgrade_on_output(UNUSED int fd, UNUSED int ready, void *arg)
{
    struct master *master = arg;

    upgrade_take_output(&master->upgrade);
}

static void
IMPL(loop_timer_fn) upgrade_on_timer(void *arg)
{
    struct master *master = arg;
    struct master_upgrade *self = &master->upgrade;

    snprintf(self->reason, sizeof(self->reason), "the new binary took too "
        "long");
    (void)kill(self->pid, SIGKILL);
}

/* Beginnings. */

static void
upgrade_watch(struct master *master, int fd, loop_fd_fn fn)
{
    struct master_upgrade *self = &master->upgrade;

    self->fd = fd;
    self->lfd = loop_fd_new(master->loop, fd, fn, master);
    loop_fd_watch(self->lfd, LOOP_READ);
    loop_timer_set(self->timer, UPGRADE_PREPARE_NS);
}

static int
upgrade_check(struct master *master, struct err *err)
{
    struct master_upgrade *self = &master->upgrade;
    struct words words;
    int fds[2];
    int rc = words_read(&words, master->source, err);

    if (rc == 0 && pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
        rc = err_sys(err, "pipe");
    if (rc == 0) {
        self->phase = UPGRADE_CHECK;
        self->pid = upgrade_spawn(&words, -1, fds[1], err);
        close(fds[1]);
        upgrade_watch(master, fds[0], upgrade_on_output);
        rc = self->pid < 0 ? -1 : 0;
    }
    words_release(&words);
    return rc;
}

static int
upgrade_prepare(struct master *master, struct err *err)
{
    struct master_upgrade *self = &master->upgrade;
    struct words words;
    int fds[2];
    int rc = words_read(&words, master->source, err);

    if (rc == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
            fds) != 0)
        rc = err_sys(err, "socketpair");
    if (rc == 0) {
        self->phase = UPGRADE_PREPARE;
        self->pid = upgrade_spawn(&words, fds[1], -1, err);
        close(fds[1]);
        upgrade_watch(master, fds[0], upgrade_on_message);
        rc = self->pid < 0 ? -1 : 0;
    }
    words_release(&words);
    return rc;
}

void
master_upgrade_begin(struct master *master)
{
    struct master_upgrade *self = &master->upgrade;
    struct err err = ERR_INIT;

    master->is_upgrade_wanted = false;
    control_begin(SIGNAL_UPGRADE);
    memset(self, 0, sizeof(*self));
    self->fd = -1;
    if (getpid() == 1) {
        upgrade_tell_failure("this is process 1 of its container, which ends "
            "with it: start a new container", "the old server goes on");
        return;
    }
    log_info("upgrade: checking the new binary");
    self->timer = loop_timer_new(master->loop, upgrade_on_timer, master);
    sb_init(&self->output, UPGRADE_OUTPUT_MAX);
    master_set_state(master, MASTER_UPGRADE);
    if (upgrade_check(master, &err) != 0) {
        self->pid = 0;
        sb_release(&self->output);
        upgrade_failed(master, err.text);
    }
}

/* Ends of what was begun. */

static void
upgrade_checked(struct master *master, const struct sb *why, int status)
{
    struct master_upgrade *self = &master->upgrade;
    struct err err = ERR_INIT;

    upgrade_take_output(self);
    upgrade_unwatch(self);
    self->pid = 0;
    if (status != 0) {
        upgrade_failed(master, self->output.len > 0 ? self->output.ptr
                                                    : why->ptr);
    } else if (upgrade_prepare(master, &err) != 0) {
        self->pid = 0;
        upgrade_failed(master, err.text);
    } else {
        log_info("upgrade: the new master is %d", (int)self->pid);
    }
    sb_release(&self->output);
}

static void
upgrade_print_end(struct sb *out, const struct master_upgrade *self,
    int status)
{
    char text[SIGNAL_TEXT_MAX];

    sb_add_str(out, "the new binary ended ");
    if (WIFSIGNALED(status)) {
        signal_print(WTERMSIG(status), text);
        sb_addf(out, "on signal %s", text);
    } else {
        sb_addf(out, "with status %d", WEXITSTATUS(status));
    }
    if (self->reason[0] != '\0')
        sb_addf(out, ": %s", self->reason);
    else if (self->phase != UPGRADE_CHECK)
        sb_add_str(out, ", its log says why");
}

void
master_upgrade_ended(struct master *master, pid_t pid, int status)
{
    struct master_upgrade *self = &master->upgrade;
    struct sb why;

    if (self->phase == UPGRADE_NONE || pid != self->pid) {
        log_debug("process %d ended", (int)pid);
        return;
    }
    /* Its last word may still be in the socket. */
    if (self->phase != UPGRADE_CHECK)
        upgrade_on_message(self->fd, LOOP_READ, master);
    if (self->phase == UPGRADE_NONE)
        return;
    self->pid = 0;
    sb_init(&why, 2 * UPGRADE_OUTPUT_MAX);
    upgrade_print_end(&why, self, status);
    if (self->phase == UPGRADE_CHECK) {
        upgrade_checked(master, &why, status);
    } else if (self->phase != UPGRADE_GONE) {
        upgrade_failed(master, why.ptr);
    } else if (self->is_stopping) {
        upgrade_clear(self);
        master_set_state(master, MASTER_END);
        loop_stop(master->loop);
    } else {
        upgrade_start_again(master, why.ptr);
    }
    sb_release(&why);
}
