/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Listen sockets.  All workers wait on all of them (libevent knows no
 * EPOLLEXCLUSIVE, and workers are few).
 *
 * Who accepts: each worker has a score in shared memory, its connections plus
 * LISTEN_BUSY_WEIGHT times the connections that were busy on average over the
 * last second.  A worker whose score is above the lowest of the others leaves
 * the sockets alone for LISTEN_YIELDS times LISTEN_YIELD_NS, or until its
 * score is not above any more.  A connection that nobody took in the meantime
 * is accepted whatever the score: one, since the others may only be slow to
 * wake up, and more and more when this goes on, since they may be stopped.
 */

#include "core/base.h"
#include "event/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/shm.h"
#include "core/timefmt.h"
#include "event/addr.h"
#include "event/inherit.h"
#include "event/loop.h"
#include "event/module.h"

/* Waiting connections the kernel keeps (it caps at net.core.somaxconn). */
#define LISTEN_BACKLOG 1024
/* Connections accepted before other events get their turn. */
#define LISTEN_TURN_MAX 16
/* The timer's clock ticks each 4 ms, so both together are 4 to 8 ms. */
#define LISTEN_YIELD_NS (2 * NS_PER_MS)
#define LISTEN_YIELDS 2
/* Yielding in vain: so often one connection is taken, then ever more. */
#define LISTEN_PATIENCE 8
/* Without descriptors a retry at once would only spin. */
#define LISTEN_BACK_OFF_NS (100 * NS_PER_MS)
/* One busy connection weighs as much as this many idle ones. */
#define LISTEN_BUSY_WEIGHT 32
#define LISTEN_AVERAGE_NS NS_PER_SEC
/* A lead of one in so many is not worth a delay. */
#define LISTEN_SLACK 16

/* "unix:" and a path, or less. */
#define LISTEN_TEXT_MAX 128

struct listener {
    char *spec;     /* as in the configuration */
    int fd;
    bool is_wanted; /* named by the latest configuration */
    char address[LISTEN_TEXT_MAX];
};

/*
 * Of one worker, written by it alone.  Fields may be read while they change:
 * a wrong score costs a few milliseconds once.
 */
struct listen_load {
    _Atomic uint32_t is_open;
    _Atomic uint32_t conns;
    _Atomic uint32_t busy;
    _Atomic uint32_t average; /* busy connections * 1024 at since_ns */
    _Atomic int64_t since_ns;
    char pad[40];             /* a cache line each */
};

_Static_assert(sizeof(struct listen_load) == 64, "one cache line");

struct listen_table {
    _Atomic uint32_t slots; /* above the highest slot that was ever open */
    char pad[60];
    struct listen_load load[LISTEN_SLOTS_MAX];
};

enum listen_pause {
    LISTEN_WATCHING,
    LISTEN_FULL,     /* until a connection ends */
    LISTEN_YIELDING, /* others go first */
    LISTEN_NO_FD,
};

/* A worker's accepting side. */
struct listen_worker {
    struct process *process;
    listen_accept_fn fn;
    void *arg;
    struct loop_fd *lfds[LISTEN_MAX]; /* by index of listeners */
    struct conf_listener confs[LISTEN_MAX]; /* the same */
    struct loop_timer *timer;
    struct listen_load *load;
    enum listen_pause pause;
    unsigned yields;  /* periods of the present LISTEN_YIELDING */
    unsigned in_vain; /* yields in a row after which a connection waited */
    bool is_started;
};

static struct listener listeners[LISTEN_MAX];
static unsigned nlisteners;
static struct listen_table *table;
static struct listen_worker worker;

/* The master's side. */

static int
listen_bind(struct listener *listener, const struct sockaddr_storage *addr,
    socklen_t len, struct err *err)
{
    int only = !addr_is_of_both(listener->spec);
    int one = 1;
    int fd;

    fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
        0);
    if (fd < 0)
        return err_sys(err, "socket for %s", listener->spec);
    listener->fd = fd;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0)
        return err_sys(err, "SO_REUSEADDR on %s", listener->spec);
    if (addr->ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6,
            IPV6_V6ONLY, &only, sizeof(only)) != 0)
        return err_sys(err, "IPV6_V6ONLY on %s", listener->spec);
    if (addr_bind(fd, addr, len) != 0)
        return err_sys(err, "cannot bind %s", listener->spec);
    return 0;
}

