/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/operator.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/timefmt.h"
#include "storage/day_ops.h"
#include "storage/ops.h"
#include "storage/retention.h"
#include "storage/shared.h"
#include "storage/snapshot.h"
#include "storage/trash.h"

/* Between two looks at what is out of retention. */
#define CHECK_NS (10 * NS_PER_SEC)
/* Between two looks at the age of snapshots. */
#define SNAPSHOTS_NS (60 * NS_PER_SEC)
/* Files of dropped days removed in one go, and the pause after it. */
#define SWEEP_FILES 16u
#define SWEEP_PAUSE_MS 20
/* While a dropped day waits for queries to end. */
#define READERS_PAUSE_MS 50
#define IDLE_MS 1000

static pthread_t thread;
static bool is_started;
static _Atomic bool is_stopping;
static const struct conf *operator_conf;

static void
wait_for_work(int timeout_ms)
{
    struct pollfd fd = {ops_wake_fd(), POLLIN, 0};
    uint64_t count;

    if (poll(&fd, 1, timeout_ms) > 0 &&
        read(fd.fd, &count, sizeof(count)) < 0)
        return;
}

static void *
operator_main(void *arg)
{
    int64_t next_check_ns = 0, next_sweep_ns = 0;

    (void)arg;
    day_ops_resume();
    retention_resume();
    ops_resume();
    while (!operator_is_stopping()) {
        bool is_left, is_waiting;

        ops_run();
        if (clock_mono_ns() >= next_check_ns) {
            retention_check(operator_conf);
            day_ops_forget(atomic_load(&shared->keep_from));
            next_check_ns = clock_mono_ns() + CHECK_NS;
        }
        if (clock_mono_ns() >= next_sweep_ns) {
            snapshot_sweep(operator_conf->snapshots_max_age);
            next_sweep_ns = clock_mono_ns() + SNAPSHOTS_NS;
        }
        is_waiting = retention_poll() != 0;
        is_left = trash_sweep(SWEEP_FILES);
        wait_for_work(is_left ? SWEEP_PAUSE_MS :
            is_waiting ? READERS_PAUSE_MS : IDLE_MS);
    }
    return NULL;
}

void
operator_start(const struct conf *conf)
{
    sigset_t all, old;

    check(!is_started);
    operator_conf = conf;
    atomic_store(&is_stopping, false);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    check(pthread_create(&thread, NULL, operator_main, NULL) == 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_setname_np(thread, "operator");
    is_started = true;
}

void
operator_stop(void)
{
    if (!is_started)
        return;
    atomic_store(&is_stopping, true);
    ops_wake();
    pthread_join(thread, NULL);
    is_started = false;
}

bool
operator_is_stopping(void)
{
    return atomic_load(&is_stopping);
}
