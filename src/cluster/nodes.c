/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The thread of a worker that keeps its list of nodes: it looks names up,
 * probes nodes, and tells others when a node came back.
 */

#include "core/base.h"
#include "cluster/nodes.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cluster/discover.h"
#include "cluster/nodes_list.h"
#include "cluster/nodes_print.h"
#include "cluster/nodes_probe.h"
#include "cluster/nodes_source.h"
#include "cluster/nodes_state.h"
#include "core/assert.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/timefmt.h"

/* What other workers note is seen so soon. */
#define TICK_NS (250 * NS_PER_MS)
/* A worker begins without what is not found by then. */
#define FIRST_LOOKUP_NS (3 * NS_PER_SEC)
#define FDS_MAX (1 + DISCOVER_FDS_MAX + PROBES_MAX)

struct keeper {
    const struct conf *conf;
    void (*wake)(void *arg);
    void *arg;
    pthread_t thread;
    int event_fd;               /* something is to be done at once */
    _Atomic bool is_stopping;

    /* For nodes_start(), which waits for the first round. */
    pthread_mutex_t mutex;
    pthread_cond_t is_known;
    bool has_looked;

    /* Of the thread. */
    struct sources *sources;
    struct probes *probes;
    struct discover *discover;  /* NULL: no round is under way */
    int64_t round_ns;           /* the next one */
    int64_t seen_ns;            /* when the states were looked at */
    uint64_t returns;
    bool is_list_told;          /* that it cannot be made */
};

static struct keeper *keeper;
/* It is poked by queries that may outlive it when a worker must leave. */
static pthread_mutex_t poke_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct keeper *poked; /* under the mutex */

static void
keeper_poke(void)
{
    uint64_t one = 1;

    pthread_mutex_lock(&poke_mutex);
    if (poked != NULL && write(poked->event_fd, &one, sizeof(one)) < 0)
        check(errno == EAGAIN);
    pthread_mutex_unlock(&poke_mutex);
}

static void
keeper_poke_only(struct keeper *of)
{
    pthread_mutex_lock(&poke_mutex);
    poked = of;
    pthread_mutex_unlock(&poke_mutex);
}

/* --- what the thread does --- */

static void
list_make(struct keeper *of)
{
    struct err err = ERR_INIT;
    bool has_changed = false;

    if (sources_publish(of->sources, &has_changed, &err) != 0) {
        if (!of->is_list_told)
            log_error("%s; the list of storage nodes stays as it was",
                err.text);
        of->is_list_told = true;
        return;
    }
    of->is_list_told = false;
    if (has_changed && of->wake != NULL)
        of->wake(of->arg);
}

static void
round_end(struct keeper *of)
{
    discover_free(of->discover);
    of->discover = NULL;
    sources_take(of->sources);
    list_make(of);
    of->round_ns = clock_mono_ns() + of->conf->cluster_discovery_interval;
    pthread_mutex_lock(&of->mutex);
    of->has_looked = true;
    pthread_cond_signal(&of->is_known);
    pthread_mutex_unlock(&of->mutex);
}

static void
round_begin(struct keeper *of)
{
    struct err err = ERR_INIT;
    struct discover_name *names;
    unsigned n;

    names = sources_names(of->sources, &n);
    if (n == 0) {
        of->round_ns = INT64_MAX;
        return;
    }
    of->discover = discover_new(names, n, &err);
    if (of->discover != NULL)
        return;
    for (unsigned i = 0; i < n; i++)
        names[i].err = err;
    round_end(of);
}

/* Nodes came back, or the time is over for which they took no inserts. */
static void
look_at_states(struct keeper *of, int64_t *wake_ns)
{
    const struct nodes *nodes = nodes_hold();
    int64_t now_ns = clock_mono_ns();
    uint64_t returns = node_states_returns();
    bool is_back = returns != of->returns;

    for (unsigned i = 0; i < nodes->n; i++) {
        int64_t from_ns = atomic_load(&nodes->v[i].state->inserts_ns);

        if (from_ns > now_ns)
            *wake_ns = MIN(*wake_ns, from_ns);
        else if (from_ns > of->seen_ns)
            is_back = true;
    }
    nodes_release(nodes);
    nodes_lists_touch(now_ns);
    of->returns = returns;
    of->seen_ns = now_ns;
    if (is_back && of->wake != NULL)
        of->wake(of->arg);
}