/* One that was open before us, by its address or its name, or a new one. */
static int
listen_socket(struct listener *listener, bool is_grpc, struct err *err)
{
    struct sockaddr_storage addr;
    socklen_t len;

    if (addr_parse(listener->spec, &addr, &len, err) != 0)
        return -1;
    listener->fd = inherit_take(listener->spec, (struct sockaddr *)&addr);
    if (listener->fd < 0)
        listener->fd = inherit_take_named(is_grpc ? "otlp_grpc" : "http");
    if (listener->fd < 0 && listen_bind(listener, &addr, len, err) != 0)
        return -1;
    if (listen(listener->fd, LISTEN_BACKLOG) != 0)
        return err_sys(err, "cannot listen on %s", listener->spec);
    len = sizeof(addr);
    if (getsockname(listener->fd, (struct sockaddr *)&addr, &len) != 0)
        return err_sys(err, "getsockname of %s", listener->spec);
    if (addr.ss_family == AF_UNIX)
        snprintf(listener->address, sizeof(listener->address), "%s",
            listener->spec);
    else
        addr_print((struct sockaddr *)&addr, listener->address,
            sizeof(listener->address));
    return 0;
}

static void
listener_close(struct listener *listener)
{
    if (listener->fd >= 0)
        close(listener->fd);
    xfree(listener->spec);
    memset(listener, 0, sizeof(*listener));
    listener->fd = -1;
}

static struct listener *
listener_find(const char *spec)
{
    for (unsigned i = 0; i < nlisteners; i++)
        if (strcmp(listeners[i].spec, spec) == 0)
            return &listeners[i];
    return NULL;
}

static int
listener_add(const char *spec, bool is_grpc, struct err *err)
{
    struct listener *listener;

    if (nlisteners == LISTEN_MAX)
        return err_set(err, ERR_LIMIT, "more than %d addresses to listen on",
            LISTEN_MAX);
    listener = &listeners[nlisteners];
    memset(listener, 0, sizeof(*listener));
    listener->fd = -1;
    listener->spec = xstrdup(spec);
    if (listen_socket(listener, is_grpc, err) != 0) {
        listener_close(listener);
        return -1;
    }
    nlisteners++;
    return 0;
}

static int
listen_make_table(struct err *err)
{
    void *ptr;

    if (table != NULL)
        return 0;
    if (shm_new(&ptr, "spoor-listen", sizeof(*table), err) != 0)
        return -1;
    if (shm_reserve(ptr, sizeof(*table), err) != 0) {
        shm_free(ptr, sizeof(*table));
        return -1;
    }
    table = ptr;
    return 0;
}

/* What conf says of the address, when it names it. */
static bool
listen_is_named(const struct conf *conf, const char *spec,
    struct conf_listener *found)
{
    for (unsigned i = 0; i < conf_listeners(conf); i++) {
        *found = conf_listener_get(conf, i);
        if (strcmp(found->address, spec) == 0)
            return true;
    }
    return false;
}

/* Names of inherited sockets count only where addresses do not. */
static void
listen_reserve(const struct conf *conf)
{
    struct sockaddr_storage addr;
    socklen_t len;

    for (unsigned i = 0; inherit_is_any() && i < conf_listeners(conf); i++) {
        const char *spec = conf_listener_get(conf, i).address;

        if (addr_parse(spec, &addr, &len, NULL) == 0)
            inherit_reserve(spec, (struct sockaddr *)&addr);
    }
}

int
listen_open(const struct conf *conf, struct err *err)
{
    unsigned before = nlisteners;
    struct conf_listener found;

    if (listen_make_table(err) != 0)
        return -1;
    listen_reserve(conf);
    for (unsigned i = 0; i < conf_listeners(conf); i++) {
        struct conf_listener one = conf_listener_get(conf, i);

        if (listener_find(one.address) != NULL)
            continue;
        if (listener_add(one.address, one.is_grpc, err) != 0) {
            while (nlisteners > before)
                listener_close(&listeners[--nlisteners]);
            return -1;
        }
    }
    for (unsigned i = 0; i < nlisteners; i++)
        listeners[i].is_wanted = listen_is_named(conf, listeners[i].spec,
            &found);
    return 0;
}

void
listen_commit(void)
{
    unsigned kept = 0;

    check(!worker.is_started);
    for (unsigned i = 0; i < nlisteners; i++) {
        if (listeners[i].is_wanted)
            listeners[kept++] = listeners[i];
        else
            listener_close(&listeners[i]);
    }
    nlisteners = kept;
}

void
listen_close_all(void)
{
    check(!worker.is_started);
    while (nlisteners > 0)
        listener_close(&listeners[--nlisteners]);
}

