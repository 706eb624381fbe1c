/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A server in little, for thousands of runs: processes that are forked as the
 * master forks them, with the store's module in them and requests instead of
 * a network.  What became of each request stands in memory that all processes
 * share, so it outlives every one of them.
 *
 *   world_make()    once: requests, with what reading them back must give
 *   world_run()     one life of a server: boot recovery, a worker that takes
 *                   half of the requests and dies, recovery of its log, a
 *                   worker that takes the rest, has all days merged by a
 *                   merge process, and ends in an orderly way.  Whoever dies
 *                   before is followed as the master would.
 *   world_verify()  starts on what is there, without faults, and compares
 */

#ifndef SPOOR_T_FAULT_WORLD_H
#define SPOOR_T_FAULT_WORLD_H

#include "core/base.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/gen.h"
#include "core/assert.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "event/loop.h"
#include "event/module.h"
#include "event/task.h"
#include "otlp/otlp.h"
#include "otlp/otlp_encode.h"
#include "span/span.h"
#include "storage/catalog.h"
#include "storage/compact.h"
#include "storage/layout.h"
#include "storage/store.h"
#include "storage/wal_direct.h"
#include "storage/wal_format.h"

#define WORLD_REQUESTS_MAX 64u
#define WORLD_TRACES 2u
#define WORLD_TRIES 6u
/* A worker that cannot do its work in this time is ended, then killed. */
#define WORLD_LIFE_NS (2 * NS_PER_SEC)
#define WORLD_END_SECONDS 4u
#define WORLD_DEATHS_MAX 8u
#define WORLD_POLL_NS (3 * NS_PER_MS)
/* Merges are looked for every half second. */
#define WORLD_MERGE_NS (1200 * NS_PER_MS)

enum world_fate { FATE_NONE = 0, FATE_SENT, FATE_ACKED };

struct world_request {
    struct batch batch;
    struct ingest ingest;
    struct sb body;
    struct trace_id ids[WORLD_TRACES];
    uint32_t spans[WORLD_TRACES];
    uint64_t sums[WORLD_TRACES];
    unsigned tries;
};

/* Shared by all processes of all lives. */
struct world_ledger {
    _Atomic uint32_t fate[WORLD_REQUESTS_MAX];
    _Atomic uint64_t position[WORLD_REQUESTS_MAX]; /* of the disk's log */
    _Atomic uint32_t refusals, deaths;
    _Atomic uint32_t is_over; /* the merge process shall end */
};

static struct world_request world[WORLD_REQUESTS_MAX];
static unsigned world_n;
static struct conf world_conf = {.workers = 1, .user = "",
    .fsync = FSYNC_ALWAYS, .flush_interval = 600 * NS_PER_SEC,
    .retention = 7 * NS_PER_DAY, .future_retention = 2 * NS_PER_DAY,
    .max_fields = 1000, .trace_max_spans = 100000,
    .query_timeout = NS_PER_SEC};
/* The second worker dies, too, and nobody recovers its log. */
static bool world_ends_killed;
static bool world_merges = true;
/* Programs begin no further case then (--seconds); monotonic, 0: never. */
static int64_t world_until_ns;

static inline bool
world_is_late(void)
{
    return world_until_ns != 0 && clock_mono_ns() > world_until_ns;
}
/* Called in the worker when a request was acknowledged; may be NULL. */
static uint64_t (*world_position)(void);

static inline void *
world_shared(size_t bytes)
{
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    check(map != MAP_FAILED);
    return map;
}

/* --- requests --- */

static inline uint64_t
world_sum(const struct batch *batch, const struct trace_id *id,
    uint32_t *nspans)
{
    uint64_t sum = 0;

    *nspans = 0;
    for (uint32_t i = 0; i < batch->nspans; i++) {
        uint64_t hash[2];

        if (memcmp(&batch->spans[i].trace_id, id, 16) != 0)
            continue;
        span_hash(batch, &batch->spans[i], (uint8_t *)hash);
        sum += hash[0] * hash[1];
        ++*nspans;
    }
    return sum;
}

