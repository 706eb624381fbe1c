/* SPDX-License-Identifier: BSD-2-Clause */

/* Descriptors, timers, posted calls, calls put off, signals, fork. */

#include "core/base.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "core/log.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/loop.h"

#include "tap.h"

static struct loop *loop;

static void
stop_later(UNUSED void *arg)
{
    loop_stop(loop);
}

/* Runs the loop for a while. */
static void
run_for(int64_t ns)
{
    struct loop_timer *timer = loop_timer_new(loop, stop_later, NULL);

    loop_timer_set(timer, ns);
    loop_run(loop);
    loop_timer_free(timer);
}

struct pipe_test {
    struct loop_fd *read;
    struct loop_fd *write;
    int reads;
    int writes;
};

static void
on_pipe_read(int fd, int ready, void *arg)
{
    struct pipe_test *test = arg;
    char c;

    if (ready == LOOP_READ && read(fd, &c, 1) == 1)
        test->reads++;
    if (test->reads == 3) {
        loop_fd_watch(test->read, 0);
        loop_stop(loop);
    }
}

static void
on_pipe_write(int fd, int ready, void *arg)
{
    struct pipe_test *test = arg;

    if (ready != LOOP_WRITE || write(fd, "abcde", 5) != 5)
        return;
    test->writes++;
    loop_fd_free(test->write); /* in its own callback */
    test->write = NULL;
}

static void
test_fds(void)
{
    struct pipe_test test = {0};
    int fds[2];

    ok(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0, "pipe");
    test.read = loop_fd_new(loop, fds[0], on_pipe_read, &test);
    test.write = loop_fd_new(loop, fds[1], on_pipe_write, &test);
    run_for(20 * NS_PER_MS);
    is_int(test.reads + test.writes, 0, "a new descriptor is not watched");
    loop_fd_watch(test.read, LOOP_READ);
    loop_fd_watch(test.write, LOOP_WRITE);
    loop_run(loop);
    is_int(test.writes, 1, "written once");
    is_int(test.reads, 3, "level-triggered reads");
    run_for(20 * NS_PER_MS);
    is_int(test.reads, 3, "none after the watch ended");
    loop_fd_free(test.read);
    close(fds[0]);
    close(fds[1]);
}

static int64_t fired_ns;
static int fired;

static void
on_timer(UNUSED void *arg)
{
    fired++;
    fired_ns = loop_now_ns(loop);
    loop_stop(loop);
}

static void
test_timers(void)
{
    struct loop_timer *timer = loop_timer_new(loop, on_timer, NULL);
    int64_t start_ns = clock_mono_ns();

    loop_timer_set(timer, 10 * NS_PER_MS);
    loop_timer_set(timer, 60 * NS_PER_MS);
    loop_run(loop);
    is_int(fired, 1, "fires once");
    ok(fired_ns - start_ns >= 60 * NS_PER_MS, "never early (%lld us)",
        (long long)((fired_ns - start_ns) / 1000));

    start_ns = clock_mono_ns();
    loop_timer_set(timer, 10 * NS_PER_SEC);
    loop_timer_set(timer, 10 * NS_PER_MS);
    loop_run(loop);
    is_int(fired, 2, "moved to an earlier time");
    ok(fired_ns - start_ns < 5 * NS_PER_SEC, "and not late");

    loop_timer_set(timer, 10 * NS_PER_MS);
    loop_timer_cancel(timer);
    run_for(50 * NS_PER_MS);
    is_int(fired, 2, "a cancelled timer is silent");
    loop_timer_set(timer, INT64_MAX);
    run_for(10 * NS_PER_MS);
    is_int(fired, 2, "the far future does not overflow");
    loop_timer_set(timer, 0);
    loop_run(loop);
    is_int(fired, 3, "zero fires in the next turn");
    loop_timer_free(timer);
}

static char order[64];

/* A letter as an argument of note(). */
static void *
letter(char c)
{
    static char letters[128][2];

    letters[(unsigned char)c & 127][0] = c;
    return letters[(unsigned char)c & 127];
}

static void
note(void *arg)
{
    size_t len = strlen(order);

    snprintf(order + len, sizeof(order) - len, "%s", (const char *)arg);
    if (strcmp(arg, ".") == 0)
        loop_stop(loop);
}