void
listen_child_ended(unsigned slot)
{
    check(slot < LISTEN_SLOTS_MAX);
    if (table != NULL)
        atomic_store(&table->load[slot].is_open, 0);
}

int
listen_hand_on(struct sb *out)
{
    for (unsigned i = 0; i < nlisteners; i++) {
        if (fcntl(listeners[i].fd, F_SETFD, 0) != 0)
            return -1;
        inherit_print(out, listeners[i].fd, listeners[i].spec);
    }
    return 0;
}

const char *
listen_address(unsigned n)
{
    for (unsigned i = 0; i < nlisteners; i++)
        if (listeners[i].is_wanted && n-- == 0)
            return listeners[i].address;
    return NULL;
}

/* The score. */

/* Average of busy connections * 1024 at now_ns. */
static uint32_t
listen_average(struct listen_load *load, int64_t now_ns)
{
    int64_t average = atomic_load(&load->average);
    int64_t busy = (int64_t)atomic_load(&load->busy) * 1024;
    int64_t passed_ns = now_ns - atomic_load(&load->since_ns);

    passed_ns = MIN(MAX(passed_ns, 0), LISTEN_AVERAGE_NS);
    average += (busy - average) * (passed_ns / NS_PER_US) /
        (LISTEN_AVERAGE_NS / NS_PER_US);
    return (uint32_t)MAX(average, 0);
}

/* In 1/1024 of an idle connection. */
static uint64_t
listen_score(struct listen_load *load, int64_t now_ns)
{
    return (uint64_t)atomic_load(&load->conns) * 1024 +
        (uint64_t)listen_average(load, now_ns) * LISTEN_BUSY_WEIGHT;
}

static bool
listen_is_over_share(void)
{
    int64_t now_ns = loop_now_ns(worker.process->loop);
    uint32_t slots = MIN(atomic_load(&table->slots), LISTEN_SLOTS_MAX);
    uint64_t mine = listen_score(worker.load, now_ns);
    uint64_t least = UINT64_MAX;

    mine -= mine / LISTEN_SLACK / 1024 * 1024;
    for (uint32_t i = 0; i < slots; i++) {
        struct listen_load *load = &table->load[i];

        if (load != worker.load && atomic_load(&load->is_open) != 0)
            least = MIN(least, listen_score(load, now_ns));
    }
    return mine >= least && mine - least >= 1024;
}

static void
listen_note(int conns, int busy)
{
    struct listen_load *load = worker.load;
    int64_t now_ns = loop_now_ns(worker.process->loop);

    if (busy != 0) {
        atomic_store(&load->average, listen_average(load, now_ns));
        atomic_store(&load->since_ns, now_ns);
        atomic_fetch_add(&load->busy, (uint32_t)busy);
        check((int32_t)atomic_load(&load->busy) >= 0);
    }
    if (conns != 0) {
        atomic_fetch_add(&load->conns, (uint32_t)conns);
        check((int32_t)atomic_load(&load->conns) >= 0);
    }
}

/* The worker's side. */

static void
listen_set_pause(enum listen_pause pause, int64_t ns)
{
    int what = pause == LISTEN_WATCHING ? LOOP_READ : 0;

    if (ns > 0)
        loop_timer_set(worker.timer, ns);
    else
        loop_timer_cancel(worker.timer);
    if (pause == worker.pause)
        return;
    worker.pause = pause;
    for (unsigned i = 0; i < nlisteners; i++)
        if (worker.lfds[i] != NULL)
            loop_fd_watch(worker.lfds[i], what);
}

static bool
listen_is_full(void)
{
    return atomic_load(&worker.load->conns) >=
        worker.process->conf->connections;
}

/* True when accepting may go on. */
static bool
listen_failed(int code)
{
    switch (code) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        log_warn("cannot accept connections: %s; trying again in %d ms",
            strerror(code), (int)(LISTEN_BACK_OFF_NS / NS_PER_MS));
        listen_set_pause(LISTEN_NO_FD, LISTEN_BACK_OFF_NS);
        return false;
    default:
        /* The connection failed before it was ours (accept(2)). */
        log_debug("accept: %s", strerror(code));
        return true;
    }
}

/* May one more be accepted now?  If not, the pause says why. */
static bool
listen_may_accept(bool yields)
{
    if (!worker.is_started || worker.pause != LISTEN_WATCHING)
        return false;
    if (listen_is_full()) {
        log_warn("worker_connections: %llu connections are open, more must "
            "wait", (unsigned long long)worker.process->conf->connections);
        listen_set_pause(LISTEN_FULL, 0);
        return false;
    }
    if (yields && listen_is_over_share()) {
        worker.yields = 1;
        listen_set_pause(LISTEN_YIELDING, LISTEN_YIELD_NS);
        return false;
    }
    return true;
}