/* The spans as a decoder makes them; every third request is of yesterday. */
static inline void
world_request_make(struct world_request *request, uint64_t seed,
    unsigned index, int64_t now_ns)
{
    int64_t first_ns = now_ns - 10 * NS_PER_SEC -
        (index % 3 == 2 ? NS_PER_DAY : 0);
    struct gen *gen = gen_new(GEN_SHOP, seed * 1000003 + index,
        first_ns, NS_PER_MS);
    struct pool *pool = pool_new(64 * MIB);
    struct err err = ERR_INIT;
    struct batch made;

    batch_init(&made, pool);
    check(gen_traces(gen, WORLD_TRACES, &made) == 0);
    gen_free(gen);
    sb_init(&request->body, 64 * MIB);
    otlp_encode_protobuf(&made, &request->body);
    batch_init(&request->batch, pool);
    check(otlp_decode_request(OTLP_PROTOBUF, SV_EMPTY,
        sb_sv(&request->body), &request->batch, &err) == 0);
    for (unsigned t = 0; t < WORLD_TRACES; t++) {
        request->ids[t] = gen_trace_id(seed * 1000003 + index, t);
        request->sums[t] = world_sum(&request->batch, &request->ids[t],
            &request->spans[t]);
    }
    request->ingest = (struct ingest){.format = OTLP_PROTOBUF,
        .wire = sb_sv(&request->body), .batch = &request->batch};
    request->ingest.digest[0] = (uint8_t)(index + 1);
    request->ingest.digest[1] = 1;
}

/* The same for the same arguments. */
static inline void
world_make_at(uint64_t seed, unsigned n, int64_t now_ns)
{
    /* Some groups go past the page cache, some through it. */
    wal_direct_min = 2 * WAL_PAGE;
    check(n <= WORLD_REQUESTS_MAX);
    for (unsigned i = 0; i < world_n; i++) {
        sb_release(&world[i].body);
        pool_free(world[i].batch.pool);
    }
    world_n = n;
    for (unsigned i = 0; i < n; i++)
        world_request_make(&world[i], seed, i, now_ns);
}

static inline void
world_make(uint64_t seed, unsigned n)
{
    world_make_at(seed, n, clock_wall_ns());
}

/* --- a worker --- */

struct world_life {
    struct world_ledger *ledger;
    struct loop *loop;
    struct loop_timer *timer, *again; /* of the merge process; of workers */
    unsigned next, end; /* requests of this life */
    unsigned open;      /* that have no answer yet */
    unsigned flushes;
    bool merges;          /* when all is answered */
    int64_t merged_until_ns;
};

static struct world_life life;

static void world_feed(void);

static void IMPL(loop_timer_fn)
world_feed_again(void *arg)
{
    (void)arg;
    world_feed();
}

static inline void
world_flushed(bool ok, void *arg)
{
    (void)ok;
    (void)arg;
    life.flushes--;
    world_feed();
}

static inline void
world_answer(struct ingest *ingest)
{
    struct world_request *request = ingest->arg;
    unsigned i = (unsigned)(request - world);

    life.open--;
    if (ingest->status == INGEST_OK) {
        if (world_position != NULL)
            atomic_store(&life.ledger->position[i], world_position());
        atomic_store(&life.ledger->fate[i], FATE_ACKED);
    } else {
        atomic_fetch_add(&life.ledger->refusals, 1);
        /* Sent again as an exporter does: behind those that wait. */
        if (request->tries < WORLD_TRIES && i < life.next)
            life.next = i;
        loop_timer_set(life.again, 3 * NS_PER_MS);
        return;
    }
    world_feed();
}

static inline void
world_send(unsigned i)
{
    struct world_request *request = &world[i];

    request->tries++;
    request->ingest.recv_time_ns = clock_wall_ns();
    request->ingest.done = world_answer;
    request->ingest.arg = request;
    atomic_store(&life.ledger->fate[i], FATE_SENT);
    life.open++;
    store_ingest(&request->ingest);
}