static struct loop_later later_b;

static void
note_and_put_off(void *arg)
{
    loop_later_add(loop, &later_b);
    loop_later_add(loop, &later_b);
    note(arg);
}

static void
note_and_cancel(void *arg)
{
    loop_post_cancel(loop, note, arg);
    note(letter('!'));
}

static void
test_posts(void)
{
    void *gone = letter('g');

    loop_post(loop, note, letter('1'));
    loop_post(loop, note, letter('2'));
    is_str(order, "", "never inline");
    loop_post(loop, note, letter('.'));
    loop_run(loop);
    is_str(order, "12.", "in order");

    order[0] = '\0';
    later_b.fn = note;
    later_b.arg = letter('b');
    loop_post(loop, note_and_put_off, letter('a'));
    loop_post(loop, note, letter('c'));
    loop_post(loop, note, letter('.'));
    loop_run(loop);
    is_str(order, "abc.", "put off to the end of the callback, once");

    order[0] = '\0';
    loop_post(loop, note_and_cancel, gone);
    loop_post(loop, note, gone);
    loop_post(loop, note, letter('.'));
    loop_run(loop);
    is_str(order, "!.", "cancelled within its batch");

    order[0] = '\0';
    loop_post(loop, note, gone);
    loop_post_cancel(loop, note, gone);
    loop_post(loop, note, letter('.'));
    loop_run(loop);
    is_str(order, ".", "cancelled before");

    order[0] = '\0';
    loop_later_add(loop, &later_b);
    loop_later_remove(loop, &later_b);
    loop_later_add(loop, &later_b);
    loop_post(loop, note, letter('.'));
    loop_run(loop);
    is_str(order, "b.", "put off outside of a callback");

    loop_stop(loop);
    loop_run(loop);
    pass("a stop before the run counts");
}

static int signals;

static void
on_signal(int signo, UNUSED void *arg)
{
    if (signo == SIGUSR1)
        signals++;
    loop_stop(loop);
}

static void
test_signals(void)
{
    loop_signal(loop, SIGUSR1, on_signal, NULL);
    raise(SIGUSR1);
    loop_run(loop);
    is_int(signals, 1, "a signal");
}

static void
hold(UNUSED void *arg)
{
    usleep((useconds_t)(2 * LOOP_SLOW_NS / NS_PER_US));
    loop_stop(loop);
}

static void
test_slow(void)
{
    uint64_t before = metric_get(METRIC_SLOW_CALLBACKS);

    loop_post(loop, hold, NULL);
    loop_run(loop);
    is_int(metric_get(METRIC_SLOW_CALLBACKS) - before, 1,
        "a slow callback is counted");
}

/* The child's loop must not take the parent's descriptors off its epoll. */
static void
test_fork(void)
{
    struct pipe_test test = {0};
    int fds[2], status = -1;
    sigset_t all, before;
    pid_t pid;

    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0)
        return;
    test.read = loop_fd_new(loop, fds[0], on_pipe_read, &test);
    loop_fd_watch(test.read, LOOP_READ);
    run_for(NS_PER_MS);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        loop_abandon(loop);
        loop = loop_new();
        loop_signal(loop, SIGUSR1, on_signal, NULL);
        signals = 0;
        sigprocmask(SIG_SETMASK, &before, NULL);
        raise(SIGUSR1);
        loop_run(loop);
        loop_free(loop);
        _exit(signals == 1 ? 0 : 1);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    is_int(waitpid(pid, &status, 0), pid, "child");
    is_int(status, 0, "the child has a loop of its own");
    is_int(signals, 1, "its signal did not reach the parent");
    ok(write(fds[1], "abc", 3) == 3, "write");
    loop_run(loop);
    is_int(test.reads, 3, "the parent still sees its descriptor");
    loop_fd_free(test.read);
    close(fds[0]);
    close(fds[1]);
}

int
main(void)
{
    struct loop_timer *left;

    log_set_level(LOG_FATAL);
    loop = loop_new();
    test_fds();
    test_timers();
    test_posts();
    test_signals();
    test_slow();
    test_fork();
    left = loop_timer_new(loop, on_timer, NULL);
    loop_post(loop, note, letter('n'));
    loop_free(loop);
    loop_timer_free(left);
    pass("freed in the wrong order");
    return tap_done();
}