static void
wait_for(struct keeper *of, struct pollfd *pfds, unsigned n, int64_t wake_ns)
{
    int64_t wait_ns = MAX(wake_ns - clock_mono_ns(), 0);
    uint64_t count;

    pfds[0] = (struct pollfd){.fd = of->event_fd, .events = POLLIN};
    if (poll(pfds, n, (int)((wait_ns + NS_PER_MS - 1) / NS_PER_MS)) < 0) {
        check(errno == EINTR);
        for (unsigned i = 0; i < n; i++)
            pfds[i].revents = 0;
    }
    if ((pfds[0].revents & POLLIN) != 0 &&
        read(of->event_fd, &count, sizeof(count)) < 0)
        check(errno == EAGAIN);
}

static void
keeper_turn(struct keeper *of)
{
    struct pollfd pfds[FDS_MAX];
    int64_t wake_ns = clock_mono_ns() + TICK_NS;
    unsigned n = 1, asked = 0;

    if (of->discover == NULL && clock_mono_ns() >= of->round_ns)
        round_begin(of);
    look_at_states(of, &wake_ns);
    probes_begin(of->probes, &wake_ns);
    probes_step(of->probes);
    if (of->discover != NULL)
        asked = discover_wants(of->discover, &pfds[n], &wake_ns);
    else
        wake_ns = MIN(wake_ns, of->round_ns);
    n += asked;
    n += probes_wants(of->probes, &pfds[n], &wake_ns);
    wait_for(of, pfds, n, wake_ns);
    if (of->discover != NULL && discover_step(of->discover, &pfds[1], asked))
        round_end(of);
}

static void *
keeper_run(void *arg)
{
    struct keeper *of = arg;

    (void)pthread_setname_np(pthread_self(), "nodes");
    while (!atomic_load(&of->is_stopping))
        keeper_turn(of);
    return NULL;
}

/* --- life --- */

static void
keeper_free(struct keeper *of)
{
    if (of->event_fd >= 0)
        close(of->event_fd);
    discover_free(of->discover);
    probes_free(of->probes);
    sources_free(of->sources);
    pthread_cond_destroy(&of->is_known);
    pthread_mutex_destroy(&of->mutex);
    xfree(of);
}

static struct keeper *
keeper_new(const struct conf *conf, struct err *err)
{
    struct keeper *of = xcalloc(1, sizeof(*of));
    pthread_condattr_t attr;
    bool has_changed;

    of->conf = conf;
    check(pthread_mutex_init(&of->mutex, NULL) == 0);
    check(pthread_condattr_init(&attr) == 0);
    check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    check(pthread_cond_init(&of->is_known, &attr) == 0);
    pthread_condattr_destroy(&attr);
    of->probes = probes_new(conf);
    of->returns = node_states_returns();
    of->seen_ns = clock_mono_ns();
    of->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (of->event_fd < 0)
        err_sys(err, "storage nodes: eventfd");
    if (of->event_fd < 0 || sources_new(&of->sources, conf, err) != 0 ||
        sources_publish(of->sources, &has_changed, err) != 0) {
        keeper_free(of);
        return NULL;
    }
    return of;
}

static void
thread_start(struct keeper *of)
{
    sigset_t all, before;
    int code;

    sigfillset(&all);
    check(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    code = pthread_create(&of->thread, NULL, keeper_run, of);
    if (code != 0)
        panic("no thread for nodes: %s", strerror(code));
    check(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}

/*
 * Names are most often found in a moment; a worker that began to work before
 * would only fail the first requests.
 */
static void
wait_for_names(struct keeper *of)
{
    int64_t until_ns = clock_mono_ns() + FIRST_LOOKUP_NS;
    struct timespec until = {.tv_sec = until_ns / NS_PER_SEC,
        .tv_nsec = until_ns % NS_PER_SEC};

    pthread_mutex_lock(&of->mutex);
    while (!of->has_looked && pthread_cond_timedwait(&of->is_known,
        &of->mutex, &until) == 0)
        ;
    pthread_mutex_unlock(&of->mutex);
}

int
nodes_start(const struct conf *conf, void (*wake)(void *arg), void *arg,
    struct err *err)
{
    bool has_names;

    check(keeper == NULL);
    node_process_enter();
    keeper = keeper_new(conf, err);
    if (keeper == NULL) {
        nodes_list_clear();
        return -1;
    }
    keeper->wake = wake;
    keeper->arg = arg;
    keeper_poke_only(keeper);
    atomic_store(&node_went_down, keeper_poke);
    nodes_collect();
    has_names = sources_are_known(keeper->sources);
    thread_start(keeper);
    if (!has_names)
        wait_for_names(keeper);
    return 0;
}

void
nodes_stop(void)
{
    struct keeper *of = keeper;

    if (of == NULL)
        return;
    atomic_store(&of->is_stopping, true);
    keeper_poke();
    check(pthread_join(of->thread, NULL) == 0);
    atomic_store(&node_went_down, NULL);
    keeper_poke_only(NULL);
    keeper = NULL;
    keeper_free(of);
    nodes_list_clear();
}