/* All is answered: everything is merged, if that is wanted. */
static inline void
world_finish(void)
{
    struct err err = ERR_INIT;

    if (!life.merges) {
        loop_stop(life.loop);
    } else if (life.merged_until_ns == 0) {
        life.merged_until_ns = clock_mono_ns() + WORLD_MERGE_NS;
        life.flushes++;
        store_force_flush(world_flushed, NULL);
    } else if (life.merged_until_ns > 0) {
        life.merged_until_ns = -life.merged_until_ns;
        (void)!compact_force(SV_EMPTY, &err);
        loop_timer_set(life.again, WORLD_POLL_NS);
    } else if (compact_forced() != 0 &&
        clock_mono_ns() < -life.merged_until_ns) {
        loop_timer_set(life.again, WORLD_POLL_NS);
    } else {
        loop_stop(life.loop);
    }
}

/* One at a time, so that the Nth call is the same in each run. */
static inline void
world_feed(void)
{
    while (life.open == 0 && life.flushes == 0 && life.next < life.end) {
        unsigned i = life.next++;

        if (atomic_load(&life.ledger->fate[i]) == FATE_ACKED ||
            world[i].tries >= WORLD_TRIES)
            continue;
        world_send(i);
        if (i % 4 == 3) {
            life.flushes++;
            store_force_flush(world_flushed, NULL);
        }
    }
    if (life.open == 0 && life.flushes == 0 && life.next >= life.end)
        world_finish();
}

static void IMPL(loop_timer_fn)
world_over(void *arg)
{
    (void)arg;
    loop_stop(life.loop);
}

static inline void
world_out_of_time(int signo)
{
    (void)signo;
    _exit(8);
}

/* The whole life of a worker process. */
static inline void NORETURN
world_worker(struct world_ledger *ledger, unsigned first, unsigned end,
    bool orderly)
{
    struct process worker = {.role = ROLE_WORKER, .slot = 0,
        .conf = &world_conf};
    struct err err = ERR_INIT;
    struct loop_timer *over;

    log_set_role("worker 0");
    signal(SIGALRM, world_out_of_time);
    alarm(WORLD_END_SECONDS);
    worker.loop = life.loop = loop_new();
    worker.tasks = task_pool_new(life.loop, "tasks", 1, 64);
    life.ledger = ledger;
    life.next = first;
    life.end = end;
    life.merges = orderly && world_merges;
    life.merged_until_ns = 0;
    if (store_module.init_process(&worker, &err) != 0) {
        log_error("%s", err.text);
        _exit(1);
    }
    life.again = loop_timer_new(life.loop, world_feed_again, NULL);
    over = loop_timer_new(life.loop, world_over, NULL);
    loop_timer_set(over, WORLD_LIFE_NS);
    loop_timer_set(life.again, 1);
    loop_run(life.loop);
    if (!orderly)
        _exit(9);
    store_module.exit_process(&worker);
    _exit(0);
}

/* --- the merge process --- */

static inline void IMPL(loop_timer_fn)
world_look(void *arg)
{
    const struct process *process = arg;
    static bool is_draining;

    if (atomic_load(&life.ledger->is_over) != 0) {
        if (!is_draining)
            store_module.drain((struct process *)(uintptr_t)process);
        is_draining = true;
        if (store_module.is_drained((struct process *)(uintptr_t)process)) {
            loop_stop(life.loop);
            return;
        }
    }
    loop_timer_set(life.timer, WORLD_POLL_NS);
}

static inline void NORETURN
world_merger(struct world_ledger *ledger)
{
    struct process merger = {.role = ROLE_MERGE, .slot = SLOT_NONE,
        .conf = &world_conf};
    struct err err = ERR_INIT;

    log_set_role("merge");
    signal(SIGALRM, world_out_of_time);
    alarm(WORLD_END_SECONDS);
    merger.loop = life.loop = loop_new();
    life.ledger = ledger;
    if (store_module.init_process(&merger, &err) != 0) {
        log_error("%s", err.text);
        _exit(1);
    }
    life.timer = loop_timer_new(life.loop, world_look, &merger);
    loop_timer_set(life.timer, WORLD_POLL_NS);
    loop_run(life.loop);
    store_module.exit_process(&merger);
    _exit(0);
}

/* --- the master --- */

static inline pid_t
world_fork_merger(struct world_ledger *ledger)
{
    pid_t pid = fork();

    if (pid == 0)
        world_merger(ledger);
    return pid;
}

