/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/signal.h"

#include "core/assert.h"
#include "event/loop.h"

/*
 * Signals reach children, too, when a terminal or a supervisor sends them to
 * the whole group; what the master will tell them anyway they ignore.
 */
const struct signal_row signal_rows[] = {
    /* signo, name, word, master, child, doc */
    {SIGTERM, "TERM", "stop", SIGNAL_STOP, SIGNAL_STOP,
        "stop, giving requests shutdown_timeout; twice: at once"},
    {SIGINT, "INT", NULL, SIGNAL_STOP, SIGNAL_IGNORE, "as TERM"},
    {SIGQUIT, "QUIT", "quit", SIGNAL_QUIT, SIGNAL_QUIT,
        "stop when all requests are answered"},
    {SIGHUP, "HUP", "reload", SIGNAL_RELOAD, SIGNAL_IGNORE,
        "load the configuration again; a bad one changes nothing"},
    {SIGUSR1, "USR1", "reopen", SIGNAL_REOPEN, SIGNAL_REOPEN,
        "open the log file again after it was renamed"},
    {SIGUSR2, "USR2", "upgrade", SIGNAL_UPGRADE, SIGNAL_IGNORE,
        "start a new binary in the place of this one, on its sockets"},
    {SIGWINCH, "WINCH", NULL, SIGNAL_DRAIN_WORKERS, SIGNAL_IGNORE,
        "end the workers when their requests are answered"},
    {SIGCHLD, "CHLD", NULL, SIGNAL_REAP, SIGNAL_IGNORE, "a child ended"},
    {SIGPIPE, "PIPE", NULL, SIGNAL_IGNORE, SIGNAL_IGNORE,
        "a reader is gone; the write tells"},
    {0, NULL, NULL, SIGNAL_IGNORE, SIGNAL_IGNORE, NULL},
};

struct signal_watch {
    signal_fn fn;
    void *arg;
};

/* One loop per process, so one receiver. */
static struct signal_watch watch;

const struct signal_row *
signal_by_word(const char *word)
{
    const struct signal_row *row;

    for (row = signal_rows; row->signo != 0; row++)
        if (row->word != NULL && strcmp(row->word, word) == 0)
            return row;
    return NULL;
}

const char *
signal_words(void)
{
    static char words[128];
    const struct signal_row *row;
    size_t len = 0;

    for (row = signal_rows; row->signo != 0; row++)
        if (row->word != NULL)
            len += (size_t)snprintf(words + len, sizeof(words) - len, "%s%s",
                len > 0 ? ", " : "", row->word);
    return words;
}

static void
IMPL(loop_signal_fn) signal_arrived(int signo, UNUSED void *arg)
{
    const struct signal_row *row;

    for (row = signal_rows; row->signo != signo; row++)
        check(row->signo != 0);
    watch.fn(row, watch.arg);
}

static void
signal_disposition(int signo, void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    check(sigaction(signo, &action, NULL) == 0);
}

static void
signal_set(struct loop *loop, int signo, enum signal_act act)
{
    /* An ignored SIGCHLD would lose the status of children. */
    if (act != SIGNAL_IGNORE)
        loop_signal(loop, signo, signal_arrived, NULL);
    else
        signal_disposition(signo, signo == SIGCHLD ? SIG_DFL : SIG_IGN);
}

void
signal_watch_master(struct loop *loop, signal_fn fn, void *arg)
{
    const struct signal_row *row;

    watch.fn = fn;
    watch.arg = arg;
    for (row = signal_rows; row->signo != 0; row++)
        signal_set(loop, row->signo, row->master);
}

void
signal_watch_child(struct loop *loop, signal_fn fn, void *arg)
{
    const struct signal_row *row;

    watch.fn = fn;
    watch.arg = arg;
    for (row = signal_rows; row->signo != 0; row++)
        signal_set(loop, row->signo, row->child);
}

void
signal_default_child(void)
{
    const struct signal_row *row;

    for (row = signal_rows; row->signo != 0; row++)
        signal_disposition(row->signo,
            row->child == SIGNAL_STOP || row->signo == SIGCHLD ? SIG_DFL
                                                               : SIG_IGN);
}

void
signal_default_program(void)
{
    for (const struct signal_row *row = signal_rows; row->signo != 0; row++)
        signal_disposition(row->signo, SIG_DFL);
}

void
signal_hold(sigset_t *before)
{
    sigset_t some;

    sigemptyset(&some);
    for (const struct signal_row *row = signal_rows; row->signo != 0; row++)
        if (row->master == SIGNAL_RELOAD || row->master == SIGNAL_REOPEN ||
            row->master == SIGNAL_UPGRADE ||
            row->master == SIGNAL_DRAIN_WORKERS)
            sigaddset(&some, row->signo);
    check(sigprocmask(SIG_BLOCK, &some, before) == 0);
}

void
signal_block(sigset_t *before)
{
    sigset_t all;

    sigfillset(&all);
    check(sigprocmask(SIG_SETMASK, &all, before) == 0);
}

void
signal_restore(const sigset_t *before)
{
    check(sigprocmask(SIG_SETMASK, before, NULL) == 0);
}

void
signal_print(int signo, char *dst)
{
    const char *text = sigdescr_np(signo);

    snprintf(dst, SIGNAL_TEXT_MAX, "%d (%s)", signo,
        text != NULL ? text : "unknown");
}