/*
 * Accepts what waits on one socket, most at a time, and returns how many;
 * yields says whether the share counts.
 */
static unsigned
listen_accept(unsigned listener, unsigned most, bool yields)
{
    unsigned accepted = 0;
    int fd;

    for (unsigned turn = 0; turn < most && listen_may_accept(yields);
         turn++) {
        fd = accept4(listeners[listener].fd, NULL, NULL,
            SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (!listen_failed(errno))
                break;
            continue;
        }
        listen_note(1, 0);
        accepted++;
        worker.fn(fd, &worker.confs[listener], worker.arg);
    }
    return accepted;
}

static void
IMPL(loop_fd_fn) listen_on_ready(UNUSED int fd, UNUSED int ready, void *arg)
{
    struct listener *listener = arg;

    (void)listen_accept((unsigned)(listener - listeners), LISTEN_TURN_MAX,
        true);
}

/* How many to take of what nobody took. */
static unsigned
listen_in_vain_max(void)
{
    unsigned more = worker.in_vain > LISTEN_PATIENCE
        ? worker.in_vain - LISTEN_PATIENCE : 0;

    return more < 4 ? 1u << more : LISTEN_TURN_MAX;
}

static void
IMPL(loop_timer_fn) listen_on_timer(UNUSED void *arg)
{
    bool is_over = worker.pause == LISTEN_YIELDING && listen_is_over_share();
    unsigned most = is_over ? listen_in_vain_max() : LISTEN_TURN_MAX;
    unsigned accepted = 0;

    if (is_over && worker.yields++ < LISTEN_YIELDS) {
        listen_set_pause(LISTEN_YIELDING, LISTEN_YIELD_NS);
        return;
    }
    listen_set_pause(LISTEN_WATCHING, 0);
    for (unsigned i = 0; i < nlisteners; i++)
        if (worker.is_started && worker.lfds[i] != NULL)
            accepted += listen_accept(i, most, !is_over);
    worker.in_vain = is_over && accepted > 0 ? worker.in_vain + 1 : 0;
}

void
listen_start(struct process *process, listen_accept_fn fn, void *arg)
{
    uint32_t slots;

    check(!worker.is_started && table != NULL);
    check(process->slot < LISTEN_SLOTS_MAX && fn != NULL);
    memset(&worker, 0, sizeof(worker));
    worker.process = process;
    worker.fn = fn;
    worker.arg = arg;
    worker.is_started = true;
    worker.load = &table->load[process->slot];
    memset(worker.load, 0, sizeof(*worker.load));
    slots = atomic_load(&table->slots);
    while (slots <= process->slot &&
        !atomic_compare_exchange_weak(&table->slots, &slots,
            process->slot + 1))
        ;
    worker.timer = loop_timer_new(process->loop, listen_on_timer, NULL);
    for (unsigned i = 0; i < nlisteners; i++) {
        if (!listeners[i].is_wanted || !listen_is_named(process->conf,
                listeners[i].spec, &worker.confs[i]))
            continue;
        worker.lfds[i] = loop_fd_new(process->loop, listeners[i].fd,
            listen_on_ready, &listeners[i]);
        loop_fd_watch(worker.lfds[i], LOOP_READ);
    }
    atomic_store(&worker.load->is_open, 1);
}

void
listen_stop(void)
{
    if (!worker.is_started)
        return;
    atomic_store(&worker.load->is_open, 0);
    for (unsigned i = 0; i < nlisteners; i++) {
        loop_fd_free(worker.lfds[i]);
        worker.lfds[i] = NULL;
    }
    loop_timer_free(worker.timer);
    worker.timer = NULL;
    worker.is_started = false;
    listen_close_all();
}

/* Somebody may have been waiting for what has just become less. */
static void
listen_resume(void)
{
    if (!worker.is_started)
        return;
    if ((worker.pause == LISTEN_FULL && !listen_is_full()) ||
        (worker.pause == LISTEN_YIELDING && !listen_is_over_share()))
        listen_set_pause(LISTEN_WATCHING, 0);
}

void
listen_conn_ended(void)
{
    check(worker.load != NULL);
    listen_note(-1, 0);
    listen_resume();
}

void
listen_conn_busy(int delta)
{
    check(worker.load != NULL);
    listen_note(0, delta);
    if (delta < 0)
        listen_resume();
}