/* The worker's end; a merge process that ends before it is followed. */
static inline int
world_wait_worker(struct world_ledger *ledger, pid_t worker, pid_t *merger)
{
    for (unsigned deaths = 0;;) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        bool crashed = WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL;

        check(pid > 0);
        if (pid == worker)
            return status;
        if (pid != *merger)
            continue;
        if (crashed)
            _exit(6);
        (void)store_module.child_ended(ROLE_MERGE, SLOT_NONE, pid, crashed);
        atomic_fetch_add(&ledger->deaths, 1);
        *merger = ++deaths > WORLD_DEATHS_MAX ? -1
            : world_fork_merger(ledger);
    }
}

static inline int
world_wait(pid_t pid)
{
    int status;

    check(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

static inline int
world_recover(unsigned slot)
{
    struct process recover = {.role = ROLE_RECOVER, .slot = slot,
        .conf = &world_conf};
    struct err err = ERR_INIT;
    pid_t pid = fork();

    if (pid == 0) {
        log_set_role("recover");
        if (store_module.init_process(&recover, &err) != 0) {
            log_error("%s", err.text);
            _exit(1);
        }
        _exit(0);
    }
    return world_wait(pid);
}

/* Until it ends well, as the master does, but not for ever. */
static inline bool
world_recover_again(struct world_ledger *ledger, unsigned slot)
{
    for (unsigned i = 0; i < 4; i++) {
        int status = world_recover(slot);

        if (status == 0)
            return true;
        atomic_fetch_add(&ledger->deaths, WIFSIGNALED(status) ? 1 : 0);
        usleep(2000);
    }
    return false;
}

/* A process of its own; the status of its end says how far it came. */
static inline void NORETURN
world_master(struct world_ledger *ledger)
{
    struct err err = ERR_INIT;
    unsigned deaths = 0, half = world_n / 2;
    pid_t merger = -1;

    log_set_role("master");
    store_set_decoder(otlp_decode_request);
    if (store_module.init_master(&world_conf, &err) != 0) {
        log_error("%s", err.text);
        _exit(3);
    }
    if (!world_recover_again(ledger, SLOT_NONE))
        _exit(4);
    for (unsigned phase = 0; phase < 2;) {
        pid_t pid = fork();
        int status;
        bool crashed;

        check(pid >= 0);
        if (pid == 0)
            world_worker(ledger, phase * half, phase == 0 ? half : world_n,
                phase == 1 && !world_ends_killed);
        if (phase == 1 && merger < 0 && world_merges)
            merger = world_fork_merger(ledger);
        status = world_wait_worker(ledger, pid, &merger);
        crashed = WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL;
        if (crashed)
            _exit(6); /* a panic: never right */
        if (WIFEXITED(status) && WEXITSTATUS(status) == 8)
            _exit(5); /* the fault lasts */
        if (WIFEXITED(status) && (WEXITSTATUS(status) == 9 ||
            WEXITSTATUS(status) == 0))
            phase++;
        else
            deaths++;
        atomic_fetch_add(&ledger->deaths, WIFSIGNALED(status) ? 1 : 0);
        if (phase == 2 && world_ends_killed)
            break;
        if (deaths > WORLD_DEATHS_MAX)
            _exit(5);
        if (store_module.child_ended(ROLE_WORKER, 0, pid, crashed) &&
            !world_recover_again(ledger, 0))
            _exit(5);
    }
    atomic_store(&ledger->is_over, 1);
    if (merger > 0) {
        int status = world_wait(merger);

        if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
            _exit(6);
        atomic_fetch_add(&ledger->deaths, status != 0 ? 1 : 0);
    }
    _exit(0);
}

static inline void
world_output(const char *log_path)
{
    int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);

    check(fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    close(fd);
}

/* Returns the wait status of the master. */
static inline int
world_run(struct world_ledger *ledger, const char *dir, const char *log_path,
    const char *faults)
{
    pid_t pid = fork();

    if (pid == 0) {
        setpgid(0, 0);
        world_output(log_path);
        if (faults != NULL)
            setenv("SPOOR_FAULT", faults, 1);
        fault_init();
        world_conf.data_path = strdup(dir);
        world_master(ledger);
    }
    return world_wait(pid);
}

#endif
